"""What the tests of DARTS and its relatives search: a tiny task in a tiny space."""

from __future__ import annotations

import numpy as np
from tiny_beats import tiny_beats

from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import Search
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import (
    ConvCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells

FEW = ("none", "skip", "max-pool-3", "conv-3", "conv-5")
QUICK = {
    "cells": 3, "channels": 2, "stem_filters": 4, "epochs": 3, "batch_size": 20, "alpha_lr": 3e-2,
}  # fmt: skip
SPACE = ConvCells(ConvCellsOptions(nodes=2, operations=FEW))


def task_of(n_train=120, n_validation=80, **options):
    return Task(
        tiny_beats(n_train, seed=1, **options),
        tiny_beats(n_validation, seed=2, **options),
        ("N", "S", "V"),
    )


def context(task, *, seed=0, budget=None, progress=None):
    return Search(
        task=task,
        space=SPACE,
        builder=StackedCellsShortcut(
            StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4)
        ),
        evaluator=None,
        rng=np.random.default_rng(seed),
        evaluation_seed=0,
        device="cpu",
        progress=progress or Silent(),
        budget=budget or Budget(),
    )
