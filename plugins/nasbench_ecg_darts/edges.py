"""Mixed edges with fewer, larger convolutions, and weights converted from and to the plain form.

All edges that leave one state share their input, so for each kernel size their convolutions are one
convolution with more filters: 30 per cell instead of 84. Poolings and skips of stride 1 have no
weights and are computed once per state. As mixing weights are not negative and ReLU is positively
homogeneous, w · ReLU(BN(x)) = ReLU(w · BN(x)): the weight of an operation is the scale of its batch
normalization, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_cells.layers import BatchNorm, Conv, ConvNormRelu, FactorizedReduction, MaxPool
from nasbench_ecg_darts.supernet import MixedOperation, PlainEdges, SuperNet, edge_index


class MergedEdges(nn.Module):
    """The edges of a cell, grouped by the state they leave; computes the same as ``PlainEdges``."""

    def __init__(
        self, operations: Sequence[str], nodes: int, channels: int, *, reduction: bool
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.outgoing = outgoing_edges(operations, nodes, channels, reduction=reduction)

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes."""
        terms: list[list[Tensor]] = [[] for _ in range(self.nodes)]
        states = [s0, s1]
        for source, edges in enumerate(self.outgoing):
            if source >= 2:
                states.append(sum_in_order(terms[source - 2]))
            nodes = target_nodes(source, self.nodes)
            outputs = edges(states[source], outgoing_weights(weights, source, nodes))
            for node, output in zip(nodes, outputs, strict=True):
                terms[node].append(output)
        return [*states[2:], sum_in_order(terms[-1])]


def outgoing_edges(
    operations: Sequence[str], nodes: int, channels: int, *, reduction: bool
) -> nn.ModuleList:
    """Return the :class:`OutgoingEdges` of each state of a cell."""
    return nn.ModuleList(
        OutgoingEdges(
            operations,
            len(target_nodes(source, nodes)),
            channels,
            stride=2 if reduction and source < 2 else 1,
        )
        for source in range(nodes + 1)
    )


def target_nodes(source: int, nodes: int) -> range:
    """Return the nodes that state ``source`` has an edge to."""
    return range(max(0, source - 1), nodes)


def outgoing_weights(weights: Tensor, source: int, nodes: Sequence[int]) -> Tensor:
    """Return the weights [n_nodes, |O|] of the edges from a state to ``nodes``.

    Rows are taken one by one: a list of row numbers would be copied from the host in every step,
    which makes a GPU wait and cannot be captured in a CUDA graph.
    """
    return torch.stack([weights[edge_index(node, source)] for node in nodes])


def sum_in_order(terms: list[Tensor]) -> Tensor:
    """Return the sum of ``terms``, added from first to last."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


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
        """Return the output of each edge for weights [fanout, |O|]."""
        merged: Tensor | None = None
        for k in self.kernels:
            scale = self._per_channel(weights[:, self.column[f"conv-{k}"]])
            term = F.relu(self.norms[str(k)](self.convs[str(k)](x), scale))
            merged = term if merged is None else merged + term
        if self.reduction is not None:
            term = self.reduction(x, self._per_channel(weights[:, self.column["skip"]]))
            merged = term if merged is None else merged + term
        common = [
            (self.column[f"max-pool-{k}"], self.pool_norms[str(k)](self.pools[str(k)](x)))
            for k in self.pool_sizes
        ]
        if self.skips and self.reduction is None:
            common.append((self.column["skip"], x))
        with_weights = (
            [None] * self.fanout
            if merged is None
            else list(torch.split(merged, self.channels, dim=1))
        )
        without_weights = _mix(common, weights) if common else [None] * self.fanout
        zero = torch.zeros_like(x[..., :: self.stride]) if merged is None and not common else None
        return [_add(a, b, zero) for a, b in zip(with_weights, without_weights, strict=True)]

    def _per_channel(self, weights: Tensor) -> Tensor:
        return weights.repeat_interleave(self.channels)


def _mix(common: list[tuple[int, Tensor]], weights: Tensor) -> list[Tensor]:
    """Return Σₒ w[e, o] · xₒ for every edge e, as one matrix product."""
    columns = [column for column, _ in common]
    stacked = torch.stack([x.movedim(1, -1) for _, x in common])
    chosen = torch.stack([weights[:, column] for column in columns], dim=1)
    mixed = chosen.to(stacked.dtype) @ stacked.reshape(len(columns), -1)
    return [edge.movedim(-1, 1) for edge in mixed.view(len(weights), *stacked.shape[1:])]


def _add(a: Tensor | None, b: Tensor | None, zero: Tensor | None) -> Tensor:
    if a is not None and b is not None:
        return a + b
    total = a if a is not None else b if b is not None else zero
    assert total is not None
    return total


class ScaledNorm(BatchNorm):
    """Batch normalization without learned scale, whose output is scaled by given weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.register_buffer("zero", torch.zeros(channels), persistent=False)
        self.zero: Tensor

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        """Normalize ``x`` and multiply its channels by ``scale`` [channels]."""
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


