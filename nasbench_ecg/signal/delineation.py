"""Delineation: the positions of the P, Q, R, S and T waves of each beat in one lead.

All beats of a record are processed together, as windows of one array. The result has one row per
beat; a wave that is absent is NaN.

References:
    The IEMMC paper, section 2.1.2: Q and S are the turning points within 0.1 s of R, P is the
    highest point within 0.16 s before the QRS complex, T the highest between it and the next P.
    We differ in four points, each measured on the QT database: P and T are searched in a signal
    without its QRS complexes, P up to 0.3 s before the complex, both may be inverted, and whether
    there is a P wave is decided by :mod:`nasbench_ecg.signal.p_waves`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.p_waves import MIN_BEATS, THRESHOLD, Candidates, p_scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_R_BAND_HZ = (1.0, 40.0)
_P_BAND_HZ = (3.0, 15.0)
_T_BAND_HZ = (0.7, 8.0)
_R_REACH = 0.1  # seconds around a given beat in which its R peak is searched
_NEGATIVE_R = 1.5  # a complex is negative if its trough is this many times its peak
_EDGE = 0.08  # share of the steepest slope below which the QRS complex ends
_P_REACH = 0.3  # seconds before the QRS complex
_P_GAP = 0.03  # minimum seconds between a P peak and the QRS complex
_P_UPRIGHT = 4.0  # an inverted P wave must be this many times larger to be selected
_T_REACH = (0.55, 0.6)  # seconds after R; share of the interval to the next beat
_T_UPRIGHT = 1.5
_MIN_HEIGHT = 0.01  # millivolts: smaller extrema are not waves
_ONSET = 0.2  # height at the onset of a T wave, as a share of its peak


@dataclass(frozen=True, eq=False)
class Waves:
    """The waves of the beats of one lead.

    All positions are sample indices, float64 [n_beats], NaN where the wave is absent.

    Attributes:
        r: R peak, or the trough of a negative complex. NaN only where ``usable`` is False.
        q: The deepest turning point up to 0.1 s before R.
        s: The deepest turning point up to 0.1 s after R.
        p: Peak of the P wave.
        t: Peak of the T wave.
        t_onset: Onset of the T wave.
        baseline: Level between the P wave and the QRS complex, float64 [n_beats], millivolts.
        usable: bool [n_beats], False where the lead is flat or saturated around the beat.
    """

    r: Floats
    q: Floats
    s: Floats
    p: Floats
    t: Floats
    t_onset: Floats
    baseline: Floats
    usable: NDArray[np.bool_]


def flat_mask(signals: Floats, fs: float, seconds: float = 0.2) -> NDArray[np.bool_]:
    """Return bool [n_leads, n_samples], True where a lead is constant: flat or saturated.

    Args:
        signals: float64 [n_leads, n_samples], unfiltered.
        fs: Sampling rate in hertz.
        seconds: Minimum duration of a constant stretch; longer than the plateau of any wave.
    """
    marks = np.zeros(signals.shape, dtype=bool)
    shortest = max(int(seconds * fs), 2)
    for lead, mark in zip(signals, marks, strict=True):
        if not _may_be_constant(lead, shortest):
            continue
        starts = np.flatnonzero(np.insert(np.diff(lead) != 0, 0, True))
        lengths = np.diff(np.append(starts, len(lead)))
        mark[:] = np.repeat(lengths >= shortest, lengths)
    return marks


def _may_be_constant(lead: Floats, shortest: int) -> bool:
    """Return whether a constant stretch of ``shortest`` samples is possible; False is certain.

    Such a stretch contains two neighbors of every ``shortest // 2`` th sample, and all between.
    """
    step = shortest // 2
    every = lead[::step]
    equal = np.flatnonzero(every[1:] == every[:-1]) * step
    return any((lead[at : at + step] == lead[at]).all() for at in equal)


def delineate(
    lead: Floats,
    fs: float,
    beats: Ints,
    *,
    flat: NDArray[np.bool_] | None = None,
    check_p: bool = True,
) -> Waves:
    """Return the waves of the beats of one lead.

    Args:
        lead: float64 [n_samples], millivolts, filtered (:func:`adaptive_filter`).
        fs: Sampling rate in hertz.
        beats: int64 [n_beats], ascending: one sample within each QRS complex, from
            :func:`detect_qrs` or from annotations.
        flat: bool [n_samples], unusable samples, as returned by :func:`flat_mask`.
        check_p: Whether the largest extremum before a QRS complex has to be like a P wave to be
            one (:mod:`nasbench_ecg.signal.p_waves`); if False, any extremum is one.

    Raises:
        OptionError: ``beats`` are not ascending, or outside the record.
    """
    n_samples = len(lead)
    if len(beats) and (beats[0] < 0 or beats[-1] >= n_samples or np.any(np.diff(beats) < 0)):
        raise OptionError(
            "The beats to delineate are not in ascending order, or are outside the record.",
            where=f"{len(beats):,} beats, {n_samples:,} samples",
            fix="Sort the beats, and remove those outside the record.",
        )
    if not len(beats) or n_samples < fs:
        return _no_waves(len(beats))
    found = candidates(lead, fs, beats)
    r, onset, offset, t = found.r, found.onset, found.offset, found.t
    smooth, sign = found.beat, found.r_sign
    p = found.p
    if check_p and len(beats) >= MIN_BEATS:
        p = np.where(p_scores(found) >= THRESHOLD, p, np.nan)
    reach = int(0.1 * fs)
    q = _turning_point(smooth, sign, r - reach, r)
    s = _turning_point(smooth, sign, r + 1, r + reach + 1)
    usable = np.ones(len(beats), dtype=bool) if flat is None else ~_near_flat(flat, r, fs)
    ended = np.fmax(offset, s).astype(np.int64)

    def if_usable(values: Floats) -> Floats:
        return np.where(usable, values, np.nan)

    return Waves(
        r=if_usable(r.astype(np.float64)),
        q=if_usable(q),
        s=if_usable(s),
        p=if_usable(p),
        t=if_usable(t),
        t_onset=if_usable(_t_onset(found.low, t, found.t_sign, ended, fs)),
        baseline=if_usable(_baseline(lead, onset, fs)),
        usable=usable,
    )


def candidates(lead: Floats, fs: float, beats: Ints) -> Candidates:
    """Return the R and T peaks of the beats of a lead, and the extrema that may be P waves.

    Args:
        lead: As for :func:`delineate`.
        fs: Likewise.
        beats: Likewise, at least one, in a lead of at least one second.
    """
    smooth = _band(lead, fs, _R_BAND_HZ)
    r, r_sign = _r_peaks(smooth, fs, beats)
    onset, offset = _qrs_bounds(lead, fs, r)
    before = np.diff(r, prepend=r[:1] - int(fs))
    after = np.diff(r, append=r[-1:] + int(fs))
    rest = _without_qrs(lead, onset, offset)
    low, band = _low(rest, fs, 20.0), _band(rest, fs, _P_BAND_HZ)

    first = np.maximum(onset - int(_P_REACH * fs), r - (0.45 * before).astype(np.int64))
    p, p_sign = _wave(band, first, onset - int(_P_GAP * fs), _P_UPRIGHT)
    last = r + np.minimum(_T_REACH[0] * fs, _T_REACH[1] * after).astype(np.int64)
    t, t_sign = _wave(_band(rest, fs, _T_BAND_HZ), offset + int(0.02 * fs), last, _T_UPRIGHT)
    return Candidates(
        fs=fs,
        r=r,
        r_sign=r_sign,
        onset=onset,
        offset=offset,
        p=_snap(p, p_sign, low, int(0.02 * fs)),
        t=_snap(t, t_sign, _low(rest, fs, 15.0), int(0.04 * fs)),
        t_sign=t_sign,
        beat=smooth,
        band=band,
        low=low,
    )


def _no_waves(n_beats: int) -> Waves:
    missing = np.full(n_beats, np.nan)
    unusable = np.zeros(n_beats, dtype=bool)
    return Waves(missing, missing, missing, missing, missing, missing, missing, unusable)


def _band(y: Floats, fs: float, hertz: tuple[float, float]) -> Floats:
    from scipy.signal import butter, sosfiltfilt

    high = min(hertz[1], 0.45 * fs)
    out: Floats = sosfiltfilt(butter(2, (hertz[0], high), "bandpass", fs=fs, output="sos"), y)
    return out


def _low(y: Floats, fs: float, hertz: float) -> Floats:
    from scipy.signal import butter, sosfiltfilt

    out: Floats = sosfiltfilt(butter(2, min(hertz, 0.45 * fs), fs=fs, output="sos"), y)
    return out


def _windows(y: Floats, first: Ints, width: int) -> Floats:
    """Return windows [n_beats, width] that start at ``first``; the ends of ``y`` are repeated."""
    values: Floats = y[np.clip(first[:, None] + np.arange(width), 0, len(y) - 1)]
    return values


def _r_peaks(smooth: Floats, fs: float, beats: Ints) -> tuple[Ints, Floats]:
    """Return the R peak of each beat, and its sign: -1.0 for negative complexes, else 1.0."""
    reach = int(_R_REACH * fs)
    near = _windows(smooth, beats - reach, 2 * reach + 1)
    peak, trough = near.max(axis=1), -near.min(axis=1)
    sign = np.where(trough > _NEGATIVE_R * peak, -1.0, 1.0)
    r = beats - reach + (near * sign[:, None]).argmax(axis=1)
    return np.maximum.accumulate(np.clip(r, 0, len(smooth) - 1)), sign


def _qrs_bounds(lead: Floats, fs: float, r: Ints) -> tuple[Ints, Ints]:
    """Return the first and last sample of each QRS complex, where the slope becomes small."""
    from scipy.ndimage import uniform_filter1d

    slope = np.abs(np.gradient(_low(lead, fs, 40.0)))
    slope = uniform_filter1d(slope, max(int(0.02 * fs), 1))
    before, after, core = int(0.14 * fs), int(0.18 * fs), int(0.05 * fs)
    near = _windows(slope, r - before, before + after + 1)
    steepest = near[:, before - core : before + core + 1].max(axis=1, keepdims=True)
    calm = near < _EDGE * steepest
    inner = int(0.03 * fs)
    left = calm[:, before - inner :: -1]
    right = calm[:, before + inner :]
    onset = np.where(left.any(axis=1), r - inner - left.argmax(axis=1), r - before)
    offset = np.where(right.any(axis=1), r + inner + right.argmax(axis=1), r + after)
    return onset, offset


def _without_qrs(lead: Floats, onset: Ints, offset: Ints) -> Floats:
    """Return the lead with its QRS complexes replaced by straight lines."""
    n = len(lead)
    steps = np.zeros(n + 1, dtype=np.int64)
    np.add.at(steps, np.clip(onset, 0, n), 1)
    np.add.at(steps, np.clip(offset, 0, n), -1)
    kept = np.flatnonzero(np.cumsum(steps[:-1]) == 0)
    return np.interp(np.arange(n), kept, lead[kept]) if len(kept) else np.zeros_like(lead)


def _extrema(y: Floats, first: Ints, stop: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Return windows [n_beats, width] of ``y``, and a mask of their local maxima."""
    width = max(int((stop - first).max()), 1)
    near = _windows(y, first - 1, width + 2)
    place = first[:, None] + np.arange(width)
    inside = (place < stop[:, None]) & (place > 0) & (place < len(y) - 1)
    middle = near[:, 1:-1]
    return middle, inside & (middle >= near[:, :-2]) & (middle > near[:, 2:])


