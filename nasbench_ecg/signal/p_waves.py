"""Whether a beat has a P wave: a logistic model of measures of the candidate and its neighbors.

In the search range of a P wave there is always some extremum. A P wave differs from it in that it
is larger than what lies between the beats, has the same shape and distance in the beats around it,
and precedes a beat that is neither premature nor of another form (ventricular).

The coefficients are those of a logistic regression on MIT-BIH: beats N, L and R in sinus rhythm
have a P wave, the same beats in atrial fibrillation and beats V have none. The 15 records that QT
has excerpts of, and the two paced ones, were left out. The threshold is the largest at which 97% of
the marked P waves of one half of QT's records are found. On the other half, 97.9% are found, and
40.9% of the beats without a marked P wave get one; before, it was 82.3%. On the 15 records 99.6% of
the beats in sinus rhythm keep their P wave, and 29.5% of the beats without one get one, before it
was 96.5%. The measures were chosen while looking at results on all of these records, so the figures
may be somewhat optimistic. ``benchmarks/delineation/presence.py`` makes and measures all of this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_BEATS = 5
"""Fewest beats of a record for which presence is decided; with fewer, every candidate counts."""

_NEIGHBORS = np.array([-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8])
_CHUNK = 2_000  # beats whose neighbors are in memory together
_REACH = 0.3  # seconds before the QRS complex, as in the search for P
_SMALL_MV = 0.003

COEFFICIENTS = {
    "prominence around": 1.248,
    "prominence of the mean": 1.867,
    "coherence": 0.5749,
    "noise": -2.325,
    "likeness": 1.485,
    "height": 0.6342,
    "deviation of PR": -0.8042,
    "spread of PR": -0.9257,
    "prematurity": 16.23,
    "irregularity": -0.4768,
    "excess width": -26.76,
    "width": 6.43,
    "relative height": -0.3381,
    "likeness of QRS": 4.38,
    "signal to noise": -2.285,
    "likeness around": 4.83,
}
"""Weight of each measure in the log-odds that a candidate is a P wave."""

INTERCEPT = -12.67

THRESHOLD = -3.191
"""Log-odds from which a P wave counts as present."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of P waves of the beats of a lead, and the signals that they lie in.

    Attributes:
        fs: Sampling rate in hertz.
        r: R peaks, int64 [n_beats].
        r_sign: -1.0 for negative complexes, else 1.0, float64 [n_beats].
        onset: First sample of each QRS complex, int64 [n_beats].
        offset: Last sample of each, int64 [n_beats].
        p: Candidates, float64 [n_beats]; NaN where there is no extremum.
        t: T peaks, likewise.
        t_sign: -1.0 for inverted T waves, else 1.0, float64 [n_beats].
        beat: The lead in the band of QRS complexes, float64 [n_samples], millivolts.
        band: The lead without its QRS complexes, in the band of P waves.
        low: The same, only without high frequencies.
    """

    fs: float
    r: Ints
    r_sign: Floats
    onset: Ints
    offset: Ints
    p: Floats
    t: Floats
    t_sign: Floats
    beat: Floats
    band: Floats
    low: Floats


def p_scores(found: Candidates) -> Floats:
    """Return the log-odds that each candidate is a P wave, float64 [n_beats]; NaN without one."""
    values = measures(found)
    weights = np.array(list(COEFFICIENTS.values()))
    return np.where(np.isnan(found.p), np.nan, values @ weights + INTERCEPT)


def measures(found: Candidates) -> Floats:
    """Return the measures of each beat that :data:`COEFFICIENTS` names, float64 [n_beats, 16]."""
    columns = {**_of_waves(found), **_of_beats(found)}
    return np.nan_to_num(np.stack([columns[name] for name in COEFFICIENTS], axis=1))


def _of_waves(found: Candidates) -> dict[str, Floats]:
    """Return the measures of the candidates: size, shape, and that of their neighbors."""
    fs, band, low = found.fs, found.band, found.low
    absent = np.isnan(found.p)
    place = np.where(absent, found.onset - int(0.1 * fs), found.p).astype(np.int64)
    place = np.clip(place, 0, len(band) - 1)
    sign = np.where(band[place] < 0, -1.0, 1.0)
    height = np.abs(band[place])

    first, width = found.onset - int(_REACH * fs), int(0.27 * fs)
    segments = _windows(band, first, width)
    template, distance = _neighbor_medians(segments, _range)
    around = _windows(band, place - int(0.07 * fs), 2 * int(0.07 * fs) + 1)
    own_template, _ = _neighbor_medians(around)
    mean, _ = _neighbor_medians(_windows(low, first, width + int(0.03 * fs)))

    noise = _noise(found, place)
    likeness = _correlation(segments, template)
    signed = _neighbors(sign * height)
    return {
        "prominence around": _log(_row_medians(_neighbors(_prominence(low, place, sign, fs)))),
        "prominence of the mean": _log(_largest_bump(mean)),
        "coherence": np.log((np.ptp(template, axis=1) + 1e-3) / (distance + 1e-3)),
        "noise": np.log(noise + 1e-3),
        "likeness": _correlation(around, own_template),
        "height": np.log(height + 1e-3),
        "relative height": np.log((height + 1e-3) / (np.abs(_row_medians(signed)) + 1e-3)),
        "signal to noise": np.log(
            (np.linalg.norm(template, axis=1) / np.sqrt(width) + 1e-3) / (noise + 1e-3)
        ),
        "likeness around": _row_medians(_neighbors(likeness)),
        **_of_intervals((found.onset - place) / fs),
    }


def _of_intervals(pr: Floats) -> dict[str, Floats]:
    """Return how much the distance from P to QRS differs from that of the neighbors, in seconds."""
    near = _neighbors(pr)
    usual = _row_medians(near)
    spread = _row_medians(np.abs(near - usual[:, None]))
    return {
        "deviation of PR": np.log(np.abs(pr - usual) + 0.008),
        "spread of PR": np.log(spread + 0.004),
    }


def _of_beats(found: Candidates) -> dict[str, Floats]:
    """Return the measures of the beats: rhythm, and width and shape of the QRS complex."""
    fs = found.fs
    rr = np.diff(found.r, prepend=found.r[:1] - int(fs)) / fs
    near = _neighbors(rr)
    usual = _row_medians(near)
    width = (found.offset - found.onset) / fs
    reach = int(0.08 * fs)
    shape = _windows(found.beat, found.r - reach, 2 * reach + 1)
    template, _ = _neighbor_medians(shape)
    steps = _row_medians(np.abs(np.diff(near, axis=1)))
    return {
        "prematurity": np.minimum(np.log(np.maximum(rr, 0.1) / usual), 0),
        "irregularity": np.log(steps / usual + 0.01),
        "excess width": width - _row_medians(_neighbors(width)),
        "width": width,
        "likeness of QRS": _correlation(shape, template),
    }


def _windows(y: Floats, first: Ints, width: int) -> Floats:
    values: Floats = y[np.clip(first[:, None] + np.arange(width), 0, len(y) - 1)]
    return values


def _row_medians(rows: Floats) -> Floats:
    """Return the medians over the second axis without NaN; NaN where there is nothing else."""
    empty = np.isnan(rows).all(axis=1)
    medians: Floats = np.nanmedian(np.where(np.expand_dims(empty, 1), 0.0, rows), axis=1)
    return np.where(empty, np.nan, medians)


def _neighbors(values: Floats) -> Floats:
    """Return the values of the 16 beats around each, [n_beats, 16]; NaN where there are none."""
    place = np.arange(len(values))[:, None] + _NEIGHBORS
    inside = (place >= 0) & (place < len(values))
    near: Floats = np.where(inside, values[np.clip(place, 0, len(values) - 1)], np.nan)
    return near


def _range(windows: Floats) -> Floats:
    spread: Floats = np.ptp(windows, axis=-1)
    return spread


def _neighbor_medians(
    windows: Floats, size: Callable[[Floats], Floats] | None = None
) -> tuple[Floats, Floats]:
    """Return the median of the windows around each beat, and the median of their ``size``."""
    n = len(windows)
    medians, sizes = np.empty_like(windows), np.empty(n)
    for start in range(0, n, _CHUNK):
        place = np.arange(start, min(start + _CHUNK, n))[:, None] + _NEIGHBORS
        inside = (place >= 0) & (place < n)
        near = np.where(inside[:, :, None], windows[np.clip(place, 0, n - 1)], np.nan)
        medians[start : start + len(place)] = _row_medians(near)
        if size is not None:
            sizes[start : start + len(place)] = _row_medians(size(near))
    return medians, sizes


def _correlation(a: Floats, b: Floats) -> Floats:
    """Return the cosine of each pair of rows."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine: Floats = (a * b).sum(axis=1) / (lengths + 1e-9)
    return cosine


