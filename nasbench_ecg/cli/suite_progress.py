"""How a suite shows where it stands: a line for every run, and the time left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import fmean
from types import TracebackType
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import RichProgress

if TYPE_CHECKING:
    from nasbench_ecg.progress import Steps
    from nasbench_ecg.suite.runner import FinishedRun
    from nasbench_ecg.suite.spec import PlannedRun


class SuiteProgress:
    """A bar over the runs of a suite, and a line that stays for each that has ended.

    Args:
        name: Name of the suite.
        runs: What is to be done.
        workers: Runs at a time.
    """

    def __init__(self, name: str, runs: Sequence[PlannedRun], workers: int) -> None:
        self._name = name
        self._total = len(runs)
        self._left = {run.key: run for run in runs}
        self._running: dict[str, PlannedRun] = {}
        self._workers = workers
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        self._progress = RichProgress()
        self._stack = ExitStack()
        self._bar: Steps | None = None

    def __enter__(self) -> SuiteProgress:
        self._stack.enter_context(self._progress)
        self._bar = self._stack.enter_context(self._progress.track(self._name, self._total))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def begin(self, run: PlannedRun) -> None:
        """Say what is running now."""
        self._running[run.key] = run
        self._advance(0)

    def end(self, finished: FinishedRun) -> None:
        """Say what came of a run."""
        from nasbench_ecg.text import duration, percent

        run, record = finished.run, finished.record
        self._left.pop(run.key)
        self._running.pop(run.key)
        self._seconds.setdefault(run.row, []).append(finished.seconds)
        parts = [f"{self._total - len(self._left)}/{self._total}", record.status, str(run)]
        if "f1_of_macro" in record.metrics:
            parts.append(f"F1 {percent(record.metrics['f1_of_macro'])}")
        parts.append(duration(finished.seconds))
        if record.status != "ok":
            parts.append(f"see {finished.log}")
        elif (left := self._seconds_left()) is not None:
            parts.append(f"about {duration(left)} left")
        self._progress.note("  ".join(parts))
        self._advance(1)

    def _advance(self, n: int) -> None:
        assert self._bar is not None
        now = "; ".join(map(str, self._running.values()))
        self._bar.advance(n, now=now or "nothing is running")

    def _seconds_left(self) -> float | None:
        """Return the time left, by what alike runs took; None while one left is like no other."""
        kinds = [run.row for run in self._left.values()]
        if not kinds or not self._seconds.keys() >= set(kinds):
            return None
        return sum(fmean(self._seconds[kind]) for kind in kinds) / min(self._workers, len(kinds))
