"""Claims of runs: which of several processes on one folder executes a run next.

A run has its lock (:mod:`nasbench_ecg.run.locks`) only when its own process has started, which
takes seconds. Without a claim, two processes that look for work in these seconds choose the same
run, and one of them waits for the other as long as the run lasts.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from nasbench_ecg.io import storage_errors


class Claims:
    """The runs that this process has chosen to execute.

    A claim is a file lock of the system, which ends with its process, also by a kill. Where a file
    system does not pass locks from host to host, two hosts may claim one run; its own lock still
    lets only one of them execute it.

    Args:
        folder: Folder of the claims.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    def take(self, run_key: str) -> bool:
        """Return whether this process has the claim of a run, now or since earlier.

        Raises:
            StorageError: The folder cannot be written.
        """
        if run_key in self._held:
            return True
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f"{run_key}.claim")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return False
        self._held[run_key] = lock
        return True

    def release(self, run_key: str) -> None:
        """Give up the claim of a run, if this process has it."""
        if lock := self._held.pop(run_key, None):
            lock.release()

    def close(self) -> None:
        """Give up all claims."""
        for run_key in list(self._held):
            self.release(run_key)
