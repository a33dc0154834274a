"""Networks that depend on a memory layout, or on PyTorch's own layers, train as they do without."""

from __future__ import annotations

import copy
import warnings
from itertools import product

import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn
from torch.utils.checkpoint import checkpoint

from nasbench_ecg.errors import PluginError
from nasbench_ecg.progress import Silent
from nasbench_ecg.training import FastLayers, Recipe, fit, training_step, weight_optimizer
from nasbench_ecg.training.fast_layers.layout import LayoutError
from nasbench_ecg.training.seeding import seeded

WIDTHS = [6, 32]
"""Channels of a network whose batch is last in memory, and of one whose channels are."""


class Network(nn.Module):
    """A convolutional layer with dropout; ``head`` maps its result to what is classified."""

    def __init__(self, channels, head, block=None):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(2, channels, 5, padding=2),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Dropout(0.1),
        )
        self.head = head
        self.call = block or (lambda block, x: block(x))
        self.last = nn.LazyLinear(3)

    def forward(self, x):
        return self.last(self.head(self.call(self.block, x)))


def network(channels, head=lambda x: x.flatten(1), block=None):
    with seeded(1):
        made = Network(channels, head, block)
        made.eval()(torch.zeros(1, 2, 40))
    return made.train()


def second_derivative(block, x):
    x = x.clone().requires_grad_()
    out = block[:1](x)
    (slope,) = torch.autograd.grad(out.tanh().sum(), x, create_graph=True)
    return torch.cat([out, slope], dim=1)


VIEWS = {
    "view": lambda x: x.view(x.size(0), -1),
    "view of a sum": lambda x: (x + 1).view(len(x), 2, -1).mean(1),
    "view_as": lambda x: x.view_as(torch.empty(len(x), x[0].numel())),
    "view of parts": lambda x: torch.cat([x, x * 2], dim=1).view(x.size(0), -1),
    "complex": lambda x: torch.view_as_complex(x.unflatten(2, (-1, 2))).abs().flatten(1),
    "complex parts": lambda x: x.view(torch.complex64).abs().flatten(1),
}
READS_LAYOUT = {
    "as_strided": lambda x: x.as_strided((len(x), 10), (x[0].numel(), 2)),
    "strides": lambda x: x.flatten(1) * float(x.stride(2)),
    "changed view": lambda x: (x.view(len(x), -1).mul_(2), x.flatten(1))[1],
    "changed tensor": lambda x: (x.view(len(x), -1), x.add_(3))[0],
}
BLOCKS = {
    "checkpoint": lambda block, x: checkpoint(block[:3], x, use_reentrant=False),
    "second derivative": second_derivative,
    "vmap": lambda block, x: torch.vmap(block[0])(x[:, None])[:, 0],
}


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_values_and_gradients_of_pytorch(name, channels):
    plain = network(channels, VIEWS[name])
    plain.block[4].p = 0.0
    fast = copy.deepcopy(plain)
    with seeded(2):
        x = torch.randn(6, 2, 40)
    expected = plain(x)
    expected.square().sum().backward()
    with FastLayers(fast):
        got = fast(x)
    got.square().sum().backward()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("name", READS_LAYOUT)
def test_a_network_that_reads_the_layout_is_refused(name, channels):
    made = network(channels, READS_LAYOUT[name])
    with pytest.raises(LayoutError), FastLayers(made):
        made(torch.zeros(6, 2, 40))


def test_a_tensor_of_its_own_layout_may_be_read_with_strides():
    made = network(6, lambda x: torch.zeros(len(x), 9).as_strided((len(x), 3), (9, 2)) + x.mean())
    with FastLayers(made):
        made(torch.zeros(6, 2, 40))


def steps(made, fast):
    """Return the state after three steps on the same batches."""
    optimizer = weight_optimizer(made, Recipe(lr=0.1))
    with seeded(3), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for size in (6, 6, 4):
            x, y = torch.randn(size, 2, 40), torch.randint(3, (size,))
            training_step(made, optimizer, x, y, recipe=Recipe(), fast=fast)
    return made.state_dict()


# PyTorch differentiates the forms of wide networks twice, and maps them over a dimension.
HAVE_FORMS = [("second derivative", 32), ("vmap", 32)]


@pytest.mark.parametrize(
    ("name", "channels"),
    [one for one in product((*READS_LAYOUT, *BLOCKS), WIDTHS) if one not in HAVE_FORMS],
)
def test_a_network_without_faster_forms_trains_as_with_pytorch_alone(name, channels):
    made = network(channels, READS_LAYOUT.get(name, lambda x: x.flatten(1)), BLOCKS.get(name))
    expected, got = steps(copy.deepcopy(made), fast=False), steps(made, fast=True)
    assert all(torch.equal(got[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("name", "channels"), HAVE_FORMS)
def test_a_block_with_faster_forms_trains_as_with_pytorch_within_rounding(name, channels):
    made = network(channels, block=BLOCKS[name])
    expected, got = steps(copy.deepcopy(made), fast=False), steps(made, fast=True)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_the_first_failure_is_told_once():
    made = network(6, READS_LAYOUT["as_strided"])
    optimizer = weight_optimizer(made, Recipe())
    x, y = torch.zeros(6, 2, 40), torch.zeros(6, dtype=torch.int64)
    with pytest.warns(RuntimeWarning, match="trains slower"):
        training_step(made, optimizer, x, y, recipe=Recipe())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training_step(made, optimizer, x, y, recipe=Recipe())


def test_the_error_of_a_network_is_that_of_pytorch():
    made = network(6)
    made.head = lambda x: x.view(len(x), 7, -1)
    with pytest.raises(RuntimeError, match="is invalid for input of size") as caught:
        steps(made, fast=True)
    assert caught.value.__context__ is None


class Saved:
    """Keeps the last state that was saved."""

    state = None

    def due(self):
        return False

    def save(self, state):
        self.state = copy.deepcopy(state)

    def load(self):
        return self.state


@pytest.mark.filterwarnings("ignore:.*trains slower:RuntimeWarning")
def test_a_resumed_training_makes_the_same_choice():
    def head(x):  # only the last batch of an epoch has no faster form
        return (x if len(x) == 16 else x.as_strided(x.shape, x.stride())).mean(2)

    def train(stops):
        made, kept = network(6, lambda x: x.mean(2)), Saved()
        made.head, made.block[4].p = head, 0.0
        for stop in stops:
            with seeded(7):
                again = copy.deepcopy(made)
                fit(
                    again, tiny_beats(40, seed=2), Recipe(epochs=3, batch_size=16), seed=1,
                    device="cpu", progress=Silent(), checkpoint=kept, stop_after=stop,
                )  # fmt: skip
        return again.state_dict()

    whole, resumed = train([None]), train([1, None])
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


class Counted(nn.Module):
    """A module whose state holds a number that is no tensor."""

    def __init__(self, extra):
        super().__init__()
        self.last = nn.Linear(2, 3)
        self.extra = extra

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state

    def forward(self, x):
        return self.last(x.mean(-1))


def test_a_state_that_cannot_be_saved_is_refused_before_the_training():
    beats, options = tiny_beats(40, seed=2), {"seed": 1, "device": "cpu", "progress": Silent()}
    with pytest.raises(PluginError, match="it holds a dict"):
        fit(Counted({"calls": 1}), beats, Recipe(epochs=1), **options)
    fit(Counted(torch.zeros(1)), beats, Recipe(epochs=1), **options)
