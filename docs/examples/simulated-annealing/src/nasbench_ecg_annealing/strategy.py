"""The search strategy ``simulated-annealing``.

References:
    Kirkpatrick, Gelatt, Vecchi 1983, "Optimization by Simulated Annealing", Science 220.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from nasbench_ecg.api import (
    Budget,
    Builder,
    Evaluation,
    Fidelity,
    Options,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)


class SimulatedAnnealingOptions(Options):
    """Options of ``simulated-annealing``, which evaluates as many architectures as ``random``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"steps": 12, "epochs": 3, "beats": 6000},
        "smoke": {"steps": 3, "epochs": 1, "beats": 500},
    }

    steps: int = Field(100, ge=1)
    """Number of architectures to evaluate."""

    hottest: float = Field(0.05, gt=0)
    """First temperature: a score lower by this much is accepted with probability 1/e."""

    coldest: float = Field(0.001, gt=0)
    """Last temperature."""

    epochs: int = Field(10, ge=1)
    """Training epochs of each architecture."""

    beats: int | None = Field(None, ge=2)
    """Largest number of training beats of each architecture; by default all."""


class SimulatedAnnealing:
    """Moves from neighbor to neighbor; accepts a worse one with probability exp(Δ/T).

    Choose it if the space has many local optima. T falls geometrically from ``hottest`` to
    ``coldest``.
    """

    def __init__(self, options: SimulatedAnnealingOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture found within ``ctx.budget``."""
        fidelity = Fidelity(epochs=self.options.epochs, beats=self.options.beats)
        candidate = space.sample(ctx.rng)
        current: Evaluation | None = None
        best: Evaluation | None = None
        seconds, accepted_moves = 0.0, 0
        with ctx.progress.track("Annealing", self.options.steps) as bar:
            for step in range(self.options.steps):
                if budget_is_spent(ctx.budget, step, seconds):
                    break
                (evaluation,) = ctx.evaluate_many([candidate], fidelity)
                seconds += evaluation.seconds
                temperature = self.temperature(step)
                ctx.log(evaluation.score, temperature=temperature)
                bar.advance(1, score=evaluation.score, T=temperature)
                if current is None or accepts(
                    evaluation.score - current.score, temperature, ctx.rng
                ):
                    current, accepted_moves = evaluation, accepted_moves + 1
                if best is None or evaluation.score > best.score:
                    best = evaluation
                candidate = space.mutate(current.architecture, ctx.rng)
        found = candidate if best is None else best.architecture
        return SearchResult(found, {"accepted_moves": accepted_moves})

    def temperature(self, step: int) -> float:
        """Return T at ``step``, counted from 0."""
        options = self.options
        share = step / max(1, options.steps - 1)
        return float(options.hottest * (options.coldest / options.hottest) ** share)


def accepts(gain: float, temperature: float, rng: np.random.Generator) -> bool:
    """Return whether to accept a move that changes the score by ``gain``."""
    return bool(gain >= 0 or rng.random() < math.exp(gain / temperature))


def budget_is_spent(budget: Budget, evaluations: int, seconds: float) -> bool:
    """Return whether evaluations that took ``seconds`` in total use up the budget.

    ``seconds`` is the stored time of the evaluations, so that a resumed search ends at the same
    step as an uninterrupted one.
    """
    if budget.evaluations is not None and evaluations >= budget.evaluations:
        return True
    return budget.seconds is not None and evaluations > 0 and seconds >= budget.seconds
