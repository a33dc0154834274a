"""What the harness hands to strategies and evaluators, and the rules that it keeps thereby."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Budget,
    Builder,
    Checkpoint,
    Evaluation,
    Evaluator,
    Fidelity,
    SearchSpace,
    Task,
)
from nasbench_ecg.data.beats import Beats, join
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.ledger import Ledger
from nasbench_ecg.training.checkpoint import NoCheckpoint, random_state, restore_random_state
from nasbench_ecg.training.seeding import seeded


@dataclass
class Trial:
    """Context of an evaluation during a search: train and validation part."""

    task: Task
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)

    def parts(self) -> tuple[Beats, Beats]:
        """Return the train and the validation part."""
        return self.task.train, self.task.validation


@dataclass
class Examination:
    """Context of the evaluation after the search: the test part, opened once."""

    task: Task
    test: Beats
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    opened: bool = False

    def parts(self) -> tuple[Beats, Beats]:
        """Return train with validation, and the test part.

        Raises:
            ProtocolError: It was opened before.
        """
        if self.opened:
            raise ProtocolError(
                "The test part was to be opened a second time.",
                fix="An evaluator may call ctx.parts() once.",
            )
        self.opened = True
        return join([self.task.train, self.task.validation]), self.test


@dataclass
class Search:
    """Context of a search: its generator, its budget, its log, and candidates' evaluations."""

    task: Task
    space: SearchSpace
    builder: Builder
    evaluator: Evaluator
    rng: np.random.Generator
    evaluation_seed: int
    device: str
    progress: Progress
    budget: Budget = field(default_factory=Budget)
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    ledger: Ledger = field(default_factory=Ledger)
    evaluations: int = 0
    trajectory: list[dict[str, float]] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def state(self) -> dict[str, Any]:
        """Return what changes during a search, the generators included."""
        return {
            "rng": self.rng.bit_generator.state,
            "torch": random_state(),
            "evaluations": self.evaluations,
            "trajectory": self.trajectory,
            "seconds": monotonic() - self.started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was called."""
        self.rng.bit_generator.state = state["rng"]
        restore_random_state(state["torch"])
        self.evaluations = state["evaluations"]
        self.trajectory = list(state["trajectory"])
        self.started = monotonic() - state["seconds"]

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Train each architecture on the train part and score it on the validation part."""
        done = []
        for arch in architectures:
            limit = self.budget.evaluations
            if limit is not None and self.evaluations >= limit:
                raise ProtocolError(
                    f"The search's budget of {limit} evaluations is spent.",
                    fix="A strategy must stop when ctx.budget is used up.",
                )
            self.space.validate(arch)
            evaluation = self.ledger.find(arch, fidelity)
            if evaluation is None:
                trial = Trial(self.task, self.device, self.progress, fidelity)
                with seeded(self.evaluation_seed):
                    evaluation = self.evaluator.evaluate(arch, self.task, self.builder, trial)
                self.ledger.add(evaluation, fidelity)
            self.started -= self.ledger.claim(arch, fidelity)
            self.evaluations += 1
            done.append(evaluation)
        return done

    def log(self, value: float, **figures: float) -> None:
        """Add a point to the trajectory; the best value so far is kept along."""
        best = self.trajectory[-1].get("best", -math.inf) if self.trajectory else -math.inf
        point = {
            "seconds": round(monotonic() - self.started, 3),
            "evaluations": self.evaluations,
            "value": float(value),
            "best": max(float(value), best) if math.isfinite(value) else best,
            **{name: float(figure) for name, figure in figures.items()},
        }
        self.trajectory.append({n: figure for n, figure in point.items() if math.isfinite(figure)})
