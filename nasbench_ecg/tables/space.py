"""The members of a table that are trained, as a search space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import SearchSpace
from nasbench_ecg.errors import OptionError
from nasbench_ecg.tables.table import Table


class TableSpace:
    """A search space that holds exactly the trained members of a table.

    Every method of the wrapped space stays as it is where all members are trained. In a partial
    table, untrained members do not exist: sampling is uniform over the trained ones, and a mutation
    is a uniformly drawn trained neighbour, or any trained member where no neighbour is trained.

    Args:
        space: The space of the table.
        table: The table.
    """

    def __init__(self, space: SearchSpace, table: Table) -> None:
        self._space = space
        self.name = space.name
        self.members = [table.members[row] for row in np.flatnonzero(table.available)]
        self._here = {arch.hash for arch in self.members}
        self._whole = bool(table.available.all())
        self._neighbours: dict[str, list[Architecture]] = {}

    @property
    def size(self) -> int:
        """Number of trained members."""
        return len(self.members)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn trained member."""
        return self.members[rng.integers(self.size)]

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a trained neighbour, uniformly drawn."""
        if self._whole:
            return self._space.mutate(arch, rng)
        near = self._near(arch) or [other for other in self.members if other != arch]
        return near[rng.integers(len(near))]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the wrapped space's child where it is trained, and ``a`` elsewhere."""
        child = self._space.crossover(a, b, rng)
        return child if child.hash in self._here else a

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield the trained neighbours."""
        yield from self._near(arch)

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError if ``arch`` is not a trained member."""
        self._space.validate(arch)
        if arch.hash not in self._here:
            raise OptionError(
                f"The architecture {arch.hash} is not trained in the table.",
                fix="Search on the table's own space, or complete the table.",
            )

    def _near(self, arch: Architecture) -> list[Architecture]:
        if arch.hash not in self._neighbours:
            near = self._space.neighbours(arch)
            self._neighbours[arch.hash] = [other for other in near if other.hash in self._here]
        return self._neighbours[arch.hash]
