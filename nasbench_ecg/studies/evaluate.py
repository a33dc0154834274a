"""Trained weights on other beats: test the network of a run on another dataset or protocol.

Nothing is trained. The beats of the target are cut, filtered, resampled and normalized as those of
the training, its leads and classes are matched with those of the network, and records of persons
that the network has seen are left out. In contrast,
:mod:`~nasbench_ecg.studies.generalize` carries the architecture only and trains it anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import digest
from nasbench_ecg.data.protocols import MACRO_MIN_BEATS
from nasbench_ecg.metrics import (
    class_table,
    confusion_matrices,
    confusion_matrix,
    scores,
    without_macro_scores,
)
from nasbench_ecg.run.store import EVALUATIONS
from nasbench_ecg.studies.target import Target

FORMAT = 1


@dataclass(frozen=True)
class RecordResult:
    """The result on one record.

    Attributes:
        record: Its name.
        person: Its person across databases.
        confusion: Beats by true class (rows) and predicted class (columns).
        metrics: Scores of its beats, as fractions; none that average over classes.
    """

    record: str
    person: str
    confusion: list[list[int]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class CarriedWeights:
    """The scores of a run's trained network on beats of another dataset or protocol.

    Attributes:
        run_key: The run that trained the network.
        file: Name of the exported file that held the network; empty: it is that of the run.
        strategy: Its strategy.
        trained_on: Its dataset.
        trained_protocol: Its protocol.
        own_metrics: Scores on its own test part.
        tested_on: The target dataset.
        protocol: Its protocol, whose test part was used; None: all its beats.
        protocol_options: Options of that protocol.
        options: Options of the target dataset.
        fingerprint: SHA-256 of the beats of the target.
        leads: Leads of the target, each with the lead of the training in whose place it stands.
        classes: Names of the classes, in the order of the matrix.
        merged: Classes that count as another one.
        macro_classes: The classes that macro scores average over.
        confusion: Beats by true class (rows) and predicted class (columns).
        metrics: Scores as fractions.
        per_class: Scores of each class.
        records: Results by record, in the order of the dataset.
        shared: Records of persons that the network was trained on.
        shared_beats: Their beats of each class.
        kept_shared: Whether they were tested nevertheless.
        notes: What differs from the training, and what the scores do not show.
    """

    run_key: str
    file: str
    strategy: str
    trained_on: str
    trained_protocol: str
    own_metrics: dict[str, float]
    tested_on: str
    protocol: str | None
    protocol_options: dict[str, Any]
    options: dict[str, Any]
    fingerprint: str
    leads: dict[str, str]
    classes: list[str]
    merged: dict[str, str]
    macro_classes: list[str]
    confusion: list[list[int]]
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    records: list[RecordResult]
    shared: list[str]
    shared_beats: dict[str, int]
    kept_shared: bool
    notes: list[str]

    def as_data(self) -> dict[str, Any]:
        """Return all fields as JSON data."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def file_name(self) -> str:
        """Name of the file that holds it, in the folder of the run's files."""
        settings = [
            self.options,
            self.protocol,
            self.protocol_options,
            self.merged,
            self.kept_shared,
            self.leads,
        ]
        return f"{EVALUATIONS}/{self.tested_on}-{digest(settings)[:8]}.json"


def evaluate(target: Target) -> CarriedWeights:
    """Return the scores of a trained network on other beats; nothing is trained."""
    classes, kept, origin = target.classes, target.index, target.origin
    predicted = target.predict(target.beats.signals[kept])
    matrix = confusion_matrix(target.truth[kept], predicted, len(classes))
    macro, notes = macro_classes(target, matrix)
    shared = target.shared
    return CarriedWeights(
        run_key=origin.run_key,
        file=target.classifier.file,
        strategy=origin.strategy,
        trained_on=origin.dataset,
        trained_protocol=origin.protocol,
        own_metrics=dict(origin.metrics),
        tested_on=target.component.name,
        protocol=target.protocol,
        protocol_options=target.protocol_options,
        options=target.options.model_dump(mode="json", exclude_none=True),
        fingerprint=target.fingerprint,
        leads=dict(zip(target.options.leads, target.classifier.leads, strict=True)),
        classes=list(classes),
        merged=target.merged,
        macro_classes=list(macro),
        confusion=matrix.tolist(),
        metrics=scores_of(matrix, classes, macro),
        per_class=class_table(matrix, classes),
        records=_by_record(target, predicted),
        shared=[target.beats.records[i] for i in np.unique(target.beats.record[shared])],
        shared_beats=_counts(target.truth[shared], classes),
        kept_shared=target.kept_shared,
        notes=[*target.notes, *notes],
    )


def scores_of(
    matrix: NDArray[np.int64], classes: Sequence[str], macro: Sequence[str]
) -> dict[str, float]:
    """Return the scores of a confusion matrix; macro scores only over two classes or more."""
    metrics = scores(matrix, classes, macro)
    return metrics if len(macro) > 1 else without_macro_scores(metrics)


def macro_classes(target: Target, matrix: NDArray[np.int64]) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that macro scores average over, and notes on others.

    Q is left out where the scores of the run itself leave it out.
    """
    classes, of_run = target.classes, target.classifier.classes
    known = {target.merged.get(name, name) for name in of_run}
    n_true = dict(zip(classes, matrix.sum(axis=1).tolist(), strict=True))
    chosen = choose_macro_classes(n_true, of_run, target.origin.macro_classes)
    notes = []
    left_out = [f"{c} ({n:,})" for c, n in n_true.items() if n and c not in chosen]
    if left_out:
        notes.append(f"Macro scores leave out {', '.join(left_out)} beats.")
    if absent := [c for c, n in n_true.items() if not n]:
        notes.append(f"No tested beat is {' or '.join(absent)}: such predictions are all wrong.")
    if unknown := [f"{c} ({n_true[c]:,})" for c in classes if c not in known and n_true[c]]:
        notes.append(f"The network does not know {', '.join(unknown)}: these beats are all wrong.")
    return chosen, notes


def choose_macro_classes(
    n_true: Mapping[str, int], of_run: Collection[str], macro_of_run: Collection[str]
) -> tuple[str, ...]:
    """Return the classes that macro scores average over.

    Args:
        n_true: Tested beats of each class.
        of_run: Classes of the run that trained the network.
        macro_of_run: Those that its own macro scores average over.
    """
    without_q = "Q" in of_run and "Q" not in macro_of_run
    enough = (name for name, n in n_true.items() if n >= MACRO_MIN_BEATS)
    return tuple(name for name in enough if not (name == "Q" and without_q))


def _by_record(target: Target, predicted: NDArray[np.int64]) -> list[RecordResult]:
    of_beat, truth = target.beats.record[target.index], target.truth[target.index]
    matrices = confusion_matrices(
        of_beat,
        truth,
        predicted,
        n_groups=len(target.beats.records),
        n_classes=len(target.classes),
    )
    found = []
    for i in np.unique(of_beat).tolist():
        name, matrix = target.beats.records[i], matrices[i]
        metrics = scores_of_record(matrix, target.classes)
        found.append(RecordResult(name, target.persons[name], matrix.tolist(), metrics))
    return found


def scores_of_record(matrix: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """Return the scores of the beats of one record, none that average over classes."""
    return without_macro_scores(scores(matrix, classes))


def _counts(labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return {name: n for name, n in zip(classes, counts, strict=True) if n}
