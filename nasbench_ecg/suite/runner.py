"""Execute the planned runs of a suite: each pending run in a child process, each with a record."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from nasbench_ecg.errors import ExecutorError
from nasbench_ecg.executors import Executor, Job, Outcome
from nasbench_ecg.run.nodes import environment_of_jobs
from nasbench_ecg.run.record import RunRecord, Status
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.store import RecordStore, fault_of_files
from nasbench_ecg.suite.claims import Claims
from nasbench_ecg.suite.plan import PlannedRun
from nasbench_ecg.suite.scheduling import Readiness, run_jobs
from nasbench_ecg.suite.submitted import SubmittedJob, forget, remember, submitted_job
from nasbench_ecg.text import duration

FAILED: tuple[Status, ...] = ("failed", "timeout", "oom")
"""Statuses of runs that are repeated only on request."""

_LOG_TAIL = 2000
_ANSI_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, successfully or not.

    Attributes:
        run: The run.
        record: Its record.
        log: File with the output of its process.
        seconds: Wall time of its job; None if another process has executed it.
    """

    run: PlannedRun
    record: RunRecord
    log: Path
    seconds: float | None


def statuses(runs: Sequence[PlannedRun], store: RecordStore) -> list[Status | None]:
    """Return the status of each run; None if it has no readable record."""
    records = (store.read(run.key) for run in runs)
    return [record.status if record else None for record in records]


def pending_runs(
    runs: Sequence[PlannedRun], store: RecordStore, *, retry_failed: bool = False
) -> list[PlannedRun]:
    """Return the runs without a result; failed runs only with ``retry_failed``."""
    skipped = {"ok"} if retry_failed else {"ok", *FAILED}
    return [
        run
        for run, status in zip(runs, statuses(runs, store), strict=True)
        if status not in skipped
    ]


def suites_with_results(runs: Sequence[PlannedRun], store: RecordStore) -> dict[str, str]:
    """Return, by run key, the other suite whose result :func:`reuse_results` copies.

    Runs of which this suite has a result are left out.
    """
    pending = pending_runs(runs, store, retry_failed=True)
    others = {run.key: next(results_in_other_suites(run, store), None) for run in pending}
    return {key: found[0].suite for key, found in others.items() if found is not None}


def reuse_results(runs: Sequence[PlannedRun], store: RecordStore) -> list[RunRecord]:
    """Copy results of ``runs`` that other suites in the same folder already have.

    A record is copied with its files if its status is ``ok``, it was made under the same profile,
    and its files are those of the record. The weights stay where they are. A run that another
    process copies or executes is left to it.

    Raises:
        StorageError: There is no space, or the folder cannot be written.
    """
    reused = []
    with closing(_claims(store)) as claims:
        for run in runs:
            found = next(results_in_other_suites(run, store), None)
            if found is None or store.lock(run.key).holder() or not claims.take(run.key):
                continue
            before = store.read(run.key)
            if before is None or before.status != "ok":
                other, record = found
                copy = record.model_copy(update={"suite": store.suite})
                store.copy(copy, other.path(run.key).with_suffix(""), weights=False)
                reused.append(copy)
            claims.release(run.key)
    return reused


def _claims(store: RecordStore) -> Claims:
    """Return the claims of this process on runs of a suite; it has none yet."""
    return Claims(store.folder / ".unfinished")


def results_in_other_suites(
    run: PlannedRun, store: RecordStore
) -> Iterator[tuple[RecordStore, RunRecord]]:
    """Yield the results of a run that other suites in the same folder have, with intact files."""
    if not store.out.is_dir():
        return
    for folder in sorted(store.out.iterdir()):
        if folder.is_dir() and folder.name != store.suite and not folder.name.startswith("."):
            other = RecordStore(store.out, folder.name)
            record, files = other.read(run.key), other.path(run.key).with_suffix("")
            usable = record and record.status == "ok" and record.profile == run.config.profile
            if record and usable and not fault_of_files(record, files):
                yield other, record


def shard_of(runs: Sequence[PlannedRun], part: int, n: int) -> list[PlannedRun]:
    """Return the runs ``part``, ``part`` + ``n``, ``part`` + 2 ``n``, … of a plan, from 1."""
    return list(runs[part - 1 :: n])


