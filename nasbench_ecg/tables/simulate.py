"""Searches repeated on a table: strategies run unchanged, and every training is looked up.

The clock is simulated: an evaluation takes the processor seconds that its training took when the
table was built. A search sees one training of each member, as outside a table, or the mean over its
first three seeds. Budgets of evaluations and of seconds work as in a run. A fidelity of more
epochs than the table has means its last epoch, and a fidelity's number of beats is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

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
from nasbench_ecg.tables.lookup import METRIC, ValidationLookup, placing
from nasbench_ecg.tables.requested_searches import Scores
from nasbench_ecg.tables.table import Table
from nasbench_ecg.training.checkpoint import NoCheckpoint

if TYPE_CHECKING:
    import torch

STEP_TYPES: Mapping[str, type[np.generic]] = {
    "repetition": np.int64, "evaluation": np.int64, "seconds": np.float64,
    "member": np.int64, "epoch": np.int64, "score": np.float64,
}  # fmt: skip
"""Columns of the steps of repeated searches and their types, also of those without any step."""


@dataclass
class TableSearchContext:
    """The context of a simulated search: :class:`~nasbench_ecg.contracts.SearchContext`.

    The results of one seed are looked up, so that a search sees the noise of a single training. The
    seed of each member is drawn from its trained seeds, once in a repetition, and is the same for
    all searches, so that their repetitions are pairs. A lookup of means has one seed in place of
    them.

    Attributes:
        lookup: The validation results of the table.
        seeds: The seed that each member is trained with, [M]; -1 where none is trained.
        seconds: Simulated seconds of the search so far.
        evaluations: Evaluations so far, with the repeated ones, as a run counts them.
        steps: One row for each evaluation: member, epoch, score, seconds so far.
    """

    lookup: ValidationLookup
    rng: np.random.Generator
    seeds: NDArray[np.int64]
    budget: Budget
    device: str = "cpu"
    parallel: int = 1
    key: str = ""
    progress: Progress = field(default_factory=Silent)
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    seconds: float = 0.0
    evaluations: int = 0
    steps: list[tuple[int, int, float, float]] = field(default_factory=list)
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
        epoch = self.lookup.epoch(fidelity)
        self.evaluations += 1
        if (known := self._known.get((row, epoch))) is not None:
            self._add_step(row, epoch, known.score)
            return known
        seed = self.seeds[row]
        if seed < 0:
            raise TableError(f"The member {arch.hash} is not trained yet.")
        score = float(self.lookup.scores[row, seed, epoch - 1])
        seconds = float(self.lookup.seconds[row, seed, epoch - 1])
        reused = min((fidelity and fidelity.continues) or 0, epoch)
        if (row, reused) in self._known:
            seconds -= float(self.lookup.seconds[row, seed, reused - 1])
        else:
            reused = 0
        self.seconds += seconds
        self._add_step(row, epoch, score)
        evaluation = Evaluation(arch, score, {METRIC: score}, seconds, epochs_reused=reused)
        self._known[row, epoch] = evaluation
        return evaluation

    def _add_step(self, row: int, epoch: int, score: float) -> None:
        self.steps.append((row, epoch, score, self.seconds))

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return the mean seconds of all trainings in the table with this fidelity."""
        return self.lookup.mean_seconds(fidelity)

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

    @property
    def repetitions(self) -> int:
        """How often the strategy was run."""
        return len(self.found)


def started_before(steps: pd.DataFrame, seconds: float) -> pd.Series[bool]:
    """Return which steps start before so many seconds of their repetition; the first ones do."""
    return steps.groupby("repetition")["seconds"].shift(fill_value=-1.0) < seconds


def joined(label: str, steps: Sequence[pd.DataFrame], found: NDArray[np.int64]) -> Simulation:
    """Return the repetitions of several simulations as one, in their order."""
    together = pd.concat(steps, ignore_index=True)
    together = together.sort_values(["repetition", "evaluation"], ignore_index=True)
    return Simulation(label, together, found)


