"""``nasbench-ecg suite``: many runs, planned in a file and executed one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import (
    print_json,
    stderr,
    stdout,
    styled,
    table,
)
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import (
    DataOption,
    DeviceOption,
    JsonOption,
    OutOption,
)
from nasbench_ecg.cli.suite_output import (
    ELSEWHERE,
    PENDING,
    STYLES,
    Options,
    RepeatedCommand,
    print_counts,
    print_failures,
    print_how_to_come_back,
    print_jobs,
    print_next_commands,
    print_pending,
    styled_status,
    warn_of_records,
)

if TYPE_CHECKING:
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.plan import PlannedRun
    from nasbench_ecg.suite.spec import Suite

app = Verbs(help="List, plan and run suites, which compare many runs.", no_args_is_help=True)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUITE", help="A shipped suite ('nasbench-ecg suite list'), or your own TOML file."
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Profile of all runs. Default: the profiles of the suite."),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Seeds of all runs. Default: the seeds of the suite."),
]
ExecutorOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="Where runs are executed ('nasbench-ecg list executors')."),
]
ExecutorSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="executor.OPTION=VALUE",
        help="Set an option of the executor, such as executor.partition=gpu. Repeatable.",
    ),
]


@app.command("list")
def list_suites(as_json: JsonOption = False) -> None:
    """List the shipped suites and what they compare."""
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
        listed.add_row(
            styled((suite.name, "bold")), styled(f"{suite.content.title}\n", (details, "dim"))
        )
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
    """Show what a suite compares, its runs and their status, and run nothing."""
    from nasbench_ecg.suite.runner import pending_runs, statuses, suites_with_results

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    found = statuses(runs, store)
    elsewhere = suites_with_results(runs, store)
    warn_of_records(store, runs, whole=profile is None and seeds is None)
    if as_json:
        print_json(
            [
                {
                    "run_key": run.key,
                    "status": status,
                    "result_in": elsewhere.get(run.key),
                    "command": run.config.command(),
                }
                for run, status in zip(runs, found, strict=True)
            ]
        )
        return
    stdout().print(styled((f"{suite.content.title}\n", "bold")))
    if suite.content.about:
        stdout().print(styled(f"{suite.content.about.strip()}\n"))
    listed = table("run", "status", "what")
    for run, status in zip(runs, found, strict=True):
        have = elsewhere.get(run.key)
        state = styled((f"in {have}", "green")) if have else styled_status(status)
        listed.add_row(run.key[:8], state, str(run))
    stdout().print(listed)
    here = [s for run, s in zip(runs, found, strict=True) if run.key not in elsewhere]
    print_counts(here, elsewhere=len(elsewhere))
    pending = [run for run in pending_runs(runs, store) if run.key not in elsewhere]
    print_pending(suite, pending, runs)


@app.command("status")
def suite_status(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Count the runs of a suite by status, and list those that failed."""
    from nasbench_ecg.suite.runner import statuses, suites_with_results

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    found = statuses(runs, store)
    elsewhere = suites_with_results(runs, store)
    warn_of_records(store, runs, whole=profile is None and seeds is None)
    counts: dict[tuple[str, str, str, str], Counter[str]] = {}
    names = {run.row: (*run.row[:3], run.short_method) for run in runs}
    for run, status in zip(runs, found, strict=True):
        word = ELSEWHERE if run.key in elsewhere else status or PENDING
        counts.setdefault(run.row, Counter())[word] += 1
    if as_json:
        print_json([{"row": row, "runs": dict(count)} for row, count in counts.items()])
        return
    shown = [status for status in STYLES if any(count[status] for count in counts.values())]
    listed = table("dataset", "protocol", "profile", "strategy", *shown)
    for row, count in counts.items():
        numbers = (styled((str(count[s]), STYLES[s])) if count[s] else "" for s in shown)
        listed.add_row(*names[row], *numbers)
    stdout().print(listed)
    own = [(run, s) for run, s in zip(runs, found, strict=True) if run.key not in elsewhere]
    print_counts([status for _, status in own], elsewhere=len(elsewhere))
    print_jobs(store, runs, found)
    print_failures([run for run, _ in own], [status for _, status in own], store)


@app.command("cancel")
def cancel_suite(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    out: OutOption = Path("results"),
) -> None:
    """End the jobs of a suite that run on a cluster or wait in its queue.

    A running job saves its current step first, so 'nasbench-ecg suite run' continues it.
    """
    from nasbench_ecg.cli.executors import EnginesOfJobs
    from nasbench_ecg.errors import ExecutorError
    from nasbench_ecg.suite.submitted import forget, remember, submitted_jobs
    from nasbench_ecg.text import counted

    suite, runs = _planned(name, profile, seeds, device)
    store = _store(out, suite)
    jobs = submitted_jobs(store)
    chosen = [jobs.pop(run.key) for run in runs if run.key in jobs]
    engines, problems = EnginesOfJobs(), dict[str, ExecutorError]()
    for job in chosen:
        remember(store, replace(job, canceled=True))  # a process that waits does not retry it
        try:
            engines.of(job).executor.cancel(job.handle)
        except ExecutorError as error:
            problems[job.number] = error
        else:
            forget(store, job.run_key)
    told = len(chosen) - len(problems)
    stderr().print(
        f"{counted(told, 'job')} told to end; one that runs saves its current step first."
        if told
        else "No job was told to end."
    )
    if jobs:
        stderr().print(
            f"{counted(len(jobs), 'job')} of other runs of this suite stay: give the --device, "
            "--profile and --seeds with which they were submitted."
        )
    if problems:
        first = next(iter(problems.values()))
        raise ExecutorError(
            f"{counted(len(problems), 'job')} could not be ended ({', '.join(problems)}): "
            f"{first.what}",
            fix="Give the same command again when the queue answers.",
        )


