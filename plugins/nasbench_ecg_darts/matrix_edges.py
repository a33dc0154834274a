"""Mixed edges as one matrix product for each state, for GPUs.

A GPU waits for the launches of small kernels rather than for arithmetic. All convolutions that
leave one state are therefore one product: the samples that the longest kernel reads at each
position, times all weights, with zeros around the shorter kernels. Heart-DARTS thus needs 5
products per cell instead of 30 convolutions, at 2.2 times the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_darts.edges import MergedEdges, OutgoingEdges, sum_in_order, target_nodes
from nasbench_ecg_darts.supernet import edge_index


def edges_on(device: str, edges: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return the form of ``edges`` that is fast on ``device``: a GPU has :class:`MatrixEdges`."""
    if edges is MergedEdges and torch.device(device).type == "cuda":
        return MatrixEdges
    return edges


class MatrixEdges(nn.Module):
    """The edges of a cell, one matrix product for each state; computes as ``MergedEdges`` does.

    Normalization always uses the statistics of the batch, and stores none. Weights are drawn as
    those of ``MergedEdges``, which this form is made from.
    """

    def __init__(
        self, operations: Sequence[str], nodes: int, channels: int, *, reduction: bool
    ) -> None:
        super().__init__()
        merged = MergedEdges(operations, nodes, channels, reduction=reduction)
        self.outgoing = nn.ModuleList(
            OutgoingProduct(edges) for edges in merged.outgoing if isinstance(edges, OutgoingEdges)
        )
        self.fanouts = [len(target_nodes(source, nodes)) for source in range(nodes + 1)]
        rows = [
            edge_index(node, source)
            for source in range(nodes + 1)
            for node in target_nodes(source, nodes)
        ]
        kinds = "conv-", "max-pool-", "skip"
        columns = [i for kind in kinds for i, name in enumerate(operations) if kind in name]
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.rows: Tensor
        self.columns: Tensor

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes."""
        chosen = weights.index_select(0, self.rows).index_select(1, self.columns)
        by_state = torch.split(chosen, self.fanouts)
        states = [_samples_first(s0), _samples_first(s1)]
        total: Tensor | None = None
        for source, (edges, mixing) in enumerate(zip(self.outgoing, by_state, strict=True)):
            if source >= 2:
                assert total is not None
                node, total = torch.split(total, [1, total.shape[-1] - 1], dim=-1)
                states.append(node.squeeze(-1))
            output = edges(states[source].contiguous(), mixing)
            total = output if total is None else total + output
        assert total is not None
        nodes = [*states[2:], *total.unbind(-1)]
        return [node.unsqueeze(1).permute(0, 3, 1, 2) for node in nodes]


def _samples_first(x: Tensor) -> Tensor:
    """Return [batch, channels, (1,) n] as [batch, n, channels]."""
    return (x.squeeze(2) if x.dim() == 4 else x).transpose(1, 2)


class OutgoingProduct(nn.Module):
    """All operations on all edges that leave one state.

    Args:
        edges: The same as convolutions; the weights are taken from it.
    """

    def __init__(self, edges: OutgoingEdges) -> None:
        super().__init__()
        self.fanout, self.channels, self.stride = edges.fanout, edges.channels, edges.stride
        self.kernels, self.taps = edges.kernels, max(edges.kernels, default=0)
        self.pools, self.reduction = edges.pools, edges.reduction
        self.passes = edges.skips and edges.reduction is None
        convs = [weight.detach().flatten() for weight in edges.convs.parameters()]
        flat = torch.cat(convs) if convs else None
        self.weight = None if flat is None else nn.Parameter(flat)
        self.sizes = [len(self.kernels), len(self.pools), int(edges.skips)]
        self.register_buffer("places", self._places_of_weights(), persistent=False)
        self.places: Tensor

    def _places_of_weights(self) -> Tensor:
        """Return the place of each weight in the flat matrix [taps · c, kernels · c · fanout]."""
        c, e, k = self.channels, self.fanout, len(self.kernels)
        matrix = torch.arange(self.taps * c * k * c * e).view(self.taps, c, k, c, e)
        places = [torch.empty(0, dtype=torch.int64)]
        for number, size in enumerate(self.kernels):
            first = (self.taps - size) // 2
            block = matrix[first : first + size, :, number]  # [taps, input, output, edge]
            places.append(block.permute(3, 2, 1, 0).flatten())  # the order of a convolution
        return torch.cat(places)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the output of each edge, [batch, n_out, channels, fanout].

        Args:
            x: The state [batch, n, channels], contiguous.
            weights: Mixing weights [fanout, |O|] of convolutions, poolings and skip, in this order.
        """
        of_convs, of_pools, of_skip = torch.split(weights, self.sizes, dim=1)
        image = x.unsqueeze(1).permute(0, 3, 1, 2)  # channels-last memory
        terms = []
        if self.weight is not None:
            terms.append(self._convolutions(x, self.weight, of_convs))
        if self.reduction is not None:
            halved = self.reduction(image, of_skip.flatten().repeat_interleave(self.channels))
            halved = _samples_first(halved)
            halved = halved.reshape(*halved.shape[:2], self.fanout, self.channels)
            terms.append(halved.transpose(-1, -2))
        common = [_samples_first(pool(image)) for pool in self.pools.values()]
        if common:
            pooled = _normalized(torch.stack(common, dim=-1).flatten(-2))
            common = [pooled.view(*pooled.shape[:2], self.channels, len(self.pools))]
        if self.passes:
            common.append(x.unsqueeze(-1))
        if common:
            chosen = torch.cat([of_pools, of_skip], dim=1) if self.passes else of_pools
            together = torch.cat(common, dim=-1).unsqueeze(-1)
            terms.append(_sum(together * chosen.t().to(together.dtype), -2))
        if not terms:
            return x.new_zeros(len(x), -(-x.shape[1] // self.stride), self.channels, self.fanout)
        return sum_in_order(terms)

    def _convolutions(self, x: Tensor, weight: Tensor, mixing: Tensor) -> Tensor:
        """Return Σₖ wₖ · ReLU(BN(convₖ(x))) for mixing weights [fanout, kernels]."""
        c, e, k = self.channels, self.fanout, len(self.kernels)
        matrix = x.new_zeros(self.taps * c * k * c * e)
        matrix.index_copy_(0, self.places, weight.to(x.dtype))
        windows = _Windows.apply(x, self.taps, self.stride)  # type: ignore[no-untyped-call]
        scale = mixing.t().unsqueeze(1).expand(k, c, e).flatten().contiguous()
        outputs = F.relu(_normalized(windows @ matrix.view(self.taps * c, k * c * e), scale))
        batch, n, _ = outputs.shape
        return _sum(outputs.view(batch, n, k, c, e), 2)


def _sum(x: Tensor, dim: int) -> Tensor:
    """Return the sum over ``dim`` in the precision of ``x``; autocast would return float32."""
    return x.sum(dim, dtype=x.dtype)


def _normalized(x: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return [batch, n, channels] with mean 0 and variance 1 in each channel, times ``scale``."""
    flat = x.flatten(0, 1)
    return F.batch_norm(flat, None, None, scale, training=True).view(x.shape)


class _Windows(torch.autograd.Function):
    """The samples that a convolution with padding reads: [batch, n, c] → [batch, n_out, taps · c].

    PyTorch differentiates a view of overlapping windows one element at a time. Here the gradient is
    a sum over the taps of another such view.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: int, stride: int) -> Tensor:
        batch, n, c = x.shape
        ctx.taps, ctx.stride, ctx.n = taps, stride, n
        padded = F.pad(x, (0, 0, taps // 2, taps // 2))
        row = (n + 2 * (taps // 2)) * c
        shape = batch, -(-n // stride), taps * c
        return padded.as_strided(shape, (row, stride * c, 1)).contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        taps, stride, n = ctx.taps, ctx.stride, ctx.n
        batch, n_out, width = grad.shape
        half, c = taps // 2, width // taps
        if stride == 1:
            padded = F.pad(grad, (0, 0, half, half))
        else:
            padded = grad.new_zeros(batch, n + 2 * half, width)
            padded[:, half : half + stride * n_out : stride] = grad
        # Sample t is tap j of the window around t + half − j; taps are counted from the last one.
        strides = padded.shape[1] * width, width, width - c, 1
        by_tap = padded.as_strided((batch, n, taps, c), strides, width - c)
        return by_tap.sum(2), None, None
