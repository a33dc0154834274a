"""The report of ``nasbench-ecg table simulate``: on the terminal and in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.tables.comparison import SearchComparison
    from nasbench_ecg.tables.simulate import Simulation
    from nasbench_ecg.tables.table import Table


def check_outputs(outputs: Sequence[Path]) -> None:
    """Check the files that a report is to be written to, before hours of simulation.

    Raises:
        OptionError: A suffix is of no format, or the package for Parquet is not installed.
        StorageError: A file cannot be written.
    """
    from nasbench_ecg.io import check_writable
    from nasbench_ecg.report.render import SUFFIXES, format_of
    from nasbench_ecg.tables.export import check_parquet

    for output in outputs:
        format_of(output, [*SUFFIXES, ".json", ".parquet"])
        if output.suffix == ".parquet":
            check_parquet()
        check_writable(output)


def show(table: Table, found: SearchComparison, *, as_json: bool) -> None:
    """Print the summary of a comparison as tables, or all of it as JSON."""
    from nasbench_ecg.report.render.terminal import render_tables
    from nasbench_ecg.report.studies.search_comparison import as_data, summary_tables, title

    if as_json:
        print_json(as_data(table, found))
        return
    out = stdout()
    out.print(title(table), style="bold")
    out.print(render_tables(summary_tables(table, found)))
    out.print("Differences, p-values, hypervolumes, pairs and curves: -o REPORT.md, .html or .csv.")


def write(
    output: Path,
    table: Table,
    found: SearchComparison,
    simulations: Mapping[Budget, Mapping[str, Simulation]],
) -> None:
    """Write a report in the format of the file's suffix.

    Raises:
        StorageError: The file cannot be written.
    """
    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.report.render import SUFFIXES, format_of
    from nasbench_ecg.report.studies.search_comparison import render
    from nasbench_ecg.tables.export import steps_frame, write_frame

    form = format_of(output, [*SUFFIXES, ".json", ".parquet"])
    if form == "parquet":
        write_frame(steps_frame(simulations), output)
    else:
        text = render(table, found, form)
        with storage_errors(output, option="-o", what="The report"):
            write_atomically(output, text)
    stderr().print(f"Report: {output}")
