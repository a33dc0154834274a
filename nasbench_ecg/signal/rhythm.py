"""Rhythm planes: the timing of a beat as constant extra leads of its window.

A window of one beat does not show whether the beat is early, and a network cannot measure the mean
interval of a record in it. A plane has one value over the whole window: the logarithm of a ratio of
RR intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.records import Record

Rhythm = Literal["whole-record", "local", "causal"]
"""``whole-record``: the mean RR of the whole record, which is fair for stored records; ``local``:
also the median and the changes of the RR around the beat; ``causal``: only intervals that have
ended at the beat."""

_OF_THE_RECORD = (
    "log RR before / mean",
    "log RR after / mean",
    "log RR before / RR before it",
    "log RR before / mean of last ten",
)

PLANES: dict[Rhythm, tuple[str, ...]] = {
    "whole-record": _OF_THE_RECORD,
    "local": (
        *_OF_THE_RECORD,
        "log RR before / local median",
        "log RR after / local median",
        "log local change / 0.1",
    ),
    "causal": (
        "log RR before / mean so far",
        "log RR before / RR before it",
        "log RR before / mean of last ten",
    ),
}
"""Names of the planes of each form, in order."""

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""PhysioNet's symbols of beats: those of :data:`SYMBOLS`, and ``B``, ``r``, ``n`` and ``?``.

References:
    PhysioNet, "PhysioBank annotations", https://archive.physionet.org/physiobank/annotations.shtml
"""

SMALLEST_RATIO, LARGEST_RATIO = 0.1, 10.0
"""Ratios are clipped to this range before the logarithm."""

_LAST = 10

_AROUND = 10
"""Local planes use the interval before a beat, and so many before and after this one."""

_USUAL_CHANGE = 0.1
"""Relative change from one RR to the next: less in sinus rhythm, more in atrial fibrillation."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rhythm_planes(beats: Ints, form: Rhythm) -> Floats:
    """Return the values of the rhythm planes of each beat, float64 [n_beats, n_planes].

    With r_i the interval from beat i − 1 to beat i, and log* the natural logarithm of a ratio
    clipped to 0.1 … 10, the planes of beat i in the form ``whole-record`` are

    - log*(r_i / m), with m the mean of all intervals of the record,
    - log*(r_{i+1} / m),
    - log*(r_i / r_{i−1}),
    - log*(r_i / mean(r_{i−9} … r_i)), with fewer intervals at the start of the record.

    The form ``local`` has these, and from r_{i−10} … r_{i+10}, as far as they exist,

    - log*(r_i / their median),
    - log*(r_{i+1} / their median),
    - log*(their mean |log*(r_k / r_{k−1})| / 0.1): how irregular the rhythm is.

    In the form ``causal``, m is the mean of r_1 … r_i, and the second plane, which needs the next
    beat, is left out. A causal plane never depends on later beats.

    Where an interval does not exist, the ratio is 1 and the plane 0: the first beat has no interval
    before it, the second none before that, and the last none after it. An interval is at least one
    sample, because two annotations may be at the same sample.

    Args:
        beats: int64 [n_beats], sample index of every beat of the record, also of beats without a
            class. The order is arbitrary; intervals are between neighbors in time.
        form: ``whole-record``, ``local`` or ``causal``.
    """
    order = np.argsort(beats, kind="stable")
    rr = np.maximum(np.diff(beats[order]), 1)
    n = np.arange(1, len(rr) + 1)
    total = np.concatenate([[0], np.cumsum(rr)])
    mean_of_last = (total[n] - total[np.maximum(n - _LAST, 0)]) / np.minimum(n, _LAST)

    columns: dict[str, Floats] = {name: np.zeros(len(beats)) for name in PLANES[form]}
    if form == "causal":
        columns["log RR before / mean so far"][1:] = _log_ratio(rr, total[n] / n)
    else:
        mean = total[-1:] / max(len(rr), 1)
        columns["log RR before / mean"][1:] = _log_ratio(rr, mean)
        columns["log RR after / mean"][:-1] = _log_ratio(rr, mean)
    columns["log RR before / RR before it"][2:] = _log_ratio(rr[1:], rr[:-1])
    columns["log RR before / mean of last ten"][1:] = _log_ratio(rr, mean_of_last)
    if form == "local" and len(rr):
        columns |= _local_planes(rr)
    values = np.stack(list(columns.values()), axis=1)

    planes = np.empty_like(values)
    planes[order] = values
    return planes


def record_planes(record: Record, form: Rhythm) -> Floats:
    """Return :func:`rhythm_planes` of a record, float64 [n_annotations, n_planes].

    All beats of :data:`BEAT_SYMBOLS` count. Other annotations are NaN. These include ``!``, a wave
    of ventricular flutter, so one interval may span an episode of flutter.
    """
    is_beat = np.isin(record.symbols, list(BEAT_SYMBOLS))
    planes = np.full((len(record.symbols), len(PLANES[form])), np.nan)
    planes[is_beat] = rhythm_planes(record.samples[is_beat], form)
    return planes


def _local_planes(rr: Ints) -> dict[str, Floats]:
    """Return the planes of the intervals around each beat, by name, [n_intervals + 1]."""
    before = np.concatenate([[np.nan], rr])  # the interval that ends at each beat
    median = _around(before, np.nanmedian)
    changes = np.full(len(before), np.nan)
    changes[2:] = np.abs(_log_ratio(rr[1:], rr[:-1]))
    planes = {name: np.zeros(len(before)) for name in PLANES["local"][-3:]}
    ratio_before, ratio_after, irregularity = planes.values()
    ratio_before[1:] = _log_ratio(rr, median[1:])
    ratio_after[:-1] = _log_ratio(rr, median[:-1])
    if len(rr) > 1:
        change = _around(changes, np.nanmean)
        known = np.isfinite(change)
        irregularity[known] = _log_ratio(change[known], np.array(_USUAL_CHANGE))
    return planes


def _around(values: Floats, reduce: Callable[..., Any]) -> Floats:
    """Return a reduction of the values around each one; NaN where all of them are NaN."""
    padded = np.pad(values, _AROUND, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
    known = np.isfinite(windows).any(axis=1)
    found = np.full(len(values), np.nan)
    found[known] = reduce(windows[known], axis=1)
    return found


def _log_ratio(interval: Ints | Floats, reference: Ints | Floats) -> Floats:
    ratio: Floats = np.log(np.clip(interval / reference, SMALLEST_RATIO, LARGEST_RATIO))
    return ratio
