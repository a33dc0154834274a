"""Whether a run record agrees with itself: its key, its scores and its sums are computed again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.data.protocols import choose_macro_classes
from nasbench_ecg.metrics import EC57_SCORES, class_table, scores
from nasbench_ecg.run.key import key_of_record

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord

TOLERANCE = 1e-9
"""Largest difference of two fractions that were computed from the same counts."""

_ROUNDING = 0.01
"""Largest difference of a sum of seconds from its rounded parts."""


def check_consistent(record: RunRecord) -> None:
    """Check that what a record says in two places agrees.

    The run key must be that of the components, options, protocol, seeds, device and budget. Where
    there is a confusion matrix, its rows must be the beats of the test part, the classes of macro
    scores must be those that the protocol gives for these beats, and the scores of the classes and
    all overall scores that follow from a confusion matrix must be those of this one. The matrices
    of single records must be those of the test part. Other metrics are the evaluator's own and
    cannot be computed again.

    Raises:
        ValueError: Two values contradict each other; the message names both.
    """
    key = key_of_record(record)
    if key != record.run_key:
        raise ValueError(
            f"run_key is {record.run_key}, but components, protocol, seeds, device and budget give "
            f"{key}"
        )
    _check_options(record)
    _check_architecture(record)
    _check_trajectory(record)
    _check_counts(record)
    _check_macro_classes(record)
    _check_per_record(record)
    if record.confusion is not None:
        _check_scores(record, record.confusion)
    _check_score(record)
    _check_seconds(record.seconds)


def score_metric(score: float, metrics: Mapping[str, float], preferred: str) -> str:
    """Return the metric that a score is: ``name``, ``-name`` if it is minus that metric, or "".

    Args:
        score: The evaluator's score.
        metrics: Its metrics.
        preferred: The metric that is tried first.
    """
    for name in sorted(metrics, key=lambda name: (name != preferred, name)):
        if metrics[name] == score:
            return name
    return next((f"-{name}" for name in sorted(metrics) if metrics[name] == -score), "")


def _check_options(record: RunRecord) -> None:
    for role, used in record.components.items():
        for name, value in used.changed.items():
            if name not in used.options or used.options[name] != value:
                raise ValueError(
                    f"components.{role}.changed.{name} is {value!r:.40}, but the option is "
                    f"{used.options.get(name)!r:.40}"
                )


def _check_architecture(record: RunRecord) -> None:
    if record.architecture is None:
        if record.architecture_hash is not None:
            raise ValueError("architecture_hash is given, but there is no architecture")
        return
    found = Architecture.from_dict(record.architecture).hash
    if record.architecture_hash not in (None, found):
        raise ValueError(
            f"architecture_hash is {record.architecture_hash:.40}, but the architecture has {found}"
        )


def _check_trajectory(record: RunRecord) -> None:
    """Check that time and evaluations go forward, and that ``best`` is the best value so far."""
    for name in ("seconds", "evaluations"):
        values = [point[name] for point in record.trajectory if name in point]
        if falls := [(a, b) for a, b in pairwise(values) if b < a]:
            before, after = falls[0]
            raise ValueError(f"trajectory has {name} {after!r} after {before!r}")
    last = max((point.get("seconds", 0.0) for point in record.trajectory), default=0.0)
    end = record.seconds.get("search", math.inf)
    if last > end + _ROUNDING:
        raise ValueError(f"trajectory has a point at {last!r} s, but seconds.search is {end!r}")
    best = -math.inf
    for i, point in enumerate(record.trajectory):
        best = max(best, point.get("value", -math.inf))
        if "best" in point and not _equal(point["best"], best):
            raise ValueError(
                f"trajectory[{i}].best is {point['best']!r}, but the best value so far is {best!r}"
            )


def _check_counts(record: RunRecord) -> None:
    """Check that the parts of the split have no more beats than the dataset."""
    if record.dataset is None or record.split is None:
        return
    for name, total in record.dataset.counts.items():
        parts = sum(counts.get(name, 0) for counts in record.split.counts.values())
        if parts > total:
            raise ValueError(
                f"split.counts has {parts} beats of {name}, but dataset.counts has {total}"
            )


def _check_macro_classes(record: RunRecord) -> None:
    """Check that macro scores average over the classes that the protocol gives for the test part.

    Otherwise a class with bad scores could be left out, and all scores would still agree.
    """
    if record.confusion is None or record.split is None:
        return
    if not (test := record.split.counts.get("test")):
        return
    least = record.protocol_options.get("macro_min_beats")
    counts = {name: test.get(name, 0) for name in record.classes}
    expected = choose_macro_classes(record.protocol, counts, least)
    if set(record.macro_classes) != set(expected):
        raise ValueError(
            f"macro_classes is {', '.join(record.macro_classes) or 'empty'}, but the protocol "
            f"gives {', '.join(expected) or 'none'} for these test beats"
        )


def _check_per_record(record: RunRecord) -> None:
    """Check that the matrices of single records are of the records and beats of the test part."""
    if not record.per_record or record.split is None:
        return
    parts = record.split.records
    if set(record.per_record) != set(parts.get("test", [])):
        raise ValueError("per_record does not have the records of split.records.test")
    known = record.dataset.by_record if record.dataset else {}
    training = {*parts.get("train", []), *parts.get("validation", [])}
    for name in sorted((record.per_record.keys() & known.keys()) - training):
        for label, row in zip(record.classes, record.per_record[name], strict=True):
            if sum(row) != known[name].get(label, 0):
                raise ValueError(
                    f"per_record.{name} has {sum(row)} beats of {label}, but dataset.by_record has "
                    f"{known[name].get(label, 0)}"
                )


def _check_scores(record: RunRecord, confusion: list[list[int]]) -> None:
    table = np.asarray(confusion, dtype=np.int64)
    if record.split is not None and (test := record.split.counts.get("test")):
        for name, row in zip(record.classes, confusion, strict=True):
            if sum(row) != test.get(name, 0):
                raise ValueError(
                    f"confusion has {sum(row)} beats of {name}, but split.counts.test has "
                    f"{test.get(name, 0)}"
                )
    overall = scores(table, record.classes, record.macro_classes)
    for name, value in overall.items():
        _require_equal(f"metrics.{name}", record.metrics.get(name, value), value)
    for name in sorted(EC57_SCORES & (record.metrics.keys() - overall.keys())):
        if record.metrics[name] != 0:  # older records have 0 where a score is undefined
            _require_equal(f"metrics.{name}", record.metrics[name], None)
    expected = class_table(table, record.classes)
    if record.status == "ok" and set(record.per_class) != set(expected):
        raise ValueError("per_class does not have the classes of the confusion matrix")
    for label, found in record.per_class.items():
        for name in sorted({"support", "se", "pp", "spe", "f1"} & {*found, *expected[label]}):
            _require_equal(f"per_class.{label}.{name}", found.get(name), expected[label].get(name))


def _check_score(record: RunRecord) -> None:
    """Check that the score is the metric that it is said to be.

    A record that does not say so is older; its score must be any of its metrics.
    """
    if record.score is None or record.score_metric == "":
        return
    if record.score_metric is None:
        if not score_metric(record.score, record.metrics, ""):
            raise ValueError(f"score is {record.score!r}, which is none of the metrics")
        return
    name = record.score_metric.removeprefix("-")
    value = record.metrics.get(name)
    if value is None:
        raise ValueError(f"score_metric is {record.score_metric!r:.60}, which is no metric")
    expected = value if name == record.score_metric else -value
    if not _equal(record.score, expected):
        raise ValueError(f"score is {record.score!r}, but {record.score_metric} is {expected!r}")


def _check_seconds(seconds: Mapping[str, float]) -> None:
    if seconds.keys() == {"total"}:
        return  # the suite has written the record of a process that ended without one
    parts = sum(value for name, value in seconds.items() if name != "total")
    total = seconds.get("total", parts)
    if abs(total - parts) > _ROUNDING + TOLERANCE * parts:
        raise ValueError(f"seconds.total is {total!r}, but its parts take {parts:.3f}")


def _require_equal(field: str, found: Any, expected: Any) -> None:
    if expected is None:
        if found is not None:
            raise ValueError(f"{field} is {found!r}, but the confusion matrix leaves it undefined")
    elif found is None:
        raise ValueError(f"{field} is missing, but the confusion matrix gives {expected!r}")
    elif not _equal(found, expected):
        raise ValueError(f"{field} is {found!r}, but {expected!r} by the confusion matrix")


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
