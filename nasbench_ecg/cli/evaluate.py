"""``nasbench-ecg evaluate``: trained networks on other datasets, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nasbench_ecg.cli.console import RichProgress
from nasbench_ecg.cli.parsing import listed, numbers, refuse_in_vain
from nasbench_ecg.cli.reports import check_outputs, show_report
from nasbench_ecg.cli.shared_options import DataOption, JsonOption, OutOption

_OF_STORED = ("stored", "suite", "check", "out", "outputs", "as_json")
"""What has an effect beside ``--stored``."""


def evaluate(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN", help="Runs whose networks are tested: keys, or their first characters."
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="DATASET,...",
            help="Datasets to test them on. Default: the test part of the run itself.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Exported network to test. Repeatable."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Test on the test part of this protocol. Default: on all beats."
        ),
    ] = None,
    leads: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Leads of the dataset, in the order of the network's."),
    ] = None,
    merge: Annotated[
        str | None,
        typer.Option(metavar="A=B,...", help="Classes that count as another one, such as F=V."),
    ] = None,
    align_marks: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="Move each R mark to the detected R peak within so many milliseconds.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PART.OPTION=VALUE",
            help="Set an option of the dataset or protocol. Repeatable.",
        ),
    ] = None,
    keep_shared_persons: Annotated[
        bool,
        typer.Option(
            "--keep-shared-persons", help="Also test on persons that the network was trained on."
        ),
    ] = False,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Stress test: add this noise to the records: bw (baseline wander), em (electrode "
            "motion), ma (muscle artifact).",
        ),
    ] = None,
    snr: Annotated[
        str | None,
        typer.Option(
            metavar="DB,...",
            help="Signal-to-noise ratios of --noise in dB. Default: 24,18,12,6,0,-6.",
        ),
    ] = None,
    shift_marks: Annotated[
        str | None,
        typer.Option(
            metavar="MS,...",
            help="Stress test: move R marks at random by at most so many milliseconds.",
        ),
    ] = None,
    stored: Annotated[
        bool,
        typer.Option(
            "--stored",
            help="Test nothing: show the tests that are stored, as means over the runs of a "
            "method. Needs no weights.",
        ),
    ] = False,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --stored: only tests of runs of this suite."),
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="With --stored: check that a file written with -o agrees. Repeatable.",
        ),
    ] = None,
    data: DataOption = None,
    out: OutOption = Path("results"),
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Report as .md, .csv, .tex, .html or .json; stress tests also .svg. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Test trained networks on other datasets, without training.

    Beats are cut, filtered, resampled and normalized as in training. Persons that a network was
    trained on are left out. 'generalize' carries the architecture only, and trains it anew.
    """
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.front.evaluation import TITLE
    from nasbench_ecg.front.evaluation import evaluate as test
    from nasbench_ecg.options import parse_assignments

    if stored:
        tests = [str(one.name) for one in context.command.params if one.name not in _OF_STORED]
        refuse_in_vain(context, tests, "--stored tests nothing")
        if check:
            refuse_in_vain(context, ("outputs", "as_json"), "--check only compares files")
        _show_stored(out, suite, outputs or [], check or [], as_json=as_json)
        return
    if suite is not None or check:
        raise OptionError(
            "--suite and --check need --stored.", fix="Add --stored, or leave them out."
        )
    check_outputs(outputs or [], charts=bool(noise or shift_marks))
    options = parse_assignments(assignments or [])
    words: dict[str, Any] = {
        "on": None if on is None else listed(on),
        "model": model or [],
        "protocol": protocol,
        "leads": None if leads is None else listed(leads),
        "merge": _pairs(merge),
        "set": {f"{part}.{k}": v for part, own in options.items() for k, v in own.items()},
        "keep_shared_persons": keep_shared_persons,
        "align_marks": align_marks,
        "noise": listed(noise or ""),
        "snr": None if snr is None else numbers(snr, "--snr"),
        "shift_marks": numbers(shift_marks or "", "--shift-marks"),
        "data": data,
        "out": out,
    }
    with RichProgress() as progress:
        found = test(runs or [], progress=progress, **words)
    show_report(found.tables(), found.as_data(), TITLE, outputs or [], as_json=as_json)


def _show_stored(
    out: Path, suite: str | None, outputs: list[Path], check: list[Path], *, as_json: bool
) -> None:
    """Print, write or check the board of the stored tests."""
    from nasbench_ecg.cli.reports import check_report
    from nasbench_ecg.front.evaluation import TITLE, stored_evaluations

    found = stored_evaluations(suite, out=out)
    tables, title = found.tables(), f"{TITLE}: {suite}" if suite else TITLE
    if check:
        check_report(tables, found.as_data(), title, check)
    else:
        show_report(tables, found.as_data(), title, outputs, as_json=as_json)


def _pairs(text: str | None) -> dict[str, str]:
    """Return ``{"F": "V"}`` for ``F=V``."""
    from nasbench_ecg.errors import OptionError

    pairs: dict[str, str] = {}
    for part in listed(text or ""):
        name, equals, other = (word.strip() for word in part.partition("="))
        if not (name and equals and other):
            raise OptionError(
                f"--merge {part!r} is not of the form A=B.", fix="For example: --merge F=V,Q=N"
            )
        if pairs.setdefault(name, other) != other:
            raise OptionError(
                f"--merge counts {name!r} as {pairs[name]!r} and as {other!r}.",
                fix="Name each class once.",
            )
    return pairs
