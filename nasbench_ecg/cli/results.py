"""``nasbench-ecg results``: folders of run records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_ecg.cli.console import stderr, warn_damaged_records
from nasbench_ecg.cli.parsing import Verbs

app = Verbs(help="Bring folders of results together.", no_args_is_help=True)


@app.callback()
def _results() -> None:
    """Bring folders of results together."""


@app.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Folders of results to read.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of results that receives the records.")
    ] = Path("results"),
) -> None:
    """Copy the run records of folders, with their files, into one; and the tables in 'tables'.

    Two records of one run, or two trainings of one member of a table, must have the same result;
    otherwise nothing is copied.
    """
    from nasbench_ecg.suite.merge import merge_results
    from nasbench_ecg.tables.merge import merge_tables, mixed_clocks, table_parts

    parts = table_parts([folder / "tables" for folder in folders], out / "tables")
    merged = merge_results(folders, out)
    warn_damaged_records(merged.skipped)
    stderr().print(
        f"{len(merged.copied)} records are copied to {out}; {len(merged.equal)} were there with "
        "the same result."
    )
    if parts:
        added = merge_tables(parts)
        stderr().print(f"{added} trainings of tables are copied to {out / 'tables'}.")
        for target in mixed_clocks(parts):
            stderr().print(
                f"The table in {target} has the seconds of several processors, so its simulated "
                "seconds cannot be compared. Train five of its members on both to scale them.",
                style="yellow",
            )