@dataclass(frozen=True)
class Engine:
    """An executor with its name and options, which tell another process how to reach its jobs."""

    executor: Executor
    name: str = "local"
    options: Mapping[str, object] = field(default_factory=dict)


def execute_runs(
    runs: Sequence[PlannedRun],
    store: RecordStore,
    engine: Engine,
    *,
    data: Path | None = None,
    checkpoint_seconds: float = 30.0,
    parallel: int | None = None,
    time_limit: float | None = None,
    queued: Callable[[PlannedRun], None] = lambda run: None,
    started: Callable[[PlannedRun], None] = lambda run: None,
    retried: Callable[[PlannedRun, Outcome], None] = lambda run, outcome: None,
) -> Generator[FinishedRun, None, None]:
    """Execute runs as jobs of an executor; yield each with its record when it ends.

    A run that another process executes is left for later, and not executed again if it has then
    ended. Closing the generator ends running jobs of an executor whose jobs do not outlive it.
    Their runs are recorded as interrupted, and continue from their checkpoints when they are
    executed again.

    Args:
        runs: The runs.
        store: Receives their records.
        engine: The executor.
        data: Folder of databases; None for the default of each process.
        checkpoint_seconds: Seconds between two checkpoints of a run.
        parallel: Candidates that a run trains at the same time.
        time_limit: Most seconds of a run.
        queued: Called when a run was submitted, or when its job of an earlier process is awaited.
        started: Called when a run is seen running.
        retried: Called with how the job of a run was lost, when it is submitted again.
    """
    executor = engine.executor
    able = executor.capabilities
    if able.remote:
        store = RecordStore(store.out.resolve(), store.suite)
        data = None if data is None else data.resolve()
    environment = environment_of_jobs(store.folder) if able.remote else {}
    by_key = {run.key: run for run in runs}
    before = {key: _file_version(store, key) for key in by_key}
    claims = _claims(store)
    log_starts: dict[str, int] = {}
    jobs = [
        Job(
            name=key,
            command=command(
                run, store, data=data, checkpoint_seconds=checkpoint_seconds, parallel=parallel
            ),
            log=store.folder / ".logs" / f"{key}.log",
            time_limit=time_limit,
            environment=environment,
        )
        for key, run in by_key.items()
    ]

    def new_record_of(key: str) -> RunRecord | None:
        return store.read(key) if _file_version(store, key) != before[key] else None

    def readiness(job: Job) -> Readiness:
        if store.lock(job.name).holder() is not None or not claims.take(job.name):
            return "later"
        # Another process may have finished it before ``before`` was read, such as in the time of a
        # download, so that only the record can tell.
        log_starts[job.name] = _size(job.log)
        if (record := store.read(job.name)) is None:
            return "start"
        failed = record.status in FAILED and _file_version(store, job.name) != before[job.name]
        return "drop" if failed or record.status == "ok" else "start"

    def submitted(job: Job, handle: str) -> None:
        if able.outlives:
            options, start = dict(engine.options), log_starts[job.name]
            remember(store, SubmittedJob(job.name, engine.name, options, handle, start))
        queued(by_key[job.name])

    def attached(keys: Iterable[str]) -> dict[str, str]:
        found = _attached(store, keys, engine) if able.outlives else {}
        for key, one in found.items():
            log_starts[key] = one.log_start
            queued(by_key[key])
        return {key: one.handle for key, one in found.items()}

    def wanted(job: Job) -> bool:
        one = submitted_job(store, job.name)
        return not able.outlives or (one is not None and not one.canceled)

    ended = run_jobs(
        executor,
        jobs,
        readiness=readiness,
        started=lambda job: started(by_key[job.name]),
        submitted=submitted,
        wanted=wanted,
        retried=lambda job, outcome: retried(by_key[job.name], outcome),
        attached=attached(by_key),
        living=lambda job: attached([job.name]).get(job.name),
    )
    with closing(claims), closing(ended):
        for job, outcome in ended:
            run = by_key[job.name]
            found = store.read(job.name)
            if found is not None and (outcome is None or found.status == "ok"):
                record = found
            else:
                assert outcome is not None
                output = _tail(job.log, log_starts.get(job.name, 0))
                written = new_record_of(job.name)
                record = _complete_record(run, output, outcome, written, store)
            if outcome is not None:
                forget(store, job.name)
            claims.release(job.name)
            yield FinishedRun(run, record, job.log, outcome.seconds if outcome else None)


