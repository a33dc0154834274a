"""``nasbench-ecg evaluate``: trained networks on other datasets, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import RichProgress
from nasbench_ecg.cli.reports import check_outputs, show_report

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLE = "Trained networks on other beats"


def evaluate(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs whose networks are tested, by key.")
    ],
    on: Annotated[
        str, typer.Option("--on", metavar="DATASET,...", help="Datasets to test them on.")
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="Test on the test part of this protocol. Default: on all beats."),
    ] = None,
    leads: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Leads of the dataset, in the order of the network's."),
    ] = None,
    merge: Annotated[
        str | None,
        typer.Option(metavar="A=B,...", help="Classes that count as another one, such as F=V."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="dataset.K=V", help="An option; also protocol.K=V."),
    ] = None,
    keep_shared_persons: Annotated[
        bool,
        typer.Option(
            "--keep-shared-persons", help="Also test on persons that the network was trained on."
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
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
    """Test trained networks on other datasets, without training.

    Beats are cut, filtered, resampled and normalized as in training. Persons that a network was
    trained on are left out. 'generalize' carries the architecture only, and trains it anew.
    """
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.store import RecordStore, find_record

    check_outputs(outputs or [])
    pairs, options = _pairs(merge), _options(assignments or [])
    records = [find_record(out, run) for run in runs]
    registry, source = load_registry(), LocalSource(data)
    # torch is imported only for runs that exist
    from nasbench_ecg.report.evaluation import as_data, tables
    from nasbench_ecg.studies.evaluate import evaluate as test

    found = []
    for record in records:
        for name in _listed(on):
            with RichProgress() as progress:
                one = test(
                    record,
                    out,
                    name,
                    protocol=protocol,
                    leads=None if leads is None else _listed(leads),
                    merge=pairs,
                    overrides=options.get("dataset"),
                    protocol_overrides=options.get("protocol"),
                    keep_shared_persons=keep_shared_persons,
                    source=source,
                    registry=registry,
                    progress=progress,
                )
            store = RecordStore(out, record.suite)
            store.add_artifact(record.run_key, one.file_name, one.as_data())
            found.append(one)
    show_report(tables(found), as_data(found), TITLE, outputs or [], as_json=as_json)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(text: str | None) -> dict[str, str]:
    """Return ``{"F": "V"}`` for ``F=V``."""
    from nasbench_ecg.errors import OptionError

    pairs = {}
    for part in _listed(text or ""):
        name, equals, other = (word.strip() for word in part.partition("="))
        if not (name and equals and other):
            raise OptionError(
                f"--merge {part!r} is not of the form A=B.", fix="For example: --merge F=V,Q=N"
            )
        pairs[name] = other
    return pairs


def _options(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments

    parsed = parse_assignments(list(assignments))
    if others := sorted(set(parsed) - {"dataset", "protocol"}):
        raise OptionError(
            f"Options of the {others[0]} cannot be set.",
            fix="For example: --set dataset.denoise=none",
        )
    return parsed
