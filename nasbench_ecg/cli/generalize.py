"""``nasbench-ecg generalize``: train architectures found on one dataset on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, warn_damaged_records
from nasbench_ecg.cli.parsing import listed, refuse_in_vain
from nasbench_ecg.cli.reports import check_outputs, write_report
from nasbench_ecg.cli.shared_options import DataOption, DeviceOption, JsonOption, OutOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.report.studies.generalization import Generalization
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.plan import PlannedRun

SUITE = "generalization"
TITLE = "Generalization across datasets"


def generalize(
    context: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Runs that found an architecture: keys, or their first characters.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DATASET,...",
            help="Datasets to train the architectures on. With --stored, by default all.",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="STRATEGY,...",
            help="Strategies to compare with, or none. Default: every fixed model.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Protocol on these datasets. Default: that of the run."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Profile on these datasets. Default: that of the run."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Seeds of the training. Default: that of the run."),
    ] = None,
    keep_shared_persons: Annotated[
        bool,
        typer.Option(
            "--keep-shared-persons",
            help="Also test on persons on whom the architecture was searched, as the paper does.",
        ),
    ] = False,
    device: DeviceOption = "auto",
    data: DataOption = None,
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
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed runs again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs without running them.")
    ] = False,
    stored: Annotated[
        bool,
        typer.Option(
            "--stored",
            help="Report all stored runs with these architectures, of any protocol, profile and "
            "seed, and execute none.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train architectures on datasets other than the one they were found on.

    Each is trained from scratch, with the settings of the run that found it, and compared with the
    fixed models. 'evaluate' tests the trained weights instead.
    """
    from nasbench_ecg.cli.parsing import parse_seeds
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.studies.generalization import generalization
    from nasbench_ecg.run.record_files import find_record, read_records
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.studies.generalize import plan_transfers
    from nasbench_ecg.suite.runner import statuses

    if dry_run:
        refuse_in_vain(context, ("outputs", "as_json", "stored"), "A dry run makes no report")
    datasets, outputs = listed(to or ""), outputs or []
    if not (datasets or stored):
        raise OptionError("No dataset is named.", fix="For example: --to qt-1lead")
    check_outputs(outputs)
    registry = load_registry()
    found = [find_record(out, run) for run in runs]
    origins = {record.run_key for record in found}
    if stored:
        records, damaged = read_records(out)
        warn_damaged_records(damaged)
        report = generalization(records, origins, registry, datasets)
        if not report.targets:
            raise OptionError(
                "No run of these architectures on such a dataset is stored.",
                where=str(out),
                fix="Leave out --stored to make the runs.",
            )
        _show(report, outputs, as_json=as_json)
        return
    planned = plan_transfers(
        registry,
        found,
        datasets,
        baselines=_baselines(registry, found, baselines),
        protocol=protocol,
        profile=profile,
        seeds=None if seeds is None else parse_seeds(seeds),
        device=device,
        keep_shared_persons=keep_shared_persons,
    )
    store = RecordStore(out, SUITE)
    records, damaged = read_records(out)
    warn_damaged_records(damaged)
    done = {record.run_key for record in records if record.status == "ok"}
    new = [run for run in planned if run.key not in done]
    if dry_run:
        for run in planned:
            word = "to run" if run in new else "done"
            stdout().print(f"{run.key[:8]}  {word:6}  {run}")
        return
    _execute(new, store, data=data, retry_failed=retry_failed)
    if new:
        records, _ = read_records(out)
    report = generalization(records, origins, registry, datasets)
    _show(report, outputs, as_json=as_json)
    if any(status != "ok" for status in statuses(new, store)):
        stderr().print(
            "Some runs failed; 'nasbench-ecg show KEY' shows why, --retry-failed runs them again."
        )
        raise typer.Exit(1)


def _baselines(registry: Registry, found: Sequence[RunRecord], request: str | None) -> list[str]:
    from nasbench_ecg.studies.generalize import fixed_models

    if request is None:
        return fixed_models(registry, {record.components["evaluator"].name for record in found})
    return [] if request == "none" else listed(request)


def _execute(
    runs: Sequence[PlannedRun], store: RecordStore, *, data: Path | None, retry_failed: bool
) -> None:
    """Execute the pending runs, each in its own process."""
    from nasbench_ecg.cli.execution import execute_with_progress, interrupt_on_sigterm
    from nasbench_ecg.suite.processes import LocalExecutor
    from nasbench_ecg.suite.runner import Engine, pending_runs

    pending = pending_runs(runs, store, retry_failed=retry_failed)
    if not pending:
        return
    interrupt_on_sigterm()
    store.check_writable()
    execute_with_progress(pending, store, Engine(LocalExecutor()), data=data)


def _show(report: Generalization, outputs: Sequence[Path], *, as_json: bool) -> None:
    from nasbench_ecg.report.render.terminal import render_tables
    from nasbench_ecg.report.studies.generalization_tables import as_data, tables

    if as_json:
        print_json(as_data(report))
    elif report.targets:
        stdout().print(render_tables(tables(report)))
    write_report(tables(report), as_data(report), TITLE, outputs)
