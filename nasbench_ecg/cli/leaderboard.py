"""``nasbench-ecg leaderboard``: rank all stored runs, one table for each track."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import (
    print_json,
    print_text,
    stderr,
    stdout,
    warn_damaged_records,
)
from nasbench_ecg.cli.parsing import refuse_in_vain
from nasbench_ecg.cli.shared_options import JsonOption, OutOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench_ecg.report.leaderboard.types import Leaderboard
    from nasbench_ecg.run.record import RunRecord

_WIDE = 240
"""Columns of a terminal that shows every column of a leaderboard."""

_FILTERS = ("suite", "dataset", "protocol", "profile")


def leaderboard(
    context: typer.Context,
    out: OutOption = Path("results"),
    suite: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this suite.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs on this dataset.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs under this protocol.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this profile.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="terminal, markdown, csv, latex, html, verdicts, or "
            "anytime: the progress of searches as CSV.",
        ),
    ] = "terminal",
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write this file; its suffix gives the format unless --format does: .md, .csv, "
            ".tex or .html, or .svg for a figure of all runs. Repeatable.",
        ),
    ] = None,
    wearable: Annotated[
        bool,
        typer.Option(
            "--wearable",
            help="Compare networks by F1 and by the flash and RAM that they need in int8.",
        ),
    ] = False,
    check: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Check that a file written with -o, and with the same --format, agrees with the "
            "records. Repeatable.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Columns to print, by their headings: F1,params,search for example; or all.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the strategies that were run, one table for each track.

    With --format verdicts, print which differences the runs show; -o and --check then write or
    check the blocks of a text between '<!-- verdicts: SUITE -->' and '<!-- end of verdicts -->'.
    """
    import dataclasses

    from nasbench_ecg.front.results import leaderboard as ranked
    from nasbench_ecg.front.results import no_runs, stored_runs
    from nasbench_ecg.report.leaderboard.grouping import stored_differently

    _check_combination(
        context, form=form, writes=bool(files), checks=bool(check), wearable=wearable,
        as_json=as_json,
    )  # fmt: skip
    records, damaged = stored_runs(out, suite)
    if not records:
        warn_damaged_records(damaged)
        raise no_runs(out)
    for line in stored_differently(records):
        stderr().print(line, style="yellow")
    if form == "verdicts" and (files or check):
        _fill_or_check(records, files=files or [], check=check or [])
        warn_damaged_records(damaged)
        return
    filters = {"suite": suite, "dataset": dataset, "protocol": protocol, "profile": profile}
    records = _filtered(records, filters)
    if wearable:
        _wearable(records, files or [], check or [], as_json=as_json)
        warn_damaged_records(damaged)
        return
    if form == "verdicts":
        from nasbench_ecg.report.render.verdicts import render as render_verdicts

        print_text(render_verdicts(ranked(records).boards), end="")
        warn_damaged_records(damaged)
        return
    outputs = _outputs(form, files or [])
    if columns is not None and (check or outputs or as_json):
        raise _columns_elsewhere()
    if check or outputs:
        _write_or_check(
            records, out, title=_title(filters), outputs=outputs, check=check or [], form=form
        )
        warn_damaged_records(damaged)
        return
    found = ranked(records, out=out)
    boards = found.boards
    if as_json:
        print_json(
            {
                "leaderboards": [dataclasses.asdict(board) for board in boards],
                "damaged": [{"path": str(item.path), "reason": item.reason} for item in damaged],
            }
        )
        warn_damaged_records(damaged)
        return
    from nasbench_ecg.report.render.terminal import leaderboard_table

    console = stdout()
    width, chosen = console.width, _chosen(columns, boards)
    if found.report.about:
        console.print(f"{found.report.about}\n", soft_wrap=False)
    if chosen:  # the terminal wraps or scrolls what is wider than it
        console.width = max(width, _WIDE)
    for index, board in enumerate(boards):
        if index:
            console.print()
        console.print(leaderboard_table(board, width=width, columns=chosen))
    warn_damaged_records(damaged)


def _check_combination(
    context: typer.Context, *, form: str, writes: bool, checks: bool, wearable: bool, as_json: bool
) -> None:
    """Refuse options that have no effect beside others.

    Raises:
        OptionError: There is one.
    """
    if checks:
        refuse_in_vain(context, ("files", "as_json"), "--check only compares files")
        if form not in ("verdicts", "anytime"):
            refuse_in_vain(context, ("form",), "The name of a file gives its format")
    if wearable:
        refuse_in_vain(context, ("form", "columns"), "--wearable has a table of its own")
    if form == "verdicts":
        refuse_in_vain(context, ("columns", "as_json"), "Verdicts are printed as Markdown")
        if writes or checks:
            refuse_in_vain(context, _FILTERS, "The blocks of a text name their suites")
    elif as_json and not wearable:
        refuse_in_vain(context, ("form", "files"), "--json prints JSON")


