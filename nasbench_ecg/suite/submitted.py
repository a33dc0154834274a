"""The jobs of a suite that were submitted to an engine and outlive the process that did it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nasbench_ecg.io import storage_errors, write_atomically
from nasbench_ecg.run.store import RecordStore


@dataclass(frozen=True)
class SubmittedJob:
    """A job of a suite in a queue.

    Attributes:
        run_key: Key of the run that it executes.
        executor: Name of the executor.
        options: Options of the executor, as JSON data.
        handle: What the executor calls the job.
        log_start: Bytes that the log of the run had when the job was submitted.
        canceled: Whether the job is being ended, so that nobody submits it again.
    """

    run_key: str
    executor: str
    options: dict[str, object]
    handle: str
    log_start: int = 0
    canceled: bool = False

    @property
    def number(self) -> str:
        """What people call the job: the first word of its handle."""
        return self.handle.split(maxsplit=1)[0]


def _path(store: RecordStore, run_key: str) -> Path:
    return store.folder / ".jobs" / f"{run_key}.json"


def remember(store: RecordStore, job: SubmittedJob) -> None:
    """Store a submitted job.

    Raises:
        StorageError: The folder cannot be written.
    """
    path = _path(store, job.run_key)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(job)))


def forget(store: RecordStore, run_key: str) -> None:
    """Remove a job that has ended."""
    _path(store, run_key).unlink(missing_ok=True)


def submitted_job(store: RecordStore, run_key: str) -> SubmittedJob | None:
    """Return the job of a run that is not known to have ended; None if there is none."""
    try:
        return SubmittedJob(**json.loads(_path(store, run_key).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def submitted_jobs(store: RecordStore) -> dict[str, SubmittedJob]:
    """Return the jobs of a suite that are not known to have ended, by run key."""
    keys = sorted(path.stem for path in (store.folder / ".jobs").glob("*.json"))
    found = {key: submitted_job(store, key) for key in keys}
    return {key: job for key, job in found.items() if job is not None}
