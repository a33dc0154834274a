"""SIGTERM saves the current step: a run that gets it continues, and loses no step."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from run_records import run_record
from tiny_runs import DARTS, prepared_run, result, tiny_config
from typer.testing import CliRunner

from nasbench_ecg import shutdown
from nasbench_ecg.cli import app
from nasbench_ecg.progress import Silent, Steps
from nasbench_ecg.run import runner
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore

pytestmark = pytest.mark.usefixtures("outside", "handled")

STRATEGIES: dict[str, dict[str, Any]] = {
    "darts": DARTS,
    "random": {"samples": 3},
    "regularized-evolution": {"models": 4, "population": 2, "sample": 2, "epochs": 1},
    "immune": {},
    "random-ws": {"cells": 3, "channels": 2, "stem_filters": 4},
}
NO_TIMED_CHECKPOINTS = 1e6
EVALUATE = runner._evaluate


@pytest.fixture
def handled() -> Iterator[None]:
    """Handle SIGTERM in this process as a command does."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    shutdown.stop_on_sigterm()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    shutdown._requested = False


class Counted(Silent):
    """Counts the steps of all bars, and sends SIGTERM to this process at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0
        self.searched = 0

    def in_final_training(self, evaluate: Any) -> Any:
        """Return the function of the final training, which notes the steps before it."""

        def noted(*arguments: Any) -> Any:
            self.searched = self.steps
            return evaluate(*arguments)

        return noted

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar whose steps count."""
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Count a step; the steps that a resumed bar skips at its start do not count."""
        if n == 1 and figures.keys() <= {"loss", "score"}:
            self.steps += 1
            if self.steps == self.at:
                os.kill(os.getpid(), signal.SIGTERM)


def run(
    config: Any,
    cache: Path,
    store: RecordStore,
    monkeypatch: pytest.MonkeyPatch,
    at: int | None = None,
) -> tuple[Counted, RunRecord]:
    shutdown._requested = False
    progress = Counted(at)
    monkeypatch.setattr(runner, "_evaluate", progress.in_final_training(EVALUATE))
    try:
        record = execute(
            prepared_run(config, cache, progress), store, checkpoint_seconds=NO_TIMED_CHECKPOINTS
        )
    except KeyboardInterrupt:
        found = store.read(config.key())
        assert found is not None
        record = found
    return progress, record


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sigterm_in_search_and_training_loses_at_most_one_step(
    strategy: str, beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"strategy": STRATEGIES[strategy], "evaluator": {"epochs": 2, "beats": 200}}
    config = tiny_config(strategy, set=settings, profile="smoke")
    whole, expected = run(config, beats_cache, RecordStore(tmp_path / "a"), monkeypatch)
    assert expected.status == "ok" and 1 < whole.searched < whole.steps - 1
    store = RecordStore(tmp_path / "b")
    first, record = run(config, beats_cache, store, monkeypatch, whole.searched // 2)
    assert record.status == "interrupted" and record.architecture is None
    left = whole.searched - first.steps + (whole.steps - whole.searched) // 2
    second, record = run(config, beats_cache, store, monkeypatch, left)
    assert record.status == "interrupted" and record.architecture is not None
    third, record = run(config, beats_cache, store, monkeypatch)
    assert result(record) == result(expected)
    executed = first.steps + second.steps + third.steps
    assert whole.steps <= executed <= whole.steps + 2  # one for each signal


def test_a_step_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "GRACE", 0.05)
    with pytest.raises(KeyboardInterrupt), shutdown.saving():
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_outside_of_a_run_sigterm_is_not_delayed(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_a_hangup_that_nohup_ignores_does_not_stop_a_run() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    shutdown.stop_on_sigterm()
    with shutdown.signals_delayed():
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert not shutdown.requested()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_ends_within_the_grace_has_ended_well(number: signal.Signals) -> None:
    with shutdown.saving():
        os.kill(os.getpid(), number)
    assert shutdown.requested() and signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_signal_while_a_record_is_written_ends_the_command_before_the_next_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make_run(request: RunRequest, *_: Any, **__: Any) -> RunRecord:
        made.append(request.search_seed)
        with shutdown.saving():
            os.kill(os.getpid(), signal.SIGTERM)
        return run_record("cnn-9", request.search_seed)

    monkeypatch.setattr("nasbench_ecg.front.running.make_run", make_run)
    words = ["run", "cnn-9", "synthetic-2lead", "--seeds", "0,1", "--json", "--out", str(tmp_path)]
    ended = CliRunner().invoke(app, words)
    assert (ended.exit_code, made) == (130, [0])


def test_a_lifeline_of_another_process_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0:1", "987:5", "x", ""):
        monkeypatch.setenv(shutdown.LIFELINE, value)
        shutdown.stop_on_sigterm()
        assert shutdown.LIFELINE not in os.environ
