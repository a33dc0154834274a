"""Noise stress: recorded noise added to a record in calibrated amounts.

After five minutes without noise, segments of two minutes with and without noise alternate. Each
lead gets one signal of the noise record, times a gain that sets the signal-to-noise ratio
SNR = 10 log₁₀(S / N). S is the square of the peak-to-peak amplitude of QRS complexes over 8, which
is the power of a sine of that amplitude. N is the square of the mean RMS of seconds of the noise,
each without its mean, so wander below 1 Hz does not count. Steps where noise begins or ends are
removed by an offset, so that a lead keeps its last offset.

References:
    Moody, Muldrow, Mark 1984, "A noise stress test for arrhythmia detectors", Computers in
    Cardiology 11:381-384.

    WFDB Applications Guide, ``nst`` (protocol, gains, SNR) and ``sigamp`` (the amplitudes: at most
    300 measurements, of which the largest and the smallest 5% are left out).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.headers import read_header
from nasbench_ecg.signal.records import Record, read_samples
from nasbench_ecg.signal.resampling import resample
from nasbench_ecg.signal.rhythm import BEAT_SYMBOLS

Floats = NDArray[np.float64]

NoiseName = Literal["bw", "em", "ma"]
"""Baseline wander, electrode motion, and muscle artifact: the noise records of ``nstdb``."""

NOISE_DATABASE = "nstdb"

CLEAN_SECONDS = 300.0
"""Seconds at the start that stay without noise."""

SEGMENT_SECONDS = 120.0
"""Length of a segment with noise, and of one without."""

_MEASUREMENTS = 300
_TRIMMED = 20  # one of so many at each end
_RMS_SECONDS = 1.0
_QRS_SECONDS = 0.05
_NOT_NORMAL = frozenset("VErFQ?")  # ventricular, fusion and unclassified beats


@dataclass(frozen=True, eq=False)
class Noise:
    """A noise record.

    Attributes:
        name: Its name.
        fs: Its sampling rate in hertz.
        signals: float64 [n_signals, n_samples]; the unit does not matter.
    """

    name: str
    fs: float
    signals: Floats


def read_noise(folder: Path, name: str) -> Noise:
    """Return a noise record.

    Args:
        folder: Folder of the noise records.
        name: Name of the record.

    Raises:
        RecordError: It is missing, truncated or damaged.
    """
    header = read_header(folder, name)
    return Noise(name, header.fs, read_samples(header))


def is_noisy(samples: NDArray[np.int64], fs: float) -> NDArray[np.bool_]:
    """Return whether positions in a record, in samples, are in a segment with noise."""
    start, length = round(CLEAN_SECONDS * fs), round(SEGMENT_SECONDS * fs)
    noisy: NDArray[np.bool_] = (samples >= start) & ((samples - start) // length % 2 == 0)
    return noisy


def add_noise(record: Record, noise: Noise, snr: float) -> Record:
    """Return a record with noise in every other segment of two minutes, after five minutes.

    Lead i gets the noise signal i modulo their number. Noise of another sampling rate is resampled.
    A noise record that ends starts again. A lead without QRS amplitude stays as it is.

    Args:
        record: The record, in millivolts.
        noise: The noise.
        snr: Signal-to-noise ratio of the segments with noise, in dB.
    """
    gains = noise_gains(record, noise, snr)
    signals, _ = resample(noise.signals, noise.fs, record.fs)
    n_samples = record.signals.shape[1]
    steps = np.diff(signals, axis=1, prepend=signals[:, :1])
    position = np.arange(n_samples, dtype=np.int64)
    noisy = np.where(is_noisy(position, record.fs), steps[:, position % signals.shape[1]], 0.0)
    added = np.cumsum(noisy, axis=1)
    of_lead = np.arange(len(record.signals)) % len(signals)
    return replace(record, signals=record.signals + gains[:, None] * added[of_lead])


def noise_gains(record: Record, noise: Noise, snr: float) -> Floats:
    """Return what each lead's noise signal is multiplied by, [n_leads]; arguments as above."""
    power = noise_amplitudes(noise)[np.arange(len(record.signals)) % len(noise.signals)]
    ratio = 10 ** (-snr / 20) / np.sqrt(8)
    gains: Floats = ratio * qrs_amplitudes(record) / np.where(power > 0, power, np.inf)
    return gains


def noise_amplitudes(noise: Noise) -> Floats:
    """Return the trimmed mean of the RMS of seconds of each noise signal, [n_signals]."""
    width = round(_RMS_SECONDS * noise.fs)
    n = min(noise.signals.shape[1] // width, _MEASUREMENTS)
    seconds = noise.signals[:, : n * width].reshape(len(noise.signals), n, width)
    return _trimmed_mean(seconds.std(axis=2))


def qrs_amplitudes(record: Record) -> Floats:
    """Return the trimmed mean of the peak-to-peak amplitudes of QRS complexes, [n_leads], in mV.

    Measured within 50 ms of the first 300 normal beats where a lead has a signal: those that are
    neither ventricular nor fusion nor unclassified (``sigamp`` of WFDB keeps the unclassified ones,
    which changes the level of record 104 of MIT-BIH by 0.07 dB). A record without them is measured
    at its other beats.
    """
    beats = np.isin(record.symbols, sorted(BEAT_SYMBOLS))
    normal = beats & ~np.isin(record.symbols, sorted(_NOT_NORMAL))
    reach = round(_QRS_SECONDS * record.fs)
    samples = record.samples[normal if normal.any() else beats]
    samples = samples[(samples >= reach) & (samples + reach < record.signals.shape[1])]
    around = samples[:, None] + np.arange(-reach, reach + 1)
    if record.missing is None:
        return _amplitudes(record.signals, around)
    known = np.asarray(~record.missing[:, around].any(axis=2))
    own = [_amplitudes(record.signals[i : i + 1], around[known[i]]) for i in range(len(known))]
    return np.concatenate(own)


def _amplitudes(signals: Floats, around: NDArray[np.int64]) -> Floats:
    """Return the trimmed mean of peak-to-peak values, [n_leads], of the first positions."""
    if not len(around):
        return np.zeros(len(signals))
    return _trimmed_mean(np.ptp(signals[:, around[:_MEASUREMENTS]], axis=2))


def _trimmed_mean(values: Floats) -> Floats:
    """Return the mean of each row without its largest and smallest values, [n_rows]."""
    left_out = values.shape[1] // _TRIMMED
    mean: Floats = np.sort(values, axis=1)[:, left_out : values.shape[1] - left_out].mean(axis=1)
    return mean
