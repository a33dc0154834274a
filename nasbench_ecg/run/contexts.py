"""What the harness hands to strategies, and the rules that it keeps thereby."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

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
from nasbench_ecg.run.resume import Ledger
from nasbench_ecg.training.checkpoint import NoCheckpoint, random_state, restore_random_state
from nasbench_ecg.training.seeding import seeded

if TYPE_CHECKING:
    from nasbench_ecg.run.parallel import Workers


@dataclass
class Search:
    """Context of a search: its generator, its budget, its log, and candidates' evaluations.

    Without ``workers`` candidates are evaluated here, one by one, whatever ``parallel`` says.
    """

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
    parallel: int = 1
    workers: Workers | None = None
    evaluations: int = 0
    trajectory: list[dict[str, float]] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        """Seconds of the search so far, those before a stop included."""
        return monotonic() - self.started

    def state(self) -> dict[str, Any]:
        """Return what changes during a search, the generators included."""
        return {
            "rng": self.rng.bit_generator.state,
            "torch": random_state(),
            "evaluations": self.evaluations,
            "trajectory": self.trajectory,
            "seconds": self.seconds,
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
        limit = self.budget.evaluations
        left = len(architectures) if limit is None else max(0, limit - self.evaluations)
        allowed = architectures[:left]
        for arch in allowed:
            self.space.validate(arch)
        unknown = {arch.hash: arch for arch in allowed if self.ledger.find(arch, fidelity) is None}
        done = []
        with closing(self._evaluated(list(unknown.values()), fidelity)) as evaluated:
            for arch in allowed:
                evaluation = self.ledger.find(arch, fidelity)
                if evaluation is None:
                    evaluation = next(evaluated)
                    self.ledger.add(evaluation, fidelity)
                self.started -= self.ledger.claim(arch, fidelity) / self.parallel
                self.evaluations += 1
                done.append(evaluation)
        if len(allowed) < len(architectures):
            raise ProtocolError(
                f"The search's budget of {limit} evaluations is spent.",
                fix="A strategy must stop when ctx.budget is used up.",
            )
        return done

    def _evaluated(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None
    ) -> Generator[Evaluation, None, None]:
        """Yield evaluations that are made now, in order."""
        if self.workers is not None and architectures:
            yield from self.workers.evaluate(architectures, fidelity, self.progress)
            return
        for arch in architectures:
            yield evaluate_candidate(
                arch,
                fidelity,
                task=self.task,
                builder=self.builder,
                evaluator=self.evaluator,
                device=self.device,
                seed=self.evaluation_seed,
                progress=self.progress,
            )

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return the seconds that an evaluation will take; None if the evaluator cannot say."""
        ask = getattr(self.evaluator, "estimate", None)
        if ask is None:
            return None
        trial = ValidationContext(self.task, self.device, self.progress, fidelity)
        return float(ask(arch, self.task, self.builder, trial))

    def log(self, value: float, **figures: float) -> None:
        """Add a point to the trajectory; the best value so far is kept along."""
        best = self.trajectory[-1].get("best", -math.inf) if self.trajectory else -math.inf
        point = {
            "seconds": round(self.seconds, 3),
            "evaluations": self.evaluations,
            "value": float(value),
            "best": max(float(value), best) if math.isfinite(value) else best,
            **{name: float(figure) for name, figure in figures.items()},
        }
        self.trajectory.append({n: figure for n, figure in point.items() if math.isfinite(figure)})


@dataclass
class ValidationContext:
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
class FinalTestContext:
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


def evaluate_candidate(
    arch: Architecture,
    fidelity: Fidelity | None,
    *,
    task: Task,
    builder: Builder,
    evaluator: Evaluator,
    device: str,
    seed: int,
    progress: Progress,
) -> Evaluation:
    """Return the evaluation of one candidate of a search, without the weights of its network.

    It depends on nothing else, so candidates may be evaluated in any order and anywhere.
    """
    trial = ValidationContext(task, device, progress, fidelity)
    with seeded(seed):
        evaluation = evaluator.evaluate(arch, task, builder, trial)
    return replace(evaluation, state=None)
