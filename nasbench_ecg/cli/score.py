"""``nasbench-ecg score``: compare two annotations beat by beat, as ANSI/AAMI EC57 prescribes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench_ecg.ec57.comparison import Comparison
    from nasbench_ecg.signal.aami import SymbolMap

TITLE = "Beat-by-beat comparison"


def score(
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE", help="Annotation file, or folder of them, taken as the truth."
        ),
    ],
    test: Annotated[
        Path, typer.Argument(metavar="TEST", help="Annotation file, or folder of them, to judge.")
    ],
    reference_extension: Annotated[
        str | None, typer.Option(metavar="EXT", help="Extension in a folder. Default: atr.")
    ] = None,
    test_extension: Annotated[
        str | None, typer.Option(metavar="EXT", help="Extension in a folder. Default: atr.")
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the header files. Default: beside the annotations."
        ),
    ] = None,
    learning: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Seconds at the start that are not compared."),
    ] = 300.0,
    match: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="Largest distance of a pair, in seconds.")
    ] = 0.15,
    symbols: Annotated[
        str, typer.Option(help="Classes of the symbols: aami, or papers (as in Heart-DARTS).")
    ] = "aami",
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Report as .md, .csv, .tex, .html or .json; repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare two annotations beat by beat: detection, and the classes V and S (EC57).

    Beats within 150 ms are pairs. The first five minutes, and ventricular flutter that the
    reference marks, are not compared.
    """
    from nasbench_ecg.ec57.folders import annotation_files, compare_files
    from nasbench_ecg.report.ec57 import as_data, tables
    from nasbench_ecg.report.render import SUFFIXES, format_of
    from nasbench_ecg.report.render.terminal import render_tables

    for output in outputs or []:
        format_of(output, [*SUFFIXES, ".json"])
    comparisons = compare_files(
        annotation_files(reference, reference_extension),
        annotation_files(test, test_extension),
        records=records,
        learning=learning,
        match=match,
        symbols=_symbols(symbols),
    )
    if as_json:
        print_json(as_data(comparisons))
    else:
        console = stdout()
        console.print(render_tables(tables(comparisons), width=console.width))
    for output in outputs or []:
        _write(comparisons, output)
        stderr().print(f"Report: {output}", markup=False, soft_wrap=True)


def _symbols(name: str) -> SymbolMap:
    from nasbench_ecg.errors import OptionError

    if name == "aami":
        return "aami"
    if name == "papers":
        return "papers"
    raise OptionError(f"There is no symbol map {name!r}.", fix="Use --symbols aami or papers.")


def _write(comparisons: Sequence[Comparison], output: Path) -> None:
    import json

    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.report.ec57 import as_data, tables
    from nasbench_ecg.report.render import SUFFIXES, format_of, render_tables

    form = format_of(output, [*SUFFIXES, ".json"])
    if form == "json":
        text = json.dumps(as_data(comparisons), indent=1, ensure_ascii=False) + "\n"
    else:
        text = render_tables(tables(comparisons), TITLE, form)
    with storage_errors(output, option="-o"):
        write_atomically(output, text)
