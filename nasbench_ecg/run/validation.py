"""Checks of run records that are read from files, beyond the types of their fields."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import NasbenchError, first_invalid
from nasbench_ecg.run.consistency import check_consistent
from nasbench_ecg.run.numbers import is_fraction, is_measured
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import ROLES, RunRequest

_DEPTH = 50
_MOST_BEATS = 2**53
_HARMLESS = {int, bool, type(None)}
"""Types whose values need no check."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_CLASS_FRACTIONS = {"acc", "se", "pp", "spe", "f1"}


def check_json(data: Any, path: str = "", depth: int = 0) -> None:
    """Check that JSON data can be written again: no NaN or infinity, and no half of a surrogate.

    Raises:
        ValueError: It cannot, or it is nested too deeply; the message names the field.
    """
    if depth > _DEPTH:
        raise ValueError(f"{path[:60]} is nested too deeply")
    if isinstance(data, dict):
        for name, value in data.items():
            if not name.isascii():
                _check_text(name, f"a name in {path or 'the record'}")
            if not _is_harmless(value):
                check_json(value, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(data, list):
        for i, value in enumerate(data):
            if not _is_harmless(value):
                check_json(value, f"{path}[{i}]", depth + 1)
    elif isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{path} is not finite")
    elif isinstance(data, str):
        _check_text(data, path)


def _is_harmless(value: Any) -> bool:
    """Return whether a value is surely right: nearly all values of a record are."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    return value.isascii() if kind is str else kind in _HARMLESS


def _check_text(text: str, path: str) -> None:
    if _SURROGATE.search(text):
        raise ValueError(f"{path} contains half of a surrogate pair, which is not a character")


def check_record(record: RunRecord) -> None:
    """Check that the parts of a record agree and that reports can be made of it.

    Raises:
        ValueError: They do not; the message names the field.
    """
    for field in ("run_key", "suite"):
        if not _PLAIN_NAME.fullmatch(getattr(record, field)):
            raise ValueError(f"{field} {getattr(record, field)!r} cannot name a file")
    if missing := sorted(set(ROLES) ^ set(record.components)):
        raise ValueError(f"components must be {', '.join(ROLES)}; {missing[0]!r} is not right")
    _check_numbers(record)
    _check_classes(record)
    try:
        if record.architecture is not None:
            Architecture.from_dict(record.architecture)
        RunRequest.from_record(record).command()
    except (NasbenchError, ValidationError, ValueError, TypeError, LookupError) as error:
        raise ValueError(f"the run cannot be repeated: {_first_line(error)}") from error
    check_consistent(record)


def describe_invalid(error: ValidationError) -> str:
    """Return the first fault that pydantic found, with its field, on one line."""
    field, reason = first_invalid(error)
    return f"{field or 'the record'}: {reason}"


def _check_numbers(record: RunRecord) -> None:
    points = {f"trajectory[{i}]": point for i, point in enumerate(record.trajectory)}
    for field, values in {"metrics": record.metrics, **points}.items():
        for name, value in values.items():
            _require(is_measured(value), f"{field}.{name}", value)
            if field == "metrics" and is_fraction(name):
                _require(0 <= value <= 1, f"{field}.{name}", value)
    for field in ("costs", "seconds", "budget"):
        for name, value in getattr(record, field).items():
            _require(value >= 0 and is_measured(value), f"{field}.{name}", value)
    for label, scores in record.per_class.items():
        for name, value in scores.items():
            largest = 1 if name in _CLASS_FRACTIONS else _MOST_BEATS
            _require(0 <= value <= largest, f"per_class.{label}.{name}", value)
        _require("support" in scores, f"per_class.{label}.support", None)
    counts: dict[str, Mapping[str, int]] = {}
    if record.dataset is not None:
        counts["dataset.counts"] = record.dataset.counts
        fs = record.dataset.fs
        _require(fs > 0 and is_measured(fs), "dataset.fs", fs)
    if record.split is not None:
        counts |= {f"split.counts.{part}": n for part, n in record.split.counts.items()}
    for field, numbers in counts.items():
        for name, number in numbers.items():
            _require(0 <= number <= _MOST_BEATS, f"{field}.{name}", number)


def _check_classes(record: RunRecord) -> None:
    known = set(record.classes)
    if len(known) != len(record.classes):
        raise ValueError("classes has a name twice")
    for field, names in (
        ("macro_classes", record.macro_classes),
        ("per_class", record.per_class),
    ):
        if unknown := sorted(_not_in(known, names)):
            raise ValueError(f"{field} has {unknown[0]!r}, which is none of classes")
    if record.confusion is None:
        if record.per_record:
            raise ValueError("per_record has matrices, but there is no confusion")
        return
    _check_matrix("confusion", record.confusion, len(record.classes))
    _check_per_record(record)


def _check_matrix(field: str, matrix: list[list[int]], n: int) -> None:
    if len(matrix) != n or any(len(row) != n for row in matrix):
        raise ValueError(f"{field} is not a matrix of {n} × {n} classes")
    for row in matrix:
        for count in row:
            _require(0 <= count <= _MOST_BEATS, field, count)


def _check_per_record(record: RunRecord) -> None:
    """Check that the matrices of the records add up to the confusion matrix of the run."""
    for name, matrix in record.per_record.items():
        _check_matrix(f"per_record.{name}", matrix, len(record.classes))
    if not record.per_record:
        return
    total = [
        [sum(counts) for counts in zip(*rows, strict=True)]
        for rows in zip(*record.per_record.values(), strict=True)
    ]
    if total != record.confusion:
        raise ValueError("the matrices of per_record do not add up to confusion")


def _not_in(known: set[str], names: Iterable[str]) -> set[str]:
    return set(names) - known


def _require(allowed: bool, field: str, value: object) -> None:
    if not allowed:
        raise ValueError(f"{field} is {value!r:.40}, which it cannot be")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return describe_invalid(error)
    return (str(error) or type(error).__name__).splitlines()[0]
