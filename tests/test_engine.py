"""The training engine: repeatable, annealed by a cosine, and it learns what can be learned."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.progress import Silent
from nasbench_ecg.training.engine import (
    Epoch,
    Recipe,
    fit,
    n_batches,
    predict,
    seconds_per_call,
    seconds_per_step,
    to_device,
    training_step,
)
from nasbench_ecg.training.optimizers import cosine, weight_optimizer
from nasbench_ecg.training.seeding import seeded


def tiny_network(seed=0, n_leads=2, n_classes=3):
    with seeded(seed):
        return nn.Sequential(
            nn.Conv1d(n_leads, 4, 9, stride=2, padding=4),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(8),
            nn.Flatten(),
            nn.Linear(32, n_classes),
        )


def train(beats, *, model=None, seed=0, **recipe):
    """Return (model, curves)."""
    model = model or tiny_network()
    recipe = Recipe(**{"epochs": 3, "batch_size": 32, **recipe})
    curves = fit(model, beats, recipe, seed=seed, device="cpu", progress=Silent())
    return model, curves


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def beats():
    return tiny_beats(200, seed=1)


# -- repeatability -----------------------------------------------------------------------------


def test_one_seed_trains_the_same_network_bit_for_bit(beats):
    (a, curves_a), (b, curves_b) = train(beats, seed=5), train(beats, seed=5)
    assert same(a, b)
    assert curves_a == curves_b


def test_another_seed_goes_through_the_beats_in_another_order(beats):
    (a, curves_a), (b, curves_b) = train(beats, seed=5), train(beats, seed=6)
    assert not same(a, b)
    assert curves_a["loss"] != curves_b["loss"]


def test_training_does_not_depend_on_torchs_global_generator_nor_change_it(beats):
    torch.manual_seed(1)
    a, _ = train(beats)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    b, _ = train(beats)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(a, b)


def test_a_seeded_block_restores_the_generator_it_found():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    with seeded(9):
        inside = torch.rand(4)
    with seeded(9):
        assert torch.equal(torch.rand(4), inside)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


# -- the recipe --------------------------------------------------------------------------------


def test_the_recipes_defaults_are_the_papers():
    # Section IV-C: 100 epochs, batches of 256; SGD as DARTS on CIFAR-10.
    assert Recipe() == Recipe(
        epochs=100, batch_size=256, lr=0.025, lr_min=0.001, momentum=0.9, weight_decay=3e-4,
        grad_clip=5.0, precision="float32",
    )  # fmt: skip


def test_the_learning_rate_falls_from_0_025_towards_0_001_by_a_cosine(beats):
    _, curves = train(beats.take(np.arange(40)), epochs=10)
    expected = [0.001 + 0.012 * (1 + math.cos(math.pi * e / 10)) for e in range(10)]
    assert curves["lr"] == pytest.approx(expected, rel=1e-9)
    assert curves["lr"][0] == pytest.approx(0.025)


def test_after_all_epochs_the_cosine_has_reached_its_end():
    optimizer = weight_optimizer(tiny_network(), Recipe(epochs=7))
    schedule = cosine(optimizer, Recipe(epochs=7))
    for _ in range(7):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0.001)


def test_a_step_is_clipped_sgd_with_momentum_and_weight_decay(beats):
    recipe = Recipe(lr=0.1, momentum=0.9, weight_decay=0.01, grad_clip=0.05)
    model = tiny_network()
    optimizer = weight_optimizer(model, recipe)
    data = to_device(beats, "cpu")
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for i in range(3):
        x, y = data.signals[20 * i : 20 * i + 20], data.labels[20 * i : 20 * i + 20]
        expected_loss = nn.functional.cross_entropy(model(x), y)
        gradients = torch.autograd.grad(expected_loss, list(model.parameters()))
        norm = torch.cat([g.ravel() for g in gradients]).norm()
        assert norm > recipe.grad_clip
        before = [p.detach().clone() for p in model.parameters()]
        loss, logits = training_step(model, optimizer, x, y, recipe=recipe)
        torch.testing.assert_close(loss, expected_loss.detach())
        assert logits.shape == (20, 3)
        assert not logits.requires_grad
        for j, p in enumerate(model.parameters()):
            step = gradients[j] * recipe.grad_clip / norm + 0.01 * before[j]
            velocity[j] = 0.9 * velocity[j] + step
            torch.testing.assert_close(
                p.detach(), before[j] - 0.1 * velocity[j], rtol=1e-4, atol=1e-6
            )


def one_cycle(i, steps, largest):
    """Return the rate of step i: a cosine up to 30% of ``steps``, then one down (Smith, Topin)."""
    first, peak, last = largest / 25, 0.3 * steps - 1, steps - 1
    low, part = (first, i / peak) if i <= peak else (first / 1e4, 1 - (i - peak) / (last - peak))
    return low + (largest - low) * (1 - math.cos(math.pi * part)) / 2


ADAMW = {
    "optimizer": "adamw",
    "schedule": "one-cycle",
    "lr": 0.02,
    "weight_decay": 0.1,
    "grad_clip": 0.5,
    "batch_size": 32,
}


def test_adamw_with_one_cycle_is_that_of_a_loop_by_hand(beats):
    model, seed, epochs = tiny_network(), 7, 3
    model[0].bias = None  # before a normalization its gradient is rounding, which Adam scales up
    start = copy.deepcopy(model)
    data, batches = to_device(beats, "cpu"), []
    order = Epoch(len(beats), seed)
    for _ in range(epochs):
        batches += [batch.clone() for batch in order.remaining(32, "cpu")]
        order.next()
    m = [torch.zeros_like(p) for p in model.parameters()]
    v = [torch.zeros_like(p) for p in model.parameters()]
    for t, batch in enumerate(batches):
        loss = nn.functional.cross_entropy(model(data.signals[batch]), data.labels[batch])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = torch.cat([g.ravel() for g in gradients]).norm()
        rate = one_cycle(t, len(batches) + 1, 0.02)
        with torch.no_grad():
            for j, (p, g) in enumerate(zip(model.parameters(), gradients, strict=True)):
                g = g * min(1.0, 0.5 / (float(norm) + 1e-6))
                m[j] = 0.9 * m[j] + 0.1 * g
                v[j] = 0.999 * v[j] + 0.001 * g**2
                step = m[j] / (1 - 0.9 ** (t + 1))
                step /= (v[j] / (1 - 0.999 ** (t + 1))).sqrt() + 1e-8
                p.mul_(1 - rate * 0.1).sub_(rate * step)
    trained, curves = train(beats, model=start, seed=seed, epochs=epochs, **ADAMW)
    for a, b in zip(trained.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    steps = len(batches) // epochs
    ends = [one_cycle(steps * e, len(batches) + 1, 0.02) for e in range(1, epochs + 1)]
    assert curves["lr"] == pytest.approx(ends)


def test_each_epoch_is_reported_and_training_goes_on_in_training_mode(beats):
    seen = []
    model = tiny_network()

    def look(epoch):
        assert model.training
        model.eval()
        seen.append(epoch)

    recipe = Recipe(epochs=3, batch_size=32)
    fit(model, beats, recipe, seed=0, device="cpu", progress=Silent(), after_epoch=look)
    assert seen == [1, 2, 3]
    assert same(model, train(beats)[0])


class InterruptedTrainingError(Exception):
    pass


class SavedOnce:
    """A checkpoint that saves after a number of steps and ends the training there."""

    def __init__(self, steps):
        self.steps, self.state = steps, None

    def due(self):
        self.steps -= 1
        return self.steps == 0

    def save(self, state):
        self.state = copy.deepcopy(dict(state))
        raise InterruptedTrainingError

    def load(self):
        return self.state


@pytest.mark.parametrize("steps", [1, 6, 7, 20])
def test_a_one_cycle_training_that_is_stopped_anywhere_ends_the_same(beats, steps):
    expected, curves = train(beats, **ADAMW)
    checkpoint, epochs = SavedOnce(steps), []
    recipe = Recipe(epochs=3, **ADAMW)
    arguments = {"seed": 0, "device": "cpu", "progress": Silent(), "checkpoint": checkpoint}
    with pytest.raises(InterruptedTrainingError):
        fit(tiny_network(), beats, recipe, after_epoch=epochs.append, **arguments)
    model = tiny_network(seed=1)
    assert fit(model, beats, recipe, after_epoch=epochs.append, **arguments) == curves
    assert same(model, expected)
    assert epochs == [1, 2, 3]


def test_the_loss_falls_on_separable_beats_and_new_beats_are_told_apart(beats):
    model, curves = train(beats, epochs=12, lr=0.05)
    assert curves["loss"][-1] < 0.3 * curves["loss"][0]
    assert curves["accuracy"][-1] > 0.95
    unseen = tiny_beats(100, seed=2)
    predicted = predict(model, unseen, device="cpu").argmax(1)
    assert (predicted == unseen.labels).mean() > 0.95


def test_a_curve_has_one_value_an_epoch(beats):
    _, curves = train(beats, epochs=4)
    assert {name: len(values) for name, values in curves.items()} == {
        "loss": 4, "accuracy": 4, "lr": 4,
    }  # fmt: skip
    assert all(isinstance(value, float) for values in curves.values() for value in values)


def test_the_loss_of_an_epoch_is_the_mean_over_its_beats():
    # Without steps (lr 0) and without batch norm, the mean does not depend on the batches.
    beats = tiny_beats(50, seed=4)
    with seeded(0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    with torch.no_grad():
        logits = model(torch.from_numpy(beats.signals))
        expected = float(nn.functional.cross_entropy(logits, torch.from_numpy(beats.labels)))
    hits = float((logits.argmax(1).numpy() == beats.labels).mean())
    _, curves = train(beats, model=model, lr=0.0, lr_min=0.0, batch_size=16, epochs=1)
    assert curves["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert curves["accuracy"][0] == pytest.approx(hits)


def test_a_beat_that_is_left_out_is_left_out_of_the_mean():
    beats = tiny_beats(17, seed=4)
    beats.signals[:, 0, 0] = beats.labels

    class Oracle(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * nn.functional.one_hot(x[:, 0, 0].long(), 3).float()

    _, curves = train(beats, model=Oracle(), batch_size=16, epochs=2, lr=0.0, lr_min=0.0)
    assert curves["accuracy"] == [1.0, 1.0]


# -- batches -----------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_every_beat_is_seen_once_an_epoch_but_for_a_last_one_that_would_be_alone(n, size, seed):
    epoch = Epoch(n, seed)
    orders = []
    for _ in range(2):
        batches = list(epoch.remaining(size, "cpu"))
        assert len(batches) == n_batches(n, size)
        assert all(len(batch) == size for batch in batches[:-1])
        seen = torch.cat(batches)
        alone = n % size == 1 and n > 1 and size > 1
        assert len(seen) == n - alone == len(set(seen.tolist()))
        orders.append(seen.tolist())
        epoch.next()
    assert epoch.number == 2
    if n > 15:
        assert orders[0] != orders[1]


@pytest.mark.parametrize(("n", "batch_size"), [(33, 16), (50, 16), (10, 64), (1, 64), (5, 1)])
def test_ragged_single_and_oversized_batches_train(n, batch_size):
    model = tiny_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, curves = train(tiny_beats(n, seed=3), model=model, batch_size=batch_size, epochs=2)
    assert all(math.isfinite(loss) for loss in curves["loss"])
    assert not torch.equal(model.state_dict()["5.weight"], before["5.weight"])


def test_bfloat16_trains_and_weights_stay_float32(beats):
    model, curves = train(beats, precision="bf16", epochs=8, lr=0.05)
    assert curves["loss"][-1] < 0.6 * curves["loss"][0]
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.isfinite(p).all() for p in model.parameters())


# -- prediction --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [7, 1024])
def test_predict_is_the_softmax_of_the_network_in_evaluation(beats, batch_size):
    model, _ = train(beats, epochs=1)
    got = predict(model, beats, device="cpu", batch_size=batch_size)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(beats.signals)).double()
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    assert got.shape == (200, 3)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_prediction_changes_nothing_of_the_network(beats):
    model, _ = train(beats, epochs=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, beats, device="cpu")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # Its weights can still be trained.
    train(beats, model=model, epochs=1)


def test_training_leaves_the_beats_as_they_were(beats):
    before = beats.fingerprint()
    train(beats, epochs=1)
    assert beats.fingerprint() == before


# -- progress and time -------------------------------------------------------------------------


def test_the_bar_counts_every_step_once(beats):
    class Bar:
        done = 0

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def advance(self, n=1, **figures):
            self.done += n

    class Shown(Silent):
        def track(self, label, total):
            self.total, self.bar = total, Bar()
            return self.bar

    shown = Shown()
    fit(
        tiny_network(), beats, Recipe(epochs=3, batch_size=64), seed=0, device="cpu", progress=shown
    )
    assert shown.bar.done == shown.total == 3 * 4


def test_estimates_time_the_call_without_its_first_run():
    calls = []
    assert seconds_per_call(lambda: calls.append(1), "cpu", repeats=3) >= 0
    assert len(calls) == 4
    sizes = []
    assert seconds_per_step(sizes.append, 64, "cpu") > 0
    assert set(sizes) == {16, 64}


def test_a_long_step_is_extrapolated_from_two_parts_of_the_batch(monkeypatch):
    seconds = {16: 0.5, 32: 0.8}  # 0.2 and 0.3 for each 16 beats
    timed = []

    def seconds_per_call(call, device, *, repeats=3):
        call()
        return seconds[timed[-1]]

    monkeypatch.setattr("nasbench_ecg.training.engine.seconds_per_call", seconds_per_call)
    assert seconds_per_step(timed.append, 64, "cpu") == pytest.approx(0.2 + 4 * 0.3)
    assert timed == [16, 32]
