"""``nasbench-ecg run STRATEGY DATASET``: search, train, score once, and keep a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.beforehand import (
    announce,
    announce_duration,
    fetch_missing,
    tell_of_other_beats,
    tell_what_is_missing,
)
from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout
from nasbench_ecg.cli.kinds import complete_dataset, complete_strategy

if TYPE_CHECKING:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.config import RunRequest
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.store import RecordStore

SUITE = "runs"


def run(
    strategy: Annotated[
        str,
        typer.Argument(
            metavar="STRATEGY", help="Search strategy.", autocompletion=complete_strategy
        ),
    ],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Dataset.", autocompletion=complete_dataset)
    ],
    protocol: Annotated[
        str | None, typer.Option(help="How beats are split: paper, inter-patient, ...")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="paper: as published; cpu, quick, smoke: less and less.")
    ] = "quick",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of search and training; 0 if not given.")
    ] = None,
    evaluation_seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the final training, if another.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Several seeds, one run each.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="Search space.")] = None,
    builder: Annotated[str | None, typer.Option(help="Builder of networks.")] = None,
    evaluator: Annotated[str | None, typer.Option(help="Evaluator.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="K=V", help="An option, as in strategy.epochs=10; may be repeated."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    budget_evaluations: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most candidates that a search evaluates."),
    ] = None,
    budget_seconds: Annotated[
        float | None, typer.Option(min=1, metavar="S", help="Most seconds that a search takes.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, metavar="N", help="Candidates of a search trained at a time.")
    ] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
    suite: Annotated[
        str, typer.Option(metavar="NAME", help="Folder within, and suite of the record.")
    ] = SUITE,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run again what is on record already.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was stopped (done in any case)."),
    ] = True,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds between checkpoints.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the records as JSON on stdout.")
    ] = False,
) -> None:
    """Search an architecture, train it from scratch, and score it once on the test part."""
    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.config import RunRequest
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.spec import check_name

    check_name(suite, "--suite")
    registry = load_registry()
    request = RunRequest(
        strategy=strategy,
        dataset=dataset,
        protocol=protocol,
        profile=profile,
        space=space,
        builder=builder,
        evaluator=evaluator,
        overrides=parse_assignments(assignments or []),
        evaluation_seed=evaluation_seed,
        device=device,
        budget=Budget(budget_evaluations, budget_seconds),
    )
    source, store = LocalSource(data), RecordStore(out, suite)
    records = []
    for one in _seeds(seed, seeds):
        record = _run_one(
            registry, replace(request, search_seed=one), source, store,
            rerun=rerun, dry_run=dry_run, quiet=as_json, checkpoint_seconds=checkpoint_seconds,
            parallel=parallel,
        )  # fmt: skip
        if record is not None:
            records.append(record)
    if as_json and not dry_run:
        print_json([record.model_dump(mode="json") for record in records])


def _seeds(seed: int | None, seeds: str | None) -> list[int]:
    from nasbench_ecg.errors import OptionError

    if seed is not None and seeds is not None:
        raise OptionError("--seed and --seeds are both given.", fix="Give one of them.")
    return [seed or 0] if seeds is None else parse_seeds(seeds)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that ``--seeds`` lists.

    Raises:
        OptionError: They are not different whole numbers from 0.
    """
    from nasbench_ecg.errors import OptionError

    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        chosen = [-1]
    if min(chosen) < 0 or len(set(chosen)) != len(chosen):
        raise OptionError(
            f"--seeds {text!r} is not a list of different whole numbers from 0.",
            fix="For example: --seeds 0,1,2",
        )
    return chosen


def _run_one(
    registry: Registry,
    request: RunRequest,
    source: LocalSource,
    store: RecordStore,
    *,
    rerun: bool,
    dry_run: bool,
    quiet: bool,
    checkpoint_seconds: float,
    parallel: int,
) -> RunRecord | None:
    from nasbench_ecg.run.config import configure
    from nasbench_ecg.run.runner import execute, prepare_run

    config = configure(registry, request)
    before = store.read(config.key())
    if before is not None and before.status == "ok" and not rerun:
        stderr().print(f"On record already: {store.path(config.key())} (--rerun runs it again).")
        tell_of_other_beats(before, config, source)
        if dry_run:
            return None
        if not quiet:
            _show(before, registry, store)
        return before
    announce(config, store, dry_run=dry_run)
    if dry_run:
        tell_what_is_missing(config, source)
        return None
    store.check_writable()
    unfinished = store.resume_folder(config.key())
    if rerun:
        unfinished.remove()
    elif unfinished.exists():
        stderr().print("Going on where this run was stopped (--rerun starts over).")
    end_on_sigterm()
    with RichProgress() as progress:
        fetch_missing(config, source, progress)
        ready = prepare_run(
            config, source=source, progress=progress, suite=store.suite, parallel=parallel
        )
        if store.suite == SUITE:
            announce_duration(registry, request, ready)
        try:
            record = execute(ready, store, checkpoint_seconds=checkpoint_seconds)
        except BaseException:
            if store.path(config.key()).exists():
                stderr().print(f"The run's record says so: {store.path(config.key())}")
            raise
    if not quiet:
        _show(record, registry, store)
    return record


def end_on_sigterm() -> None:
    """Let SIGTERM end a run as Ctrl-C does, so that its record says interrupted."""
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _show(record: RunRecord, registry: Registry, store: RecordStore) -> None:
    from nasbench_ecg.cli.show import show_record

    show_record(record, registry, store.out, stdout())
