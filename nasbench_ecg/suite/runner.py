"""A suite carried out: what is left of its plan, each run in a process of its own, all recorded."""

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
from nasbench_ecg.run.record import RunRecord, Status, open_record
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.processes import Job, LocalExecutor, Outcome
from nasbench_ecg.suite.spec import PlannedRun
from nasbench_ecg.text import duration

FAILED: tuple[Status, ...] = ("failed", "timeout", "oom")
"""What is not tried again unless asked for."""

_LOG_TAIL = 2000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, well or not.

    Attributes:
        run: The run.
        record: What is on record of it now.
        log: What it printed.
        seconds: Wall time of its process.
    """

    run: PlannedRun
    record: RunRecord
    log: Path
    seconds: float


def statuses(runs: Sequence[PlannedRun], store: RecordStore) -> list[Status | None]:
    """Return the status of each run; None where there is no readable record of it."""
    records = (store.read(run.key) for run in runs)
    return [record.status if record else None for record in records]


def to_do(
    runs: Sequence[PlannedRun], store: RecordStore, *, retry_failed: bool = False
) -> list[PlannedRun]:
    """Return the runs that have no result yet; those that failed only if they are to be retried."""
    skipped = {"ok"} if retry_failed else {"ok", *FAILED}
    return [
        run
        for run, status in zip(runs, statuses(runs, store), strict=True)
        if status not in skipped
    ]


def command(
    run: PlannedRun,
    store: RecordStore,
    *,
    data: Path | None,
    checkpoint_seconds: float,
    parallel: int | None = None,
) -> list[str]:
    """Return the command that makes one run with this interpreter.

    Like the installed command, it does not import what lies in the folder where it is started.
    """
    words = shlex.split(run.config.command())[1:]
    words += ["--suite", store.suite, "--out", str(store.out)]
    words += ["--checkpoint-seconds", str(checkpoint_seconds)]
    if data is not None:
        words += ["--data", str(data)]
    if parallel is not None:
        words += ["--parallel", str(parallel)]
    return [sys.executable, "-P", "-m", "nasbench_ecg", *words]


@contextmanager
def reserved(store: RecordStore) -> Iterator[None]:
    """Keep others from carrying out the same suite in the same folder meanwhile.

    Raises:
        StorageError: Someone is at it already, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    store.check_writable()
    lock = FileLock(store.folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StorageError(
            "This suite is being run into this folder already.",
            where=str(store.folder),
            fix="Wait for the other process, or name another folder with --out.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def carry_out(
    runs: Sequence[PlannedRun],
    store: RecordStore,
    executor: LocalExecutor,
    *,
    data: Path | None = None,
    checkpoint_seconds: float = 30.0,
    parallel: int | None = None,
    started: Callable[[PlannedRun], None] = lambda run: None,
) -> Generator[Finished, None, None]:
    """Yield the runs as they end, each with its record, whatever became of it.

    Closing the generator ends what still runs; such runs are recorded as interrupted and go on from
    their checkpoints when they are carried out again.
    """
    by_key = {run.key: run for run in runs}
    before = {key: _stamp(store, key) for key in by_key}
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
            told = store.read(run.key) if _stamp(store, run.key) != before[run.key] else None
            record = settle(run, outcome, told, store)
            yield Finished(run, record, outcome.job.log, outcome.seconds)


def settle(
    run: PlannedRun, outcome: Outcome, told: RunRecord | None, store: RecordStore
) -> RunRecord:
    """Return the record of a run that has ended, completed where it could not do so itself.

    Args:
        run: The run.
        outcome: How its process ended.
        told: The record that the process wrote; None if it wrote none.
        store: Where records lie.
    """
    if told is not None and told.status == "ok":
        return told
    status, reason = _verdict(outcome, told)
    if reason:
        strategy = run.config.strategy
        reason += f" It ran the strategy {strategy.name!r}, {strategy.component.source}."
    if told is not None and told.status == status:
        return told
    record = told or open_record(run.config, store.suite)
    record.status = status
    record.error = "\n".join(filter(None, [record.error, _tail(outcome.job.log), reason]))
    record.seconds.setdefault("total", round(outcome.seconds, 3))
    store.write(record)
    return record


def _verdict(outcome: Outcome, told: RunRecord | None) -> tuple[Status, str]:
    if outcome.timed_out:
        return "timeout", f"Ended after {duration(outcome.seconds)}, the suite's limit for one run."
    if outcome.killed:
        return "oom", "Killed by signal 9, as the kernel does where memory runs out."
    if told is not None:
        return told.status, ""
    if outcome.returncode < 0:
        return "failed", f"Ended by signal {-outcome.returncode}."
    return "failed", f"Exit status {outcome.returncode}, without a record."


def _stamp(store: RecordStore, key: str) -> tuple[int, int] | None:
    try:
        stat = store.path(key).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace")
    except OSError:
        return ""
    return _ESCAPES.sub("", text).strip()


def take_over(runs: Sequence[PlannedRun], store: RecordStore) -> list[RunRecord]:
    """Copy into a suite the results that other suites in the same folder have of its runs.

    A record is taken over if it is ``ok``, was made under the same profile, which names its track,
    and its JSON artifacts can be read; they come along. Its weights stay where they are.

    Raises:
        StorageError: There is no space, or the folder cannot be written.
    """
    taken = []
    for run in runs:
        for other, record in elsewhere(run, store):
            with suppress(ValueError, OSError):
                artifacts = _artifacts(other, run.key)
                copy = record.model_copy(update={"suite": store.suite})
                store.write(copy, artifacts)
                taken.append(copy)
                break
    return taken


def elsewhere(run: PlannedRun, store: RecordStore) -> Iterator[tuple[RecordStore, RunRecord]]:
    """Yield the results that other suites in the same folder have of a run."""
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
