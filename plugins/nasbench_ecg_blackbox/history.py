"""What the black-box searches share: the history of their evaluations and a time estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, isfinite
from statistics import fmean

from nasbench_ecg.api import (
    Architecture,
    Evaluation,
    Fidelity,
    SearchContext,
    SearchSpace,
)
from nasbench_ecg_blackbox.limits import SizeLimit

MAX_REPEATS = 1000
"""Consecutive candidates without a new evaluation after which a space counts as exhausted."""

TIMED_CANDIDATES = 2
"""Random architectures that a time estimate is based on."""


@dataclass
class EvaluationHistory:
    """The evaluations of a search, in order: one per architecture and fidelity.

    The seconds of the budget are compared with the evaluations' own seconds, so that a resumed
    search, which reads its earlier evaluations back, stops at the same candidate. Candidates that
    are evaluated at the same time count as the longest of them.

    Attributes:
        ctx: The search's context.
        advance: Advances the search's progress bar by one and shows figures.
        evaluations: Evaluations by architecture hash and fidelity, in order.
        repeats: Candidates since the last evaluation; all were known or rejected.
        seconds: Seconds of the evaluations, without those of the search between them.
    """

    ctx: SearchContext
    advance: Callable[..., None]
    evaluations: dict[tuple[str, Fidelity], Evaluation] = field(default_factory=dict)
    repeats: int = 0
    seconds: float = 0.0
    _best: float = field(default=-inf, init=False, repr=False)

    @property
    def best(self) -> Architecture | None:
        """The architecture with the highest score, the first of equals; None without any."""
        best = max(self.evaluations.values(), key=lambda known: known.score, default=None)
        return None if best is None else best.architecture

    @property
    def best_of_longest(self) -> Architecture | None:
        """The best architecture of those trained for the most epochs; None without any.

        An architecture whose training diverged once is chosen only if there is no other.
        """
        diverged = {key for (key, _), e in self.evaluations.items() if not isfinite(e.score)}
        usable = {name: e for name, e in self.evaluations.items() if name[0] not in diverged}
        known = usable or self.evaluations
        longest = max((fidelity.epochs or 0 for _, fidelity in known), default=0)
        trained = [e for (_, f), e in known.items() if (f.epochs or 0) == longest]
        best = max(trained, key=lambda one: one.score, default=None)
        return None if best is None else best.architecture

    @property
    def exhausted(self) -> bool:
        """Whether the space seems to contain no new architecture."""
        return self.repeats >= MAX_REPEATS

    @property
    def budget_spent(self) -> bool:
        """Whether the budget allows no further evaluation."""
        budget = self.ctx.budget
        if budget.evaluations is not None and len(self.evaluations) >= budget.evaluations:
            return True
        allowed = budget.seconds
        return allowed is not None and bool(self.evaluations) and self.seconds >= allowed

    def reject(self) -> None:
        """Count a candidate that is not evaluated."""
        self.repeats += 1

    def score(self, arch: Architecture, fidelity: Fidelity, **figures: float) -> float | None:
        """Return the score of ``arch``, which is evaluated unless its score is known.

        Args:
            arch: The candidate.
            fidelity: Fidelity of the evaluation.
            figures: Figures that are logged with the score.

        Returns:
            The score, or None if it is not known and the budget is spent.
        """
        scores = self.score_all([arch], fidelity, None, **figures)
        return scores[0] if scores else None

    def score_all(
        self,
        architectures: Sequence[Architecture],
        fidelity: Fidelity,
        candidate_figures: Mapping[str, Mapping[str, float]] | None = None,
        **figures: float,
    ) -> list[float]:
        """Return the scores of ``architectures``, evaluated in batches of ``ctx.parallel``.

        Args:
            architectures: The candidates; those with a known score are not evaluated again.
            fidelity: Fidelity of the evaluations.
            candidate_figures: Figures that are logged with one candidate's score, by its hash.
            figures: Figures that are logged with every score.

        Returns:
            Scores in the same order; only the first ones if the budget runs out.
        """
        scores: list[float] = []
        for start in range(0, len(architectures), self.ctx.parallel):
            batch = architectures[start : start + self.ctx.parallel]
            self._evaluate(batch, fidelity, candidate_figures or {}, figures)
            for arch in batch:
                known = self.evaluations.get((arch.hash, fidelity))
                if known is None:
                    return scores
                scores.append(known.score)
        return scores

    def _evaluate(
        self,
        batch: Sequence[Architecture],
        fidelity: Fidelity,
        candidate_figures: Mapping[str, Mapping[str, float]],
        figures: Mapping[str, float],
    ) -> None:
        """Evaluate the new candidates of a batch, as far as the budget allows."""
        new = {a.hash: a for a in batch if (a.hash, fidelity) not in self.evaluations}
        self.repeats += len(batch) - len(new)
        limit = self.ctx.budget.evaluations
        remaining = len(new) if limit is None else limit - len(self.evaluations)
        if not new or self.budget_spent:
            return
        evaluated = self.ctx.evaluate_many(list(new.values())[:remaining], fidelity)
        self.seconds += max((evaluation.seconds for evaluation in evaluated), default=0.0)
        for evaluation in evaluated:
            arch = evaluation.architecture
            self.evaluations[arch.hash, fidelity] = evaluation
            self.repeats = 0
            own = candidate_figures.get(arch.hash, {})
            shown = {**_figures(evaluation, fidelity), **figures, **own}
            self.ctx.log(evaluation.score, **shown)
            self._best = max(self._best, evaluation.score)
            self.advance(1, score=evaluation.score, best=self._best)

    def to_rows(self) -> list[dict[str, object]]:
        """Return the evaluations in order as JSON data: hash, score, epochs and beats.

        ``epochs_reused`` are those of an earlier evaluation that the training went on from.
        """
        return [
            {"architecture": key, "score": evaluation.score, **_figures(evaluation, fidelity)}
            for (key, fidelity), evaluation in self.evaluations.items()
        ]


def _figures(evaluation: Evaluation, fidelity: Fidelity) -> dict[str, float]:
    figures = {
        "epochs": fidelity.epochs,
        "beats": fidelity.beats,
        "epochs_reused": evaluation.epochs_reused or None,
    }
    return {name: value for name, value in figures.items() if value is not None}


def seconds_of_search(
    plan: Sequence[tuple[int, Fidelity]],
    space: SearchSpace,
    ctx: SearchContext,
    limit: SizeLimit,
    *,
    batch: int | None = None,
) -> float | None:
    """Return the estimated seconds of a search here; None if the evaluator has no estimate.

    Args:
        plan: Pairs of a number of candidates and their fidelity, in the order of the search. The
            budget cuts the plan short.
        space: Where candidates are sampled.
        ctx: The search's context; no budget is spent.
        limit: Size limit of the candidates.
        batch: Candidates that the search asks for at once; None: all of a pair. Of these,
            ``ctx.parallel`` are evaluated at the same time.
    """
    left = ctx.budget.evaluations
    candidates = limit.for_estimate(space, ctx.rng, TIMED_CANDIDATES)
    total = 0.0
    for wanted, fidelity in plan:
        n = wanted if left is None else min(wanted, left)
        left = None if left is None else left - n
        if not n:
            continue
        estimates = [ctx.seconds_per_evaluation(arch, fidelity) for arch in candidates]
        known = [seconds for seconds in estimates if seconds is not None]
        if not known:
            return None
        at_once = batch or max(n, 1)
        full, rest = divmod(n, at_once)
        turns = full * ceil(at_once / ctx.parallel) + ceil(rest / ctx.parallel)
        total += turns * fmean(known)
    return total if ctx.budget.seconds is None else min(total, ctx.budget.seconds)
