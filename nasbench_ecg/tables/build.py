"""Building a table: members in a fixed order, in shards that can be stopped, resumed and shared.

A shard is a journal ``shards/<number>.jsonl`` of up to 48 trainings, one line each, flushed to the
disk: a process that is killed loses one training at most. (Builds on a GPU write a journal
``shards/stacked-*.jsonl`` in rounds, see :mod:`.gpu_build`.) :func:`pack` moves journals into
the table's arrays. Several processes on one folder share the work: a shard is locked while a
process trains it, and the table while a process changes it. A process that needs both locks takes
the table's first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.io import storage_errors
from nasbench_ecg.tables.card import Card, TableError
from nasbench_ecg.tables.files import (
    JOURNALS,
    digest_of_arrays,
    has_table,
    load_table,
    save_table,
)
from nasbench_ecg.tables.find import shipped_tables
from nasbench_ecg.tables.journal import Training, append_line, journal_line, read_journal
from nasbench_ecg.tables.table import BASE_SEEDS, COST, PROXY, Table, empty_arrays
from nasbench_ecg.tables.training import MemberResult

SHARD = 48
"""Trainings in a shard."""
BLOCK = 16
"""Members that get all their seeds before the next ones."""
REPEATED = 100
"""Members, the first of the order, that get all seeds that the card has room for."""


def order(strata: Sequence[int], seed: int = 0) -> list[int]:
    """Return a random order of members in which every beginning is a fair sample of the space.

    Args:
        strata: The group of each member.
        seed: Seed of the order.

    Members of each stratum are shuffled, and take places that are spread evenly over the whole.
    """
    rng = np.random.default_rng(seed)
    members: dict[Any, list[int]] = {}
    for row, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(row)
    places = []
    for rows in members.values():
        shift = rng.random()
        for k, row in enumerate(rng.permutation(rows).tolist()):
            places.append(((k + shift) / len(rows), rng.random(), row))
    return [row for _, _, row in sorted(places)]


def trainings(card: Card, strata: Sequence[int]) -> list[Training]:
    """Return all trainings of a table in the order in which they are made."""
    rows = order(strata)
    base = [
        (row, seed)
        for start in range(0, len(rows), BLOCK)
        for seed in range(min(BASE_SEEDS, card.seeds))
        for row in rows[start : start + BLOCK]
    ]
    more = [(row, seed) for seed in range(BASE_SEEDS, card.seeds) for row in rows[:REPEATED]]
    return [*base, *more]


def n_trainings(card: Card) -> int:
    """Return the number of trainings of a whole table."""
    return len(trainings(card, [0] * card.members))


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes:
        done: Trainings in the table and in all journals.
        total: Trainings of the whole table.
        seconds: Processor seconds of the last training.
    """

    done: int
    total: int
    seconds: float


def build(
    folder: Path,
    table: Table,
    strata: Sequence[int],
    train: Callable[[Architecture, int], MemberResult],
    machine: str,
    *,
    shard: tuple[int, int] = (1, 1),
    hours: float | None = None,
) -> Generator[Progress, None, None]:
    """Train what is missing of a table, yielding after each training.

    Args:
        folder: Folder of the table.
        table: The table in it, from :func:`open_or_create`.
        strata: The group of each member, from :func:`nasbench_ecg.tables.plan.strata`.
        train: Trains a member with a seed.
        machine: Processor, threads and torch version.
        shard: (I, N): this process trains the shards I, I + N, I + 2N, …, counted from 1. It
            leaves out those that another process is training, and looks at them again at the end.
        hours: Starts no training after this time.

    Raises:
        TableError: The table is damaged.
        StorageError: The folder cannot be written.
    """
    plan = trainings(table.card, strata)
    shards = [plan[i : i + SHARD] for i in range(0, len(plan), SHARD)]
    started = time.monotonic()
    journals = scratch_folder(folder)
    done = trained_in(table)
    found_work = True
    while found_work:  # again, because a process that held a shard may have been stopped meanwhile
        found_work = False
        for number in range(shard[0] - 1, len(shards), shard[1]):
            if done.issuperset(shards[number]):
                continue
            journal = journals / f"{number:04}.jsonl"
            with _held(journal, folder) as held:
                if not held:
                    continue
                # other processes may have packed this shard, or trained its members side by side
                done |= trained_in(with_journals(folder))
                for row, seed in shards[number]:
                    if (row, seed) in done:
                        continue
                    if hours is not None and time.monotonic() - started > 3600 * hours:
                        return
                    result = train(table.members[row], seed)
                    append_line(journal, journal_line(row, seed, machine, result))
                    done.add((row, seed))
                    found_work = True
                    yield Progress(len(done), len(plan), float(result.seconds[-1]))


