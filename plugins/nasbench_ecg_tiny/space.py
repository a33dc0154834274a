"""The search space ``tiny-cells``: one small cell, its width and its number, five decisions in all.

A cell has an input, an inner and an output node. Its three edges input→inner, input→output and
inner→output hold one operation each, and a node adds what arrives. Genotypes whose cells compute
the same function of the same parameters are one member: see :func:`canonical_edges`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    OptionError,
    Parameter,
    ParameterValue,
    check_values,
)
from nasbench_ecg_tiny.options import OPERATIONS, TinyCellsOptions

SPACE = "tiny-cells"

EDGE_NAMES = ("input→inner", "input→output", "inner→output")

PARAMETERS = (*EDGE_NAMES, "width", "cells")
"""The five decisions of a genotype, in its order."""

Edges = tuple[str, str, str]
Genotype = tuple[str, str, str, int, int]
"""The operations of the three edges, the width, and the number of cells in a stage."""


def canonical_edges(edges: Sequence[str]) -> Edges | None:
    """Return the one form of all cells that compute the same function; None if that is zero.

    - A path through ``zero`` carries nothing, so its other operation has no effect.
    - A path of ``skip`` and another operation is that operation, and a sum has no order:
      ``(skip, a, b)``, ``(skip, b, a)``, ``(a, b, skip)`` and ``(b, a, skip)`` are one cell,
      written with ``skip`` first and the two in the order of ``OPERATIONS``.
    - A cell of a single operation is written on the edge input→output.
    """
    first, direct, second = edges
    if "zero" in (first, second):
        return None if direct == "zero" else ("zero", direct, "zero")
    if "skip" in (first, second):
        through = second if first == "skip" else first
        if direct == "zero":
            return ("zero", through, "zero")
        one, other = sorted((direct, through), key=OPERATIONS.index)
        return ("skip", one, other)
    return (first, direct, second)


def canonical(genotype: Genotype) -> Genotype | None:
    """Return the canonical form of a genotype; None if its output is cut off from its input.

    A cell that only passes its input on, repeated, is one such cell. Two cells of one operation and
    one cell with a path of it twice have the same layers and are two members, because published
    tables hold both.
    """
    edges = canonical_edges(genotype[:3])
    if edges is None:
        return None
    cells = 1 if edges == ("zero", "skip", "zero") else genotype[4]
    return (*edges, genotype[3], cells)


def to_architecture(genotype: Genotype) -> Architecture:
    """Return the architecture of a genotype."""
    return Architecture(
        SPACE, {"edges": list(genotype[:3]), "width": genotype[3], "cells": genotype[4]}
    )


def to_genotype(arch: Architecture) -> Genotype:
    """Return the genotype of an architecture, with its form checked and not its values.

    Raises:
        OptionError: It is of another space or has another form.
    """
    if arch.space != SPACE:
        raise OptionError(
            f"This architecture is of the space {arch.space!r}, not {SPACE!r}.",
            fix="Choose the builder that goes with its space.",
        )
    genotype: Any = arch.genotype
    if not (
        isinstance(genotype, Mapping)
        and set(genotype) == {"edges", "width", "cells"}
        and isinstance(genotype["edges"], Sequence)
        and len(genotype["edges"]) == len(EDGE_NAMES)
        and all(isinstance(name, str) for name in genotype["edges"])
        and all(type(genotype[name]) is int for name in ("width", "cells"))
    ):
        raise OptionError(
            f"This is no genotype of {SPACE}.",
            fix='Its form is {"edges": ["conv-9", "skip", "sep-27"], "width": 8, "cells": 1}.',
        )
    return (*genotype["edges"], genotype["width"], genotype["cells"])


class TinyCells:
    """Small networks of one repeated cell, from some 200 to some 200,000 parameters.

    Use it with any strategy that works on discrete architectures, and where a network must be
    small. Sampling, mutation and crossover cost microseconds.
    """

    name = SPACE

    def __init__(self, options: TinyCellsOptions) -> None:
        self.options = options
        edges = tuple(options.operations)
        self.choices: tuple[tuple[Any, ...], ...] = (
            edges, edges, edges, tuple(options.widths), tuple(options.cells),
        )  # fmt: skip
        self._neighbours: dict[Genotype, tuple[Genotype, ...]] = {}

    @cached_property
    def forms(self) -> dict[Genotype, list[Genotype]]:
        """All genotypes of each member, by its canonical form, in a fixed order."""
        found: dict[Genotype, list[Genotype]] = {}
        for genotype in product(*self.choices):
            member = canonical(genotype)
            if member is not None and self._has_size(member):
                found.setdefault(member, []).append(genotype)
        return found

    @cached_property
    def members(self) -> tuple[Architecture, ...]:
        """All members in canonical form, in a fixed order."""
        return tuple(map(to_architecture, self.forms))

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.forms)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn member."""
        return self.members[rng.integers(self.size)]

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn neighbour.

        Raises:
            OptionError: The space holds no other member.
        """
        others = self._neighbours_of(self._checked(arch))
        if not others:
            raise OptionError(
                "This space holds a single architecture, which cannot be changed.",
                fix="Give the space more operations, widths or numbers of cells.",
            )
        return to_architecture(others[rng.integers(len(others))])

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a child that takes each decision from ``a`` or ``b``; ``a`` if that is none."""
        first, second = self._checked(a), self._checked(b)
        taken = rng.random(len(self.choices)) < 0.5
        mixed = tuple(x if t else y for x, y, t in zip(first, second, taken, strict=True))
        child = canonical(mixed)  # type: ignore[arg-type]
        return to_architecture(child if child in self.forms else first)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield every member with a genotype that differs from one of ``arch`` in one decision."""
        yield from map(to_architecture, self._neighbours_of(self._checked(arch)))

    def _neighbours_of(self, member: Genotype) -> tuple[Genotype, ...]:
        if member not in self._neighbours:
            changed = (
                canonical((*form[:place], value, *form[place + 1 :]))
                for form in self.forms[member]
                for place, values in enumerate(self.choices)
                for value in values
            )
            found = dict.fromkeys(g for g in changed if g in self.forms and g != member)
            self._neighbours[member] = tuple(g for g in found if g is not None)
        return self._neighbours[member]

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not of this space."""
        genotype = to_genotype(arch)
        for name, value, known in zip(
            (*EDGE_NAMES, "width", "cells"), genotype, self.choices, strict=True
        ):
            if value not in known:
                raise OptionError(
                    f"{value!r} is not a choice of this space.",
                    where=name,
                    fix=f"Known are: {', '.join(map(str, known))}.",
                )
        member = canonical(genotype)
        if member is None:
            raise OptionError(
                "The output of this cell is cut off from its input.",
                fix="Put an operation other than zero on input→output, or on both other edges.",
            )
        if member not in self.forms:
            raise OptionError(
                "This cell only passes its input on, so that any number of it is a single one.",
                where="cells",
                fix="Give the space's option cells the value 1, or choose another operation.",
            )

    def canonical(self, arch: Architecture) -> Architecture:
        """Return the member that ``arch`` is."""
        return to_architecture(self._checked(arch))

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the five decisions; one with a single choice has no parameter."""
        return tuple(
            Categorical(name, choices)
            for name, choices in zip(PARAMETERS, self.choices, strict=True)
            if len(choices) > 1
        )

    def encode(self, arch: Architecture) -> dict[str, ParameterValue]:
        """Return the first genotype of the member that ``arch`` is, as values."""
        form = self.forms[self._checked(arch)][0]
        decisions: dict[str, Any] = dict(zip(PARAMETERS, form, strict=True))
        return {parameter.name: decisions[parameter.name] for parameter in self.parameters()}

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the member of the values.

        Several values give one member. Where they give none, for example because they cut the
        output off from the input, the edge input→output gets the first operation that gives one.
        """
        checked = check_values(self.parameters(), values)
        form: Any = tuple(
            checked.get(name, choices[0])
            for name, choices in zip(PARAMETERS, self.choices, strict=True)
        )
        for through in (form[1], *self.choices[1]):
            member = canonical((form[0], through, *form[2:]))
            if member is not None and member in self.forms:
                return to_architecture(member)
        raise OptionError(f"{dict(values)} describe no member of this space.")

    def draw(self, arch: Architecture) -> str:
        """Return the cell as text."""
        first, direct, second, width, cells = self._checked(arch)
        paths = [] if direct == "zero" else [f"input ─ {direct} → output"]
        if first != "zero":
            paths.append(f"input ─ {first} → inner ─ {second} → output")
        return "\n".join([f"width {width}, {cells} × 3 cells", *paths])

    def _checked(self, arch: Architecture) -> Genotype:
        """Return the member that ``arch`` is, after checking that it is one."""
        self.validate(arch)
        member = canonical(to_genotype(arch))
        assert member is not None
        return member

    def _has_size(self, genotype: Genotype) -> bool:
        return genotype[3] in self.choices[3] and genotype[4] in self.choices[4]
