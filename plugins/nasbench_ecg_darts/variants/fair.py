"""FairDARTS: operations that do not compete.

Every operation has a sigmoid of its own in place of a share of a softmax, so a skip gains nothing
by another's loss; a zero-one loss then drives each sigmoid to a decision.

The paper keeps all operations above a threshold, at most two edges a node. A cell of this space has
exactly two edges a node, from two states, with one operation each: so a node keeps the two edges
whose strongest operation is strongest. That is the paper's choice where at least two pass the
threshold; otherwise the next strongest fill up, and the result's details count them.

References:
    Chu et al. 2020, "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture
    Search", ECCV; sections 4.1 (sigmoids) and 4.2 (zero-one loss, equation 5).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from nasbench_ecg_darts.options import FairDartsOptions
from nasbench_ecg_darts.relaxation import CELL_NAMES, Alpha
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.supernet import EdgeWeights, edge_index
from nasbench_ecg_darts.variants.base import Moment, Variant


def faidarts_es(options: FairDartsOptions) -> Darts:
    """Return FairDARTS.

    Choose it to see each operation's worth on its own, where a softmax would make them rivals.
    """
    return Darts(
        options,
        Variant(
            name="faidarts-es",
            mix=lambda alpha, moment: sigmoids(alpha),
            strengths=sigmoids,
            penalty=partial(zero_one_loss, weight=options.zero_one_weight),
            report=partial(report, threshold=options.threshold),
        ),
    )


def sigmoids(alpha: Alpha) -> EdgeWeights:
    """Return σ(α)."""
    return {name: value.sigmoid() for name, value in alpha.items()}


def zero_one_loss(alpha: Alpha, moment: Moment, *, weight: float) -> Tensor:
    """Return −w · mean (σ(α) − ½)², least where all sigmoids are 0 or 1."""
    every = torch.cat([value.sigmoid().ravel() for value in alpha.values()])
    return -weight * (every - 0.5).square().mean()


def report(state: SearchState, *, threshold: float) -> dict[str, Any]:
    """Return how many of each cell's edges were kept though below the threshold."""
    genotype = state.genotype()
    weights = {name: value.tolist() for name, value in sigmoids(state.alpha).items()}
    operations = state.space.operations
    return {
        "edges_below_threshold": {
            name: sum(
                weights[name][edge_index(i, e.source)][operations.index(e.operation)] <= threshold
                for i, node in enumerate(getattr(genotype, name))
                for e in node
            )
            for name in CELL_NAMES
        }
    }
