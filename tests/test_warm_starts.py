"""Warm starts: a training that goes on is the training without a stop, and is paid for once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny_beats import tiny_beats

from nasbench_ecg.api import NoOptions
from nasbench_ecg.contracts import Fidelity, Task
from nasbench_ecg.errors import OptionError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import RunSearchContext
from nasbench_ecg.run.resume import ResumeFolder
from nasbench_ecg.run.warm import LIMIT
from nasbench_ecg_evaluators.options import TrainOptions
from nasbench_ecg_evaluators.train import Train
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells

SPACE = TinyCells(TinyCellsOptions())
BEATS = tiny_beats(60, n_leads=2, n_samples=64, classes=("N", "S", "V"))
TASK = Task(BEATS, BEATS, ("N", "S", "V"))
ARCH, OTHER = (SPACE.sample(np.random.default_rng(seed)) for seed in (0, 1))


def context(folder=None, **train):
    ctx = RunSearchContext(
        task=TASK,
        space=SPACE,
        builder=TinyNetwork(NoOptions()),
        evaluator=Train(TrainOptions(batch_size=16, lr=0.1, **train)),
        rng=np.random.default_rng(0),
        evaluation_seed=3,
        device="cpu",
        progress=Silent(),
    )
    if folder is not None:
        saved = ResumeFolder(folder)
        ctx.candidates, ctx.evaluation_log = saved.candidates(), saved.evaluation_log()
    return ctx


def rung(epochs, continues=None, schedule=6, beats=40):
    return Fidelity(epochs, beats, schedule_epochs=schedule, continues=continues)


def kept(folder):
    return sorted(path.stem.rpartition("-")[2] for path in folder.glob("candidates/*"))


def test_a_training_that_goes_on_is_the_training_without_a_stop(tmp_path):
    warm, cold = context(tmp_path), context()
    for epochs, continues in ((1, None), (2, 1), (6, 2)):
        (going_on,) = warm.evaluate_many([ARCH], rung(epochs, continues))
        (from_scratch,) = cold.evaluate_many([ARCH], rung(epochs, continues))
        assert going_on.curves == from_scratch.curves and len(going_on.curves["loss"]) == epochs
        assert going_on.metrics == from_scratch.metrics
        assert going_on.epochs_reused == (continues or 0) and from_scratch.epochs_reused == 0
    assert (warm.epochs_trained, warm.epochs_reused) == (6, 3)
    assert (cold.epochs_trained, cold.epochs_reused) == (9, 0)


def test_the_last_rung_is_the_same_training_as_a_cold_one(tmp_path):
    ctx = context(tmp_path)
    ctx.evaluate_many([ARCH], rung(2))
    (warm,) = ctx.evaluate_many([ARCH], rung(6, 2))
    (cold,) = context().evaluate_many([ARCH], Fidelity(6, 40))
    assert warm.curves == cold.curves and warm.score == cold.score


def test_an_early_rung_keeps_the_learning_rate_of_the_whole_schedule(tmp_path):
    (early,) = context(tmp_path).evaluate_many([ARCH], rung(2))
    (whole,) = context().evaluate_many([ARCH], Fidelity(6, 40))
    (short,) = context().evaluate_many([ARCH], Fidelity(2, 40))
    assert early.curves["lr"] == whole.curves["lr"][:2] != short.curves["lr"]
    assert early.curves["loss"] == whole.curves["loss"][:2]


def test_a_checkpoint_is_removed_once_the_training_went_on(tmp_path):
    ctx = context(tmp_path)
    ctx.evaluate_many([ARCH, OTHER], rung(1))
    assert kept(tmp_path) == ["1", "1"]
    ctx.evaluate_many([ARCH], rung(3, 1))
    assert kept(tmp_path) == ["1", "3"]
    ctx.evaluate_many([ARCH], rung(6, 3))
    assert kept(tmp_path) == ["1"]


def test_without_space_candidates_are_trained_from_scratch_and_it_is_counted(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT, "0")
    ctx = context(tmp_path)
    notes = []
    ctx.progress.note = notes.append
    ctx.evaluate_many([ARCH], rung(2))
    (again,) = ctx.evaluate_many([ARCH], rung(4, 2))
    (free,) = context().evaluate_many([ARCH], rung(4))
    assert again.curves == free.curves and again.epochs_reused == 0
    assert (ctx.epochs_trained, ctx.epochs_reused, ctx.candidates.removed) == (6, 0, 2)
    assert len(notes) == 1 and LIMIT in notes[0]


def test_the_checkpoints_of_the_fewest_epochs_are_removed_first(tmp_path):
    ctx = context(tmp_path)
    ctx.evaluate_many([ARCH], rung(1))
    ctx.candidates.max_bytes = 1.5 * next(tmp_path.glob("candidates/*")).stat().st_size
    ctx.evaluate_many([OTHER], Fidelity(3, 40, schedule_epochs=6))
    assert kept(tmp_path) == ["3"]


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_limit_that_is_no_number_is_an_error(tmp_path, monkeypatch, value):
    monkeypatch.setenv(LIMIT, value)
    with pytest.raises(OptionError, match=LIMIT):
        context(tmp_path)


def test_a_damaged_checkpoint_costs_epochs_and_changes_nothing(tmp_path):
    ctx = context(tmp_path)
    ctx.evaluate_many([ARCH], rung(2))
    (file,) = tmp_path.glob("candidates/*")
    file.write_bytes(file.read_bytes()[:-7])
    assert ResumeFolder(tmp_path).discard_if_damaged() == []
    (again,) = ctx.evaluate_many([ARCH], rung(4, 2))
    (free,) = context().evaluate_many([ARCH], rung(4))
    assert again.curves == free.curves and again.epochs_reused == 0


def test_fidelities_that_differ_in_their_start_alone_are_equal(tmp_path):
    assert rung(4, 2) == rung(4) and hash(rung(4, 2)) == hash(rung(4))
    ctx = context(tmp_path)
    (first,), (again,) = (ctx.evaluate_many([ARCH], f) for f in (rung(4), rung(4, 2)))
    assert (again.score, again.seconds) == (first.score, first.seconds)
    assert ctx.epochs_trained == 4


# Killed and started again

COMMAND = (
    "run", "hyperband", "synthetic-2lead", "--space", "tiny-cells", "--builder", "tiny-network",
    "--profile", "smoke", "--device", "cpu", "--set", "strategy.max_epochs=4",
    "--set", "strategy.beats=100", "--set", "evaluator.epochs=1",
)  # fmt: skip

KILLING = """
import os, sys
from nasbench_ecg.cli import app
from nasbench_ecg.run import contexts
last, real = int(sys.argv.pop(1)), contexts.evaluate_candidate
done = []
def evaluate_candidate(*args, **kwargs):
    found = real(*args, **kwargs)
    done.append(found)
    if len(done) == last:
        os.kill(os.getpid(), 9)  # the checkpoint is written and the evaluation is not yet
    return found
contexts.evaluate_candidate = evaluate_candidate
app(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_search_ends_as_if_it_had_not_been_killed(tmp_path):
    script = tmp_path / "killing.py"
    script.write_text(KILLING)

    def run(folder: str, last: int) -> int:
        command = [
            sys.executable,
            str(script),
            str(last),
            *COMMAND,
            "--out",
            str(tmp_path / folder),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode

    def record(folder: str) -> dict:
        (path,) = (p for p in (tmp_path / folder).rglob("*.json") if len(p.stem) == 16)
        return json.loads(path.read_text())

    assert run("whole", 0) == 0
    assert run("killed", 7) == -signal.SIGKILL
    assert run("killed", 2) == -signal.SIGKILL
    assert run("killed", 0) == 0
    whole, killed = record("whole"), record("killed")
    assert whole["epochs"]["reused"] > 0
    for field in ("epochs", "score", "architecture", "search_details", "confusion"):
        assert killed[field] == whole[field]
