"""Searches by DARTS and its variants on a tiny task in a tiny space, shared by their tests."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from tiny_beats import tiny_beats

from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import RunSearchContext
from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import (
    ConvCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts import options
from nasbench_ecg_darts.edges import MergedEdges, plain_to_merged
from nasbench_ecg_darts.search import Darts, search_step
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet, n_edges
from nasbench_ecg_darts.variants import beta, drnas, early_stop, fair, gdas, minus, pc, pt

OPERATIONS = ("none", "skip", "max-pool-3", "conv-3", "conv-5")
SKIP, CONV = OPERATIONS.index("skip"), OPERATIONS.index("conv-3")
QUICK = {
    "cells": 3, "channels": 2, "stem_filters": 4, "epochs": 3, "batch_size": 20, "alpha_lr": 3e-2,
}  # fmt: skip
SPACE = ConvCells(ConvCellsOptions(nodes=2, operations=OPERATIONS))
STRATEGIES = {
    "darts": (Darts, options.DartsOptions, {}),
    "pc-darts": (
        pc.pc_darts,
        options.PcDartsOptions,
        {"channels": 4, "partial_channels": 2, "warmup_epochs": 0},
    ),
    "darts-plus": (early_stop.darts_plus, options.DartsPlusOptions, {}),
    "beta-darts": (beta.beta_darts, options.BetaDartsOptions, {}),
    "fair-darts": (fair.fair_darts, options.FairDartsOptions, {}),
    "darts-minus": (minus.darts_minus, options.DartsMinusOptions, {}),
    "drnas": (drnas.drnas, options.DrnasOptions, {"warmup_epochs": 0}),
    "gdas": (gdas.gdas, options.GdasOptions, {}),
    "darts-pt": (
        pt.darts_pt,
        options.DartsPtOptions,
        {"tune_epochs": 0.5, "projection_beats": 20},
    ),
    "darts-es": (
        early_stop.darts_es,
        options.DartsESOptions,
        {"window": 1, "lag": 1, "start_epoch": 0, "ratio": 0.99},
    ),
}
"""Function, options model and tiny options of each strategy."""


def task_of(n_train=120, n_validation=80, **options):
    return Task(
        tiny_beats(n_train, seed=1, **options),
        tiny_beats(n_validation, seed=2, **options),
        ("N", "S", "V"),
    )


def context(task, *, seed=0, budget=None, progress=None):
    return RunSearchContext(
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


def strategy_of(name, **changes):
    make, model, given = STRATEGIES[name]
    return make(model(**{**QUICK, "epochs": 2, "beats": 40, **given, **changes}))


def search(name, *, checkpoint=None, progress=None, **changes):
    """Return (result, trajectory without seconds)."""
    strategy, task = strategy_of(name, **changes), task_of()
    ctx = context(task, progress=progress)
    if checkpoint is not None:
        ctx.checkpoint = FileCheckpoint(
            checkpoint, interval=0, extra=ctx.state, restore_extra=ctx.restore
        )
    with seeded(0):
        result = strategy.search(task, SPACE, ctx.builder, ctx)
    return result, [{k: v for k, v in p.items() if k != "seconds"} for p in ctx.trajectory]


@cache
def completed(name):
    """Return the result and the trajectory of one uninterrupted search."""
    return search(name, epochs=3 if name == "darts-es" else 2)


def started(name, **changes):
    """Return the variant, and the state of its search before the first step."""
    strategy, task = strategy_of(name, **changes), task_of()
    with seeded(0):
        state = strategy.variant.start(strategy.options, task, SPACE, context(task))
    return strategy.variant, state


def first_batches(state):
    """Return the first training and validation batch of an epoch."""
    return next(state.batches(state.steps_per_epoch))


def take_step(variant, state):
    """Take the first step of an epoch, of α and of the weights."""
    search_step(state, variant, *first_batches(state), with_alpha=True)


def random_alpha(nodes=2, columns=5, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_edges(nodes), columns, generator=generator).to(dtype).requires_grad_()
        for name in ("normal", "reduction")
    }


def progress_at(epoch, epochs=10, memory=None, operations=OPERATIONS):
    return SearchProgress(epoch, epochs, operations, memory or {})


def prefer(alpha, cell, operation, edges):
    """Make ``operation`` by far the strongest on some edges of a cell."""
    with torch.no_grad():
        alpha[cell][list(edges), operation] = 5.0


def edges_of(operations, nodes, channels, cell):
    """Return plain and merged edges of a normal (0) or reduction (1) cell with equal weights."""
    made = []
    for edges, seed in ((PlainEdges, 0), (MergedEdges, 1)):
        torch.manual_seed(seed)
        net = SuperNet(
            edges, operations=operations, nodes=nodes, cells=3, channels=channels,
            stem_filters=4, n_leads=2, n_classes=3,
        )  # fmt: skip
        made.append(net.double())
    plain_to_merged(*made)
    return [net.cells[cell].edges for net in made]
