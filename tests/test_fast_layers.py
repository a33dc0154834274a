"""Faster forms of layers compute the same as PyTorch's own, within rounding, and as repeatably."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.progress import Silent
from nasbench_ecg.training import FastLayers, Recipe, fit
from nasbench_ecg.training.fast_layers import batch_last, convolution, narrow_norms
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_baselines.cnn import CNN_9, CNN_11, Cnn
from nasbench_ecg_baselines.resnet import ResNet31
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells

TOLERANCE = 1e-12
"""Relative, in float64."""


class Stranger(nn.Module):
    """A network as others write it: three dimensions, modules and functions of PyTorch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(2, 6, 19, stride=2, padding=9), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2)
        )
        self.depthwise = nn.Conv1d(6, 6, 5, padding=2, groups=6)
        self.dilated = nn.Conv1d(6, 6, 3, padding=2, dilation=2)
        self.same = nn.Conv1d(6, 6, 4, padding="same")
        self.wide = nn.Conv1d(12, 20, 21, padding=10, bias=False)
        self.last = nn.Linear(20, 5)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.depthwise(x), F.elu(self.dilated(x)) + self.same(x)], dim=1)
        x = F.max_pool1d(self.wide(x), 3, stride=2, padding=1)
        return self.last(x.mean(dim=-1))


def cells(seed, channels=3):
    arch = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(seed))
    options = StackedCellsShortcutOptions(cells=6, channels=channels, stem_filters=5)
    return StackedCellsShortcut(options).build(arch, n_leads=2, n_samples=300, n_classes=5)


SIZES = {"n_leads": 2, "n_samples": 300, "n_classes": 5}
NETWORKS = {
    "cnn-9": lambda: Cnn(CNN_9, **SIZES),
    "cnn-11": lambda: Cnn(CNN_11, **SIZES),
    "resnet-31": lambda: ResNet31(**SIZES),
    "cells": lambda: cells(0),
    "other cells": lambda: cells(1),
    "stranger": Stranger,
    "narrow and wide": lambda: InPlace(24),
}


def outputs_and_gradients(network, x, y):
    logits = network(x)
    inputs = [x, *network.parameters()]
    return logits, *torch.autograd.grad(F.cross_entropy(logits, y), inputs)


def assert_equal_within_rounding(got, expected):
    largest = max(float(tensor.detach().abs().max()) for tensor in expected[1:])
    for a, b in zip(got, expected, strict=True):
        # a gradient that is zero but for rounding is compared with the largest one
        bound = TOLERANCE * max(float(b.detach().abs().max()), 1e-3 * largest)
        assert a.shape == b.shape
        assert float((a - b).detach().abs().max()) <= bound


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_a_network_has_the_same_outputs_and_gradients(name, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    with seeded(3):
        network = NETWORKS[name]().double().train()
        x = torch.randn(6, 2, 300, dtype=torch.float64, requires_grad=True)
        y = torch.randint(5, (6,))
    other = copy.deepcopy(network)
    expected = outputs_and_gradients(network, x, y)
    with FastLayers(other):
        logits = other(x)
    gradients = torch.autograd.grad(F.cross_entropy(logits, y), [x, *other.parameters()])
    assert_equal_within_rounding((logits, *gradients), expected)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=TOLERANCE, atol=TOLERANCE)


def convolve_row(x, weight, bias, stride, pad):
    return convolution.convolve(x.unsqueeze(2), weight, bias, stride, pad).squeeze(2)


@pytest.mark.parametrize("convolve", [convolve_row, batch_last.convolve])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 4, 5, 17, 18, 27, 40])
@pytest.mark.parametrize(("c_in", "c_out"), [(1, 1), (2, 3), (8, 8), (3, 16), (20, 5)])
def test_a_convolution_is_that_of_pytorch_for_every_shape(
    c_in, c_out, kernel, stride, biased, convolve
):
    generator = torch.Generator().manual_seed(kernel)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    weight, bias = draw(c_out, c_in, kernel), draw(c_out) if biased else None
    for n, pad in ((75, kernel // 2), (76, 0), (75, kernel - 1), (41, 1 % kernel)):
        x = draw(2, c_in, n)
        inputs = [x, weight, *([bias] if biased else [])]
        reference = F.conv1d(x, weight, bias, stride, pad)
        got = convolve(x, weight, bias, stride, pad)
        grad = torch.randn(reference.shape, generator=generator, dtype=torch.float64)
        expected = (reference, *torch.autograd.grad(reference, inputs, grad))
        assert_equal_within_rounding((got, *torch.autograd.grad(got, inputs, grad)), expected)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 8, 12, 20, 24, 31])
