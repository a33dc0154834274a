"""Submit jobs to SLURM with submitit, and ask the queue about them.

submitit runs a pickled function in each job, catches the signal of SLURM before a preemption or the
time limit, and puts the job back into the queue. The function here starts the command of the job.
The states come from ``squeue``: submitit asks ``sacct``, which needs an accounting database.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from nasbench_ecg.api import (
    Capabilities,
    ExecutorError,
    Job,
    JobState,
    Options,
    Outcome,
    storage_errors,
)
from nasbench_ecg_slurm.command import JobCommand, outcome_file

_QUEUED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "PREEMPTED", "SIGNALING", "STAGE_OUT", "STOPPED")
_SETTLE = 10.0
"""Seconds that a job may be in no queue before it counts as vanished: its result may be late."""
_PATIENCE = 600.0
"""Seconds that the queue may not answer, as while its server is restarted."""
_FRESH = 1.0
"""Seconds for which an answer of the queue counts; it is asked for all jobs at once."""
_ARRAY = 1000
"""Most jobs of one array; a cluster refuses more than its MaxArraySize, by default 1001."""


class SlurmOptions(Options):
    """Options of the executor ``slurm``; those that are None are left to the cluster."""

    partition: str | None = None
    """Partition of the jobs."""
    gpus_per_node: int | None = Field(default=None, ge=0)
    """GPUs of a job."""
    cpus_per_task: int = Field(default=1, ge=1)
    """Cores of a job."""
    mem_gb: float | None = Field(default=None, gt=0)
    """Memory of a job in GB."""
    timeout_min: int = Field(default=60, ge=1)
    """Time limit of a job in minutes; a run that needs more continues in the same job, requeued."""
    array_parallelism: int = Field(default=64, ge=1)
    """Most jobs of one submission that run at the same time."""
    signal_delay_s: int = Field(default=60, ge=1)
    """Seconds before the time limit at which a job saves its state and is requeued."""
    requeues: int = Field(default=100, ge=0)
    """How many times a job that reaches its time limit is requeued."""
    retries: int = Field(default=2, ge=0)
    """How many times a job that was killed or has vanished is submitted again."""
    account: str | None = None
    """Account that is charged."""
    qos: str | None = None
    """Quality of service."""
    setup: tuple[str, ...] = ()
    """Shell commands before each job, such as ``module load cuda``."""
    additional: dict[str, str] = Field(default_factory=dict)
    """Other options of ``sbatch`` by name, such as ``{"constraint": "a100"}``."""


class SlurmExecutor:
    """Runs jobs on a SLURM cluster. Folders and this Python environment must be the same there.

    Choose it for suites on a cluster; the jobs go on when the submitting process ends.

    Args:
        options: The options.
    """

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options
        self._missing: dict[str, float] = {}
        self._asked: set[str] = set()
        self._states: dict[str, str] = {}
        self._answered = time.monotonic() - _FRESH

    @property
    def capabilities(self) -> Capabilities:
        """It has a queue, and jobs outlive the process that submits them."""
        return Capabilities(outlives=True, remote=True, retries=self.options.retries)

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit jobs as arrays.

        Returns:
            Their handles: number of the SLURM job, and folder of its files.

        Raises:
            ExecutorError: SLURM is not here, or it refuses the jobs.
        """
        if shutil.which("sbatch") is None:
            raise ExecutorError(
                "There is no command sbatch here, so no job can be submitted.",
                fix="Start the suite on a login node of the SLURM cluster.",
            )
        folder = (jobs[0].log.parent / "slurm").resolve()
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        commands = [JobCommand(replace(job, log=job.log.resolve()), str(folder)) for job in jobs]
        for command in commands:
            outcome_file(folder, command.job.name).unlink(missing_ok=True)
        executor = self._submitit(folder)
        submitted: list[Any] = []
        try:
            for start in range(0, len(commands), _ARRAY):
                with executor.batch():
                    array = [executor.submit(one) for one in commands[start : start + _ARRAY]]
                submitted += array
        except Exception as error:
            for job in submitted:
                _ask("scancel", str(job.job_id))
            raise ExecutorError(
                f"SLURM refuses the jobs: {_reason(error)}.",
                where=f"partition {self.options.partition or 'default'}",
                fix="'sinfo' lists the partitions and their limits; set them with --set "
                "executor.partition=NAME and so on.",
            ) from error
        return [
            json.dumps([str(job.job_id), str(folder), command.job.name])
            for job, command in zip(submitted, commands, strict=True)
        ]

    def _submitit(self, folder: Path) -> Any:
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)
        options = self.options
        try:
            executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=options.requeues)
        except RuntimeError as error:
            raise ExecutorError(f"submitit finds no SLURM here: {error}.") from error
        settings = {
            "job_name": "nasbench-ecg",
            "partition": options.partition,
            "gpus_per_node": options.gpus_per_node,
            "cpus_per_task": options.cpus_per_task,
            "mem": None if options.mem_gb is None else f"{int(options.mem_gb * 1024)}M",
            "time": options.timeout_min,
            "array_parallelism": options.array_parallelism,
            "signal_delay_s": options.signal_delay_s,
            "account": options.account,
            "qos": options.qos,
            "setup": list(options.setup) or None,
            "additional_parameters": {"requeue": True, **options.additional},
        }
        executor.update_parameters(**{k: v for k, v in settings.items() if v is not None})
        return executor

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while the queue has it.

        Raises:
            ExecutorError: The queue has not answered for ten minutes.
        """
        number, folder, name = json.loads(handle)
        found = _read_outcome(Path(folder), name)
        if found is not None and found.returncode is not None:
            return found
        try:
            state = self._word(number)
        except ExecutorError:
            if time.monotonic() - self._answered < _PATIENCE:
                return None
            raise
        if state == "CANCELLED":
            return Outcome(None, reason=f"The SLURM job {number} was canceled.", canceled=True)
        if state in _RUNNING or state in _QUEUED:
            self._missing.pop(handle, None)
            return None
        if found is not None:
            return found
        since = self._missing.setdefault(handle, time.monotonic())
        if time.monotonic() - since < _SETTLE:
            return None
        how = f"has ended as {state}" if state else "is no longer in the queue"
        return Outcome(
            None,
            reason=f"The SLURM job {number} {how} and has left no result. "
            f"Its output is in {folder}. If it is empty, the nodes may not share that folder.",
        )

    def state(self, handle: str) -> JobState:
        """Return what the queue says of a job."""
        number, folder, name = json.loads(handle)
        if _read_outcome(Path(folder), name) is not None:
            return "ended"
        state = self._word(number)
        if state in _RUNNING:
            return "running"
        if state in _QUEUED:
            return "queued"
        return "ended" if state else "unknown"

    def _word(self, number: str) -> str:
        """Return the state of a job in the words of SLURM; empty if the queue does not know it."""
        array = number.partition("_")[0]
        if array not in self._asked or time.monotonic() - self._answered >= _FRESH:
            self._asked.add(array)
            asked = ("--jobs", ",".join(sorted(self._asked)), "--array", "--format=%i %T")
            lines = (_ask("squeue", "--noheader", "--states=all", *asked) or "").splitlines()
            self._states = dict(line.split() for line in lines)
            self._answered = time.monotonic()
        return self._states.get(number, "")

    def cancel(self, handle: str) -> None:
        """Take a job out of the queue; a running one gets SIGTERM and then SIGKILL."""
        _ask("scancel", json.loads(handle)[0])
        self._answered -= _FRESH

    def close(self) -> None:
        """Do nothing: jobs go on."""


def _read_outcome(folder: Path, name: str) -> Outcome | None:
    try:
        return Outcome(**json.loads(outcome_file(folder, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _ask(*words: str) -> str | None:
    """Return the output of a command of SLURM; None if it fails, as for an old job."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExecutorError(
            f"{words[0]} does not answer: {error}.", fix="Check that SLURM works here: 'sinfo'."
        ) from error
    if done.returncode and "Invalid job id" not in done.stderr:
        raise ExecutorError(
            f"{words[0]} fails: {done.stderr.strip().splitlines()[-1] if done.stderr else '?'}.",
            fix="Check that SLURM works here: 'sinfo'.",
        )
    return done.stdout if done.returncode == 0 else None


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
    return (lines[-1].partition("error:")[2] if lines else str(error)).strip().rstrip(".")
