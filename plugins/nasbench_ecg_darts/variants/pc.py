"""PC-DARTS: partial channels and edge normalisation.

References:
    Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture
    Search", ICLR; sections 3.1 (partial channels) and 3.2 (edge normalisation).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nasbench_ecg_darts.edges import PartialEdges
from nasbench_ecg_darts.options import PcDartsOptions
from nasbench_ecg_darts.relaxation import Alpha
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variants.base import Moment, Variant


def pc_darts(options: PcDartsOptions) -> Darts:
    """Return PC-DARTS.

    Choose it where the search network is too large or too slow: a K-th of the channels goes through
    the operations, at about a K-th of the cost.
    """
    return Darts(
        options,
        Variant(
            name="pc-darts",
            edges=partial(PartialEdges, share=options.partial_channels),
            columns=1,
            mix=mix,
            strengths=strengths,
        ),
    )


def mix(alpha: Alpha, moment: Moment) -> EdgeWeights:
    """Return β̂ · softmax(α) of the operations and, in a last column, β̂ of the bypass.

    β is the last column of the architecture parameters [n_edges, |O| + 1]; β̂ is its softmax over
    the edges into a node (equation 3).
    """
    weights: EdgeWeights = {}
    for name, value in alpha.items():
        edges = edge_normalisation(value[:, -1]).unsqueeze(1)
        weights[name] = torch.cat([edges * value[:, :-1].softmax(-1), edges], dim=1)
    return weights


def strengths(alpha: Alpha) -> EdgeWeights:
    """Return β̂ · softmax(α), by which edges and operations are chosen."""
    return {
        name: edge_normalisation(value[:, -1]).unsqueeze(1) * value[:, :-1].softmax(-1)
        for name, value in alpha.items()
    }


def edge_normalisation(beta: Tensor) -> Tensor:
    """Return the softmax of β [n_edges] over the edges into each node."""
    groups: list[Tensor] = []
    start = 0
    while start < len(beta):
        size = len(groups) + 2
        groups.append(beta[start : start + size].softmax(0))
        start += size
    return torch.cat(groups)
