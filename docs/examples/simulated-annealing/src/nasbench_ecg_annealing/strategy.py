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
    """Options of ``simulated-annealing``; it evaluates as many architectures as ``random``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"steps": 12, "epochs": 3, "beats": 6000},
        "smoke": {"steps": 3, "epochs": 1, "beats": 500},
    }

    steps: int = Field(100, ge=1)
    """Architectures evaluated."""

    hottest: float = Field(0.05, gt=0)
    """Temperature at the start: a loss of so much score is taken with probability 1/e."""

    coldest: float = Field(0.001, gt=0)
    """Temperature at the end."""

    epochs: int = Field(10, ge=1)
    """Passes over the training beats that each architecture gets."""

    beats: int | None = Field(None, ge=2)
    """Most training beats for an architecture; by default all."""


class SimulatedAnnealing:
    """Walks from neighbour to neighbour; a worse one is taken with probability exp(Δ/T).

    Choose it where the space is rugged and a climber would soon be stuck. T falls geometrically
    from ``hottest`` to ``coldest``.
    """

    def __init__(self, options: SimulatedAnnealingOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture that was met within ``ctx.budget``."""
        fidelity = Fidelity(epochs=self.options.epochs, beats=self.options.beats)
        candidate = space.sample(ctx.rng)
        here: Evaluation | None = None
        best: Evaluation | None = None
        spent, taken = 0.0, 0
        with ctx.progress.track("Annealing", self.options.steps) as bar:
            for step in range(self.options.steps):
                if over(ctx.budget, step, spent):
                    break
                (there,) = ctx.evaluate_many([candidate], fidelity)
                spent += there.seconds
                temperature = self.temperature(step)
                ctx.log(there.score, temperature=temperature)
                bar.advance(1, score=there.score, T=temperature)
                if here is None or accepts(there.score - here.score, temperature, ctx.rng):
                    here, taken = there, taken + 1
                if best is None or there.score > best.score:
                    best = there
                candidate = space.mutate(here.architecture, ctx.rng)
        found = candidate if best is None else best.architecture
        return SearchResult(found, {"moves_taken": taken})

    def temperature(self, step: int) -> float:
        """Return T at a step, from 0."""
        options = self.options
        share = step / max(1, options.steps - 1)
        return float(options.hottest * (options.coldest / options.hottest) ** share)


def accepts(gain: float, temperature: float, rng: np.random.Generator) -> bool:
    """Return whether a move that changes the score by ``gain`` is made."""
    return bool(gain >= 0 or rng.random() < math.exp(gain / temperature))


def over(budget: Budget, done: int, spent: float) -> bool:
    """Return whether ``done`` evaluations of ``spent`` seconds leave nothing of a budget.

    Seconds are those of the evaluations, so that a resumed search ends where it would have ended.
    """
    if budget.evaluations is not None and done >= budget.evaluations:
        return True
    return budget.seconds is not None and done > 0 and spent >= budget.seconds
