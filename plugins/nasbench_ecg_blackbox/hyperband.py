"""Hyperband: brackets of successive halving, from many short trainings to a few long ones.

References:
    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar 2018, "Hyperband: A Novel Bandit-Based Approach
    to Hyperparameter Optimization", JMLR 18, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nasbench_ecg.api import (
    Architecture,
    Builder,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.halving import Rung, rung_fidelity
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import HyperbandOptions


class Hyperband:
    """Runs successive halving with several numbers of candidates and least epochs.

    Choose it over ``successive-halving`` if you do not know whether short training ranks candidates
    as long training does: its last bracket trains all candidates for the most epochs. It honors
    budgets of evaluations and of seconds.
    """

    def __init__(self, options: HyperbandOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best of the candidates that were trained longest, the first of equals.

        A budget ends the search in the middle of a bracket.
        """
        options = self.options
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        plan = brackets(options) * options.rounds
        with ctx.progress.track("Brackets", sum(r.candidates for b in plan for r in b)) as bar:
            history = EvaluationHistory(ctx, bar.advance)
            proposer = self._proposer(space, ctx, limit)
            for number, bracket in enumerate(plan):
                if history.budget_spent:
                    break
                ranked = proposer.propose(bracket[0].candidates)
                for rung in bracket:
                    survivors = ranked[: rung.candidates]
                    scores = history.score_all(survivors, rung.fidelity, bracket=number)
                    scored = list(zip(scores, survivors, strict=False))
                    proposer.tell(rung, scored)
                    ranked = [arch for _, arch in sorted(scored, key=lambda pair: -pair[0])]
        best = history.best_of_longest or limit.sample(space, ctx.rng)
        return SearchResult(best, {"evaluations": history.to_rows(), **limit.details})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        rungs = [rung for bracket in brackets(options) * options.rounds for rung in bracket]
        plan = [(rung.candidates, rung.fidelity) for rung in rungs]
        return seconds_of_search(plan, space, ctx, SizeLimit.of(options, task, builder))

    def _proposer(self, space: SearchSpace, ctx: SearchContext, limit: SizeLimit) -> Proposer:
        return _Random(space, ctx, limit)


class Proposer(Protocol):
    """Proposes the candidates of each bracket."""

    def propose(self, n: int) -> Sequence[Architecture]:
        """Return ``n`` distinct candidates within the limits, or as many as are found."""

    def tell(self, rung: Rung, scored: Sequence[tuple[float, Architecture]]) -> None:
        """Take notice of the scores of a rung."""


class _Random:
    def __init__(self, space: SearchSpace, ctx: SearchContext, limit: SizeLimit) -> None:
        self._space, self._rng, self._limit = space, ctx.rng, limit

    def propose(self, n: int) -> Sequence[Architecture]:
        return self._limit.sample_distinct(self._space, self._rng, n)

    def tell(self, rung: Rung, scored: Sequence[tuple[float, Architecture]]) -> None:
        pass


def brackets(options: HyperbandOptions) -> list[list[Rung]]:
    """Return the brackets of one round, the one with the most candidates first.

    With R = ``max_epochs`` and s_max = ⌊log_η R⌋, bracket s has n = ⌈(s_max + 1) ηˢ / (s + 1)⌉
    candidates. Its rung i trains ⌊n / ηⁱ⌋ of them for ⌊R / ηˢ⁻ⁱ⌋ epochs.
    """
    most, eta = options.max_epochs, options.eta
    s_max = 0
    while eta ** (s_max + 1) <= most:
        s_max += 1
    plan = []
    for s in range(s_max, -1, -1):
        n = -((s_max + 1) * eta**s // -(s + 1))
        plan.append(
            [
                Rung(
                    n // eta**i,
                    rung_fidelity(
                        most // eta ** (s - i),
                        options.beats,
                        before=most // eta ** (s - i + 1) if i else None,
                        longest=most if options.warm else None,
                    ),
                )
                for i in range(s + 1)
            ]
        )
    return plan
