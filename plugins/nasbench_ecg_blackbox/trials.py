"""Candidates' scores within a budget: each architecture is evaluated once a fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nasbench_ecg.api import Architecture, Evaluation, Fidelity, SearchContext, SearchSpace
from nasbench_ecg_blackbox.limit import MOST_REFUSED, SizeLimit

MOST_REPEATS = 1000
"""Draws in a row that bring nothing new, after which a space counts as exhausted."""


@dataclass
class EvaluationHistory:
    """What a search has evaluated so far.

    The seconds of the budget are compared with the sum of the evaluations' own seconds, so that a
    search that is resumed, whose evaluations are repeated from memory, ends at the same candidate.

    Attributes:
        ctx: The search's context.
        advance: Moves the search's progress bar by one and shows figures.
        evaluations: What was evaluated, by hash and fidelity, in order.
        repeats: Candidates since the last evaluation, all of which were known or too large.
    """

    ctx: SearchContext
    advance: Callable[..., None]
    evaluations: dict[tuple[str, Fidelity], Evaluation] = field(default_factory=dict)
    repeats: int = 0

    @property
    def best(self) -> Architecture | None:
        """The architecture with the largest score, the first of equals; None before any."""
        ranked = max(self.evaluations.values(), key=lambda known: known.score, default=None)
        return None if ranked is None else ranked.architecture

    @property
    def exhausted(self) -> bool:
        """Whether the space seems to hold nothing new."""
        return self.repeats >= MOST_REPEATS

    @property
    def spent(self) -> bool:
        """Whether the budget allows no further evaluation."""
        budget = self.ctx.budget
        if budget.evaluations is not None and len(self.evaluations) >= budget.evaluations:
            return True
        seconds = sum(known.seconds for known in self.evaluations.values())
        return budget.seconds is not None and bool(self.evaluations) and seconds >= budget.seconds

    def pass_over(self) -> None:
        """Note a candidate that is not to be evaluated."""
        self.repeats += 1

    def score(self, arch: Architecture, fidelity: Fidelity, **figures: float) -> float | None:
        """Return the score of ``arch``, evaluated now unless it was before.

        Args:
            arch: The candidate.
            fidelity: How thoroughly it is evaluated.
            figures: What the trajectory shows beside the score.

        Returns:
            The score, or None if it is not known and the budget is spent.
        """
        found = self.score_all([arch], fidelity, None, **figures)
        return found[0] if found else None

    def score_all(
        self,
        architectures: Sequence[Architecture],
        fidelity: Fidelity,
        each: Mapping[str, Mapping[str, float]] | None = None,
        **figures: float,
    ) -> list[float]:
        """Return the scores of ``architectures``, as many at a time as the context evaluates.

        Args:
            architectures: The candidates; those that were evaluated before are not again.
            fidelity: How thoroughly they are evaluated.
            each: What the trajectory shows beside a candidate's score, by its hash.
            figures: What it shows for all of them.

        Returns:
            Scores in the same order; fewer, those of the first ones, where the budget is spent.
        """
        scores: list[float] = []
        for start in range(0, len(architectures), self.ctx.parallel):
            batch = architectures[start : start + self.ctx.parallel]
            self._evaluate(batch, fidelity, each or {}, figures)
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
        each: Mapping[str, Mapping[str, float]],
        figures: Mapping[str, float],
    ) -> None:
        """Evaluate what is new in a batch, as far as the budget allows."""
        new = {a.hash: a for a in batch if (a.hash, fidelity) not in self.evaluations}
        self.repeats += len(batch) - len(new)
        allowed = self.ctx.budget.evaluations
        room = len(new) if allowed is None else allowed - len(self.evaluations)
        if not new or self.spent:
            return
        for evaluation in self.ctx.evaluate_many(list(new.values())[:room], fidelity):
            arch = evaluation.architecture
            self.evaluations[arch.hash, fidelity] = evaluation
            self.repeats = 0
            shown = {**_figures(fidelity), **figures, **each.get(arch.hash, {})}
            self.ctx.log(evaluation.score, **shown)
            best = max(known.score for known in self.evaluations.values())
            self.advance(1, score=evaluation.score, best=best)

    def table(self) -> list[dict[str, object]]:
        """Return one row for each evaluation, in order, as JSON data."""
        return [
            {"architecture": key, "score": evaluation.score, **_figures(fidelity)}
            for (key, fidelity), evaluation in self.evaluations.items()
        ]


def distinct(
    space: SearchSpace, rng: np.random.Generator, n: int, limit: SizeLimit | None = None
) -> Iterator[Architecture]:
    """Yield ``n`` different random architectures, or as many as there are.

    Those that ``limit`` does not allow are passed over.

    Raises:
        OptionError: ``limit`` allows none of many.
    """
    seen: set[str] = set()
    found = repeats = refused = 0
    while found < min(n, space.size) and repeats < MOST_REPEATS and refused < MOST_REFUSED:
        arch = space.sample(rng)
        if arch.hash in seen:
            repeats += 1
            continue
        repeats = 0
        seen.add(arch.hash)
        if limit is not None and not limit.allows(arch):
            refused += 1
            continue
        refused = 0
        found += 1
        yield arch
    if limit is not None and not found:
        raise limit.nothing_fits()


def _figures(fidelity: Fidelity) -> dict[str, float]:
    named = {"epochs": fidelity.epochs, "beats": fidelity.beats}
    return {name: value for name, value in named.items() if value is not None}
