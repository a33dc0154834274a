"""Jobs and candidate evaluations on the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from pydantic import Field

from nasbench_ecg.api import (
    Capabilities,
    ExecutorError,
    Job,
    JobState,
    Options,
    Outcome,
    Setup,
    WorkerPool,
    run_job,
)

_CLOSE_SECONDS = 60.0
"""Most seconds that jobs have to end, which is longer than the grace of a job."""

_CALLS: dict[str, Any] = {}
"""In a worker: the functions that setups have returned, by name of the setup."""


class DaskOptions(Options):
    """Options of the executor ``dask``."""

    address: str | None = None
    """Address of the scheduler, such as ``tcp://host:8786``; None for workers on this machine."""
    workers: int = Field(default=2, ge=1)
    """Workers that are started on this machine, where ``address`` is None."""
    connect_seconds: float = Field(default=30.0, gt=0)
    """Most seconds to wait for the scheduler and its first worker."""
    retries: int = Field(default=2, ge=0)
    """How many times a job whose worker was lost is submitted again."""


class DaskExecutor:
    """Runs jobs, and evaluates candidates, on the workers of a Dask cluster.

    Choose it to spread the candidates of one search over several machines: the beats are sent to
    each worker once. Jobs end when the process that submitted them ends.

    Args:
        options: The options.
    """

    def __init__(self, options: DaskOptions) -> None:
        self.options = options
        self._cluster: Any = None
        self._client: Any = None
        self._futures: dict[str, Any] = {}

    @property
    def capabilities(self) -> Capabilities:
        """It has a queue, and its workers may be on other machines."""
        return Capabilities(remote=True, retries=self.options.retries)

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Queue jobs; each runs as a process beside a worker.

        Raises:
            ExecutorError: There is no scheduler, or it has no worker.
        """
        client = self._connect()
        handles = []
        for job in jobs:
            handle = uuid4().hex
            job = replace(job, log=job.log.resolve())
            self._futures[handle] = client.submit(
                _run_job, job, handle, key=handle, pure=False, retries=0
            )
            handles.append(handle)
        return handles

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while it is queued or runs."""
        future = self._futures.get(handle)
        if future is None:
            return Outcome(None, reason="There is no such job.")
        if not future.done():
            return None
        if future.cancelled():
            return Outcome(None, reason="The job was taken out of the queue.")
        if (error := future.exception()) is not None:
            return Outcome(None, reason=f"Its worker was lost: {error}")
        outcome: Outcome = future.result()
        return outcome

    def state(self, handle: str) -> JobState:
        """Return what the scheduler says of a job."""
        future = self._futures.get(handle)
        if future is None:
            return "unknown"
        if future.done():
            return "ended"
        running = self._client.processing()
        return "running" if any(handle in keys for keys in running.values()) else "queued"

    def cancel(self, handle: str) -> None:
        """End a job with SIGTERM, or take it out of the queue."""
        from distributed import Event

        if handle in self._futures and not self._futures[handle].done():
            Event(handle, client=self._client).set()

    def close(self) -> None:
        """End all jobs, and leave the cluster."""
        if self._client is None:
            return
        for handle in self._futures:
            self.cancel(handle)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while time.monotonic() < deadline and not all(f.done() for f in self._futures.values()):
            time.sleep(0.1)
        self._futures.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._client = self._cluster = None

    @contextmanager
    def workers(self, setup: Setup) -> Iterator[WorkerPool]:
        """Send ``setup`` once to each worker, and call its function there."""
        client = self._connect()
        try:
            yield _Pool(client, setup)
        finally:
            self.close()

    def _connect(self) -> Any:
        if self._client is not None:
            return self._client
        from distributed import Client, LocalCluster

        options, seconds = self.options, self.options.connect_seconds
        try:
            address = options.address
            if address is None:
                self._cluster = LocalCluster(
                    n_workers=options.workers, threads_per_worker=1, dashboard_address=None
                )
                address = self._cluster.scheduler_address
            self._client = Client(address, timeout=seconds, set_as_default=False)
            self._client.wait_for_workers(1, timeout=seconds)
        except (OSError, ValueError, TimeoutError) as error:
            raise ExecutorError(
                f"The Dask cluster does not answer: {str(error).rstrip('.')}.",
                where=options.address or "this machine",
                fix="Check that the scheduler runs and has a worker; set its address with --set "
                "executor.address=tcp://HOST:PORT.",
            ) from error
        return self._client


class _Pool:
    """Calls the function of a setup in the workers of a cluster."""

    def __init__(self, client: Any, setup: Setup) -> None:
        self._client = client
        self._name = uuid4().hex
        self._setup = client.scatter(setup, broadcast=True, hash=False)

    def map(self, calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield the results of calls in their order; a lost worker's calls are made again."""
        futures = [
            self._client.submit(_call, self._setup, self._name, call, pure=False) for call in calls
        ]
        try:
            for future in futures:
                yield future.result()
        finally:
            self._client.cancel([future for future in futures if not future.done()])


def _call(setup: Setup, name: str, arguments: tuple[Any, ...]) -> Any:
    if name not in _CALLS:
        _CALLS.clear()
        _CALLS[name] = setup()
    return _CALLS[name](*arguments)


def _run_job(job: Job, handle: str) -> Outcome:
    from distributed import Event, get_client

    stopped = Event(handle, client=get_client())
    return run_job(job, stop=stopped.is_set)
