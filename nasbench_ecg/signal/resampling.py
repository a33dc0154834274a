"""Signals at another sampling rate, and denoising at that rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.filtering import Denoising, denoise

Floats = NDArray[np.float64]


def resample(signals: Floats, fs: float, rate: float | None) -> tuple[Floats, Fraction]:
    """Return signals at another sampling rate (polyphase, anti-aliased).

    Args:
        signals: float64 [n_leads, n_samples].
        fs: Their sampling rate in hertz.
        rate: The new sampling rate in hertz; None keeps their own.

    Returns:
        float64 [n_leads, m_samples], and the ratio of the new rate to the old one.

    Raises:
        OptionError: The rate is too low for the signals.
    """
    if rate is None or rate == fs:
        return signals, Fraction(1)
    from scipy.signal import resample_poly

    ratio = (Fraction(rate) / Fraction(fs)).limit_denominator(10_000)
    if ratio <= 0:
        raise OptionError(
            f"A record of {fs:g} Hz cannot be resampled to {rate:g} Hz.",
            fix="Choose a higher sampling rate.",
        )
    resampled: NDArray[np.float64] = resample_poly(
        signals, ratio.numerator, ratio.denominator, axis=1, padtype="line"
    )
    return resampled, ratio


def denoise_at(signals: Floats, fs: float, rate: float | None, method: Denoising) -> Floats:
    """Return signals denoised at another sampling rate than their own.

    Wavelet denoising removes everything above an eighth of the sampling rate: 45 Hz at 360 Hz, but
    16 Hz at 128 Hz, which is a part of the QRS complex.

    Args:
        signals: float64 [n_leads, n_samples].
        fs: Their sampling rate in hertz.
        rate: Sampling rate in hertz to denoise at; None is their own.
        method: As for :func:`~nasbench_ecg.signal.filtering.denoise`.

    Returns:
        float64 [n_leads, n_samples], at the rate ``fs``.

    Raises:
        OptionError: The rate is too low for the signals.
        RecordError: A lead has an infinite sample, or no valid one.
    """
    if method == "none" or rate is None or rate == fs:
        return denoise(signals, method)
    there, _ = resample(denoise(signals, "none"), fs, rate)
    back, _ = resample(denoise(there, method), rate, fs)
    return back[:, : signals.shape[1]]
