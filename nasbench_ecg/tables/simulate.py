"""Searches repeated on a table: strategies run unchanged, and every training is looked up.

The clock is simulated: an evaluation takes the processor seconds that its training took when the
table was built. Budgets of evaluations and of seconds work as in a run. A fidelity of more epochs
than the table has means its last epoch, and a fidelity's number of beats is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Budget,
    Builder,
    Checkpoint,
    Evaluation,
    Fidelity,
    SearchSpace,
    Strategy,
    Task,
)
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.table import Table
from nasbench_ecg.training.checkpoint import NoCheckpoint

METRIC = "f1_of_macro"


@dataclass(frozen=True)
class ValidationLookup:
    """The part of a table that a search may see: validation scores and seconds, no test results.

    Attributes:
        place: Returns the row of an architecture.
        trained: Which members are trained with which seeds, [M, S].
        scores: Validation scores, [M, S, E].
        seconds: Processor seconds of training and validation, [M, S, E].
    """

    place: Callable[[Architecture], int]
    trained: NDArray[np.bool_]
    scores: NDArray[np.float64]
    seconds: NDArray[np.float32]

    @classmethod
    def of(cls, table: Table) -> ValidationLookup:
        """Return the lookup of a table."""
        places = {arch.hash: row for row, arch in enumerate(table.members)}

        def place(arch: Architecture) -> int:
            row = places.get(arch.hash)
            if row is None:
                raise TableError(
                    f"The architecture {arch.hash} is not a member of the table.",
                    fix="A space must return canonical forms of its members.",
                )
            return row

        scores = table.values("validation", METRIC)
        return cls(place, table.trained, scores, table.arrays["seconds"])


@dataclass
class TableSearchContext:
    """The context of a simulated search: :class:`~nasbench_ecg.contracts.SearchContext`.

    The results of one seed are looked up, so that a search sees the noise of a single training. The
    seed of each member is drawn from its trained seeds, once in a repetition.

    Attributes:
        lookup: The validation results of the table.
        noise: Generator that draws the seeds of members.
        seconds: Simulated seconds of the search so far.
        evaluations: Evaluations so far, with the repeated ones, as a run counts them.
        steps: One row for each evaluation: member, epoch, score, seconds so far.
    """

    lookup: ValidationLookup
    rng: np.random.Generator
    noise: np.random.Generator
    budget: Budget
    device: str = "cpu"
    parallel: int = 1
    progress: Progress = field(default_factory=Silent)
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    seconds: float = 0.0
    evaluations: int = 0
    steps: list[tuple[int, int, float, float]] = field(default_factory=list)
    _seed: dict[int, int] = field(default_factory=dict)
    _known: dict[tuple[int, int], Evaluation] = field(default_factory=dict)

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Return the validation results of the table; a repeated evaluation takes no seconds.

        Raises:
            ProtocolError: The budget of evaluations is used up; those it allowed are made.
            TableError: A member is not in the table, or not trained.
        """
        limit = self.budget.evaluations
        left = len(architectures) if limit is None else max(0, limit - self.evaluations)
        done = [self._evaluate(arch, fidelity) for arch in architectures[:left]]
        if left < len(architectures):
            raise ProtocolError(
                f"The search has used up its budget of {limit} evaluations.",
                fix="A strategy must stop when ctx.budget is used up.",
            )
        return done

    def _evaluate(self, arch: Architecture, fidelity: Fidelity | None) -> Evaluation:
        row = self.lookup.place(arch)
        epochs = self.lookup.scores.shape[-1]
        asked = epochs if fidelity is None or fidelity.epochs is None else fidelity.epochs
        epoch = min(asked, epochs)
        if epoch < 1:
            raise ProtocolError(
                f"An evaluation needs at least 1 epoch, not {asked}.",
                fix="Give the strategy a fidelity of 1 epoch or more.",
            )
        self.evaluations += 1
        if (known := self._known.get((row, epoch))) is not None:
            self._add_step(row, epoch, known.score)
            return known
        if row not in self._seed:
            seeds = np.flatnonzero(self.lookup.trained[row])
            if not len(seeds):
                raise TableError(f"The member {arch.hash} is not trained yet.")
            self._seed[row] = int(seeds[self.noise.integers(len(seeds))])
        seed = self._seed[row]
        score = float(self.lookup.scores[row, seed, epoch - 1])
        seconds = float(self.lookup.seconds[row, seed, epoch - 1])
        self.seconds += seconds
        self._add_step(row, epoch, score)
        evaluation = Evaluation(arch, score, {METRIC: score}, seconds)
        self._known[row, epoch] = evaluation
        return evaluation

    def _add_step(self, row: int, epoch: int, score: float) -> None:
        self.steps.append((row, epoch, score, self.seconds))

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return None: there is no estimate."""
        return None

    def log(self, value: float, **figures: float) -> None:
        """Do nothing: :attr:`steps` is the trajectory."""


@dataclass(frozen=True)
class Searcher:
    """A strategy to simulate.

    Attributes:
        label: Its name in the results.
        create: Makes a fresh strategy; must be picklable for several processes.
    """

    label: str
    create: Callable[[], Strategy]


@dataclass(frozen=True)
class Simulation:
    """All repetitions of one strategy on one table.

    Attributes:
        label: The strategy.
        steps: One row for each evaluation: ``repetition``, ``evaluation`` (from 1), ``seconds`` (so
            far), ``member`` (its row), ``epoch``, ``score`` (validation, as the search saw it).
        found: Row of the member that each repetition returned, [repetitions].
    """

    label: str
    steps: pd.DataFrame
    found: NDArray[np.int64]


def simulate(
    table: Table,
    space: SearchSpace,
    builder: Builder,
    searcher: Searcher,
    *,
    repetitions: int,
    budget: Budget,
    seed: int = 0,
    workers: int = 1,
) -> Simulation:
    """Run a strategy many times on a table.

    Args:
        table: The table.
        space: What is searched: :class:`~nasbench_ecg.tables.space.TableSpace` of the table.
        builder: Makes networks, for strategies that measure their costs.
        searcher: The strategy.
        repetitions: How often it is run, each time with generators of its own.
        budget: What each run may spend, in evaluations and simulated seconds.
        seed: Seed of all repetitions. A repetition's generators depend on it, on the strategy's
            label and on the repetition's number, so that all repetitions are independent and do not
            depend on ``workers``.
        workers: Processes.

    Raises:
        NasbenchError: The strategy cannot search the space, or does not keep the budget.
    """
    run = partial(_repeat, table, space, builder, searcher, budget, seed)
    blocks = np.array_split(np.arange(repetitions), max(1, min(workers, repetitions)))
    if len(blocks) == 1:
        parts = [run(blocks[0])]
    else:
        with ProcessPoolExecutor(len(blocks)) as pool:
            parts = list(pool.map(run, blocks))
    rows = [row for part in parts for row in part[0]]
    names = ["repetition", "evaluation", "seconds", "member", "epoch", "score"]
    steps = pd.DataFrame(rows, columns=names)
    return Simulation(searcher.label, steps, np.concatenate([part[1] for part in parts]))


def _repeat(
    table: Table,
    space: SearchSpace,
    builder: Builder,
    searcher: Searcher,
    budget: Budget,
    seed: int,
    repetitions: NDArray[np.int64],
) -> tuple[list[tuple[Any, ...]], NDArray[np.int64]]:
    task, lookup = stand_in_task(table), ValidationLookup.of(table)
    rows: list[tuple[Any, ...]] = []
    found = []
    for repetition in repetitions.tolist():
        rng, noise = generators(searcher.label, seed, repetition)
        ctx = TableSearchContext(lookup, rng, noise, budget)
        result = searcher.create().search(task, space, builder, ctx)
        found.append(table.place(result.architecture))
        rows += [
            (repetition, i, seconds, member, epoch, score)
            for i, (member, epoch, score, seconds) in enumerate(ctx.steps, start=1)
        ]
    return rows, np.array(found, dtype=np.int64)


def generators(
    label: str, seed: int, repetition: int
) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the generator of a repetition's search, and the one that draws members' seeds."""
    entropy = np.random.SeedSequence([seed, repetition, *label.encode()])
    search, noise = entropy.spawn(2)
    return np.random.default_rng(search), np.random.default_rng(noise)


