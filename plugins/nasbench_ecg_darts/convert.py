"""Weights from the plain to the merged form of the supernet, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench_ecg_cells.layers import ConvNormRelu, FactorizedReduction
from nasbench_ecg_darts.edges import MergedEdges, OutgoingEdges, targets
from nasbench_ecg_darts.supernet import MixedOperation, PlainEdges, SuperNet, edge_index

_BUFFERS = ("running_mean", "running_var")


@torch.no_grad()
def plain_to_merged(plain: SuperNet, merged: SuperNet) -> None:
    """Copy all weights and running statistics of ``plain`` into ``merged``."""
    _copy_outside_edges(plain, merged)
    for edges, departures, rows in _pairs(plain, merged):
        plain_edges = [edges.edges[row] for row in rows]
        for op_plain, target in _views(plain_edges, departures):
            target.copy_(op_plain)


@torch.no_grad()
def merged_to_plain(merged: SuperNet, plain: SuperNet) -> None:
    """Copy all weights and running statistics of ``merged`` into ``plain``."""
    _copy_outside_edges(merged, plain)
    for edges, departures, rows in _pairs(plain, merged):
        plain_edges = [edges.edges[row] for row in rows]
        for op_plain, source in _views(plain_edges, departures):
            op_plain.copy_(source)


def _copy_outside_edges(source: SuperNet, target: SuperNet) -> None:
    state = {key: value for key, value in source.state_dict().items() if ".edges." not in key}
    missing = set(target.load_state_dict(state, strict=False).missing_keys)
    assert all(".edges." in key for key in missing)


def _pairs(plain: SuperNet, merged: SuperNet) -> list[tuple[PlainEdges, OutgoingEdges, list[int]]]:
    pairs = []
    for plain_cell, merged_cell in zip(plain.cells, merged.cells, strict=True):
        edges, together = plain_cell.edges, merged_cell.edges
        assert isinstance(edges, PlainEdges) and isinstance(together, MergedEdges)
        for source, departures in enumerate(together.departures):
            assert isinstance(departures, OutgoingEdges)
            rows = [edge_index(node, source) for node in targets(source, together.nodes)]
            pairs.append((edges, departures, rows))
    return pairs


def _views(edges: list[nn.Module], departures: OutgoingEdges) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of a plain tensor and the view of the merged tensor that holds the same."""
    views: list[tuple[Tensor, Tensor]] = []
    for i, edge in enumerate(edges):
        assert isinstance(edge, MixedOperation)
        for name, column in departures.column.items():
            op = edge.operations[column]
            size = name.rpartition("-")[2]
            if isinstance(op, ConvNormRelu):
                views += _block(op[0], departures.convs[size], i, ("weight",))
                views += _block(op[1], departures.norms[size], i, _BUFFERS)
            elif name.startswith("max-pool"):
                views += _block(op[1], departures.pool_norms[size], 0, _BUFFERS)  # type: ignore[index]
            elif isinstance(op, FactorizedReduction):
                assert departures.reduction is not None
                views += _block(op.even, departures.reduction.even, i, ("weight",))
                views += _block(op.odd, departures.reduction.odd, i, ("weight",))
                views += _block(op.norm, departures.reduction.norm, i, _BUFFERS)
    return views


def _block(
    plain: nn.Module, merged: nn.Module, index: int, names: tuple[str, ...]
) -> list[tuple[Tensor, Tensor]]:
    pairs = []
    for name in names:
        own, together = getattr(plain, name), getattr(merged, name)
        size = own.shape[0]
        pairs.append((own.data, together.data[index * size : (index + 1) * size]))
    return pairs
