"""ECG waves as Gaussians on the time axis, for both leads.

In the dynamical model of McSharry et al., each wave is an event at a fixed angle of the cardiac
cycle that moves the trajectory by −a Δθ exp(−Δθ²/2b²). Its integral is a Gaussian of height a b²/ω,
and the ECG is the sum of these Gaussians. P, QRS and T are separate, as in Sayadi et al., so that
an arrhythmia can move, replace or omit one of them.

References:
    P. E. McSharry, G. D. Clifford, L. Tarassenko, L. A. Smith. A dynamical model for generating
    synthetic electrocardiogram signals. IEEE Trans. Biomed. Eng. 50(3):289–294, 2003.

    O. Sayadi, M. B. Shamsollahi, G. D. Clifford. Synthetic ECG generation and Bayesian filtering
    using a Gaussian wave-based dynamical model. Physiol. Meas. 31(10):1309–1329, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADS = ("MLII", "V1")
"""The leads of every synthetic record, in order."""

REACH = 4.0
"""Cutoff of a wave in widths from its center, where it is below 0.04% of its height."""

Row = tuple[float, float, float]
"""Center in seconds, width (standard deviation) in seconds, height in millivolts."""


@dataclass(frozen=True, eq=False)
class Waves:
    """Gaussian waves.

    Attributes:
        center: float64 [n_waves], seconds; in a template, relative to the R peak.
        width: float64 [n_waves], standard deviation in seconds.
        height: float64 [n_leads, n_waves], millivolts.
    """

    center: NDArray[np.float64]
    width: NDArray[np.float64]
    height: NDArray[np.float64]


def in_leads(mlii: Sequence[Row], v1: Sequence[Row]) -> Waves:
    """Return waves from the rows of MLII and of V1."""
    rows = np.array([*mlii, *v1], dtype=np.float64).reshape(-1, 3)
    in_lead = np.zeros((len(LEADS), len(rows)))
    in_lead[0, : len(mlii)] = 1.0
    in_lead[1, len(mlii) :] = 1.0
    return Waves(rows[:, 0], rows[:, 1], in_lead * rows[:, 2])


def place(
    template: Waves,
    times: NDArray[np.float64],
    gain: NDArray[np.float64],
    stretch: NDArray[np.float64] | None = None,
) -> Waves:
    """Return ``template``, repeated at ``times``.

    Args:
        template: Waves of one beat.
        times: float64 [n_beats], seconds.
        gain: float64 [n_leads, n_beats], factors of the heights.
        stretch: float64 [n_beats], factors of the centers and widths; None: 1.
    """
    factor = np.ones_like(times) if stretch is None else stretch
    return Waves(
        (times[:, None] + factor[:, None] * template.center).ravel(),
        (factor[:, None] * template.width).ravel(),
        (gain[:, :, None] * template.height[:, None, :]).reshape(len(gain), -1),
    )


def trace(waves: Waves, n_samples: int, fs: float) -> NDArray[np.float64]:
    """Return the sum of ``waves`` as float64 [n_leads, n_samples] in millivolts."""
    first = np.ceil((waves.center - REACH * waves.width) * fs).astype(np.int64)
    last = np.floor((waves.center + REACH * waves.width) * fs).astype(np.int64)
    first, last = np.maximum(first, 0), np.minimum(last, n_samples - 1)
    count = np.maximum(last - first + 1, 0)
    wave = np.repeat(np.arange(len(count)), count)
    sample = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first, count)
    shape = np.exp(-0.5 * ((sample / fs - waves.center[wave]) / waves.width[wave]) ** 2)
    return np.stack(
        [np.bincount(sample, height[wave] * shape, n_samples) for height in waves.height]
    )
