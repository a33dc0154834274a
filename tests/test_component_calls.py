"""What a component does wrong is restored, refused or named: beats, evaluations, global state."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from tiny_runs import prepared_run, tiny_config

from nasbench_ecg.api import (
    Architecture,
    Evaluation,
    EvaluatorSpec,
    NoOptions,
    PluginError,
    RecordError,
    SearchResult,
    StrategySpec,
)
from nasbench_ecg.contracts import Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.run.calls import ComponentCalls
from nasbench_ecg.run.evaluations import check_evaluation, evaluation_fault
from nasbench_ecg.run.global_state import GlobalState
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.costs import build_network

pytestmark = pytest.mark.usefixtures("outside")

Act = Callable[..., Any]


class Searches:
    """A strategy that calls a function of the test with the task and the context."""

    def __init__(self, options: NoOptions) -> None:
        self.act: Act = lambda **_: None

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        arch = space.sample(ctx.rng)
        self.act(task=task, ctx=ctx, arch=arch)
        return SearchResult(arch)


class Guesses:
    """An evaluator that predicts class 0, then calls a function of the test."""

    def __init__(self, options: NoOptions) -> None:
        self.act: Act = lambda found, parts: found

    def evaluate(self, arch: Architecture, task: Any, builder: Any, ctx: Any) -> Evaluation:
        parts = ctx.parts()
        return self.act(guess(arch, parts[1]), parts)


class Scripted(Guesses):
    """An evaluator that a test puts in place of that of the run."""


def guess(arch: Architecture, beats: Any) -> Evaluation:
    """Return the evaluation of a classifier that always predicts class 0."""
    predicted = np.zeros(len(beats), np.int64)
    table = confusion_matrix(beats.labels, predicted, beats.n_classes)
    accuracy = float((beats.labels == 0).mean())
    return Evaluation(
        arch, accuracy, {"accuracy": accuracy}, 0.1, confusion=table.tolist(), predictions=predicted
    )


SPECS = (
    StrategySpec(
        name="scripted", target=Searches, summary="-", space="conv-cells", evaluator="guesses"
    ),
    EvaluatorSpec(name="guesses", target=Guesses, summary="-"),
)


def run_of(cache: Path, search: Act | None = None, evaluate: Act | None = None) -> PreparedRun:
    prepared = prepared_run(tiny_config("scripted", *SPECS), cache)
    made: Any = prepared
    if search:
        made.strategy.act = search
    if evaluate:  # as a class of its own, since the final training has a new evaluator
        made.evaluator = Scripted(NoOptions())
        made.evaluator.act = evaluate
    return prepared


def failed(prepared: PreparedRun, out: Path, error: type[BaseException]) -> RunRecord:
    with pytest.raises(error):
        execute(prepared, RecordStore(out))
    ((record,), _) = read_records(out)
    assert record.status == "failed" and record.metrics == {}
    return record


# Beats


def test_the_arrays_of_a_task_refuse_writing_and_those_of_the_caller_do_not() -> None:
    beats = tiny_beats(40)
    task = Task(beats, tiny_beats(20), ("N",))
    for part in (task.train, task.validation):
        for array in (part.signals, part.labels, part.record, part.sample):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 0
    beats.signals[0] = 0
    assert task.train.signals.base is beats.signals
    task.train.take(np.arange(3)).signals[:] = 0  # a copy


def test_a_strategy_that_writes_to_the_task_fails(beats_cache: Path, tmp_path: Path) -> None:
    def zeroes(task: Any, **_: Any) -> None:
        task.train.signals[:] = 0

    record = failed(run_of(beats_cache, zeroes), tmp_path, ValueError)
    assert "Raised by the strategy 'scripted', plugin 'made-up' of tests 0." in str(record.error)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("array", ["signals", "labels"])
def test_a_strategy_that_changes_beats_through_a_tensor_fails_and_is_named(
    part: str, array: str, beats_cache: Path, tmp_path: Path
) -> None:
    def zeroes(task: Any, **_: Any) -> None:
        torch.from_numpy(getattr(getattr(task, part), array)).zero_()

    record = failed(run_of(beats_cache, zeroes), tmp_path, PluginError)
    assert "search of the strategy 'scripted', plugin 'made-up' of tests 0" in str(record.error)
    assert "has changed the beats" in str(record.error)


def test_an_evaluator_that_changes_the_test_labels_fails_and_is_named(
    beats_cache: Path, tmp_path: Path
) -> None:
    def cheats(found: Evaluation, parts: Any) -> Evaluation:
        torch.from_numpy(parts[1].labels).zero_()
        return guess(found.architecture, parts[1])

    record = failed(run_of(beats_cache, evaluate=cheats), tmp_path, PluginError)
    assert "evaluation by the evaluator 'guesses'" in str(record.error)


def test_no_beat_of_the_test_part_is_in_memory_during_the_search(
    beats_cache: Path, tmp_path: Path
) -> None:
    test = {w.tobytes() for w in run_of(beats_cache).test.load().signals}
    found: list[bool] = []

    def looks(**_: Any) -> None:
        """Look through all arrays that frames, the collector and memory maps lead to."""
        gc.unfreeze()
        frame = sys._getframe()
        reachable: list[Any] = [*gc.get_objects()]
        while frame is not None:
            reachable += [*frame.f_locals.values(), *frame.f_globals.values()]
            frame = frame.f_back  # type: ignore[assignment]
        arrays = [
            item for item in reachable if issubclass(type(item), np.ndarray) and item.ndim == 3
        ]
        arrays += [item.signals for item in reachable if type(item) is Beats]
        found.append(any(w.tobytes() in test for array in arrays for w in array))
        found.append(bool([line for line in maps() if str(beats_cache) in line]))

    def maps() -> list[str]:
        path = Path("/proc/self/maps")
        return path.read_text().splitlines() if path.exists() else []

    gc.collect()
    record = execute(run_of(beats_cache, looks), RecordStore(tmp_path))
    assert record.status == "ok" and found == [False, False]


def test_beats_that_change_during_the_search_end_the_run(beats_cache: Path, tmp_path: Path) -> None:
    prepared = run_of(beats_cache)
    prepared.test = replace(prepared.test, fingerprint="0" * 64)
    record = failed(prepared, tmp_path, RecordError)
    assert "have changed during the run" in str(record.error)


# Evaluations

ARCH = Architecture("conv-cells", {"x": 1})
BEATS = tiny_beats(40)
GOOD = guess(ARCH, BEATS)
NAN = float("nan")
WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (None, "of type NoneType, not an Evaluation"),
    "a number": (0.5, "of type float"),
    "another architecture": (
        replace(GOOD, architecture=Architecture("conv-cells", {})),
        "a different architecture",
    ),
    "a NaN score": (replace(GOOD, score=NAN), "the score is nan"),
    "a text as score": (replace(GOOD, score="0.9"), "the score is '0.9'"),
    "no score": (replace(GOOD, score=None), "the score is None"),
    "an infinite metric": (replace(GOOD, metrics={"x": float("inf")}), "leave it out"),
    "half a character": (replace(GOOD, metrics={"\ud800": 0.5}), "is not the name of a metric"),
    "a curve without a name": (replace(GOOD, curves={"": [1.0]}), "'' is not the name of a curve"),
    "a metric of text": (replace(GOOD, metrics={"x": "high"}), "the metric x is 'high'"),
    "percent": (replace(GOOD, metrics={"f1_of_macro": 93.2}), "not a fraction"),
    "a negative share": (replace(GOOD, metrics={"macro_se": -0.1}), "not a fraction"),
    "metrics in a list": (replace(GOOD, metrics=[0.5]), "must be mappings"),
    "another accuracy": (replace(GOOD, metrics={"accuracy": 1.0}), "by its confusion matrix"),
    "negative seconds": (replace(GOOD, seconds=-1), "it took -1 seconds"),
    "a small matrix": (replace(GOOD, confusion=[[40]]), "shape (1, 1)"),
    "another matrix": (
        replace(GOOD, confusion=np.zeros((BEATS.n_classes,) * 2, int)),
        "the rows of the confusion",
    ),
    "a ragged matrix": (replace(GOOD, confusion=[[1], [1, 2]]), "cannot be read"),
    "few predictions": (replace(GOOD, predictions=[0]), "(1,) predictions for 40 beats"),
    "a prediction of no class": (replace(GOOD, predictions=[99] * 40), "is not a class"),
    "probabilities": (replace(GOOD, predictions=[0.5] * 40), "not whole numbers"),
    "other predictions": (replace(GOOD, predictions=[1] * 40), "disagree"),
    "a NaN in a curve": (replace(GOOD, curves={"loss": [1.0, NAN]}), "the curve loss"),
    "weights in a list": (replace(GOOD, state=[1]), "not a mapping of tensors"),
    "weights of numpy": (replace(GOOD, state={"w": np.zeros(3)}), "not a named tensor"),
}


@pytest.mark.parametrize(("found", "fault"), WRONG.values(), ids=WRONG.keys())
def test_an_evaluation_that_is_not_valid_is_refused(found: Any, fault: str) -> None:
    assert evaluation_fault(GOOD, ARCH, BEATS) == ""
    with pytest.raises(PluginError) as caught:
        check_evaluation(found, ARCH, BEATS, "evaluator 'x', plugin 'p' of acme 2.0")
    assert fault in str(caught.value) and "'x', plugin 'p' of acme 2.0" in str(caught.value)


def test_an_evaluation_in_types_of_numpy_and_torch_is_valid() -> None:
    found = replace(
        GOOD,
        score=np.float32(0.5),
        metrics={"x": torch.tensor(0.5)},
        confusion=np.asarray(GOOD.confusion, np.float64),
        predictions=torch.zeros(40, dtype=torch.int64),
        state={"w": torch.zeros(2)},
    )
    assert evaluation_fault(found, ARCH, BEATS) == ""


@pytest.mark.parametrize("stage", ["search", "final"])
def test_an_evaluation_that_is_not_valid_ends_the_run_and_names_the_evaluator(
    stage: str, beats_cache: Path, tmp_path: Path
) -> None:
    search = None
    if stage == "search":

        def search(ctx: Any, arch: Any, **_: Any) -> None:
            ctx.evaluate_many([arch])

    prepared = run_of(beats_cache, search, lambda found, parts: replace(found, score=NAN))
    record = failed(prepared, tmp_path, PluginError)
    error = str(record.error)
    assert "evaluator 'guesses', plugin 'made-up' of tests 0, returned" in error
    assert (record.architecture is None) == (stage == "search")
    assert "Raised by the strategy" not in error


@pytest.mark.parametrize(
    ("change", "fault"),
    {
        "another shape": (lambda state: {n: torch.zeros(1) for n in state}, "size mismatch for"),
        "another name": (lambda state: {f"module.{n}": w for n, w in state.items()}, "Missing key"),
        "one too few": (lambda state: dict(list(state.items())[1:]), "Missing key"),
        "one too many": (lambda state: {**state, "w": torch.zeros(1)}, "Unexpected key(s) in"),
        "its own": (lambda state: state, ""),
    }.values(),
)
def test_weights_of_another_network_end_the_run_and_name_the_evaluator(
    change: Any, fault: str, beats_cache: Path, tmp_path: Path
) -> None:
    """They would pass as the network of the run until somebody wants to use it."""

    def evaluate(found: Evaluation, parts: Any) -> Evaluation:
        model = build_network(found.architecture, prepared.task, prepared.builder)
        return replace(found, state=change(model.state_dict()))

    prepared = run_of(beats_cache, None, evaluate)
    if not fault:
        assert execute(prepared, RecordStore(tmp_path)).status == "ok"
        return
    error = str(failed(prepared, tmp_path, PluginError).error)
    assert "evaluator 'guesses', plugin 'made-up' of tests 0, returned weights that are" in error
    assert fault in error


def test_an_error_of_an_evaluator_in_a_search_is_blamed_on_the_evaluator(
    beats_cache: Path, tmp_path: Path
) -> None:
    def breaks(found: Any, parts: Any) -> None:
        raise ZeroDivisionError

    prepared = run_of(beats_cache, lambda ctx, arch, **_: ctx.evaluate_many([arch]), breaks)
    error = str(failed(prepared, tmp_path, ZeroDivisionError).error)
    assert "Raised by the evaluator 'guesses', plugin 'made-up' of tests 0." in error
    assert "Raised by the strategy" not in error


def test_a_network_is_made_of_the_architecture_that_files_keep(
    beats_cache: Path, tmp_path: Path
) -> None:
    """A builder that goes through a mapping makes the same network now and after a resume."""
    seen: list[list[str]] = []

    def search(ctx: Any, arch: Any, **_: Any) -> None:
        names = sorted(arch.genotype, reverse=True)
        other = Architecture(arch.space, {name: arch.genotype[name] for name in names})
        arch.genotype.clear()
        arch.genotype.update(other.genotype)
        ctx.evaluate_many([arch])

    def evaluate(found: Evaluation, parts: Any) -> Evaluation:
        seen.append(list(found.architecture.genotype))
        return found

    execute(run_of(beats_cache, search, evaluate), RecordStore(tmp_path))
    assert seen == [["normal", "reduction"]] * 2


def test_a_search_that_evaluates_in_several_threads_is_refused(
    beats_cache: Path, tmp_path: Path
) -> None:
    """The threads would draw from one generator of torch, each at some other moment each time."""
    both = threading.Barrier(2, timeout=30)

    def search(ctx: Any, arch: Any, **_: Any) -> None:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ctx.evaluate_many, [arch])
            both.wait()
            try:
                ctx.evaluate_many([arch])
            finally:
                both.wait()
            first.result()

    def evaluate(found: Evaluation, parts: Any) -> Evaluation:
        both.wait()  # until the other thread has called
        both.wait()  # until that call has ended
        return found

    error = str(failed(run_of(beats_cache, search, evaluate), tmp_path, PluginError).error)
    assert "in several threads" in error and "strategy 'scripted'" in error


def test_a_resumed_search_that_takes_another_way_is_named(
    beats_cache: Path, tmp_path: Path
) -> None:
    def stops(ctx: Any, arch: Any, **_: Any) -> None:
        ctx.evaluate_many([arch])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run_of(beats_cache, stops), RecordStore(tmp_path))
    record = execute(run_of(beats_cache, lambda **_: None), RecordStore(tmp_path))
    (note,) = record.provenance["notes"]
    assert "strategy 'scripted'" in note and "did not repeat 1 of its evaluations" in note


# Global state


def _use_backend() -> None:
    import matplotlib

    matplotlib.use("svg")


CHANGES: dict[str, Callable[[], Any]] = {
    "gradient mode (True → False)": lambda: torch.set_grad_enabled(False),
    "default type (torch.float32 → torch.float64)": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "settings of cuDNN (benchmark)": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "matrix precision": lambda: torch.set_float32_matmul_precision("medium"),
    "autocast (cpu)": lambda: torch.set_autocast_enabled("cpu", True),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "global generator of random": lambda: random.seed(3),
    "global generator of numpy.random": lambda: np.random.seed(3),
    "numpy's error handling": lambda: np.seterr(all="ignore"),
    "signal handlers (SIGTERM)": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 3600),
    "current folder": lambda: os.chdir("/"),
    "environment variables (CHANGED_BY_A_TEST)": lambda: os.environ.update(CHANGED_BY_A_TEST="1"),
    "warning filters": lambda: warnings.simplefilter("ignore"),
    "recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "matplotlib's backend": _use_backend,
}


@pytest.mark.parametrize(
    ("name", "change"), CHANGES.items(), ids=[n.split(" (")[0] for n in CHANGES]
)
def test_a_setting_that_is_left_changed_is_restored_and_named(
    name: str, change: Callable[[], Any]
) -> None:
    before = GlobalState()
    try:
        change()
        (changed,) = before.restore()
        assert changed.startswith(name)
        assert before.restore() == []
    finally:
        before.restore()


def test_a_call_that_changes_nothing_gives_no_note() -> None:
    calls = ComponentCalls()
    with calls.of("strategy 'x'"):
        random.Random(3)
        warnings.filterwarnings("ignore", message="one single warning")
    assert calls.notes == []


def test_a_component_is_named_once_in_the_run_and_affects_no_later_call(
    beats_cache: Path, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def search(ctx: Any, arch: Any, **_: Any) -> None:
        ctx.evaluate_many([arch])
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    def evaluate(found: Evaluation, parts: Any) -> Evaluation:
        seen.append((torch.get_default_dtype(), torch.is_grad_enabled(), Path.cwd()))
        os.chdir("/")
        return found

    here = Path.cwd()
    prepared = run_of(beats_cache, search, evaluate)
    record = execute(prepared, RecordStore(tmp_path))
    assert seen == [(torch.float32, True, here)] * 2
    assert (torch.get_default_dtype(), torch.is_grad_enabled(), Path.cwd()) == seen[0]
    evaluator, strategy = record.provenance["notes"]
    assert evaluator.startswith("Changed by the evaluator 'guesses', plugin 'made-up' of tests 0")
    assert "current folder" in evaluator
    assert "gradient mode (True → False); default type" in strategy
    ((on_disk,), _) = read_records(tmp_path)
    assert on_disk.provenance["notes"] == [evaluator, strategy]


@pytest.mark.parametrize("strategy", ["darts", "regularized-evolution"])
@pytest.mark.slow
def test_shipped_components_leave_nothing_changed(
    strategy: str, beats_cache: Path, tmp_path: Path
) -> None:
    config = tiny_config(strategy, profile="smoke")
    record = execute(prepared_run(config, beats_cache), RecordStore(tmp_path))
    assert record.status == "ok" and "notes" not in record.provenance
