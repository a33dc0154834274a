"""PC-DARTS: partial channel connections and edge normalization.

References:
    Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture
    Search", ICLR; sections 3.1 (partial channels) and 3.2 (edge normalization).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_darts.edges import (
    OutgoingEdges,
    outgoing_edges,
    outgoing_weights,
    sum_in_order,
    target_nodes,
)
from nasbench_ecg_darts.options import PcDartsOptions
from nasbench_ecg_darts.relaxation import Alpha
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variant import Variant


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
            extra_columns=1,
            mix=mix,
            strengths=strengths,
        ),
    )


def mix(alpha: Alpha, progress: SearchProgress) -> EdgeWeights:
    """Return β̂ · softmax(α) of the operations and, in a last column, β̂ of the bypass.

    β is the last column of the architecture parameters [n_edges, |O| + 1]; β̂ is its softmax over
    the edges into a node (equation 3).
    """
    weights: EdgeWeights = {}
    for name, value in alpha.items():
        edges = edge_normalization(value[:, -1]).unsqueeze(1)
        weights[name] = torch.cat([edges * value[:, :-1].softmax(-1), edges], dim=1)
    return weights


def strengths(alpha: Alpha) -> EdgeWeights:
    """Return β̂ · softmax(α), by which edges and operations are ranked."""
    return {
        name: edge_normalization(value[:, -1]).unsqueeze(1) * value[:, :-1].softmax(-1)
        for name, value in alpha.items()
    }


def edge_normalization(beta: Tensor) -> Tensor:
    """Return the softmax of β [n_edges] over the edges into each node (equation 3)."""
    groups: list[Tensor] = []
    start = 0
    while start < len(beta):
        size = len(groups) + 2
        groups.append(beta[start : start + size].softmax(0))
        start += size
    return torch.cat(groups)


class PartialEdges(nn.Module):
    """The edges of a cell on one in K channels; the other channels bypass them (equation 2).

    Edges are grouped by the state they leave, as in
    :class:`~nasbench_ecg_darts.edges.MergedEdges`.

    Args:
        operations: Candidate operations.
        nodes: Intermediate nodes.
        channels: Channels of a state, a multiple of ``share``.
        reduction: Whether the edges from the cell's inputs halve the length.
        share: K.
    """

    def __init__(
        self, operations: Sequence[str], nodes: int, channels: int, *, reduction: bool, share: int
    ) -> None:
        super().__init__()
        self.nodes, self.share, self.active = nodes, share, channels // share
        self.outgoing = outgoing_edges(operations, nodes, self.active, reduction=reduction)

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes.

        Args:
            s0: Output of the last but one cell [batch, channels, (1,) n].
            s1: Output of the last cell.
            weights: [n_edges, |O| + 1]; the last column scales the bypass of each edge.
        """
        mixed: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        bypassed: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        states = [s0, s1]
        for source, edges in enumerate(self.outgoing):
            assert isinstance(edges, OutgoingEdges)
            if source >= 2:
                states.append(self._node(mixed[source - 2], bypassed[source - 2]))
            nodes = target_nodes(source, self.nodes)
            rows = outgoing_weights(weights, source, nodes)
            active, bypass = states[source].tensor_split([self.active], dim=1)
            if edges.stride == 2:
                bypass = _halve(bypass)
            for node, term, row in zip(nodes, edges(active, rows[:, :-1]), rows, strict=True):
                mixed[node].append(term)
                bypassed[node].append(row[-1] * bypass)
        return [*states[2:], self._node(mixed[-1], bypassed[-1])]

    def _node(self, mixed: list[Tensor], bypassed: list[Tensor]) -> Tensor:
        both = torch.cat([sum_in_order(mixed), sum_in_order(bypassed)], dim=1)
        return shuffle_channels(both, self.share)


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Return ``x`` with its channel groups interleaved: the first channel of each group first."""
    batch, channels, *rest = x.shape
    return x.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(x.shape)


def _halve(x: Tensor) -> Tensor:
    if x.dim() == 4:
        return F.max_pool2d(x, (1, 2), ceil_mode=True)
    return F.max_pool1d(x, 2, ceil_mode=True)
