"""``nasbench-ecg leaderboard``: what all stored runs say, one table a track."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from nasbench_ecg.run.record import Damaged, RunRecord


def leaderboard(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
    suite: Annotated[str | None, typer.Option(help="Only runs of this suite.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only runs under this protocol.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only runs of this profile.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the strategies that were run, one table for each track."""
    import dataclasses

    from nasbench_ecg.report.leaderboard import leaderboards
    from nasbench_ecg.run.record import read_records

    records, damaged = read_records(out)
    if not records:
        _tell_of_damaged(damaged)
        raise _nothing(out)
    wishes = {"suite": suite, "dataset": dataset, "protocol": protocol, "profile": profile}
    boards = leaderboards(_chosen(records, wishes))
    if as_json:
        print_json(
            {
                "leaderboards": [dataclasses.asdict(board) for board in boards],
                "damaged": [item.model_dump(mode="json") for item in damaged],
            }
        )
        return
    from nasbench_ecg.report.tables import leaderboard_table

    for index, board in enumerate(boards):
        if index:
            stdout().print()
        stdout().print(leaderboard_table(board, width=stdout().width))
    _tell_of_damaged(damaged)


def _chosen(records: list[RunRecord], wishes: dict[str, str | None]) -> list[RunRecord]:
    """Return the records that are as wished, each wish checked against what there is.

    Raises:
        OptionError: A wish leaves none.
    """
    from nasbench_ecg.errors import OptionError, nearest

    for name, wish in wishes.items():
        if wish is None:
            continue
        field = "dataset_name" if name == "dataset" else name
        found = {str(getattr(record, field)) for record in records}
        if wish not in found:
            raise OptionError(f"There is no run of {name} {wish!r}.", fix=nearest(wish, found))
        records = [record for record in records if getattr(record, field) == wish]
    return records


def _nothing(out: Path) -> Exception:
    from nasbench_ecg.errors import StorageError

    return StorageError(
        "There are no runs to compare yet.",
        where=str(out),
        fix="'nasbench-ecg run darts synthetic-2lead' makes one in minutes; "
        "--out names another folder of results.",
    )


def _tell_of_damaged(damaged: list[Damaged]) -> None:
    """Name on stderr the files that were skipped."""
    for item in damaged:
        line = f"Skipped {item.path}: {item.reason}."
        stderr().print(line, style="yellow", markup=False, soft_wrap=True)
