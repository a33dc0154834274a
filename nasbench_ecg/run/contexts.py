"""The contexts that strategies and evaluators receive, and the rules that they enforce.

A search sees the training and the validation part of the beats, within its budget. Only the final
evaluation sees the test part, once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Protocol

import numpy as np

from nasbench_ecg import shutdown
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Budget,
    Builder,
    Checkpoint,
    EstimatesEvaluation,
    Evaluation,
    Evaluator,
    Fidelity,
    SearchSpace,
    Task,
)
from nasbench_ecg.data.beats import Beats, join
from nasbench_ecg.errors import DivergedError, PluginError, ProtocolError
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.calls import ComponentCalls
from nasbench_ecg.run.cross_validation import cross_validated, n_folds
from nasbench_ecg.run.evaluations import check_evaluation
from nasbench_ecg.run.networks import faults_of_networks
from nasbench_ecg.run.numbers import measured
from nasbench_ecg.run.proposals import candidates_of, check_candidate, number_of
from nasbench_ecg.run.resume import EvaluationLog
from nasbench_ecg.run.warm import LIMIT, CandidateCheckpoints
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.seeding import random_state, restore_random_state, seeded


class CandidateWorkers(Protocol):
    """Processes that evaluate candidates, see :class:`nasbench_ecg.run.parallel.Workers`."""

    def evaluate(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, progress: Progress
    ) -> Iterator[Evaluation]:
        """Yield the evaluations in the order of ``architectures``."""


@dataclass
class RunSearchContext:
    """The context of a search: random generator, budget, trajectory, and candidate evaluations.

    Implements :class:`nasbench_ecg.contracts.SearchContext`. Without ``workers``, candidates are
    evaluated in this process, one by one, whatever ``parallel`` says.
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
    evaluation_log: EvaluationLog = field(default_factory=EvaluationLog)
    parallel: int = 1
    key: str = ""
    workers: CandidateWorkers | None = None
    candidates: CandidateCheckpoints | None = None
    evaluations: int = 0
    epochs_trained: int = 0
    epochs_reused: int = 0
    longest_evaluation: float = 0.0
    trajectory: list[dict[str, float]] = field(default_factory=list)
    started: float = field(default_factory=monotonic)
    evaluator_name: str = "evaluator"
    builder_name: str = "builder"
    calls: ComponentCalls = field(default_factory=ComponentCalls)
    _counted: set[tuple[str, Fidelity]] = field(default_factory=set)
    _evaluating: threading.Lock = field(default_factory=threading.Lock)

    @property
    def seconds(self) -> float:
        """Seconds of the search so far, including those before an interruption."""
        return monotonic() - self.started

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Train each architecture on the training part and score it on the validation part.

        Raises:
            PluginError: An argument is of another type, an architecture is not valid in the
                search space or was changed after it was evaluated, or another thread evaluates;
                none is evaluated.
            ProtocolError: The budget's evaluations are used up; those it allowed were made.
        """
        if not self._evaluating.acquire(blocking=False):  # torch's generator is that of all threads
            raise PluginError(
                "The strategy evaluates candidates in several threads, which would disturb each "
                "other's random numbers.",
                fix="Pass all candidates to one call of ctx.evaluate_many; --parallel trains "
                "several at a time.",
            )
        try:
            return self._evaluate_many(candidates_of(architectures, fidelity), fidelity)
        finally:
            self._evaluating.release()

    def _evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None
    ) -> list[Evaluation]:
        limit = self.budget.evaluations
        left = len(architectures) if limit is None else max(0, limit - self.evaluations)
        allowed = architectures[:left]
        for arch in allowed:
            check_candidate(arch, self.space)
        log, before = self.evaluation_log, self.seconds
        new = {arch.hash: arch for arch in allowed if log.find(arch, fidelity) is None}
        at_a_time = min(self.parallel, len({arch.hash for arch in allowed}))
        evaluations = []
        with closing(self._evaluate(list(new.values()), fidelity)) as evaluated:
            for arch in allowed:
                evaluation = log.find(arch, fidelity)
                if evaluation is None:
                    log.add(next(evaluated), fidelity)
                    evaluation = log.find(arch, fidelity)
                    assert evaluation is not None
                    if evaluation.score == -math.inf:
                        self.progress.note(
                            f"The training of candidate {arch.hash} diverged: it counts as the "
                            "worst."
                        )
                    shutdown.stop_if_requested()
                self._settle(arch, fidelity, evaluation)
                self.started -= log.take_earlier_seconds(arch, fidelity) / at_a_time
                self.evaluations += 1
                evaluations.append(evaluation)
        self.longest_evaluation = max(self.longest_evaluation, self.seconds - before)
        if len(allowed) < len(architectures):
            raise ProtocolError(
                f"The search has used up its budget of {limit} evaluations.",
                fix="A strategy must stop when ctx.budget is used up.",
            )
        return evaluations

    def _settle(
        self, arch: Architecture, fidelity: Fidelity | None, evaluation: Evaluation
    ) -> None:
        """Count the epochs of an evaluation once, and keep the size limit of the checkpoints."""
        if fidelity is None or fidelity.epochs is None or (arch.hash, fidelity) in self._counted:
            return
        self._counted.add((arch.hash, fidelity))
        self.epochs_trained += n_folds(self.task) * fidelity.epochs - evaluation.epochs_reused
        self.epochs_reused += evaluation.epochs_reused
        if self.candidates is None:
            return
        before = self.candidates.removed
        if self.candidates.settle(arch, fidelity) and not before:
            self.progress.note(
                f"The checkpoints of candidates take more than "
                f"{self.candidates.max_bytes / 1e6:,.0f} MB: the cheapest are removed, and such a "
                f"candidate is trained from scratch. {LIMIT} sets the limit."
            )

    def _evaluate(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None
    ) -> Generator[Evaluation, None, None]:
        """Evaluate ``architectures`` now, and yield their evaluations in order."""
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
                evaluator_name=self.evaluator_name,
                builder_name=self.builder_name,
                calls=self.calls,
                candidates=self.candidates,
            )

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Estimate the seconds that an evaluation takes; None if the evaluator cannot say."""
        if not isinstance(self.evaluator, EstimatesEvaluation):
            return None
        (arch,) = candidates_of([arch], fidelity)
        ctx = ValidationContext(self.task, self.device, self.progress, fidelity)
        with self.calls.of(self.evaluator_name):
            seconds = self.evaluator.estimate(arch, self.task, self.builder, ctx)
        return float(seconds) * n_folds(self.task)

    def log(self, value: float, **figures: float) -> None:
        """Add a point to the trajectory, with the best value so far.

        Numbers that a record cannot hold are left out, as infinite ones are.
        """
        best = self.trajectory[-1].get("best", -math.inf) if self.trajectory else -math.inf
        value = measured(number_of("value", value))
        own = {
            "seconds": round(self.seconds, 3),
            "evaluations": self.evaluations,
            "value": value,
            "best": max(value, best) if math.isfinite(value) else best,
        }
        if taken := sorted(own.keys() & figures):
            self.calls.tell(
                f"The strategy logs {', '.join(taken)}, which the harness records itself: its "
                "values are left out."
            )
        others = {name: measured(number_of(name, figure)) for name, figure in figures.items()}
        point = {**others, **own}
        self.trajectory.append(
            {name: point[name] for name in {**own, **point} if math.isfinite(point[name])}
        )

    def state(self) -> dict[str, Any]:
        """Return everything that changes during a search, including the random generators."""
        return {
            "rng": self.rng.bit_generator.state,
            "torch": random_state(),
            "evaluations": self.evaluations,
            "logged": self.evaluation_log.n_logged,
            "epochs": [self.epochs_trained, self.epochs_reused],
            "counted": [[key, fidelity.as_dict()] for key, fidelity in self._counted],
            "trajectory": self.trajectory,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""
        self.rng.bit_generator.state = state["rng"]
        restore_random_state(state["torch"])
        self.evaluations = state["evaluations"]
        self.epochs_trained, self.epochs_reused = state["epochs"]
        self._counted = {(key, Fidelity(**fidelity)) for key, fidelity in state["counted"]}
        self.trajectory = list(state["trajectory"])
        self.started = monotonic() - state["seconds"]
        self.evaluation_log.count_seconds_of(state["logged"])


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
    evaluator_name: str,
    builder_name: str,
    calls: ComponentCalls,
    candidates: CandidateCheckpoints | None = None,
) -> Evaluation:
    """Return the evaluation of one candidate of a search, without the weights of its network.

    A task with folds is evaluated by cross-validation. The result depends on the arguments alone,
    so candidates may be evaluated in any order and in any process. A candidate whose training
    diverges is the worst: its score is minus infinity.

    Raises:
        PluginError: The evaluation is not valid.
    """
    started = monotonic()
    arch = Architecture.from_json(arch.to_json())  # mappings in the order that files have

    def evaluate(task: Task, fold: int = 0) -> Evaluation:
        checkpoint = None if candidates is None else candidates.of(arch, fidelity, fold)
        ctx = ValidationContext(task, device, progress, fidelity, checkpoint or NoCheckpoint())
        builders = faults_of_networks(arch, task, builder, builder_name=builder_name, calls=calls)
        with calls.of(evaluator_name), builders, seeded(seed):
            evaluation = evaluator.evaluate(arch, task, builder, ctx)
            evaluation = check_evaluation(
                evaluation, arch, task.validation, evaluator_name, task.macro_classes
            )
        reused = checkpoint is not None and checkpoint.loaded and fidelity is not None
        epochs = fidelity.continues if reused and fidelity is not None else None
        return replace(evaluation, state=None, epochs_reused=epochs or 0)

    try:
        return evaluate(task) if n_folds(task) == 1 else cross_validated(task, evaluate)
    except DivergedError:
        return Evaluation(arch, score=-math.inf, metrics={}, seconds=monotonic() - started)


@dataclass
class ValidationContext:
    """The context of an evaluation during a search: training and validation part."""

    task: Task
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)

    def parts(self) -> tuple[Beats, Beats]:
        """Return the training and the validation part."""
        return self.task.train, self.task.validation


@dataclass
class FinalTestContext:
    """The context of the evaluation after the search: it gives out the test part once."""

    task: Task
    test: Beats
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    opened: bool = False

    def parts(self) -> tuple[Beats, Beats]:
        """Return training and validation part joined, and the test part.

        Raises:
            ProtocolError: The test part was requested before.
        """
        if self.opened:
            raise ProtocolError(
                "The test set was requested twice.",
                fix="An evaluator may call ctx.parts() only once.",
            )
        self.opened = True
        return join([self.task.train, self.task.validation]), self.test.read_only()
