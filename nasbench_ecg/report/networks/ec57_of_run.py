"""The EC57 report of a run: its test beats by record, as pairs of true and predicted class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.ec57.comparison import LABELS, Comparison
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.metrics import confusion_matrices
from nasbench_ecg.models.facts import fault_of_predictions
from nasbench_ecg.report.statistics.patients import tests_unseen_records
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.signal.aami import CLASSES

_NOTE = (
    "Beats were cut at the annotated R peaks, so detection is not judged. All test beats are "
    "counted, also those of the first five minutes."
)
_SAME_PERSONS = "Persons of the test part are in the training part too: others score lower."


def comparisons_of_run(record: RunRecord, out: Path) -> list[Comparison]:
    """Return the pairs of each test record of a run.

    Args:
        record: The run.
        out: Folder of all results, for the predictions of runs whose records hold no matrices.

    Raises:
        OptionError: The run failed, or its classes are not those of EC57.
        StorageError: There are no matrices, and no predictions that are those of the run.
    """
    if record.status != "ok" or not set(record.classes) <= set(CLASSES) or not record.classes:
        raise OptionError(
            f"The run {record.run_key} has no beats of the classes {', '.join(CLASSES)}.",
            fix="Name a run that has ended well, on a dataset of these classes.",
        )
    place = [LABELS.index(name) for name in record.classes]
    comparisons = []
    for name, matrix in (record.per_record or _from_predictions(record, out)).items():
        counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
        counts[np.ix_(place, place)] = matrix
        comparisons.append(Comparison(name, counts))
    return comparisons


def notes_of_run(record: RunRecord) -> list[str]:
    """Return what a reader of the report must know of the run."""
    parts = f"{record.strategy} ({record.run_key[:8]}) on {record.dataset_name}, {record.protocol}."
    return [parts, _NOTE, *([] if tests_unseen_records(record) else [_SAME_PERSONS])]


def _from_predictions(record: RunRecord, out: Path) -> dict[str, NDArray[np.int64]]:
    """Return the confusion matrix of each record from the stored predictions."""
    path = RecordStore(out, record.suite).path(record.run_key).with_suffix("") / "predictions.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if fault := fault_of_predictions(record, stored):
            raise ValueError(fault)
        of_beat = np.asarray(stored["record"], dtype=str)
        truth, predicted = (np.asarray(stored[k], dtype=np.int64) for k in ("truth", "predicted"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"The run {record.run_key} has no confusion matrices of its test records, and its "
            "predictions cannot be used.",
            where=f"{path}: {error}",
            fix=f"Make it again: {record.command} --rerun",
        ) from error
    names, number_of_beat = np.unique(of_beat, return_inverse=True)
    matrices = confusion_matrices(
        number_of_beat, truth, predicted, n_groups=len(names), n_classes=len(record.classes)
    )
    of_record = dict(zip(names.tolist(), matrices, strict=True))
    return {name: of_record[name] for name in dict.fromkeys(of_beat.tolist())}
