"""Regularized evolution, also called aging evolution.

References:
    Real, Aggarwal, Huang, Le 2019, "Regularized Evolution for Image Classifier Architecture
    Search", AAAI, algorithm 1, and section 3.1 for the mutations.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    MutatesByKind,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import RegularizedEvolutionOptions


@dataclass(frozen=True)
class Member:
    """An architecture of the population with its score; larger is better."""

    architecture: Architecture
    score: float


class RegularizedEvolution:
    """Mutates the best of a random sample of the population, then removes the oldest member.

    Choose it as a strong baseline for any discrete space that has mutations. Members are removed
    by age and not by score, so an overestimated score cannot stay in the population.
    """

    def __init__(self, options: RegularizedEvolutionOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture of the whole history, the first of equals.

        A child that was evaluated before joins the population with its known score; a child above
        the size limit is dropped.
        """
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        population: deque[Member] = deque()
        with ctx.progress.track("Evolving", options.models) as bar:
            history = EvaluationHistory(ctx, bar.advance)
            while len(history.evaluations) < options.models and not history.exhausted:
                if len(population) < options.population:
                    child = limit.sample(space, ctx.rng)
                else:
                    parent = tournament(population, options.sample, ctx.rng)
                    child = mutate(parent.architecture, space, ctx.rng, options.mutation)
                    if not limit.allows(child):
                        history.reject()
                        continue
                score = history.score(child, fidelity)
                if score is None:
                    break
                add_youngest(population, Member(child, score), options.population)
        best = history.best or limit.sample(space, ctx.rng)
        return SearchResult(best, {"evaluations": history.to_rows(), **limit.details})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        limit = SizeLimit.of(options, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=1)


def mutate(
    arch: Architecture,
    space: SearchSpace,
    rng: np.random.Generator,
    by: Literal["kind", "neighbor"] = "kind",
) -> Architecture:
    """Return a mutated architecture.

    Args:
        arch: Architecture of the space.
        space: The search space.
        rng: Draws the mutation.
        by: ``kind`` draws one of the space's kinds of mutation first, each with equal probability
            (the paper's are of an operation and of a hidden state); ``neighbor`` draws one of all
            neighbors, as in a space without kinds.
    """
    if by == "kind" and isinstance(space, MutatesByKind) and space.mutation_kinds:
        kinds = space.mutation_kinds
        return space.mutate_kind(arch, kinds[int(rng.integers(len(kinds)))], rng)
    return space.mutate(arch, rng)


def tournament(population: deque[Member], sample: int, rng: np.random.Generator) -> Member:
    """Return the best of ``sample`` members drawn with replacement."""
    drawn = [population[i] for i in rng.integers(len(population), size=sample)]
    return max(drawn, key=lambda member: member.score)


def add_youngest(population: deque[Member], child: Member, size: int) -> None:
    """Add ``child``; if the population then exceeds ``size``, remove its oldest member."""
    population.append(child)
    if len(population) > size:
        population.popleft()
