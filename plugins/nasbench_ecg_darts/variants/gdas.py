"""GDAS: one operation per edge, drawn anew in each step.

References:
    Dong, Yang 2019, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR;
    equations (5)-(7), and section 3.2 for the back-propagation through the drawn operation alone.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nasbench_ecg_darts.edges import sum_in_order
from nasbench_ecg_darts.options import GdasOptions
from nasbench_ecg_darts.relaxation import Alpha, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.supernet import EdgeWeights, MixedOperation, PlainEdges, edge_index
from nasbench_ecg_darts.variant import Variant


def gdas(options: GdasOptions) -> Darts:
    """Return GDAS.

    Choose it where time or memory is short: a step computes one operation per edge, not all.
    """
    return Darts(
        options,
        Variant(
            name="gdas",
            capturable=False,
            edges=SparseEdges,
            mix=partial(mix, first=options.temperature, last=options.temperature_min),
            deterministic_mix=lambda alpha, progress: mixing_weights(alpha),
        ),
    )


def mix(alpha: Alpha, progress: SearchProgress, *, first: float, last: float) -> EdgeWeights:
    """Return one-hot weights of an operation drawn for each edge."""
    tau = temperature(progress, first=first, last=last)
    return {name: gumbel_softmax(value, tau) for name, value in alpha.items()}


def temperature(progress: SearchProgress, *, first: float, last: float) -> float:
    """Return τ, which falls linearly from ``first`` in the first epoch to ``last`` in the last."""
    return first + (last - first) * progress.epoch / max(1, progress.epochs - 1)


def gumbel_softmax(alpha: Tensor, temperature: float) -> Tensor:
    """Return one-hot rows drawn by the Gumbel-max trick, with the gradient of the soft sample.

    Forward hard · 1, backward hard · ∂soft: the gradient flows through the drawn operation alone
    (equations 5-7).
    """
    noise = -torch.empty(alpha.shape).exponential_().log().to(alpha)
    soft = ((alpha.log_softmax(-1) + noise) / temperature).softmax(-1)
    hard = F.one_hot(soft.argmax(-1), alpha.shape[-1]).to(soft.dtype)
    return hard * (1 + (soft - soft.detach()))


class SparseEdges(PlainEdges):
    """:class:`PlainEdges` that skips operations whose mixing weight is exactly zero.

    The weights of a skipped operation get no gradient, and neither does its mixing weight.
    """

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes; every edge needs an operation with a nonzero weight."""
        nonzero = (weights.detach() != 0).tolist()
        states = [s0, s1]
        for node in range(self.nodes):
            terms = []
            for source in range(node + 2):
                row = edge_index(node, source)
                edge = self.edges[row]
                assert isinstance(edge, MixedOperation)
                terms += [
                    weights[row, o] * operation(states[source])
                    for o, operation in enumerate(edge.operations)
                    if nonzero[row][o]
                ]
            states.append(sum_in_order(terms))
        return states[2:]