@torch.no_grad()
def plain_to_merged(plain: SuperNet, merged: SuperNet) -> None:
    """Copy all weights and running statistics of ``plain`` into ``merged``."""
    _copy_outside_edges(plain, merged)
    for plain_tensor, merged_view in _corresponding_tensors(plain, merged):
        merged_view.copy_(plain_tensor)


@torch.no_grad()
def merged_to_plain(merged: SuperNet, plain: SuperNet) -> None:
    """Copy all weights and running statistics of ``merged`` into ``plain``."""
    _copy_outside_edges(merged, plain)
    for plain_tensor, merged_view in _corresponding_tensors(plain, merged):
        plain_tensor.copy_(merged_view)


def _copy_outside_edges(source: SuperNet, target: SuperNet) -> None:
    state = {key: value for key, value in source.state_dict().items() if ".edges." not in key}
    missing = set(target.load_state_dict(state, strict=False).missing_keys)
    assert all(".edges." in key for key in missing)


def _corresponding_tensors(plain: SuperNet, merged: SuperNet) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each tensor of the plain edges with the view of a merged tensor that it equals."""
    for plain_cell, merged_cell in zip(plain.cells, merged.cells, strict=True):
        plain_edges, merged_edges = plain_cell.edges, merged_cell.edges
        assert isinstance(plain_edges, PlainEdges) and isinstance(merged_edges, MergedEdges)
        for source, outgoing in enumerate(merged_edges.outgoing):
            assert isinstance(outgoing, OutgoingEdges)
            for i, node in enumerate(target_nodes(source, merged_edges.nodes)):
                mixed = plain_edges.edges[edge_index(node, source)]
                assert isinstance(mixed, MixedOperation)
                yield from _of_edge(mixed, outgoing, i)


def _of_edge(
    mixed: MixedOperation, outgoing: OutgoingEdges, index: int
) -> Iterator[tuple[Tensor, Tensor]]:
    statistics = ("running_mean", "running_var")
    for name, column in outgoing.column.items():
        op = mixed.operations[column]
        size = name.rpartition("-")[2]
        if isinstance(op, ConvNormRelu):
            yield from _blocks(op[0], outgoing.convs[size], index, ("weight",))
            yield from _blocks(op[1], outgoing.norms[size], index, statistics)
        elif name.startswith("max-pool"):
            assert isinstance(op, nn.Sequential)
            yield from _blocks(op[1], outgoing.pool_norms[size], 0, statistics)
        elif isinstance(op, FactorizedReduction):
            assert outgoing.reduction is not None
            yield from _blocks(op.even, outgoing.reduction.even, index, ("weight",))
            yield from _blocks(op.odd, outgoing.reduction.odd, index, ("weight",))
            yield from _blocks(op.norm, outgoing.reduction.norm, index, statistics)


def _blocks(
    plain: nn.Module, merged: nn.Module, index: int, names: tuple[str, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    for name in names:
        small, large = getattr(plain, name), getattr(merged, name)
        size = small.shape[0]
        yield small.data, large.data[index * size : (index + 1) * size]
