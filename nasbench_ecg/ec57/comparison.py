"""Pair the beats of two annotations, and count the pairs by class.

Each beat of the reference is paired with the closest beat of the test within 150 ms. A beat without
a partner is paired with ``O`` (no beat), or with ``X`` where the other annotation was shut down: it
marks both signals as unreadable there. Test beats while the reference marks ventricular flutter or
fibrillation are not counted.

References:
    ANSI/AAMI EC57:1998, "Testing and Reporting Performance Results of Cardiac Rhythm and ST Segment
    Measurement Algorithms", section 4.3.2; ``bxb`` of the WFDB applications implements it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.aami import AAMI_SYMBOLS, CLASSES
from nasbench_ecg.signal.annotations import Annotations

MISSING, SHUT_DOWN = "O", "X"
"""No beat; no beat because the annotation was shut down."""

LABELS = (*CLASSES, MISSING, SHUT_DOWN)
"""Rows and columns of a comparison."""

LEARNING_SECONDS = 300.0
MATCH_SECONDS = 0.15

_NOISE, _UNREADABLE, _FLUTTER_START, _FLUTTER_END = "~", 0x30, "[", "]"

Spans = tuple[tuple[int, int], ...]
"""Periods as first and last sample."""


@dataclass(frozen=True)
class BeatTrain:
    """The beats of one annotation, and the periods that matter for a comparison.

    Attributes:
        samples: int64 [n_beats], in order of time.
        labels: Class of each beat, one of N, S, V, F and Q.
        flutter: Periods of ventricular flutter or fibrillation. They hold no beats.
        shutdown: Periods in which both signals are marked as unreadable.
    """

    samples: NDArray[np.int64]
    labels: tuple[str, ...]
    flutter: Spans
    shutdown: Spans


@dataclass(frozen=True, eq=False)
class Comparison:
    """The pairs of one record.

    Attributes:
        record: Name of the record.
        counts: int64 [7, 7], pairs by label of the reference (rows) and of the test (columns), in
            the order of :data:`LABELS`.
        shutdown_seconds: Duration of the test's shutdown in the compared period.
    """

    record: str
    counts: NDArray[np.int64]
    shutdown_seconds: float = 0.0


def beat_train(
    annotations: Annotations,
    *,
    window: int,
    end: int,
    classes: Mapping[str, str] = AAMI_SYMBOLS,
) -> BeatTrain:
    """Return the beats of an annotation, with its periods of flutter and of shutdown.

    A shutdown begins at a noise mark (``~``) that calls both signals unreadable (bits 4 and 5 of
    its subtype) and ends at the next noise mark. Without one, as in the AHA database, it lasts from
    ``window`` after the last beat or end of flutter to ``window`` before the next annotation.

    Args:
        annotations: The annotations.
        window: The match window, in samples.
        end: Last sample of the record, where open periods end.
        classes: AAMI class of each beat symbol; other symbols are no beats.
    """
    samples: list[int] = []
    labels: list[str] = []
    flutter: list[tuple[int, int]] = []
    shutdown: list[tuple[int, int]] = []
    flutter_start = None
    marks = list(
        zip(
            annotations.samples.tolist(),
            annotations.symbols.tolist(),
            annotations.subtypes.tolist(),
            strict=True,
        )
    )
    for i, (sample, symbol, subtype) in enumerate(marks):
        if flutter_start is not None:
            if symbol == _FLUTTER_END:
                flutter.append((flutter_start, sample))
                flutter_start = None
        elif symbol == _FLUTTER_START:
            flutter_start = sample
        elif symbol == _NOISE and subtype & _UNREADABLE == _UNREADABLE:
            following = marks[i + 1] if i + 1 < len(marks) else None
            if following is None:
                shutdown.append((sample, end))
            elif following[1] == _NOISE and following[2] & _UNREADABLE != _UNREADABLE:
                shutdown.append((sample, following[0]))
            else:
                before = max([*samples[-1:], *(stop for _, stop in flutter[-1:])], default=-window)
                stop = following[0] - window
                shutdown.append((min(before + window, stop), stop))
        elif symbol in classes:
            samples.append(sample)
            labels.append(classes[symbol])
    if flutter_start is not None:
        flutter.append((flutter_start, end))
    return BeatTrain(
        np.asarray(samples, dtype=np.int64), tuple(labels), tuple(flutter), tuple(shutdown)
    )


def compare(
    record: str,
    reference: Annotations,
    test: Annotations,
    *,
    fs: float,
    n_samples: int,
    learning: float = LEARNING_SECONDS,
    match: float = MATCH_SECONDS,
    classes: Mapping[str, str] = AAMI_SYMBOLS,
) -> Comparison:
    """Return the pairs of two annotations of one record.

    Args:
        record: Name of the record.
        reference: Annotations that are taken as the truth.
        test: Annotations to judge.
        fs: Samples per second of both.
        n_samples: Length of the record.
        learning: Seconds at the start that are not compared.
        match: Largest distance of two paired beats, in seconds. Both are rounded to whole samples.
        classes: AAMI class of each beat symbol.

    Raises:
        OptionError: The record ends before the comparison begins.
    """
    window, start = int(match * fs + 0.5), int(learning * fs + 0.5)  # as strtim of WFDB rounds
    if start >= n_samples:
        raise OptionError(
            f"The learning period of {learning:g} s is longer than record {record} "
            f"({n_samples / fs:.0f} s).",
            fix="Shorten it with --learning.",
        )
    truth = beat_train(reference, window=window, end=n_samples, classes=classes)
    judged = beat_train(test, window=window, end=n_samples, classes=classes)
    counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    for row, column in _pairs(truth, judged, window=window, start=start, end=n_samples):
        counts[LABELS.index(row), LABELS.index(column)] += 1
    seconds = sum(max(0, stop - max(first, start)) for first, stop in judged.shutdown) / fs
    return Comparison(record, counts, seconds)


def _pairs(
    truth: BeatTrain, judged: BeatTrain, *, window: int, start: int, end: int
) -> list[tuple[str, str]]:
    """Return the labels of each pair, of the reference first."""
    pairs: list[tuple[str, str]] = []
    far = np.iinfo(np.int64).max // 4
    T, t = [*truth.samples.tolist(), far, far], [*judged.samples.tolist(), far, far]
    i = int(np.searchsorted(truth.samples, start))
    j = _first_test_beat(T, t, i, int(np.searchsorted(judged.samples, start)), window, start)
    while T[i] <= end or t[j] <= end:
        if abs(T[i] - t[j]) <= window and _closest(T, t, i, j):
            pairs.append((truth.labels[i], judged.labels[j]))
            i, j = i + 1, j + 1
        elif t[j] < T[i]:
            if not _within(t[j], truth.flutter):
                row = SHUT_DOWN if _within(t[j], truth.shutdown) else MISSING
                pairs.append((row, judged.labels[j]))
            j += 1
        else:
            column = SHUT_DOWN if _within(T[i], judged.shutdown) else MISSING
            pairs.append((truth.labels[i], column))
            i += 1
    return pairs


def _closest(T: list[int], t: list[int], i: int, j: int) -> bool:
    """Return whether the earlier of two beats is the right partner of the later one.

    It is if it is closer than its successor, or if its successor has a closer partner of its own.
    """
    next_pair = abs(T[i + 1] - t[j + 1])
    other = abs(T[i] - t[j + 1]) if t[j] < T[i] else abs(t[j] - T[i + 1])
    return abs(T[i] - t[j]) < other or next_pair < other


def _first_test_beat(T: list[int], t: list[int], i: int, j: int, window: int, start: int) -> int:
    """Return the index of the first test beat to compare.

    With a learning period, the first beat of the reference may have its partner just before the
    start. A test beat just after the start is left out if its own partner may be before the start.
    """
    if start == 0:
        return j
    if j > 0 and T[i] - t[j - 1] <= window and T[i] - t[j - 1] < abs(T[i] - t[j]):
        return j - 1
    if t[j] - start <= window and abs(T[i] - t[j + 1]) < abs(T[i] - t[j]):
        return j + 1
    return j


def _within(sample: int, spans: Spans) -> bool:
    return any(first <= sample <= last for first, last in spans)