def test_a_narrow_norm_is_that_of_pytorch(channels, affine):
    generator = torch.Generator().manual_seed(channels)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weight, bias = (draw(channels).requires_grad_() for _ in range(2)) if affine else (None, None)
    for batch, n in ((16, 10), (1, 16)):
        x = (3 * draw(batch, channels, 1, n) + 5).contiguous(memory_format=torch.channels_last)
        inputs = [x.requires_grad_(), *([weight, bias] if affine else [])]
        running = [torch.zeros(channels).double(), torch.ones(channels).double()]
        expected_running = copy.deepcopy(running)
        expected = F.batch_norm(x, *expected_running, weight, bias, True, 0.3, 1e-3)
        got = narrow_norms.batch_norm(x, *running, weight, bias, 0.3, 1e-3)
        of_got, of_expected = (torch.autograd.grad((y**3).sum(), inputs) for y in (got, expected))
        assert_equal_within_rounding(
            (got, *of_got, *running), (expected, *of_expected, *expected_running)
        )


@pytest.mark.parametrize("n_beats", [6, 7])
def test_narrow_norms_of_a_network_change_rounding_only_and_inside_the_block_only(
    n_beats, monkeypatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with seeded(3):
        network = cells(0, channels=8).double().train()
        x = torch.randn(n_beats, 2, 300, dtype=torch.float64, requires_grad=True)
        y = torch.randint(5, (n_beats,))
    other = copy.deepcopy(network)
    expected = outputs_and_gradients(network, x, y)
    with narrow_norms.fast_norms(other):
        patched = [module for module in other.modules() if "forward" in vars(module)]
        got = outputs_and_gradients(other, x, y)
    assert {module.num_features for module in patched} == {5, 8}
    assert not any("forward" in vars(module) for module in other.modules())
    assert_equal_within_rounding(got, expected)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=TOLERANCE, atol=TOLERANCE)
    with narrow_norms.fast_norms(other), torch.no_grad():
        torch.testing.assert_close(other.eval()(x), network.eval()(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("threads", "helps"), [(1, False), (2, True)])
def test_narrow_norms_are_for_several_threads_and_for_few_channels(monkeypatch, threads, helps):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert narrow_norms.are_in(cells(0, channels=8)) is helps
    assert not narrow_norms.are_in(ResNet31(**SIZES))


class InPlace(nn.Module):
    """A network that changes what its layers return, as many do to save memory."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv1d(2, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, 19, padding=9, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
        )
        self.second = nn.Conv1d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.first(x)
        pooled = F.max_pool1d(x, 2)
        pooled += 1
        out = self.second(x)
        out += pooled
        joined = torch.cat([out, pooled], dim=1)
        joined[:, 0] *= 2
        return joined.mean(dim=2)


@pytest.mark.parametrize("channels", [8, 64])
def test_a_network_may_change_results_in_place(channels):
    with seeded(5):
        network = InPlace(channels).double().train()
        x = torch.randn(6, 2, 40, dtype=torch.float64, requires_grad=True)
        y = torch.randint(5, (6,))
    expected = outputs_and_gradients(network, x, y)
    with FastLayers(network):
        got = outputs_and_gradients(network, x, y)
    assert_equal_within_rounding(got, expected)


@pytest.mark.parametrize("channels", [8, 64])
def test_a_strided_convolution_with_padding_same_is_refused_as_by_pytorch(channels):
    x, weight = torch.randn(2, 2, 20), torch.randn(channels, 2, 3, requires_grad=True)
    with (
        FastLayers(nn.Conv1d(2, channels, 3)),
        pytest.raises(RuntimeError, match="not supported for strided"),
    ):
        F.conv1d(x, weight, stride=2, padding="same")


@pytest.mark.parametrize("channels", [8, 64])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_norm_may_lack_scale_and_shift(channels, scaled, shifted):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, channels, 30, generator=generator, dtype=torch.float64).requires_grad_()
    weight, bias = (
        torch.rand(channels, generator=generator, dtype=torch.float64).requires_grad_()
        if there
        else None
        for there in (scaled, shifted)
    )
    inputs = [given for given in (x, weight, bias) if given is not None]
    results = []
    for fast in (False, True):
        statistics = torch.zeros(channels).double(), torch.ones(channels).double()
        with FastLayers(nn.Conv1d(2, channels, 3)) if fast else nullcontext():
            out = F.batch_norm(x, *statistics, weight, bias, training=True)
        results.append((out, *torch.autograd.grad(out.square().mul(x).sum(), inputs), *statistics))
    assert_equal_within_rounding(*results)


@pytest.mark.parametrize("channels", [8, 64])
def test_functions_that_are_not_known_are_computed_as_without(channels):
    x = torch.randn(2, 3, 40)
    calls = {
        "two dimensions": lambda: F.conv2d(torch.ones(1, 1, 5, 5), torch.ones(1, 1, 2, 2)),
        "rows apart": lambda: F.conv2d(torch.ones(1, 1, 1, 5), torch.ones(1, 1, 3, 1), padding=1),
        "transposed": lambda: F.conv_transpose1d(x, torch.ones(3, 2, 4)),
        "no batch": lambda: F.conv1d(x[0], torch.ones(2, 3, 5)),
        "indices": lambda: F.max_pool1d(x, 2, return_indices=True)[1],
        "bfloat16": lambda: F.conv1d(x.bfloat16(), torch.ones(2, 3, 5).bfloat16()),
    }
    for name, call in calls.items():
        expected = call()
        with FastLayers(nn.Conv1d(1, channels, 3)):
            assert torch.equal(call(), expected), name


def test_an_error_of_pytorch_stays_the_same():
    x, weight = torch.zeros(2, 3, 40), torch.zeros(2, 4, 5)
    with pytest.raises(RuntimeError, match="expected input"), FastLayers(nn.Conv1d(3, 2, 5)):
        F.conv1d(x, weight)


@pytest.mark.parametrize(
    ("name", "helps"), [("cnn-9", True), ("stranger", True), ("resnet-31", False)]
)
def test_a_wide_network_with_forms_of_its_own_is_left_alone(name, helps):
    assert FastLayers.may_help(NETWORKS[name]()) is helps


def trained(fast, **recipe):
    with seeded(0):
        network = Stranger()
    beats = tiny_beats(120, seed=2)
    options = Recipe(**{"epochs": 2, "batch_size": 32, **recipe})
    curves = fit(network, beats, options, seed=1, device="cpu", progress=Silent(), fast=fast)
    return network.state_dict(), curves


def test_a_training_is_repeated_bit_for_bit():
    (a, curves), (b, again) = trained(True), trained(True)
    assert curves == again
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_training_differs_from_the_plain_one_by_rounding_only():
    (fast, curves), (plain, plain_curves) = trained(True), trained(False)
    assert list(fast) == list(plain)
    for name in fast:
        torch.testing.assert_close(fast[name], plain[name], rtol=1e-3, atol=1e-4)
    assert curves["loss"] == pytest.approx(plain_curves["loss"], rel=1e-4)


def test_a_table_is_trained_without_so_that_its_members_stay_the_same_to_the_last_bit(monkeypatch):
    from nasbench_ecg.tables import training

    asked = {}

    def record(model, beats, recipe, **options):
        asked.update(options)
        raise StopIteration

    monkeypatch.setattr(training, "fit", record)
    with pytest.raises(StopIteration):
        _train_a_member(training)
    assert asked["fast"] is False


def _train_a_member(training):
    from types import SimpleNamespace

    beats = tiny_beats(60, seed=0)
    task = SimpleNamespace(
        train=beats, validation=beats, n_classes=beats.n_classes, n_leads=2, n_samples=300
    )
    recipe = SimpleNamespace(
        beats=30, rare_share=0.5, epochs=1, batch_size=8, lr=0.01, weight_decay=0.0
    )
    builder = SimpleNamespace(build=lambda arch, **sizes: nn.Flatten())
    training.train_member(None, task, beats, builder, recipe, 0)
