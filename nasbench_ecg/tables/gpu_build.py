"""Building a table on a GPU: many members at once, in rounds that are fair samples of the space."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from filelock import Timeout

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import StorageError
from nasbench_ecg.io import storage_errors
from nasbench_ecg.tables.build import (
    SHARD,
    Progress,
    journal_lock,
    n_trainings,
    scratch_folder,
    trained_in,
    trainings,
    with_journals,
)
from nasbench_ecg.tables.journal import Training, append_lines, journal_line
from nasbench_ecg.tables.table import Table
from nasbench_ecg.tables.training import MemberResult

ROUND = 20 * SHARD
"""Trainings that are written together."""


class Trainer(Protocol):
    """Trains members side by side."""

    machine: str

    def stacks(self, trainings: Sequence[tuple[Architecture, int]]) -> list[list[int]]:
        """Divide trainings into lists of indices that can be trained together."""

    def train(self, members: Sequence[tuple[Architecture, int]]) -> list[MemberResult]:
        """Train architectures together, each with a seed."""


def missing(
    folder: Path, table: Table, strata: Sequence[int], shard: tuple[int, int]
) -> list[Training]:
    """Return the trainings of the shards I, I + N, … that neither table nor journals hold."""
    plan = trainings(table.card, strata)
    done = trained_in(with_journals(folder))
    shards = [plan[i : i + SHARD] for i in range(0, len(plan), SHARD)]
    own = [one for part in shards[shard[0] - 1 :: shard[1]] for one in part]
    return [training for training in own if training not in done]


def build_side_by_side(
    folder: Path,
    table: Table,
    strata: Sequence[int],
    trainer: Trainer,
    *,
    shard: tuple[int, int] = (1, 1),
    hours: float | None = None,
) -> Generator[Progress, None, None]:
    """Train what is missing of a table, many members at once, yielding after each stack.

    The trainings of a round of :data:`ROUND` are written when all of them are done, so that the
    table stays a fair sample of the space; a process that is killed loses one round at most.

    Args:
        folder: Folder of the table.
        table: The table in it, from :func:`open_or_create`.
        strata: The group of each member, from :func:`nasbench_ecg.tables.plan.strata`.
        trainer: Trains members side by side.
        shard: (I, N): this process trains the shards I, I + N, I + 2N, …, counted from 1.
        hours: Starts no stack after this time, and leaves out the round that is not complete.

    Raises:
        TableError: The table is damaged.
        StorageError: The folder cannot be written, or another process trains side by side in it.
    """
    started = time.monotonic()
    journal = scratch_folder(folder) / f"stacked-{shard[0]}-{shard[1]}.jsonl"
    with ExitStack() as locks:
        with storage_errors(folder, option="--tables", what="The table"):
            try:
                locks.enter_context(journal_lock(journal).acquire(blocking=False))
            except Timeout:
                raise StorageError(
                    "Another process trains these members side by side.",
                    where=str(folder),
                    fix="Wait for it, or give each process its own --shard I/N.",
                ) from None
        todo = missing(folder, table, strata, shard)
        total = n_trainings(table.card)
        done = total - len(missing(folder, table, strata, (1, 1)))
        for start in range(0, len(todo), ROUND):
            part = todo[start : start + ROUND]
            members = [(table.members[row], seed) for row, seed in part]
            lines: dict[int, dict[str, Any]] = {}
            for stack in trainer.stacks(members):
                if hours is not None and time.monotonic() - started > 3600 * hours:
                    return
                results = trainer.train([members[i] for i in stack])
                for i, result in zip(stack, results, strict=True):
                    lines[i] = journal_line(*part[i], trainer.machine, result)
                yield Progress(done + len(lines), total, float(results[-1].seconds[-1]))
            append_lines(journal, [lines[i] for i in range(len(part))])
            done += len(part)
