"""One run, from records to a run record: each step is one call with one typed value."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
from nasbench_ecg.data.cache import LoadedBeats, load_beats
from nasbench_ecg.data.protocols import Split, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.metrics import class_table
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.context import Examination, Search, Trial
from nasbench_ecg.run.costs import costs, peak_memory_mb
from nasbench_ecg.run.files import finite
from nasbench_ecg.run.opening import open_record
from nasbench_ecg.run.record import DatasetRecord, RecordStore, RunRecord, SplitRecord, Status
from nasbench_ecg.run.unfinished import Clock, Unfinished
from nasbench_ecg.specs import StrategySpec
from nasbench_ecg.training.memory import keep_freed_memory
from nasbench_ecg.training.seeding import seeded


@dataclass
class Ready:
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
        )


def prepare(config: RunConfig, *, source: LocalSource, progress: Progress, suite: str) -> Ready:
    """Load and split the beats and make the components: records → Beats → Split → Task.

    Raises:
        NasbenchError: Records are missing or damaged, or a component cannot be made.
    """
    started = monotonic()
    keep_freed_memory()
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
    record = _begin(config, suite, loaded, parts)
    record.seconds["load"] = round(monotonic() - started, 3)
    return Ready(
        config=config,
        task=task,
        test=beats.take(parts.test),
        strategy=config.strategy.create(),
        space=config.space.create(),
        builder=config.builder.create(),
        evaluator=config.evaluator.create(),
        record=record,
        progress=progress,
    )


def execute(ready: Ready, store: RecordStore, *, checkpoint_seconds: float = 30.0) -> RunRecord:
    """Search, evaluate once, and store: Task → Architecture → Evaluation → RunRecord.

    Whatever happens is recorded: a run that fails or is interrupted leaves a record that says so,
    and goes on from its last checkpoint when it is executed again.

    Raises:
        StorageError: The results cannot be written.
    """
    config, record, task = ready.config, ready.record, ready.task
    unfinished = store.unfinished(record.run_key, checkpoint_seconds)
    ctx = ready.search_context()
    with _recorded(record, ctx, store):
        result = _search(ready, ctx, unfinished)
        record.architecture = result.architecture.to_dict()
        record.architecture_hash = result.architecture.hash
        record.search_details = finite(dict(result.details))

        clock = Clock()
        checkpoint = unfinished.checkpoint("evaluation", clock.state, clock.restore)
        examination = Examination(
            task, ready.test, config.device, ready.progress, checkpoint=checkpoint
        )
        with seeded(config.evaluation_seed):
            evaluation = ready.evaluator.evaluate(
                result.architecture, task, ready.builder, examination
            )
        record.seconds["evaluation"] = round(clock.seconds, 3)
        _enter_scores(record, evaluation, task)
        record.costs = _costs(ready, result.architecture)
        record.status = "ok"
    store.write(record, _artifacts(result.architecture, evaluation, ready.test), evaluation.state)
    unfinished.remove()
    return record


def _search(ready: Ready, ctx: Search, unfinished: Unfinished) -> SearchResult:
    """Search, or go on with a search that was stopped, or take the outcome of a finished one."""
    record = ready.record
    if (outcome := unfinished.finished("search")) is not None:
        ctx.trajectory = outcome["trajectory"]
        record.seconds["search"] = outcome["seconds"]
        architecture = Architecture.from_dict(outcome["architecture"])
        return SearchResult(architecture, outcome["details"])
    ctx.ledger = unfinished.ledger()
    ctx.checkpoint = unfinished.checkpoint("search", ctx.state, ctx.restore)
    with seeded(ready.config.search_seed):
        result = ready.strategy.search(ready.task, ready.space, ready.builder, ctx)
    _check_found(ready, result.architecture)
    record.seconds["search"] = round(monotonic() - ctx.started, 3)
    unfinished.finish(
        "search",
        {
            "architecture": result.architecture.to_dict(),
            "details": finite(dict(result.details)),
            "trajectory": ctx.trajectory,
            "seconds": record.seconds["search"],
        },
    )
    return result


def _check_found(ready: Ready, arch: Architecture) -> None:
    try:
        ready.space.validate(arch)
    except OptionError as error:
        chosen = ready.config.strategy
        raise PluginError(
            f"The strategy {chosen.name!r} returned what is no architecture of "
            f"{ready.config.space.name!r}: {error.what}",
            where=error.where,
            fix=f"Tell the authors of {chosen.component.distribution}.",
        ) from error


def under(ready: Ready, config: RunConfig) -> Ready:
    """Return the same beats made ready for another configuration of the same dataset."""
    return replace(
        ready,
        config=config,
        strategy=config.strategy.create(),
        space=config.space.create(),
        builder=config.builder.create(),
        evaluator=config.evaluator.create(),
    )


def estimate(ready: Ready) -> dict[str, float]:
    """Return the seconds that search and evaluation will take here, from a few timed steps.

    A component that offers no estimate is absent.
    """
    seconds = {}
    ctx = ready.search_context()
    ctx.progress = Silent()
    if ask := getattr(ready.strategy, "estimate", None):
        with seeded(0):
            seconds["search"] = float(ask(ready.task, ready.space, ready.builder, ctx))
    if ask := getattr(ready.evaluator, "estimate", None):
        trial = Trial(ready.task, ready.config.device, Silent())
        with seeded(0):
            arch = _typical(ready)
            seconds["evaluation"] = float(ask(arch, ready.task, ready.builder, trial))
    return seconds


def _typical(ready: Ready) -> Architecture:
    """Return a random architecture, or the one of a strategy that searches nothing."""
    spec = ready.config.strategy.component.spec
    if isinstance(spec, StrategySpec) and not spec.searches:
        ctx = ready.search_context()
        return ready.strategy.search(ready.task, ready.space, ready.builder, ctx).architecture
    return ready.space.sample(np.random.default_rng(0))


def _begin(config: RunConfig, suite: str, loaded: LoadedBeats, parts: Split) -> RunRecord:
    beats = loaded.beats
    indices = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return open_record(config, suite).model_copy(
        update={
            "dataset": DatasetRecord(
                fingerprint=loaded.fingerprint,
                records=list(beats.records),
                leads=list(beats.leads),
                fs=beats.fs,
                n_samples=beats.n_samples,
                counts=beats.counts(),
                notes=list(loaded.notes),
            ),
            "split": SplitRecord(
                fingerprint=parts.fingerprint,
                counts={
                    part: dict(
                        zip(
                            beats.classes,
                            np.bincount(beats.labels[index], minlength=beats.n_classes).tolist(),
                            strict=True,
                        )
                    )
                    for part, index in indices.items()
                },
                records={
                    part: [beats.records[i] for i in np.unique(beats.record[index])]
                    for part, index in indices.items()
                },
                notes=list(parts.notes),
            ),
            "classes": list(beats.classes),
            "macro_classes": list(parts.macro_classes),
        }
    )


def _enter_scores(record: RunRecord, evaluation: Evaluation, task: Task) -> None:
    record.metrics = {
        name: float(value) for name, value in evaluation.metrics.items() if math.isfinite(value)
    }
    if evaluation.confusion is not None:
        record.confusion = [[int(n) for n in row] for row in evaluation.confusion]
        record.per_class = class_table(np.asarray(evaluation.confusion), task.train.classes)


def _costs(ready: Ready, arch: Architecture) -> dict[str, float]:
    task, device = ready.task, ready.config.device
    with seeded(0):
        model = ready.builder.build(
            arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
        )
        measured = costs(model, task, device)
    return {**measured, "peak_memory_mb": round(peak_memory_mb(device), 1)}


def _artifacts(arch: Architecture, evaluation: Evaluation, test: Beats) -> dict[str, Any]:
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
