"""Asynchronous successive halving (ASHA), which is random search with early stopping.

References:
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar 2020, "A System for
    Massively Parallel Hyperparameter Tuning", MLSys, algorithm 2.

    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI
    (ASHA as the baseline "random search with early-stopping").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import isfinite

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.halving import rung_fidelity
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import AshaOptions


class Asha:
    """Samples at random, and trains a candidate longer as soon as it is among the best of its rung.

    Choose it if short training ranks candidates about as long training does: unlike
    ``successive-halving`` it needs no number of candidates, only a total of epochs, and has a
    fully trained candidate early. It is the baseline "random search with early stopping". It honors
    budgets of evaluations and of seconds, and its own total of epochs.
    """

    def __init__(self, options: AshaOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best of the candidates that were trained longest, the first of equals.

        With warm starts, a promoted candidate costs the epochs that it is trained further. Without,
        it is trained from scratch, and its earlier epochs count as well.
        """
        options = self.options
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        samples = limit.distinct(space, ctx.rng, space.size)
        ladder = Ladder(options)
        with ctx.progress.track("Promoting", options.total_epochs) as bar:

            def advance(n: int = 1, **figures: float) -> None:
                bar.advance(0, **figures)

            history = EvaluationHistory(ctx, advance)
            while not history.budget_spent:
                jobs = ladder.take(samples, options.batch)
                if not jobs:
                    break
                for rung, group in groupby(jobs, key=lambda job: job.rung):
                    of_rung = list(group)
                    architectures = [job.architecture for job in of_rung]
                    scores = history.score_all(architectures, ladder.fidelity(rung))
                    for job, score in zip(of_rung, scores, strict=False):
                        ladder.add(job, score)
                        bar.advance(ladder.cost(rung))
        best = history.best_of_longest or limit.sample(space, ctx.rng)
        return SearchResult(best, {"evaluations": history.to_rows(), **limit.details})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        shortest = Fidelity(epochs=options.min_epochs, beats=options.beats)
        plan = [(options.total_epochs // options.min_epochs, shortest)]
        limit = SizeLimit.of(options, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=options.batch)


@dataclass(frozen=True)
class Job:
    """A candidate and the rung, counted from 0, that it is to be trained at."""

    architecture: Architecture
    rung: int


@dataclass
class Ladder:
    """The rungs of ASHA: scores by rung, promotions, and epochs spent.

    Attributes:
        options: The options of the search.
        rungs: Scored candidates of each rung, in order.
        promoted: Hashes of the candidates promoted from each rung.
        spent: Epochs of all jobs taken.
    """

    options: AshaOptions
    rungs: list[list[tuple[float, Architecture]]] = field(default_factory=list)
    promoted: list[set[str]] = field(default_factory=list)
    spent: int = 0

    def __post_init__(self) -> None:
        count, epochs = 1, self.options.min_epochs
        while epochs < self.options.max_epochs:
            count, epochs = count + 1, epochs * self.options.eta
        self.rungs = [[] for _ in range(count)]
        self.promoted = [set() for _ in range(count)]

    def epochs(self, rung: int) -> int:
        """Return the epochs of a rung: min · ηⁱ, at most the maximum."""
        return min(self.options.min_epochs * int(self.options.eta**rung), self.options.max_epochs)

    def fidelity(self, rung: int) -> Fidelity:
        """Return the fidelity of a rung."""
        return rung_fidelity(
            self.epochs(rung),
            self.options.beats,
            before=self.epochs(rung - 1) if rung else None,
            longest=self.options.max_epochs if self.options.warm else None,
        )

    def cost(self, rung: int) -> int:
        """Return the epochs that a candidate is trained to get to a rung from the one before it."""
        before = self.epochs(rung - 1) if rung and self.options.warm else 0
        return self.epochs(rung) - before

    def take(self, samples: Iterator[Architecture], n: int) -> list[Job]:
        """Return the next ``n`` jobs; fewer if no epochs or architectures are left."""
        jobs: list[Job] = []
        while len(jobs) < n and (job := self._next(samples)) is not None:
            self.spent += self.cost(job.rung)
            jobs.append(job)
        return jobs

    def _next(self, samples: Iterator[Architecture]) -> Job | None:
        """Return a promotion from the highest rung possible, or else a new architecture.

        A candidate whose training diverged is not promoted.
        """
        left = self.options.total_epochs - self.spent
        for rung in range(len(self.rungs) - 2, -1, -1):
            if self.cost(rung + 1) > left:
                continue
            ranked = sorted(self.rungs[rung], key=lambda pair: -pair[0])
            for score, arch in ranked[: len(ranked) // self.options.eta]:
                if isfinite(score) and arch.hash not in self.promoted[rung]:
                    self.promoted[rung].add(arch.hash)
                    return Job(arch, rung + 1)
        new = next(samples, None) if self.epochs(0) <= left else None
        return None if new is None else Job(new, 0)

    def add(self, job: Job, score: float) -> None:
        """Add the score of a job to its rung."""
        self.rungs[job.rung].append((score, job.architecture))
