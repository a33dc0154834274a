"""Clonal selection and re-selection: Algorithm 1, steps 3 and 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deap import tools

from nasbench_ecg_immune.antibody import Carrier


def copies(rank: int, population: int, factor: float) -> int:
    """Return round(factor · population / rank), at least one; ``rank`` 1 is the best.

    Source: de Castro, Von Zuben 2002, "Learning and optimization using the clonal selection
    principle", IEEE Trans. Evol. Comput. 6(3), equation (2).
    """
    return max(1, round(factor * population / rank))


def clonal_selection(
    population: Sequence[Carrier], best: int, size: int, factor: float
) -> list[tuple[Carrier, int]]:
    """Return the ``best`` antibodies, best first, each with the number of its clones."""
    chosen = tools.selBest(population, best)
    return [(one, copies(rank, size, factor)) for rank, one in enumerate(chosen, start=1)]


def reselect(
    population: Sequence[Carrier], clones: Mapping[str, Sequence[Carrier]]
) -> list[Carrier]:
    """Return the population with each parent replaced by its best clone if that is better.

    Args:
        population: Antibodies with affinities.
        clones: Evaluated clones by the key of their parent.
    """
    return [max((one, *clones.get(one.key, ())), key=lambda a: a.fitness) for one in population]