def simulate(
    table: Table,
    space: SearchSpace,
    builder: Builder,
    searcher: Searcher,
    *,
    repetitions: int | NDArray[np.int64],
    budget: Budget,
    seed: int = 0,
    workers: int = 1,
    scores: Scores = "one-seed",
) -> Simulation:
    """Run a strategy many times on a table.

    Args:
        table: The table.
        space: What is searched: :class:`~nasbench_ecg.tables.space.TableSpace` of the table.
        builder: Makes networks, for strategies that measure their costs.
        searcher: The strategy.
        repetitions: How often it is run, each time with generators of its own; or the numbers of
            the repetitions.
        budget: What each run may spend, in evaluations and simulated seconds. Evaluations that
            start after these seconds are left out: of a batch, or of a strategy that ignores them.
        seed: Seed of all repetitions. A repetition's generators depend on it, on the strategy's
            label and on the repetition's number, so that they do not depend on ``workers``. The
            seeds of the members depend on the repetition alone.
        workers: Processes.
        scores: What a search sees of a member: one training, or the mean over its seeds.

    Raises:
        NasbenchError: The strategy cannot search the space, or does not keep the budget.
    """
    run = partial(_repeat, table, space, builder, searcher, budget, seed, scores)
    numbers = np.arange(repetitions) if isinstance(repetitions, int) else repetitions
    blocks = np.array_split(numbers, max(1, min(workers, len(numbers))))
    if len(blocks) == 1:
        parts = [run(blocks[0])]
    else:
        with ProcessPoolExecutor(len(blocks)) as pool:
            parts = list(pool.map(run, blocks))
    rows = [row for part in parts for row in part[0]]
    steps = pd.DataFrame(rows, columns=list(STEP_TYPES)).astype(STEP_TYPES)
    if budget.seconds is not None:
        steps = steps[started_before(steps, budget.seconds)].reset_index(drop=True)
    return Simulation(searcher.label, steps, np.concatenate([part[1] for part in parts]))


def _repeat(
    table: Table,
    space: SearchSpace,
    builder: Builder,
    searcher: Searcher,
    budget: Budget,
    seed: int,
    scores: Scores,
    repetitions: NDArray[np.int64],
) -> tuple[list[tuple[Any, ...]], NDArray[np.int64]]:
    task, lookup = stand_in_task(table), ValidationLookup.of(table, scores)
    builder = TableBuilder(builder, table)
    rows: list[tuple[Any, ...]] = []
    found = []
    for repetition in repetitions.tolist():
        rng, noise = generators(searcher.label, seed, repetition)
        ctx = TableSearchContext(lookup, rng, lookup.draw_seeds(noise), budget)
        result = searcher.create().search(task, space, builder, ctx)
        found.append(table.place(result.architecture))
        rows += [
            (repetition, i, seconds, member, epoch, score)
            for i, (member, epoch, score, seconds) in enumerate(ctx.steps, start=1)
        ]
    return rows, np.array(found, dtype=np.int64)


class TableBuilder:
    """The builder of a table, which knows the costs of its networks without building them."""

    def __init__(self, builder: Builder, table: Table) -> None:
        self._builder, self._place = builder, placing(table)
        self._costs = table.costs()

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> torch.nn.Module:
        """Return the network of an architecture."""
        return self._builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)

    def known_costs(self, arch: Architecture) -> dict[str, float]:
        """Return the costs of a member that the table holds."""
        row = self._place(arch)
        return {name: float(values[row]) for name, values in self._costs.items()}


def generators(
    label: str, seed: int, repetition: int
) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the generator of a repetition's search, and the one that draws members' seeds.

    The second one is the same for all searches.
    """
    search = np.random.SeedSequence([seed, repetition, *label.encode()])
    noise = np.random.SeedSequence([seed, repetition])
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
