"""Genotypes of ``conv-cells``: a normal and a reduction cell of nodes with two incoming edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasbench_ecg.api import Architecture, OptionError
from nasbench_ecg_cells.options import OPERATIONS

SPACE = "conv-cells"


@dataclass(frozen=True, order=True)
class Edge:
    """An operation applied to an earlier state of the cell.

    Attributes:
        source: Index of the state: 0 and 1 are the outputs of the second-to-last and the last cell,
            2 is the first node.
        operation: Name of the operation.
    """

    source: int
    operation: str


Cell = tuple[tuple[Edge, Edge], ...]
"""The nodes of a cell in order; the two edges of a node are sorted by source."""


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell."""

    normal: Cell
    reduction: Cell

    def to_architecture(self) -> Architecture:
        """Return the genotype as an architecture."""
        return Architecture(
            SPACE,
            {
                name: [[[edge.operation, edge.source] for edge in node] for node in cell]
                for name, cell in (("normal", self.normal), ("reduction", self.reduction))
            },
        )

    @classmethod
    def from_architecture(cls, arch: Architecture) -> Genotype:
        """Return the genotype of an architecture of ``conv-cells``.

        Raises:
            OptionError: The architecture belongs to another space, or its cells are malformed.
        """
        if arch.space != SPACE:
            raise OptionError(
                f"This architecture is of the space {arch.space!r}, not {SPACE!r}.",
                fix=f"Name its space, --space {arch.space}, and a builder of that.",
            )
        if not isinstance(arch.genotype, Mapping) or set(arch.genotype) != {"normal", "reduction"}:
            raise OptionError(
                "A genotype of conv-cells must have two cells, 'normal' and 'reduction'."
            )
        return cls(
            normal=_read_cell("normal", arch.genotype["normal"]),
            reduction=_read_cell("reduction", arch.genotype["reduction"]),
        )


def _read_cell(name: str, nodes: Any) -> Cell:
    if not isinstance(nodes, Sequence) or not nodes:
        raise OptionError(f"The {name} cell must be a list of nodes.")
    return tuple(_read_node(f"{name} cell, node {i + 1}", i, node) for i, node in enumerate(nodes))


def _read_node(where: str, index: int, node: Any) -> tuple[Edge, Edge]:
    try:
        edges = sorted(Edge(source, operation) for operation, source in node)
    except (TypeError, ValueError):
        raise OptionError(
            "A node must be a list of [operation, source] pairs.", where=where
        ) from None
    for edge in edges:
        if type(edge.source) is not int:
            raise OptionError(f"The source {edge.source!r} is not an integer.", where=where)
        if edge.operation not in OPERATIONS:
            raise OptionError(
                f"{edge.operation!r} is not an operation.", where=where,
                fix=f"Use one of: {', '.join(OPERATIONS)}.",
            )  # fmt: skip
    if len(edges) != 2 or edges[0].source == edges[1].source:
        raise OptionError("A node must have two edges from different sources.", where=where)
    if edges[0].source < 0 or edges[1].source >= index + 2:
        raise OptionError(f"Sources of this node must be in 0…{index + 1}.", where=where)
    return edges[0], edges[1]
