"""Give jobs to an executor and collect how they end, whatever the executor is."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Literal

from nasbench_ecg.errors import ExecutorBusyError, ExecutorError
from nasbench_ecg.executors import Executor, Job, Outcome
from nasbench_ecg.shutdown import signals_delayed

Readiness = Literal["start", "later", "drop"]

POLL_SECONDS = 0.05
"""Seconds between two looks at jobs that run here."""
QUEUE_POLL_SECONDS = 2.0
"""Seconds between two looks at jobs in a queue."""
BUSY_SECONDS = 15.0
"""Seconds between two attempts to give jobs to an engine that takes none."""
LATER_SECONDS = 1.0
"""Seconds between two looks at jobs that cannot start yet."""


def run_jobs(
    executor: Executor,
    jobs: Sequence[Job],
    *,
    readiness: Callable[[Job], Readiness] = lambda job: "start",
    started: Callable[[Job], None] = lambda job: None,
    submitted: Callable[[Job, str], None] = lambda job, handle: None,
    wanted: Callable[[Job], bool] = lambda job: True,
    retried: Callable[[Job, Outcome], None] = lambda job, outcome: None,
    attached: Mapping[str, str] | None = None,
    living: Callable[[Job], str | None] = lambda job: None,
) -> Generator[tuple[Job, Outcome | None], None, None]:
    """Yield each job with its outcome when it ends; None for a job that was dropped.

    A job that was lost is submitted again as often as the executor says, and jobs that the engine
    does not take now are offered again. SIGINT and SIGTERM wait until the handle of a submitted job
    is stored. Closing the generator ends the jobs, unless they outlive this process.

    Args:
        executor: Runs the jobs.
        jobs: The jobs; they start in this order.
        readiness: Asked before a job is submitted: start it, ask again later, or drop it.
        started: Called when a job is seen running; at once where the executor has no queue.
        submitted: Called with the handle of a job that was submitted.
        wanted: Asked whether a lost job is to be submitted again.
        retried: Called with how a job was lost that is submitted again.
        attached: Handles of jobs that were submitted before, by name.
        living: Asked before a job is submitted for the handle of a job that another process has
            submitted for it in the meantime.
    """
    own = _Jobs(executor, jobs, attached or {})
    try:
        while own.waiting or own.running:
            chosen, dropped = own.choose(readiness)
            for job in dropped:
                yield job, None
            own.submit(chosen, living, submitted)
            for job in own.seen_running():
                started(job)
            ended = False
            for job, outcome in own.ended():
                ended = True
                if own.may_be_tried_again(job, outcome) and wanted(job):
                    retried(job, outcome)
                    own.try_again(job)
                else:
                    yield job, outcome
            if ended:
                own.ask_at = -math.inf
            elif own.waiting or own.running:
                time.sleep(QUEUE_POLL_SECONDS if executor.capabilities.remote else POLL_SECONDS)
    finally:
        if not executor.capabilities.outlives:
            for handle in own.running:
                executor.cancel(handle)
        executor.close()


class _Jobs:
    """The jobs that wait, and those that the engine has.

    Args:
        executor: Runs the jobs.
        jobs: The jobs; they start in this order.
        attached: Handles of jobs that were submitted before, by name.

    Attributes:
        waiting: Jobs that are still to be submitted.
        running: Submitted jobs by handle.
        ask_at: Time of the monotonic clock from which waiting jobs are looked at.
    """

    def __init__(
        self, executor: Executor, jobs: Sequence[Job], attached: Mapping[str, str]
    ) -> None:
        by_name = {job.name: job for job in jobs}
        self.running = {handle: by_name[name] for name, handle in attached.items()}
        self.waiting = [job for job in jobs if job.name not in attached]
        self.ask_at = -math.inf
        self._executor = executor
        self._quiet = dict.fromkeys(self.running)  # not yet seen running
        self._tries: Counter[str] = Counter()

    def choose(self, readiness: Callable[[Job], Readiness]) -> tuple[list[Job], list[Job]]:
        """Take jobs that can start now from those that wait, and jobs that are dropped."""
        chosen: list[Job] = []
        later: list[Job] = []
        dropped: list[Job] = []
        lists: dict[Readiness, list[Job]] = {"start": chosen, "later": later, "drop": dropped}
        slots = self._executor.capabilities.slots
        free = len(self.waiting) if slots is None else slots - len(self.running)
        if free > 0 and self.waiting and time.monotonic() >= self.ask_at:
            while self.waiting and len(chosen) < free:
                job = self.waiting.pop(0)
                lists[readiness(job)].append(job)
            self.waiting += later
            self.ask_at = -math.inf if chosen else time.monotonic() + LATER_SECONDS
        return chosen, dropped

    def submit(
        self,
        chosen: Sequence[Job],
        living: Callable[[Job], str | None],
        submitted: Callable[[Job, str], None],
    ) -> None:
        """Submit jobs, but not those that another process has submitted meanwhile."""
        new: list[Job] = []
        for job in chosen:
            if not self._tries[job.name] and (handle := living(job)):
                self._add(job, handle)
            else:
                new.append(job)
        if not new:
            return
        try:
            with signals_delayed():
                for job, handle in zip(new, self._executor.submit(new), strict=True):
                    self._add(job, handle)
                    submitted(job, handle)
        except ExecutorBusyError:
            self.waiting = [*new, *self.waiting]
            self.ask_at = time.monotonic() + BUSY_SECONDS

    def _add(self, job: Job, handle: str) -> None:
        self.running[handle] = job
        self._quiet[handle] = None

    def seen_running(self) -> list[Job]:
        """Return the jobs that run now and did not when this was asked last."""
        seen = [handle for handle in self._quiet if _is_running(self._executor, handle)]
        for handle in seen:
            del self._quiet[handle]
        return [self.running[handle] for handle in seen]

    def ended(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield the jobs that have ended, with their outcomes."""
        for handle, job in list(self.running.items()):
            if (outcome := self._executor.outcome(handle)) is not None:
                del self.running[handle]
                self._quiet.pop(handle, None)
                yield job, outcome

    def may_be_tried_again(self, job: Job, outcome: Outcome) -> bool:
        """Return whether a job was lost, and not yet as often as the executor allows."""
        return outcome.lost and self._tries[job.name] < self._executor.capabilities.retries

    def try_again(self, job: Job) -> None:
        """Let a job wait again, before all others."""
        self._tries[job.name] += 1
        self.waiting.insert(0, job)


def _is_running(executor: Executor, handle: str) -> bool:
    """Return whether a job runs, as far as the engine answers."""
    if executor.capabilities.slots is not None:
        return True
    try:
        return executor.state(handle) == "running"
    except ExecutorError:
        return False
