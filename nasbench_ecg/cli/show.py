"""``nasbench-ecg show``: the summary of one stored run, or the list of all."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, table, warn_damaged_records
from nasbench_ecg.cli.shared_options import JsonOption, OutOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.record import RunRecord


def show(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Run key, or its first characters. Without it, all runs are listed."
        ),
    ] = None,
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Show the architecture, scores and costs of one run, and what to run next; or list all."""
    from nasbench_ecg.run.record_files import find_record

    if run is None:
        _list(out, as_json=as_json)
        return
    record = find_record(out, run)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    from nasbench_ecg.plugin.registry import load_registry

    show_record(record, load_registry(), out, stdout())


def _list(out: Path, *, as_json: bool) -> None:
    """List all runs by suite and track, with their F1."""
    from nasbench_ecg.report.measures import RANKED_BY
    from nasbench_ecg.report.summary.run import command_text
    from nasbench_ecg.run.record_files import read_records
    from nasbench_ecg.text import percent

    records, damaged = read_records(out)
    records.sort(key=lambda r: (r.suite, r.track, r.strategy, r.command, r.search_seed))
    if as_json:
        names = (
            "run_key", "suite", "status", "reason", "search_seed", "evaluation_seed", "command",
        )  # fmt: skip
        print_json([{name: getattr(record, name) for name in names} for record in records])
    elif not records:
        stderr().print(f"There are no runs in {out} yet.")
    else:
        for suite, runs in groupby(records, key=lambda record: record.suite):
            columns = ("run", "strategy", "dataset", "protocol", "profile", "seed", "F1")
            listed = table(*columns, title=suite)
            for record in runs:
                score = record.metrics.get(RANKED_BY)
                shown = "" if score is None else percent(score)
                listed.add_row(
                    record.run_key[:8], record.strategy, record.dataset_name, record.protocol,
                    record.profile, str(record.search_seed),
                    shown if record.status == "ok" else record.status,
                )  # fmt: skip
            stdout().print(listed)
        if any(record.reason for record in records):
            stderr().print(f"'{command_text('show', 'RUN', out=out)}' says why one has no result.")
    warn_damaged_records(damaged)


def show_record(record: RunRecord, registry: Registry, out: Path, console: Console) -> None:
    """Print the summary of a run."""
    from nasbench_ecg.front.showing import show as summary

    console.print(summary(record, out, registry=registry).renderable)


def show_folds(records: Sequence[RunRecord], out: Path, console: Console) -> None:
    """Print the summary of runs that are the folds of one seed."""
    from nasbench_ecg.report.leaderboard.folds import pool_folds
    from nasbench_ecg.report.summary.folds import fold_summary

    for folds in pool_folds(records)[1].values():
        console.print(fold_summary(folds, out))
