"""Stored tests of trained networks: what ``evaluate`` wrote beside the records of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from nasbench_ecg.errors import StorageError
from nasbench_ecg.metrics import class_table
from nasbench_ecg.models.stored_int8 import check_int8
from nasbench_ecg.models.verify import Check
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file
from nasbench_ecg.run.store import EVALUATIONS
from nasbench_ecg.run.validation import describe_invalid
from nasbench_ecg.studies.evaluate import (
    CarriedWeights,
    choose_macro_classes,
    scores_of,
    scores_of_record,
)
from nasbench_ecg.studies.stress import StressLevel, StressTest

_TOLERANCE = 1e-9


def stored_evaluations(
    records: Sequence[RunRecord], out: Path
) -> Iterator[CarriedWeights | StressTest]:
    """Yield the tests that are stored beside the records of runs, by run and by name of the file.

    Args:
        records: The runs.
        out: Folder of results.

    Raises:
        StorageError: A file cannot be read, or contradicts itself.
    """
    for record in records:
        folder = Path(out) / record.suite / record.run_key / EVALUATIONS
        for path in sorted(folder.glob("*.json")):
            yield read_evaluation(path, record)


def read_evaluation(path: Path, record: RunRecord) -> CarriedWeights | StressTest:
    """Return the test that a file holds.

    Raises:
        StorageError: It cannot be read, is of another run, or contradicts itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = _read(text)
        reason = _fault_of_run(found, record, path) or _contradiction(found, record)
    except OSError as error:
        reason = error.strerror or str(error)
    except ValidationError as error:
        reason = describe_invalid(error)
    except ValueError as error:
        reason = str(error)
    if reason:
        raise StorageError(
            f"A stored evaluation cannot be used: {reason}.",
            where=str(path),
            fix="Remove it, or make it again with 'nasbench-ecg evaluate'.",
        )
    return found


def check_made_later(record_file: Path) -> list[Check]:
    """Return whether what was stored beside a record after its run can be of that run.

    These are tests on other beats (``evaluate``) and scores in 8-bit integers (``export``).

    Args:
        record_file: The record.

    Returns:
        One check of each that is stored.
    """
    record = read_record_file(record_file)
    if isinstance(record, DamagedRecord):
        return []
    return [*_check_evaluations(record_file, record), *check_int8(record_file, record)]


def _check_evaluations(record_file: Path, record: RunRecord) -> list[Check]:
    """Return whether stored tests have the scores of their matrices; nothing if none is stored."""
    name = "evaluations"
    files = sorted((record_file.with_suffix("") / EVALUATIONS).glob("*.json"))
    if not files:
        return []
    try:
        for file in files:
            read_evaluation(file, record)
    except StorageError as error:
        return [Check(name, "failed", str(error))]
    found = f"{len(files)} stored tests have the scores of their matrices."
    return [Check(name, "passed", found)]


def _read(text: str) -> CarriedWeights | StressTest:
    if '"disturbance"' in text:
        return TypeAdapter(StressTest).validate_json(text)
    return TypeAdapter(CarriedWeights).validate_json(text)


def _fault_of_run(one: CarriedWeights | StressTest, record: RunRecord, path: Path) -> str:
    """Return what a stored test says otherwise than its run or its name; empty if nothing."""
    if one.run_key != record.run_key:
        return f"it is of the run {one.run_key}"
    named = (one.strategy, one.trained_on, one.trained_protocol)
    if named != (record.strategy, record.dataset_name, record.protocol):
        return f"it is of {' · '.join(named)}, which is not this run"
    if isinstance(one, CarriedWeights) and one.own_metrics != record.metrics:
        return "the scores on its own test part are not those of the run"
    if path.name != Path(one.file_name).name:
        return f"dataset and options give it the name {Path(one.file_name).name}"
    return ""


def _contradiction(one: CarriedWeights | StressTest, record: RunRecord) -> str:
    """Return how a stored test contradicts itself; empty if it does not."""
    of_records = one.records if isinstance(one, CarriedWeights) else []
    parts: Sequence[CarriedWeights | StressLevel]
    parts = one.levels if isinstance(one, StressTest) else [one]
    matrices = [np.asarray(part.confusion, np.int64) for part in (*parts, *of_records)]
    n = len(one.classes)
    if any(matrix.shape != (n, n) or (matrix < 0).any() for matrix in matrices):
        return "the confusion matrix is not of its classes"
    n_true = dict(zip(one.classes, matrices[0].sum(axis=1).tolist(), strict=True))
    macro = choose_macro_classes(n_true, record.classes, record.macro_classes)
    if set(one.macro_classes) != set(macro):
        return (
            f"macro_classes is {', '.join(one.macro_classes) or 'empty'}, but these beats give "
            f"{', '.join(macro) or 'none'}"
        )
    for part, matrix in zip(parts, matrices, strict=False):
        if fault := _fault_of_scores(part.metrics, scores_of(matrix, one.classes, macro)):
            return fault
        if fault := _fault_of_classes(part.per_class, class_table(matrix, one.classes)):
            return fault
    return _fault_of_records(one, matrices) if isinstance(one, CarriedWeights) else ""


def _fault_of_records(one: CarriedWeights, matrices: Sequence[NDArray[np.int64]]) -> str:
    """Return how the results by record contradict the test or themselves; empty if they do not.

    Args:
        one: The test.
        matrices: Its confusion matrix, then those of its records.
    """
    if not np.array_equal(np.sum(matrices[1:], axis=0), matrices[0]):
        return "the records do not add up to the confusion matrix"
    for part, matrix in zip(one.records, matrices[1:], strict=True):
        if fault := _fault_of_scores(part.metrics, scores_of_record(matrix, one.classes)):
            return f"in {part.record}, {fault}"
    return ""


def _fault_of_scores(found: Mapping[str, float], expected: Mapping[str, float]) -> str:
    """Return which score is not that of the confusion matrix; empty if all are."""
    for name in sorted(expected.keys() | found.keys()):
        said, own = found.get(name), expected.get(name)
        if said is None or own is None or abs(said - own) > _TOLERANCE:
            return f"{name} is {said}, but {own} by the confusion matrix"
    return ""


def _fault_of_classes(
    found: Mapping[str, Mapping[str, float]], expected: Mapping[str, Mapping[str, float]]
) -> str:
    """Return which score of a class is not that of the confusion matrix; empty if all are."""
    for name in dict.fromkeys([*expected, *found]):
        said, own = found.get(name, {}), expected.get(name, {})
        for score in dict.fromkeys([*own, *said]):
            one, other = said.get(score), own.get(score)
            if one is None or other is None or abs(one - other) > _TOLERANCE:
                return f"{score} of {name} is {one}, but {other} by the confusion matrix"
    return ""
