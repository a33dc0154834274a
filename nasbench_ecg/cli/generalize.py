"""``nasbench-ecg generalize``: architectures found on one dataset, trained anew on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout, tell_of_damaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.report.generalization import Generalization
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.spec import PlannedRun

SUITE = "generalization"
_FORMATS = {".md": "markdown", ".csv": "csv", ".tex": "latex", ".html": "html", ".json": "json"}


def generalize(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs that found an architecture, by run key."),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="DATASET,...", help="Datasets to carry it to.")
    ],
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="STRATEGY,...", help="Run beside; by default every fixed model. 'none': none."
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol there; by default that of the run.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile there; by default that of the run.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Seeds of training; by default that of the run."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
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
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what failed, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run, and run nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train architectures on other datasets than they were found on, beside the fixed models."""
    from nasbench_ecg.cli.run import parse_seeds
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.generalization import generalization
    from nasbench_ecg.run.store import RecordStore, find_record, read_records
    from nasbench_ecg.studies.generalize import plan_transfers
    from nasbench_ecg.suite.runner import statuses

    outputs = outputs or []
    _check(outputs)
    registry = load_registry()
    found = [find_record(out, run) for run in runs]
    planned = plan_transfers(
        registry,
        found,
        _listed(to),
        baselines=_baselines(registry, found, baselines),
        protocol=protocol,
        profile=profile,
        seeds=None if seeds is None else parse_seeds(seeds),
        device=device,
    )
    store = RecordStore(out, SUITE)
    records, damaged = read_records(out)
    tell_of_damaged(damaged)
    elsewhere = {record.run_key for record in records if record.status == "ok"}
    new = [run for run in planned if run.key not in elsewhere]
    if dry_run:
        for run in planned:
            word = "to do" if run in new else "on record"
            stdout().print(f"{run.key[:8]}  {word:9}  {run}", markup=False, soft_wrap=True)
        return
    _carry_out(new, store, data=data, retry_failed=retry_failed)
    report = generalization(read_records(out)[0], {record.run_key for record in found})
    _show(report, outputs, as_json=as_json)
    if any(status != "ok" for status in statuses(new, store)):
        stderr().print(
            "Some runs failed ('nasbench-ecg show KEY' tells why); --retry-failed tries them again."
        )
        raise typer.Exit(1)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _baselines(registry: Registry, found: Sequence[RunRecord], request: str | None) -> list[str]:
    from nasbench_ecg.studies.generalize import fixed_models

    if request is None:
        return fixed_models(registry, {record.components["evaluator"].name for record in found})
    return [] if request == "none" else _listed(request)


def _carry_out(
    runs: Sequence[PlannedRun], store: RecordStore, *, data: Path | None, retry_failed: bool
) -> None:
    """Run what has no result yet, each run in a process of its own."""
    from nasbench_ecg.cli.beforehand import fetch_missing
    from nasbench_ecg.cli.run import end_on_sigterm
    from nasbench_ecg.cli.suite_progress import SuiteProgress
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.suite.processes import LocalExecutor
    from nasbench_ecg.suite.runner import carry_out, reserved, to_do

    waiting = to_do(runs, store, retry_failed=retry_failed)
    if not waiting:
        return
    end_on_sigterm()
    source, executor = LocalSource(data), LocalExecutor()
    with reserved(store):
        with RichProgress() as progress:
            for config in {run.config.dataset.name: run.config for run in waiting}.values():
                fetch_missing(config, source, progress)
                for requirement in config.dataset.create().requires():
                    source.require(requirement)
        with SuiteProgress(SUITE, waiting, executor.workers) as shown:
            for finished in carry_out(waiting, store, executor, data=data, started=shown.begin):
                shown.end(finished)


def _check(outputs: Sequence[Path]) -> None:
    from nasbench_ecg.errors import OptionError

    for output in outputs:
        if output.suffix not in _FORMATS:
            raise OptionError(
                f"There is no format for {output.name!r}.",
                fix=f"Its ending must be one of {', '.join(_FORMATS)}.",
            )


def _show(report: Generalization, outputs: Sequence[Path], *, as_json: bool) -> None:
    from nasbench_ecg.report import table as grid
    from nasbench_ecg.report.generalization_tables import as_data, tables

    if as_json:
        print_json(as_data(report))
    elif report.columns:
        stdout().print(grid.terminal(tables(report)))
    for output in outputs:
        _write(report, output)
        stderr().print(f"Report: {output}", markup=False, soft_wrap=True)


def _write(report: Generalization, output: Path) -> None:
    import json

    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.report import table as grid
    from nasbench_ecg.report.generalization_tables import as_data, tables

    grids = tables(report)
    texts = {
        "markdown": lambda: grid.markdown(grids),
        "csv": lambda: grid.csv_text(grids),
        "latex": lambda: grid.latex(grids),
        "html": lambda: grid.html(grids, "Generalisation across datasets"),
        "json": lambda: json.dumps(as_data(report), indent=1, ensure_ascii=False) + "\n",
    }
    with storage_errors(output, option="-o"):
        write_atomically(output, texts[_FORMATS[output.suffix]]())
