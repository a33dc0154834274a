"""Searches made for contract tests: real contexts and checkpoints, candidates scored by formula."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
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
from nasbench_ecg.run.contexts import Search
from nasbench_ecg.run.resume import Unfinished
from nasbench_ecg.testing.fixtures import Subject, small_task
from nasbench_ecg.testing.harness import Broken, expect
from nasbench_ecg.training.seeding import seeded

SECONDS = 0.001
"""What an evaluation says that it took."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C at a moment that a check has chosen."""


@dataclass
class Moment:
    """Stops a search at its n-th save or its n-th evaluation.

    Attributes:
        event: ``save`` or ``evaluation``.
        number: Which one, counted from 1.
    """

    event: str
    number: int
    seen: int = 0

    def pass_by(self, event: str) -> None:
        """Take note of an event, and raise Stopped if it is the one."""
        self.seen += event == self.event
        if event == self.event and self.seen == self.number:
            raise Stopped

    def __str__(self) -> str:
        return f"{self.event} {self.number}"


@dataclass
class Landscape:
    """Scores an architecture by its hash, in no time: rugged, but the same every time.

    Attributes:
        moment: When to stop.
        hashes: What was scored, in order.
    """

    moment: Moment | None = None
    hashes: list[str] = field(default_factory=list)

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return a score in 0…1."""
        if self.moment is not None:
            self.moment.pass_by("evaluation")
        self.hashes.append(arch.hash)
        fidelity = None if ctx.fidelity is None else asdict(ctx.fidelity)
        score = int(digest([arch.hash, fidelity])[:8], 16) / 16**8
        metrics = {"f1_of_macro": score, "accuracy": score}
        return Evaluation(architecture=arch, score=score, metrics=metrics, seconds=SECONDS)


@dataclass
class Counted:
    """Progress that counts the steps of work."""

    steps: int = 0

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar whose steps count."""
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Count a step."""
        self.steps += n

    def note(self, message: str) -> None:
        """Do nothing."""


@dataclass
class Saves:
    """A checkpoint that is always due, and counts.

    Attributes:
        inner: Where the state goes.
        moment: When to stop.
        count: Saves so far.
    """

    inner: Checkpoint
    moment: Moment | None
    count: int = 0

    def due(self) -> bool:
        """Return True."""
        return True

    def save(self, state: Mapping[str, Any]) -> None:
        """Store the state, and stop if it is time."""
        self.inner.save(state)
        self.count += 1
        if self.moment is not None:
            self.moment.pass_by("save")

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last."""
        return self.inner.load()


@dataclass(frozen=True)
class Searched:
    """A search that came to its end.

    Attributes:
        result: What it returned.
        trajectory: What it logged, without the seconds.
        hashes: What was evaluated now, in order.
        saves: Checkpoints it saved.
        evaluations: Evaluations that count towards the budget.
        work: Evaluations, points logged and steps of progress.
    """

    result: SearchResult
    trajectory: list[dict[str, float]]
    hashes: list[str]
    saves: int
    evaluations: int
    work: int

    def end(self) -> str:
        """Return all that must not depend on chance, on speed or on a stop, as JSON."""
        return json.dumps(
            {
                "architecture": self.result.architecture.to_dict(),
                "details": jsonable(dict(self.result.details)),
                "trajectory": self.trajectory,
            },
            sort_keys=True,
        )


@dataclass(frozen=True)
class Parts:
    """What a search needs, made anew."""

    strategy: Strategy
    space: SearchSpace
    builder: Builder


def parts_of(subject: Subject) -> Parts:
    """Return a strategy with the space and the builder that it names."""
    return Parts(subject.create(), subject.space(), subject.builder())


def search(
    subject: Subject,
    *,
    parts: Parts | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    folder: Path | None = None,
    moment: Moment | None = None,
) -> Searched:
    """Return a search of the small task, whose candidates a formula scores.

    Args:
        subject: The strategy.
        parts: Strategy, space and builder; made anew if not given.
        budget: What it may spend; nothing limits it if not given.
        seed: Seed of its generator and of torch's.
        folder: Where its state is kept, and taken up from; none is if not given.
        moment: When to stop it.

    Raises:
        Stopped: The moment has come.
        Broken: It returns no SearchResult with an architecture of its space.
    """
    made, task = parts or parts_of(subject), small_task()
    landscape, progress = Landscape(moment), Counted()
    ctx = Search(
        task=task, space=made.space, builder=made.builder, evaluator=landscape,
        rng=np.random.default_rng(seed), evaluation_seed=seed, device="cpu", progress=progress,
        budget=budget or Budget(),
    )  # fmt: skip
    saves = None
    if folder is not None:
        unfinished = Unfinished(folder, 0.0)
        ctx.ledger = unfinished.ledger()
        saves = Saves(unfinished.checkpoint("search", ctx.state, ctx.restore), moment)
        ctx.checkpoint = saves
    with seeded(seed):
        result = made.strategy.search(task, made.space, made.builder, ctx)
    _must_be_found(result, made.space)
    return Searched(
        result=result,
        trajectory=[{n: v for n, v in p.items() if n != "seconds"} for p in ctx.trajectory],
        hashes=landscape.hashes,
        saves=saves.count if saves else 0,
        evaluations=ctx.evaluations,
        work=ctx.evaluations + len(ctx.trajectory) + progress.steps,
    )


def _must_be_found(result: Any, space: SearchSpace) -> None:
    expect(
        isinstance(result, SearchResult),
        f"search returns a {type(result).__name__}, no SearchResult",
    )
    arch = result.architecture
    expect(
        isinstance(arch, Architecture),
        f"the result holds a {type(arch).__name__} where an Architecture is due",
    )
    try:
        space.validate(arch)
    except Exception as error:
        raise Broken(f"search returns what is not of the space {space.name!r}: {error}") from error
