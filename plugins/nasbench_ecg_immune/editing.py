"""Receptor editing: the worst antibodies make room for newcomers. Algorithm 1, step 6."""

from __future__ import annotations

from collections.abc import Sequence

from deap import tools

from nasbench_ecg_immune.antibody import Carrier


def survivors(population: Sequence[Carrier], share: float, size: int) -> list[Carrier]:
    """Return the population, best first, without those that newcomers will replace.

    Args:
        population: Antibodies with affinities.
        share: Share of ``size`` that is replaced; a population that suppression has thinned has
            free places, and only what these fall short by is taken from the worst.
        size: Places in the population.
    """
    return list(tools.selBest(population, max(1, size - round(share * size))))
