"""Finding tables: those in a folder of one's own, and those that installed packages hold.

A package with tables names itself in the entry-point group ``nasbench_ecg.tables`` and holds a
folder ``SPACE/DATASET-PROTOCOL`` for each of them. It is not imported.
"""

from __future__ import annotations

import importlib.metadata as metadata
import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.errors import nearest
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.files import (
    ARRAYS,
    CARD,
    NEXT_CARD,
    check_tables_folder,
    load_table,
    table_folder,
)
from nasbench_ecg.tables.table import Table

ENTRY_POINT_GROUP = "nasbench_ecg.tables"

DEFAULT = Path("results/tables")
"""Folder in which tables are built."""


@dataclass(frozen=True)
class FoundTable:
    """A table on the disk.

    Attributes:
        space: Name of its search space.
        track: Dataset and protocol, joined by a hyphen.
        folder: Where its files are.
        source: The installed package that holds it, or the folder of all tables.
    """

    space: str
    track: str
    folder: Path
    source: str


def find_tables(tables: Path = DEFAULT) -> list[FoundTable]:
    """Return all tables by space and track.

    A table in the folder ``tables`` comes before one of the same name in a package.

    Raises:
        TableError: The folder is that of one table or of one space.
    """
    check_tables_folder(tables)
    found: dict[tuple[str, str], FoundTable] = {}
    for one in [*find_tables_in(tables), *shipped_tables()]:
        found.setdefault((one.space, one.track), one)
    return [found[key] for key in sorted(found)]


def shipped_tables() -> Iterator[FoundTable]:
    """Yield the tables of installed packages."""
    for point in sorted(set(metadata.entry_points(group=ENTRY_POINT_GROUP)), key=lambda p: p.name):
        spec = importlib.util.find_spec(point.value)
        for place in (spec and spec.submodule_search_locations) or ():
            yield from find_tables_in(Path(place), point.value)


def find_tables_in(tables: Path, source: str | None = None) -> Iterator[FoundTable]:
    """Yield the tables of a folder of tables, and say that they come from ``source``.

    One of which a file is missing is yielded, too: reading it says so.
    """
    of_card, of_arrays = (
        {path.parent for path in tables.glob(f"*/*/{name}")} for name in (CARD, ARRAYS)
    )
    new = {folder for folder in of_arrays if (folder / NEXT_CARD).exists()}
    for folder in sorted(of_card | (of_arrays - new)):
        yield FoundTable(folder.parent.name, folder.name, folder, source or str(tables))


def find_table(space: str, dataset: str, protocol: str, tables: Path = DEFAULT) -> FoundTable:
    """Return the table of a space and track.

    Raises:
        TableError: There is none.
    """
    known = find_tables(tables)
    track = table_folder(tables, space, dataset, protocol).name
    for one in known:
        if (one.space, one.track) == (space, track):
            return one
    raise TableError(
        f"There is no table of {space} on {dataset}, {protocol}.",
        where=f"{tables} and installed packages",
        fix=_other_protocols(space, dataset, known)
        or (
            nearest(f"{space} {track}", [f"{one.space} {one.track}" for one in known])
            if known
            else ""
        )
        or "Build it with 'nasbench-ecg table build', or name a folder with --tables.",
    )


def _other_protocols(space: str, dataset: str, known: list[FoundTable]) -> str:
    """Return a sentence that names the protocols with a table of the space and dataset."""
    protocols = []
    for one in known:
        if one.space == space and one.track.startswith(f"{dataset}-"):
            with suppress(TableError):
                card = load_table(one.folder).card
                protocols += [card.protocol] if card.dataset.name == dataset else []
    if not protocols:
        return ""
    return f"Name a protocol that has one: {', '.join(protocols)}."


def open_table(space: str, dataset: str, protocol: str, tables: Path = DEFAULT) -> Table:
    """Return a table that is found by :func:`find_table` and read by ``load_table``.

    Raises:
        TableError: There is none, it is damaged, or the folder of its name holds another one.
    """
    folder = find_table(space, dataset, protocol, tables).folder
    table = load_table(folder)
    card = table.card
    if (card.space.name, card.dataset.name, card.protocol) != (space, dataset, protocol):
        raise TableError(
            f"This folder holds the table of {card.space.name} on {card.dataset.name}, "
            f"{card.protocol}.",
            where=str(folder),
            fix="Name it SPACE/DATASET-PROTOCOL after what it holds.",
        )
    return table
