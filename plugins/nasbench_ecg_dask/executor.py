"""Jobs and candidate evaluations on the workers of a Dask cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
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
from nasbench_ecg_dask.watch import POLL_SECONDS, Watch

_CLOSE_SECONDS = 60.0
"""Most seconds that jobs have to end, which is longer than the grace of a job."""

_CLIENT_SECONDS = 5.0
"""Seconds between two looks of a job at whether the process that submitted it is there."""

_MOST_SENDS = 3
"""How often a call may meet a worker that was started anew, before it is taken to end workers."""

_SETUPS: dict[_Key, _Lazy] = {}
"""In a worker: the setups of the searches that it works for."""

_ONE_CALL = threading.Lock()
"""Held by a call in a worker: torch's generators and number of threads are those of the process."""


class DaskOptions(Options):
    """Options of the executor ``dask``."""

    address: str | None = None
    """Address of the scheduler, such as ``tcp://host:8786``; null for workers on this machine."""
    workers: int = Field(default=2, ge=1)
    """Workers that are started on this machine, where ``address`` is null."""
    connect_seconds: float = Field(default=30.0, gt=0)
    """Most seconds to wait for the scheduler and its first worker, and for a worker where
    none is left."""
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
        self._watch: Watch | None = None
        self._futures: dict[str, Any] = {}
        self._processing: set[str] = set()
        self._processing_at = -POLL_SECONDS

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
                _run_job, job, handle, client.id, key=handle, pure=False, retries=0
            )
            handles.append(handle)
        return handles

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while it is queued or runs.

        Raises:
            ExecutorError: No worker is left that could run it.
        """
        future = self._futures.get(handle)
        if future is None:
            return Outcome(None, reason="There is no such job.")
        if not future.done():
            assert self._watch is not None
            self._watch.look()
            return None
        if future.cancelled():
            assert self._watch is not None
            self._watch.check_scheduler()
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
        if time.monotonic() - self._processing_at >= POLL_SECONDS:
            self._processing = {key for of in self._client.processing().values() for key in of}
            self._processing_at = time.monotonic()
        return "running" if handle in self._processing else "queued"

    def cancel(self, handle: str) -> None:
        """End a job with SIGTERM, or take it out of the queue."""
        from distributed import Event

        if handle in self._futures and not self._futures[handle].done():
            Event(handle, client=self._client).set()
            if self.state(handle) == "queued":
                self._client.cancel([self._futures[handle]])

    def close(self) -> None:
        """End all jobs, and leave the cluster."""
        for handle in self._futures:
            self.cancel(handle)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while time.monotonic() < deadline and not all(f.done() for f in self._futures.values()):
            time.sleep(0.1)
        self._futures.clear()
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._client = self._cluster = self._watch = None

    @contextmanager
    def workers(self, setup: Setup) -> Iterator[WorkerPool]:
        """Send ``setup`` once to each worker, and call its function there."""
        client = self._connect()
        assert self._watch is not None
        pool = _Pool(client, setup, self._watch)
        try:
            pool.send()
            yield pool
        finally:
            pool.forget()
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
            self.close()
            raise ExecutorError(
                f"The Dask cluster does not answer: {str(error).rstrip('.')}.",
                where=options.address or "this machine",
                fix="Check that the scheduler runs and has a worker; set its address with --set "
                "executor.address=tcp://HOST:PORT.",
            ) from error
        self._watch = Watch(self._client, seconds)
        self._watch.check_packages()
        return self._client


class _Pool:
    """Calls the function of a setup in the workers of a cluster.

    Each worker gets the setup once, and a worker that joins later when a call meets it. Data that
    Dask itself distributes would not do: it deletes copies that no call needs at the moment, and
    they are lost with the worker that has the last one.
    """

    def __init__(self, client: Any, setup: Setup, watch: Watch) -> None:
        self._client = client
        self._setup = setup
        self._watch = watch
        self._key: _Key = client.id, uuid4().hex

    def map(self, calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield the results of calls in their order; a lost worker's calls are made again.

        Raises:
            ExecutorError: A call has ended several workers, no worker is left, or the scheduler is
                lost.
        """
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        futures = [self._submit(call) for call in calls]
        try:
            for number, call in enumerate(calls):
                sent = 0
                while isinstance(found := self._result(futures[number]), _NoSetup):
                    if sent == _MOST_SENDS:
                        raise self._watch.lost("a candidate has ended several of them")
                    sent += 1
                    self.send()
                    futures[number] = self._submit(call)
                yield found
        except (KilledWorker, CancelledError, CommClosedError) as error:
            raise self._watch.lost(str(error).splitlines()[0].rstrip(".")) from error
        finally:
            self._client.cancel([future for future in futures if not future.done()])

    def _result(self, future: Any) -> Any:
        while True:
            try:
                return future.result(timeout=POLL_SECONDS)
            except TimeoutError:
                if future.status == "error":  # the call itself has raised it
                    raise
                self._watch.look()

    def _submit(self, call: tuple[Any, ...]) -> Any:
        return self._client.submit(_call, self._key, call, pure=False)

    def send(self) -> None:
        """Send the setup to the workers that do not have it."""
        found = self._client.run(_has_setup, self._key, on_error="ignore")
        if without := [worker for worker, has in found.items() if not has]:
            # Nested, so that it is sent by value: the scheduler may be without this package.
            clients = self._client.run_on_scheduler(
                lambda dask_scheduler: [*dask_scheduler.clients]
            )
            self._client.run(
                _keep, self._key, self._setup, clients, workers=without, on_error="ignore"
            )

    def forget(self) -> None:
        """Remove the setup from the workers, where other searches may go on."""
        with suppress(Exception):  # the scheduler is lost, and an error may be on its way
            self._client.run(_forget, self._key, on_error="ignore")


_Key = tuple[str, str]
"""The client of a search, and the pool."""


class _NoSetup:
    """What a worker returns that has joined later, or was started again, and has no setup."""


def _has_setup(key: _Key) -> bool:
    return key in _SETUPS


def _keep(key: _Key, setup: Setup, clients: Collection[str]) -> None:
    """Keep a setup, and forget those of clients that were killed and could not remove theirs."""
    for other in [other for other in _SETUPS if other[0] not in clients]:
        _forget(other)
    _SETUPS[key] = _Lazy(setup)


def _forget(key: _Key) -> None:
    _SETUPS.pop(key, None)


class _Lazy:
    """A setup that is called with the first call in its worker."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    @cached_property
    def function(self) -> Callable[..., Any]:
        """What the setup returns."""
        return self._setup()


def _call(key: _Key, arguments: tuple[Any, ...]) -> Any:
    with _ONE_CALL:
        if (setup := _SETUPS.get(key)) is None:
            return _NoSetup()
        return setup.function(*arguments)


def _run_job(job: Job, handle: str, submitter: str) -> Outcome:
    """Run a job; end it when it is told to, or when the client that submitted it has gone."""
    from distributed import Event, get_client

    client = get_client()
    told = Event(handle, client=client)
    looked = time.monotonic()

    def stop() -> bool:
        nonlocal looked
        if time.monotonic() - looked >= _CLIENT_SECONDS:
            looked = time.monotonic()
            if submitter not in client.run_on_scheduler(
                lambda dask_scheduler: [*dask_scheduler.clients]
            ):
                return True
        return bool(told.is_set())

    return run_job(job, stop=stop)
