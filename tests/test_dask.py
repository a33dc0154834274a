"""Candidates of a search, and runs of a suite, on the workers of a real Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_parallel import context, prepared, some
from tiny_runs import result
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.errors import ExecutorError
from nasbench_ecg.executors import Job
from nasbench_ecg.run.nodes import environment_of_jobs
from nasbench_ecg.run.parallel import RemoteWorkers
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.merge import merge_results

pytest.importorskip("distributed", reason="needs the extra 'dask'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside")]


@pytest.fixture
def dask() -> Iterator[Any]:
    """An executor with two workers on this machine."""
    from nasbench_ecg_dask.executor import DaskExecutor, DaskOptions

    executor = DaskExecutor(DaskOptions(retries=0))
    yield executor
    executor.close()


def remote(made: PreparedRun, executor: Any) -> RemoteWorkers:
    return RemoteWorkers(
        executor, task=made.task, builder=made.config.builder, evaluator=made.config.evaluator,
        device="cpu", seed=made.config.evaluation_seed, calls=made.calls,
    )  # fmt: skip


# Candidates of one search


def test_a_search_whose_candidates_are_evaluated_by_dask_ends_like_one_without(
    dask: Any, beats_cache: Path, tmp_path: Path
) -> None:
    expected = execute(prepared(beats_cache), RecordStore(tmp_path / "here"))
    made = prepared(beats_cache)
    made.executor = dask
    record = execute(made, RecordStore(tmp_path / "dask"))
    assert record.run_key == expected.run_key and record.status == "ok"
    assert result(record) == result(expected)


def test_the_candidates_of_lost_workers_are_evaluated_by_others(
    dask: Any, beats_cache: Path, tmp_path: Path
) -> None:
    made = prepared(beats_cache)
    workers = remote(made, dask)
    ctx = context(made, tmp_path, workers=workers)
    ctx.evaluate_many(some(made, 2))
    for pid in dask._client.run(os.getpid).values():  # those that take their place have no beats
        os.kill(pid, signal.SIGKILL)
    found = ctx.evaluate_many(some(made, 4, seed=1))
    workers.close()
    alone = context(made, tmp_path / "alone").evaluate_many(some(made, 4, seed=1))
    assert [one.score for one in found] == [one.score for one in alone]


# Searches that share a cluster


@pytest.fixture
def shared() -> Iterator[Callable[[], Any]]:
    """Executors of several searches on one cluster, whose worker has two threads."""
    from distributed import LocalCluster

    from nasbench_ecg_dask.executor import DaskExecutor, DaskOptions

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        options = DaskOptions(address=cluster.scheduler_address)
        yield lambda: DaskExecutor(options)


def numbered() -> Callable[[int], tuple[int, float, float]]:
    """A setup whose function returns what is different for each call of the setup, and its time."""
    own = time.monotonic_ns()

    def function(number: int) -> tuple[int, float, float]:
        started = time.monotonic()
        time.sleep(0.02)
        return own, started, time.monotonic()

    return function


def kept() -> list[str]:
    from nasbench_ecg_dask import executor

    return [client for client, _ in executor._SETUPS]


def test_searches_on_one_cluster_do_not_evict_each_other_nor_leave_anything(shared: Any) -> None:
    killed, first, second = shared(), shared(), shared()
    left_open = killed.workers(numbered)
    left_open.__enter__()
    killed._client.close()  # as by the end of its process, without the end of the search
    with first.workers(numbered) as one:
        with second.workers(numbered) as other:
            found = [[*one.map([(1,), (2,)]), *other.map([(1,), (2,)])] for _ in range(3)]
            (clients,) = first._client.run(kept).values()
            assert sorted(clients) == sorted([first._client.id, second._client.id])
        (clients,) = first._client.run(kept).values()
        assert clients == [first._client.id]
    setups = [{own for own, _, _ in calls} for calls in found]
    assert all(len(both) == 2 and both == setups[0] for both in setups)  # each was called once


def test_a_worker_with_threads_evaluates_one_candidate_at_a_time(shared: Any) -> None:
    executor = shared()
    with executor.workers(numbered) as pool:
        times = sorted((start, end) for _, start, end in pool.map([(i,) for i in range(6)]))
    assert all(end <= start for (_, end), (start, _) in pairwise(times))


# Runs of a suite


SUITE = """
title = "On Dask"
seeds = [0, 1, 2]
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
profiles = ["smoke"]
set.evaluator.epochs = 1
set.evaluator.beats = 200
"""


def test_a_suite_is_executed_by_dask_with_the_results_of_this_machine(
    beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    (tmp_path / "three.toml").write_text(SUITE)
    words = ["suite", "run", str(tmp_path / "three.toml"), "--device", "cpu", "--out"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "dask"), "--executor", "dask"])
    assert done.exit_code == 0 and "3 runs: 3 ok." in done.stderr
    logs = list((tmp_path / "dask" / "three" / ".logs").glob("*.log"))
    assert len(logs) == 3 and all("F1" in log.read_text() for log in logs)
    CliRunner().invoke(app, [*words, str(tmp_path / "here")])
    merged = merge_results([tmp_path / "here", tmp_path / "dask"], tmp_path / "both")
    assert (len(merged.copied), len(merged.equal)) == (3, 3)  # different ones are an error


def ends_its_process() -> Any:
    return _exit


def _exit(number: int) -> None:
    os._exit(number)


def test_a_call_that_ends_every_worker_is_one_error_with_advice(dask: Any) -> None:
    with (
        dask.workers(ends_its_process) as pool,
        pytest.raises(ExecutorError, match="workers of the Dask cluster are lost") as caught,
    ):
        list(pool.map([(1,)]))
    assert "the same command continues" in caught.value.fix


def test_jobs_whose_workers_are_gone_for_good_end_with_one_error(tmp_path: Path) -> None:
    from nasbench_ecg_dask.executor import DaskExecutor, DaskOptions

    executor = DaskExecutor(DaskOptions(workers=1))
    executor._connect()
    assert executor._watch is not None
    executor._watch._patience = 0.5  # less than between two looks
    executor._cluster.scale(0)
    (handle,) = executor.submit([Job("one", (sys.executable, "-c", ""), tmp_path / "log")])
    with pytest.raises(ExecutorError, match=r"are lost: for 0\.5 s there has been none"):
        while executor.outcome(handle) is None:
            time.sleep(0.1)
    future = executor._futures[handle]
    executor.cancel(handle)
    assert future.cancelled()  # so that closing does not wait for a job that cannot start
    executor.close()


def test_a_search_whose_workers_are_gone_for_good_ends_with_one_error() -> None:
    from nasbench_ecg_dask.executor import DaskExecutor, DaskOptions

    executor = DaskExecutor(DaskOptions(workers=1, connect_seconds=10))
    with (
        executor.workers(ends_its_process) as pool,
        pytest.raises(ExecutorError, match="are lost: for 10 s there has been none"),
    ):
        executor._cluster.scale(0)
        list(pool.map([(1,)]))


# Clusters that cannot work


class Client:
    """A client of a cluster whose scheduler or worker has a fault."""

    def __init__(self, *, status: str = "running", packages: bool = True) -> None:
        self.status, self.packages = status, packages
        self.scheduler = SimpleNamespace(address="tcp://made-up:1")

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": {"tcp://one:2": {}}} if self.status == "running" else {}

    def run(self, function: Any, *, workers: list[str], on_error: str) -> dict[str, Any]:
        return {worker: function() if self.packages else False for worker in workers}


def test_workers_of_this_machine_that_do_not_answer_in_time_are_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nasbench_ecg_dask.executor import DaskExecutor, DaskOptions

    closed = []
    cluster = SimpleNamespace(scheduler_address="x", close=lambda: closed.append("cluster"))

    def client(*arguments: Any, **options: Any) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr("distributed.LocalCluster", lambda **options: cluster)
    monkeypatch.setattr("distributed.Client", client)
    with pytest.raises(ExecutorError, match="does not answer: no answer"):
        DaskExecutor(DaskOptions()).submit([])
    assert closed == ["cluster"]


def test_a_scheduler_that_has_gone_is_one_error() -> None:
    from nasbench_ecg_dask.watch import Watch

    watch = Watch(Client(status="connecting"), patience=60.0)
    watch._looked -= 60.0
    with pytest.raises(ExecutorError, match="the scheduler has gone"):
        watch.look()


def test_a_worker_without_this_package_is_named() -> None:
    from nasbench_ecg_dask.watch import Watch

    Watch(Client(), patience=60.0).check_packages()
    with pytest.raises(ExecutorError, match="no nasbench-ecg: tcp://one:2"):
        Watch(Client(packages=False), patience=60.0).check_packages()


def test_the_question_for_a_package_is_answered_without_it() -> None:
    """The function that is sent has its code with it, and does not import this package."""
    import pickle

    from distributed.protocol.pickle import dumps

    from nasbench_ecg_dask.watch import Watch

    sent: list[bytes] = []

    class Sending(Client):
        def run(self, function: Any, *, workers: list[str], on_error: str) -> dict[str, Any]:
            sent.append(dumps(function))
            return dict.fromkeys(workers, True)

    Watch(Sending(), patience=60.0).check_packages()
    code = (
        "import sys, pickle; sys.modules['nasbench_ecg_dask'] = sys.modules['nasbench_ecg'] = None;"
        "print(pickle.loads(sys.stdin.buffer.read()).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=sent[0], capture_output=True)
    assert done.stdout.decode().strip() == "has_package", done.stderr.decode()
    assert pickle.loads(sent[0])() is True


def test_a_job_ends_when_the_process_that_submitted_it_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    from nasbench_ecg_dask import executor

    monkeypatch.setattr(executor, "_CLIENT_SECONDS", 0.0)
    monkeypatch.setattr(
        distributed, "Event", lambda *_, **__: SimpleNamespace(is_set=lambda: False)
    )
    monkeypatch.setattr(
        distributed, "get_client", lambda: SimpleNamespace(run_on_scheduler=lambda f: ["another"])
    )
    sleeping = Job("one", (sys.executable, "-c", "import time; time.sleep(60)"), tmp_path / "log")
    assert executor._run_job(sleeping, "handle", "submitter").returncode == -signal.SIGTERM


def test_jobs_get_the_folders_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASBENCH_ECG_DATA", "records")
    monkeypatch.delenv("NASBENCH_ECG_CACHE", raising=False)
    found = environment_of_jobs(tmp_path)
    assert found["NASBENCH_ECG_DATA"] == str(tmp_path / "records")
    assert "NASBENCH_ECG_CACHE" not in found
