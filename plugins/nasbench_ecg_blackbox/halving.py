"""Successive halving.

References:
    Jamieson, Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS, figure 3.

    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar 2018, "Hyperband: A Novel Bandit-Based Approach
    to Hyperparameter Optimization", JMLR 18, algorithm 1 (the inner loop).
"""

from __future__ import annotations

from dataclasses import dataclass

from nasbench_ecg.api import (
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.duration import seconds_of_search
from nasbench_ecg_blackbox.limit import SizeLimit
from nasbench_ecg_blackbox.options import SuccessiveHalvingOptions
from nasbench_ecg_blackbox.trials import EvaluationHistory, distinct


@dataclass(frozen=True)
class Rung:
    """How many candidates are evaluated, and how thoroughly."""

    candidates: int
    fidelity: Fidelity


class SuccessiveHalving:
    """Evaluates many random architectures cheaply and one in eta of them ever more thoroughly.

    Choose it where short training ranks candidates much as long training does.
    """

    def __init__(self, options: SuccessiveHalvingOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best candidate of the last rung that was begun.

        With a budget of evaluations there are as many candidates as it allows for all rungs. Each
        rung goes through its candidates best first, so that a search cut short keeps the best.
        """
        wanted = affordable(self.options, ctx.budget.evaluations)
        limit = SizeLimit(self.options.max_parameters, task, builder)
        ranked = list(distinct(space, ctx.rng, wanted, limit))
        plan = rungs(self.options, len(ranked))
        with ctx.progress.track("Halving", sum(rung.candidates for rung in plan)) as bar:
            trials = EvaluationHistory(ctx, bar.advance)
            for number, rung in enumerate(plan):
                climbing = ranked[: rung.candidates]
                scores = trials.score_all(climbing, rung.fidelity, rung=number)
                if not scores:
                    break
                scored = list(zip(scores, climbing, strict=False))
                ranked = [arch for _, arch in sorted(scored, key=lambda pair: -pair[0])]
        return SearchResult(ranked[0], {"evaluations": trials.table()})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that the search will take here; None if the evaluator cannot say."""
        options = self.options
        candidates = affordable(options, ctx.budget.evaluations)
        plan = [(rung.candidates, rung.fidelity) for rung in rungs(options, candidates)]
        return seconds_of_search(plan, space, ctx, SizeLimit(options.max_parameters, task, builder))


def rungs(options: SuccessiveHalvingOptions, candidates: int) -> list[Rung]:
    """Return the rungs that ``candidates`` climb; none for a single candidate.

    Rung i holds ⌊candidates / ηⁱ⌋ and trains them min·ηⁱ epochs and beats, at most the maximum.
    """
    plan: list[Rung] = []
    while (n := candidates // options.eta ** len(plan)) > 1:
        factor = options.eta ** len(plan)
        epochs = min(options.min_epochs * factor, options.max_epochs)
        beats = None
        if options.min_beats is not None and options.max_beats is not None:
            beats = min(options.min_beats * factor, options.max_beats)
        fidelity = Fidelity(epochs=epochs, beats=beats)
        if plan and plan[-1].fidelity == fidelity:
            break
        plan.append(Rung(n, fidelity))
    return plan


def affordable(options: SuccessiveHalvingOptions, evaluations: int | None) -> int:
    """Return the most candidates whose rungs need no more than ``evaluations`` in all."""
    if evaluations is None:
        return options.candidates
    return max(
        n
        for n in range(1, options.candidates + 1)
        if sum(rung.candidates for rung in rungs(options, n)) <= evaluations
    )
