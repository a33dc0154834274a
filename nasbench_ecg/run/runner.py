"""One run, from records to a run record: each step is one call with one typed value."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np
import torch

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Builder,
    Evaluation,
    Evaluator,
    SearchResult,
    SearchSpace,
    Strategy,
    Task,
)
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.protocols import split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.io import jsonable
from nasbench_ecg.metrics import class_table
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.config import ResolvedComponent, RunConfig
from nasbench_ecg.run.contexts import FinalTestContext, Search, ValidationContext
from nasbench_ecg.run.parallel import Workers
from nasbench_ecg.run.record import RunRecord, Status, describe_beats, open_record, stamp
from nasbench_ecg.run.resume import Clock, Unfinished
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.costs import measure_costs
from nasbench_ecg.training.memory import keep_freed_memory, spare_what_is_loaded
from nasbench_ecg.training.seeding import seeded


@dataclass
class PreparedRun:
    """A run whose beats are loaded and split, and whose components are made."""

    config: RunConfig
    task: Task
    test: Beats
    strategy: Strategy
    space: SearchSpace
    builder: Builder
    evaluator: Evaluator
    record: RunRecord
    progress: Progress
    parallel: int = 1

    def search_context(self) -> Search:
        """Return a fresh context for the strategy."""
        return Search(
            task=self.task,
            space=self.space,
            builder=self.builder,
            evaluator=self.evaluator,
            rng=np.random.default_rng(self.config.search_seed),
            evaluation_seed=self.config.evaluation_seed,
            device=self.config.device,
            progress=self.progress,
            budget=self.config.budget,
            parallel=self.parallel,
        )

    @contextmanager
    def workers(self) -> Iterator[Workers | None]:
        """Open the processes that evaluate candidates; None where they are evaluated one by one."""
        if self.parallel == 1:
            yield None
            return
        workers = Workers(
            self.parallel,
            task=self.task,
            builder=self.config.builder,
            evaluator=self.config.evaluator,
            device=self.config.device,
            seed=self.config.evaluation_seed,
        )
        with closing(workers):
            yield workers


def prepare_run(
    config: RunConfig,
    *,
    source: LocalSource,
    progress: Progress,
    suite: str,
    parallel: int = 1,
) -> PreparedRun:
    """Load and split the beats and make the components: records → Beats → Split → Task.

    Args:
        config: The run.
        source: Where records and cache lie.
        progress: Where bars and notes go.
        suite: Name of the suite that the record is of.
        parallel: Candidates of a search that are evaluated at a time.

    Raises:
        NasbenchError: Records are missing or damaged, or a component cannot be made.
    """
    started = monotonic()
    keep_freed_memory()
    spare_what_is_loaded()
    dataset = config.dataset.create()
    loaded = load_beats(
        name=config.dataset.name,
        revision=config.dataset.component.spec.revision,
        options=config.dataset.options,
        dataset=dataset,
        source=source,
        progress=progress,
    )
    beats = loaded.beats
    parts = split(config.protocol, config.protocol_options, beats, dataset)
    task = Task(beats.take(parts.train), beats.take(parts.validation), parts.macro_classes)
    record = describe_beats(open_record(config, suite), loaded, parts)
    record.seconds["load"] = round(monotonic() - started, 3)
    if parallel > 1:
        record.provenance["parallel"] = parallel
    return PreparedRun(
        config=config,
        task=task,
        test=beats.take(parts.test),
        strategy=config.strategy.create(),
        space=config.space.create(),
        builder=config.builder.create(),
        evaluator=config.evaluator.create(),
        record=record,
        progress=progress,
        parallel=parallel,
    )


def execute(
    ready: PreparedRun, store: RecordStore, *, checkpoint_seconds: float = 30.0
) -> RunRecord:
    """Search, evaluate once, and store: Task → Architecture → Evaluation → RunRecord.

    Whatever happens is recorded: a run that fails or is interrupted leaves a record that says so,
    and goes on from its last checkpoint when it is executed again.

    Raises:
        StorageError: The results cannot be written.
    """
    config, record, task = ready.config, ready.record, ready.task
    unfinished = store.unfinished(record.run_key, checkpoint_seconds)
    if differing := unfinished.claim(stamp(record)):
        ready.progress.note(
            f"What was kept of this run is of another state of {', '.join(differing)}: it is not "
            "used, and the run starts over."
        )
    ctx = ready.search_context()
    with _recorded(record, ctx, store):
        result = _search(ready, ctx, unfinished)
        record.architecture = result.architecture.to_dict()
        record.architecture_hash = result.architecture.hash
        record.search_details = jsonable(dict(result.details))

        clock = Clock()
        checkpoint = unfinished.checkpoint("evaluation", clock.state, clock.restore)
        examination = FinalTestContext(
            task, ready.test, config.device, ready.progress, checkpoint=checkpoint
        )
        with seeded(config.evaluation_seed), blamed(config.evaluator):
            evaluation = ready.evaluator.evaluate(
                result.architecture, task, ready.builder, examination
            )
        record.seconds["evaluation"] = round(clock.seconds, 3)
        enter_scores(record, evaluation, task)
        record.costs = measure_costs(result.architecture, task, ready.builder, config.device)
        record.status = "ok"
    store.write(record, artifacts(result.architecture, evaluation, ready.test), evaluation.state)
    unfinished.remove()
    return record


def _search(ready: PreparedRun, ctx: Search, unfinished: Unfinished) -> SearchResult:
    """Search, or go on with a search that was stopped, or take the outcome of a finished one."""
    record = ready.record
    if (outcome := unfinished.finished("search")) is not None:
        ctx.trajectory = outcome["trajectory"]
        record.seconds["search"] = outcome["seconds"]
        architecture = Architecture.from_dict(outcome["architecture"])
        return SearchResult(architecture, outcome["details"])
    ctx.ledger = unfinished.ledger()
    ctx.checkpoint = unfinished.checkpoint("search", ctx.state, ctx.restore)
    chosen = ready.config.strategy
    with seeded(ready.config.search_seed), ready.workers() as ctx.workers, blamed(chosen):
        result = ready.strategy.search(ready.task, ready.space, ready.builder, ctx)
    check_result(chosen, result)
    _check_found(ready, result.architecture)
    record.seconds["search"] = round(ctx.seconds, 3)
    unfinished.finish(
        "search",
        {
            "architecture": result.architecture.to_dict(),
            "details": jsonable(dict(result.details)),
            "trajectory": ctx.trajectory,
            "seconds": record.seconds["search"],
        },
    )
    return result


def _check_found(ready: PreparedRun, arch: Architecture) -> None:
    try:
        ready.space.validate(arch)
    except OptionError as error:
        chosen = ready.config.strategy
        raise PluginError(
            f"The strategy {chosen.name!r} returned what is no architecture of "
            f"{ready.config.space.name!r}: {error.what}",
            where=error.where or chosen.component.source,
            fix=f"Tell the authors of {chosen.component.distribution}.",
        ) from error


def under(ready: PreparedRun, config: RunConfig) -> PreparedRun:
    """Return the same beats made ready for another configuration of the same dataset."""
    return replace(
        ready,
        config=config,
        strategy=config.strategy.create(),
        space=config.space.create(),
        builder=config.builder.create(),
        evaluator=config.evaluator.create(),
    )


def estimate(ready: PreparedRun) -> dict[str, float]:
    """Return the seconds that search and evaluation will take here, from a few timed steps.

    A component that offers no estimate is absent.
    """
    seconds = {}
    ctx = ready.search_context()
    ctx.progress = Silent()
    if ask := getattr(ready.strategy, "estimate", None):
        with seeded(0):
            told = ask(ready.task, ready.space, ready.builder, ctx)
        if told is not None:
            seconds["search"] = float(told)
    if ask := getattr(ready.evaluator, "estimate", None):
        trial = ValidationContext(ready.task, ready.config.device, Silent())
        with seeded(0):
            arch = _typical(ready)
            seconds["evaluation"] = float(ask(arch, ready.task, ready.builder, trial))
    return seconds


def _typical(ready: PreparedRun) -> Architecture:
    """Return a random architecture, or the one of a strategy that searches nothing."""
    spec = ready.config.strategy.component.spec
    if isinstance(spec, StrategySpec) and not spec.searches:
        ctx = ready.search_context()
        return ready.strategy.search(ready.task, ready.space, ready.builder, ctx).architecture
    return ready.space.sample(np.random.default_rng(0))


@contextmanager
def _recorded(record: RunRecord, ctx: Search, store: RecordStore) -> Iterator[None]:
    """Store the record with its status if the block is left by an exception.

    An option that is refused before anything was done leaves none, and a result that is on record
    already stays.
    """
    try:
        yield
    except BaseException as error:
        started = ctx.evaluations or ctx.trajectory or record.architecture
        if isinstance(error, OptionError) and not started:
            raise
        record.status = _status_of(error)
        record.error = "".join(traceback.format_exception(error)[-12:])
        _close(record, ctx)
        before = store.read(record.run_key)
        if before is None or before.status != "ok":
            store.write(record)
        raise
    _close(record, ctx)


def _close(record: RunRecord, ctx: Search) -> None:
    record.trajectory = ctx.trajectory
    record.seconds["total"] = round(
        sum(seconds for name, seconds in record.seconds.items() if name != "total"), 3
    )


def _status_of(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "oom"
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):  # torch on CPUs
        return "oom"
    return "failed"


@contextmanager
def blamed(chosen: ResolvedComponent) -> Iterator[None]:
    """Note on every error that leaves the block, ``SystemExit`` included, whose code it was.

    The type of the error stays, which decides what becomes of the run.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        error.add_note(f"Raised by the {_called(chosen)}.")
        raise


