"""What ``nasbench-ecg suite`` prints: counts, failures, jobs elsewhere, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import stderr, stdout, styled, warn_damaged_records
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from nasbench_ecg.run.record import Status
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.plan import PlannedRun
    from nasbench_ecg.suite.spec import Suite

PENDING = "pending"
"""A run without a record."""
ELSEWHERE = "ok in other suites"
"""A run whose result another suite has."""
STYLES = {
    "ok": "green",
    "failed": "red",
    "timeout": "red",
    "oom": "red",
    "interrupted": "yellow",
    ELSEWHERE: "green",
    PENDING: "dim",
}
"""The words for the states of runs, in the order in which they are shown, with their colors."""


def styled_status(status: Status | None) -> Text:
    """Return the word for a status in its color."""
    word = status or PENDING
    return styled((word, STYLES[word]))


def print_counts(found: Sequence[Status | None], *, elsewhere: int = 0) -> None:
    """Print how many runs have each status, and how many have a result in another suite."""
    counts = Counter[str](status or PENDING for status in found)
    parts = [f"{counts[word]} {word}" for word in STYLES if counts[word]]
    parts += [f"{elsewhere} {ELSEWHERE}"] if elsewhere else []
    stderr().print(f"{counted(len(found) + elsewhere, 'run')}: {', '.join(parts)}.")


def print_pending(suite: Suite, pending: Sequence[PlannedRun], runs: Sequence[PlannedRun]) -> None:
    """Print how many runs of a suite are to be executed."""
    stderr().print(f"{suite.name}: {len(pending)} of {len(runs)} runs are to be executed.")


def print_failures(
    runs: Sequence[PlannedRun], found: Sequence[Status | None], store: RecordStore
) -> None:
    """Print why runs failed, and why runs were interrupted that nobody interrupted here."""
    for run, status in zip(runs, found, strict=True):
        record = store.read(run.key) if status not in ("ok", None) else None
        if record is None:
            continue
        lines = (record.error or "").strip().splitlines() or ["the record gives no reason"]
        if status == "interrupted" and (record.error is None or lines[-1] == "KeyboardInterrupt"):
            continue
        show = shlex.join(["nasbench-ecg", "show", run.key[:8], "--out", str(store.out)])
        text = f"{status}  {run}\n  {lines[-1].strip()}  ('{show}')"
        stderr().print(text, style=STYLES[record.status])


def warn_damaged(store: RecordStore) -> None:
    """Print which records of a suite cannot be read."""
    from nasbench_ecg.run.record_files import read_records

    warn_damaged_records(read_records(store.out, store.suite)[1])


def print_next_commands(
    name: str,
    suite: Suite,
    options: Mapping[str, str | Path | None],
    engine: Sequence[str],
    found: Sequence[Status | None],
) -> None:
    """Print the commands that continue or retry runs, and the one that shows the leaderboard."""
    from nasbench_ecg.suite.runner import FAILED

    given = given_options(options)
    again = ["nasbench-ecg", "suite", "run", name, *chain(*given.items()), *engine]
    if any(status in FAILED for status in found):
        words = shlex.join([*again, "--retry-failed"])
        stderr().print(f"To retry the failed runs: {words}")
    if "interrupted" in found:
        words = shlex.join(again)
        stderr().print(f"To continue the interrupted runs: {words}")
    if "ok" in found:
        words = shlex.join(
            ["nasbench-ecg", "leaderboard", "--suite", suite.name]
            + (["--out", given["--out"]] if "--out" in given else [])
        )
        stdout().print(words)


def print_jobs(
    store: RecordStore, runs: Sequence[PlannedRun], found: Sequence[Status | None]
) -> None:
    """Print what is executed now: by the queue of a cluster, or by a process that has the lock."""
    from nasbench_ecg.cli.executors import engine_of_job
    from nasbench_ecg.suite.submitted import submitted_jobs

    jobs = submitted_jobs(store)
    for run, status in zip(runs, found, strict=True):
        if status == "ok":
            continue
        parts = []
        if job := jobs.get(run.key):
            state = engine_of_job(job).executor.state(job.handle)
            parts.append(f"{state} in {job.executor} as job {job.handle}")
        if holder := store.lock(run.key).holder():
            parts.append(f"executed by {holder}")
        if parts:
            stderr().print(f"{run}: {', '.join(parts)}")


def print_how_to_come_back(
    name: str, options: Mapping[str, str | Path | None], engine: Sequence[str]
) -> None:
    """Print the commands that see, await and end the jobs that go on.

    Args:
        name: Name of the suite.
        options: Options of the command.
        engine: Its words that choose the executor.
    """
    words = [name, *chain(*given_options(options).items())]
    shown = {
        "To see their state": "status",
        "To wait for them": "run",
        "To end them": "cancel",
    }
    stderr().print("The jobs go on.")
    for what, verb in shown.items():
        more = engine if verb == "run" else ()
        line = f"{what}: {shlex.join(['nasbench-ecg', 'suite', verb, *words, *more])}"
        stderr().print(line)


def given_options(options: Mapping[str, str | Path | None]) -> dict[str, str]:
    """Return the options that are not at their defaults."""
    return {
        option: str(value)
        for option, value in options.items()
        if value is not None and (option, value) != ("--out", Path("results"))
    }
