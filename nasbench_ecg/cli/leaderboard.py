"""``nasbench-ecg leaderboard``: what all stored runs say, one table a track."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, warn_damaged_records

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord


def leaderboard(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
    suite: Annotated[str | None, typer.Option(help="Only runs of this suite.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only runs under this protocol.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only runs of this profile.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="terminal, markdown, csv, latex or html.")
    ] = "terminal",
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            metavar="FILE",
            help="Write there; its ending tells the format if none is given. Repeatable.",
        ),
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Compare a file written with -o with the records; repeatable."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the strategies that were run, one table for each track."""
    import dataclasses

    from nasbench_ecg.report.leaderboard import leaderboards
    from nasbench_ecg.run.store import read_records

    records, damaged = read_records(out)
    if not records:
        warn_damaged_records(damaged)
        raise _nothing(out)
    wishes = {"suite": suite, "dataset": dataset, "protocol": protocol, "profile": profile}
    records = _chosen(records, wishes)
    outputs = _outputs(form, files or [])
    if check or outputs:
        _write(records, title=_title(wishes), outputs=outputs, check=check or [])
        warn_damaged_records(damaged)
        return
    boards = leaderboards(records)
    if as_json:
        print_json(
            {
                "leaderboards": [dataclasses.asdict(board) for board in boards],
                "damaged": [{"path": str(item.path), "reason": item.reason} for item in damaged],
            }
        )
        return
    from nasbench_ecg.report.render.terminal import leaderboard_table

    for index, board in enumerate(boards):
        if index:
            stdout().print()
        stdout().print(leaderboard_table(board, width=stdout().width))
    warn_damaged_records(damaged)


def _outputs(form: str, files: list[Path]) -> list[tuple[str, Path | None]]:
    """Return format and file of what is to be written; no file is stdout.

    Raises:
        OptionError: There is no such format, or a file's ending stands for none.
    """
    from nasbench_ecg.errors import OptionError, nearest
    from nasbench_ecg.report.render.formats import FORMATS, format_of

    if form not in ("terminal", *FORMATS):
        raise OptionError(
            f"There is no format {form!r}.", fix=nearest(form, ["terminal", *FORMATS])
        )
    if form == "terminal":
        return [(format_of(file), file) for file in files]
    return [(form, file) for file in files] or [(form, None)]


def _title(wishes: dict[str, str | None]) -> str:
    chosen = [request for request in wishes.values() if request is not None]
    return f"nasbench-ecg: {' · '.join(chosen) or 'all runs'}"


def _write(
    records: list[RunRecord],
    *,
    title: str,
    outputs: list[tuple[str, Path | None]],
    check: list[Path],
) -> None:
    """Write the report of some runs to files or to stdout, or compare files with it.

    Raises:
        StorageError: The file cannot be written, or one does not say what the records say.
    """
    from nasbench_ecg.cli.show import draw
    from nasbench_ecg.io import told, write_atomically
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.leaderboard import assemble
    from nasbench_ecg.report.render.formats import check as check_file
    from nasbench_ecg.report.render.formats import render

    registry = load_registry()
    report = assemble(records, title, lambda record: draw(record, registry))
    for path in check:
        check_file(report, path)
        stderr().print(f"{path} says what the records say.", markup=False, soft_wrap=True)
    if check:
        return
    for form, file in outputs:
        text = render(report, form)
        if file is None:
            print(text, end="")
            continue
        with told(file, "-o"):
            write_atomically(file, text)
        stderr().print(f"Written: {file}", markup=False, soft_wrap=True)


def _chosen(records: list[RunRecord], wishes: dict[str, str | None]) -> list[RunRecord]:
    """Return the records that are as wished, each request checked against what there is.

    Raises:
        OptionError: A request leaves none.
    """
    from nasbench_ecg.errors import OptionError, nearest

    for name, request in wishes.items():
        if request is None:
            continue
        field = "dataset_name" if name == "dataset" else name
        found = {str(getattr(record, field)) for record in records}
        if request not in found:
            raise OptionError(
                f"There is no run of {name} {request!r}.", fix=nearest(request, found)
            )
        records = [record for record in records if getattr(record, field) == request]
    return records


def _nothing(out: Path) -> Exception:
    from nasbench_ecg.errors import StorageError

    return StorageError(
        "There are no runs to compare yet.",
        where=str(out),
        fix="'nasbench-ecg run darts synthetic-2lead' makes one in minutes; "
        "--out names another folder of results.",
    )
