"""The members of a table that are trained, as a search space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Encodes, SearchSpace
from nasbench_ecg.encoding import Parameter, ParameterValue
from nasbench_ecg.errors import OptionError
from nasbench_ecg.tables.table import Table


class TableSpace:
    """A search space that holds exactly the trained members of a table.

    Sampling is uniform over the trained members. If all members are trained, mutation and crossover
    are those of the table's space. In a partial table, a mutation is a uniformly drawn trained
    neighbor, or any other trained member if no neighbor is trained; a crossover whose child is not
    trained is its first parent.

    Args:
        space: The space of the table; its methods return canonical forms.
        table: The table.

    Raises:
        TableError: No member is trained.
    """

    def __init__(self, space: SearchSpace, table: Table) -> None:
        table.refuse_untrained()
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
        """Return a uniformly drawn trained neighbor, or another trained member if there is none.

        Raises:
            OptionError: A single member is trained.
        """
        if self._whole:
            return self._space.mutate(arch, rng)
        near = self._near(arch) or [other for other in self.members if other != arch]
        if not near:
            raise OptionError(
                "A single member of the table is trained, and it cannot be changed.",
                fix="Train more members with 'nasbench-ecg table build'.",
            )
        return near[rng.integers(len(near))]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the child in the table's space if it is trained, otherwise ``a``."""
        child = self._space.crossover(a, b, rng)
        return child if child.hash in self._here else a

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield the trained neighbors."""
        yield from self._near(arch)

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError if ``arch`` is not a trained member."""
        self._space.validate(arch)
        if arch.hash not in self._here:
            raise OptionError(
                f"The architecture {arch.hash} is not trained in the table.",
                fix="Ask for a trained member, or train it with 'nasbench-ecg table build'.",
            )

    def _near(self, arch: Architecture) -> list[Architecture]:
        if arch.hash not in self._neighbours:
            near = self._space.neighbours(arch)
            self._neighbours[arch.hash] = [other for other in near if other.hash in self._here]
        return self._neighbours[arch.hash]


class EncodedTableSpace(TableSpace):
    """The trained members of a table as values of the parameters of their space."""

    def __init__(self, space: SearchSpace, table: Table) -> None:
        super().__init__(space, table)
        assert isinstance(space, Encodes)
        self._encodes: Encodes = space
        self._values = [dict(space.encode(arch)) for arch in self.members]

    def parameters(self) -> Sequence[Parameter]:
        """Return the parameters of the space."""
        return self._encodes.parameters()

    def encode(self, arch: Architecture) -> Mapping[str, ParameterValue]:
        """Return the values of a member."""
        return self._encodes.encode(arch)

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the member of the values.

        If it is not trained, the first trained member with the fewest values that differ.
        """
        arch = self._encodes.decode(values)
        if arch.hash in self._here:
            return arch
        wanted = self._encodes.encode(arch)
        differing = [sum(own[k] != wanted.get(k) for k in own) for own in self._values]
        return self.members[int(np.argmin(differing))]


def table_space(space: SearchSpace, table: Table) -> TableSpace:
    """Return the trained members of a table as a space, with parameters if its space has them.

    Raises:
        TableError: No member is trained.
    """
    kind = EncodedTableSpace if isinstance(space, Encodes) else TableSpace
    return kind(space, table)
