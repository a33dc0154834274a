"""Parallel evaluations equal sequential ones, and no worker process outlives its search."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from tiny_runs import prepared_run, result, tiny_config

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Evaluation
from nasbench_ecg.errors import PluginError, ProtocolError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import RunSearchContext
from nasbench_ecg.run.parallel import SharedBeats, WorkerError, Workers
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.run.resume import EvaluationLog
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.plan import PlannedRun
from nasbench_ecg.suite.runner import command
from nasbench_ecg_cells.space import ConvCells

pytestmark = pytest.mark.usefixtures("outside")

SHORT: dict[str, Any] = {"strategy": {"candidates": 3}, "evaluator": {"epochs": 1}}


def prepared(cache: Path, parallel: int = 1, **changes: Any) -> PreparedRun:
    made = prepared_run(tiny_config("best-of-n", **{"set": SHORT, **changes}), cache)
    made.parallel = parallel
    return made


def comparable(evaluation: Evaluation) -> dict[str, Any]:
    whole = vars(evaluation).copy()
    whole.pop("seconds")
    return whole


def context(made: PreparedRun, out: Path, **changes: Any) -> RunSearchContext:
    ctx = made.search_context()
    ctx.evaluation_log = EvaluationLog(out / "evaluations.jsonl")
    for name, value in changes.items():
        setattr(ctx, name, value)
    return ctx


def ended(pid: int) -> bool:
    """Return whether a process is gone, or nothing but its exit status is left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def within(seconds: float, what: Any) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(what())


@pytest.fixture(scope="module")
def two(outside: dict[str, str], beats_cache: Path) -> Iterator[tuple[PreparedRun, Workers]]:
    """Two processes, kept for the tests of this module."""
    made = prepared(beats_cache, parallel=2)
    with made.workers() as workers:
        assert workers is not None
        yield made, workers


def some(made: PreparedRun, n: int, seed: int = 0) -> list[Architecture]:
    assert isinstance(made.space, ConvCells)
    rng = np.random.default_rng(seed)
    return [made.space.sample(rng) for _ in range(n)]


@pytest.mark.slow
def test_two_workers_give_the_sequential_evaluations_in_the_same_order(
    two: tuple[PreparedRun, Workers], tmp_path: Path
) -> None:
    made, workers = two
    assert torch.get_num_threads() == 1, "with more, a worker's share would round otherwise"
    a, b, c = some(made, 3)
    asked = [a, b, a, c]
    one_by_one = context(made, tmp_path / "one")
    at_once = context(made, tmp_path / "two", workers=workers)
    expected = [comparable(e) for e in one_by_one.evaluate_many(asked)]
    assert [comparable(e) for e in at_once.evaluate_many(asked)] == expected
    assert at_once.evaluations == one_by_one.evaluations == 4
    known = at_once.evaluate_many([c])
    assert known[0].score == expected[3]["score"] and expected[0]["state"] is None

    def lines(ctx: RunSearchContext) -> list[str]:
        assert ctx.evaluation_log.path is not None
        texts = ctx.evaluation_log.path.read_text().split("\n")
        return [text.partition('"data"')[2].partition('"seconds"')[0] for text in texts]

    assert lines(at_once) == lines(one_by_one)


def test_a_budget_is_kept_to_the_evaluation(
    two: tuple[PreparedRun, Workers], tmp_path: Path
) -> None:
    made, workers = two
    asked = some(made, 3)
    ctx = context(made, tmp_path, workers=workers, budget=Budget(evaluations=2))
    with pytest.raises(ProtocolError, match="budget of 2 evaluations"):
        ctx.evaluate_many(asked)
    assert ctx.evaluations == 2
    found = [ctx.evaluation_log.find(arch, None) is not None for arch in asked]
    assert found == [True, True, False]


def test_nothing_is_evaluated_if_one_architecture_is_not_valid(
    two: tuple[PreparedRun, Workers], tmp_path: Path
) -> None:
    made, workers = two
    ctx = context(made, tmp_path, workers=workers)
    with pytest.raises(PluginError, match="not valid in the search space"):
        ctx.evaluate_many([*some(made, 1), Architecture("another", {})])
    assert ctx.evaluations == 0 and not (tmp_path / "evaluations.jsonl").exists()


