"""A lock for each run key: one process at a time executes a run, on any host of a shared folder.

Within a process, one thread at a time executes runs: torch's generators, which a run seeds, and the
settings that it restores are those of all threads.

The lock is a file lock of the system, which ends with its process, also by a kill. Beside it a file
names the holder. It shows who executes a run, and it is what is left where a file system does not
pass locks from host to host: its time is renewed every :data:`RENEWED` seconds, and a holder on
another host counts until its file is :data:`STALE` seconds old.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from nasbench_ecg.io import storage_errors, write_atomically

RENEWED = 30.0
"""Seconds between two renewals of a lock by its holder."""

STALE = 600.0
"""Seconds without a renewal after which a lock of another host is broken."""

_POLL = 0.2

_held: dict[Path, int] = {}
"""The locks that this process holds, each with the thread that has it."""

_one_thread = threading.RLock()
"""Held by the thread that holds locks of runs."""


@dataclass(frozen=True)
class Holder:
    """The process that executes a run.

    Attributes:
        host: Name of its host.
        pid: Its process identifier there.
        started: When it started to execute the run, ISO 8601 in UTC.
    """

    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


def waits_for(holder: Holder) -> str:
    """Return the sentences that say whom a run waits for."""
    here = (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
    who = "Another thread" if here else "Another process"
    return f"{who} executes this run: {holder}. Waiting for it."


class RunLock:
    """The lock of one run.

    Args:
        path: The lock file; the file of the holder is beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holder = path.with_suffix(".holder")
        self._lock = FileLock(path)

    def holder(self) -> Holder | None:
        """Return the process that holds the lock; None if the lock is free.

        The process of a lock that is held for a moment, to look at it, is not known.
        """
        if self.path in _held:
            return self._read()
        if not self.path.exists():
            return None
        with suppress(OSError):
            if not self._acquire():
                return self._read() or Holder("unknown", 0, "now")
            self._lock.release()
        return None

    @contextmanager
    def acquire(self, waiting: Callable[[Holder], None] = lambda holder: None) -> Iterator[bool]:
        """Hold the lock in the block; wait for it if another process or thread has it.

        A thread that holds the lock gets it again at once. While it holds any, other threads of
        this process wait.

        Args:
            waiting: Called once, with the holder, before this one waits.

        Yields:
            Whether it has waited for this lock.

        Raises:
            StorageError: The folder cannot be written.
        """
        if _held.get(self.path) == threading.get_ident():
            yield False
            return
        waited = self._wait_for_threads(waiting)
        try:
            with self._acquired(waiting, waited=waited) as waited:
                yield waited
        finally:
            _one_thread.release()

    def _wait_for_threads(self, waiting: Callable[[Holder], None]) -> bool:
        """Wait until no other thread executes a run; return whether one has executed this run."""
        waited = False
        while not _one_thread.acquire(timeout=_POLL):
            if not waited and self.path in _held and (found := self._read()) is not None:
                waited = True
                waiting(found)
        return waited

    @contextmanager
    def _acquired(self, waiting: Callable[[Holder], None], *, waited: bool) -> Iterator[bool]:
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self._acquire():
                found = self._read()
                if not waited and found is not None:
                    waited = True
                    waiting(found)
                time.sleep(_POLL)
        ended = threading.Event()
        try:
            own = Holder(socket.gethostname(), os.getpid(), _now())
            with suppress(OSError):
                for leftover in self._holder.parent.glob(f".{self._holder.name}-*"):
                    leftover.unlink()  # of a process that was killed
            with storage_errors(self.path):
                write_atomically(self._holder, json.dumps(asdict(own)))
            _held[self.path] = threading.get_ident()
            threading.Thread(target=self._renew, args=(ended,), daemon=True).start()
            yield waited
        finally:
            ended.set()
            _held.pop(self.path, None)
            with suppress(OSError):
                self._holder.unlink()
            self._lock.release()

    def _acquire(self) -> bool:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        if self._held_elsewhere():
            self._lock.release()
            return False
        return True

    def _held_elsewhere(self) -> bool:
        """Return whether a living process of another host is named as the holder."""
        found = self._read()
        if found is None or found.host == socket.gethostname():
            return False  # a process of this host would still have the lock of the system
        try:
            os.utime(self.path)  # both times by the clock of the file system, not of two hosts
            return self.path.stat().st_mtime - self._holder.stat().st_mtime < STALE
        except OSError:
            return False

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._holder.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED):
            with suppress(OSError):
                os.utime(self._holder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
