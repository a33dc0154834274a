"""One run, from records to a run record.

    records → beats → split → task → search → architecture → model → evaluation → run record

:func:`nasbench_ecg.run.prepare.prepare_run` does the part up to the task, :func:`execute` the rest.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, SearchResult
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.code import core_digest
from nasbench_ecg.errors import (
    DivergedError,
    OptionError,
    PluginError,
    StorageError,
    is_out_of_memory,
)
from nasbench_ecg.io import jsonable
from nasbench_ecg.plugin.specs import EvaluatorSpec
from nasbench_ecg.run.calls import describe
from nasbench_ecg.run.contexts import FinalTestContext, RunSearchContext
from nasbench_ecg.run.evaluations import (
    check_converged,
    check_evaluation,
    check_not_modified,
    check_unchanged,
    details_fault,
    fault_of_stated_score,
    fault_without_test_part,
)
from nasbench_ecg.run.locks import Holder, waits_for
from nasbench_ecg.run.networks import check_network, check_weights, faults_of_networks
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.run.proposals import check_valid
from nasbench_ecg.run.record import RunRecord, Status
from nasbench_ecg.run.record_files import fault_of_record
from nasbench_ecg.run.recording import confusion_by_record, inputs_of, record_scores
from nasbench_ecg.run.resume import ResumeFolder, StageState
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.shutdown import saving, stop_if_requested
from nasbench_ecg.training.costs import measure_costs
from nasbench_ecg.training.seeding import seeded

_OVERRUN = 1.1  # seconds of a search in those of its budget, from which a note says it


def execute(
    prepared: PreparedRun, store: RecordStore, *, checkpoint_seconds: float = 30.0
) -> RunRecord:
    """Search an architecture, train it, score it once on the test part, and store the run record.

    A run that fails or is interrupted leaves a record that says so. Executed again, it continues
    from its last checkpoint and gives the result of an uninterrupted run. If another process
    executes the same run, this one waits for it and returns its record.

    Args:
        prepared: Beats, split and components of the run, from ``prepare_run``.
        store: Where the record is written, and the progress of an unfinished run saved.
        checkpoint_seconds: Seconds between checkpoints.

    Returns:
        The stored record.

    Raises:
        StorageError: The results cannot be written.
    """

    def waiting(holder: Holder) -> None:
        prepared.progress.note(waits_for(holder))

    key = prepared.record.run_key
    with store.lock(key).acquire(waiting) as waited:
        if waited and (record := store.read(key)) is not None and record.status == "ok":
            prepared.progress.note("The other one has finished it.")
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
        prepared = prepared.after_search()
        architecture = Architecture.from_json(result.architecture.to_json())  # as later commands
        record.architecture = architecture.to_dict()
        record.architecture_hash = architecture.hash
        record.search_details = json.loads(json.dumps(jsonable(dict(result.details))))

        with prepared.calls.of(describe(config.dataset.component), attribute=False):
            test = prepared.test.load()
        evaluation = _evaluate(prepared, architecture, test, saved)  # → model → evaluation
        record_scores(record, evaluation, task)
        if evaluation.confusion is not None and evaluation.predictions is not None:
            record.per_record = confusion_by_record(test, np.asarray(evaluation.predictions))
        with prepared.calls.of(describe(config.builder.component)):
            record.costs = measure_costs(architecture, task, prepared.builder, config.device)
        record.status = "ok"
        _complete(prepared, ctx)
        _check_readable(record)
        later = store.made_later(record.run_key)
        store.write(record, _artifacts(architecture, evaluation, test), evaluation.state)
    if gone := later - store.made_later(record.run_key):
        prepared.progress.note(
            f"The network differs from that of the earlier run, whose {', '.join(sorted(gone))} "
            "are removed."
        )
    saved.remove()
    return record  # → run record


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
    others = {
        describe(prepared.config.space.component): prepared.space,
        describe(prepared.config.builder.component): prepared.builder,
    }
    with (
        prepared.workers(ctx.candidates) as ctx.workers,
        prepared.calls.of(strategy),
        seeded(prepared.config.search_seed),
        prepared.calls.through(others),
    ):
        result = prepared.strategy.search(task, prepared.space, prepared.builder, ctx)
    check_unchanged(before, (task.train, task.validation), f"search of the {strategy}")
    _check_result(prepared, result)
    record.seconds["search"] = round(ctx.seconds, 3)
    if ctx.epochs_trained:
        record.epochs = {"trained": ctx.epochs_trained, "reused": ctx.epochs_reused}
    if ctx.candidates.removed:
        record.provenance["checkpoints_removed"] = ctx.candidates.removed
    _note_overrun(prepared, ctx)
    _note_other_way(prepared, ctx)
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


def _note_overrun(prepared: PreparedRun, ctx: RunSearchContext) -> None:
    """Note a search that goes on for longer than one evaluation after its seconds are spent."""
    allowed = ctx.budget.seconds
    if allowed is not None and ctx.seconds > allowed * _OVERRUN + ctx.longest_evaluation:
        prepared.calls.tell(
            f"The {describe(prepared.config.strategy.component)} searched for {ctx.seconds:,.0f} s "
            f"with a budget of {allowed:,.0f} s."
        )


def _note_other_way(prepared: PreparedRun, ctx: RunSearchContext) -> None:
    """Note a resumed search that has not repeated what it had evaluated before it was stopped.

    With a budget of seconds, it may end a little earlier.
    """
    n = ctx.evaluation_log.n_not_repeated
    if n and ctx.budget.seconds is None:
        prepared.calls.tell(
            f"The {describe(prepared.config.strategy.component)} was resumed, and did not repeat "
            f"{n} of its evaluations: its result is not that of a search without interruption."
        )


def _check_result(prepared: PreparedRun, result: object) -> None:
    """Check that the strategy returned a SearchResult with an architecture of the search space.

    Raises:
        PluginError: It did not.
    """
    strategy = prepared.config.strategy
    fix = f"Report this to the authors of {strategy.component.distribution}."
    if not isinstance(result, SearchResult):
        raise PluginError(
            f"The strategy {strategy.name!r} returned an object of the type "
            f"{type(result).__name__}, not a SearchResult.",
            where=strategy.component.source,
            fix=fix,
        )
    if fault := details_fault(result.details):
        raise PluginError(
            f"The strategy {strategy.name!r} returned details that cannot be recorded: {fault}.",
            where=strategy.component.source,
            fix=fix,
        )
    if not isinstance(result.architecture, Architecture):
        raise PluginError(
            f"The strategy {strategy.name!r} returned a SearchResult whose architecture is a "
            f"{type(result.architecture).__name__}, not an Architecture.",
            where=strategy.component.source,
            fix=fix,
        )
    try:
        check_valid(result.architecture, prepared.space)
    except OptionError as error:
        raise PluginError(
            f"The strategy {strategy.name!r} returned an architecture that is not valid in the "
            f"search space {prepared.config.space.name!r}: {error.what}",
            where=error.where or strategy.component.source,
            fix=fix,
        ) from error
    with prepared.calls.of(describe(strategy.component)):
        check_not_modified(result.architecture)


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
    made, task, calls = prepared.builder, prepared.task, prepared.calls
    builder = describe(config.builder.component)
    check_network(architecture, task, made, builder_name=builder, calls=calls)
    builders = faults_of_networks(architecture, task, made, builder_name=builder, calls=calls)
    with calls.of(evaluator), builders, seeded(config.evaluation_seed):
        evaluation = prepared.evaluator.evaluate(architecture, prepared.task, prepared.builder, ctx)
        check_converged(evaluation)
        check_unchanged(before, (test,), f"evaluation by the {evaluator}")
        evaluation = check_evaluation(
            evaluation, architecture, test, evaluator, prepared.task.macro_classes
        )
        _check_score_metric(prepared, evaluation)
        if not ctx.opened and (fault := fault_without_test_part(evaluation)):
            raise PluginError(
                f"The {evaluator}, {fault} without a request of the test part: they cannot be of "
                "its beats.",
                fix="An evaluator that scores beats calls ctx.parts(), and scores the second.",
            )
    if evaluation.state is not None:
        check_weights(
            evaluation.state, architecture, task, made, evaluator, builder_name=builder, calls=calls
        )
    prepared.record.seconds["evaluation"] = round(state.seconds, 3)
    return evaluation


def _check_score_metric(prepared: PreparedRun, evaluation: Evaluation) -> None:
    """Check that the score is the metric that the evaluator's spec states, if it states one.

    Raises:
        PluginError: It is not.
    """
    component = prepared.config.evaluator.component
    assert isinstance(component.spec, EvaluatorSpec)
    if fault := fault_of_stated_score(evaluation, component.spec.score):
        raise PluginError(
            f"The evaluator {component.spec.name!r} returned a score that is not valid: {fault}.",
            where=component.source,
            fix=f"Report this to the authors of {component.distribution}.",
        )


def _check_readable(record: RunRecord) -> None:
    """Check that the record can be read again, whatever the components returned.

    Raises:
        PluginError: It cannot: it would count as damaged as soon as it is written.
    """
    if fault := fault_of_record(record):
        raise PluginError(
            f"The record of this run could not be read again: {fault}.",
            where=record.run_key,
            fix="One of the run's components returned this value; report it to its authors.",
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
    """If the block raises, complete the record, and store it with status and error.

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


def _complete(prepared: PreparedRun, ctx: RunSearchContext) -> None:
    record = prepared.record
    if prepared.calls.notes:
        record.provenance["notes"] = list(prepared.calls.notes)
    record.trajectory = ctx.trajectory
    parts = (seconds for name, seconds in record.seconds.items() if name != "total")
    record.seconds["total"] = round(sum(parts), 3)


def _status_of(error: BaseException) -> Status:
    full = isinstance(error, StorageError) and isinstance(error.__cause__, OSError)
    if isinstance(error, KeyboardInterrupt) or full:  # with space it continues, also in a suite
        return "interrupted"
    return "oom" if is_out_of_memory(error) else "failed"