def _wearable(
    records: list[RunRecord], files: list[Path], check: list[Path], *, as_json: bool
) -> None:
    """Print, write or check the board for a wearable."""
    from nasbench_ecg.cli.reports import check_outputs, check_report, show_report

    check_outputs([*files, *check], charts=True)
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.leaderboard.grouping import each_once
    from nasbench_ecg.report.networks.wearable import tables, with_footprints

    registry = load_registry()
    found = list(each_once(with_footprints(records, registry)).values())
    data = [
        {"run": one.run_key, "strategy": one.strategy, "track": one.track, "costs": one.costs}
        | {"f1_of_macro": one.metrics["f1_of_macro"]}
        for one in found
    ]
    title = "Networks for a wearable"
    if check:
        check_report(tables(found, registry), {"runs": data}, title, check)
    else:
        show_report(tables(found, registry), {"runs": data}, title, files, as_json=as_json)


def _chosen(columns: str | None, boards: Sequence[Leaderboard]) -> list[str]:
    """Return the headings that ``--columns`` names, none if it is not given.

    Raises:
        OptionError: No leaderboard has such a column.
    """
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.report.render.terminal import headings

    if columns is None:
        return []
    known = {heading.lower(): heading for heading in headings(boards)}
    names = [name.strip().lower() for name in columns.split(",") if name.strip()]
    if names == ["all"]:
        return list(known.values())
    for name in names:
        if name not in known:
            raise OptionError(
                f"No leaderboard has a column {name!r}.",
                where="--columns",
                fix=f"Its columns: {', '.join(known.values())}; or all.",
            )
    return [known[name] for name in names]


def _outputs(form: str, files: list[Path]) -> list[tuple[str, Path | None]]:
    """Return format and file of each output; None in place of a file is stdout.

    Raises:
        OptionError: There is no such format, or a file has a suffix of no format.
    """
    from nasbench_ecg.errors import OptionError, nearest
    from nasbench_ecg.report.render import FORMATS, REPORT_SUFFIXES, format_of

    forms = ["terminal", *FORMATS, "anytime", "verdicts"]
    if form not in forms:
        raise OptionError(f"There is no format {form!r}.", fix=nearest(form, forms))
    if form == "terminal":
        return [(format_of(file, REPORT_SUFFIXES), file) for file in files]
    return [(form, file) for file in files] or [(form, None)]


def _fill_or_check(records: list[RunRecord], *, files: list[Path], check: list[Path]) -> None:
    """Write the blocks of verdicts of some texts, or check them.

    Raises:
        OptionError: A text has no block, or one of a suite without runs.
        StorageError: A file cannot be read or written, or it differs from the records.
    """
    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.report.render import check_text, read_text
    from nasbench_ecg.report.render.verdicts import filled

    for path in check:
        check_text(filled(read_text(path), records, str(path)), path)
        stderr().print(f"{path} agrees with the records.")
    for path in files if not check else []:
        text = filled(read_text(path), records, str(path))
        with storage_errors(path, option="-o"):
            write_atomically(path, text)
        stderr().print(f"Written: {path}")


def _title(filters: dict[str, str | None]) -> str:
    values = [value for value in filters.values() if value is not None]
    return f"nasbench-ecg: {' · '.join(values) or 'all runs'}"


def _write_or_check(
    records: list[RunRecord],
    out: Path,
    *,
    title: str,
    outputs: list[tuple[str, Path | None]],
    check: list[Path],
    form: str,
) -> None:
    """Write the report of some runs to files or to stdout, or compare files with it.

    A file to compare has the format of its suffix, unless ``form`` is that of progress.

    Raises:
        StorageError: A file cannot be written, or it differs from the records.
    """
    from nasbench_ecg.front.results import leaderboard as ranked
    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.report.render import check as check_file
    from nasbench_ecg.report.render import check_text

    boards = ranked(records, title, out=out)
    for path in check:
        if form == "anytime":
            check_text(boards.render(form), path)
        else:
            check_file(boards.report, path)
        stderr().print(f"{path} agrees with the records.")
    if check:
        return
    for form, file in outputs:
        text = boards.render(form)
        if file is None:
            print_text(text, end="")
            continue
        with storage_errors(file, option="-o"):
            write_atomically(file, text)
        stderr().print(f"Written: {file}")


def _filtered(records: list[RunRecord], filters: dict[str, str | None]) -> list[RunRecord]:
    """Return the records with these values.

    Raises:
        OptionError: No record has one of the values.
    """
    from nasbench_ecg.errors import OptionError, nearest
    from nasbench_ecg.report.leaderboard.grouping import of_suite

    for name, value in filters.items():
        if value is None:
            continue
        field = "dataset_name" if name == "dataset" else name
        found = {str(getattr(record, field)) for record in records}
        if value not in found:
            raise OptionError(f"There is no run of {name} {value!r}.", fix=nearest(value, found))
        if name == "suite":
            records = of_suite(records, value)
        else:
            records = [record for record in records if getattr(record, field) == value]
    return records


def _columns_elsewhere() -> Exception:
    from nasbench_ecg.errors import OptionError

    return OptionError("--columns is for the terminal.", fix="Files have all columns.")
