"""Successive halving.

References:
    Jamieson, Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS, figure 3.

    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar 2018, "Hyperband: A Novel Bandit-Based Approach
    to Hyperparameter Optimization", JMLR 18, algorithm 1 (the inner loop).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from nasbench_ecg.api import (
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import SuccessiveHalvingOptions


@dataclass(frozen=True)
class Rung:
    """A number of candidates and the fidelity at which they are evaluated."""

    candidates: int
    fidelity: Fidelity


def rung_fidelity(
    epochs: int, beats: int | None, *, before: int | None, longest: int | None
) -> Fidelity:
    """Return the fidelity of a rung.

    Args:
        epochs: Epochs of the rung.
        beats: Most training beats.
        before: Epochs of the rung before it; None for the first.
        longest: Epochs of the last rung, if rungs go on from the ones before them: the schedule of
            the learning rate is made for so many, so that all are parts of one training. None if
            each rung trains from scratch.
    """
    if longest is None:
        return Fidelity(epochs, beats)
    return Fidelity(epochs, beats, schedule_epochs=longest, continues=before)


class SuccessiveHalving:
    """Evaluates many random architectures cheaply, then the best 1/eta at rising fidelity.

    Choose it if short training ranks candidates about as long training does. It honors budgets of
    evaluations, by starting with fewer candidates, and of seconds.
    """

    def __init__(self, options: SuccessiveHalvingOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best candidate of the last rung that was started.

        If all its trainings diverge, return the next best candidate of the rung before.

        A budget of evaluations reduces the candidates so that all rungs fit into it. Each rung
        evaluates its candidates in order of their last score, so that an interrupted search has
        evaluated the best ones.
        """
        wanted = affordable_candidates(self.options, ctx.budget.evaluations)
        limit = SizeLimit.of(self.options, task, builder, ctx.progress)
        ranked = limit.sample_distinct(space, ctx.rng, wanted)
        plan = rungs(self.options, len(ranked))
        with ctx.progress.track("Halving", sum(rung.candidates for rung in plan)) as bar:
            history = EvaluationHistory(ctx, bar.advance)
            for number, rung in enumerate(plan):
                survivors = ranked[: rung.candidates]
                scores = history.score_all(survivors, rung.fidelity, rung=number)
                if not any(map(isfinite, scores)):  # all diverged, or the budget is spent
                    ranked = [*ranked[len(scores) :], *ranked[: len(scores)]]
                    break
                scored = list(zip(scores, survivors, strict=False))
                ranked = [arch for _, arch in sorted(scored, key=lambda pair: -pair[0])]
        return SearchResult(ranked[0], {"evaluations": history.to_rows(), **limit.details})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        candidates = affordable_candidates(options, ctx.budget.evaluations)
        plan = [(rung.candidates, rung.fidelity) for rung in rungs(options, candidates)]
        return seconds_of_search(plan, space, ctx, SizeLimit.of(options, task, builder))


def rungs(options: SuccessiveHalvingOptions, candidates: int) -> list[Rung]:
    """Return the rungs for ``candidates``, the first one first; none for a single candidate.

    Rung i has ⌊candidates / ηⁱ⌋ candidates and min · ηⁱ epochs and beats, capped at the maximum.
    """
    plan: list[Rung] = []
    while (n := candidates // options.eta ** len(plan)) > 1:
        factor = options.eta ** len(plan)
        epochs = min(options.min_epochs * factor, options.max_epochs)
        beats = None
        if options.min_beats is not None and options.max_beats is not None:
            beats = min(options.min_beats * factor, options.max_beats)
        fidelity = rung_fidelity(
            epochs,
            beats,
            before=plan[-1].fidelity.epochs if plan else None,
            longest=options.max_epochs if options.warm else None,
        )
        if plan and plan[-1].fidelity == fidelity:
            break
        plan.append(Rung(n, fidelity))
    return plan


def affordable_candidates(options: SuccessiveHalvingOptions, evaluations: int | None) -> int:
    """Return the most candidates whose rungs need at most ``evaluations`` in total."""
    if evaluations is None:
        return options.candidates
    return max(
        n
        for n in range(1, options.candidates + 1)
        if sum(rung.candidates for rung in rungs(options, n)) <= evaluations
    )
