"""The relatives of DARTS at tiny settings, and what their tests share."""

from __future__ import annotations

from functools import cache

import torch
from darts_searches import QUICK, SPACE, context, task_of

from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_darts import (
    beta_darts,
    darts_es,
    darts_minus,
    darts_plus,
    darts_pt,
    drnas,
    faidarts_es,
    family,
    gdas,
    pc_darts,
)
from nasbench_ecg_darts.convert import plain_to_merged
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet, n_edges
from nasbench_ecg_darts.variants.base import Moment

OPERATIONS = SPACE.operations
SKIP, CONV = OPERATIONS.index("skip"), OPERATIONS.index("conv-3")
RELATIVES = {
    "darts": (Darts, DartsOptions, {}),
    "pc-darts": (
        pc_darts.pc_darts,
        family.PcDartsOptions,
        {"channels": 4, "partial_channels": 2, "warmup_epochs": 0},
    ),
    "darts-plus": (darts_plus.darts_plus, family.DartsPlusOptions, {}),
    "beta-darts": (beta_darts.beta_darts, family.BetaDartsOptions, {}),
    "faidarts-es": (faidarts_es.faidarts_es, family.FairDartsOptions, {}),
    "darts-minus": (darts_minus.darts_minus, family.DartsMinusOptions, {}),
    "drnas": (drnas.drnas, family.DrnasOptions, {"warmup_epochs": 0}),
    "gdas": (gdas.gdas, family.GdasOptions, {}),
    "darts-pt": (
        darts_pt.darts_pt,
        family.DartsPtOptions,
        {"tune_epochs": 0.5, "projection_beats": 20},
    ),
    "darts-es": (
        darts_es.darts_es,
        family.DartsESOptions,
        {"window": 1, "lag": 1, "start_epoch": 0, "ratio": 0.99},
    ),
}


def relative(name, **changes):
    make, model, options = RELATIVES[name]
    return make(model(**{**QUICK, "epochs": 2, "beats": 40, **options, **changes}))


def search(name, *, checkpoint=None, progress=None, **changes):
    """Return (result, trajectory without seconds)."""
    strategy, task = relative(name, **changes), task_of()
    ctx = context(task, progress=progress)
    if checkpoint is not None:
        ctx.checkpoint = FileCheckpoint(
            checkpoint, interval=0, extra=ctx.state, restore_extra=ctx.restore
        )
    with seeded(0):
        result = strategy.search(task, SPACE, ctx.builder, ctx)
    return result, [{k: v for k, v in p.items() if k != "seconds"} for p in ctx.trajectory]


@cache
def found(name):
    """Return the result and the trajectory of one uninterrupted search."""
    return search(name, epochs=3 if name == "darts-es" else 2)


def started(name, **changes):
    """Return the state of a search before its first step."""
    strategy, task = relative(name, **changes), task_of()
    with seeded(0):
        return SearchState.start(strategy.options, task, SPACE, context(task), strategy.variant)


def random_alpha(nodes=2, columns=5, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_edges(nodes), columns, generator=generator).to(dtype).requires_grad_()
        for name in ("normal", "reduction")
    }


def at(epoch, epochs=10, memory=None, operations=OPERATIONS):
    return Moment(epoch, epochs, operations, memory or {})


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
