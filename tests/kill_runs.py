"""Start a command line several times, end each start by a signal, then let the last one finish.

Usage: ``kill_runs.py SIGNAL TIMES SEED RECORD ARGUMENT...``. The libraries are imported once,
and every start is a fork. Prints for each start its exit code or signal, and the status of the
record.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from nasbench_ecg.cli import app
from nasbench_ecg.cli import run as verb

IMPORTED_ONCE = (
    "nasbench_ecg.report.summary.run",
    "nasbench_ecg.run.runner",
    "nasbench_ecg_cells.network",
    "nasbench_ecg_darts.search",
    "nasbench_ecg_evaluators.train",
)
LONGEST_DELAY = 0.05
"""Seconds between the first step that a start saves and the signal; a few steps."""


def start(arguments: list[str]) -> int:
    """Run the command line in a child; return its process identifier."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    status = 1
    try:
        app(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(status)


def last_saved(folder: Path) -> int:
    """Return when a run last changed its saved progress, in nanoseconds."""
    try:
        return max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0)
    except OSError:
        return 0


def ended(child: int) -> int | None:
    """Return the child's wait status; None while it runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    return status if done else None


def report(status: int, record: Path) -> None:
    """Print how a start ended: its exit code, or the signal below zero."""
    recorded = json.loads(record.read_text())["status"] if record.is_file() else "none"
    print(os.waitstatus_to_exitcode(status), recorded, flush=True)


def main() -> None:
    """Run as the module describes."""
    number, times, seed = signal.Signals[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    record, arguments = Path(sys.argv[4]), sys.argv[5:]
    resume_folder = record.parent / ".unfinished" / record.stem
    torch.set_num_threads(1)
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    verb.print_estimate = lambda *_: None  # half of what a start takes
    torch.optim.SGD([torch.zeros(1)])  # the first optimiser imports much, once for all starts
    rng = random.Random(seed)
    for _ in range(times):
        before = last_saved(resume_folder)
        child = start(arguments)
        status = None
        while status is None and last_saved(resume_folder) <= before:
            time.sleep(0.001)
            status = ended(child)
        if status is None:
            time.sleep(rng.uniform(0, LONGEST_DELAY))
            os.kill(child, number)
            status = os.waitpid(child, 0)[1]
        report(status, record)
    report(os.waitpid(start(arguments), 0)[1], record)


if __name__ == "__main__":
    main()