def _wave(y: Floats, first: Ints, stop: Ints, upright: float) -> tuple[Floats, Floats]:
    """Return the largest local extremum in [first, stop), and its sign.

    The height of a maximum counts ``upright`` times. Extrema below a minimum height are ignored.
    """
    best = np.full(len(first), -np.inf)
    where, sign = np.full(len(first), np.nan), np.ones(len(first))
    rows = np.arange(len(first))
    for direction, factor in ((1.0, upright), (-1.0, 1.0)):
        height, is_peak = _extrema(direction * y, first, stop)
        score = np.where(is_peak & (height > _MIN_HEIGHT), factor * height, -np.inf)
        k = score.argmax(axis=1)
        better = score[rows, k] > best
        best = np.where(better, score[rows, k], best)
        where = np.where(better, first + k, where)
        sign = np.where(better, direction, sign)
    return where, sign


def _snap(position: Floats, sign: Floats, y: Floats, reach: int) -> Floats:
    """Move each position to the highest (sign 1) or lowest (-1) sample of ``y`` in ``reach``."""
    present = ~np.isnan(position)
    first = position[present].astype(np.int64) - reach
    near = _windows(y, first, 2 * reach + 1) * sign[present, None]
    moved = position.copy()
    moved[present] = np.clip(first + near.argmax(axis=1), 0, len(y) - 1)
    return moved


