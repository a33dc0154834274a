"""One architecture of a supernet, with the supernet's weights.

Of each edge only the operation that the architecture has there is computed, so that a pass costs
what the architecture costs, and not what all operations of all edges do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasbench_ecg_cells.genotype import Cell, Genotype
from nasbench_ecg_cells.layers import to_fast_layout
from nasbench_ecg_cells.network import DiscreteCell
from nasbench_ecg_darts.supernet import (
    MixedOperation,
    PlainEdges,
    SearchCell,
    SuperNet,
    edge_index,
)


class PathCell(DiscreteCell):
    """A cell of the supernet that keeps to the edges and operations of one architecture."""

    def __init__(self, cell: nn.Module, chosen: Cell, operations: Sequence[str]) -> None:
        super().__init__()
        assert isinstance(cell, SearchCell)
        edges = cell.edges
        assert isinstance(edges, PlainEdges)
        self.preprocess0, self.preprocess1 = cell.preprocess0, cell.preprocess1
        self.sources = tuple(tuple(edge.source for edge in node) for node in chosen)
        self.operations = nn.ModuleList(
            nn.ModuleList(
                _operation(edges, edge_index(i, edge.source), operations.index(edge.operation))
                for edge in node
            )
            for i, node in enumerate(chosen)
        )


class Path(nn.Module):
    """A network that shares all its weights with a supernet.

    Args:
        net: The supernet, made with plain edges.
        genotype: The architecture, of cells with as many nodes as the supernet's.
        operations: Names of the supernet's operations, in its order.
    """

    def __init__(self, net: SuperNet, genotype: Genotype, operations: Sequence[str]) -> None:
        super().__init__()
        chosen = {"normal": genotype.normal, "reduction": genotype.reduction}
        self.stem, self.head = net.stem, net.head
        self.cells = nn.ModuleList(
            PathCell(cell, chosen[name], operations)
            for name, cell in zip(net.names, net.cells, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes]."""
        s0 = s1 = self.stem(to_fast_layout(x))
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.head(s1)  # type: ignore[no-any-return]


def _operation(edges: PlainEdges, edge: int, column: int) -> nn.Module:
    mixed = edges.edges[edge]
    assert isinstance(mixed, MixedOperation)
    return mixed.operations[column]


@torch.no_grad()
def calibrate(path: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the running statistics of batch normalisation to what an architecture has by itself.

    What the supernet gathered while it was trained is a mixture over all architectures, with which
    a single one predicts poorly.

    Args:
        path: The architecture; left in evaluation mode.
        batches: Training beats [batch, leads, samples], over which statistics are averaged.

    References:
        Bender, Kindermans, Zoph, Vasudevan, Le 2018, "Understanding and Simplifying One-Shot
        Architecture Search", ICML, section 3.1.

        Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
        ECCV, section 3.4.
    """
    for module in path.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain average over the batches
    path.train()
    for batch in batches:
        path(batch)
    path.eval()
