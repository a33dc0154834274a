"""Antibodies, and the steps of the immune evolution that compare and choose them.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.2.

    de Castro, Von Zuben 2002, "Learning and optimization using the clonal selection principle",
    IEEE Trans. Evol. Comput. 6(3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from deap import base, tools
from numpy.typing import NDArray

from nasbench_ecg_immune.options import Mutation


class Affinity(base.Fitness):  # type: ignore[misc]
    """DEAP's fitness with one objective, which is maximized."""

    weights = (1.0,)


class Antibody:
    """A candidate solution: an individual in DEAP's terms.

    Attributes:
        genotype: The solution.
        key: The problem's key of the genotype.
        fitness: The affinity; not valid until the antibody is evaluated.
    """

    def __init__(self, genotype: Any, key: str, affinity: float | None = None) -> None:
        self.genotype = genotype
        self.key = key
        self.fitness = Affinity(() if affinity is None else (affinity,))

    @property
    def affinity(self) -> float:
        """Affinity of an antibody that has been evaluated."""
        return float(self.fitness.values[0])

    def __deepcopy__(self, memo: dict[int, Any]) -> Antibody:
        # DEAP's hall of fame copies deeply, but genotypes are never changed in place.
        return Antibody(self.genotype, self.key, *self.fitness.values)


def suppress(
    affinities: Sequence[float], distances: NDArray[np.float64], threshold: float
) -> list[int]:
    """Step 1, suppression: return the positions of the antibodies that stay, best first.

    An antibody is removed if it equals, or is closer than ``threshold`` to, a better one that
    stays. Of two antibodies with the same affinity, the first counts as better.

    Args:
        affinities: n affinities, larger better.
        distances: float64 [n, n].
        threshold: σ; with zero, only duplicates are removed.
    """
    near = (distances < threshold) | (distances <= 0)
    kept: list[int] = []
    removed = np.zeros(len(affinities), dtype=bool)
    for i in np.argsort(-np.asarray(affinities, np.float64), kind="stable"):
        if not removed[i]:
            kept.append(int(i))
            removed |= near[i]
    return kept


def clonal_selection(
    population: Sequence[Antibody], best: int, size: int, factor: float
) -> list[tuple[Antibody, int]]:
    """Step 3, clonal selection: return the ``best`` antibodies, each with its number of clones."""
    selected = tools.selBest(population, best)
    return [
        (antibody, clone_count(rank, size, factor)) for rank, antibody in enumerate(selected, 1)
    ]


def clone_count(rank: int, size: int, factor: float) -> int:
    """Return round(β·N / rank), at least one: β is ``factor``, N ``size``; rank 1 is the best.

    Source: de Castro, Von Zuben 2002, equation (2).
    """
    return max(1, round(factor * size / rank))


def hypermutation_rate(normalized: float, rho: float, mutation: Mutation) -> float:
    """Step 4, hypermutation: return the rate of change, in [0, 1], of the clones of a parent.

    ``inverse`` is exp(−ρ·f̂) with the normalized affinity f̂, the standard of the field: clones of a
    better parent change less. ``proportional`` is exp(−ρ·(1 − f̂)), as the paper words it: clones
    of a better parent change more.

    Source: de Castro, Von Zuben 2002, equation (3), for the exponential.
    """
    return math.exp(-rho * (normalized if mutation == "inverse" else 1 - normalized))


def normalize_affinities(affinities: Sequence[float]) -> list[float]:
    """Return the affinities scaled from their range to [0, 1].

    All are one if they are equal; an affinity that is not finite becomes zero.
    """
    finite = [affinity for affinity in affinities if math.isfinite(affinity)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high - low
    return [
        0.0 if not math.isfinite(value) else (value - low) / span if span > 0 else 1.0
        for value in affinities
    ]


def reselect(
    population: Sequence[Antibody], clones: Mapping[str, Sequence[Antibody]]
) -> list[Antibody]:
    """Step 5, re-selection: return the population, each parent replaced by a better clone.

    Args:
        population: Evaluated antibodies.
        clones: Evaluated clones by the key of their parent.
    """
    return [
        max((parent, *clones.get(parent.key, ())), key=lambda antibody: antibody.fitness)
        for parent in population
    ]


def edit_receptors(population: Sequence[Antibody], share: float, size: int) -> list[Antibody]:
    """Step 6, receptor editing: return the population without its worst, whose places are refilled.

    Args:
        population: Evaluated antibodies.
        share: Share of ``size`` to replace. Places that suppression has left free count towards it.
        size: Places in the population.
    """
    return list(tools.selBest(population, max(1, size - round(share * size))))
