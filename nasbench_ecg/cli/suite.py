"""``nasbench-ecg suite``: many runs, planned in a file and carried out one by one."""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import (
    RichProgress,
    print_json,
    stderr,
    stdout,
    table,
    tell_of_damaged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nasbench_ecg.run.record import Status
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.spec import PlannedRun, Suite

app = typer.Typer(help="Run a whole comparison: list, plan, run, status.", no_args_is_help=True)

_STYLES = {
    "ok": "green",
    "failed": "red",
    "timeout": "red",
    "oom": "red",
    "interrupted": "yellow",
    "to do": "dim",
}

NameArgument = Annotated[
    str, typer.Argument(metavar="SUITE", help="A shipped suite, or a TOML file of your own.")
]
ProfileOption = Annotated[
    str | None, typer.Option(help="Profile of all runs, in place of the suite's.")
]
SeedsOption = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Seeds of all runs, in place of the suite's.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_suites(as_json: JsonOption = False) -> None:
    """List the suites there are."""
    from nasbench_ecg.suite.spec import shipped_suites

    suites = shipped_suites()
    if as_json:
        print_json([{"name": s.name, **s.content.model_dump(mode="json")} for s in suites])
        return
    listed = table("suite", "what it compares")
    for suite in suites:
        grids = suite.content.runs
        strategies = ", ".join(dict.fromkeys(name for grid in grids for name in grid.strategies))
        datasets = ", ".join(dict.fromkeys(name for grid in grids for name in grid.datasets))
        n = len(suite.content.seeds)
        details = f"{strategies} on {datasets}, {n} seed{'s' if n > 1 else ''}"
        listed.add_row(f"[bold]{suite.name}[/]", f"{suite.content.title}\n[dim]{details}[/]")
    stdout().print(listed)


@app.command("plan")
def plan_suite(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Print what would be run, without running it."""
    from nasbench_ecg.suite.runner import results_in_other_suites, statuses

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    found = statuses(runs, store)
    _tell_of_damaged(store)
    if as_json:
        print_json(
            [
                {"run_key": run.key, "status": status, "command": run.config.command()}
                for run, status in zip(runs, found, strict=True)
            ]
        )
        return
    listed = table("run", "status", "what")
    for run, status in zip(runs, found, strict=True):
        have = (
            next((other for other, _ in results_in_other_suites(run, store)), None)
            if status is None
            else None
        )
        listed.add_row(
            run.key[:8], f"[green]in {have.suite}[/]" if have else _styled(status), str(run)
        )
    stdout().print(listed)
    _tell_counts(found)


@app.command("status")
def suite_status(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Say how far a suite has come."""
    from nasbench_ecg.suite.runner import statuses

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    found = statuses(runs, store)
    _tell_of_damaged(store)
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for run, status in zip(runs, found, strict=True):
        counts.setdefault(run.row, Counter())[status or "to do"] += 1
    if as_json:
        print_json([{"row": row, "runs": dict(count)} for row, count in counts.items()])
        return
    shown = [status for status in _STYLES if any(count[status] for count in counts.values())]
    listed = table("dataset", "protocol", "profile", "strategy", *shown)
    for names, count in counts.items():
        numbers = (f"[{_STYLES[s]}]{count[s]}[/]" if count[s] else "" for s in shown)
        listed.add_row(*names, *numbers)
    stdout().print(listed)
    _tell_counts(found)
    _tell_failures(runs, found, store)


@app.command("run")
def run_suite(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    out: OutOption = Path("results"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what failed, too.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Candidates of a search at a time, in each run."),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="GPUs to share out, one run at a time on each."),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(min=0, metavar="HOURS", help="Longest that one run may take."),
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds between checkpoints.")
    ] = 30.0,
) -> None:
    """Run what a suite lacks, each run in a process of its own; stop and resume at any time."""
    from nasbench_ecg.cli.run import end_on_sigterm
    from nasbench_ecg.cli.suite_progress import SuiteProgress
    from nasbench_ecg.suite.processes import LocalExecutor
    from nasbench_ecg.suite.runner import (
        execute_runs,
        lock_suite,
        pending_runs,
        reuse_results,
        statuses,
    )

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    slots = _gpus(gpus, device)
    hours = suite.content.time_limit_hours if time_limit is None else time_limit
    executor = LocalExecutor(
        workers=max(workers, len(slots)),
        gpus=slots,
        time_limit=None if hours is None else 3600 * hours,
    )
    end_on_sigterm()
    with lock_suite(store):
        if taken := reuse_results(pending_runs(runs, store, retry_failed=True), store):
            stderr().print(f"{len(taken)} results are taken over from other suites in {out}.")
        waiting = pending_runs(runs, store, retry_failed=retry_failed)
        stderr().print(f"{suite.name}: {len(waiting)} of {len(runs)} runs to do.")
        if waiting:
            _get_records(waiting, data)
            shown = SuiteProgress(suite.name, waiting, executor.workers)
            ending = execute_runs(
                waiting, store, executor, data=data, checkpoint_seconds=checkpoint_seconds,
                parallel=parallel, started=shown.begin,
            )  # fmt: skip
            with shown, closing(ending):
                for finished in ending:
                    shown.end(finished)
    found = statuses(runs, store)
    _tell_counts(found)
    _tell_failures(runs, found, store)
    asked = {"--profile": profile, "--seeds": seeds, "--data": data, "--out": out}
    if device != "auto":
        asked["--device"] = device
    _tell_next(name, suite, asked, found)
    if any(status != "ok" for status in found):
        raise typer.Exit(1)


def _planned(
    name: str, profile: str | None, seeds: str | None, device: str
) -> tuple[Suite, list[PlannedRun]]:
    """Return a suite and its plan.

    Raises:
        OptionError: It is to be published and breaks a rule of a fair comparison.
    """
    from nasbench_ecg.cli.run import parse_seeds
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.suite.spec import broken_rules, load_suite, plan

    suite = load_suite(name)
    chosen = None if seeds is None else parse_seeds(seeds)
    runs = plan(suite, load_registry(), profile=profile, seeds=chosen, device=device)
    broken = broken_rules(runs, published=suite.content.published)
    if broken and suite.content.published and chosen is None:
        raise OptionError(
            f"This suite is to be published and cannot be: {broken[0]}",
            where=suite.path,
            fix="Mend it, or say published = false.",
        )
    for sentence in broken:
        stderr().print(f"Note: {sentence}", style="yellow", markup=False)
    return suite, runs


def _gpus(request: str | None, device: str) -> list[str]:
    """Return the GPUs to share out.

    Raises:
        OptionError: There is none here, or the runs are for the CPU.
    """
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.run.config import resolve_device

    named = [gpu.strip() for gpu in (request or "").split(",") if gpu.strip()]
    if named and resolve_device(device) != "cuda":
        raise OptionError(
            "--gpus needs a CUDA GPU: these runs are for the CPU.",
            fix="Leave --gpus out, or see that PyTorch finds the GPU.",
        )
    return named


def _store(out: Path, suite: Suite) -> RecordStore:
    from nasbench_ecg.run.store import RecordStore

    return RecordStore(out, suite.name)


def _get_records(runs: Sequence[PlannedRun], data: Path | None) -> None:
    """See to it that all records are here before the first run: fetch, or say what is missing."""
    from nasbench_ecg.cli.beforehand import fetch_missing
    from nasbench_ecg.data.source import LocalSource

    source = LocalSource(data)
    configs = {run.config.dataset.name: run.config for run in runs}
    with RichProgress() as progress:
        for config in configs.values():
            fetch_missing(config, source, progress)
            for requirement in config.dataset.create().requires():
                source.require(requirement)


def _styled(status: Status | None) -> str:
    word = status or "to do"
    return f"[{_STYLES[word]}]{word}[/]"


def _tell_counts(found: Sequence[Status | None]) -> None:
    counts = Counter[str](status or "to do" for status in found)
    parts = [f"{counts[word]} {word}" for word in _STYLES if counts[word]]
    stderr().print(f"{len(found)} runs: {', '.join(parts)}.")


def _tell_failures(
    runs: Sequence[PlannedRun], found: Sequence[Status | None], store: RecordStore
) -> None:
    from nasbench_ecg.suite.runner import FAILED

    for run, status in zip(runs, found, strict=True):
        record = store.read(run.key) if status in FAILED else None
        if record is not None:
            lines = (record.error or "").strip().splitlines() or ["no reason on record"]
            text = f"{status}  {run}\n  {lines[-1].strip()}  ('nasbench-ecg show {run.key[:8]}')"
            stderr().print(text, style="red", markup=False, soft_wrap=True)


def _tell_of_damaged(store: RecordStore) -> None:
    from nasbench_ecg.run.store import read_records

    tell_of_damaged(read_records(store.out, store.suite)[1])


def _tell_next(
    name: str,
    suite: Suite,
    asked: Mapping[str, str | Path | None],
    found: Sequence[Status | None],
) -> None:
    """Say which command tries again what failed, with what was asked for, and which shows all."""
    from nasbench_ecg.suite.runner import FAILED

    unusual = {
        option: str(value)
        for option, value in asked.items()
        if value is not None and (option, value) != ("--out", Path("results"))
    }
    if any(status in FAILED for status in found):
        words = ["nasbench-ecg", "suite", "run", name, *chain(*unusual.items()), "--retry-failed"]
        stderr().print(
            f"To try the failed again: {shlex.join(words)}", markup=False, soft_wrap=True
        )
    if "ok" in found:
        words = ["nasbench-ecg", "leaderboard", "--suite", suite.name]
        words += ["--out", unusual["--out"]] if "--out" in unusual else []
        stdout().print(shlex.join(words), markup=False, soft_wrap=True)
