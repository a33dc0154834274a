"""What the verbs that execute runs share: SIGTERM, downloads of missing records, and progress."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import fmean
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING

from nasbench_ecg.cli import console
from nasbench_ecg.cli.console import RichProgress, stderr

if TYPE_CHECKING:
    from nasbench_ecg.executors import Outcome
    from nasbench_ecg.progress import Steps
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.suite.plan import PlannedRun
    from nasbench_ecg.suite.runner import Engine, FinishedRun


def interrupt_on_sigterm() -> None:
    """Handle SIGTERM as Ctrl-C; a run first saves its current step."""
    from nasbench_ecg.shutdown import stop_on_sigterm

    stop_on_sigterm()


def copy_results_of_other_suites(runs: Sequence[PlannedRun], store: RecordStore) -> None:
    """Copy results that other suites have, and name those of which they have two that differ."""
    from nasbench_ecg.report.leaderboard.grouping import stored_differently
    from nasbench_ecg.suite.runner import pending_runs, results_in_other_suites, reuse_results
    from nasbench_ecg.text import counted

    copied = {
        record.run_key
        for record in reuse_results(pending_runs(runs, store, retry_failed=True), store)
    }
    if not copied:
        return
    stderr().print(f"{counted(len(copied), 'result')} copied from other suites in {store.out}.")
    found = (results_in_other_suites(run, store) for run in runs if run.key in copied)
    for line in stored_differently(record for results in found for _, record in results):
        stderr().print(line, style="yellow")


def execute_with_progress(
    runs: Sequence[PlannedRun],
    store: RecordStore,
    engine: Engine,
    *,
    data: Path | None = None,
    checkpoint_seconds: float = 30.0,
    parallel: int | None = None,
    time_limit: float | None = None,
) -> None:
    """Execute runs, and print one line when one ends.

    All records that the runs need are downloaded before the first run.

    Raises:
        MissingDataError: Records are missing and cannot be downloaded.
    """
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.suite.runner import execute_runs

    if not runs:
        return
    with RichProgress() as progress:
        fetch_missing((run.config for run in runs), LocalSource(data), progress)
    shown = SuiteProgress(store.suite, runs, engine.executor.capabilities.slots)
    ended = execute_runs(
        runs, store, engine, data=data, checkpoint_seconds=checkpoint_seconds,
        parallel=parallel, time_limit=time_limit, queued=shown.queued, started=shown.started,
        retried=shown.retried,
    )  # fmt: skip
    with shown, closing(ended):
        for finished in ended:
            shown.ended(finished)


class SuiteProgress:
    """A bar over the runs of a suite, and a line for each run that has ended.

    Args:
        name: Name of the suite.
        runs: The pending runs.
        workers: Number of runs at the same time; None if that is not known.
    """

    def __init__(self, name: str, runs: Sequence[PlannedRun], workers: int | None) -> None:
        self._name = name
        self._total = len(runs)
        self._left = {run.key: run for run in runs}
        self._queued: set[str] = set()
        self._running: dict[str, PlannedRun] = {}
        self._workers = workers
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        self._progress = RichProgress()
        self._stack = ExitStack()
        self._bar: Steps | None = None
        self._ended = Event()

    def __enter__(self) -> SuiteProgress:
        self._stack.enter_context(self._progress)
        self._bar = self._stack.enter_context(self._progress.track(self._name, self._total))
        lines = Thread(target=self._show_at_intervals, daemon=True)
        lines.start()
        self._stack.callback(lines.join)
        self._stack.callback(self._ended.set)
        return self

    def _show_at_intervals(self) -> None:
        """Let a log file, which has no bar, show what is running while no run starts or ends."""
        while not self._ended.wait(console.LOG_SECONDS):
            self._advance(0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def queued(self, run: PlannedRun) -> None:
        """Show that one more run waits in the queue."""
        self._queued.add(run.key)
        self._advance(0)

    def started(self, run: PlannedRun) -> None:
        """Show ``run`` as running."""
        self._queued.discard(run.key)
        self._running[run.key] = run
        self._advance(0)

    def retried(self, run: PlannedRun, outcome: Outcome) -> None:
        """Print why the job of a run is submitted again."""
        reason = outcome.reason or "Its job was killed."
        self._running.pop(run.key, None)
        self._progress.note(f"submitted again  {run}\n  {reason}")

    def ended(self, finished: FinishedRun) -> None:
        """Print the result of a run, and the time that the others are expected to take."""
        from nasbench_ecg.text import duration, percent

        run, record = finished.run, finished.record
        self._left.pop(run.key)
        self._queued.discard(run.key)
        self._running.pop(run.key, None)
        if finished.seconds is not None:
            self._seconds.setdefault(run.row, []).append(finished.seconds)
        parts = [f"{self._total - len(self._left)}/{self._total}", record.status, str(run)]
        if "f1_of_macro" in record.metrics:
            parts.append(f"F1 {percent(record.metrics['f1_of_macro'])}")
        parts.append(
            "executed by another process"
            if finished.seconds is None
            else duration(finished.seconds)
        )
        if record.status != "ok":
            parts += [f"see {finished.log}"] if finished.log.is_file() else []
        elif (left := self._seconds_left()) is not None:
            parts.append(f"about {duration(left)} left")
        self._progress.note("  ".join(parts))
        self._advance(1)

    def _advance(self, n: int) -> None:
        assert self._bar is not None
        running = "; ".join(map(str, list(self._running.values()))) or "none"
        if self._queued:
            running += f"; {len(self._queued)} in the queue"
        self._bar.advance(n, running=running)

    def _seconds_left(self) -> float | None:
        """Return the time left, from the mean time of similar runs.

        None while a pending run has another dataset, protocol, profile or strategy than all runs
        that have ended.
        """
        rows = [run.row for run in self._left.values()]
        if not rows or self._workers is None or not self._seconds.keys() >= set(rows):
            return None
        return sum(fmean(self._seconds[row]) for row in rows) / min(self._workers, len(rows))
