"""Noise of an ambulatory recorder in millivolts: baseline wander, muscle noise and mains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def band_noise(
    rng: np.random.Generator, n_samples: int, fs: float, low: float, high: float
) -> NDArray[np.float64]:
    """Return Gaussian noise of unit variance, float64 [n_samples], from ``low`` to ``high`` Hz.

    The band edges are those of a fourth-order Butterworth filter.
    """
    f = np.fft.rfftfreq(n_samples, 1 / fs)
    response = 1 / np.sqrt(1 + (f / high) ** 8)
    if low > 0:
        response *= np.sqrt((f / low) ** 8 / (1 + (f / low) ** 8))
    response[0] = 0.0
    noise = np.fft.irfft(response * np.fft.rfft(rng.standard_normal(n_samples)), n_samples)
    return np.asarray(noise / noise.std())


def wander(
    rng: np.random.Generator, n_samples: int, fs: float, breathing: float
) -> NDArray[np.float64]:
    """Return baseline wander: breathing with slowly changing depth, and electrode drift."""
    t = np.arange(n_samples) / fs
    depth = 1 + 0.4 * band_noise(rng, n_samples, fs, 0.0, 0.03)
    phase = rng.uniform(0, 2 * np.pi) + 0.8 * band_noise(rng, n_samples, fs, 0.0, 0.03)
    breath = rng.uniform(0.02, 0.08) * depth * np.sin(2 * np.pi * breathing * t + phase)
    drift = rng.uniform(0.04, 0.12) * band_noise(rng, n_samples, fs, 0.0, 0.08)
    return np.asarray(breath + drift)


def muscle(rng: np.random.Generator, n_samples: int, fs: float) -> NDArray[np.float64]:
    """Return muscle noise of 20–120 Hz, with a log-normal level and bursts of a few seconds."""
    level = np.exp(0.6 * band_noise(rng, n_samples, fs, 0.0, 0.15))
    burst = np.maximum(band_noise(rng, n_samples, fs, 0.0, 0.10) - 1.8, 0.0)
    rms = rng.uniform(0.006, 0.020)
    return np.asarray(rms * (level + 4 * burst) * band_noise(rng, n_samples, fs, 20.0, 120.0))


def mains(
    rng: np.random.Generator, n_samples: int, fs: float, frequency: float
) -> NDArray[np.float64]:
    """Return mains interference with slowly changing amplitude and a weak second harmonic."""
    phase = 2 * np.pi * frequency * np.arange(n_samples) / fs + rng.uniform(0, 2 * np.pi)
    amplitude = rng.uniform(0.006, 0.020) * (1 + 0.3 * band_noise(rng, n_samples, fs, 0.0, 0.1))
    return np.asarray(amplitude * (np.sin(phase) + 0.1 * np.sin(2 * phase)))


def record_noise(
    rng: np.random.Generator, shape: tuple[int, int], fs: float, breathing: float, frequency: float
) -> NDArray[np.float64]:
    """Return the sum of all noise of a record, float64 of ``shape`` [n_leads, n_samples].

    Args:
        rng: Random generator.
        shape: Number of leads and of samples.
        fs: Sampling rate in hertz.
        breathing: Breathing rate in hertz.
        frequency: Mains frequency in hertz.
    """
    n_leads, n_samples = shape
    return np.stack(
        [
            wander(rng, n_samples, fs, breathing)
            + muscle(rng, n_samples, fs)
            + mains(rng, n_samples, fs, frequency)
            for _ in range(n_leads)
        ]
    )
