"""Child processes on this machine: a few at a time, each with a time limit, none left behind.

Each child has one end of a pipe. When this process ends, even by a kill, the pipe closes, and a run
ends itself: see :mod:`nasbench_ecg.shutdown`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from nasbench_ecg.executors import Capabilities, Job, JobState, Outcome
from nasbench_ecg.options import Options
from nasbench_ecg.shutdown import LIFELINE

POLL_SECONDS = 0.05
"""Seconds between two looks at running processes."""


class LocalOptions(Options):
    """Options of the executor ``local``."""

    workers: int = Field(default=1, ge=1)
    """Number of jobs that run at the same time."""
    gpus: tuple[str, ...] = ()
    """Identifiers of GPUs, given to the workers in turn: with as many workers, each job has a GPU
    of its own. If empty, CUDA_VISIBLE_DEVICES is not changed."""
    grace: float = Field(default=30.0, ge=0)
    """Seconds between SIGTERM and SIGKILL for a job that is ended."""


class LocalExecutor:
    """Runs jobs as child processes of this one; they end when this process ends.

    Args:
        options: The options.
    """

    def __init__(self, options: LocalOptions | None = None) -> None:
        self.options = options or LocalOptions()
        self._free = list(reversed(range(self.options.workers)))
        self._running: dict[str, tuple[int, ChildProcess]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._started = 0

    @property
    def capabilities(self) -> Capabilities:
        """It has a slot for each worker."""
        return Capabilities(slots=self.options.workers)

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Start jobs; at most as many as there are free workers."""
        return [self._start(job) for job in jobs]

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while it runs."""
        if handle in self._running:
            slot, child = self._running[handle]
            if not child.ended():
                return None
            del self._running[handle]
            self._free.append(slot)
            outcome = Outcome(child.returncode, child.timed_out, child.seconds)
            self._outcomes[handle] = outcome
        return self._outcomes.get(handle, Outcome(None, reason="There is no such job."))

    def state(self, handle: str) -> JobState:
        """Return ``running``, ``ended`` or ``unknown``."""
        if handle in self._running:
            return "running" if self.outcome(handle) is None else "ended"
        return "ended" if handle in self._outcomes else "unknown"

    def cancel(self, handle: str) -> None:
        """End a job with SIGTERM; with SIGKILL after the grace."""
        if handle in self._running:
            self._running[handle][1].terminate()

    def close(self) -> None:
        """End all jobs."""
        children = [child for _, child in self._running.values()]
        for child in children:
            child.terminate()
        for child in children:
            child.wait()

    def _start(self, job: Job) -> str:
        slot = self._free.pop()
        self._started += 1
        handle = str(self._started)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        child = ChildProcess(
            job.command,
            job.log,
            environment={**self._environment(slot), **job.environment},
            time_limit=job.time_limit,
            grace=self.options.grace,
        )
        self._running[handle] = slot, child
        return handle

    def _environment(self, slot: int) -> dict[str, str]:
        options, changes = self.options, dict[str, str]()
        if options.gpus:
            changes["CUDA_VISIBLE_DEVICES"] = options.gpus[slot % len(options.gpus)]
        if options.workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            changes["OMP_NUM_THREADS"] = str(max(1, _usable_cores() // options.workers))
        return {**os.environ, **changes}


def _usable_cores() -> int:
    """Return the cores that this process may use: in a job or a container not all of a machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        read, self._lifeline = os.pipe()
        lifeline = {LIFELINE: f"{read}:{os.fstat(read).st_ino}"}
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**(os.environ if environment is None else environment), **lifeline},
                    start_new_session=True,
                    pass_fds=(read,),
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(read)

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
            self._close_lifeline()
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
            self._close_lifeline()
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.kill()

    def kill(self) -> None:
        """Kill the process group and wait until the process has ended."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._close_lifeline()

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