def _turning_point(y: Floats, sign: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the deepest turning point in [first, stop), opposite to the ``sign`` of R."""
    depth = np.full((2, len(first)), np.nan)
    for row, direction in enumerate((-1.0, 1.0)):
        height, is_peak = _extrema(direction * y, first, stop)
        score = np.where(is_peak, height, -np.inf)
        depth[row] = np.where(is_peak.any(axis=1), first + score.argmax(axis=1), np.nan)
    deepest: Floats = np.where(sign > 0, depth[0], depth[1])
    return deepest


def _t_onset(y: Floats, t: Floats, sign: Floats, offset: Ints, fs: float) -> Floats:
    """Return where each T wave first exceeds a share of its height over the preceding minimum."""
    present = np.flatnonzero(~np.isnan(t))
    onset = np.full(len(t), np.nan)
    if not len(present):
        return onset
    peak = t[present].astype(np.int64)
    width = int(0.3 * fs)
    place = peak[:, None] - np.arange(width)
    near = y[np.clip(place, 0, len(y) - 1)] * sign[present, None]
    inside = place >= np.minimum(offset[present], peak - 1)[:, None]
    foot = np.where(inside, near, np.inf).min(axis=1, keepdims=True)
    below = inside & (near <= foot + _ONSET * (near[:, :1] - foot))
    found = below.any(axis=1)
    onset[present[found]] = (peak - below.argmax(axis=1))[found]
    return onset


def _baseline(lead: Floats, onset: Ints, fs: float) -> Floats:
    """Return the median of the last 20 ms before each QRS complex."""
    width = max(int(0.02 * fs), 1)
    level: Floats = np.median(_windows(lead, onset - width, width + 1), axis=1)
    return level


def _near_flat(flat: NDArray[np.bool_], r: Ints, fs: float) -> NDArray[np.bool_]:
    """Return whether any sample from 0.2 s before R to 0.4 s after it is flat."""
    total = np.concatenate([[0], np.cumsum(flat)])
    first = np.clip(r - int(0.2 * fs), 0, len(flat))
    last = np.clip(r + int(0.4 * fs), 0, len(flat))
    return np.asarray(total[last] > total[first])
