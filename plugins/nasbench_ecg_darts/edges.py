"""The same edges with fewer, larger convolutions.

All edges that leave one state share their input, so for each kernel size their convolutions are one
convolution with more filters: 30 a cell instead of 84. Poolings and skips of stride 1 have no
weights and are computed once a state. As mixing weights are not negative and ReLU is positively
homogeneous, w · ReLU(BN(x)) = ReLU(w · BN(x)): the weight of an operation is the scale of its batch
normalisation, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_cells.layers import BatchNorm, Conv, MaxPool
from nasbench_ecg_darts.supernet import MixedOperation, PlainEdges, edge_index


class ScaledNorm(BatchNorm):
    """Batch normalisation without learned scale, whose output is scaled by given weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.register_buffer("zero", torch.zeros(channels), persistent=False)
        self.zero: Tensor

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise ``x`` and multiply its channels by ``scale`` [channels]."""
        if self.training:
            self.num_batches_tracked: Tensor
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            weight=scale,
            bias=self.zero,
            training=self.training,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )


class OutgoingEdges(nn.Module):
    """All operations on all edges that leave one state.

    Args:
        operations: Candidate operations.
        fanout: Number of edges that leave the state.
        channels: Channels of the state and of each edge.
        stride: 2 for the inputs of a reduction cell, else 1.
    """

    def __init__(self, operations: Sequence[str], fanout: int, channels: int, stride: int) -> None:
        super().__init__()
        self.fanout, self.channels = fanout, channels
        self.column = {name: i for i, name in enumerate(operations)}
        self.kernels = [int(name.rpartition("-")[2]) for name in operations if "conv-" in name]
        self.pool_sizes = [int(name.rpartition("-")[2]) for name in operations if "pool-" in name]
        self.skips = "skip" in operations
        self.convs = nn.ModuleDict(
            {str(k): Conv(channels, fanout * channels, k, stride) for k in self.kernels}
        )
        self.norms = nn.ModuleDict({str(k): ScaledNorm(fanout * channels) for k in self.kernels})
        self.pools = nn.ModuleDict({str(k): MaxPool(k, stride) for k in self.pool_sizes})
        self.pool_norms = nn.ModuleDict(
            {str(k): BatchNorm(channels, affine=False) for k in self.pool_sizes}
        )
        self.reduction = MergedReduction(fanout, channels) if self.skips and stride == 2 else None
        self.stride = stride

    def forward(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        """Return what each edge adds to its node, for weights [fanout, |O|]."""
        merged: Tensor | None = None
        for k in self.kernels:
            scale = self._per_channel(weights[:, self.column[f"conv-{k}"]])
            term = F.relu(self.norms[str(k)](self.convs[str(k)](x), scale))
            merged = term if merged is None else merged + term
        if self.reduction is not None:
            term = self.reduction(x, self._per_channel(weights[:, self.column["skip"]]))
            merged = term if merged is None else merged + term
        shared = [
            (self.column[f"max-pool-{k}"], self.pool_norms[str(k)](self.pools[str(k)](x)))
            for k in self.pool_sizes
        ]
        if self.skips and self.reduction is None:
            shared.append((self.column["skip"], x))
        own = (
            [None] * self.fanout
            if merged is None
            else list(torch.split(merged, self.channels, dim=1))
        )
        common = _mix(shared, weights) if shared else [None] * self.fanout
        zero = torch.zeros_like(x[..., :: self.stride]) if merged is None and not shared else None
        return [_total(a, b, zero) for a, b in zip(own, common, strict=True)]

    def _per_channel(self, weights: Tensor) -> Tensor:
        return weights.repeat_interleave(self.channels)


def _mix(shared: list[tuple[int, Tensor]], weights: Tensor) -> list[Tensor]:
    """Return Σₒ w[e, o] · xₒ for every edge e, as one matrix product."""
    columns = [column for column, _ in shared]
    stacked = torch.stack([x.movedim(1, -1) for _, x in shared])
    chosen = torch.stack([weights[:, column] for column in columns], dim=1)
    mixed = chosen.to(stacked.dtype) @ stacked.reshape(len(columns), -1)
    return [edge.movedim(-1, 1) for edge in mixed.view(len(weights), *stacked.shape[1:])]


def _total(a: Tensor | None, b: Tensor | None, zero: Tensor | None) -> Tensor:
    if a is not None and b is not None:
        return a + b
    total = a if a is not None else b if b is not None else zero
    assert total is not None
    return total


class MergedReduction(nn.Module):
    """The factorized reductions of all edges that leave one state."""

    def __init__(self, fanout: int, channels: int) -> None:
        super().__init__()
        self.fanout = fanout
        self.even = Conv(channels, fanout * (channels - channels // 2), 1, stride=2)
        self.odd = Conv(channels, fanout * (channels // 2), 1, stride=2)
        self.norm = ScaledNorm(fanout * channels)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """Map [batch, c, (1,) n] to [batch, fanout · c, (1,) ceil(n / 2)]."""
        x = F.relu(x)
        shifted = x[..., 1:] if x.shape[-1] % 2 == 0 else F.pad(x[..., 1:], (0, 1))
        even = self.even(x).chunk(self.fanout, dim=1)
        odd = self.odd(shifted).chunk(self.fanout, dim=1)
        pairs = [half for pair in zip(even, odd, strict=True) for half in pair]
        return self.norm(torch.cat(pairs, dim=1), scale)  # type: ignore[no-any-return]


class MergedEdges(nn.Module):
    """The edges of a cell, grouped by the state they leave; equal to ``PlainEdges``."""

    def __init__(
        self, operations: Sequence[str], nodes: int, channels: int, *, reduction: bool
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.departures = nn.ModuleList(
            OutgoingEdges(
                operations, len(targets(source, nodes)), channels,
                2 if reduction and source < 2 else 1,
            )
            for source in range(nodes + 1)
        )  # fmt: skip

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes."""
        terms: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        states = [s0, s1]
        for source, departures in enumerate(self.departures):
            if source >= 2:
                states.append(summed(terms[source - 2]))
            nodes = targets(source, self.nodes)
            found = departures(states[source], leaving(weights, source, nodes))
            for node, term in zip(nodes, found, strict=True):
                terms[node].append(term)
        return [*states[2:], summed(terms[-1])]


def targets(source: int, nodes: int) -> range:
    """Return the nodes that state ``source`` has an edge to."""
    return range(max(0, source - 1), nodes)


def leaving(weights: Tensor, source: int, nodes: Sequence[int]) -> Tensor:
    """Return the weights [n_nodes, |O|] of the edges from a state to ``nodes``.

    Rows are taken one by one: a list of them as index would be copied from the host in every step,
    for which a GPU waits and which a CUDA graph cannot hold.
    """
    return torch.stack([weights[edge_index(node, source)] for node in nodes])


def summed(terms: list[Tensor]) -> Tensor:
    """Return the sum of ``terms``, from left to right."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


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
            OutgoingEdges(
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
            assert isinstance(departures, OutgoingEdges)
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


class SparseEdges(PlainEdges):
    """:class:`PlainEdges` where an operation whose weight is exactly zero is not computed.

    Its weights get no gradient then, and neither does its mixing weight.
    """

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes; every edge must have an operation of some weight."""
        weighty = (weights.detach() != 0).tolist()
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
                    if weighty[row][o]
                ]
            states.append(summed(terms))
        return states[2:]