@app.command("run")
def run_suite(
    name: NameArgument,
    profile: ProfileOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    data: DataOption = None,
    out: OutOption = Path("results"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also repeat the runs that failed.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Execute N runs at the same time, here."),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="In each run, train N candidates of a search at the same time."
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Use these GPUs, with one run at a time on each."),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(min=0, metavar="HOURS", help="End a run that takes longer than HOURS."),
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Save the state of a run every S seconds.")
    ] = 30.0,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Execute only the runs I, I + N, I + 2N, ... of the plan."
        ),
    ] = None,
    executor: ExecutorOption = "local",
    assignments: ExecutorSettings = None,
) -> None:
    """Execute the pending runs of a suite.

    Each run has its own process. Stop the suite at any time: the same command continues it. Several
    processes can execute one suite: a run is executed once.
    """
    from nasbench_ecg.cli.execution import (
        copy_results_of_other_suites,
        execute_with_progress,
        interrupt_on_sigterm,
    )
    from nasbench_ecg.cli.executors import LOCAL, engine_of
    from nasbench_ecg.cli.parsing import parse_shard
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.suite.runner import pending_runs, shard_of, statuses
    from nasbench_ecg.suite.submitted import submitted_jobs

    suite, runs = _planned(name, profile, seeds, device)
    if shard is not None:
        runs = shard_of(runs, *parse_shard(shard))
    store = _store(out, suite)
    slots = _gpus(gpus, device)
    given: dict[str, object] = {} if workers is None else {"workers": workers}
    if slots:
        given |= {"gpus": slots, "workers": max(workers or 1, len(slots))}
    engine = engine_of(executor, assignments, given)
    hours = suite.content.time_limit_hours if time_limit is None else time_limit
    interrupt_on_sigterm()
    store.check_writable()
    copy_results_of_other_suites(runs, store)
    pending = pending_runs(runs, store, retry_failed=retry_failed)
    print_pending(suite, pending, runs)
    selecting: Options = {"--profile": profile, "--seeds": seeds, "--out": out}
    if device != "auto":
        selecting["--device"] = device
    again = RepeatedCommand(
        name,
        selecting,
        {
            "--data": data,
            "--shard": shard,
            "--time-limit": time_limit,
            "--parallel": parallel,
            "--workers": workers,
            "--gpus": gpus,
            "--checkpoint-seconds": None if checkpoint_seconds == 30 else checkpoint_seconds,
            "--executor": None if executor == LOCAL else executor,
        },
        assignments or [],
        retry_failed=retry_failed,
    )
    try:
        execute_with_progress(
            pending, store, engine, data=data, checkpoint_seconds=checkpoint_seconds,
            parallel=parallel, time_limit=None if hours is None else 3600 * hours,
        )  # fmt: skip
    except (KeyboardInterrupt, NasbenchError):
        if submitted_jobs(store).keys() & {run.key for run in pending}:
            print_how_to_come_back(again)
        raise
    found = statuses(runs, store)
    print_counts(found)
    print_failures(runs, found, store)
    print_next_commands(suite, again, found)
    if any(status != "ok" for status in found):
        raise typer.Exit(1)


def _planned(
    name: str, profile: str | None, seeds: str | None, device: str
) -> tuple[Suite, list[PlannedRun]]:
    """Return a suite and its runs; warn of the rules of a fair comparison that it breaks.

    Raises:
        OptionError: The suite says ``published = true`` and breaks such a rule.
    """
    from nasbench_ecg.cli.parsing import parse_seeds
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.suite.plan import broken_rules, plan, recipes_in_words
    from nasbench_ecg.suite.spec import load_suite

    suite = load_suite(name)
    chosen = None if seeds is None else parse_seeds(seeds)
    runs = plan(suite, load_registry(), profile=profile, seeds=chosen, device=device)
    broken = broken_rules(runs, published=suite.content.published)
    if broken and suite.content.published and chosen is None:
        raise OptionError(
            f"published = true, but the suite breaks a rule: {broken[0]}",
            where=suite.path,
            fix="Fix the suite, or set published = false.",
        )
    for sentence in broken:
        stderr().print(f"Note: {sentence}", style="yellow")
    for sentence in recipes_in_words(runs):
        stderr().print(sentence)
    return suite, runs


def _gpus(text: str | None, device: str) -> list[str]:
    """Return the GPUs that ``--gpus`` lists.

    Raises:
        OptionError: The runs use the CPU.
    """
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.run.configure import resolve_device

    named = [gpu.strip() for gpu in (text or "").split(",") if gpu.strip()]
    if named and resolve_device(device) != "cuda":
        raise OptionError(
            "--gpus needs a CUDA GPU, but these runs use the CPU.",
            fix="Leave out --gpus, or check that PyTorch finds the GPU.",
        )
    return named


def _store(out: Path, suite: Suite) -> RecordStore:
    from nasbench_ecg.run.store import RecordStore

    return RecordStore(out, suite.name)
