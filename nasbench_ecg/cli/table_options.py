"""Options and helpers that the verbs of ``nasbench-ecg table`` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.components import complete_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nasbench_ecg.tables.table import Table

DEFAULT = Path("results/tables")

Tables = Annotated[
    Path, typer.Option("--tables", metavar="DIR", help="Folder of tables that you build.")
]
Space = Annotated[str, typer.Option(metavar="NAME", help="Search space of the table.")]
Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Dataset of the table.", autocompletion=complete_dataset
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Protocol of the table. Default: that of the dataset."),
]
Threads = Annotated[int, typer.Option(min=1, metavar="N", help="Threads of this process.")]


def protocol_of(dataset: str, protocol: str | None) -> str:
    """Return the protocol, by default that of the dataset."""
    from nasbench_ecg.front.tables import protocol_of as find

    return find(dataset, protocol)


def load(tables: Path, space: str, dataset: str, protocol: str | None) -> Table:
    """Return a table of the folder ``tables`` or of an installed package."""
    from nasbench_ecg.tables.find import open_table

    return open_table(space, dataset, protocol_of(dataset, protocol), tables)


def summary(one: Table) -> dict[str, Any]:
    """Return which table it is and how complete it is, as JSON data."""
    card = one.card
    return {
        "space": card.space.name,
        "dataset": card.dataset.name,
        "protocol": card.protocol,
        "members": card.members,
        "complete": one.complete,
        "trainings": int(one.trained.sum()),
    }


def refuse_parts(overrides: Iterable[str], allowed: Sequence[str]) -> None:
    """Refuse ``--set`` for parts that a verb does not have.

    Raises:
        OptionError: A part is not allowed.
    """
    from nasbench_ecg.errors import OptionError

    for part in overrides:
        if part not in allowed:
            raise OptionError(
                f"--set {part}. does not apply here.",
                fix=f"Set options of: {', '.join(allowed)}.",
            )
