"""The evaluator `latency`, measured with a fake clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.contracts import Task
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext
from nasbench_ecg.training import engine
from nasbench_ecg_evaluators.costs import Latency
from nasbench_ecg_evaluators.options import LatencyOptions

TASK = Task(tiny_beats(8), tiny_beats(4), ("N", "S", "V"))


class Clock:
    """A clock that moves only when a network is called."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow(nn.Module):
    """Takes 2 ms per beat; every tenth call takes a hundred times as long."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.calls = []

    def forward(self, x):
        self.calls.append((tuple(x.shape), self.training, torch.is_inference_mode_enabled()))
        self.clock.now += 0.002 * len(x) * (100 if len(self.calls) % 10 == 1 else 1)
        return x.mean(dim=(1, 2))


@pytest.fixture
def slow(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(engine.time, "perf_counter", clock)
    return Slow(clock)


def evaluate(model, **options):
    class Builder:
        def build(self, arch, *, n_leads, n_samples, n_classes):
            return model

    ctx = FinalTestContext(TASK, tiny_beats(4), "cpu", Silent())
    got = Latency(LatencyOptions(**options)).evaluate("an architecture", TASK, Builder(), ctx)
    assert not ctx.opened
    return got


def test_latency_is_the_median_of_one_beat_and_of_a_batch(slow):
    got = evaluate(slow, repeats=30, batch_repeats=12)
    assert got.metrics == pytest.approx({"latency_1_ms": 2.0, "latency_256_ms": 512.0})
    assert got.score == pytest.approx(-2.0)


def test_the_batch_can_determine_the_score(slow):
    got = evaluate(slow, repeats=5, batch_repeats=5, batch_size=16, rank_by="batch")
    assert got.score == -got.metrics["latency_16_ms"] == pytest.approx(-32.0)


def test_each_size_is_timed_as_often_as_asked_after_one_warm_up_in_evaluation_mode(slow):
    evaluate(slow, repeats=7, batch_repeats=3)
    shapes = [shape for shape, _, _ in slow.calls]
    assert shapes == [(1, 2, 64)] * 8 + [(256, 2, 64)] * 4
    assert not any(training for _, training, _ in slow.calls)
    assert all(inference for _, _, inference in slow.calls)


def test_a_real_network_has_positive_latencies():
    with torch.random.fork_rng():
        got = evaluate(nn.Flatten(), repeats=3, batch_repeats=2)
    assert np.all(np.array(list(got.metrics.values())) > 0)
    assert got.score < 0
