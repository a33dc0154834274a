"""Bring tables together that were built in shards on machines without a common folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_ecg.tables.build import refuse_other, scratch_folder, table_lock, with_journals
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.clock import (
    clocked_by,
    clocks,
    own_processor,
    seconds_ratio,
    trained_on,
    with_seconds_of,
)
from nasbench_ecg.tables.files import has_table, load_table, save_table
from nasbench_ecg.tables.find import find_tables_in
from nasbench_ecg.tables.table import COST, PROXY, Table

_RESULTS = ("confusion", "nll")
"""Arrays in which two trainings of one member with one seed must be equal."""
_ALL = (*_RESULTS, "seconds")


@dataclass(frozen=True)
class TablePart:
    """A table that has trainings for the table of another folder.

    Attributes:
        source: Its folder.
        target: The folder of the other table.
        table: The table, with the trainings in its journals.
    """

    source: Path
    target: Path
    table: Table


def table_parts(folders: Sequence[Path], out: Path) -> list[TablePart]:
    """Return the tables of ``folders``, after a comparison of all that have one name.

    Nothing is written.

    Args:
        folders: Folders of tables, as ``--tables`` names them.
        out: Folder of tables that is to receive their trainings.

    Raises:
        TableError: A table is damaged, two tables of one name were made from something else, or
            a training has different results in two of them.
    """
    parts: list[TablePart] = []
    for folder in folders:
        for found in find_tables_in(folder):
            target = out / found.space / found.track
            part = TablePart(found.folder, target, with_journals(found.folder))
            for other in [*_own(target), *(one for one in parts if one.target == target)]:
                _compare(part, other)
            parts.append(part)
    return parts


def _own(target: Path) -> Iterator[TablePart]:
    if has_table(target):
        yield TablePart(target, target, with_journals(target))


def _compare(part: TablePart, other: TablePart) -> None:
    refuse_other(part.table.card, other.table.card, f"{part.source} and {other.source}")
    a, b = part.table.arrays, other.table.arrays
    both = a["trained"] & b["trained"]
    for name in _RESULTS:
        axes = tuple(range(2, a[name].ndim))
        equal = np.equal(a[name], b[name]) | (np.isnan(a[name]) & np.isnan(b[name]))
        if (different := both & ~equal.all(axis=axes)).any():
            row, seed = np.argwhere(different)[0]
            raise TableError(
                f"A training has different results: member {part.table.members[row].hash}, "
                f"seed {seed}, {name}.",
                where=f"{part.source} and {other.source}",
                fix="Machines that round differently make different tables; keep one of the two.",
            )


def merge_tables(parts: Sequence[TablePart]) -> int:
    """Add the trainings of tables to those of their target folders; return how many were new.

    Seconds that another processor measured are scaled to those of the target's processor by the
    median ratio over the members that both measured, if there are at least five.

    Args:
        parts: The tables, from :func:`table_parts`.

    Raises:
        TableError: A target was damaged or changed in the meantime.
        StorageError: A folder cannot be written.
    """
    added = 0
    for part in parts:
        scratch_folder(part.target)
        with table_lock(part.target):
            if has_table(part.target):
                table = load_table(part.target)
                refuse_other(part.table.card, table.card, str(part.target))
                merged, n = _merged(table, part.table)
            else:
                merged, n = part.table, int(part.table.trained.sum())
            save_table(merged, part.target)
        added += n
    return added


def mixed_clocks(parts: Sequence[TablePart]) -> list[Path]:
    """Return the target folders of merged tables that hold the seconds of several processors."""
    targets = dict.fromkeys(part.target for part in parts)
    return [target for target in targets if len(clocks(load_table(target))) > 1]


def _with_seconds_of(table: Table, part: Table) -> Table:
    """Return a part with the seconds of another table's processor, as far as they can be told."""
    own = own_processor(table)
    seconds = part.arrays["seconds"].copy()
    machines = list(part.card.machines)
    for number, machine in enumerate(part.card.machines):
        processor = clocked_by(machine)
        if own is None or processor == own:
            continue
        if (ratio := seconds_ratio(table, part, processor)) is not None:
            seconds[part.arrays["machine"] == number] *= ratio
            machines[number] = with_seconds_of(trained_on(machine), own)
    card = part.card.model_copy(update={"machines": tuple(machines)})
    return Table(card, {**part.arrays, "seconds": seconds})


def _merged(table: Table, part: Table) -> tuple[Table, int]:
    """Return a table with the trainings of another that it has not, and their number."""
    new = part.trained & ~table.trained
    part = _with_seconds_of(table, part)
    machines = list(table.card.machines)
    for name in part.card.machines:
        if name not in machines:
            machines.append(name)
    arrays = {name: array.copy() for name, array in table.arrays.items()}
    for name in _ALL:
        arrays[name][new] = part.arrays[name][new]
    numbers = np.array([machines.index(name) for name in part.card.machines], np.uint8)
    arrays["machine"][new] = numbers[part.arrays["machine"][new]]
    arrays["trained"] |= new
    for name, values in part.arrays.items():
        if name.startswith((COST, PROXY)):
            arrays.setdefault(name, values)
    return Table(table.card.model_copy(update={"machines": tuple(machines)}), arrays), int(
        new.sum()
    )
