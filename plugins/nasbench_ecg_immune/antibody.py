"""Antibodies, and what the engine asks of the problem whose solutions they encode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from deap import base, creator
from numpy.typing import NDArray

G = TypeVar("G")


class Problem(Protocol[G]):
    """A problem whose solutions are genotypes of the type ``G``, which are never changed in place.

    The engine knows no more of a problem than this. All methods draw from the generator given.
    """

    def random(self, rng: np.random.Generator) -> G:
        """Return a valid genotype, drawn at random."""

    def hypermutate(self, genotype: G, rate: float, rng: np.random.Generator) -> G:
        """Return a changed copy; ``rate`` in [0, 1] says how much. It may be invalid."""

    def repair(self, genotype: G, rng: np.random.Generator) -> G:
        """Return the genotype itself if it is valid, otherwise a valid one near to it."""

    def distances(self, genotypes: Sequence[G]) -> NDArray[np.float64]:
        """Return float64 [n, n] in [0, 1], zero exactly where two are one solution."""

    def key(self, genotype: G) -> str:
        """Return a text that two genotypes share exactly if they are one solution."""

    def affinity(self, genotypes: Sequence[G]) -> tuple[Sequence[G], Sequence[float]]:
        """Return the genotypes after any local improvement, and their affinities, larger better.

        Fewer than were given may come back: the first ones, where a budget ended.
        """

    def dump(self, genotype: G) -> Any:
        """Return JSON data that :meth:`load` reads back."""

    def load(self, data: Any) -> G:
        """Read what :meth:`dump` wrote."""


class Carrier:
    """What carries a genotype and its key; ``creator`` adds the fitness."""

    fitness: Any

    def __init__(self, genotype: Any, key: str) -> None:
        self.genotype = genotype
        self.key = key

    def __deepcopy__(self, memo: dict[int, Any]) -> Carrier:
        # A hall of fame copies deeply; genotypes are never changed in place, so they are shared.
        copied: Carrier = type(self)(self.genotype, self.key)
        copied.fitness.wvalues = self.fitness.wvalues
        return copied


if not hasattr(creator, "ImmuneAntibody"):
    creator.create("ImmuneAffinity", base.Fitness, weights=(1.0,))
    creator.create("ImmuneAntibody", Carrier, fitness=creator.ImmuneAffinity)


def antibody(genotype: Any, key: str, affinity: float | None = None) -> Carrier:
    """Return an antibody; without an affinity its fitness is not valid yet."""
    made: Carrier = creator.ImmuneAntibody(genotype, key)
    if affinity is not None:
        made.fitness.values = (affinity,)
    return made


def affinity_of(one: Carrier) -> float:
    """Return the affinity of an antibody that has one."""
    return float(one.fitness.values[0])


def same(a: Carrier, b: Carrier) -> bool:
    """Return whether two antibodies are one solution."""
    return a.key == b.key