@pytest.mark.slow
def test_a_killed_worker_is_one_error_with_advice(
    two: tuple[PreparedRun, Workers], beats_cache: Path, tmp_path: Path
) -> None:
    made, _ = two
    before = set(multiprocessing.active_children())
    with made.workers() as workers:
        ctx = context(made, tmp_path, workers=workers)
        (first,) = ctx.evaluate_many(some(made, 1))
        (started, *_) = set(multiprocessing.active_children()) - before
        os.kill(started.pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerError, match="ended before its evaluation was finished") as caught:
            ctx.evaluate_many(some(made, 3, seed=1))
    assert "--parallel" in caught.value.fix
    assert ctx.evaluation_log.find(first.architecture, None) is not None
    assert set(multiprocessing.active_children()) == before


def test_what_cannot_be_sent_to_a_process_is_told(two: tuple[PreparedRun, Workers]) -> None:
    made, _ = two

    class Local(type(made.config.evaluator.options)):  # type: ignore[misc]
        pass

    evaluator = replace(made.config.evaluator, options=Local())
    parts = {"builder": made.config.builder, "evaluator": evaluator, "device": "cpu", "seed": 0}
    with (
        closing(Workers(2, task=made.task, **parts)) as workers,
        pytest.raises(WorkerError, match="in worker processes") as caught,
    ):
        list(workers.evaluate(some(made, 1), None, Silent()))
    assert caught.value.fix == "Leave --parallel out."


def test_mapped_beats_are_equal_and_cannot_be_changed() -> None:
    beats = tiny_beats(40)
    shared = SharedBeats.of(beats)
    first, second = shared.beats(), shared.beats()
    assert first.fingerprint() == second.fingerprint() == beats.fingerprint()
    for array in (first.signals, first.labels, first.record, first.sample):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


# Whole runs


@pytest.mark.slow
def test_a_run_with_two_workers_ends_like_one_without(beats_cache: Path, tmp_path: Path) -> None:
    alone, both = RecordStore(tmp_path / "1"), RecordStore(tmp_path / "2")
    expected = execute(prepared(beats_cache), alone)
    record = execute(prepared(beats_cache, parallel=2), both)
    assert record.run_key == expected.run_key
    assert result(record) == result(expected)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ignore_ctrl_c() -> None:
    """Ignore SIGINT, as in a process that a shell starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("number", "code", "in_background"),
    [
        pytest.param(signal.SIGINT, 130, False, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 130, True, id="sigterm-in-the-background"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, False, id="sigkill"),
    ],
)
def test_no_process_outlives_a_run_that_is_stopped(
    number: int, code: int, in_background: bool, outside: dict[str, str], tmp_path: Path
) -> None:
    config = tiny_config("best-of-n", set={**SHORT, "evaluator": {"epochs": 10_000}})
    words = shlex.split(config.command())[1:]
    command = [sys.executable, "-m", "nasbench_ecg", *words, "--out", str(tmp_path)]
    command += ["--set", "strategy.epochs=10000", "--parallel", "2"]
    run = subprocess.Popen(
        command, env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, preexec_fn=ignore_ctrl_c if in_background else None,
    )  # fmt: skip
    try:
        assert within(120, lambda: len(children(run.pid)) >= 3)  # two, and a resource tracker
        workers = children(run.pid)
        # as a terminal does, the whole group; or this process alone, as the kernel does
        (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
        assert run.wait(120) == code
        # one that is still importing what it needs ends when it has
        assert within(60, lambda: all(map(ended, workers)))
    finally:
        if run.poll() is None:
            run.kill()


@pytest.mark.parametrize(("given", "passed_on"), [(None, []), (3, ["--parallel", "3"])])
def test_a_suite_passes_parallel_on_only_if_it_was_given(
    given: int | None, passed_on: list[str], tmp_path: Path
) -> None:
    run = PlannedRun(tiny_config("best-of-n"), 1)
    words = command(
        run, RecordStore(tmp_path), data=None, checkpoint_seconds=30.0, parallel=given
    )  # fmt: skip
    assert words[words.index("--checkpoint-seconds") + 2 :] == passed_on


@pytest.mark.slow
def test_an_evaluation_is_the_same_when_it_is_made_and_when_it_is_read_again(
    beats_cache: Path, tmp_path: Path
) -> None:
    made = prepared(beats_cache)
    architectures = some(made, 2)
    now = context(made, tmp_path).evaluate_many(architectures)
    resumed = context(made, tmp_path).evaluate_many(architectures)
    assert list(map(vars, now)) == list(map(vars, resumed))
    assert all(one.predictions is None and one.confusion is not None for one in now)