def _attached(store: RecordStore, keys: Iterable[str], engine: Engine) -> dict[str, SubmittedJob]:
    """Return the jobs that another process submitted and whose end is not recorded yet.

    They are queued or running, or have ended while nobody waited for them.
    """
    found = {}
    for key in keys:
        job = submitted_job(store, key)
        if job is None or job.executor != engine.name:
            continue
        if _is_open(job, store, engine.executor):
            if job.canceled:
                job = replace(job, canceled=False)
                remember(store, job)
            found[key] = job
        else:
            forget(store, key)
    return found


def _is_open(job: SubmittedJob, store: RecordStore, executor: Executor) -> bool:
    try:
        state = executor.state(job.handle)
        outcome = executor.outcome(job.handle) if state == "ended" else None
    except ExecutorError:
        return True  # the queue does not answer, and is asked again
    if state in ("queued", "running"):
        return True
    record = store.read(job.run_key)
    recorded = record is not None and record.status in ("ok", *FAILED)
    return outcome is not None and outcome.returncode is not None and not recorded


def command(
    run: PlannedRun,
    store: RecordStore,
    *,
    data: Path | None,
    checkpoint_seconds: float,
    parallel: int | None = None,
) -> list[str]:
    """Return the command that executes one run with this interpreter.

    Like the installed command, it does not import modules from the current folder.
    """
    words = shlex.split(run.config.command())[1:]
    words += ["--suite", store.suite, "--out", str(store.out)]
    words += ["--checkpoint-seconds", str(checkpoint_seconds)]
    if data is not None:
        words += ["--data", str(data)]
    if parallel is not None:
        words += ["--parallel", str(parallel)]
    return [sys.executable, "-P", "-m", "nasbench_ecg", *words]


def _file_version(store: RecordStore, key: str) -> tuple[int, int] | None:
    """Return what changes when a record is written; None if there is no file."""
    try:
        stat = store.path(key).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _complete_record(
    run: PlannedRun, output: str, outcome: Outcome, written: RunRecord | None, store: RecordStore
) -> RunRecord:
    """Return the record of a run that has ended without a result; write what its process could not.

    Args:
        run: The run.
        output: End of the output of its job.
        outcome: How the job ended.
        written: The record that the process wrote; None if it wrote none.
        store: Where records are stored.
    """
    status, reason = _status_and_reason(outcome, written)
    if written is None and (problem := _last_problem(output)):
        reason = f"{reason.removesuffix('.')}: {problem}"
    elif reason and output:
        strategy = run.config.strategy
        reason += f" It ran the strategy {strategy.name!r}, {strategy.component.source}."
    if written is not None and written.status == status and not outcome.reason:
        return written
    record = written or new_record(run.config, store.suite)
    record.status = status
    record.error = "\n".join(filter(None, [record.error, output, reason]))
    record.seconds.setdefault("total", round(outcome.seconds, 3))
    store.write(record)
    return record


def _status_and_reason(outcome: Outcome, written: RunRecord | None) -> tuple[Status, str]:
    if outcome.timed_out:
        return (
            "timeout",
            f"Ended after {duration(outcome.seconds)}, the suite's time limit for a run.",
        )
    if outcome.returncode is None:
        return "interrupted", outcome.reason or "Its job is no longer in the queue."
    if outcome.killed:
        return "oom", "Killed by signal 9, as the kernel does when memory runs out."
    if written is not None:
        return written.status, outcome.reason
    if outcome.reason:
        return "failed", outcome.reason
    if outcome.returncode < 0:
        return "failed", f"Ended by signal {-outcome.returncode}."
    return "failed", f"Exit status {outcome.returncode}, without a record."


def _last_problem(text: str) -> str:
    """Return what the error panel at the end of a log says, in one line; "" if there is none."""
    _, found, panel = f"\n{text}".rpartition("\n╭")
    lines = [line.strip("│ ") for line in panel.splitlines()[1:]]
    if not (found and lines and lines[-1].startswith("╰")):
        return ""
    return " ".join(lines[:-1])


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _tail(log: Path, start: int) -> str:
    """Return the end of what a job has written into a log that had ``start`` bytes before."""
    try:
        text = log.read_bytes()[start:][-_LOG_TAIL:].decode("utf-8", "replace")
    except OSError:
        return ""
    return _ANSI_ESCAPES.sub("", text).strip()
