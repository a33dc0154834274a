"""Run records made in code, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from nasbench_ecg.architecture import digest
from nasbench_ecg.metrics import class_table, scores
from nasbench_ecg.run.key import key_of_record
from nasbench_ecg.run.record import ComponentRecord, DatasetRecord, RunRecord, SplitRecord

CLASSES = ["N", "S", "V", "F", "Q"]

# Lv et al. 2021, Tables IV and V: rows the true class, columns the predicted one.
ONE_LEAD = [
    [16007, 28, 8, 1, 0],
    [27, 472, 5, 0, 0],
    [15, 1, 1290, 13, 0],
    [14, 0, 6, 120, 0],
    [4, 0, 1, 0, 791],
]
TWO_LEAD = [
    [16001, 26, 7, 8, 2],
    [27, 476, 1, 0, 0],
    [9, 0, 1304, 6, 0],
    [7, 0, 11, 121, 1],
    [2, 0, 0, 0, 794],
]


def shown(renderable: RenderableType, width: int = 80) -> str:
    """Return what a terminal of ``width`` columns shows."""
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def with_f1(f1: float) -> dict[str, float]:
    """Return metrics whose F1 is ``f1``."""
    return {"accuracy": 0.99, "macro_se": f1, "macro_pp": f1, "f1_of_macro": f1, "macro_f1": f1}


def keyed(record: RunRecord) -> RunRecord:
    """Return ``record`` with the run key that its components give, as a stored record has it."""
    return record.model_copy(update={"run_key": key_of_record(record)})


def run_record(
    strategy: str = "darts",
    seed: int = 0,
    *,
    dataset: str = "mitbih-2lead",
    builder: str = "stacked-cells-shortcut",
    confusion: list[list[int]] | None = None,
    metrics: Mapping[str, float] | None = None,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    beats: str = "b" * 64,
    split: str = "c" * 64,
    status: str = "ok",
    **fields: Any,
) -> RunRecord:
    """Return a run record with the scores of ``confusion``, or else with ``metrics``."""
    options: dict[str, dict[str, Any]] = {
        "strategy": {"epochs": 6, "order": "first"},
        "space": {"nodes": 4},
        "builder": {"cells": 8, "channels": 8},
        "dataset": {"normalise": "per-beat"},
        "evaluator": {"epochs": 10},
    }
    names = {
        "strategy": strategy,
        "space": "conv-cells",
        "builder": builder,
        "dataset": dataset,
        "evaluator": "train",
    }
    changed = changed or {}
    for role, changes in changed.items():
        options[role].update(changes)
    given: dict[str, Any] = {
        "suite": "runs",
        "status": status,
        "command": f"nasbench-ecg run {strategy} {dataset}",
        "profile": "quick",
        "protocol": "intra-patient",
        "protocol_options": {"seed": 0},
        "components": {
            role: ComponentRecord(
                name=name,
                plugin=role,
                distribution="nasbench-ecg",
                version="0.1.0",
                revision=1,
                options=options[role],
                changed=dict(changed.get(role, {})),
            )
            for role, name in names.items()
        },
        "search_seed": seed,
        "evaluation_seed": seed,
        "device": "cpu",
        "dataset": DatasetRecord(
            fingerprint=beats, records=["101"], leads=["MLII", "V1"], fs=360.0, n_samples=300,
            counts={"N": 79508, "S": 2696, "V": 7129, "F": 793, "Q": 3887}, notes=[],
        ),
        "split": SplitRecord(
            fingerprint=split,
            counts={
                "train": {"N": 48000},
                "validation": {"N": 12000},
                "test": dict(zip(CLASSES, map(sum, confusion or TWO_LEAD), strict=True)),
            },
            records={},
        ),
        "classes": CLASSES,
        "macro_classes": CLASSES,
    }  # fmt: skip
    if status == "ok":
        matrix = np.asarray(confusion) if confusion else None
        given |= {
            "metrics": dict(metrics or {}) if matrix is None else scores(matrix, CLASSES),
            "per_class": {} if matrix is None else class_table(matrix, CLASSES),
            "confusion": confusion,
            "costs": {"parameters": 56005.0, "macs": 1475008.0, "latency_1_ms": 2.8273},
            "seconds": {"load": 4.8, "search": 230.0, "evaluation": 241.2, "total": 476.0},
        }
    else:
        given["error"] = "Traceback (most recent call last):\n  File x\nValueError: it broke"
    given |= fields
    given.setdefault("run_key", digest([repr(sorted(given.items(), key=lambda i: i[0]))])[:16])
    return RunRecord.model_validate(given)
