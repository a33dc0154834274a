"""Values that are not finite: refused in beats, and the end of a training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from run_records import run_record, with_f1
from tiny_beats import tiny_beats
from tiny_runs import prepared_run, tiny_config
from torch import nn

from nasbench_ecg.contracts import Evaluation
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import DivergedError, RecordError
from nasbench_ecg.progress import Silent
from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.engine import (
    Epoch,
    fit,
    n_batches,
    predict,
    to_device,
    training_step,
)
from nasbench_ecg.training.optimizers import weight_optimizer
from nasbench_ecg.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("outside")

# Beats


def with_signals(beats: Beats, signals: NDArray[np.float32]) -> Beats:
    return replace(beats, signals=signals)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_beats_that_are_not_finite_are_refused_by_record_beat_and_lead(value: float) -> None:
    beats = tiny_beats(20)
    signals = beats.signals.copy()
    signals[[7, 12], 1, 3] = value
    with pytest.raises(RecordError) as caught:
        with_signals(beats, signals)
    assert caught.value.what == "2 of 20 beats contain NaN or infinity."
    assert "record toy, beat 7 with its R peak at sample 7, lead lead1" in caught.value.where


def test_the_largest_finite_values_are_allowed() -> None:
    beats = tiny_beats(4)
    largest = np.finfo(np.float32).max
    signals = np.full_like(beats.signals, largest)
    signals[0] = -largest
    assert len(with_signals(beats, signals)) == 4
    assert len(beats.take(np.arange(0))) == 0


# Training

STEEP = Recipe(lr=1e8, grad_clip=1e30, epochs=4, batch_size=32)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(128, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def first_loss_that_is_not_finite(beats: Beats, recipe: Recipe) -> tuple[int, int]:
    """Return its epoch and step, counted from 1, by reading every loss."""
    model, data, order = network(), to_device(beats, "cpu"), Epoch(len(beats), seed=0)
    optimizer = weight_optimizer(model, recipe)
    while True:
        for step, batch in enumerate(order.remaining(recipe.batch_size, "cpu"), start=1):
            x, y = data.signals[batch], data.labels[batch]
            loss, _ = training_step(model, optimizer, x, y, recipe=recipe)
            if not math.isfinite(float(loss)):
                return order.number + 1, step
        order.next()


@pytest.mark.parametrize("lr", [1e6, 1e12, 1e20, 1e37])
def test_a_loss_that_is_not_finite_ends_the_training_at_its_epoch_and_step(lr: float) -> None:
    beats = tiny_beats(200, seed=1)
    recipe = replace(STEEP, lr=lr, lr_min=lr)
    epoch, step = first_loss_that_is_not_finite(beats, recipe)
    with pytest.raises(DivergedError, match="loss not finite") as caught:
        fit(network(), beats, recipe, seed=0, device="cpu", progress=Silent())
    steps = n_batches(len(beats), recipe.batch_size)
    assert caught.value.where == f"epoch {epoch}, step {step} of {steps}"


class Poisoned(nn.Module):
    """A network whose loss is finite in training, and which breaks a value that no loss reads."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.unused = nn.Parameter(torch.ones(()))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.variance.fill_(math.inf)
        logits: torch.Tensor = self.inner(x)
        return logits


def test_weights_and_buffers_that_are_not_finite_end_the_training() -> None:
    recipe = Recipe(epochs=2, batch_size=50)
    with pytest.raises(DivergedError, match="weights not finite") as caught:
        fit(Poisoned(), tiny_beats(200), recipe, seed=0, device="cpu", progress=Silent())
    assert caught.value.where == "epoch 1, step 4 of 4"


def test_outputs_that_are_not_finite_are_no_prediction() -> None:
    beats = tiny_beats(30)
    model = network()
    for weight in model.parameters():
        weight.data.fill_(1e38)
    with pytest.raises(DivergedError, match=r"outputs are not finite for .* of 30 beats"):
        predict(model, beats, device="cpu")


# Runs


STEEP_OPTIONS = {"lr": 1e30, "lr_min": 1e30, "grad_clip": 1e30, "epochs": 1, "batch_size": 8}


def test_a_run_whose_training_diverges_fails_and_is_not_ranked(
    beats_cache: Path, tmp_path: Path
) -> None:
    config = tiny_config("random", set={"strategy": {"samples": 1}, "evaluator": STEEP_OPTIONS})
    with pytest.raises(DivergedError):
        execute(prepared_run(config, beats_cache), RecordStore(tmp_path))
    ((record,), _) = read_records(tmp_path)
    assert (record.status, record.cause) == ("failed", "diverged")
    assert record.error is not None and "epoch 1, step " in record.error
    assert record.metrics == {}
    (board,) = leaderboards([record])
    assert [row.rank for row in board.rows] == [None]
    assert board.rows[0].runs_without_result == {"failed": 1}


@pytest.mark.parametrize("part", ["loss", "weights"])
def test_an_evaluators_own_training_that_diverges_fails_the_run(
    part: str, beats_cache: Path, tmp_path: Path
) -> None:
    prepared = prepared_run(tiny_config("random", set={"strategy": {"samples": 1}}), beats_cache)

    class Own:
        def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
            state = {"w": torch.tensor([1.0, math.nan if part == "weights" else 2.0])}
            curves = {"loss": [0.5, math.nan, math.nan]} if part == "loss" else {}
            return Evaluation(arch, 0.5, {"accuracy": 0.7083}, 1.0, curves=curves, state=state)

    with pytest.raises(DivergedError, match=f"{part} not finite"):
        execute(replace(prepared, evaluator=Own()), RecordStore(tmp_path))
    ((record,), _) = read_records(tmp_path)
    assert (record.status, record.cause, record.metrics) == ("failed", "diverged", {})


@pytest.mark.slow
def test_a_candidate_that_diverges_is_the_worst_and_the_search_goes_on(
    beats_cache: Path, tmp_path: Path
) -> None:
    config = tiny_config("random", set={"strategy": {"samples": 4}, "evaluator": {"epochs": 1}})
    prepared = prepared_run(config, beats_cache)
    trained = prepared.evaluator
    scored: list[float] = []

    class Sometimes:
        def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
            scored.append(0.0)
            if len(scored) == 1:
                raise DivergedError("The training diverged: loss not finite.")
            return trained.evaluate(arch, task, builder, ctx)

    record = execute(replace(prepared, evaluator=Sometimes()), RecordStore(tmp_path))
    assert record.status == "ok" and len(scored) == 5
    first = record.search_details["evaluations"][0]
    assert first["score"] is None and first["architecture"] != record.architecture_hash


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("darts", {"lr": 1e30, "grad_clip": 1e30}),
        ("random-ws", {"epochs": 1, "batch_size": 16, "lr": 1e30, "grad_clip": 1e30}),
    ],
)
def test_a_search_whose_supernet_diverges_fails(
    strategy: str, options: dict[str, Any], beats_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(DivergedError, match="diverged") as caught:
        config = tiny_config(strategy, set={"strategy": options})
        execute(prepared_run(config, beats_cache), RecordStore(tmp_path))
    assert caught.value.where.startswith("epoch 1, step ")
    ((record,), _) = read_records(tmp_path)
    assert (record.status, record.cause) == ("failed", "diverged")


def test_records_of_diverged_runs_do_not_change_the_ranks_of_others() -> None:
    good = [run_record("darts", seed, metrics=with_f1(0.9)) for seed in (0, 1)]
    bad = run_record("random", 0, status="failed", cause="diverged")
    (board,) = leaderboards([*good, bad])
    assert [(row.strategy, row.rank) for row in board.rows] == [("darts", 1), ("random", None)]
