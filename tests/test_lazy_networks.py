"""Lazy layers get their shapes where a network is built, so that all of it works as with others."""

from __future__ import annotations

import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.contracts import Task
from nasbench_ecg.errors import PluginError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext
from nasbench_ecg.training import Recipe, build_network, fit
from nasbench_ecg.training.costs import measure_costs
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_evaluators.options import ProxyOptions, TrainOptions
from nasbench_ecg_evaluators.proxies import JacobCov, Synflow
from nasbench_ecg_evaluators.train import Train

TASK = Task(tiny_beats(60, seed=1), tiny_beats(30, seed=2), ("N", "S", "V"))


def layers(conv, norm, linear):
    return nn.Sequential(
        conv(8, 5), norm(), nn.ReLU(), nn.Dropout(), nn.MaxPool1d(2), nn.Flatten(), linear(3)
    )


class Lazy:
    def build(self, arch, *, n_leads, n_samples, n_classes):
        return layers(nn.LazyConv1d, nn.LazyBatchNorm1d, nn.LazyLinear)


class Eager:
    def build(self, arch, *, n_leads, n_samples, n_classes):
        return layers(
            lambda *sizes: nn.Conv1d(2, *sizes),
            lambda: nn.BatchNorm1d(8),
            lambda n: nn.Linear(8 * 30, n),
        )


def built(builder, seed=0):
    with seeded(seed):
        return build_network(None, TASK, builder)


def test_a_lazy_network_is_that_of_given_shapes():
    lazy, eager = built(Lazy()), built(Eager())
    expected = eager.state_dict()
    assert list(lazy.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in lazy.state_dict().items())
    assert [m.training for m in lazy.modules()] == [m.training for m in eager.modules()]
    assert not torch.equal(built(Lazy(), seed=1)[0].weight, lazy[0].weight)


def test_a_lazy_network_costs_trains_and_scores_what_that_of_given_shapes_does():
    found = []
    for builder in (Lazy(), Eager()):
        costs = measure_costs(None, TASK, builder, "cpu")
        result = [costs[name] for name in ("parameters", "macs", "flash_bytes", "ram_bytes")]
        for evaluator in (
            Train(TrainOptions(epochs=2, batch_size=20, averaging="ema")),
            Synflow(ProxyOptions(batch_size=8)),
            JacobCov(ProxyOptions(batch_size=8)),
        ):
            with seeded(3):
                context = FinalTestContext(TASK, tiny_beats(30, seed=3), "cpu", Silent())
                result.append(evaluator.evaluate(None, TASK, builder, context).score)
        found.append(result)
    assert found[0] == found[1]


def test_a_lazy_network_of_another_builder_is_trained_as_that_of_given_shapes():
    found = []
    for builder in (Lazy(), Eager()):
        with seeded(2):
            network = builder.build(None, n_leads=2, n_samples=64, n_classes=3)
            recipe = Recipe(epochs=2, batch_size=20, averaging="swa")
            fit(network, TASK.train, recipe, seed=0, device="cpu", progress=Silent())
        found.append(network.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_layer_that_no_beat_reaches_is_refused():
    class Unused:
        def build(self, arch, *, n_leads, n_samples, n_classes):
            network = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
            network[0].unused = nn.LazyLinear(7)
            return network

    with pytest.raises(PluginError, match=r"not known after a beat. \(0.unused.weight\)"):
        built(Unused())
