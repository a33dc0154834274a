"""Run a search under test: real contexts and checkpoints, but candidates scored by their hash."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture, digest
from nasbench_ecg.contracts import (
    Budget,
    Builder,
    Checkpoint,
    Evaluation,
    EvaluationContext,
    SearchResult,
    SearchSpace,
    Strategy,
    Task,
)
from nasbench_ecg.io import jsonable
from nasbench_ecg.progress import Steps
from nasbench_ecg.run.contexts import RunSearchContext
from nasbench_ecg.run.resume import ResumeFolder
from nasbench_ecg.testing.check import ContractViolation, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest
from nasbench_ecg.training.seeding import seeded

_SECONDS = 0.001
"""Reported duration of an evaluation."""


@dataclass(frozen=True)
class SearchParts:
    """New instances of a strategy and of what it works with."""

    strategy: Strategy
    space: SearchSpace
    builder: Builder


@dataclass(frozen=True)
class SearchOutcome:
    """A search that finished.

    Attributes:
        result: What it returned.
        trajectory: What it logged, without the seconds.
        evaluated: Hashes of the architectures evaluated now, in order.
        saves: Number of checkpoints it saved.
        evaluations: Number of evaluations that count towards the budget.
        work: Number of evaluations, logged points and steps of progress.
    """

    result: SearchResult
    trajectory: list[dict[str, float]]
    evaluated: list[str]
    saves: int
    evaluations: int
    work: int

    def to_json(self) -> str:
        """Return as JSON what must not depend on global generators, speed or interruptions."""
        return json.dumps(
            {
                "architecture": self.result.architecture.to_dict(),
                "details": jsonable(dict(self.result.details)),
                "trajectory": self.trajectory,
            },
            sort_keys=True,
        )


def search_parts(component: ComponentUnderTest) -> SearchParts:
    """Return a strategy with its default space and builder."""
    return SearchParts(component.create(), component.space(), component.builder())


def run_search(
    component: ComponentUnderTest,
    *,
    parts: SearchParts | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    folder: Path | None = None,
    interrupt_at: InterruptAt | None = None,
    task: Task | None = None,
) -> SearchOutcome:
    """Run a search of the small task, with a formula in place of the evaluator.

    Args:
        component: The strategy.
        parts: Strategy, space and builder; by default new ones.
        budget: Its budget; by default unlimited.
        seed: Seed of its generator and of torch's.
        folder: Where its state is saved to and resumed from; by default nowhere.
        interrupt_at: When to interrupt it.
        task: Its task; by default a new small task, so that no search sees what another changed.

    Raises:
        SearchInterrupted: It was interrupted.
        ContractViolation: It returns no SearchResult with an architecture of its space.
    """
    made, task = parts or search_parts(component), task or component.task()
    evaluator, progress = HashEvaluator(interrupt_at), CountingProgress()
    ctx = RunSearchContext(
        task=task, space=made.space, builder=made.builder, evaluator=evaluator,
        rng=np.random.default_rng(seed), evaluation_seed=seed, device="cpu", progress=progress,
        budget=budget or Budget(),
    )  # fmt: skip
    checkpoint = None
    if folder is not None:
        saved = ResumeFolder(folder, 0.0)
        ctx.evaluation_log = saved.evaluation_log()
        inner = saved.checkpoint("search", ctx.state, ctx.restore)
        ctx.checkpoint = checkpoint = CountingCheckpoint(inner, interrupt_at)
    with seeded(seed):
        result = made.strategy.search(task, made.space, made.builder, ctx)
    _check_result(result, made.space)
    return SearchOutcome(
        result=result,
        trajectory=[{n: v for n, v in p.items() if n != "seconds"} for p in ctx.trajectory],
        evaluated=evaluator.evaluated,
        saves=checkpoint.saves if checkpoint else 0,
        evaluations=ctx.evaluations,
        work=ctx.evaluations + len(ctx.trajectory) + progress.steps,
    )


def _check_result(result: Any, space: SearchSpace) -> None:
    expect(
        isinstance(result, SearchResult),
        f"search returns a {type(result).__name__}, not a SearchResult",
    )
    arch = result.architecture
    expect(
        isinstance(arch, Architecture),
        f"the result holds a {type(arch).__name__}, not an Architecture",
    )
    try:
        space.validate(arch)
    except Exception as error:
        raise ContractViolation(
            f"search returns an architecture that is not in the space {space.name!r}: {error}"
        ) from error


# Interruptions


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C at a point that a check has chosen."""


@dataclass
class InterruptAt:
    """Interrupts a search at its n-th checkpoint or evaluation.

    Attributes:
        event: ``checkpoint`` or ``evaluation``.
        number: Which one, counted from 1.
    """

    event: str
    number: int
    seen: int = 0

    def count(self, event: str) -> None:
        """Count an event, and raise SearchInterrupted if it is the chosen one."""
        self.seen += event == self.event
        if event == self.event and self.seen == self.number:
            raise SearchInterrupted

    def __str__(self) -> str:
        return f"{self.event} {self.number}"


@dataclass
class CountingCheckpoint:
    """A checkpoint that is always due, and counts how often it is saved.

    Attributes:
        inner: Where the state goes.
        interrupt_at: When to interrupt.
        saves: Saves so far.
    """

    inner: Checkpoint
    interrupt_at: InterruptAt | None
    saves: int = 0

    def due(self) -> bool:
        """Return True."""
        return True

    def save(self, state: Mapping[str, Any]) -> None:
        """Store the state, then interrupt if this is the chosen save."""
        self.inner.save(state)
        self.saves += 1
        if self.interrupt_at is not None:
            self.interrupt_at.count("checkpoint")

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last."""
        return self.inner.load()


# Substitutes for evaluator and progress


@dataclass
class HashEvaluator:
    """Scores an architecture by its hash: no training, always the same score.

    Attributes:
        interrupt_at: When to interrupt.
        evaluated: Hashes of the architectures scored, in order.
    """

    interrupt_at: InterruptAt | None = None
    evaluated: list[str] = field(default_factory=list)

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return a score between 0 and 1."""
        if self.interrupt_at is not None:
            self.interrupt_at.count("evaluation")
        self.evaluated.append(arch.hash)
        fidelity = None if ctx.fidelity is None else ctx.fidelity.as_dict()
        score = int(digest([arch.hash, fidelity])[:8], 16) / 16**8
        metrics = {"f1_of_macro": score, "accuracy": score}
        return Evaluation(architecture=arch, score=score, metrics=metrics, seconds=_SECONDS)


@dataclass
class CountingProgress:
    """Progress that counts the steps of work."""

    steps: int = 0

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar whose steps are counted."""
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Count a step."""
        self.steps += n

    def note(self, message: str) -> None:
        """Do nothing."""
