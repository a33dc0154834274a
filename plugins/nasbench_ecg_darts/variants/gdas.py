"""GDAS: one operation an edge, drawn anew in each step.

References:
    Dong, Yang 2019, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR;
    equations (5)–(7), and section 3.2 for the back-propagation through the drawn operation alone.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nasbench_ecg_darts.edges import SparseEdges
from nasbench_ecg_darts.options import GdasOptions
from nasbench_ecg_darts.relaxation import Alpha, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variants.base import Moment, Variant


def gdas(options: GdasOptions) -> Darts:
    """Return GDAS.

    Choose it where time or memory is short: a step computes one operation an edge, not all.
    """
    return Darts(
        options,
        Variant(
            name="gdas",
            steady=False,
            edges=SparseEdges,
            mix=partial(mix, first=options.temperature, last=options.temperature_min),
            noiseless=lambda alpha, moment: mixing_weights(alpha),
        ),
    )


def mix(alpha: Alpha, moment: Moment, *, first: float, last: float) -> EdgeWeights:
    """Return one-hot weights of an operation drawn for each edge."""
    tau = temperature(moment, first=first, last=last)
    return {name: sample(value, tau) for name, value in alpha.items()}


def temperature(moment: Moment, *, first: float, last: float) -> float:
    """Return τ, which falls linearly from ``first`` in the first epoch to ``last`` in the last."""
    return first + (last - first) * moment.epoch / max(1, moment.epochs - 1)


def sample(alpha: Tensor, temperature: float) -> Tensor:
    """Return one-hot rows drawn by the Gumbel-max trick, with the gradient of the soft sample.

    Forward hard · 1, backward hard · ∂soft: the gradient flows through the drawn operation alone.
    """
    noise = -torch.empty(alpha.shape).exponential_().log().to(alpha)
    soft = ((alpha.log_softmax(-1) + noise) / temperature).softmax(-1)
    hard = F.one_hot(soft.argmax(-1), alpha.shape[-1]).to(soft.dtype)
    return hard * (1 + (soft - soft.detach()))
