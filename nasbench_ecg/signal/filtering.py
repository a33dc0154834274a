"""Wavelet filters for whole records: denoising, and adaptive removal of baseline wander.

:func:`denoise` is what the waveform datasets use. :func:`adaptive_filter` also removes the
baseline wander, which delineation and amplitude features need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError

Floats = NDArray[np.float64]

Denoising = Literal["db5", "db6", "none"]
"""``db5``: remove noise; ``db6``: remove noise and baseline wander; ``none``: no filter."""

_LEVEL = 9
_N_ZEROED = 2  # finest details, which are noise


def bridge(signals: Floats) -> Floats:
    """Return ``signals`` with missing samples (NaN) interpolated linearly.

    Args:
        signals: float64 [..., n_samples]. They are returned unchanged if no sample is missing.

    Raises:
        RecordError: A lead has an infinite sample, or no sample that is not NaN.
    """
    if np.isfinite(signals).all():
        return signals
    infinite = np.argwhere(np.isinf(signals))
    if len(infinite):
        *_, sample = infinite[0]
        raise RecordError(
            f"The signal is infinite at sample {sample:,}.",
            where=_lead_of(infinite[0]),
            fix="Remove these values, or set them to NaN.",
        )
    bridged = np.array(signals, dtype=np.float64)
    for index in np.ndindex(bridged.shape[:-1]):
        lead = bridged[index]
        missing = np.isnan(lead)
        if missing.all():
            raise RecordError(
                "The signal has no valid sample.",
                where=_lead_of((*index, 0)),
                fix="Leave this lead out.",
            )
        valid = np.flatnonzero(~missing)
        lead[missing] = np.interp(np.flatnonzero(missing), valid, lead[valid])
    return bridged


def _lead_of(position: Sequence[int] | NDArray[np.int64]) -> str:
    return f"lead number {position[-2]}" if len(position) > 1 else ""


def denoise(signals: Floats, method: Denoising = "db5") -> Floats:
    """Return ``signals`` after wavelet denoising, each lead by its own noise level.

    The discrete wavelet transform has nine levels, or fewer for a short record. The two finest
    details are set to zero, the others are soft-thresholded with T = σ√(2 ln n), where
    σ = median|D1| / 0.6745 where the lead has samples. ``db5`` keeps the approximation; ``db6``
    sets it to zero, which removes everything below about 0.35 Hz at a sampling rate of 360 Hz.

    Args:
        signals: float64 [n_leads, n_samples], millivolts. Missing samples (NaN) are first
            interpolated linearly.
        method: ``db5``, ``db6`` or ``none``.

    Raises:
        RecordError: A lead has an infinite sample, or no valid one.

    References:
        Donoho & Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994
        (the threshold). The Heart-DARTS paper only states "wavelet transform".
    """
    missing = np.isnan(signals)
    signals = bridge(signals)
    if method == "none":
        return signals
    import pywt

    n_samples = signals.shape[-1]
    level = min(_LEVEL, pywt.dwt_max_level(n_samples, method))
    approximation, *details = pywt.wavedec(signals, method, level=level, axis=-1)
    if not details:
        return signals
    sizes = np.abs(details[-1])
    if missing.any():
        middles = 2 * np.arange(sizes.shape[-1]) + 1 - pywt.Wavelet(method).dec_len // 2
        bridged = missing[..., middles.clip(0, n_samples - 1)]
        sizes[bridged & ~bridged.all(axis=-1, keepdims=True)] = np.nan
        sigma = np.nanmedian(sizes, axis=-1, keepdims=True) / 0.6745
    else:
        sigma = _medians(sizes) / 0.6745
    threshold = sigma * np.sqrt(2 * np.log(n_samples))
    shrunk = [_soft_threshold(detail, threshold) for detail in details[:-_N_ZEROED]]
    if method == "db6":
        approximation = np.zeros_like(approximation)
    rebuilt = pywt.waverec([approximation, *shrunk], method, axis=-1)
    for zeroed in details[-_N_ZEROED:]:
        rebuilt = pywt.idwt(rebuilt[..., : zeroed.shape[-1]], None, method, axis=-1)
    denoised: Floats = rebuilt[..., :n_samples]
    return denoised


def _medians(values: Floats) -> Floats:
    """Return the median of each lead of [..., n_samples], [..., 1]; ``values`` are reordered.

    ``numpy.median`` looks for three elements at once, which takes several times as long.
    """
    middle = values.shape[-1] // 2
    values.partition(middle, axis=-1)
    upper: Floats = values[..., middle : middle + 1]
    if values.shape[-1] % 2 == 0:
        upper = (values[..., :middle].max(axis=-1, keepdims=True) + upper) / 2
    return upper


def _soft_threshold(values: Floats, threshold: Floats) -> Floats:
    # pywt.threshold divides by the values, so it returns NaN for a constant lead
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


_QRS_BAND_HZ = 40.0  # the primary input keeps at least this band: that of monitoring ECG
_WANDER_HZ = 0.75  # the reference input stays below this frequency: the slowest heart rate
_CHUNK = 8192  # samples solved at once: a few megabytes of band matrix


@dataclass(frozen=True)
class WaveletLevels:
    """The two levels of the wavelet decomposition that feed the adaptive filter.

    Attributes:
        primary: Approximation level of the primary input; 0 is the signal itself.
        reference: Approximation level of the reference input.
    """

    primary: int
    reference: int


def levels_for(fs: float) -> WaveletLevels:
    """Return the wavelet levels for a sampling rate of ``fs`` hertz.

    The approximation of level k contains 0 … fs / 2^(k+1) Hz. The primary level is the deepest that
    keeps 40 Hz (A2, 0–45 Hz, at 360 Hz; A1 at 250 and 257 Hz; the signal itself at 128 Hz). The
    reference level is the first below 0.75 Hz (A8 at 360, 250 and 257 Hz; A7 at 128 Hz).

    Raises:
        OptionError: The rate is below 80 Hz or not finite.
    """
    if not 2 * _QRS_BAND_HZ <= fs < np.inf:
        raise OptionError(
            f"The adaptive filter does not support {fs:g} Hz: "
            f"ECG waves contain up to {_QRS_BAND_HZ:g} Hz.",
            fix=f"Use records sampled at {2 * _QRS_BAND_HZ:g} Hz or more.",
        )
    return WaveletLevels(
        primary=int(np.floor(np.log2(fs / _QRS_BAND_HZ))) - 1,
        reference=int(np.ceil(np.log2(fs / _WANDER_HZ))) - 1,
    )


def adaptive_filter(
    signals: Floats,
    fs: float,
    *,
    wavelet: str = "db6",
    levels: WaveletLevels | None = None,
    step: float = 1e-3,
) -> Floats:
    """Return ``signals`` without high-frequency noise and without baseline wander.

    A wavelet decomposition gives the two inputs of an adaptive filter. The primary input is the
    approximation without the details of high-frequency noise. The reference input is the much
    deeper approximation that contains only baseline wander and motion. Normalized least mean
    squares removes from the primary input what follows the reference.

    Args:
        signals: float64 [n_leads, n_samples], millivolts; each lead is filtered on its own.
            Missing samples (NaN) are first interpolated linearly.
        fs: Sampling rate in hertz.
        wavelet: A discrete wavelet of PyWavelets.
        levels: Levels of the two inputs; None: those of :func:`levels_for`.
        step: Step size μ of normalized LMS, above 0 and below 2.

    Returns:
        float64 [n_leads, n_samples], millivolts, with the baseline at 0.

    Raises:
        RecordError: The record is too short for the wavelet levels; a lead has an infinite sample,
            or no valid one.
        OptionError: An argument is outside its range.

    References:
        Zhu et al., the IEMMC paper, section 2.1.1 (the arrangement of the filter).
        Widrow & Stearns, "Adaptive Signal Processing", 1985 (LMS and its normalized form).
    """
    levels = levels_for(fs) if levels is None else levels
    if not 0 <= levels.primary < levels.reference:
        raise OptionError(
            f"The wavelet levels {levels.primary} and {levels.reference} are not valid.",
            fix="The primary level must be 0 or more, and below the reference level.",
        )
    primary, reference = _approximations(bridge(np.atleast_2d(signals)), fs, wavelet, levels)
    return normalized_lms(primary, reference, step=step)


def _approximations(
    signals: Floats, fs: float, wavelet: str, levels: WaveletLevels
) -> tuple[Floats, Floats]:
    """Return the primary and the reference input, each [n_leads, n_samples]."""
    import pywt

    if wavelet not in pywt.wavelist(kind="discrete"):
        raise OptionError(
            f"There is no discrete wavelet {wavelet!r}.",
            fix="Use a wavelet of PyWavelets, for example db6, sym8 or bior6.8.",
        )
    n_samples = signals.shape[-1]
    if n_samples == 0 or pywt.dwt_max_level(n_samples, wavelet) < levels.reference:
        needed = (pywt.Wavelet(wavelet).dec_len - 1) * 2**levels.reference
        raise RecordError(
            f"The record is too short for {levels.reference} wavelet levels of {wavelet}: "
            f"it has {n_samples:,} samples.",
            where=f"{n_samples / fs:.1f} s at {fs:g} Hz",
            fix=f"Use records of {needed:,} samples ({needed / fs:.1f} s) or more.",
        )
    coefficients = pywt.wavedec(signals, wavelet, level=levels.reference, axis=-1)
    depths = range(levels.reference, 0, -1)
    details = list(zip(depths, coefficients[1:], strict=True))
    kept = [(depth, d if depth > levels.primary else 0 * d) for depth, d in details]
    inputs = [
        pywt.waverec([coefficients[0], *chosen], wavelet, axis=-1)[..., :n_samples]
        for chosen in ([d for _, d in kept], [0 * d for _, d in details])
    ]
    return inputs[0], inputs[1]


def normalized_lms(primary: Floats, reference: Floats, *, step: float) -> Floats:
    """Return the error output of a normalized LMS filter with one weight.

    With d the primary input, x the reference input and ε the mean power of x:
    e_n = d_n − w_n x_n and w_{n+1} = w_n + μ e_n x_n / (ε + x_n²). The weight starts at 1, because
    the primary input contains the reference unchanged.

    Written for all n at once, these equations are a lower triangular band system with e and w as
    the unknowns. LAPACK solves it by forward substitution: the arithmetic of a loop over samples,
    in compiled code.

    Args:
        primary: d, float64 [n_leads, n_samples].
        reference: x, the same shape.
        step: μ, above 0 and below 2.

    Returns:
        e, float64 [n_leads, n_samples].

    Raises:
        OptionError: ``step`` is outside its range.
    """
    if not 0 < step < 2:
        raise OptionError(
            f"The LMS step size {step:g} is not valid.", fix="Use a step above 0 and below 2."
        )
    pairs = zip(primary, reference, strict=True)
    return np.stack([_one_lead(d, x, step) for d, x in pairs])


def _one_lead(d: Floats, x: Floats, step: float) -> Floats:
    from scipy.linalg.lapack import dtbtrs

    power = x * x
    mean_power = power.mean()
    if mean_power == 0:
        return d.copy()
    gain = step / (mean_power + power)
    error = np.empty_like(d)
    w = 1.0
    for start in range(0, len(d), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(d)))
        right_side = np.zeros((part.stop - start, 2))
        right_side[:, 0] = d[part]
        right_side[0] = d[start] - x[start] * w, w
        solved, _ = dtbtrs(
            _band_matrix(x[part], gain[part]), right_side.reshape(-1, 1), uplo="L", diag="U"
        )
        unknowns = solved.reshape(-1, 2)
        error[part], w = unknowns[:, 0], unknowns[-1, 1]
    return error


def _band_matrix(x: Floats, gain: Floats) -> Floats:
    """Return the diagonals of the system, [3, 2 n_samples], the unit diagonal first.

    The unknowns of sample n are e_n and w_{n+1}.
    """
    band = np.zeros((len(x), 2, 3))
    band[:, 0, 1] = -gain * x
    band[:-1, 1, 1] = x[1:]
    band[:-1, 1, 2] = -1.0
    return band.reshape(-1, 3).T
