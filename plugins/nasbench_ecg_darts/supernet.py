"""The relaxed network of DARTS: every edge is a weighted sum of all candidate operations.

:class:`PlainEdges` is the readable reference, one module per operation, as in equations (1) and (2)
of the paper. :mod:`nasbench_ecg_darts.edges` computes the same with fewer, larger convolutions.

References:
    Liu, Simonyan, Yang 2019, "DARTS: Differentiable Architecture Search", ICLR; sections 2.1, 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nasbench_ecg_cells.layers import (
    FactorizedReduction,
    Head,
    ReluConvNorm,
    Stem,
    operation,
    to_fast_layout,
)
from nasbench_ecg_cells.network import reduction_positions

CellName = Literal["normal", "reduction"]

EdgeWeights = dict[CellName, Tensor]
"""Mixing weights [n_edges, n_operations] of both cell types."""


def n_edges(nodes: int) -> int:
    """Return the number of edges into the intermediate nodes of a cell; 14 for four nodes."""
    return sum(i + 2 for i in range(nodes))


def edge_index(node: int, source: int) -> int:
    """Return the row of α for the edge from state ``source`` to node ``node``."""
    return n_edges(node) + source


class MixedOperation(nn.Module):
    """ō(x) = Σₒ wₒ · o(x), equation (2) with w = softmax(α)."""

    def __init__(self, operations: Sequence[str], channels: int, stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(
            operation(name, channels, stride, affine=False, norm_after_pool=True)
            for name in operations
        )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Mix the operations on ``x`` by ``weights`` [n_operations]."""
        outputs = [w * op(x) for w, op in zip(weights, self.operations, strict=True)]
        return torch.stack(outputs).sum(0)


class PlainEdges(nn.Module):
    """x⁽ʲ⁾ = Σ_{i<j} ō⁽ⁱʲ⁾(x⁽ⁱ⁾), equation (1), one module per operation."""

    def __init__(
        self, operations: Sequence[str], nodes: int, channels: int, *, reduction: bool
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.edges = nn.ModuleList(
            MixedOperation(operations, channels, 2 if reduction and source < 2 else 1)
            for node in range(nodes)
            for source in range(node + 2)
        )

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes.

        Args:
            s0: Preprocessed output of the last but one cell [batch, channels, (1,) n].
            s1: Preprocessed output of the last cell.
            weights: Mixing weights [n_edges, |O|].
        """
        states = [s0, s1]
        for node in range(self.nodes):
            edges = [edge_index(node, source) for source in range(node + 2)]
            terms = [self.edges[e](states[s], weights[e]) for s, e in enumerate(edges)]
            states.append(torch.stack(terms).sum(0))
        return states[2:]


class SearchCell(nn.Module):
    """A relaxed cell: preprocessed inputs, mixed edges, concatenated nodes."""

    def __init__(
        self, edges: nn.Module, c_before: int, c_last: int, channels: int, *, reduction_before: bool
    ) -> None:
        super().__init__()
        self.preprocess0 = (
            FactorizedReduction(c_before, channels, affine=False)
            if reduction_before
            else ReluConvNorm(c_before, channels, affine=False)
        )
        self.preprocess1 = ReluConvNorm(c_last, channels, affine=False)
        self.edges = edges

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> Tensor:
        """Map the outputs of the last but one and of the last cell to this cell's output."""
        return torch.cat(self.edges(self.preprocess0(s0), self.preprocess1(s1), weights), dim=1)


class SuperNet(nn.Module):
    """Stem, relaxed cells with shared α, global average pooling, linear classifier.

    Args:
        edges: Makes the mixed edges of a cell from (operations, nodes, channels, reduction=…):
            :class:`PlainEdges`, :class:`nasbench_ecg_darts.edges.MergedEdges` or a variant's.
            Called with (s0, s1, weights), they return the intermediate nodes.
        operations: Candidate operations.
        nodes: Intermediate nodes of a cell.
        cells: Cells in a row; reductions at one and two thirds.
        channels: Channels of an operation in the first cells.
        stem_filters: Filters of the stem.
        n_leads: Leads of the beats.
        n_classes: Classes.
    """

    def __init__(
        self,
        edges: Callable[..., nn.Module],
        *,
        operations: Sequence[str],
        nodes: int,
        cells: int,
        channels: int,
        stem_filters: int,
        n_leads: int,
        n_classes: int,
    ) -> None:
        super().__init__()
        self.stem = Stem(n_leads, stem_filters)
        self.names: list[CellName] = []
        self.cells = nn.ModuleList()
        c_before = c_last = stem_filters
        reduction_before = False
        for i in range(cells):
            reduction = i in reduction_positions(cells)
            channels *= 2 if reduction else 1
            mixed = edges(operations, nodes, channels, reduction=reduction)
            cell = SearchCell(mixed, c_before, c_last, channels, reduction_before=reduction_before)
            self.cells.append(cell)
            self.names.append("reduction" if reduction else "normal")
            reduction_before = reduction
            c_before, c_last = c_last, channels * nodes
        self.head = Head(c_last, n_classes)

    def forward(self, x: Tensor, weights: EdgeWeights) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes] under mixing weights."""
        s0 = s1 = self.stem(to_fast_layout(x))
        for name, cell in zip(self.names, self.cells, strict=True):
            s0, s1 = s1, cell(s0, s1, weights[name])
        return self.head(s1)  # type: ignore[no-any-return]