@contextmanager
def _held(journal: Path, folder: Path) -> Generator[bool, None, None]:
    """Hold the lock of a shard; give False if another process holds it."""
    lock = journal_lock(journal)
    told = storage_errors(journal.parent, option="--tables", what="The table")
    with told, table_lock(folder), suppress(Timeout):
        lock.acquire(blocking=False)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def open_or_create(
    folder: Path,
    card: Card,
    members: Sequence[Architecture],
    costs: Callable[[], Mapping[str, NDArray[np.float64]]],
) -> Table:
    """Return the table in a folder; create it where there is none.

    Args:
        folder: Folder of the table.
        card: What it must hold.
        members: All members in canonical form.
        costs: Returns the costs of the members; called for a new table only.

    Raises:
        TableError: The folder holds a table of something else, or a damaged one.
        StorageError: The folder cannot be written.
    """
    scratch_folder(folder)
    with table_lock(folder):  # another process may be creating it
        if not has_table(folder):
            arrays = empty_arrays(card, [arch.to_json() for arch in members])
            arrays |= {f"{COST}{name}": values for name, values in costs().items()}
            save_table(Table(card, arrays), folder)
        table = load_table(folder)
    refuse_other(card, table.card, str(folder))
    return table


def refuse_other(card: Card, found: Card, where: str) -> None:
    """Check that a table is the one that would be built here.

    Raises:
        TableError: Data, options or recipe differ.
    """
    if differing := differences(card, found):
        raise TableError(
            f"The folder holds a table with another {', '.join(differing)}.",
            where=where,
            fix="Choose another folder, or remove this one.",
        )


def differences(card: Card, other: Card) -> list[str]:
    """Return the entries in which two cards differ, without machines and digests."""
    own, found = (
        _without_nulls(
            c.model_dump(mode="json", exclude={"format", "sha256", "card_sha256", "machines"})
        )
        for c in (card, other)
    )
    return [name for name in own if own[name] != found[name]]


def continue_shipped(card: Card, folder: Path) -> None:
    """Copy the table of an installed package to a folder without one, if it is of the same card.

    Raises:
        TableError: The table of the package is damaged.
        StorageError: The folder cannot be written.
    """
    for one in shipped_tables():
        if (one.space, one.track) == (card.space.name, folder.name):
            shipped = load_table(one.folder)
            scratch_folder(folder)
            with table_lock(folder):
                if not has_table(folder) and not differences(card, shipped.card):
                    save_table(shipped, folder)


def add_arrays(table: Table, arrays: Mapping[str, NDArray[np.float64]], folder: Path) -> None:
    """Add arrays of costs and proxies to the table of a folder; copy it there if it is not.

    Costs take the place of all costs that the table has.

    Raises:
        StorageError: The folder cannot be written.
    """
    scratch_folder(folder)
    with table_lock(folder):
        if has_table(folder):
            table = load_table(folder)
        replaced = COST if any(name.startswith(COST) for name in arrays) else ()
        kept = {name: a for name, a in table.arrays.items() if not name.startswith(replaced)}
        save_table(Table(table.card, {**kept, **arrays}), folder)


