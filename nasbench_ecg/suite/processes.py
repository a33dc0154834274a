"""Child processes on this machine: a few at a time, each with a time limit, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.05
"""Seconds between two looks at running processes."""


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        name: Its name in outcomes.
        command: The command and its arguments.
        log: File that receives its stdout and stderr.
    """

    name: str
    command: Sequence[str]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: The job.
        returncode: Its exit status; -n if signal n ended it.
        timed_out: Whether it was ended at its time limit.
        seconds: Wall time that it took.
    """

    job: Job
    returncode: int
    timed_out: bool
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether another process killed it, as the kernel does when memory runs out."""
        return self.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) and not self.timed_out


@dataclass(frozen=True)
class LocalExecutor:
    """Runs jobs as child processes of this one.

    Attributes:
        workers: Number of jobs that run at the same time.
        gpus: Identifiers of GPUs, given to the workers in turn: with as many workers, each job has
            a GPU of its own. If empty, CUDA_VISIBLE_DEVICES is not changed.
        time_limit: Most seconds that a job may take; None for no limit.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    workers: int = 1
    gpus: Sequence[str] = ()
    time_limit: float | None = None
    grace: float = 30.0

    def run(
        self, jobs: Sequence[Job], started: Callable[[Job], None]
    ) -> Generator[Outcome, None, None]:
        """Yield the outcome of each job as it ends; closing the generator ends running jobs."""
        waiting = list(reversed(jobs))
        free = list(reversed(range(self.workers)))
        running: dict[int, tuple[Job, ChildProcess]] = {}
        try:
            while waiting or running:
                while waiting and free:
                    job, slot = waiting.pop(), free.pop()
                    running[slot] = job, self._start(job, slot)
                    started(job)
                ended = [slot for slot, (_, child) in running.items() if child.ended()]
                for slot in ended:
                    job, child = running.pop(slot)
                    free.append(slot)
                    yield Outcome(job, child.returncode, child.timed_out, child.seconds)
                if not ended:
                    time.sleep(POLL_SECONDS)
        finally:
            for _, child in running.values():
                child.terminate()
            for _, child in running.values():
                child.wait()

    def _start(self, job: Job, slot: int) -> ChildProcess:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        return ChildProcess(
            job.command,
            job.log,
            environment=self._environment(slot),
            time_limit=self.time_limit,
            grace=self.grace,
        )

    def _environment(self, slot: int) -> dict[str, str]:
        changes: dict[str, str] = {}
        if self.gpus:
            changes["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        if self.workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            changes["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // self.workers))
        return {**os.environ, **changes}


class ChildProcess:
    """A child process in a session of its own, so that it can be ended with all its descendants.

    Ctrl-C at the terminal does not reach it. It reads nothing from stdin. Beyond its time limit it
    gets SIGTERM, and after the grace its whole process group gets SIGKILL; the limit is checked
    whenever :meth:`ended` is called.

    Args:
        command: The command and its arguments.
        log: File that receives stdout and stderr; its folder exists.
        environment: Environment variables; None for those of this process.
        time_limit: Most seconds that it may run; None for no limit.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        time_limit: float | None = None,
        grace: float = 30.0,
    ) -> None:
        self.time_limit = time_limit
        self.grace = grace
        self.timed_out = False
        self._started = self._limit_from = time.monotonic()
        self._terminated: float | None = None
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )

    @property
    def returncode(self) -> int:
        """Exit status of the ended process; -n if signal n ended it."""
        assert self._process.returncode is not None
        return self._process.returncode

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def ended(self) -> bool:
        """Return whether the process has ended; end it if its time is up."""
        if self._process.poll() is not None:
            return True
        now = time.monotonic()
        if self._terminated is not None:
            if now - self._terminated > self.grace:
                self._signal(signal.SIGKILL)
        elif self.time_limit is not None and now - self._limit_from > self.time_limit:
            self.timed_out = True
            self.terminate()
        return False

    def restart_time_limit(self) -> None:
        """Count the time limit from now, for a limit on silence and not on the whole process."""
        self._limit_from = time.monotonic()

    def terminate(self) -> None:
        """Send SIGTERM to the process group, once."""
        if self._terminated is None:
            self._terminated = time.monotonic()
            self._signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until the process has ended; after the grace, kill its process group."""
        try:
            self._process.wait(self.grace)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.kill()

    def kill(self) -> None:
        """Kill the process group and wait until the process has ended."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
