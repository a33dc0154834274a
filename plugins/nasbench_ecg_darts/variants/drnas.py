"""DrNAS: mixing weights are drawn from a Dirichlet distribution that is learned.

The paper's progressive scheme (partial channels that widen while weak operations are pruned) is
left out: it is a way to save memory, and independent of the sampling.

References:
    Chen et al. 2021, "DrNAS: Dirichlet Neural Architecture Search", ICLR; section 2.2 (sampling,
    β = elu(η) + 1) and 2.3 (distance regulariser).
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
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variants.base import Moment, Variant


def drnas(options: DrnasOptions) -> Darts:
    """Return DrNAS.

    Choose it where ``darts`` settles too early: its mixing weights are samples, so all operations
    are explored.
    """
    return Darts(
        options,
        Variant(
            name="drnas",
            steady=False,
            mix=sample,
            noiseless=lambda alpha, moment: means(alpha),
            strengths=means,
            penalty=partial(distance, kind=options.distance, scale=options.distance_scale),
        ),
    )


def concentration(alpha: Tensor) -> Tensor:
    """Return the concentrations β = elu(α) + 1, all positive; 1 where α is 0."""
    return F.elu(alpha) + 1


def sample(alpha: Alpha, moment: Moment) -> EdgeWeights:
    """Return mixing weights drawn from Dir(β) for each edge, differentiable in α."""
    return {name: Dirichlet(concentration(value)).rsample() for name, value in alpha.items()}


def means(alpha: Alpha) -> EdgeWeights:
    """Return the means β / Σβ, by which edges and operations are chosen."""
    return {name: Dirichlet(concentration(value)).mean for name, value in alpha.items()}


def distance(alpha: Alpha, moment: Moment, *, kind: Literal["l2", "kl"], scale: float) -> Tensor:
    """Return the distance of α from 0, that is of the distributions from the uniform Dir(1).

    ``l2``: scale / 2 · ‖α‖², as weight decay of α. ``kl``: scale · Σ KL(Dir(β) ‖ Dir(1)) over the
    edges of both cells.
    """
    every = torch.cat(list(alpha.values()))
    if kind == "l2":
        return scale / 2 * every.square().sum()
    beta = concentration(every)
    return scale * kl_divergence(Dirichlet(beta), Dirichlet(torch.ones_like(beta))).sum()
