"""Tables of a verb: printed, as JSON, and written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_ecg.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from nasbench_ecg.report.table import Table


def check_outputs(outputs: Sequence[Path], *, charts: bool = False) -> None:
    """Check before the work that each file is of a known format and can be written.

    Args:
        outputs: The files.
        charts: Whether a table will have a chart, which can be written as ``.svg``.

    Raises:
        OptionError: The suffix of a file is of no format.
        StorageError: A file cannot be written.
    """
    from nasbench_ecg.io import check_writable

    for output in outputs:
        _format_of(output, charts=charts)
        check_writable(output)


def show_report(
    tables: Sequence[Table], data: Any, title: str, outputs: Sequence[Path], *, as_json: bool
) -> None:
    """Print tables, or ``data`` as JSON where ``as_json`` says so, and write them to files.

    Args and errors as of :func:`write_report`.
    """
    from nasbench_ecg.report.render import terminal

    if as_json:
        print_json(data)
    else:
        console = stdout()
        console.print(terminal.render_tables(tables))
    write_report(tables, data, title, outputs)


def write_report(tables: Sequence[Table], data: Any, title: str, outputs: Sequence[Path]) -> None:
    """Write tables to files.

    Args:
        tables: The tables.
        data: The same as JSON data.
        title: Title of the files.
        outputs: The files, whose suffix tells the format.

    Raises:
        OptionError: The suffix of a file is of no format.
        StorageError: A file cannot be written.
    """
    from nasbench_ecg.io import storage_errors, write_atomically

    for output in outputs:
        text = _text(tables, data, title, output)
        with storage_errors(output, option="-o"):
            write_atomically(output, text)
        stderr().print(f"Report: {output}")


def check_report(tables: Sequence[Table], data: Any, title: str, files: Sequence[Path]) -> None:
    """Compare files with what :func:`write_report` would write.

    Args as of :func:`write_report`.

    Raises:
        OptionError: The suffix of a file is of no format.
        StorageError: A file cannot be read, or it differs.
    """
    from nasbench_ecg.report.render import check_text

    for file in files:
        check_text(_text(tables, data, title, file), file)
        stderr().print(f"{file} agrees with the records.")


def _text(tables: Sequence[Table], data: Any, title: str, file: Path) -> str:
    import json

    from nasbench_ecg.report import render

    charts = [table.chart for table in tables if table.chart]
    form = _format_of(file, charts=bool(charts))
    if form == "svg":
        from nasbench_ecg.report.render.svg import render_charts

        return render_charts(charts, title)
    if form == "json":
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    return render.render_tables(tables, title, form)


def _format_of(output: Path, *, charts: bool) -> str:
    from nasbench_ecg.report.render import SUFFIXES, format_of

    return format_of(output, [*SUFFIXES, ".json", *([".svg"] if charts else [])])
