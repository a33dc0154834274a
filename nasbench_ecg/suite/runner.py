"""Execute the planned runs of a suite: each pending run in a child process, each with a record."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.errors import StorageError
from nasbench_ecg.run.record import RunRecord, Status
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.processes import Job, LocalExecutor, Outcome
from nasbench_ecg.suite.spec import PlannedRun
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
        seconds: Wall time of its process.
    """

    run: PlannedRun
    record: RunRecord
    log: Path
    seconds: float


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
    others = {run.key: next(_readable_results(run, store), None) for run in pending}
    return {key: found[0].suite for key, found in others.items() if found is not None}


def reuse_results(runs: Sequence[PlannedRun], store: RecordStore) -> list[RunRecord]:
    """Copy results of ``runs`` that other suites in the same folder already have.

    A record is copied with its JSON files if its status is ``ok``, it was made under the same
    profile, and its files can be read. The weights stay where they are.

    Raises:
        StorageError: There is no space, or the folder cannot be written.
    """
    reused = []
    for run in runs:
        for _, record, artifacts in _readable_results(run, store):
            with suppress(ValueError, OSError):
                copy = record.model_copy(update={"suite": store.suite})
                store.write(copy, artifacts)
                reused.append(copy)
                break
    return reused


def _readable_results(
    run: PlannedRun, store: RecordStore
) -> Iterator[tuple[RecordStore, RunRecord, dict[str, object]]]:
    """Yield the results of a run in other suites whose JSON files can be read."""
    for other, record in results_in_other_suites(run, store):
        try:
            yield other, record, _artifacts(other, run.key)
        except (ValueError, OSError):
            continue


def results_in_other_suites(
    run: PlannedRun, store: RecordStore
) -> Iterator[tuple[RecordStore, RunRecord]]:
    """Yield the results of a run that other suites in the same folder have."""
    if not store.out.is_dir():
        return
    for folder in sorted(store.out.iterdir()):
        if folder.is_dir() and folder.name != store.suite and not folder.name.startswith("."):
            other = RecordStore(store.out, folder.name)
            record = other.read(run.key)
            if record and record.status == "ok" and record.profile == run.config.profile:
                yield other, record


def _artifacts(store: RecordStore, run_key: str) -> dict[str, object]:
    folder = store.path(run_key).with_suffix("")
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


@contextmanager
def lock_suite(store: RecordStore) -> Iterator[None]:
    """Hold the lock of a suite's folder, so that one process at a time executes the suite.

    Raises:
        StorageError: Another process holds it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    store.check_writable()
    lock = FileLock(store.folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StorageError(
            "Another process is running this suite in this folder.",
            where=str(store.folder),
            fix="Wait for it to end, or choose another folder with --out.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def execute_runs(
    runs: Sequence[PlannedRun],
    store: RecordStore,
    executor: LocalExecutor,
    *,
    data: Path | None = None,
    checkpoint_seconds: float = 30.0,
    parallel: int | None = None,
    started: Callable[[PlannedRun], None] = lambda run: None,
) -> Generator[FinishedRun, None, None]:
    """Execute runs in child processes; yield each with its record when it ends.

    Closing the generator ends running processes. Their runs are recorded as interrupted, and
    continue from their checkpoints when they are executed again.
    """
    by_key = {run.key: run for run in runs}
    before = {key: _file_version(store, key) for key in by_key}
    jobs = [
        Job(
            name=key,
            command=command(
                run, store, data=data, checkpoint_seconds=checkpoint_seconds, parallel=parallel
            ),
            log=store.folder / ".logs" / f"{key}.log",
        )
        for key, run in by_key.items()
    ]
    with closing(executor.run(jobs, lambda job: started(by_key[job.name]))) as outcomes:
        for outcome in outcomes:
            run = by_key[outcome.job.name]
            changed = _file_version(store, run.key) != before[run.key]
            written = store.read(run.key) if changed else None
            record = _complete_record(run, outcome, written, store)
            yield FinishedRun(run, record, outcome.job.log, outcome.seconds)


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
    run: PlannedRun, outcome: Outcome, written: RunRecord | None, store: RecordStore
) -> RunRecord:
    """Return the record of a run that has ended; write what its process could not.

    Args:
        run: The run.
        outcome: How its process ended.
        written: The record that the process wrote; None if it wrote none.
        store: Where records are stored.
    """
    if written is not None and written.status == "ok":
        return written
    status, reason = _status_and_reason(outcome, written)
    if reason:
        strategy = run.config.strategy
        reason += f" It ran the strategy {strategy.name!r}, {strategy.component.source}."
    if written is not None and written.status == status:
        return written
    record = written or new_record(run.config, store.suite)
    record.status = status
    record.error = "\n".join(filter(None, [record.error, _tail(outcome.job.log), reason]))
    record.seconds.setdefault("total", round(outcome.seconds, 3))
    store.write(record)
    return record


def _status_and_reason(outcome: Outcome, written: RunRecord | None) -> tuple[Status, str]:
    if outcome.timed_out:
        return (
            "timeout",
            f"Ended after {duration(outcome.seconds)}, the suite's time limit for a run.",
        )
    if outcome.killed:
        return "oom", "Killed by signal 9, as the kernel does when memory runs out."
    if written is not None:
        return written.status, ""
    if outcome.returncode < 0:
        return "failed", f"Ended by signal {-outcome.returncode}."
    return "failed", f"Exit status {outcome.returncode}, without a record."


def _tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace")
    except OSError:
        return ""
    return _ANSI_ESCAPES.sub("", text).strip()
