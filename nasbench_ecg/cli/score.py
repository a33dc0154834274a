"""``nasbench-ecg score``: compare two annotations beat by beat, as ANSI/AAMI EC57 prescribes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.parsing import refuse_in_vain
from nasbench_ecg.cli.reports import check_outputs, show_report
from nasbench_ecg.cli.shared_options import JsonOption, OutOption

if TYPE_CHECKING:
    from nasbench_ecg.signal.aami import SymbolMap

TITLE = "Beat-by-beat comparison"

_OF_FILES = (
    "reference", "test", "reference_extension", "test_extension", "records", "learning", "match",
    "symbols",
)  # fmt: skip
"""Arguments and options for annotation files."""


def score(
    context: typer.Context,
    reference: Annotated[
        Path | None,
        typer.Argument(
            metavar="REFERENCE", help="Annotation file, or folder of them, taken as the truth."
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Argument(metavar="TEST", help="Annotation file, or folder of them, to judge."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="In place of files: the test part of a run, record by record."
        ),
    ] = None,
    reference_extension: Annotated[
        str | None,
        typer.Option(
            metavar="EXT", help="Extension of its files if REFERENCE is a folder. Default: atr."
        ),
    ] = None,
    test_extension: Annotated[
        str | None,
        typer.Option(
            metavar="EXT", help="Extension of its files if TEST is a folder. Default: atr."
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the header files. Default: beside the annotations."
        ),
    ] = None,
    learning: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, metavar="S", help="Seconds at the start that are not compared."
        ),
    ] = 300.0,
    match: Annotated[
        float,
        typer.Option(
            min=0.001, max=10, metavar="S", help="Largest distance of a pair, in seconds."
        ),
    ] = 0.15,
    symbols: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Classes of the symbols: aami, or papers (as in Heart-DARTS)."
        ),
    ] = "aami",
    out: OutOption = Path("results"),
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Report as .md, .csv, .tex, .html or .json. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two annotations beat by beat: detection, and the classes V and S (EC57).

    Beats within 150 ms are pairs. The first five minutes, and ventricular flutter that the
    reference marks, are not compared.
    """
    from nasbench_ecg.ec57.folders import (
        annotation_files,
        compare_files,
        first_names,
        not_compared,
        unlike,
    )
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.report.networks.ec57 import as_data, tables

    check_outputs(outputs or [])
    if run is not None:
        refuse_in_vain(context, _OF_FILES, "A run is scored without annotation files")
        _score_run(run, out, outputs or [], as_json=as_json)
        return
    if reference is None or test is None:
        raise OptionError(
            "Two annotations are needed.",
            fix="Name REFERENCE and TEST, or a run with --run KEY.",
        )
    truth = annotation_files(reference, reference_extension)
    judged = annotation_files(test, test_extension)
    comparisons = compare_files(
        truth,
        judged,
        records=records,
        learning=learning,
        match=match,
        symbols=_symbols(symbols),
    )
    left_out, notes = not_compared(truth, judged), []
    if learning:
        notes.append(f"The first {learning:g} s of each record are not compared.")
    if left_out:
        notes.append(
            f"{len(left_out)} of the {len(truth.records)} records of the reference are not scored, "
            f"because TEST has no annotations of them: {first_names(left_out)}."
        )
    if far := unlike(comparisons):
        notes.append(
            f"In {len(far)} of {len(comparisons)} records few beats of the reference have one of "
            f"TEST within {match * 1000:g} ms: {first_names(far)}. TEST may lack beats, or be of "
            "another recording or at another sampling rate."
        )
    data = {**as_data(comparisons), "not_scored": left_out}
    show_report(tables(comparisons, notes=notes), data, TITLE, outputs or [], as_json=as_json)


def _score_run(run: str, out: Path, outputs: list[Path], *, as_json: bool) -> None:
    """Print and write the report of a run."""
    from nasbench_ecg.report.networks.ec57 import as_data, tables
    from nasbench_ecg.report.networks.ec57_of_run import comparisons_of_run, notes_of_run
    from nasbench_ecg.run.record_files import find_record

    record = find_record(out, run)
    comparisons = comparisons_of_run(record, out)
    shown = tables(comparisons, detection=False, notes=notes_of_run(record))
    data = {"run": record.run_key, **as_data(comparisons, detection=False)}
    show_report(shown, data, TITLE, outputs, as_json=as_json)


def _symbols(name: str) -> SymbolMap:
    from nasbench_ecg.errors import OptionError

    if name == "aami":
        return "aami"
    if name == "papers":
        return "papers"
    raise OptionError(f"There is no symbol map {name!r}.", fix="Use --symbols aami or papers.")