def check_result(chosen: ResolvedComponent, result: object) -> None:
    """Check that a search returned what the contract asks for.

    Raises:
        PluginError: It is no SearchResult.
    """
    if not isinstance(result, SearchResult):
        raise PluginError(
            f"The strategy {chosen.name!r} returned a {type(result).__name__} where a "
            "SearchResult is due.",
            where=chosen.component.source,
            fix=f"Tell the authors of {chosen.component.distribution}.",
        )


def _called(chosen: ResolvedComponent) -> str:
    component = chosen.component
    return f"{component.kind.replace('-', ' ')} {component.name!r}, {component.source}"


def enter_scores(record: RunRecord, evaluation: Evaluation, task: Task) -> None:
    """Put the scores of the final evaluation into ``record``; a figure that is none is left out."""
    record.metrics = {
        name: float(value) for name, value in evaluation.metrics.items() if math.isfinite(value)
    }
    if evaluation.confusion is not None:
        record.confusion = [[int(n) for n in row] for row in evaluation.confusion]
        record.per_class = class_table(np.asarray(evaluation.confusion), task.train.classes)


def artifacts(arch: Architecture, evaluation: Evaluation, test: Beats) -> dict[str, Any]:
    """Return the JSON data of the files beside a record, by name."""
    files: dict[str, Any] = {"architecture.json": arch.to_dict()}
    if evaluation.curves:
        files["curves.json"] = {
            name: [float(value) for value in values] for name, values in evaluation.curves.items()
        }
    if evaluation.predictions is not None:
        files["predictions.json"] = {
            "classes": list(test.classes),
            "record": [test.records[i] for i in test.record],
            "sample": test.sample.tolist(),
            "truth": test.labels.tolist(),
            "predicted": [int(label) for label in evaluation.predictions],
        }
    return files
