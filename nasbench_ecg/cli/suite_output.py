"""What ``nasbench-ecg suite`` prints: counts, failures, jobs elsewhere, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import stderr, stdout, styled, warn_damaged_records
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        if status == "interrupted" and not record.reason:
            continue
        reason = record.reason or "the record gives no reason"
        show = shlex.join(["nasbench-ecg", "show", run.key[:8], "--out", str(store.out)])
        text = f"{status}  {run}\n  {reason}  ('{show}')"
        stderr().print(text, style=STYLES[record.status])


def warn_of_records(store: RecordStore, runs: Sequence[PlannedRun], *, whole: bool) -> None:
    """Print which records of a suite cannot be read, and how many are of none of its runs.

    Args:
        store: The folder of the suite.
        runs: Its runs.
        whole: Whether they are all of the file; of a part, other records are to be expected.
    """
    from nasbench_ecg.run.record_files import read_records

    records, damaged = read_records(store.out, store.suite)
    warn_damaged_records(damaged)
    planned, devices = {run.key for run in runs}, {run.config.device for run in runs}
    others = [
        record
        for record in records
        if record.status == "ok" and record.run_key not in planned and record.device in devices
    ]
    if whole and others:
        are = "is" if len(others) == 1 else "are"
        stderr().print(
            f"Note: {counted(len(others), 'result')} in {store.folder} {are} of none of these "
            "runs: of another version of the file or of a component, of other seeds or profiles, "
            "or added with 'run --suite'. Leaderboards of the suite have them, too.",
            style="yellow",
        )


Options = dict[str, "str | Path | float | None"]
"""Options of a command by name; None for those that are not given."""


@dataclass(frozen=True)
class RepeatedCommand:
    """The command ``suite run`` that is being executed, to be given again.

    Attributes:
        name: Name of the suite.
        selecting: Options that choose its runs and their folder, which all verbs have.
        running: Options of ``run``.
        assignments: Texts after ``--set``.
        retry_failed: Whether ``--retry-failed`` is given.
    """

    name: str
    selecting: Options
    running: Options
    assignments: Sequence[str] = ()
    retry_failed: bool = False

    def text(self, *, retry_failed: bool = False) -> str:
        """Return the command, with ``--retry-failed`` if it is given or asked for."""
        words = ["nasbench-ecg", "suite", "run", self.name]
        words += chain(*given_options({**self.selecting, **self.running}).items())
        words += [word for one in self.assignments for word in ("--set", one)]
        return shlex.join([*words, *(["--retry-failed"] * (retry_failed or self.retry_failed))])

    def of_verb(self, verb: str) -> str:
        """Return the command with another verb for the same runs."""
        words = ["nasbench-ecg", "suite", verb, self.name]
        return shlex.join([*words, *chain(*given_options(self.selecting).items())])


def print_next_commands(
    suite: Suite, again: RepeatedCommand, found: Sequence[Status | None]
) -> None:
    """Print the commands that continue or retry runs, and the one that shows the leaderboard."""
    from nasbench_ecg.suite.runner import FAILED

    given = given_options(again.selecting)
    if any(status in FAILED for status in found):
        stderr().print(f"To retry the failed runs: {again.text(retry_failed=True)}")
    if "interrupted" in found:
        stderr().print(f"To continue the interrupted runs: {again.text()}")
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
    from nasbench_ecg.cli.executors import EnginesOfJobs
    from nasbench_ecg.errors import ExecutorError
    from nasbench_ecg.suite.submitted import submitted_jobs

    jobs, engines = submitted_jobs(store), EnginesOfJobs()
    for run, status in zip(runs, found, strict=True):
        if status == "ok":
            continue
        parts = []
        if job := jobs.get(run.key):
            try:
                state: str = engines.of(job).executor.state(job.handle)
            except ExecutorError as error:
                state = f"unknown ({error.what.rstrip('.')})"
            parts.append(f"{state} in {job.executor} as job {job.number}")
        if holder := store.lock(run.key).holder():
            parts.append(f"executed by {holder}")
        if parts:
            stderr().print(f"{run}: {', '.join(parts)}")


def print_how_to_come_back(again: RepeatedCommand) -> None:
    """Print the commands that see, await and end the jobs that go on."""
    stderr().print("The jobs go on.")
    stderr().print(f"To see their state: {again.of_verb('status')}")
    stderr().print(f"To wait for them: {again.text()}")
    stderr().print(f"To end them: {again.of_verb('cancel')}")


def given_options(options: Options) -> dict[str, str]:
    """Return the options that are not at their defaults."""
    return {
        option: str(value)
        for option, value in options.items()
        if value is not None and (option, value) != ("--out", Path("results"))
    }
