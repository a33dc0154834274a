"""The search space ``conv-cells`` of Heart-DARTS (Lv et al. 2021, sections III-A and IV-C)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from math import comb, prod

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    OptionError,
    Parameter,
    ParameterValue,
    check_values,
)
from nasbench_ecg_cells.drawing import draw_svg, draw_text
from nasbench_ecg_cells.genotype import SPACE, Cell, Edge, Genotype
from nasbench_ecg_cells.options import ConvCellsOptions

CELL_NAMES = ("normal", "reduction")


class ConvCells:
    """A normal and a reduction cell; each node adds two operations on two different earlier states.

    Choose it with any strategy for discrete architectures, or with ``darts``, which relaxes it.
    """

    name = SPACE

    def __init__(self, options: ConvCellsOptions) -> None:
        self.options = options
        self.nodes = options.nodes
        self.operations = options.operations
        self.real_operations = tuple(op for op in options.operations if op != "none")

    def without_none(self) -> ConvCells:
        """Return the same space without the operation ``none``, which no architecture contains."""
        return ConvCells(self.options.model_copy(update={"operations": self.real_operations}))

    @property
    def size(self) -> int:
        """Number of genotypes: for each cell the product over nodes of C(i + 2, 2) · |O|²."""
        n = len(self.real_operations)
        return prod(comb(i + 2, 2) * n * n for i in range(self.nodes)) ** 2

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return an architecture drawn uniformly."""
        normal, reduction = (
            tuple(self._sample_node(i, rng) for i in range(self.nodes)) for _ in CELL_NAMES
        )
        return Genotype(normal, reduction).to_architecture()

    def _sample_node(self, index: int, rng: np.random.Generator) -> tuple[Edge, Edge]:
        sources = sorted(int(s) for s in rng.choice(index + 2, size=2, replace=False))
        first, second = (
            Edge(s, self.real_operations[rng.integers(len(self.real_operations))]) for s in sources
        )
        return first, second

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a neighbor drawn uniformly.

        Raises:
            OptionError: The space contains no other architecture.
        """
        genotype = self._read(arch)
        if not self._neighbors_of_cell:
            raise OptionError(
                "This space contains a single architecture, which cannot be mutated.",
                fix="Set more space.nodes or space.operations.",
            )
        drawn = rng.integers(len(CELL_NAMES) * self._neighbors_of_cell)
        return self._neighbor(genotype, int(drawn))

    @property
    def mutation_kinds(self) -> tuple[str, ...]:
        """``operation`` and ``source``, as in Real et al. 2019; those that have an alternative."""
        alternatives = {"operation": len(self.real_operations) > 1, "source": self.nodes > 1}
        return tuple(kind for kind, any_ in alternatives.items() if any_)

    def mutate_kind(self, arch: Architecture, kind: str, rng: np.random.Generator) -> Architecture:
        """Return a neighbor: draw a cell, a node, one of its two edges, and its new value.

        Source: Real et al. 2019, section 3.1. The first node has no other source to choose.

        Args:
            arch: Architecture of this space.
            kind: One of :attr:`mutation_kinds`.
            rng: Draws the change.
        """
        if kind not in self.mutation_kinds:
            raise OptionError(
                f"This space has no mutation of the kind {kind!r}.",
                fix=f"Use one of: {', '.join(self.mutation_kinds) or 'none'}.",
            )
        genotype = self._read(arch)
        name = CELL_NAMES[rng.integers(len(CELL_NAMES))]
        cell: Cell = getattr(genotype, name)
        i = int(rng.integers(1 if kind == "source" else 0, self.nodes))
        which = rng.integers(2)
        here, other = cell[i][which], cell[i][1 - which]
        if kind == "operation":
            others = [op for op in self.real_operations if op != here.operation]
            changed = Edge(here.source, others[rng.integers(len(others))])
        else:
            sources = [s for s in range(i + 2) if s not in (here.source, other.source)]
            changed = Edge(sources[rng.integers(len(sources))], here.operation)
        first, second = sorted((changed, other))
        new = (*cell[:i], (first, second), *cell[i + 1 :])
        return replace(genotype, **{name: new}).to_architecture()

    @cached_property
    def _neighbors_of_node(self) -> list[int]:
        """Neighbors that differ in each node: for both edges, |O| - 1 operations and i sources."""
        return [2 * (len(self.real_operations) - 1 + i) for i in range(self.nodes)]

    @cached_property
    def _neighbors_of_cell(self) -> int:
        return sum(self._neighbors_of_node)

    def _neighbor(self, genotype: Genotype, index: int) -> Architecture:
        """Return the architecture at ``index`` of :meth:`neighbours`, without the others."""
        which, index = divmod(index, self._neighbors_of_cell)
        cell: Cell = getattr(genotype, CELL_NAMES[which])
        i = 0
        while index >= self._neighbors_of_node[i]:
            index -= self._neighbors_of_node[i]
            i += 1
        changed = list(self._changed_nodes(i, cell[i]))[index]
        other = (*cell[:i], changed, *cell[i + 1 :])
        return replace(genotype, **{CELL_NAMES[which]: other}).to_architecture()

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a child; each of its nodes, with both edges, comes from ``a`` or ``b``."""
        ga, gb = self._read(a), self._read(b)
        normal, reduction = (
            tuple(
                node_a if rng.random() < 0.5 else node_b
                for node_a, node_b in zip(getattr(ga, name), getattr(gb, name), strict=True)
            )
            for name in CELL_NAMES
        )
        return Genotype(normal, reduction).to_architecture()

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield every architecture that differs in the operation or the source of one edge."""
        genotype = self._read(arch)
        for name in CELL_NAMES:
            cell: Cell = getattr(genotype, name)
            for i, node in enumerate(cell):
                for changed in self._changed_nodes(i, node):
                    other = (*cell[:i], changed, *cell[i + 1 :])
                    yield replace(genotype, **{name: other}).to_architecture()

    def _changed_nodes(self, index: int, node: tuple[Edge, Edge]) -> Iterator[tuple[Edge, Edge]]:
        for here, other in (node, node[::-1]):
            operations = (op for op in self.real_operations if op != here.operation)
            sources = (s for s in range(index + 2) if s not in (here.source, other.source))
            changed = [
                *(Edge(here.source, op) for op in operations),
                *(Edge(s, here.operation) for s in sources),
            ]
            for edge in changed:
                first, second = sorted((edge, other))
                yield first, second

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError with the reason if ``arch`` is not in this space."""
        self._read(arch)

    def _read(self, arch: Architecture) -> Genotype:
        """Return the genotype of ``arch``, checked to be in this space."""
        genotype = Genotype.from_architecture(arch)
        for name in CELL_NAMES:
            cell: Cell = getattr(genotype, name)
            if len(cell) != self.nodes:
                raise OptionError(f"The {name} cell has {len(cell)} nodes, not {self.nodes}.")
            for i, node in enumerate(cell):
                for edge in node:
                    if edge.operation not in self.real_operations:
                        raise OptionError(
                            f"{edge.operation!r} is not an operation of this space.",
                            where=f"{name} cell, node {i + 1}",
                            fix=f"Use one of: {', '.join(self.real_operations)}.",
                        )
        return genotype

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the sources and the two operations of each node, ``normal.2.sources`` for example.

        Values and genotypes correspond one to one. A decision with a single choice, such as the
        sources of the first node, has no parameter.
        """
        return self._parameters

    @cached_property
    def _parameters(self) -> tuple[Parameter, ...]:
        return tuple(
            Categorical(f"{cell}.{i + 1}.{part}", choices)
            for cell in CELL_NAMES
            for i in range(self.nodes)
            for part, choices in self._choices(i).items()
            if len(choices) > 1
        )

    def _choices(self, index: int) -> dict[str, tuple[str, ...]]:
        """Return the choices of the decisions of node ``index``, by their name."""
        pairs = tuple(f"{a},{b}" for a, b in combinations(range(index + 2), 2))
        operations = self.real_operations
        return {"sources": pairs, "operation-1": operations, "operation-2": operations}

    def encode(self, arch: Architecture) -> dict[str, ParameterValue]:
        """Return the decisions of ``arch`` as values of the parameters."""
        genotype = self._read(arch)
        decisions: dict[str, ParameterValue] = {}
        for name in CELL_NAMES:
            cell: Cell = getattr(genotype, name)
            for i, (first, second) in enumerate(cell):
                decisions[f"{name}.{i + 1}.sources"] = f"{first.source},{second.source}"
                decisions[f"{name}.{i + 1}.operation-1"] = first.operation
                decisions[f"{name}.{i + 1}.operation-2"] = second.operation
        return {parameter.name: decisions[parameter.name] for parameter in self._parameters}

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the architecture of the values."""
        checked = check_values(self._parameters, values)

        def node(name: str, index: int) -> tuple[Edge, Edge]:
            sources, *operations = (
                str(checked.get(f"{name}.{index + 1}.{part}", choices[0]))
                for part, choices in self._choices(index).items()
            )
            first, second = (
                Edge(int(source), operation)
                for source, operation in zip(sources.split(","), operations, strict=True)
            )
            return first, second

        normal, reduction = (tuple(node(name, i) for i in range(self.nodes)) for name in CELL_NAMES)
        return Genotype(normal, reduction).to_architecture()

    def canonical(self, arch: Architecture) -> Architecture:
        """Return ``arch`` with the edges of each node sorted by source."""
        return Genotype.from_architecture(arch).to_architecture()

    def draw(self, arch: Architecture) -> str:
        """Return both cells as text."""
        return draw_text(Genotype.from_architecture(arch))

    def draw_svg(self, arch: Architecture) -> str:
        """Return both cells as an SVG document."""
        return draw_svg(Genotype.from_architecture(arch))
