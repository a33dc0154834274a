"""One run, from records to a run record.

    records → beats → split → task → search → architecture → model → evaluation → run record

:func:`prepare_run` does the part up to the task, :func:`execute` all that follows. Each arrow is
one call with one typed value.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np
import torch

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Builder,
    Dataset,
    Evaluation,
    Evaluator,
    SearchResult,
    SearchSpace,
    Strategy,
    Task,
)
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import LoadedBeats, load_beats
from nasbench_ecg.data.code import core_digest, package_digest
from nasbench_ecg.data.fitting import fitted
from nasbench_ecg.data.folds import Index
from nasbench_ecg.data.preparation import RecordsOptions
from nasbench_ecg.data.protocols import check_one_split, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import (
    DivergedError,
    NasbenchError,
    OptionError,
    PluginError,
    RecordError,
)
from nasbench_ecg.executors import CallsFunctions
from nasbench_ecg.io import jsonable
from nasbench_ecg.plugin.specs import EvaluatorSpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.calls import ComponentCalls, describe
from nasbench_ecg.run.config import ResolvedComponent, RunConfig
from nasbench_ecg.run.contexts import CandidateWorkers, FinalTestContext, RunSearchContext
from nasbench_ecg.run.cross_validation import n_folds
from nasbench_ecg.run.evaluations import check_converged, check_evaluation, check_unchanged
from nasbench_ecg.run.locks import Holder
from nasbench_ecg.run.parallel import RemoteWorkers, Workers
from nasbench_ecg.run.record import RunRecord, Status
from nasbench_ecg.run.recording import (
    confusion_by_record,
    inputs_of,
    new_record,
    record_scores,
    with_data,
)
from nasbench_ecg.run.resume import ResumeFolder, StageState
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.run.warm import CandidateCheckpoints
from nasbench_ecg.shutdown import saving, stop_if_requested
from nasbench_ecg.training.costs import measure_costs
from nasbench_ecg.training.memory import freeze_garbage_collection, keep_freed_memory
from nasbench_ecg.training.seeding import seeded


def execute(
    prepared: PreparedRun, store: RecordStore, *, checkpoint_seconds: float = 30.0
) -> RunRecord:
    """Search an architecture, train it, score it once on the test part, and store the run record.

    A run that fails or is interrupted leaves a record that says so. Executed again, it continues
    from its last checkpoint and gives the result of an uninterrupted run. If another process
    executes the same run, this one waits for it and returns its record.

    Args:
        prepared: Beats, split and components of the run, from :func:`prepare_run`.
        store: Where the record is written, and the progress of an unfinished run saved.
        checkpoint_seconds: Seconds between checkpoints.

    Returns:
        The stored record.

    Raises:
        StorageError: The results cannot be written.
    """

    def waiting(holder: Holder) -> None:
        prepared.progress.note(f"Another process executes this run: {holder}. Waiting for it.")

    key = prepared.record.run_key
    with store.lock(key).acquire(waiting) as waited:
        if waited and (record := store.read(key)) is not None and record.status == "ok":
            prepared.progress.note("The other process has finished it.")
            return record
        with saving():
            return _execute(prepared, store, checkpoint_seconds)


def _execute(prepared: PreparedRun, store: RecordStore, checkpoint_seconds: float) -> RunRecord:
    """Execute a run that this process has the lock of."""
    config, task, record = prepared.config, prepared.task, prepared.record
    saved = store.resume_folder(record.run_key, checkpoint_seconds)
    if damaged := saved.discard_if_damaged():
        prepared.progress.note(
            f"Saved progress of this run is damaged ({', '.join(damaged)}). "
            "It is discarded: the run starts over."
        )
    code = prepared.code()
    record.provenance["code"] = {"core": core_digest(), **code}
    code = {f"code of the {role}": sha256 for role, sha256 in code.items()}
    if changed := saved.discard_if_changed({**inputs_of(record), **code}):
        prepared.progress.note(
            f"Saved progress of this run was made with different {', '.join(changed)}. "
            "It is discarded: the run starts over."
        )
    ctx = prepared.search_context()
    with _failure_recorded(prepared, ctx, store):
        result = _search(prepared, ctx, saved)  # task → search → architecture
        architecture = result.architecture
        record.architecture = architecture.to_dict()
        record.architecture_hash = architecture.hash
        record.search_details = jsonable(dict(result.details))

        with prepared.calls.of(describe(config.dataset.component), attribute=False):
            test = prepared.test.load()
        evaluation = _evaluate(prepared, architecture, test, saved)  # → model → evaluation
        record_scores(record, evaluation, task)
        if evaluation.confusion is not None and evaluation.predictions is not None:
            record.per_record = confusion_by_record(test, np.asarray(evaluation.predictions))
        with prepared.calls.of(describe(config.builder.component)):
            record.costs = measure_costs(architecture, task, prepared.builder, config.device)
        record.status = "ok"
    store.write(record, _artifacts(architecture, evaluation, test), evaluation.state)
    saved.remove()
    return record  # → run record


def prepare_run(
    config: RunConfig,
    *,
    source: LocalSource,
    progress: Progress,
    suite: str,
    parallel: int = 1,
    fresh: bool = False,
    executor: CallsFunctions | None = None,
) -> PreparedRun:
    """Load and split the beats and create the components: records → beats → split → task.

    Args:
        config: The run.
        source: Folders of records and of cached beats.
        progress: Where progress is shown.
        suite: Name of the suite that the record belongs to.
        parallel: Number of candidates that a search evaluates at the same time.
        fresh: Load the beats from the records, not from the cache.
        executor: Evaluates the candidates of a search in its workers.

    Raises:
        NasbenchError: Records are missing or damaged, or a component cannot be created.
    """
    started = monotonic()
    check_one_split(config.protocol, config.protocol_options)
    keep_freed_memory()
    freeze_garbage_collection()
    calls = ComponentCalls(progress)
    with calls.of(describe(config.dataset.component), attribute=False):
        dataset = config.dataset.create()
        loaded = _load_beats(config.dataset, dataset, source, progress, fresh=fresh)
        beats = loaded.beats
        parts = split(config.protocol, config.protocol_options, beats, dataset)
        beats = fitted(beats, dataset, parts.train)
    if loaded.from_cache:
        progress.note(f"The beats of {config.dataset.name} come from the cache.")
    task = Task(
        beats.take(parts.train), beats.take(parts.validation), parts.macro_classes, parts.folds
    )
    if (folds := n_folds(task)) > 1:
        progress.note(f"Candidates are scored by cross-validation: {folds} trainings each.")
    excluded = _load_excluded(config.dataset, source)
    record = with_data(new_record(config, suite), loaded, parts, dataset, excluded)
    record.seconds["load"] = round(monotonic() - started, 3)
    record.provenance["beats_from_cache"] = loaded.from_cache
    if parallel > 1:
        record.provenance["parallel"] = parallel
    return PreparedRun(
        config=config,
        task=task,
        test=TestBeats(config.dataset, source, loaded.fingerprint, parts.train, parts.test),
        **_created(config, calls),
        record=record,
        progress=progress,
        parallel=parallel,
        calls=calls,
        executor=executor,
    )


def _load_beats(
    resolved: ResolvedComponent,
    dataset: Dataset,
    source: LocalSource,
    progress: Progress,
    *,
    fresh: bool = False,
) -> LoadedBeats:
    return load_beats(
        name=resolved.name,
        revision=resolved.component.spec.revision,
        version=resolved.component.version,
        options=resolved.options,
        dataset=dataset,
        source=source,
        progress=progress,
        fresh=fresh,
    )


def _load_excluded(resolved: ResolvedComponent, source: LocalSource) -> Beats | None:
    """Return the beats of the records that the option ``exclude`` leaves out.

    None if it leaves out no record, or if they are missing or damaged, which may be why they are
    left out.
    """
    options = resolved.options
    if not isinstance(options, RecordsOptions) or not options.exclude:
        return None
    own = options.model_copy(update={"records": options.exclude, "exclude": None})
    only = replace(resolved, options=own)
    try:
        return _load_beats(only, only.create(), source, Silent()).beats
    except NasbenchError:
        return None


def _created(config: RunConfig, calls: ComponentCalls) -> dict[str, Any]:
    """Return new instances of strategy, space, builder and evaluator."""
    instances = {}
    for role, resolved in config.components().items():
        if role != "dataset":
            with calls.of(describe(resolved.component), attribute=False):
                instances[role] = resolved.create()
    return instances


@dataclass(frozen=True)
class TestBeats:
    """The test part of a split, which is not in memory before it is needed.

    Attributes:
        dataset: The dataset.
        source: Folders of records and of cached beats.
        fingerprint: Fingerprint of the beats that were split.
        train: int64 [n], the training beats among them, for which the dataset prepares the others.
        index: int64 [n], the test beats among them.
    """

    __test__ = False  # not a class of pytest

    dataset: ResolvedComponent
    source: LocalSource
    fingerprint: str
    train: Index
    index: Index

    def load(self) -> Beats:
        """Load the beats of the dataset again, and return those of the test part.

        Raises:
            RecordError: The dataset now has other beats than those that were split.
        """
        dataset = self.dataset.create()
        loaded = _load_beats(self.dataset, dataset, self.source, Silent())
        if loaded.fingerprint != self.fingerprint:
            raise RecordError(
                f"The beats of {self.dataset.name} have changed during the run.",
                where=self.dataset.component.source,
                fix="Leave the records as they are during a run, and run the same command again.",
            )
        return fitted(loaded.beats, dataset, self.train).take(self.index).read_only()


@dataclass
class PreparedRun:
    """A run with loaded and split beats and created components."""

    config: RunConfig
    task: Task
    test: TestBeats
    strategy: Strategy
    space: SearchSpace
    builder: Builder
    evaluator: Evaluator
    record: RunRecord
    progress: Progress
    parallel: int = 1
    calls: ComponentCalls = field(default_factory=ComponentCalls)
    executor: CallsFunctions | None = None

    def search_context(self) -> RunSearchContext:
        """Return a new context for the strategy."""
        return RunSearchContext(
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
            evaluator_name=describe(self.config.evaluator.component),
            calls=self.calls,
        )

    def code(self) -> dict[str, str]:
        """Return the SHA-256 of the code of the components by role; see :func:`package_digest`."""
        components = {
            "strategy": self.strategy,
            "space": self.space,
            "builder": self.builder,
            "evaluator": self.evaluator,
        }
        return {role: package_digest(component) for role, component in components.items()}

    @contextmanager
    def workers(
        self, candidates: CandidateCheckpoints | None = None
    ) -> Iterator[CandidateWorkers | None]:
        """Open the workers that evaluate candidates; yield None if this process does.

        Workers of an executor have no access to the checkpoints of ``candidates``, and train each
        candidate from scratch, with the same result.
        """
        if self.executor is not None:
            remote = RemoteWorkers(
                self.executor,
                task=self.task,
                builder=self.config.builder,
                evaluator=self.config.evaluator,
                device=self.config.device,
                seed=self.config.evaluation_seed,
                calls=self.calls,
            )
            with closing(remote):
                yield remote
            return
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
            calls=self.calls,
            candidates=candidates,
        )
        with closing(workers):
            yield workers

    def with_config(self, config: RunConfig) -> PreparedRun:
        """Return a run on the same beats and split, with the components of another ``config``."""
        return replace(self, config=config, **_created(config, self.calls))


def _search(prepared: PreparedRun, ctx: RunSearchContext, saved: ResumeFolder) -> SearchResult:
    """Search an architecture; continue a stopped search, or return the result of a finished one."""
    record = prepared.record
    if (finished := saved.load_result("search")) is not None:
        ctx.trajectory = finished["trajectory"]
        record.seconds["search"] = finished["seconds"]
        record.epochs = finished.get("epochs", {})
        return SearchResult(Architecture.from_dict(finished["architecture"]), finished["details"])
    ctx.evaluation_log = saved.evaluation_log()
    if n_damaged := ctx.evaluation_log.n_damaged:
        prepared.progress.note(
            f"{n_damaged} saved {'evaluation is' if n_damaged == 1 else 'evaluations are'} damaged "
            "and discarded."
        )
    ctx.candidates = saved.candidates()
    ctx.checkpoint = saved.checkpoint("search", ctx.state, ctx.restore)
    task, strategy = prepared.task, describe(prepared.config.strategy.component)
    before = task.train.fingerprint(), task.validation.fingerprint()
    with (
        prepared.workers(ctx.candidates) as ctx.workers,
        prepared.calls.of(strategy),
        seeded(prepared.config.search_seed),
    ):
        result = prepared.strategy.search(task, prepared.space, prepared.builder, ctx)
    check_unchanged(before, (task.train, task.validation), f"search of the {strategy}")
    _check_result(prepared, result)
    record.seconds["search"] = round(ctx.seconds, 3)
    if ctx.epochs_trained:
        record.epochs = {"trained": ctx.epochs_trained, "reused": ctx.epochs_reused}
    if ctx.candidates.removed:
        record.provenance["checkpoints_removed"] = ctx.candidates.removed
    saved.save_result(
        "search",
        {
            "architecture": result.architecture.to_dict(),
            "details": jsonable(dict(result.details)),
            "trajectory": ctx.trajectory,
            "seconds": record.seconds["search"],
            "epochs": record.epochs,
        },
    )
    stop_if_requested()
    return result


def _check_result(prepared: PreparedRun, result: object) -> None:
    """Check that the strategy returned a SearchResult with an architecture of the search space.

    Raises:
        PluginError: It did not.
    """
    strategy = prepared.config.strategy
    fix = f"Report this to the authors of {strategy.component.distribution}."
    if not isinstance(result, SearchResult):
        raise PluginError(
            f"The strategy {strategy.name!r} returned a {type(result).__name__}, not a "
            "SearchResult.",
            where=strategy.component.source,
            fix=fix,
        )
    try:
        prepared.space.validate(result.architecture)
    except OptionError as error:
        raise PluginError(
            f"The strategy {strategy.name!r} returned an architecture that is not valid in the "
            f"search space {prepared.config.space.name!r}: {error.what}",
            where=error.where or strategy.component.source,
            fix=fix,
        ) from error


def _evaluate(
    prepared: PreparedRun, architecture: Architecture, test: Beats, saved: ResumeFolder
) -> Evaluation:
    """Build the architecture's network, train it from scratch, and score it on the test part."""
    config = prepared.config
    state = StageState()
    ctx = FinalTestContext(
        prepared.task,
        test,
        config.device,
        prepared.progress,
        checkpoint=saved.checkpoint("evaluation", state.state, state.restore),
    )
    before, evaluator = (test.fingerprint(),), describe(config.evaluator.component)
    with prepared.calls.of(evaluator), seeded(config.evaluation_seed):
        evaluation = prepared.evaluator.evaluate(architecture, prepared.task, prepared.builder, ctx)
        check_converged(evaluation)
        check_unchanged(before, (test,), f"evaluation by the {evaluator}")
        evaluation = check_evaluation(
            evaluation, architecture, test, evaluator, prepared.task.macro_classes
        )
        _check_score_metric(prepared, evaluation)
    prepared.record.seconds["evaluation"] = round(state.seconds, 3)
    return evaluation


