"""α: its mixing weights, the discrete cells derived from it, and indicators of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasbench_ecg_cells.genotype import Cell, Edge, Genotype
from nasbench_ecg_darts.supernet import CellName, EdgeWeights, edge_index, n_edges

CELL_NAMES: tuple[CellName, ...] = ("normal", "reduction")

Alpha = dict[CellName, Tensor]
"""The relaxed architecture, [n_edges, n_operations] for each cell type."""


def initial_alpha(nodes: int, n_operations: int, device: str, scale: float = 1e-3) -> Alpha:
    """Return α ~ scale · N(0, 1), drawn on the CPU so that it is the same on every device."""
    return {
        name: (scale * torch.randn(n_edges(nodes), n_operations)).to(device).requires_grad_()
        for name in CELL_NAMES
    }


def mixing_weights(alpha: Alpha) -> EdgeWeights:
    """Return softmax(α) over the operations of each edge."""
    return {name: value.softmax(dim=-1) for name, value in alpha.items()}


def discretize(weights: EdgeWeights, operations: Sequence[str], nodes: int) -> Genotype:
    """Return the discrete cells derived from mixing weights.

    Each node keeps the two incoming edges whose best operation other than ``none`` has the largest
    weight, each with that operation (Liu et al. 2019, section 2.4).

    Args:
        weights: [n_edges, n_operations] for both cell types.
        operations: Names of the columns.
        nodes: Intermediate nodes of a cell.
    """
    normal, reduction = (_cell(weights[name].tolist(), operations, nodes) for name in CELL_NAMES)
    return Genotype(normal, reduction)


def _cell(weights: list[list[float]], operations: Sequence[str], nodes: int) -> Cell:
    real = [o for o, name in enumerate(operations) if name != "none"]

    def node_edges(node: int) -> tuple[Edge, Edge]:
        best = []
        for source in range(node + 2):
            row = weights[edge_index(node, source)]
            column = max(real, key=row.__getitem__)
            best.append((row[column], Edge(source, operations[column])))
        strongest = sorted(best, key=lambda item: -item[0])[:2]
        first, second = sorted(edge for _, edge in strongest)
        return first, second

    return tuple(node_edges(node) for node in range(nodes))


def skip_share(genotype: Genotype) -> float:
    """Return the share of skips among the edges of both cells; near 1 where DARTS collapsed."""
    edges = [
        edge for cell in (genotype.normal, genotype.reduction) for node in cell for edge in node
    ]
    return sum(edge.operation == "skip" for edge in edges) / len(edges)


def entropy(weights: EdgeWeights) -> float:
    """Return the mean entropy in nats of the mixing weights of an edge; log |O| if uniform."""
    rows = [w.detach() for w in weights.values()]
    terms = [-(w * w.clamp_min(1e-12).log()).sum(-1) for w in rows]
    return float(torch.cat(terms).mean())
