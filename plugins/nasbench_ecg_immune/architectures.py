"""Architectures of any search space as antibodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Architecture, Evaluation, SearchSpace


@dataclass(frozen=True, eq=False)
class Architectures:
    """The problem of finding an architecture; affinity is its validation score.

    Attributes:
        space: Where the architectures are from.
        evaluate: Scores a batch of architectures.
        largest_step: Mutations of the space that a hypermutation of rate 1 makes.
    """

    space: SearchSpace
    evaluate: Callable[[Sequence[Architecture]], list[Evaluation]]
    largest_step: int

    def random(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn architecture."""
        return self.space.sample(rng)

    def hypermutate(
        self, genotype: Architecture, rate: float, rng: np.random.Generator
    ) -> Architecture:
        """Return an architecture ``rate`` · ``largest_step`` mutations away, one at least."""
        for _ in range(max(1, round(rate * self.largest_step))):
            genotype = self.space.mutate(genotype, rng)
        return genotype

    def repair(self, genotype: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the architecture itself: the moves of a space stay inside it."""
        return genotype

    def distances(self, genotypes: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the share of parts that two architectures do not have in common, [n, n]."""
        parts = [dict(_parts(arch.genotype)) for arch in genotypes]
        result = np.zeros((len(parts), len(parts)))
        for i, a in enumerate(parts):
            for j, b in enumerate(parts[:i]):
                differing = sum(a.get(k, _ABSENT) != b.get(k, _ABSENT) for k in a.keys() | b.keys())
                result[i, j] = result[j, i] = differing / max(1, len(a.keys() | b.keys()))
        return result

    def key(self, genotype: Architecture) -> str:
        """Return the hash of the architecture."""
        return genotype.hash

    def affinity(
        self, genotypes: Sequence[Architecture]
    ) -> tuple[Sequence[Architecture], list[float]]:
        """Return the architectures and their scores."""
        return genotypes, [evaluation.score for evaluation in self.evaluate(genotypes)]

    def dump(self, genotype: Architecture) -> Any:
        """Return plain data of the architecture."""
        return genotype.to_dict()

    def load(self, data: Any) -> Architecture:
        """Read what :meth:`dump` wrote."""
        return Architecture.from_dict(data)


_ABSENT = object()


def _parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every leaf of JSON data with the path to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(item, (*path, name))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _parts(item, (*path, i))
    else:
        yield path, value
