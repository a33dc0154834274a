"""Random changes of the training beats: noise, scale, shift and lost leads.

The noise is synthetic, so that every machine trains with the same and no records are needed beside
those of the dataset. Its spectra are those that the MIT-BIH Noise Stress Test Database was recorded
for: baseline wander below 0.5 Hz, and muscle noise above 20 Hz.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench_ecg.signal.added_leads import count_leads
from nasbench_ecg.training.recipe import AUGMENTATIONS, Augmentation, Recipe

NOISE_SHARE = 0.5
"""Share of the beats that get wander, and independently muscle noise."""

SNR_DB = (6.0, 24.0)
"""Range of the signal-to-noise ratio in decibels, uniform."""

LARGEST_SCALE = 1.25
"""Amplitudes are multiplied by 1/1.25 … 1.25, log-uniform."""

LARGEST_SHIFT = 0.025
"""Windows move by at most so many seconds; the edges repeat their outermost value."""

LEAD_LOSS = 0.1
"""Share of the beats in which one lead is zero, if there are two or more."""

_BANK_SECONDS = 600.0
_BANDS: dict[str, tuple[float, float]] = {"wander": (0.05, 0.5), "noise": (20.0, math.inf)}
_BANK, _DRAWS = 1, 2  # the purpose of a random stream, beside its seed


class Augmenter:
    """Changes batches of beats on their device; all random numbers are drawn on the CPU.

    Each change is a function of the signals and of uniform numbers, without random numbers of its
    own, so that a captured CUDA graph can hold it, and every device trains on the same beats up to
    rounding. A difference from the median beat gets the noise, scale and shift of its lead, and is
    lost with it. Rhythm planes, which are timing and no signal, stay as they are.

    Args:
        recipe: States the changes.
        leads: Names of the leads; those of the record come first (:func:`count_leads`).
        fs: Sampling rate in hertz.
        seed: Seed of the noise and of all draws.
        device: Where the beats are.
    """

    def __init__(
        self, recipe: Recipe, leads: Sequence[str], fs: float, seed: int, device: str
    ) -> None:
        self.kinds = tuple(kind for kind in AUGMENTATIONS if kind in recipe.augment)
        self._leads = list(count_leads(leads))
        self.fs = fs
        self.seed = seed
        self.device = device
        n_signals = self._leads[0]
        columns = {"wander": 2 + n_signals, "noise": 2 + n_signals, "lead-dropout": 2}
        self._columns = {kind: columns.get(kind, 1) for kind in self.kinds}
        self._banks = {
            kind: torch.from_numpy(_noise(_BANDS[kind], fs, [seed, _BANK, i])).to(device)
            for i, kind in enumerate(_BANDS)
            if kind in self.kinds
        }

    @property
    def n_draws(self) -> int:
        """Uniform numbers that a beat needs."""
        return sum(self._columns.values())

    def draws(self, n_beats: int, epoch: int, batch_size: int) -> tuple[Tensor, ...]:
        """Return the uniform numbers of an epoch, for each batch float32 [batch, n_draws].

        They depend on the seed and on the number of the epoch only, so a resumed training draws the
        same.
        """
        rng = np.random.default_rng([self.seed, _DRAWS, epoch])
        numbers = torch.from_numpy(rng.random((n_beats, self.n_draws), dtype=np.float32))
        return torch.split(numbers.to(self.device), batch_size)

    def __call__(self, signals: Tensor, draws: Tensor) -> Tensor:
        """Return changed signals.

        Args:
            signals: float32 [batch, n_leads, n_samples].
            draws: float32 [batch, n_draws], uniform in [0, 1).
        """
        own, differences, planes = torch.split(signals, self._leads, dim=1)
        parts = torch.split(draws, list(self._columns.values()), dim=1)
        for kind, u in zip(self.kinds, parts, strict=True):
            own, differences = self._change(kind, own, differences, u)
        return torch.cat([own, differences, planes], dim=1)

    def _change(
        self, kind: Augmentation, x: Tensor, difference: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return changed leads, and what their differences from the median beat become."""
        if kind == "scale":
            factor = torch.exp((2 * u - 1) * math.log(LARGEST_SCALE))[:, :, None]
            return x * factor, difference * factor
        if kind == "shift":
            by = (2 * u - 1) * LARGEST_SHIFT * self.fs
            return _shifted(x, by), _shifted(difference, by)
        if kind == "lead-dropout":
            kept = _kept_leads(x, u)
            return x * kept, difference * kept[:, : difference.shape[1]]
        noise = _noise_of(x, u, self._banks[kind])
        return x + noise, difference + noise[:, : difference.shape[1]]


def _noise_of(x: Tensor, u: Tensor, bank: Tensor) -> Tensor:
    """Return an excerpt of ``bank`` for each lead of some beats, at a random SNR of the window."""
    n = x.shape[2]
    chosen = (u[:, 0] < NOISE_SHARE).to(x.dtype)
    decibels = SNR_DB[0] + (SNR_DB[1] - SNR_DB[0]) * u[:, 1]
    offset = (u[:, 2:] * (len(bank) - n)).long()
    noise = bank[offset[:, :, None] + torch.arange(n, device=x.device)]
    power = x.var(dim=2, correction=0, keepdim=True)
    gain = chosen * torch.pow(10.0, -decibels / 20)
    return noise * power.sqrt() * gain[:, None, None]


def _shifted(x: Tensor, by: Tensor) -> Tensor:
    """Move each window by a whole number of samples, [batch, 1]."""
    index = torch.arange(x.shape[2], device=x.device) - by.round().long()
    index = index.clamp(0, x.shape[2] - 1)
    return x.gather(2, index[:, None, :].expand_as(x))


def _kept_leads(x: Tensor, u: Tensor) -> Tensor:
    """Return 0 for one lead of some beats, and 1 for all others, [batch, n_leads, 1]."""
    n_leads = x.shape[1]
    if n_leads < 2:
        return torch.ones_like(x[:, :, :1])
    which = (u[:, 1:] * n_leads).long().clamp(max=n_leads - 1)
    lost = (torch.arange(n_leads, device=x.device) == which) & (u[:, :1] < LEAD_LOSS)
    return (~lost).to(x.dtype)[:, :, None]


def _noise(band: tuple[float, float], fs: float, seed: Sequence[int]) -> NDArray[np.float32]:
    """Return ten minutes of Gaussian noise of a band in hertz, of mean 0 and variance 1."""
    n = int(_BANK_SECONDS * fs)
    spectrum = np.fft.rfft(np.random.default_rng(list(seed)).standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / fs)
    low = min(band[0], fs / 4)  # of a low sampling rate, the upper half of the spectrum
    spectrum[(frequency < low) | (frequency > band[1])] = 0
    noise = np.fft.irfft(spectrum, n)
    scaled: NDArray[np.float32] = (noise / noise.std()).astype(np.float32)
    return scaled