def publish(source: Path, target: Path) -> Table:
    """Copy a table with the trainings in its journals; return the copy.

    Nothing in ``source`` is changed, so that another process may go on building it. Costs and
    proxies that it lacks, and that a table in ``target`` holds for the same networks and beats, are
    kept.

    Raises:
        TableError: A table is damaged.
        StorageError: The target cannot be written.
    """
    table = with_journals(source)
    arrays = table.arrays
    if has_table(target):
        old = load_table(target)
        if {"recipe", "seeds"}.issuperset(differences(table.card, old.card)):
            kept = {n: a for n, a in old.arrays.items() if n.startswith((COST, PROXY))}
            arrays = kept | arrays
    copy = Table(table.card, arrays)
    save_table(copy, target)
    return copy


def with_journals(folder: Path) -> Table:
    """Return the table of a folder with the trainings in its journals; nothing there is changed.

    Raises:
        TableError: The table is damaged.
    """
    while True:
        table = load_table(folder)
        machines = list(table.card.machines)
        for path in sorted((folder / JOURNALS).glob("*.jsonl")):
            _add_journal(table, path, machines)
        # a process that packed meanwhile removed journals that these arrays do not have yet
        if digest_of_arrays(folder) == table.card.sha256:
            break
    return Table(table.card.model_copy(update={"machines": tuple(machines)}), table.arrays)


def _without_nulls(data: Any) -> Any:
    """Return JSON data without null entries, so that a new option does not make another table."""
    if isinstance(data, dict):
        return {key: _without_nulls(value) for key, value in data.items() if value is not None}
    return data


def pack(folder: Path) -> Table:
    """Move the journals that no process is writing into the table's arrays; return the table.

    Raises:
        TableError: The table is damaged.
        StorageError: The folder cannot be written.
    """
    journals = scratch_folder(folder)
    with storage_errors(folder, option="--tables", what="The table"), ExitStack() as locks:
        locks.enter_context(table_lock(folder))
        table = load_table(folder)
        machines = list(table.card.machines)
        packed_journals = []
        for path in sorted(journals.glob("*.jsonl")):
            try:
                locks.enter_context(journal_lock(path).acquire(blocking=False))
            except Timeout:
                continue
            packed_journals.append(path)
            _add_journal(table, path, machines)
        packed = Table(table.card.model_copy(update={"machines": tuple(machines)}), table.arrays)
        save_table(packed, folder)
        for path in packed_journals:
            path.unlink()
        return packed


def _add_journal(table: Table, path: Path, machines: list[str]) -> None:
    """Enter new trainings of a journal into a table's arrays, and new machines into the list."""
    for (row, seed), line in read_journal(path).items():
        if table.arrays["trained"][row, seed]:
            continue
        for name in ("confusion", "nll", "seconds"):
            table.arrays[name][row, seed] = line[name]
        if line["machine"] not in machines:
            machines.append(line["machine"])
        table.arrays["machine"][row, seed] = machines.index(line["machine"])
        table.arrays["trained"][row, seed] = True


def scratch_folder(folder: Path) -> Path:
    """Return the folder of the journals and locks of a table, created if needed."""
    journals = folder / JOURNALS
    with storage_errors(folder, option="--tables", what="The table"):
        journals.mkdir(parents=True, exist_ok=True)
    return journals


def trained_in(table: Table) -> set[Training]:
    """Return the trainings in the arrays of a table."""
    return {(row, seed) for row, seed in np.argwhere(table.trained).tolist()}


def journal_lock(journal: Path) -> FileLock:
    """Return the lock of a process that writes a journal."""
    return FileLock(journal.with_suffix(".lock"))


def table_lock(folder: Path) -> FileLock:
    """Return the lock of a process that changes a table."""
    return FileLock(folder / JOURNALS / ".pack.lock")
