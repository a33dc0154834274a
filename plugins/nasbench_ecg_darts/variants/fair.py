"""Fair DARTS: a sigmoid per operation in place of a softmax, so that operations do not compete.

With a sigmoid of its own, a skip gains nothing when the weight of another operation falls; a
zero-one loss then drives each sigmoid to 0 or 1. As in the authors' code, α starts at 0 (all
sigmoids at ½), Adam's betas are 0.9 and 0.999, and ``none`` is no candidate.

The paper keeps all operations above a threshold, at most two edges per node. A cell of this space
has exactly two edges per node, from two states, with one operation each. So a node keeps the two
edges whose strongest operations are strongest. This equals the paper's choice where at least two
edges pass the threshold; otherwise the next strongest are kept too, and the result's details count
them.

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
from nasbench_ecg_darts.relaxation import CELL_NAMES, Alpha, discretize
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress, SearchState
from nasbench_ecg_darts.supernet import EdgeWeights, edge_index
from nasbench_ecg_darts.variant import Variant


def fair_darts(options: FairDartsOptions) -> Darts:
    """Return Fair DARTS.

    Choose it to rate each operation on its own, where a softmax would make them compete.
    """
    return Darts(
        options,
        Variant(
            name="fair-darts",
            without_none=True,
            alpha_scale=0.0,
            alpha_betas=(0.9, 0.999),
            mix=lambda alpha, progress: sigmoids(alpha),
            strengths=sigmoids,
            penalty=partial(zero_one_loss, weight=options.zero_one_weight),
            details=partial(edges_below_threshold, threshold=options.threshold),
        ),
    )


def sigmoids(alpha: Alpha) -> EdgeWeights:
    """Return σ(α)."""
    return {name: value.sigmoid() for name, value in alpha.items()}


def zero_one_loss(alpha: Alpha, progress: SearchProgress, *, weight: float) -> Tensor:
    """Return −w · mean (σ(α) − ½)², equation (5); smallest where all sigmoids are 0 or 1."""
    every = torch.cat([value.sigmoid().ravel() for value in alpha.values()])
    return -weight * (every - 0.5).square().mean()


def edges_below_threshold(state: SearchState, *, threshold: float) -> dict[str, Any]:
    """Return how many edges of each derived cell have a sigmoid not above the threshold."""
    operations = state.space.operations
    weights = sigmoids(state.alpha)
    genotype = discretize(weights, operations, state.space.nodes)
    rows = {name: value.tolist() for name, value in weights.items()}
    return {
        "edges_below_threshold": {
            name: sum(
                rows[name][edge_index(i, e.source)][operations.index(e.operation)] <= threshold
                for i, node in enumerate(getattr(genotype, name))
                for e in node
            )
            for name in CELL_NAMES
        }
    }
