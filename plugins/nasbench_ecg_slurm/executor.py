"""Submit jobs to SLURM with submitit, and ask the queue about them.

submitit runs a pickled function in each job, catches the signal of SLURM before a preemption or the
time limit, and puts the job back into the queue. The function here starts the command of the job.
The states come from ``squeue``: submitit asks ``sacct``, which needs an accounting database.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import Field, model_validator

from nasbench_ecg.api import (
    Capabilities,
    ExecutorBusyError,
    ExecutorError,
    Job,
    JobState,
    Options,
    Outcome,
    storage_errors,
)
from nasbench_ecg_slurm.command import JobCommand, outcome_file

_QUEUED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED")
_SETTLE = 10.0
"""Seconds that a job may be neither queued nor running before it counts as ended without a result:
the result may be late, and a preempted job may be put back into the queue."""
_PATIENCE = 600.0
"""Seconds that the queue may not answer, as while its server is restarted."""
_FRESH = 1.0
"""Seconds for which an answer of the queue counts; it is asked for all jobs at once."""
_ARRAY = 1000
"""Most jobs of one array; a cluster refuses more than its MaxArraySize, by default 1001."""
_PASSING = ("unable to contact", "timed out", "temporarily", "connection refused", "try again")
"""Words of an error of SLURM that may be gone in a minute, as while its server is restarted."""
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception): .*$", re.MULTILINE)
"""The last line of a traceback."""
_TOO_MANY_TIMEOUTS = "timed-out too many times"
"""Words with which submitit ends a job that has used up its requeues."""


class SlurmOptions(Options):
    """Options of the executor ``slurm``; those that are null are left to the cluster."""

    partition: str | None = None
    """Partition of the jobs; null: that of the cluster."""
    gpus_per_node: int | None = Field(default=None, ge=0)
    """GPUs of a job; null leaves it to the cluster."""
    cpus_per_task: int = Field(default=1, ge=1)
    """Cores of a job."""
    mem_gb: float | None = Field(default=None, gt=0)
    """Memory of a job in GB; null leaves it to the cluster."""
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
    """Account that is charged; null: that of the user."""
    qos: str | None = None
    """Quality of service; null: that of the user."""
    setup: tuple[str, ...] = ()
    """Shell commands before each job, such as ``module load cuda``."""
    additional: dict[str, str] = Field(default_factory=dict)
    """Other options of ``sbatch`` by name, such as ``{"constraint": "a100"}``."""

    @model_validator(mode="after")
    def _saves_before_the_limit(self) -> SlurmOptions:
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise ValueError(
                f"with a signal_delay_s of {self.signal_delay_s} and a timeout_min of "
                f"{self.timeout_min}, a job would be told to save before it has started"
            )
        return self


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
        self._failure: tuple[float, ExecutorError] | None = None
        self._refused_since: float | None = None
        self._unanswered: list[str] = []

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
            ExecutorBusyError: SLURM does not answer now; no job was submitted.
        """
        if shutil.which("sbatch") is None:
            raise ExecutorError(
                "There is no command sbatch here, so no job can be submitted.",
                fix="Start the suite on a login node of the SLURM cluster.",
            )
        folder = (jobs[0].log.parent / "slurm").resolve()
        if "%" in str(folder):
            raise ExecutorError(
                "SLURM takes % in a path for a number of the job.",
                where=str(folder),
                fix="Choose a folder of results without % in its path.",
            )
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        commands = [JobCommand(replace(job, log=job.log.resolve()), str(folder)) for job in jobs]
        for command in commands:
            outcome_file(folder, command.job.name).unlink(missing_ok=True)
        name = f"nasbench-ecg-{uuid4().hex[:12]}"
        executor = self._submitit(folder, name)
        self._cancel_unanswered()
        submitted: list[Any] = []
        try:
            for start in range(0, len(commands), _ARRAY):
                with _outside_of_a_job(), _undisturbed(), executor.batch():
                    array = [executor.submit(one) for one in commands[start : start + _ARRAY]]
                submitted += array
        except Exception as error:
            for job in submitted:
                with suppress(ExecutorError):
                    _ask("scancel", str(job.job_id))
            raise self._refusal(_reason(error), name) from error
        self._refused_since = None
        return [
            _Handle(str(job.job_id), str(folder), command.job.name).text()
            for job, command in zip(submitted, commands, strict=True)
        ]

    def _cancel_unanswered(self) -> None:
        """End the jobs that SLURM may have taken although ``sbatch`` failed, as by a timeout.

        They would do nothing but wait: submitit gives a job its function when it knows the number.
        """
        for name in self._unanswered:
            with suppress(ExecutorError):
                _ask("scancel", f"--name={name}")

    def _refusal(self, reason: str, name: str) -> ExecutorError:
        """Return the error of a submission that failed, and end what it may have left."""
        if any(words in reason.lower() for words in _PASSING):
            self._unanswered.append(name)
            self._cancel_unanswered()
            if self._refused_since is None:
                self._refused_since = time.monotonic()
            if time.monotonic() - self._refused_since < _PATIENCE:
                return ExecutorBusyError(f"SLURM takes no jobs now: {reason}.")
        return ExecutorError(
            f"SLURM refuses the jobs: {reason}.",
            where=f"partition {self.options.partition or 'default'}",
            fix="'sinfo' lists the partitions and their limits; set them with --set "
            "executor.partition=NAME and so on.",
        )

    def _submitit(self, folder: Path, name: str) -> Any:
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)
        options = self.options
        try:
            executor = submitit.SlurmExecutor(
                folder=folder,
                max_num_timeout=options.requeues,
                python=f"{shlex.quote(sys.executable)} -P",
            )
        except RuntimeError as error:
            raise ExecutorError(f"submitit finds no SLURM here: {error}.") from error
        settings = {
            "job_name": name,
            "partition": options.partition,
            "gpus_per_node": options.gpus_per_node,
            "cpus_per_task": options.cpus_per_task,
            "mem": None if options.mem_gb is None else f"{math.ceil(options.mem_gb * 1024)}M",
            "time": options.timeout_min,
            "array_parallelism": options.array_parallelism,
            "signal_delay_s": options.signal_delay_s,
            "account": options.account,
            "qos": options.qos,
            "setup": ["set -e", *options.setup, "set +e"] if options.setup else None,
            "additional_parameters": {"requeue": True, **options.additional},
        }
        executor.update_parameters(**{k: v for k, v in settings.items() if v is not None})
        return executor

    def outcome(self, handle: str) -> Outcome | None:
        """Return how a job ended; None while the queue has it.

        Raises:
            ExecutorError: The queue has not answered for ten minutes.
        """
        job = _Handle.of(handle)
        found = job.outcome()
        if found is not None and found.returncode is not None:
            return found
        try:
            state = self._word(job.number)
        except ExecutorError:
            if time.monotonic() - self._answered < _PATIENCE:
                return None
            raise
        if state == "CANCELLED":
            return Outcome(None, reason=f"The SLURM job {job.number} was canceled.", canceled=True)
        if state in _RUNNING or state in _QUEUED:
            self._missing.pop(handle, None)
            return None
        since = self._missing.setdefault(handle, time.monotonic())
        if time.monotonic() - since < _SETTLE and (found is None or state == "PREEMPTED"):
            return None
        return found or self._without_result(job, state)

    def _without_result(self, job: _Handle, state: str) -> Outcome:
        how = f"has ended as {state}" if state else "is no longer in the queue"
        error = job.error()
        if _TOO_MANY_TIMEOUTS in error:
            limit = f"{self.options.timeout_min} minutes, {self.options.requeues + 1} times"
            return Outcome(
                None,
                reason=f"The SLURM job {job.number} has reached its time limit of {limit} "
                "(executor.timeout_min, executor.requeues).",
                canceled=True,
            )
        empty = "If it is empty, the nodes may not share that folder."
        why = f"It says: {error}." if error else empty
        return Outcome(
            None,
            reason=f"The SLURM job {job.number} {how} and has left no result. "
            f"Its output is in {job.folder}. {why}",
        )

    def state(self, handle: str) -> JobState:
        """Return what the queue says of a job."""
        job = _Handle.of(handle)
        found = job.outcome()
        if found is not None and found.returncode is not None:
            return "ended"
        state = self._word(job.number)
        if state in _RUNNING:
            return "running"
        if state in _QUEUED:
            return "queued"
        return "ended" if state or found else "unknown"

    def _word(self, number: str) -> str:
        """Return the state of a job in the words of SLURM; empty if the queue does not know it."""
        array = number.partition("_")[0]
        now = time.monotonic()
        if self._failure is not None and now - self._failure[0] < _FRESH:
            raise self._failure[1]
        if array not in self._asked or now - self._answered >= _FRESH:
            self._asked.add(array)
            asked = ("--jobs", ",".join(sorted(self._asked)), "--array", "--format=%i %T")
            try:
                lines = (_ask("squeue", "--noheader", "--states=all", *asked) or "").splitlines()
            except ExecutorError as error:
                self._failure = time.monotonic(), error
                raise
            self._states = dict(line.split() for line in lines)
            self._answered = time.monotonic()
            self._failure = None
        return self._states.get(number, "")

    def cancel(self, handle: str) -> None:
        """Take a job out of the queue; a running one gets SIGTERM and then SIGKILL."""
        _ask("scancel", _Handle.of(handle).number)
        self._answered -= _FRESH

    def close(self) -> None:
        """Let the jobs go on, but those that nobody waits for."""
        self._cancel_unanswered()


