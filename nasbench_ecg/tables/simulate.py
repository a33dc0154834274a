"""Searches repeated on a table: the strategies run unchanged, training is looked up.

The clock is simulated: an evaluation takes the processor seconds that its training took when the
table was made. Budgets of evaluations and of seconds work as in a run. A fidelity of more epochs
than the table has is the table's last epoch; its number of beats is that of the table.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
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
from nasbench_ecg.tables.table import Table, TableError
from nasbench_ecg.training.checkpoint import NoCheckpoint

METRIC = "f1_of_macro"


@dataclass
class TableSearchContext:
    """The context of a simulated search: :class:`~nasbench_ecg.contracts.SearchContext`.

    One seed's results are looked up, so that a search sees the noise of a single training. Which of
    the trained seeds it is, is drawn for each member and repetition.

    Attributes:
        steps: One row for each evaluation: member, epoch, score, seconds so far.
    """

    table: Table
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
        """Return the validation results of the table; repeated evaluations cost nothing.

        Raises:
            ProtocolError: The budget of evaluations is used up.
            TableError: A member is not in the table.
        """
        limit = self.budget.evaluations
        left = len(architectures) if limit is None else max(0, limit - self.evaluations)
        done = [self._evaluate(arch, fidelity) for arch in architectures[:left]]
        if left < len(architectures):
            raise ProtocolError(
                f"The search's budget of {limit} evaluations is used up.",
                fix="A strategy must stop when ctx.budget is used up.",
            )
        return done

    def _evaluate(self, arch: Architecture, fidelity: Fidelity | None) -> Evaluation:
        row = self.table.place(arch)
        epochs = self.table.card.recipe.epochs
        asked = epochs if fidelity is None or fidelity.epochs is None else fidelity.epochs
        epoch = min(asked, epochs)
        self.evaluations += 1
        if (row, epoch) in self._known:
            return self._known[row, epoch]
        if row not in self._seed:
            seeds = np.flatnonzero(self.table.trained[row])
            if not len(seeds):
                raise TableError(f"The member {arch.hash} is not trained yet.")
            self._seed[row] = int(seeds[self.noise.integers(len(seeds))])
        seed = self._seed[row]
        score = float(self.table.values("validation", METRIC)[row, seed, epoch - 1])
        seconds = float(self.table.arrays["seconds"][row, seed, epoch - 1])
        self.seconds += seconds
        self.steps.append((row, epoch, score, self.seconds))
        evaluation = Evaluation(arch, score, {METRIC: score}, seconds)
        self._known[row, epoch] = evaluation
        return evaluation

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return None: a simulated search needs no estimate."""
        return None

    def log(self, value: float, **figures: float) -> None:
        """Ignore the trajectory: :attr:`steps` has it."""


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
        steps: One row for each evaluation: ``repetition``, ``evaluation`` (from 1), ``seconds``,
            ``member``, ``epoch``, ``score`` (validation, as the search saw it).
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
        builder: Makes networks, for strategies that count parameters.
        searcher: The strategy.
        repetitions: How often it is run, each time with generators of its own.
        budget: What each run may spend, in evaluations and simulated seconds.
        seed: Seed of all repetitions.
        workers: Processes.
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
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    task = stand_in_task(table)
    rows: list[tuple[Any, ...]] = []
    found = []
    for repetition in repetitions.tolist():
        search, noise = np.random.SeedSequence([seed, repetition]).spawn(2)
        ctx = TableSearchContext(
            table, np.random.default_rng(search), np.random.default_rng(noise), budget
        )
        result = searcher.create().search(task, space, builder, ctx)
        found.append(table.place(result.architecture))
        rows += [
            (repetition, i, seconds, member, epoch, score)
            for i, (member, epoch, score, seconds) in enumerate(ctx.steps, start=1)
        ]
    return rows, np.array(found, dtype=np.int64)


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

    The incumbent is the member with the largest validation score so far, the first of equals; its
    test score is the mean over all its seeds, in which the luck of one training averages out. After
    a search has ended its incumbent stays.
    """
    test = np.nanmean(table.values("test", METRIC)[:, :, -1], axis=1)
    repetitions = int(simulation.steps["repetition"].max()) + 1 if len(simulation.steps) else 0
    curves = np.full((repetitions, evaluations), np.nan)
    steps = simulation.steps
    for repetition in range(repetitions):
        rows = steps[steps["repetition"].to_numpy() == repetition]
        score, members = rows["score"].to_numpy(), rows["member"].to_numpy()
        best = np.maximum.accumulate(score)
        first = np.searchsorted(best, best, side="left")
        values = test[members[first]][:evaluations]
        curves[repetition, : len(values)] = values
        curves[repetition, len(values) :] = values[-1] if len(values) else math.nan
    return curves
