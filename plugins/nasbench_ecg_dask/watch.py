"""Whether a Dask cluster can do its work: its scheduler answers, and it has workers that can."""

from __future__ import annotations

import time
from typing import Any

from nasbench_ecg.api import ExecutorError

POLL_SECONDS = 1.0
"""Seconds between two looks at whether a cluster that gives no result has workers."""


class Watch:
    """Sees whether a cluster has workers; without any, Dask waits for one, which need not come."""

    def __init__(self, client: Any, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._looked = time.monotonic()
        self._without_since: float | None = None
        self._with_packages: set[str] = set()

    def look(self) -> None:
        """Look at most once a second.

        Raises:
            ExecutorError: There has been no worker for the seconds of the patience, a worker has
                not the packages of this one, or the scheduler is gone.
        """
        now = time.monotonic()
        if now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        self.check_scheduler()
        if self._client.scheduler_info().get("workers"):
            self._without_since = None
            self.check_packages()
        elif self._without_since is None:
            self._without_since = now
        elif now - self._without_since >= self._patience:
            raise self.lost(f"for {self._patience:g} s there has been none")

    def check_scheduler(self) -> None:
        """Check that this process is connected to the scheduler.

        Raises:
            ExecutorError: It is not.
        """
        if self._client.status != "running":
            raise self.lost("the scheduler has gone")

    def check_packages(self) -> None:
        """Check that workers that are new here have this package, without which they end.

        Raises:
            ExecutorError: One has not.
        """
        workers = set(self._client.scheduler_info().get("workers", ()))
        if not (new := sorted(workers - self._with_packages)):
            return

        # Nested, so that it is sent by value: the worker may be without this package.
        def has_package(name: str = __name__.partition(".")[0]) -> bool:
            from importlib.util import find_spec

            return find_spec(name) is not None

        found = self._client.run(has_package, workers=new, on_error="ignore")
        if without := [worker for worker, has in found.items() if has is False]:
            raise ExecutorError(
                f"A worker of the Dask cluster has no nasbench-ecg: {without[0]}.",
                where=self._client.scheduler.address,
                fix="Start the workers in an environment with the same version of nasbench-ecg "
                "as here.",
            )
        self._with_packages |= found.keys()

    def lost(self, reason: str) -> ExecutorError:
        """Return the error of workers that are gone."""
        return ExecutorError(
            f"The workers of the Dask cluster are lost: {reason}.",
            where=self._client.scheduler.address,
            fix="If memory ran out, give workers more of it. Finished evaluations are saved: "
            "the same command continues from there.",
        )
