"""What an executor is: it runs jobs, here or on other machines, and tells how each ended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

JobState = Literal["queued", "running", "ended", "unknown"]
"""``unknown``: the engine does not know the job, or no longer."""


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        name: Its name, a word that is different for each job.
        command: The command and its arguments.
        log: File that receives its stdout and stderr.
        time_limit: Most seconds that it may take; None for no limit.
        environment: Environment variables that it has besides those of the process.
    """

    name: str
    command: Sequence[str]
    log: Path
    time_limit: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        returncode: Its exit status; -n if signal n ended it; None if nobody knows, as of a job that
            is no longer in its queue and left no result.
        timed_out: Whether it was ended at its time limit.
        seconds: Wall time that it took; 0 if nobody knows.
        reason: What the engine says about its end, one sentence, if it says anything.
        canceled: Whether somebody took it out of the queue, so that it is not to be tried again.
    """

    returncode: int | None
    timed_out: bool = False
    seconds: float = 0.0
    reason: str = ""
    canceled: bool = False

    @property
    def killed(self) -> bool:
        """Whether another process killed it, as the kernel does when memory runs out."""
        return self.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) and not self.timed_out

    @property
    def lost(self) -> bool:
        """Whether it was ended from outside, so that it may end well when it is tried again."""
        ended = self.timed_out or self.canceled
        return (self.killed or self.returncode is None) and not ended


@dataclass(frozen=True)
class Capabilities:
    """What an executor can do.

    Attributes:
        slots: Number of jobs that it accepts at the same time; None if it has a queue of its own.
        outlives: Whether jobs go on when the process that submitted them ends. Their handles are
            then stored, and another process may ask for them.
        remote: Whether jobs run on other machines, so that folders and versions must be the same
            there.
        retries: How many times a job is submitted again that was killed or has vanished.
    """

    slots: int | None = None
    outlives: bool = False
    remote: bool = False
    retries: int = 0


class Executor(Protocol):
    """Runs jobs. A handle is a text that names a job, also for another process.

    The first word of a handle is what the engine's own commands call the job.

    A job has ended when :meth:`outcome` tells how. One failing job does not disturb others.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Start or queue ``jobs``, and return their handles in the same order.

        Raises:
            ExecutorError: The engine refuses them.
            ExecutorBusyError: It takes no jobs now, and none was submitted; they are offered again.
        """

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while it is queued or runs."""

    def state(self, handle: str) -> JobState:
        """Return the state of a job."""

    def cancel(self, handle: str) -> None:
        """End a job with SIGTERM, or take it out of the queue; nothing if it has ended."""

    def close(self) -> None:
        """Leave the engine. Jobs that do not outlive this process are ended first."""


Setup = Callable[[], Callable[..., Any]]
"""Called once in each worker; returns the function that the worker calls."""


class WorkerPool(Protocol):
    """Workers that have called a setup, and call the function that it returned."""

    def map(self, calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Call the function once for each tuple of arguments; yield the results in their order."""


@runtime_checkable
class CallsFunctions(Protocol):
    """An executor that also calls Python functions in workers that it keeps.

    A search uses it to evaluate its candidates on several machines.
    """

    def workers(self, setup: Setup) -> AbstractContextManager[WorkerPool]:
        """Send ``setup``, which can be pickled, once to each worker; close the pool at the end."""
