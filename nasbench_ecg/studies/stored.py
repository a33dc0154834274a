"""Stored tests of trained networks: what ``evaluate`` wrote beside the records of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nasbench_ecg.errors import StorageError
from nasbench_ecg.metrics import class_table
from nasbench_ecg.models.verify import Check
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file
from nasbench_ecg.run.store import EVALUATIONS
from nasbench_ecg.run.validation import describe_invalid
from nasbench_ecg.studies.evaluate import CarriedWeights, scores_of
from nasbench_ecg.studies.stress import StressTest

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
        reason = _contradiction(found, record)
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


def check_evaluations(record_file: Path) -> list[Check]:
    """Return whether the tests that are stored beside a record have the scores of their matrices.

    Args:
        record_file: The record.

    Returns:
        One check; none where no test is stored.
    """
    name, record = "evaluations", read_record_file(record_file)
    files = sorted((record_file.with_suffix("") / EVALUATIONS).glob("*.json"))
    if isinstance(record, DamagedRecord) or not files:
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


def _contradiction(one: CarriedWeights | StressTest, record: RunRecord) -> str:
    """Return how a stored test contradicts itself or its run; empty if it does not."""
    if one.run_key != record.run_key:
        return f"it is of the run {one.run_key}"
    if isinstance(one, CarriedWeights):
        summed = np.sum([part.confusion for part in one.records], axis=0)
        if not np.array_equal(summed, one.confusion):
            return "the records do not add up to the confusion matrix"
    for part in getattr(one, "levels", [one]):
        matrix = np.asarray(part.confusion, dtype=np.int64)
        if matrix.shape != (len(one.classes), len(one.classes)) or (matrix < 0).any():
            return "the confusion matrix is not of its classes"
        expected = scores_of(matrix, one.classes, one.macro_classes)
        for name in expected.keys() | part.metrics.keys():
            said, own = part.metrics.get(name), expected.get(name)
            if said is None or own is None or abs(said - own) > _TOLERANCE:
                return f"{name} is {said}, but {own} by the confusion matrix"
        if fault := _fault_of_classes(part.per_class, class_table(matrix, one.classes)):
            return fault
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
