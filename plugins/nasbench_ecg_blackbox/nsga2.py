"""NSGA-II: a population that spreads along the front of a high score at a low cost.

References:
    Deb, Pratap, Agarwal, Meyarivan 2002, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Trans. Evol. Comput. 6(2).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap import base, tools

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.costs import network_costs
from nasbench_ecg_blackbox.duration import seconds_of_search
from nasbench_ecg_blackbox.limit import SizeLimit
from nasbench_ecg_blackbox.options import Nsga2Options
from nasbench_ecg_blackbox.trials import MOST_REPEATS, EvaluationHistory, distinct


@dataclass(frozen=True, eq=False)
class Member:
    """An architecture with what it is selected by.

    Attributes:
        architecture: The architecture.
        score: Validation score, larger is better.
        costs: Costs by name, smaller is better.
        fitness: Both, as DEAP compares them.
    """

    architecture: Architecture
    score: float
    costs: Mapping[str, float]
    fitness: Any


class Nsga2:
    """Breeds architectures that no other one beats in score and in every cost at once.

    Choose it where a small or fast network is wanted as much as a good one: one search gives the
    whole front, of which a user may take any architecture.
    """

    def __init__(self, options: Nsga2Options) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best score of the front, of equals the cheapest.

        The details hold the front of all that was evaluated: each architecture with its score and
        its costs. An architecture that was evaluated before is not bred again.
        """
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit(options.max_parameters, task, builder)
        costs: dict[str, dict[str, float]] = {}
        with ctx.progress.track("Evolving", options.models) as bar:
            trials = EvaluationHistory(ctx, bar.advance)

            def evaluated(candidates: Sequence[Architecture], generation: int) -> list[Member]:
                for arch in candidates:
                    costs[arch.hash] = network_costs(
                        arch, task, builder, device=ctx.device, names=options.objectives
                    )
                scores = trials.score_all(candidates, fidelity, costs, generation=generation)
                return [
                    member(arch, score, costs[arch.hash])
                    for arch, score in zip(candidates, scores, strict=False)
                ]

            first = list(distinct(space, ctx.rng, min(options.population, options.models), limit))
            everyone = evaluated(first, 0)
            population = tools.selNSGA2(everyone, len(everyone))
            generation = 0
            while population and len(everyone) < options.models and not trials.spent:
                generation += 1
                size = min(options.population, options.models - len(everyone))
                known = {one.architecture.hash for one in everyone}
                born = children(
                    population, size, space, ctx.rng, options=options, limit=limit, known=known
                )
                offspring = evaluated(born, generation)
                if not offspring:
                    break
                everyone += offspring
                population = tools.selNSGA2([*population, *offspring], options.population)
        if not everyone:
            return SearchResult(first[0])
        found = front(everyone)
        return SearchResult(
            found[0].architecture,
            {
                "objectives": ["score", *options.objectives],
                "front": table(found),
                "evaluations": trials.table(),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that the search will take here; None if the evaluator cannot say."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        return seconds_of_search(plan, space, ctx, SizeLimit(options.max_parameters, task, builder))


class _Fitness(base.Fitness):  # type: ignore[misc]
    """A score that is to be large and costs that are to be small."""

    weights: tuple[float, ...] = ()

    def __init__(self, score: float, costs: Sequence[float]) -> None:
        self.weights = (1.0, *(-1.0 for _ in costs))
        super().__init__((score, *costs))


def member(arch: Architecture, score: float, costs: Mapping[str, float]) -> Member:
    """Return an architecture with its fitness."""
    return Member(arch, score, costs, _Fitness(score, list(costs.values())))


def front(members: Sequence[Member]) -> list[Member]:
    """Return the members that none dominates, the best score first."""
    (found,) = tools.sortNondominated(members, len(members), first_front_only=True)
    return sorted(found, key=lambda one: one.fitness.wvalues, reverse=True)


def table(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Return architectures with their scores and costs as JSON data."""
    return [
        {
            "hash": one.architecture.hash,
            "architecture": one.architecture.to_dict(),
            "score": one.score,
            **one.costs,
        }
        for one in members
    ]


def children(
    population: Sequence[Member],
    size: int,
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    options: Nsga2Options,
    limit: SizeLimit,
    known: set[str],
) -> list[Architecture]:
    """Return ``size`` new architectures, or fewer where the space seems to hold no more.

    Args:
        population: The parents, with their crowding distances.
        size: Children wanted.
        space: What they are mated and changed by.
        rng: Source of chance.
        options: How often they are mated and changed.
        limit: How large they may be.
        known: Hashes of the architectures that are not new.
    """
    born: dict[str, Architecture] = {}
    misses = 0
    while len(born) < size and misses < MOST_REPEATS:
        pool = mating_pool(population, rng)
        for mother, father in zip(pool, [*pool[1:], *pool[:1]], strict=True):
            child = mother.architecture
            if rng.random() < options.crossover:
                child = space.crossover(child, father.architecture, rng)
            if rng.random() < options.mutation:
                child = space.mutate(child, rng)
            if child.hash in known or child.hash in born or not limit.allows(child):
                misses += 1
                continue
            misses = 0
            born[child.hash] = child
            if len(born) == size:
                break
    return list(born.values())


def mating_pool(population: Sequence[Member], rng: np.random.Generator) -> list[Member]:
    """Return the winners of binary tournaments, as many as there are whole quartets of members.

    The member that dominates the other wins, and of equals the one in the less crowded place.
    """
    n = len(population) - len(population) % 4
    if not n:
        return list(population)
    with _chance_of_deap(rng):
        chosen: list[Member] = tools.selTournamentDCD(list(population), n)
    return chosen


@contextmanager
def _chance_of_deap(rng: np.random.Generator) -> Iterator[None]:
    """Let DEAP, which draws from Python's global generator, follow ``rng`` in this block."""
    before = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(before)
