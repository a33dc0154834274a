"""``nasbench-ecg run STRATEGY DATASET``: search, train, test once, and store the record."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.components import complete_dataset, complete_strategy
from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout
from nasbench_ecg.cli.parsing import parse_seeds, refuse_in_vain
from nasbench_ecg.cli.run_settings import print_estimate, print_missing_records, print_settings
from nasbench_ecg.cli.shared_options import DataOption, DeviceOption, OutOption
from nasbench_ecg.cli.show import show_folds, show_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.executors import CallsFunctions
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.config import RunConfig
    from nasbench_ecg.run.locks import Holder
    from nasbench_ecg.run.prepare import PreparedRun
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.request import RunRequest
    from nasbench_ecg.run.store import RecordStore

SUITE = "runs"
"""The suite of runs that are started one by one."""


def run(
    context: typer.Context,
    strategy: Annotated[
        str,
        typer.Argument(
            metavar="STRATEGY",
            help="Search strategy or fixed model ('nasbench-ecg list strategies').",
            autocompletion=complete_strategy,
        ),
    ],
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="Dataset ('nasbench-ecg list datasets').",
            autocompletion=complete_dataset,
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How beats are split: intra-patient, inter-patient, inter-patient-strict or "
            "patient-kfold. Default: that of the dataset.",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Presets of all options, from largest to smallest: paper (as published), "
            "standard, quick, smoke (seconds).",
        ),
    ] = "quick",
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Seed of search and final training. Default: 0."),
    ] = None,
    evaluation_seed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Seed of the final training. Default: that of the search."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="One run for each of these seeds, such as 0,1,2."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Search space. Default: that of the strategy."),
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Builder, which makes networks of architectures. Default: that of the strategy.",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Evaluator, which scores an architecture. Default: that of the strategy.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PART.OPTION=VALUE",
            help="Set an option of the strategy, space, builder, dataset, evaluator, protocol or "
            "executor, such as strategy.epochs=10. Repeatable.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    budget_evaluations: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Evaluate at most N candidates in the search."),
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="S", help="End the search after S seconds, and what it computes then."
        ),
    ] = None,
    parallel: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Train N candidates of a search at the same time."),
    ] = 1,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train the candidates of a search in the workers of this executor, such as dask.",
        ),
    ] = None,
    data: DataOption = None,
    out: OutOption = Path("results"),
    suite: Annotated[
        str, typer.Option(metavar="NAME", help="Subfolder of --out, and suite of the record.")
    ] = SUITE,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Repeat a run that is already done, or start it over.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Make the beats from the records, not from cached beats."),
    ] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Save the state of the run every S seconds.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show all settings, and run nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run records as JSON on stdout.")
    ] = False,
) -> None:
    """Find an architecture, train it and score it on the test set.

    The test set is used once, after the search. The result is stored under --out; a run that is
    already there is not repeated. A run that was stopped continues where it was stopped. The
    protocol patient-kfold makes one run for each fold, and a summary of all.

    \b
    Examples:
      nasbench-ecg run darts synthetic-2lead --profile smoke
      nasbench-ecg run darts mitbih-2lead --protocol inter-patient --seeds 0,1,2
      nasbench-ecg run random mitbih-2lead --set strategy.samples=20
    """  # noqa: D301
    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.front.running import requests_of
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.nodes import check_node
    from nasbench_ecg.run.request import RunRequest
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.shutdown import stop_if_requested
    from nasbench_ecg.suite.spec import check_name

    if dry_run:
        refuse_in_vain(context, ("as_json",), "A dry run makes no record")
    check_node()
    check_name(suite, "--suite")
    overrides = parse_assignments(assignments or [])
    engine = _candidate_executor(executor, overrides.pop("executor", {}))
    registry = load_registry()
    request = RunRequest(
        strategy=strategy,
        dataset=dataset,
        protocol=protocol,
        profile=profile,
        space=space,
        builder=builder,
        evaluator=evaluator,
        overrides=overrides,
        evaluation_seed=evaluation_seed,
        device=device,
        budget=Budget(budget_evaluations, budget_seconds),
    )
    source, store = LocalSource(data), RecordStore(out, suite)
    records: list[RunRecord] = []
    requests = requests_of(request, _seeds(seed, seeds), registry)
    for _, of_seed in groupby(requests, key=lambda one: one.search_seed):
        folds = list(of_seed)
        several = len(folds) > 1
        for one in folds:
            if records:  # a SIGTERM while the last record was written ends the command here
                stop_if_requested()
            record = _run_one(
                registry, one, source, store, rerun=rerun, fresh=fresh, dry_run=dry_run,
                quiet=as_json or several, estimated=one is folds[0],
                checkpoint_seconds=checkpoint_seconds, parallel=parallel, executor=engine,
            )  # fmt: skip
            records += [] if record is None else [record]
        if several and not dry_run and not as_json:
            show_folds(records[-len(folds) :], store.out, stdout())
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])


def _candidate_executor(name: str | None, options: Mapping[str, object]) -> CallsFunctions | None:
    """Return the executor that evaluates the candidates of a search; None for this process.

    Raises:
        NasbenchError: It is unknown or not installed, or only runs whole jobs.
    """
    from nasbench_ecg.cli.executors import executor_of
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.executors import CallsFunctions

    if name is None:
        if options:
            raise OptionError("--set executor.… needs --executor NAME.", fix="Name an executor.")
        return None
    made = executor_of(name, options).executor
    if not isinstance(made, CallsFunctions):
        raise OptionError(
            f"The executor {name!r} runs whole jobs, and no candidates of a search.",
            fix=f"'nasbench-ecg suite run SUITE --executor {name}' uses it; --parallel N trains "
            "N candidates here.",
        )
    return made


def _seeds(seed: int | None, seeds: str | None) -> list[int]:
    from nasbench_ecg.errors import OptionError

    if seed is not None and seeds is not None:
        raise OptionError("--seed and --seeds are both given.", fix="Give one of them.")
    return [seed or 0] if seeds is None else parse_seeds(seeds)


def _run_one(
    registry: Registry,
    request: RunRequest,
    source: LocalSource,
    store: RecordStore,
    *,
    rerun: bool,
    fresh: bool,
    dry_run: bool,
    quiet: bool,
    estimated: bool,
    checkpoint_seconds: float,
    parallel: int,
    executor: CallsFunctions | None,
) -> RunRecord | None:
    """Return the record of a run, made now or before; None after a dry run."""
    from nasbench_ecg.cli.execution import interrupt_on_sigterm
    from nasbench_ecg.front.running import RunListener, make_run
    from nasbench_ecg.run.configure import configure
    from nasbench_ecg.run.locks import waits_for

    class Printer(RunListener):
        def already_done(self, record: RunRecord, config: RunConfig, path: Path) -> None:
            _print_already_done(record, config, path, source)

        def waits(self, holder: Holder) -> None:
            stderr().print(waits_for(holder))

        def starts(self, config: RunConfig, path: Path, *, continues: bool) -> None:
            print_settings(config, store, dry_run=False)
            if continues:
                stderr().print("Continuing the run that was stopped (--rerun starts it over).")

        def prepared(self, request: RunRequest, ready: PreparedRun) -> None:
            # a run of this profile takes no longer than the timing of a few steps
            if store.suite == SUITE and estimated and request.profile != "smoke":
                print_estimate(registry, request, ready)

        def failed(self, path: Path) -> None:
            stderr().print(f"The error is in the run's record: {path}")

    if dry_run:
        config = configure(registry, request)
        before = store.read(config.key())
        if before is not None and before.status == "ok" and not rerun:
            _print_already_done(before, config, store.path(config.key()), source)
        else:
            print_settings(config, store, dry_run=True)
            print_missing_records(config, source)
        return None
    interrupt_on_sigterm()
    try:
        record = make_run(
            request, registry, source, store, progress=RichProgress(), listener=Printer(),
            rerun=rerun, fresh=fresh, checkpoint_seconds=checkpoint_seconds, parallel=parallel,
            executor=executor,
        )  # fmt: skip
    except KeyboardInterrupt:
        stderr().print("The same command continues this run.")
        raise
    if not quiet:
        show_record(record, registry, store.out, stdout())
    return record


def _print_already_done(
    record: RunRecord, config: RunConfig, path: Path, source: LocalSource
) -> None:
    from nasbench_ecg.front.running import has_other_beats

    stderr().print(f"Already done: {path} (--rerun repeats it).")
    if has_other_beats(record, config, source):
        stderr().print(
            f"{config.dataset.name} has changed since this run: --rerun repeats it with the "
            "current beats.",
            style="yellow",
        )