def _check_score_metric(prepared: PreparedRun, evaluation: Evaluation) -> None:
    """Check that the score is the metric that the evaluator's spec states, if it states one.

    Raises:
        PluginError: It is not.
    """
    component = prepared.config.evaluator.component
    assert isinstance(component.spec, EvaluatorSpec)
    stated = component.spec.score
    if stated is None:
        return
    if float(evaluation.score) != evaluation.metrics.get(stated):
        raise PluginError(
            f"The evaluator {component.spec.name!r} states that its score is the metric "
            f"{stated!r}, but returned another score.",
            where=component.source,
            fix=f"Report this to the authors of {component.distribution}.",
        )


def _artifacts(arch: Architecture, evaluation: Evaluation, test: Beats) -> dict[str, Any]:
    """Return the JSON data of the files stored beside the record, by file name."""
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
def _failure_recorded(
    prepared: PreparedRun, ctx: RunSearchContext, store: RecordStore
) -> Iterator[None]:
    """Complete the record after the block; if the block raises, store it with status and error.

    An option that is refused before the search started leaves no record, and a failure does not
    replace an earlier successful record of the same run.
    """
    record = prepared.record
    try:
        yield
    except BaseException as error:
        started = ctx.evaluations or ctx.trajectory or record.architecture
        if isinstance(error, OptionError) and not started:
            raise
        record.status = _status_of(error)
        record.cause = "diverged" if isinstance(error, DivergedError) else None
        record.error = "".join(traceback.format_exception(error)[-12:])
        _complete(prepared, ctx)
        before = store.read(record.run_key)
        if before is None or before.status != "ok":
            store.write(record)
        raise
    _complete(prepared, ctx)


def _complete(prepared: PreparedRun, ctx: RunSearchContext) -> None:
    record = prepared.record
    if prepared.calls.notes:
        record.provenance["notes"] = list(prepared.calls.notes)
    record.trajectory = ctx.trajectory
    parts = (seconds for name, seconds in record.seconds.items() if name != "total")
    record.seconds["total"] = round(sum(parts), 3)


def _status_of(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "oom"
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):  # torch on CPUs
        return "oom"
    return "failed"
