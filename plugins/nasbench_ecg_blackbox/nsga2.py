"""NSGA-II: evolution towards the Pareto front of a high score and low costs.

References:
    Deb, Pratap, Agarwal, Meyarivan 2002, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Trans. Evol. Comput. 6(2).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, isfinite
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
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.history import MAX_REPEATS, EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import Nsga2Options


@dataclass(frozen=True, eq=False)
class Member:
    """An architecture of the population with its objectives.

    Attributes:
        architecture: The architecture.
        score: Validation score; larger is better.
        costs: Costs by name; smaller is better.
        fitness: Score and costs as a DEAP fitness.
    """

    architecture: Architecture
    score: float
    costs: Mapping[str, float]
    fitness: Any


class Nsga2:
    """Evolves a set of architectures none of which is dominated in score and costs.

    Choose it to trade score for size or speed: one search returns the whole Pareto front.
    """

    def __init__(self, options: Nsga2Options) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture of the front with the best score, the cheapest of equals.

        The details contain the Pareto front of all evaluations: architectures with score and
        costs. No architecture is evaluated twice.
        """
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        costs: dict[str, dict[str, float]] = {}
        with ctx.progress.track("Evolving", options.models) as bar:
            history = EvaluationHistory(ctx, bar.advance)

            def evaluate(candidates: Sequence[Architecture], generation: int) -> list[Member]:
                for arch in candidates:
                    costs[arch.hash] = network_costs(
                        arch, task, builder, device=ctx.device, names=options.objectives
                    )
                scores = history.score_all(candidates, fidelity, costs, generation=generation)
                return [
                    member(arch, score, costs[arch.hash])
                    for arch, score in zip(candidates, scores, strict=False)
                ]

            size = min(options.population, options.models)
            initial = limit.sample_distinct(space, ctx.rng, size)
            evaluated = evaluate(initial, 0)
            population = tools.selNSGA2(evaluated, len(evaluated))
            generation = 0
            while population and len(evaluated) < options.models and not history.budget_spent:
                generation += 1
                candidates = breed(
                    population,
                    min(options.population, options.models - len(evaluated)),
                    space,
                    ctx.rng,
                    options=options,
                    limit=limit,
                    known={one.architecture.hash for one in evaluated},
                )
                offspring = evaluate(candidates, generation)
                if not offspring:
                    break
                evaluated += offspring
                population = tools.selNSGA2([*population, *offspring], options.population)
        if not evaluated:
            return SearchResult(initial[0], limit.details)
        pareto = front(evaluated)
        return SearchResult(
            pareto[0].architecture,
            {
                "objectives": ["score", *options.objectives],
                "front": table(pareto),
                "evaluations": history.to_rows(),
                **limit.details,
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        limit = SizeLimit.of(options, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=options.population)


class _Fitness(base.Fitness):  # type: ignore[misc]
    """A score to maximize and costs to minimize."""

    weights: tuple[float, ...] = ()

    def __init__(self, score: float, costs: Sequence[float]) -> None:
        self.weights = (1.0, *(-1.0 for _ in costs))
        super().__init__((score, *costs))


def member(arch: Architecture, score: float, costs: Mapping[str, float]) -> Member:
    """Return a member with its DEAP fitness.

    A network that could not be trained is worse than all others, however small: with its costs, the
    smallest would be in every front, and an infinite score has no crowding distance.
    """
    compared = list(costs.values()) if isfinite(score) else [inf] * len(costs)
    return Member(arch, score, costs, _Fitness(score, compared))


def front(members: Sequence[Member]) -> list[Member]:
    """Return the nondominated members, the best score first."""
    (found,) = tools.sortNondominated(members, len(members), first_front_only=True)
    return sorted(found, key=lambda one: one.fitness.wvalues, reverse=True)


def table(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Return members as JSON data: hash, architecture, score and costs."""
    return [
        {
            "hash": one.architecture.hash,
            "architecture": one.architecture.to_dict(),
            "score": one.score,
            **one.costs,
        }
        for one in members
    ]


def breed(
    population: Sequence[Member],
    size: int,
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    options: Nsga2Options,
    limit: SizeLimit,
    known: set[str],
) -> list[Architecture]:
    """Return ``size`` new architectures by selection, crossover and mutation.

    Fewer are returned if the space seems to contain no more.

    Args:
        population: The parents, with their crowding distances.
        size: Offspring wanted.
        space: Defines crossover and mutation.
        rng: Generator of all random choices.
        options: Probabilities of crossover and mutation.
        limit: Size limit of the offspring.
        known: Hashes of architectures that are not new.
    """
    offspring: dict[str, Architecture] = {}
    repeats = 0
    while len(offspring) < size and repeats < MAX_REPEATS:
        pool = mating_pool(population, rng)
        for first, second in zip(pool, [*pool[1:], *pool[:1]], strict=True):
            child = first.architecture
            if rng.random() < options.crossover:
                child = space.crossover(child, second.architecture, rng)
            if rng.random() < options.mutation:
                child = space.mutate(child, rng)
            if child.hash in known or child.hash in offspring or not limit.allows(child):
                repeats += 1
                continue
            repeats = 0
            offspring[child.hash] = child
            if len(offspring) == size:
                break
    return list(offspring.values())


def mating_pool(population: Sequence[Member], rng: np.random.Generator) -> list[Member]:
    """Return the winners of binary tournaments by the crowded-comparison operator.

    The dominating member wins; if none dominates, the one with the larger crowding distance. The
    pool has the size of the population, rounded down to a multiple of 4; a population of fewer
    than 4 members is returned as it is.
    """
    n = len(population) - len(population) % 4
    if not n:
        return list(population)
    with _deap_seeded_from(rng):
        winners: list[Member] = tools.selTournamentDCD(list(population), n)
    return winners


@contextmanager
def _deap_seeded_from(rng: np.random.Generator) -> Iterator[None]:
    """Seed Python's global generator, which DEAP uses, from ``rng`` inside the block."""
    before = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(before)