@dataclass(frozen=True)
class _Handle:
    """A submitted job: its number in SLURM, the folder of its files, and its name."""

    number: str
    folder: str
    name: str

    def text(self) -> str:
        """Return the handle that names the job for other processes; its number comes first."""
        return f"{self.number} {json.dumps([self.folder, self.name])}"

    @classmethod
    def of(cls, text: str) -> _Handle:
        number, _, rest = text.partition(" ")
        return cls(number, *json.loads(rest))

    def outcome(self) -> Outcome | None:
        """Return what the job has written on its end; without a return code, it may go on."""
        path = outcome_file(Path(self.folder), self.name)
        try:
            return Outcome(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def error(self) -> str:
        """Return the last error in the output of submitit, without its dot; "" if there is none."""
        path = Path(self.folder) / f"{self.number}_0_log.err"
        try:
            errors = _ERROR.findall(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return ""
        return str(errors[-1]).rstrip(".") if errors else ""


@contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """Hide the variables of the SLURM job that this process is in, which its jobs would inherit."""
    from submitit.helpers import clean_env

    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    configuration = {k: v for k, v in os.environ.items() if k == "SLURM_CONF"}
    with clean_env():
        os.environ.update(configuration)
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let ``sbatch`` end before a signal: Ctrl-C reaches it too, and nobody would have its jobs."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ask(*words: str) -> str | None:
    """Return the output of a command of SLURM; None if it fails, as for an old job."""
    # SQUEUE_PARTITION and the like would hide jobs.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SCANCEL_"))}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={**environment, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExecutorError(
            f"{words[0]} does not answer: {error}.", fix="Check that SLURM works here: 'sinfo'."
        ) from error
    if done.returncode and "Invalid job id" not in done.stderr:
        *_, last = ["?", *done.stderr.strip().splitlines()]
        raise ExecutorError(
            f"{words[0]} fails: {last}.",
            fix="Check that SLURM works here: 'sinfo'.",
        )
    return done.stdout if done.returncode == 0 else None


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
    return (lines[-1].partition("error:")[2] if lines else str(error)).strip().rstrip(".")
