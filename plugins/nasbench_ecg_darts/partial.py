"""Edges through which only a part of the channels goes (PC-DARTS, section 3.1).

Of a state's channels the first K-th is mixed by the operations; the rest bypass them (halved by a
max pooling where the edge halves). Both parts are then shuffled, so that the next edge mixes other
channels. As the shuffle is linear, it is done once a node, on the sum of the node's edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_darts.merged import Departures, leaving, summed, targets


class PartialEdges(nn.Module):
    """The edges of a cell, grouped by the state they leave, on one in ``share`` channels.

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
        self.departures = nn.ModuleList(
            Departures(
                operations, len(targets(source, nodes)), self.active,
                2 if reduction and source < 2 else 1,
            )
            for source in range(nodes + 1)
        )  # fmt: skip

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes.

        Args:
            s0: Output of the last but one cell [batch, channels, (1,) n].
            s1: Output of the last cell.
            weights: [n_edges, |O| + 1]; the last column scales the bypass of each edge.
        """
        mixed: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        passed: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        states = [s0, s1]
        for source, departures in enumerate(self.departures):
            assert isinstance(departures, Departures)
            if source >= 2:
                states.append(self._node(mixed[source - 2], passed[source - 2]))
            nodes = targets(source, self.nodes)
            rows = leaving(weights, source, nodes)
            active, bypass = states[source].tensor_split([self.active], dim=1)
            if departures.stride == 2:
                bypass = _halve(bypass)
            for node, term, row in zip(nodes, departures(active, rows[:, :-1]), rows, strict=True):
                mixed[node].append(term)
                passed[node].append(row[-1] * bypass)
        return [*states[2:], self._node(mixed[-1], passed[-1])]

    def _node(self, mixed: list[Tensor], passed: list[Tensor]) -> Tensor:
        return shuffle(torch.cat([summed(mixed), summed(passed)], dim=1), self.share)


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of ``x`` out in turn: the first of each group comes first."""
    batch, channels, *rest = x.shape
    return x.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(x.shape)


def _halve(x: Tensor) -> Tensor:
    if x.dim() == 4:
        return F.max_pool2d(x, (1, 2), ceil_mode=True)
    return F.max_pool1d(x, 2, ceil_mode=True)
