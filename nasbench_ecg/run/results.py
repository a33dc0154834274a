"""What an evaluation leaves on record: scores, and the files beside the record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.metrics import class_table
from nasbench_ecg.run.record import RunRecord


def enter_scores(record: RunRecord, evaluation: Evaluation, task: Task) -> None:
    """Put the scores of the final evaluation into ``record``; a figure that is none is left out."""
    record.metrics = {
        name: float(value) for name, value in evaluation.metrics.items() if math.isfinite(value)
    }
    if evaluation.confusion is not None:
        record.confusion = [[int(n) for n in row] for row in evaluation.confusion]
        record.per_class = class_table(np.asarray(evaluation.confusion), task.train.classes)


def artifacts(arch: Architecture, evaluation: Evaluation, test: Beats) -> dict[str, Any]:
    """Return the JSON data of the files beside a record, by name."""
    files: dict[str, Any] = {"architecture.json": arch.to_dict()}
    if evaluation.curves:
        files["curves.json"] = {
            name: [float(value) for value in values] for name, values in evaluation.curves.items()
        }
    if evaluation.predictions is not None:
        files["predictions.json"] = {
            "classes": list(test.classes),
            "record": [test.records[i] for i in test.record],
            "sample": test.sample.tolist(),
            "truth": test.labels.tolist(),
            "predicted": [int(label) for label in evaluation.predictions],
        }
    return files
