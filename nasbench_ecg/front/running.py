"""Make runs: the function behind ``nb.run`` and ``nasbench-ecg run``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_ecg.arguments import (
    folder_of,
    name_of,
    number_from,
    positive_number,
    switch,
    whole_number,
)
from nasbench_ecg.contracts import Budget
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import NasbenchError, OptionError, PluginError
from nasbench_ecg.options import parse_assignments
from nasbench_ecg.plugin import session
from nasbench_ecg.plugin.loading import spec_fault
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.downloads import check_obtainable, fetch_missing
from nasbench_ecg.run.folds import each_fold
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT, DEFAULT_SUITE, RunRequest
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.spec import check_name

if TYPE_CHECKING:
    from nasbench_ecg.executors import CallsFunctions
    from nasbench_ecg.front.results import Runs
    from nasbench_ecg.run.locks import Holder
    from nasbench_ecg.run.prepare import PreparedRun

_MOST_SEEDS = 10_000
"""More seeds than any study has: a number above is a mistake, and would fill the memory."""


def run(
    strategy: str,
    dataset: str,
    *,
    protocol: str | None = None,
    profile: str = "quick",
    seed: int | None = None,
    seeds: int | Sequence[int] | None = None,
    evaluation_seed: int | None = None,
    space: str | None = None,
    builder: str | None = None,
    evaluator: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "auto",
    budget_evaluations: int | None = None,
    budget_seconds: float | None = None,
    parallel: int = 1,
    data: Path | str | None = None,
    out: Path | str = DEFAULT_OUT,
    suite: str = DEFAULT_SUITE,
    rerun: bool = False,
    fresh: bool = False,
    checkpoint_seconds: float = 30.0,
    progress: Progress | None = None,
) -> Runs:
    """Find an architecture, train it and score it on the test part; return the runs.

    The words are those of ``nasbench-ecg run``. A run that is already stored is not repeated; a
    warning says if its dataset has changed since. One that was stopped continues.

    Args:
        strategy: Search strategy or fixed model.
        dataset: Dataset.
        protocol: How beats are split; None: as the dataset does by default.
        profile: Presets of all options: ``paper``, ``standard``, ``quick`` or ``smoke``.
        seed: Seed of search and final training; None: 0.
        seeds: One run for each of these seeds; a number ``n`` stands for 0 to ``n - 1``.
        evaluation_seed: Seed of the final training; None: that of the search.
        space: Search space; None: that of the strategy.
        builder: Builder; None: that of the strategy.
        evaluator: Evaluator; None: that of the strategy.
        set: Options by ``part.option``, for example ``{"strategy.epochs": 10}``.
        device: ``auto``, ``cpu`` or ``cuda``.
        budget_evaluations: Most candidates that the search may evaluate.
        budget_seconds: Seconds after which the search ends.
        parallel: Candidates of a search that are trained at the same time.
        data: Folder of databases; None: ``NASBENCH_ECG_DATA``, or the cache.
        out: Folder of results.
        suite: Subfolder of ``out``, and suite of the records.
        rerun: Repeat runs that are stored, and start stopped ones over.
        fresh: Make the beats from the records, not from cached beats.
        checkpoint_seconds: Seconds between saved states of a run.
        progress: Where progress is shown; None: bars in a notebook, elsewhere notes to the logger
            ``nasbench_ecg``.

    Raises:
        NasbenchError: An argument is not allowed, records are missing, or a run failed. The record
            of a failed run is stored.
    """
    from nasbench_ecg.front.progress import progress_of
    from nasbench_ecg.front.results import Runs

    parallel = whole_number("parallel", parallel, least=1)
    checkpoint_seconds = number_from("checkpoint_seconds", checkpoint_seconds, least=0)
    rerun, fresh = switch("rerun", rerun), switch("fresh", fresh)
    registry = load_registry()
    requests = requests_of(
        RunRequest(
            strategy=strategy,
            dataset=dataset,
            protocol=protocol,
            profile=profile,
            space=space,
            builder=builder,
            evaluator=evaluator,
            overrides=overrides_of(set or {}),
            evaluation_seed=_unless_none(_from_0, "evaluation_seed", evaluation_seed),
            device=device,
            budget=Budget(
                _unless_none(_from_0, "budget_evaluations", budget_evaluations),
                _unless_none(positive_number, "budget_seconds", budget_seconds),
            ),
        ),
        _seeds(seed, seeds),
        registry,
    )
    check_name(name_of("suite", suite), "suite")
    store = RecordStore(folder_of("out", out), suite)
    shown = progress_of(progress)
    source = LocalSource(_unless_none(folder_of, "data", data))
    records = [
        make_run(
            one,
            registry,
            source,
            store,
            progress=shown,
            listener=_InPython(source, shown),
            rerun=rerun,
            fresh=fresh,
            checkpoint_seconds=checkpoint_seconds,
            parallel=parallel,
        )
        for one in requests
    ]
    return Runs.of(records, Path(out))


def register(spec: StrategySpec) -> None:
    """Make a strategy known until Python ends, without a package: for a class in a notebook.

    A strategy that is registered again replaces the earlier one of its name. If the code of its
    class has changed, ``nb.run`` makes its runs anew; after a change of other code that the class
    calls, give ``rerun=True``. A registered strategy exists in this process only: the command line
    does not know it, and its runs cannot be submitted. For both, put it into a package.

    Args:
        spec: Name, class and options of the strategy, as a plugin declares them.

    Raises:
        PluginError: The spec is not valid, names a space, builder or evaluator that is not
            installed, or has the name of an installed strategy.
    """
    if fault := spec_fault(spec, StrategySpec):
        raise PluginError(f"This strategy cannot be registered: it is {fault}.")
    registry = load_registry()
    for space in (spec.space, *(spec.spaces or ())):
        registry.get("search-space", space)
    if spec.builder is not None:
        registry.get("builder", spec.builder)
    if spec.evaluator is not None:
        registry.get("evaluator", spec.evaluator)
    for component in registry.components("strategy"):
        if component.name == spec.name and component.distribution != session.SESSION_DISTRIBUTION:
            raise PluginError(
                f"There is already a strategy {spec.name!r}.",
                where=component.source,
                fix="Give yours another name.",
            )
    session.add(spec)


def requests_of(request: RunRequest, seeds: Sequence[int], registry: Registry) -> list[RunRequest]:
    """Return one request for each seed and fold, after a check that each of them can be run.

    Raises:
        NasbenchError: A component or an option is not allowed.
    """
    requests = [
        one for seed in seeds for one in each_fold(registry, replace(request, search_seed=seed))
    ]
    for one in requests:
        configure(registry, one)
    return requests


class RunListener:
    """Is told what happens to a run; each method does nothing here."""

    def already_done(self, record: RunRecord, config: RunConfig, path: Path) -> None:
        """The run is stored and is not repeated."""

    def waits(self, holder: Holder) -> None:
        """Another process executes the run, and this one waits for it."""

    def starts(self, config: RunConfig, path: Path, *, continues: bool) -> None:
        """The run starts, or continues one that was stopped."""

    def prepared(self, request: RunRequest, ready: PreparedRun) -> None:
        """Beats and components are loaded."""

    def failed(self, path: Path) -> None:
        """The run failed; its record is at ``path``."""


class _InPython(RunListener):
    """Warns of other beats, and notes that a run waits."""

    def __init__(self, source: LocalSource, progress: Progress) -> None:
        self.source = source
        self.progress = progress

    def waits(self, holder: Holder) -> None:
        from nasbench_ecg.run.locks import waits_for

        self.progress.note(waits_for(holder))

    def already_done(self, record: RunRecord, config: RunConfig, path: Path) -> None:
        if has_other_beats(record, config, self.source):
            warnings.warn(
                f"{config.dataset.name} has changed since the run {record.run_key}: rerun=True "
                "repeats it with the current beats.",
                stacklevel=2,
            )


def has_other_beats(record: RunRecord, config: RunConfig, source: LocalSource) -> bool:
    """Return whether the dataset gives other beats now than when a record was made.

    If that cannot be told, as without the records, it is not said.
    """
    from nasbench_ecg.run.loading import beats_of

    dataset = config.dataset.create()
    if record.dataset is None or any(map(source.missing, requirements_of(dataset))):
        return False
    with suppress(NasbenchError):
        now = beats_of(config.dataset.component, config.dataset.options, dataset, source, Silent())
        return now.fingerprint != record.dataset.fingerprint
    return False


def make_run(
    request: RunRequest,
    registry: Registry,
    source: LocalSource,
    store: RecordStore,
    *,
    progress: Progress | AbstractContextManager[Progress],
    listener: RunListener | None = None,
    rerun: bool = False,
    fresh: bool = False,
    checkpoint_seconds: float = 30.0,
    parallel: int = 1,
    executor: CallsFunctions | None = None,
) -> RunRecord:
    """Return the record of a run, made now or before.

    Args:
        request: The run.
        registry: The available components.
        source: Folders of records and of cached beats.
        store: Where the record is stored.
        progress: Shows progress; a context manager is entered while the run lasts.
        listener: Is told what happens.
        rerun: Repeat a run that is stored, and start a stopped one over.
        fresh: Make the beats from the records, not from cached beats.
        checkpoint_seconds: Seconds between saved states.
        parallel: Candidates that are trained at the same time.
        executor: Trains the candidates in its workers.

    Raises:
        NasbenchError: Records are missing, or the run failed.
    """
    from nasbench_ecg.run.prepare import prepare_run
    from nasbench_ecg.run.runner import execute

    listener = listener or RunListener()
    config = configure(registry, request)
    path = store.path(config.key())
    before = store.read(config.key())
    if before is not None and before.status == "ok" and not rerun:
        listener.already_done(before, config, path)
        return before
    check_obtainable([config.dataset.create()], source)
    store.check_writable()
    with (
        store.lock(config.key()).acquire(listener.waits) as waited,
        entered(progress) as shown,
    ):
        # Another process may have finished the run since it was looked for.
        before = store.read(config.key()) if waited or not rerun else None
        if before is not None and before.status == "ok":
            listener.already_done(before, config, path)
            return before
        unfinished = store.resume_folder(config.key())
        if rerun:
            unfinished.remove()
        listener.starts(config, path, continues=unfinished.exists())
        fetch_missing([config], source, shown)
        ready = prepare_run(
            config,
            source=source,
            progress=shown,
            suite=store.suite,
            parallel=parallel,
            fresh=fresh,
            executor=executor,
        )
        listener.prepared(request, ready)
        try:
            return execute(ready, store, checkpoint_seconds=checkpoint_seconds)
        except BaseException as error:
            if path.is_file() and not isinstance(error, KeyboardInterrupt):
                listener.failed(path)
            raise


def entered(
    progress: Progress | AbstractContextManager[Progress],
) -> AbstractContextManager[Progress]:
    """Return a context manager that shows progress while it lasts."""
    return progress if isinstance(progress, AbstractContextManager) else nullcontext(progress)


def overrides_of(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return options by role, as :func:`nasbench_ecg.options.parse_assignments` does for text.

    Raises:
        OptionError: They are no dictionary, or a name is not of the form ``component.option``.
    """
    if not isinstance(options, Mapping):
        raise OptionError(
            f"set={options!r} is not a dictionary.", fix='For example: set={"strategy.epochs": 10}'
        )
    found: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        if "." not in str(name):
            raise OptionError(
                f"set={{{name!r}: {value!r}}} names no component.",
                fix='For example: set={"strategy.epochs": 10}',
            )
        for role in parse_assignments([f"{name}="]):  # checks the name
            found.setdefault(role, {})[name.partition(".")[2].strip()] = value
    return found


_from_0 = partial(whole_number, least=0)


def _unless_none(read: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    return None if value is None else read(name, value)


def _seeds(seed: int | None, seeds: int | Sequence[int] | None) -> list[int]:
    if seed is not None and seeds is not None:
        raise OptionError("seed and seeds are both given.", fix="Give one of them.")
    if seeds is None:
        return [0 if seed is None else _from_0("seed", seed)]
    text = isinstance(seeds, str)
    given = seeds if isinstance(seeds, Iterable) else range(_from_0("seeds", seeds))
    chosen = [] if text else [_from_0("seeds", one) for one in islice(given, _MOST_SEEDS + 1)]
    if len(chosen) > _MOST_SEEDS:
        raise OptionError(f"seeds={seeds!r} are more than {_MOST_SEEDS:,}.", fix="Give fewer.")
    if not chosen or len({*chosen}) != len(chosen):
        raise OptionError(
            f"seeds={seeds!r} is not a number from 1 or a list of different numbers from 0.",
            fix="For example: seeds=3, or seeds=[0, 1, 2]",
        )
    return chosen