def stand_in_task(table: Table) -> Task:
    """Return a task of the right shape without beats: a simulated search trains nothing."""
    card = table.card
    none = Beats(
        signals=np.zeros((0, card.n_leads, card.n_samples), np.float32),
        labels=np.zeros(0, np.int64),
        record=np.zeros(0, np.int32),
        sample=np.zeros(0, np.int64),
        classes=card.classes,
        records=(),
        subjects=(),
        leads=tuple(f"lead {i + 1}" for i in range(card.n_leads)),
        fs=card.fs,
    )
    return Task(none, none, card.macro_classes)


def best_so_far(simulation: Simulation, table: Table, evaluations: int) -> NDArray[np.float64]:
    """Return the test score of the incumbent after each evaluation, [repetitions, evaluations].

    The incumbent is the member with the largest validation score so far at any epoch, the first of
    equals; its test score is the mean over all its seeds, in which the luck of one training
    averages out. After a search has ended its incumbent stays. The incumbent of a search that
    evaluates nothing is the member that it returns.
    """
    test = table.mean_test_scores(METRIC)
    curves = np.repeat(test[simulation.found][:, None], evaluations, axis=1)
    for curve, rows in _by_repetition(curves, simulation.steps):
        score, members = rows["score"].to_numpy(), rows["member"].to_numpy()
        best = np.maximum.accumulate(score)
        first = np.searchsorted(best, best, side="left")
        values = test[members[first]][:evaluations]
        curve[: len(values)] = values
        curve[len(values) :] = values[-1]
    return curves


def _by_repetition(
    curves: NDArray[np.float64], steps: pd.DataFrame
) -> Iterator[tuple[NDArray[np.float64], pd.DataFrame]]:
    """Yield the curve and the steps of each repetition that has steps."""
    numbers = steps["repetition"].to_numpy()
    starts = np.searchsorted(numbers, np.arange(len(curves) + 1))
    for curve, first, end in zip(curves, starts, starts[1:], strict=False):
        if first < end:
            yield curve, steps.iloc[first:end]