def _log(millivolts: Floats) -> Floats:
    return np.log(np.maximum(millivolts, 0) + _SMALL_MV)


def _prominence(y: Floats, place: Ints, sign: Floats, fs: float) -> Floats:
    """Return how far each extremum stands out from 130 ms before it and 100 ms after it."""
    left, right = int(0.13 * fs), int(0.1 * fs)
    before = _windows(y, place - left, left + 1) * sign[:, None]
    after = _windows(y, place, right + 1) * sign[:, None]
    peak = y[place] * sign
    out: Floats = np.minimum(peak - before.min(axis=1), peak - after.min(axis=1))
    return out


def _largest_bump(rows: Floats) -> Floats:
    """Return the largest prominence in each row; an inverted extremum counts half."""
    largest = np.zeros(len(rows))
    for direction, factor in ((1.0, 1.0), (-1.0, 0.5)):
        y = direction * rows
        left = np.minimum.accumulate(y, axis=1)
        right = np.minimum.accumulate(y[:, ::-1], axis=1)[:, ::-1]
        bump = np.minimum(y - left, y - right).max(axis=1)
        largest = np.maximum(largest, factor * bump)
    return largest


def _noise(found: Candidates, place: Ints) -> Floats:
    """Return the RMS between the T wave before and the candidate: the median of the neighbors."""
    fs, band = found.fs, found.band
    after_t = np.append(np.nan, found.t[:-1]) + 0.12 * fs
    after_r = np.append(found.r[:1] - int(fs), found.r[:-1]) + 0.45 * fs
    start = np.where(np.isnan(after_t), after_r, after_t).astype(np.int64)
    stop = place - int(0.08 * fs)
    power = np.append(0.0, np.cumsum(band**2))
    ends = [power[np.clip(end, 0, len(band))] for end in (start, stop)]
    length = np.maximum(stop - start, 0)
    rms = np.sqrt(np.maximum(ends[1] - ends[0], 0.0) / np.maximum(length, 1))
    own = np.where(length >= int(0.06 * fs), rms, np.nan)
    near = _row_medians(np.column_stack([_neighbors(own), own]))
    usual = float(np.nanmedian(own)) if not np.isnan(own).all() else 0.02
    return np.where(np.isnan(near), usual, near)
