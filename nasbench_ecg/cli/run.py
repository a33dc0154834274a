"""``nasbench-ecg run STRATEGY DATASET``: search, train, score once, and keep a record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout, table
from nasbench_ecg.cli.kinds import complete_dataset, complete_strategy

if TYPE_CHECKING:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.registry import Registry
    from nasbench_ecg.run.config import RunConfig, Wish
    from nasbench_ecg.run.execute import Ready
    from nasbench_ecg.run.record import RecordStore, RunRecord

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
    from nasbench_ecg.registry import load_registry
    from nasbench_ecg.run.config import Wish
    from nasbench_ecg.run.record import RecordStore
    from nasbench_ecg.run.suite import check_name

    check_name(suite, "--suite")
    registry = load_registry()
    wish = Wish(
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
            registry, replace(wish, search_seed=one), source, store,
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
    wish: Wish,
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
    from nasbench_ecg.run.execute import execute, prepare

    config = configure(registry, wish)
    before = store.read(config.key())
    if before is not None and before.status == "ok" and not rerun:
        stderr().print(f"On record already: {store.path(config.key())} (--rerun runs it again).")
        _tell_of_other_beats(before, config, source)
        if dry_run:
            return None
        if not quiet:
            _show(before, registry, store)
        return before
    _announce(config, store, dry_run=dry_run)
    if dry_run:
        _tell_what_is_missing(config, source)
        return None
    store.check_writable()
    unfinished = store.unfinished(config.key())
    if rerun:
        unfinished.remove()
    elif unfinished.exists():
        stderr().print("Going on where this run was stopped (--rerun starts over).")
    end_on_sigterm()
    with RichProgress() as progress:
        fetch_missing(config, source, progress)
        ready = prepare(
            config, source=source, progress=progress, suite=store.suite, parallel=parallel
        )
        if store.suite == SUITE:
            _announce_duration(registry, wish, ready)
        try:
            record = execute(ready, store, checkpoint_seconds=checkpoint_seconds)
        except BaseException:
            if store.path(config.key()).exists():
                stderr().print(f"The run's record says so: {store.path(config.key())}")
            raise
    if not quiet:
        _show(record, registry, store)
    return record


def _tell_of_other_beats(record: RunRecord, config: RunConfig, source: LocalSource) -> None:
    """Say so if the beats that a record was made with are others today; silent without records."""
    from nasbench_ecg.data.cache import load_beats
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.progress import Silent

    dataset = config.dataset.create()
    if record.dataset is None or any(map(source.missing, dataset.requires())):
        return
    with suppress(NasbenchError):
        now = load_beats(
            name=config.dataset.name,
            revision=config.dataset.component.spec.revision,
            options=config.dataset.options,
            dataset=dataset,
            source=source,
            progress=Silent(),
        )
        if now.fingerprint != record.dataset.fingerprint:
            stderr().print(
                f"The beats of {config.dataset.name} are others now than those of this record: "
                "--rerun runs it on them.",
                style="yellow",
            )


def end_on_sigterm() -> None:
    """Let SIGTERM end a run as Ctrl-C does, so that its record says interrupted."""
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _announce(config: RunConfig, store: RecordStore, *, dry_run: bool) -> None:
    from nasbench_ecg.run.provenance import cpu_name

    machine = cpu_name() if config.device == "cpu" else _gpu_name()
    listed = table("part", "name", f"settings of the profile {config.profile}")
    for role, chosen in config.chosen().items():
        listed.add_row(role, f"[bold]{chosen.name}[/]", _settings(chosen.options))
    listed.add_row("protocol", f"[bold]{config.protocol}[/]", _settings(config.protocol_options))
    if limits := config.budget.limits():
        told = ", ".join(f"{name}={limit:.12g}" for name, limit in limits.items())
        listed.add_row("budget", "", told)
    console = stderr()
    console.print(listed)
    verb = "Would run" if dry_run else "Running"
    console.print(
        f"{verb} with seed {config.search_seed} on {config.device} ({machine}); "
        f"record: {store.path(config.key())}",
        highlight=False,
    )


def _settings(options: object) -> str:
    """Return the options that differ from the published ones, as text."""
    from rich.markup import escape

    from nasbench_ecg.options import Options

    assert isinstance(options, Options)
    changed = []
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if value != field.get_default(call_default_factory=True):
            shown = f"{len(value)} values" if isinstance(value, tuple | dict) else value
            changed.append(f"{name}={shown}")
    return escape(", ".join(changed)) or "[dim]as published[/]"


def _gpu_name() -> str:
    import torch

    return torch.cuda.get_device_name()


def _tell_what_is_missing(config: RunConfig, source: LocalSource) -> None:
    from nasbench_ecg.data.databases import describe_missing

    for requirement in config.dataset.create().requires():
        if missing := source.missing(requirement):
            stderr().print(f"To be fetched first: {describe_missing(requirement, missing)}")


def fetch_missing(config: RunConfig, source: LocalSource, progress: RichProgress) -> None:
    """Fetch the records that are not here, after saying how much; never into a named folder."""
    from nasbench_ecg.data.databases import describe_missing
    from nasbench_ecg.data.download import fetch

    for requirement in config.dataset.create().requires():
        missing = source.missing(requirement)
        if not missing or source.data is not None:
            continue
        if source.missing_elsewhere(requirement):
            source.require(requirement)
        progress.note(f"Fetching {describe_missing(requirement, missing)}")
        fetch(
            requirement.database,
            source.download_folder(requirement.database),
            records=requirement.records,
            extensions=requirement.extensions,
            progress=progress,
        )


def _announce_duration(registry: Registry, wish: Wish, ready: Ready) -> None:
    """Say how long the run takes here, and how long the published settings would."""
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.run.config import configure
    from nasbench_ecg.run.execute import estimate, under

    console = stderr()
    with console.status("Timing a few steps …"):
        here = estimate(ready)
        paper: dict[str, float] = {}
        if wish.profile != "paper":
            with suppress(NasbenchError):  # what the user set may not go with that profile
                published = configure(registry, replace(wish, profile="paper"))
                paper = estimate(under(ready, published))
    if here:
        parts = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in here.items())
        console.print(
            f"About {_duration(sum(here.values()))} from here ({parts})"
            + (f"; --profile paper: about {_duration(sum(paper.values()))}" if paper else "")
            + ".",
            highlight=False,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:.1f} days"


def _show(record: RunRecord, registry: Registry, store: RecordStore) -> None:
    from nasbench_ecg.cli.show import show_record

    show_record(record, registry, store.out, stdout())
