"""How the record of a run starts: its components, its data, and what it depends on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.contracts import Dataset, Evaluation, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import LoadedBeats
from nasbench_ecg.data.code import execution_digest
from nasbench_ecg.data.persons import persons_of
from nasbench_ecg.data.protocols import Split
from nasbench_ecg.metrics import class_table, confusion_matrices, scores, without_macro_scores
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.consistency import score_metric
from nasbench_ecg.run.environment import provenance
from nasbench_ecg.run.numbers import measured
from nasbench_ecg.run.record import ComponentRecord, DatasetRecord, RunRecord, SplitRecord


def new_record(config: RunConfig, suite: str) -> RunRecord:
    """Return the record of a run that starts: no results, and the status ``interrupted``."""
    return RunRecord(
        run_key=config.key(),
        suite=suite,
        status="interrupted",
        command=config.command(),
        profile=config.profile,
        protocol=config.protocol,
        protocol_options=config.protocol_options.model_dump(mode="json"),
        components={
            role: ComponentRecord(
                name=chosen.name,
                plugin=chosen.component.plugin,
                distribution=chosen.component.distribution,
                version=chosen.component.version,
                revision=chosen.component.spec.revision,
                options=chosen.options.model_dump(mode="json"),
                changed=dict(chosen.changed),
            )
            for role, chosen in config.components().items()
        },
        search_seed=config.search_seed,
        evaluation_seed=config.evaluation_seed,
        device=config.device,
        budget=config.budget.limits(),
        provenance=provenance(config.device),
    )


def with_data(
    record: RunRecord,
    loaded: LoadedBeats,
    parts: Split,
    dataset: Dataset,
    excluded: Beats | None = None,
) -> RunRecord:
    """Return ``record`` with a description of its beats and their split.

    Args:
        record: The record.
        loaded: The beats.
        parts: Their split.
        dataset: The dataset, which names the persons of its records.
        excluded: Beats of the records that the option ``exclude`` leaves out, if they can be read.
    """
    beats = loaded.beats
    both = [beats] if excluded is None else [beats, excluded]
    used = record.components["dataset"]
    persons = persons_of(dataset, used.name, used.options.get("exclude") or ())
    for one in both:
        persons |= persons_of(dataset, used.name, one.records, one.subjects)
    indices = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return record.model_copy(
        update={
            "dataset": DatasetRecord(
                fingerprint=loaded.fingerprint,
                records=list(beats.records),
                leads=list(beats.leads),
                fs=beats.fs,
                n_samples=beats.n_samples,
                counts=beats.counts(),
                notes=list(loaded.notes),
                persons=persons,
                by_record={k: v for one in both for k, v in one.counts_by_record().items()},
            ),
            "split": SplitRecord(
                fingerprint=parts.fingerprint,
                counts={
                    part: dict(
                        zip(
                            beats.classes,
                            np.bincount(beats.labels[index], minlength=beats.n_classes).tolist(),
                            strict=True,
                        )
                    )
                    for part, index in indices.items()
                },
                records={
                    part: [beats.records[i] for i in np.unique(beats.record[index])]
                    for part, index in indices.items()
                },
                notes=list(parts.notes),
            ),
            "classes": list(beats.classes),
            "macro_classes": list(parts.macro_classes),
        }
    )


def record_scores(record: RunRecord, evaluation: Evaluation, task: Task) -> None:
    """Write the scores of a valid evaluation into ``record``.

    Scores that follow from the confusion matrix are computed from it again, so that they are equal
    to the last digit. Macro scores over fewer than two classes are left out.
    """
    metrics = {name: measured(value, name) for name, value in evaluation.metrics.items()}
    metric = score_metric(evaluation.score, evaluation.metrics, "f1_of_macro")
    if evaluation.confusion is not None:
        table = np.asarray(evaluation.confusion).astype(np.int64)
        record.confusion = table.tolist()
        record.per_class = class_table(table, task.train.classes)
        exact = scores(table, task.train.classes, task.macro_classes)
        metrics |= {name: value for name, value in exact.items() if name in metrics}
    name = metric.removeprefix("-")
    sign = 1 if name == metric else -1
    record.score = sign * metrics[name] if metric else measured(evaluation.score)
    record.score_metric = metric
    record.metrics = metrics
    if len(task.macro_classes) < 2:
        record.metrics = without_macro_scores(metrics)
        if metric and name not in record.metrics:
            record.score = record.score_metric = None


def confusion_by_record(test: Beats, predicted: NDArray[np.int64]) -> dict[str, list[list[int]]]:
    """Return the confusion matrix of the beats of each record, rows the true class, by its name."""
    of_record = confusion_matrices(
        test.record,
        test.labels,
        predicted,
        n_groups=len(test.records),
        n_classes=test.n_classes,
    )
    return {test.records[i]: of_record[i].tolist() for i in np.unique(test.record)}


def inputs_of(record: RunRecord) -> dict[str, str]:
    """Return versions and fingerprints that must be unchanged for saved progress to be used."""
    inputs = {
        "nasbench-ecg": str(record.provenance["nasbench_ecg"]),
        "code of nasbench-ecg": execution_digest(),
        "PyTorch": str(record.provenance["torch"]),
        "NumPy": str(record.provenance["numpy"]),
    }
    for role, used in record.components.items():
        inputs[role] = f"{used.name} of {used.distribution} {used.version}, {used.revision}"
    if record.dataset is not None and record.split is not None:
        inputs["beats"] = record.dataset.fingerprint
        inputs["split"] = record.split.fingerprint
    return inputs
