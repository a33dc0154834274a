"""Rhythm planes: the timing of a beat as constant extra leads of its window.

A window of one beat does not show whether the beat is early, and a network cannot measure the mean
interval of a record in it. A plane has one value over the whole window: the logarithm of a ratio of
RR intervals.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.records import Record

Rhythm = Literal["whole-record", "causal"]
"""``whole-record``: the mean RR of the whole record, which is fair for stored records; ``causal``:
only intervals that have ended at the beat."""

PLANES: dict[Rhythm, tuple[str, ...]] = {
    "whole-record": (
        "log RR before / mean",
        "log RR after / mean",
        "log RR before / RR before it",
        "log RR before / mean of last ten",
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

    In the form ``causal``, m is the mean of r_1 … r_i, and the second plane, which needs the next
    beat, is left out. A causal plane never depends on later beats.

    Where an interval does not exist, the ratio is 1 and the plane 0: the first beat has no interval
    before it, the second none before that, and the last none after it. An interval is at least one
    sample, because two annotations may be at the same sample.

    Args:
        beats: int64 [n_beats], sample index of every beat of the record, also of beats without a
            class. The order is arbitrary; intervals are between neighbors in time.
        form: ``whole-record`` or ``causal``.
    """
    order = np.argsort(beats, kind="stable")
    rr = np.maximum(np.diff(beats[order]), 1)
    n = np.arange(1, len(rr) + 1)
    total = np.concatenate([[0], np.cumsum(rr)])
    mean_of_last = (total[n] - total[np.maximum(n - _LAST, 0)]) / np.minimum(n, _LAST)

    values = np.zeros((len(beats), len(PLANES[form])))
    if form == "whole-record":
        mean = total[-1:] / max(len(rr), 1)
        values[1:, 0] = _log_ratio(rr, mean)
        values[:-1, 1] = _log_ratio(rr, mean)
    else:
        values[1:, 0] = _log_ratio(rr, total[n] / n)
    values[2:, -2] = _log_ratio(rr[1:], rr[:-1])
    values[1:, -1] = _log_ratio(rr, mean_of_last)

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


def _log_ratio(interval: NDArray[np.int64], reference: Ints | Floats) -> Floats:
    ratio: Floats = np.log(np.clip(interval / reference, SMALLEST_RATIO, LARGEST_RATIO))
    return ratio
