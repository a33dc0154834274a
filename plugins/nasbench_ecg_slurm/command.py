"""The function that a SLURM job executes: it runs the command of a run, and saves when told to."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nasbench_ecg.api import Job, Outcome, run_job

_INTERRUPTED = (130, 143, -2, -15)
_IGNORING = ("/bin/sh", "-c", "trap '' USR2 CONT; exec \"$@\"", "sh")
"""SLURM sends its signal before a preemption to all processes of a job; submitit handles it."""


def outcome_file(folder: Path, name: str) -> Path:
    """Return the file in which a job leaves how it ended."""
    return folder / f"{name}.outcome"


@dataclass
class JobCommand:
    """A job as submitit pickles and calls it.

    Attributes:
        job: The job.
        folder: Folder of the files of submitit.
        used: Seconds that the command has run before the job was requeued.
    """

    job: Job
    folder: str
    used: float = 0.0
    _thread: Any = field(default=None, repr=False)
    _stop: Any = field(default=None, repr=False)
    _outcome: Outcome | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """Run the command, and write how it ended, unless the job is to be requeued."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()  # signals interrupt the main thread
        self._thread.join()

    def _run(self) -> None:
        limit = self.job.time_limit
        job = replace(
            self.job,
            command=[*_IGNORING, *self.job.command],
            time_limit=None if limit is None else max(limit - self.used, 0.0),
        )
        outcome = run_job(job, stop=self._stop.is_set)
        self.used += outcome.seconds
        outcome = replace(outcome, seconds=self.used)
        if outcome.returncode in _INTERRUPTED and not outcome.timed_out:
            if self._stop.is_set():
                return
            outcome = replace(outcome, returncode=None, reason="SLURM has ended its job.")
        self._outcome = outcome
        path = outcome_file(Path(self.folder), self.job.name)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        temporary.replace(path)

    def checkpoint(self) -> Any:
        """End the command with SIGTERM, so that it saves; return what goes back into the queue.

        None if the command ended by itself. submitit calls this in a handler of its signal.
        """
        from submitit.helpers import DelayedSubmission

        self._stop.set()
        self._thread.join()
        if self._outcome is not None:
            return None
        return DelayedSubmission(JobCommand(self.job, self.folder, self.used))
