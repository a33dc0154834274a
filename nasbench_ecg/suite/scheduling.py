"""Give jobs to an executor and collect how they end, whatever the executor is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
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
    able = executor.capabilities
    by_name = {job.name: job for job in jobs}
    running = {handle: by_name[name] for name, handle in (attached or {}).items()}
    waiting = [job for job in jobs if job not in running.values()]
    tries: Counter[str] = Counter()
    asked_at = -LATER_SECONDS
    quiet = dict.fromkeys(running)  # jobs that are not yet seen running
    try:
        while waiting or running:
            free = len(waiting) if able.slots is None else able.slots - len(running)
            chosen: list[Job] = []
            if free > 0 and waiting and time.monotonic() - asked_at >= LATER_SECONDS:
                later: list[Job] = []
                while waiting and len(chosen) < free:
                    job = waiting.pop(0)
                    answer = readiness(job)
                    if answer == "drop":
                        yield job, None
                    else:
                        (chosen if answer == "start" else later).append(job)
                waiting = [*waiting, *later]
                asked_at = -LATER_SECONDS if chosen else time.monotonic()
            for job in list(chosen):
                if not tries[job.name] and (handle := living(job)):
                    chosen.remove(job)
                    running[handle] = job
                    quiet[handle] = None
            if chosen:
                try:
                    with signals_delayed():
                        for job, handle in zip(chosen, executor.submit(chosen), strict=True):
                            running[handle] = job
                            quiet[handle] = None
                            submitted(job, handle)
                except ExecutorBusyError:
                    waiting = [*chosen, *waiting]
                    asked_at = time.monotonic() + BUSY_SECONDS - LATER_SECONDS
            ended = False
            for handle in [one for one in quiet if _is_running(executor, one)]:
                quiet.pop(handle, None)
                started(running[handle])
            for handle, job in list(running.items()):
                outcome = executor.outcome(handle)
                if outcome is None:
                    continue
                ended = True
                del running[handle]
                quiet.pop(handle, None)
                if outcome.lost and tries[job.name] < able.retries and wanted(job):
                    tries[job.name] += 1
                    retried(job, outcome)
                    waiting.insert(0, job)
                else:
                    yield job, outcome
            if not ended and (running or waiting):
                time.sleep(QUEUE_POLL_SECONDS if able.remote else POLL_SECONDS)
            elif ended:
                asked_at = -LATER_SECONDS
    finally:
        if not able.outlives:
            for handle in running:
                executor.cancel(handle)
        executor.close()


def _is_running(executor: Executor, handle: str) -> bool:
    """Return whether a job runs, as far as the engine answers."""
    if executor.capabilities.slots is not None:
        return True
    try:
        return executor.state(handle) == "running"
    except ExecutorError:
        return False
