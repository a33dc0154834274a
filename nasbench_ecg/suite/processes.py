"""Commands on this machine, each in a process of its own, a few at a time, none beyond its time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        name: What it is called in outcomes.
        command: The words of the command.
        log: File that takes what it prints, stdout and stderr.
    """

    name: str
    command: Sequence[str]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: The job.
        returncode: Its exit status; −n where signal n ended it.
        timed_out: Whether it was ended because its time was over.
        seconds: Wall time that it took.
    """

    job: Job
    returncode: int
    timed_out: bool
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether someone else killed it, as the kernel does where memory runs out."""
        return self.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) and not self.timed_out


@dataclass(frozen=True)
class LocalExecutor:
    """Runs jobs as subprocesses in slots of this machine.

    A job that is out of time, or left when the caller stops, gets SIGTERM, and SIGKILL with all its
    descendants if it is still there after the grace.

    Attributes:
        workers: Jobs at a time.
        gpus: Identifiers of GPUs that the slots take in turn, so that with as many workers each job
            sees one of its own; empty leaves them as they are.
        time_limit: Longest that a job may take, in seconds; None: no limit.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    workers: int = 1
    gpus: Sequence[str] = ()
    time_limit: float | None = None
    grace: float = 30.0

    def run(
        self, jobs: Sequence[Job], started: Callable[[Job], None]
    ) -> Generator[Outcome, None, None]:
        """Yield the outcome of each job as it ends; closing the generator ends what still runs."""
        waiting = list(reversed(jobs))
        free = list(reversed(range(self.workers)))
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and free:
                    running.append(self._start(waiting.pop(), free.pop()))
                    started(running[-1].job)
                ended = [one for one in running if one.over()]
                for one in ended:
                    running.remove(one)
                    free.append(one.slot)
                    yield one.outcome()
                if not ended:
                    time.sleep(_POLL_SECONDS)
        finally:
            for one in running:
                one.stop()
            for one in running:
                one.wait()

    def _start(self, job: Job, slot: int) -> _Running:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("wb") as log:
            process = _spawn(job.command, log, self._environment(slot))
        return _Running(job, process, slot, self.time_limit, self.grace)

    def _environment(self, slot: int) -> dict[str, str]:
        changes: dict[str, str] = {}
        if self.gpus:
            changes["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        if self.workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            changes["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // self.workers))
        return {**os.environ, **changes}


def _spawn(
    command: Sequence[str], log: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, which Ctrl-C at the terminal does not reach."""
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )


@dataclass
class _Running:
    """A job at work, and when its patience ends."""

    job: Job
    process: subprocess.Popen[bytes]
    slot: int
    time_limit: float | None
    grace: float
    began: float = field(default_factory=time.monotonic)
    stopped: float | None = None

    def over(self) -> bool:
        """Return whether it has ended; ask it to where its time is over, then make it."""
        if self.process.poll() is not None:
            return True
        now = time.monotonic()
        if self.stopped is not None:
            if now - self.stopped > self.grace:
                self._signal(signal.SIGKILL)
        elif self.time_limit is not None and now - self.began > self.time_limit:
            self.stop()
        return False

    def stop(self) -> None:
        """Ask it to end."""
        if self.stopped is None:
            self.stopped = time.monotonic()
            self._signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has ended, and kill it when the grace is over."""
        try:
            self.process.wait(self.grace)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._signal(signal.SIGKILL)
            self.process.wait()

    def outcome(self) -> Outcome:
        """Return how it ended."""
        return Outcome(
            job=self.job,
            returncode=self.process.returncode,
            timed_out=self.stopped is not None,
            seconds=time.monotonic() - self.began,
        )

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
