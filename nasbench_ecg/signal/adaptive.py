"""The wavelet-based adaptive filter: noise and baseline wander off, the waves left in place.

A wavelet decomposition gives the two inputs of an adaptive filter. The primary input is the
approximation that is left when the details of high-frequency noise are removed; the reference is
the much deeper approximation that holds only baseline wander and motion. Least mean squares takes
out of the first what follows the second.

References:
    Zhu et al., the IEMMC paper, section 2.1.1 (the arrangement).
    Widrow & Stearns, "Adaptive Signal Processing", 1985 (LMS and its normalised form).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError

Floats = NDArray[np.float64]

_KEPT_HZ = 40.0  # what the primary input holds at least: the band of monitoring ECG
_WANDER_HZ = 0.75  # what the reference holds at most: above it lies the slowest heart rate
_CHUNK = 8192  # samples solved at once: a few megabytes of band matrix


@dataclass(frozen=True)
class Levels:
    """The two depths of the wavelet decomposition.

    Attributes:
        primary: Approximation level of the primary input; 0 is the signal itself.
        reference: Approximation level of the reference input.
    """

    primary: int
    reference: int


def levels_for(fs: float) -> Levels:
    """Return the levels for a sampling rate.

    The approximation of level k holds 0 … fs / 2^(k+1). The primary level is the deepest that
    keeps 40 Hz (A2, 0–45 Hz, at 360 Hz; A1 at 250 and 257 Hz; the signal itself at 128 Hz), the
    reference level the first below 0.75 Hz (A8 at 360 Hz, A8 at 250 and 257 Hz, A7 at 128 Hz).

    Raises:
        OptionError: The rate is below 80 Hz or not a number.
    """
    if not 2 * _KEPT_HZ <= fs < np.inf:
        raise OptionError(
            f"The signal chain does not work at {fs:g} Hz: the waves reach up to {_KEPT_HZ:g} Hz.",
            fix=f"Take records sampled at {2 * _KEPT_HZ:g} Hz or faster.",
        )
    return Levels(
        primary=int(np.floor(np.log2(fs / _KEPT_HZ))) - 1,
        reference=int(np.ceil(np.log2(fs / _WANDER_HZ))) - 1,
    )


def adaptive_filter(
    signals: Floats,
    fs: float,
    *,
    wavelet: str = "db6",
    levels: Levels | None = None,
    taps: int = 1,
    step: float = 1e-3,
) -> Floats:
    """Return ``signals`` without high-frequency noise and without baseline wander.

    Args:
        signals: float64 [n_leads, n_samples], millivolts; each lead is filtered on its own.
        fs: Sampling rate in hertz.
        wavelet: A discrete wavelet of PyWavelets.
        levels: Depths of the two inputs; None: :func:`levels_for` the rate.
        taps: Weights of the adaptive filter.
        step: Step size μ of normalised LMS, above 0 and below 2.

    Returns:
        float64 [n_leads, n_samples], millivolts, its baseline at 0.

    Raises:
        RecordError: The record is too short for the wavelet levels.
        OptionError: An argument is outside its range.
    """
    levels = levels_for(fs) if levels is None else levels
    if not 0 <= levels.primary < levels.reference:
        raise OptionError(f"Wavelet levels {levels.primary} and {levels.reference} do not fit.")
    primary, reference = _approximations(np.atleast_2d(signals), fs, wavelet, levels)
    return normalised_lms(primary, reference, taps=taps, step=step)


def normalised_lms(primary: Floats, reference: Floats, *, taps: int, step: float) -> Floats:
    """Return the error output of a normalised LMS filter.

    With x_n the last ``taps`` reference samples, ε the reference's mean power times ``taps``, and
    weights that start at (1, 0, …, 0), since the primary input holds the reference as it is:
    e_n = d_n − w_n·x_n and w_{n+1} = w_n + μ e_n x_n / (ε + ‖x_n‖²).

    Written for all n at once these equations are a lower triangular system whose band is
    ``taps + 1`` wide, with e and w as the unknowns. LAPACK solves it by forward substitution,
    which does the same arithmetic as a loop over samples, in compiled code.

    Args:
        primary: d, float64 [n_leads, n_samples].
        reference: x, the same shape.
        taps: Number of weights, 1 or more.
        step: μ, above 0 and below 2.

    Returns:
        e, float64 [n_leads, n_samples].

    Raises:
        OptionError: ``taps`` or ``step`` is outside its range.
    """
    if taps < 1 or not 0 < step < 2:
        raise OptionError(
            f"LMS cannot run with {taps} taps and a step of {step:g}.",
            fix="Take 1 tap or more, and a step above 0 and below 2.",
        )
    pairs = zip(primary, reference, strict=True)
    return np.stack([_one_lead(d, x, taps, step) for d, x in pairs])


def _one_lead(d: Floats, x: Floats, taps: int, step: float) -> Floats:
    from scipy.linalg.lapack import dtbtrs

    padded = np.concatenate([np.zeros(taps - 1), x])
    history = np.lib.stride_tricks.sliding_window_view(padded, taps)[:, ::-1]
    power = np.einsum("ij,ij->i", history, history)
    floor = power.mean()
    if floor == 0:
        return d.copy()
    gain = step / (floor + power)
    error = np.empty_like(d)
    w = np.eye(taps)[0]
    for start in range(0, len(d), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(d)))
        rhs = np.zeros((part.stop - start, taps + 1))
        rhs[:, 0] = d[part]
        rhs[0, 0] -= history[start] @ w
        rhs[0, 1:] = w
        band = _band(history[part], gain[part])
        solved, _ = dtbtrs(band, rhs.reshape(-1, 1), uplo="L", diag="U")
        unknowns = solved.reshape(-1, taps + 1)
        error[part], w = unknowns[:, 0], unknowns[-1, 1:].copy()
    return error


def _band(history: Floats, gain: Floats) -> Floats:
    """Return the system's lower band, [taps + 2, n_samples · (taps + 1)]: a row is a diagonal.

    The unknowns of sample n are e_n and then w_{n+1}; the unit diagonal is implied.
    """
    n_samples, taps = history.shape
    band = np.zeros((n_samples, taps + 1, taps + 2))
    band[:, 0, 1 : taps + 1] = -gain[:, None] * history
    for i in range(taps):
        band[:-1, 1 + i, taps - i] = history[1:, i]
        band[:-1, 1 + i, taps + 1] = -1.0
    return band.reshape(-1, taps + 2).T


def _approximations(
    signals: Floats, fs: float, wavelet: str, levels: Levels
) -> tuple[Floats, Floats]:
    import pywt

    if wavelet not in pywt.wavelist(kind="discrete"):
        raise OptionError(
            f"There is no discrete wavelet {wavelet!r}.", fix="For example db6, sym8 or bior6.8."
        )
    n_samples = signals.shape[-1]
    if n_samples == 0 or pywt.dwt_max_level(n_samples, wavelet) < levels.reference:
        needed = (pywt.Wavelet(wavelet).dec_len - 1) * 2**levels.reference
        raise RecordError(
            f"The record is too short for {levels.reference} wavelet levels of {wavelet}: "
            f"it has {n_samples:,} samples.",
            where=f"{n_samples / fs:.1f} s at {fs:g} Hz",
            fix=f"Take records of {needed:,} samples ({needed / fs:.1f} s) or more.",
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
