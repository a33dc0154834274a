"""Regularized evolution, also called aging evolution.

References:
    Real, Aggarwal, Huang, Le 2019, "Regularized Evolution for Image Classifier Architecture
    Search", AAAI, algorithm 1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.duration import seconds_of_search
from nasbench_ecg_blackbox.limit import SizeLimit
from nasbench_ecg_blackbox.options import RegularizedEvolutionOptions
from nasbench_ecg_blackbox.trials import EvaluationHistory


@dataclass(frozen=True)
class Member:
    """An architecture of the population with its score, larger is better."""

    architecture: Architecture
    score: float


class RegularizedEvolution:
    """Mutates the best of a random sample of the population; then the oldest member dies.

    Choose it as a strong search of discrete architectures that needs nothing but mutations. Age,
    not a poor score, removes a member, so a lucky evaluation does not live for ever.
    """

    def __init__(self, options: RegularizedEvolutionOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best member that ever lived, the first of equals.

        A child that was evaluated before joins the population with its known score; one that is
        too large is not born.
        """
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit(options.max_parameters, task, builder)
        population: deque[Member] = deque()
        with ctx.progress.track("Evolving", options.models) as bar:
            trials = EvaluationHistory(ctx, bar.advance)
            while len(trials.evaluations) < options.models and not trials.exhausted:
                if len(population) < options.population:
                    child = limit.sample(space, ctx.rng)
                else:
                    parent = tournament(population, options.sample, ctx.rng)
                    child = space.mutate(parent.architecture, ctx.rng)
                    if not limit.allows(child):
                        trials.pass_over()
                        continue
                score = trials.score(child, fidelity)
                if score is None:
                    break
                age(population, Member(child, score), options.population)
        best = trials.best or limit.sample(space, ctx.rng)
        return SearchResult(best, {"evaluations": trials.table()})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that the search will take here; None if the evaluator cannot say."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        return seconds_of_search(plan, space, ctx, SizeLimit(options.max_parameters, task, builder))


def tournament(population: deque[Member], sample: int, rng: np.random.Generator) -> Member:
    """Return the best of ``sample`` members drawn with replacement."""
    drawn = [population[i] for i in rng.integers(len(population), size=sample)]
    return max(drawn, key=lambda member: member.score)


def age(population: deque[Member], child: Member, size: int) -> None:
    """Add ``child`` as the youngest; if there are then more than ``size``, the oldest dies."""
    population.append(child)
    if len(population) > size:
        population.popleft()
