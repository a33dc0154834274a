"""Checks of executors: every end is told, jobs do not disturb each other, and none is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from tempfile import TemporaryDirectory

from nasbench_ecg.executors import CallsFunctions, Capabilities, Executor, Job, Outcome
from nasbench_ecg.testing.check import NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest

SECONDS = 120.0
"""Most seconds that a job of a check may take to start or to end."""

_FOREVER = "import os, time; print(os.getpid(), flush=True)\nwhile True: time.sleep(0.05)"


@contextmanager
def _new(component: ComponentUnderTest) -> Iterator[tuple[Executor, Path]]:
    executor: Executor = component.create()
    with TemporaryDirectory() as folder:
        try:
            yield executor, Path(folder)
        finally:
            executor.close()


def _job(folder: Path, name: str, code: str, time_limit: float | None = None) -> Job:
    command = [sys.executable, "-P", "-c", code]
    return Job(name, command, folder / "logs" / f"{name}.log", time_limit)


def _submit(executor: Executor, *jobs: Job) -> dict[str, str]:
    """Submit jobs, as many at a time as the executor accepts; return all handles by name."""
    handles: dict[str, str] = {}
    for job in jobs:
        slots = executor.capabilities.slots
        open_ = [h for h in handles.values() if executor.outcome(h) is None]
        if slots is not None and len(open_) >= slots:
            _wait(executor, {"": open_[0]})
        handles[job.name] = executor.submit([job])[0]
    return handles


def _wait(executor: Executor, handles: Mapping[str, str]) -> dict[str, Outcome]:
    """Return the outcomes of jobs by name."""
    deadline = time.monotonic() + SECONDS
    outcomes: dict[str, Outcome] = {}
    while len(outcomes) < len(handles):
        for name, handle in handles.items():
            if name not in outcomes and (found := executor.outcome(handle)) is not None:
                outcomes[name] = found
        expect(time.monotonic() < deadline, f"no outcome of {set(handles) - set(outcomes)}")
        time.sleep(0.05)
    return outcomes


def _pid(log: Path) -> int:
    """Return the process identifier that a job has written, when it has."""
    deadline = time.monotonic() + SECONDS
    while not (log.is_file() and log.read_text().endswith("\n")):
        expect(time.monotonic() < deadline, "a job does not start")
        time.sleep(0.05)
    return int(log.read_text().split()[0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _ends(pid: int) -> bool:
    deadline = time.monotonic() + SECONDS
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(pid)


@check()
def capabilities_are_told(component: ComponentUnderTest, seed: int) -> None:
    """It says what it can do."""
    with _new(component) as (executor, _):
        found = executor.capabilities
        expect(isinstance(found, Capabilities), f"its capabilities are {found!r}")
        expect(found.slots is None or found.slots >= 1, f"it has {found.slots} slots")


@check()
def every_outcome_is_told(component: ComponentUnderTest, seed: int) -> None:
    """Every job ends with its exit status, and a failing job does not disturb the others."""
    codes = {"good": "print('fine')", "bad": "raise SystemExit(3)", "other": "print('too')"}
    with _new(component) as (executor, folder):
        jobs = [_job(folder, name, code) for name, code in codes.items()]
        outcomes = _wait(executor, _submit(executor, *jobs))
        found = {name: outcome.returncode for name, outcome in outcomes.items()}
        expect(found == {"good": 0, "bad": 3, "other": 0}, f"the exit statuses are {found}")
        logs = [job.log.read_text().strip() for job in (jobs[0], jobs[2])]
        expect(logs == ["fine", "too"], f"the logs hold {logs}")


@check()
def a_job_gets_its_environment(component: ComponentUnderTest, seed: int) -> None:
    """A job has the environment variables that it was submitted with."""
    code = "import os; print(os.environ['CONTRACT_TEST'])"
    with _new(component) as (executor, folder):
        job = _job(folder, "one", code)
        job = Job(job.name, job.command, job.log, environment={"CONTRACT_TEST": "here"})
        _wait(executor, _submit(executor, job))
        expect(job.log.read_text().strip() == "here", f"its log holds {job.log.read_text()!r}")


@check()
def a_killed_job_is_told(component: ComponentUnderTest, seed: int) -> None:
    """A job that another process kills is lost, and not taken for one that ended."""
    with _new(component) as (executor, folder):
        job = _job(folder, "killed", _FOREVER)
        handles = _submit(executor, job)
        pid = _pid(job.log)
        if not _alive(pid):
            raise NotApplicable("its jobs run on another machine")
        os.kill(pid, signal.SIGKILL)
        (outcome,) = _wait(executor, handles).values()
        expect(outcome.lost, f"its outcome is {outcome}")


@check()
def a_time_limit_ends_a_job(component: ComponentUnderTest, seed: int) -> None:
    """A job beyond its time limit is ended, and told as timed out."""
    with _new(component) as (executor, folder):
        outcomes = _wait(executor, _submit(executor, _job(folder, "long", _FOREVER, 1.0)))
        expect(outcomes["long"].timed_out, f"its outcome is {outcomes['long']}")


@check()
def a_canceled_job_ends(component: ComponentUnderTest, seed: int) -> None:
    """A job that is canceled ends, also if it is canceled twice."""
    with _new(component) as (executor, folder):
        job = _job(folder, "canceled", _FOREVER)
        handles = _submit(executor, job)
        pid = _pid(job.log)
        state = executor.state(handles[job.name])
        expect(state == "running", f"a running job is {state}")
        executor.cancel(handles[job.name])
        executor.cancel(handles[job.name])
        (outcome,) = _wait(executor, handles).values()
        expect(outcome.returncode != 0, "a canceled job ends with exit status 0")
        expect(_ends(pid), "its process runs on")
        state = executor.state(handles[job.name])
        expect(state != "running", f"a canceled job is {state}")


@check()
def nothing_is_left_running(component: ComponentUnderTest, seed: int) -> None:
    """Closing it ends its jobs, unless they outlive the process that submitted them."""
    with _new(component) as (executor, folder):
        job = _job(folder, "left", _FOREVER)
        handles = _submit(executor, job)
        pid = _pid(job.log)
        outlives = executor.capabilities.outlives
        executor.close()
        if not outlives:
            expect(_ends(pid), "a job runs on after close()")
            return
        expect(_alive(pid), "a job that should outlive its process has ended with close()")
        again: Executor = component.create()
        state = again.state(handles[job.name])
        expect(state == "running", f"another instance says that the job is {state}")
        again.cancel(handles[job.name])
        expect(_ends(pid), "another instance cannot cancel the job")


@check()
def functions_are_called_in_order(component: ComponentUnderTest, seed: int) -> None:
    """If it calls functions, a setup is called in its workers, and results keep their order."""
    with _new(component) as (executor, _):
        if not isinstance(executor, CallsFunctions):
            raise NotApplicable("it runs jobs only")
        expect(
            ForkingPickler.loads(ForkingPickler.dumps(_setup)) is _setup,
            "a function cannot be pickled",
        )
        with executor.workers(_setup) as pool:
            found = list(pool.map([(i,) for i in range(6)]))
        expect(found == [i * i for i in range(6)], f"the results are {found}")


def _setup() -> Callable[[int], int]:
    return _square


def _square(n: int) -> int:
    return n * n
