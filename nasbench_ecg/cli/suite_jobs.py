"""What ``nasbench-ecg suite`` prints of jobs that run elsewhere, and how to come back to them."""

from __future__ import annotations

import shlex
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import stderr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nasbench_ecg.run.record import Status
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.spec import PlannedRun


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
            stderr().print(f"{run}: {', '.join(parts)}", soft_wrap=True)


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
        stderr().print(line, markup=False, soft_wrap=True)


def given_options(options: Mapping[str, str | Path | None]) -> dict[str, str]:
    """Return the options that are not at their defaults."""
    return {
        option: str(value)
        for option, value in options.items()
        if value is not None and (option, value) != ("--out", Path("results"))
    }
