"""Candidates' scores within a budget: each architecture is evaluated once a fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from nasbench_ecg.api import Architecture, Evaluation, Fidelity, SearchContext, SearchSpace

MOST_REPEATS = 1000
"""Draws in a row that bring nothing new, after which a space counts as exhausted."""


@dataclass
class Trials:
    """What a search has evaluated so far.

    The seconds of the budget are compared with the sum of the evaluations' own seconds, so that a
    search that is resumed, whose evaluations are repeated from memory, ends at the same candidate.

    Attributes:
        ctx: The search's context.
        advance: Moves the search's progress bar by one and shows figures.
        evaluations: What was evaluated, by hash and fidelity, in order.
        repeats: Candidates since the last evaluation, all of which were known.
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

    def score(self, arch: Architecture, fidelity: Fidelity, **figures: float) -> float | None:
        """Return the score of ``arch``, evaluated now unless it was before.

        Args:
            arch: The candidate.
            fidelity: How thoroughly it is evaluated.
            figures: What the trajectory shows beside the score.

        Returns:
            The score, or None if it is not known and the budget is spent.
        """
        key = arch.hash, fidelity
        if key in self.evaluations:
            self.repeats += 1
            return self.evaluations[key].score
        if self.spent:
            return None
        (evaluation,) = self.ctx.evaluate_many([arch], fidelity)
        self.evaluations[key] = evaluation
        self.repeats = 0
        self.ctx.log(evaluation.score, **_figures(fidelity), **figures)
        best = max(known.score for known in self.evaluations.values())
        self.advance(1, score=evaluation.score, best=best)
        return evaluation.score

    def table(self) -> list[dict[str, object]]:
        """Return one row for each evaluation, in order, as JSON data."""
        return [
            {"architecture": key, "score": evaluation.score, **_figures(fidelity)}
            for (key, fidelity), evaluation in self.evaluations.items()
        ]


def distinct(space: SearchSpace, rng: np.random.Generator, n: int) -> Iterator[Architecture]:
    """Yield ``n`` different random architectures, or as many as the space holds."""
    seen: set[str] = set()
    repeats = 0
    while len(seen) < min(n, space.size) and repeats < MOST_REPEATS:
        arch = space.sample(rng)
        if arch.hash in seen:
            repeats += 1
            continue
        repeats = 0
        seen.add(arch.hash)
        yield arch


def _figures(fidelity: Fidelity) -> dict[str, float]:
    named = {"epochs": fidelity.epochs, "beats": fidelity.beats}
    return {name: value for name, value in named.items() if value is not None}
