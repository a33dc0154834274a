"""DrNAS: mixing weights are drawn from a learned Dirichlet distribution.

The paper's progressive scheme (partial channels that widen while weak operations are pruned) is
left out: it saves memory, and is independent of the sampling.

References:
    Chen et al. 2021, "DrNAS: Dirichlet Neural Architecture Search", ICLR; sections 2.2 (sampling,
    β = elu(η) + 1) and 2.3 (distance regularizer).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from nasbench_ecg_darts.options import DrnasOptions
from nasbench_ecg_darts.relaxation import Alpha
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variant import Variant


def drnas(options: DrnasOptions) -> Darts:
    """Return DrNAS.

    Choose it where ``darts`` converges too early: its mixing weights are samples, so all operations
    are explored.
    """
    return Darts(
        options,
        Variant(
            name="drnas",
            capturable=False,
            mix=sample,
            deterministic_mix=lambda alpha, progress: means(alpha),
            strengths=means,
            penalty=partial(distance, kind=options.distance, scale=options.distance_scale),
        ),
    )


def concentration(alpha: Tensor) -> Tensor:
    """Return the concentrations β = elu(α) + 1, all positive; 1 where α is 0."""
    return F.elu(alpha) + 1


def sample(alpha: Alpha, progress: SearchProgress) -> EdgeWeights:
    """Return mixing weights drawn from Dir(β) for each edge, differentiable in α."""
    return {name: Dirichlet(concentration(value)).rsample() for name, value in alpha.items()}


def means(alpha: Alpha) -> EdgeWeights:
    """Return the means β / Σβ, by which edges and operations are ranked."""
    return {name: Dirichlet(concentration(value)).mean for name, value in alpha.items()}


def distance(
    alpha: Alpha, progress: SearchProgress, *, kind: Literal["l2", "kl"], scale: float
) -> Tensor:
    """Return the distance of the distributions from the uniform Dir(1), where α is 0.

    ``l2``: scale / 2 · ‖α‖², as weight decay of α. ``kl``: scale · Σ KL(Dir(β) ‖ Dir(1)) over the
    edges of both cells.
    """
    every = torch.cat(list(alpha.values()))
    if kind == "l2":
        return scale / 2 * every.square().sum()
    beta = concentration(every)
    return scale * kl_divergence(Dirichlet(beta), Dirichlet(torch.ones_like(beta))).sum()
