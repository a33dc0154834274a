"""Losses, augmentation and averages of weights: the formulas of the papers, and repeatable."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import periodogram
from sklearn.utils.class_weight import compute_class_weight
from test_engine import ADAMW, InterruptedTrainingError, SavedOnce, same, tiny_network, train
from test_graphs import Tape
from tiny_beats import tiny_beats
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn, update_bn

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal import PLANES
from nasbench_ecg.training import augmentation, graphs
from nasbench_ecg.training.augmentation import Augmenter
from nasbench_ecg.training.averaging import WeightAverage
from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.engine import Epoch, fit
from nasbench_ecg.training.losses import class_balanced_weights, focal_loss, loss_function
from nasbench_ecg.training.recipe import AUGMENTATIONS, Recipe
from nasbench_ecg_evaluators.options import TrainOptions

LABELS = torch.tensor([0] * 90 + [1] * 9 + [2])
RARE = tiny_beats(200, seed=1, shares=(0.8, 0.15, 0.05))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(40, 3, generator=generator), torch.randint(3, (40,), generator=generator)


# -- losses ------------------------------------------------------------------------------------


def loss_of(name, **options):
    return loss_function(Recipe(loss=name, **options), LABELS, 3)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logit_adjustment_is_equation_10_of_menon_et_al(batch, tau):
    logits, y = batch
    priors = (0.9, 0.09, 0.01)
    expected = []
    for f, label in zip(logits.double().tolist(), y.tolist(), strict=True):
        own = f[label] + tau * math.log(priors[label])
        total = sum(math.exp(z + tau * math.log(p)) for z, p in zip(f, priors, strict=True))
        expected.append(math.log(total) - own)
    got = loss_of("logit-adjustment", tau=tau)(logits, y)
    assert float(got) == pytest.approx(np.mean(expected), rel=1e-5)


def test_logit_adjustment_leaves_classes_below_the_smallest_share_alone(batch):
    logits, y = batch
    shift = torch.tensor([math.log(0.9), math.log(0.09), 0.0])
    expected = cross_entropy(logits + shift, y)
    got = loss_of("logit-adjustment", min_share=0.05)(logits, y)
    assert float(got) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.99, 0.9999])
def test_class_balanced_is_equation_5_of_cui_et_al_scaled_to_their_mean_of_one(batch, beta):
    logits, y = batch
    effective = [(1 - beta**n) / (1 - beta) for n in (90, 9, 1)]  # their proposition 1
    weights = 1 / np.array(effective)
    weights *= 3 / weights.sum()  # section 4: the sum of the weights is the number of classes
    each = cross_entropy(logits, y, reduction="none").numpy()
    expected = (weights[y.numpy()] * each).mean()
    assert float(loss_of("class-balanced", beta=beta)(logits, y)) == pytest.approx(expected, 1e-5)


def test_class_balanced_weights_have_a_mean_of_one_over_the_classes_with_beats():
    counts, beta = torch.tensor([1000.0, 0.0, 10.0], dtype=torch.float64), 0.9
    raw = [(1 - beta) / (1 - beta**n) for n in (1000, 10)]
    expected = [raw[0] / np.mean(raw), 0.0, raw[1] / np.mean(raw)]
    assert class_balanced_weights(counts, beta).tolist() == pytest.approx(expected)


def test_class_balanced_near_one_weighs_by_inverse_frequency_as_scikit_learn_does():
    got = class_balanced_weights(torch.tensor([90.0, 9.0, 1.0]).double(), 1 - 1e-9).numpy()
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    np.testing.assert_allclose(got / got.sum(), balanced / balanced.sum(), rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_equation_4_of_lin_et_al(batch, gamma):
    logits, y = batch
    p = logits.double().softmax(1)[torch.arange(40), y].numpy()
    expected = (-((1 - p) ** gamma) * np.log(p)).mean()
    assert float(loss_of("focal", gamma=gamma)(logits, y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "neutral"),
    [("logit-adjustment", {"tau": 0}), ("class-balanced", {"beta": 0}), ("focal", {"gamma": 0})],
)
def test_each_loss_has_cross_entropy_as_its_limit(batch, name, neutral):
    torch.testing.assert_close(loss_of(name, **neutral)(*batch), cross_entropy(*batch))


@given(st.floats(0, 3), st.floats(0.1, 60))
@settings(max_examples=40, deadline=None)
def test_the_gradient_of_the_focal_loss_is_finite_for_certain_predictions(gamma, certainty):
    logits = torch.tensor([[certainty, 0.0], [-certainty, 0.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0, 0]), gamma).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["logit-adjustment", "class-balanced", "focal"])
def test_a_class_without_training_beats_is_learned_to_be_absent(name):
    beats = tiny_beats(200, seed=1, classes=("N", "S", "V", "F"), shares=(0.4, 0.3, 0.3, 0))
    model = tiny_network(n_classes=4)
    _, curves = train(beats, model=model, loss=name, epochs=12, lr=0.05)
    assert curves["loss"][-1] < 0.4 * curves["loss"][0]
    assert curves["accuracy"][-1] > 0.9


def test_logit_adjustment_finds_more_of_a_rare_class():
    hard = tiny_beats(600, seed=1, shares=(0.9, 0.05, 0.05))
    noise = np.random.default_rng(0).standard_normal(hard.signals.shape)
    hard.signals[:] += noise.astype(np.float32)
    found = []
    for tau in (0.0, 1.0):
        model, _ = train(hard, loss="logit-adjustment", tau=tau, epochs=4)
        predicted = model.eval()(torch.from_numpy(hard.signals)).argmax(1).numpy()
        found.append((predicted[hard.labels > 0] == hard.labels[hard.labels > 0]).mean())
    assert found[1] > found[0]


# -- averages ----------------------------------------------------------------------------------


def trained_and_watched(monkeypatch, **recipe):
    """Return the trained network, and the weights after each step."""
    seen = []

    class Watched(WeightAverage):
        def update(self, model):
            seen.append([p.detach().clone() for p in model.parameters()])
            super().update(model)

    monkeypatch.setattr("nasbench_ecg.training.engine.WeightAverage", Watched)
    model, _ = train(RARE, **recipe)
    return model, seen


def test_ema_is_the_sum_of_all_steps_weighted_by_powers_of_the_decay(monkeypatch):
    model, seen = trained_and_watched(monkeypatch, averaging="ema", averaging_decay=0.9)
    n = len(seen)
    share = np.array([0.9 ** (n - 1 - i) for i in range(n)])
    share /= share.sum()
    for j, got in enumerate(model.parameters()):
        expected = sum(w * step[j].double() for w, step in zip(share, seen, strict=True))
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-6)


def test_swa_is_torchs_over_the_last_quarter_of_the_steps(monkeypatch):
    model, seen = trained_and_watched(monkeypatch, averaging="swa")
    holder = tiny_network()
    oracle = AveragedModel(holder, multi_avg_fn=get_swa_multi_avg_fn())
    for step in seen[int(0.75 * len(seen)) :]:
        with torch.no_grad():
            for own, value in zip(holder.parameters(), step, strict=True):
                own.copy_(value)
        oracle.update_parameters(holder)
    assert int(oracle.n_averaged) == math.ceil(len(seen) / 4) == 6
    for got, expected in zip(model.parameters(), oracle.module.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)


def test_batch_normalization_has_the_statistics_of_the_averaged_weights():
    model, _ = train(RARE, averaging="ema", batch_size=50)
    activations = model[0](torch.from_numpy(RARE.signals)).detach()
    norm = model[1]
    torch.testing.assert_close(norm.running_mean, activations.mean((0, 2)), rtol=1e-4, atol=1e-5)
    # batches of 50: the mean of their unbiased variances
    variances = torch.stack(
        [activations[batch].var((0, 2)) for batch in Epoch(len(RARE), seed=0).remaining(50, "cpu")]
    )
    torch.testing.assert_close(norm.running_var, variances.mean(0), rtol=1e-4, atol=1e-6)
    assert norm.momentum == 0.1 and model.training


def test_statistics_of_averaged_weights_do_not_depend_on_the_order_of_the_records():
    level = np.arange(4).repeat(50)  # four records of another level, one after the other
    ordered = tiny_beats(200, seed=1)
    ordered.signals[:] += level[:, None, None].astype(np.float32)
    model, _ = train(ordered, averaging="ema", batch_size=50)
    variance = model[0](torch.from_numpy(ordered.signals)).detach().var((0, 2))
    torch.testing.assert_close(model[1].running_var, variance, rtol=0.1, atol=0)


def test_a_training_that_swa_has_not_begun_to_average_keeps_the_last_weights():
    recipe = Recipe(epochs=4, batch_size=32, averaging="swa")
    arguments = {"seed": 0, "device": "cpu", "progress": Silent(), "stop_after": 2}
    a, b = tiny_network(), tiny_network()
    fit(a, RARE, recipe, checkpoint=Kept(), **arguments)
    fit(b, RARE, Recipe(epochs=4, batch_size=32), checkpoint=Kept(), **arguments)
    assert same(a, b)


# -- augmentation ------------------------------------------------------------------------------


LEADS = ("MLII", "V1", *PLANES["whole-record"])


def augmenter(*kinds, leads=LEADS, fs=120.0, seed=0):
    return Augmenter(Recipe(augment=kinds), leads, fs, seed, "cpu")


def some_signals(n=400, n_leads=6, n_samples=360):
    return torch.randn(n, n_leads, n_samples, generator=torch.Generator().manual_seed(0))


def changed(*kinds, signals=None, **options):
    x = some_signals() if signals is None else signals
    augment = augmenter(*kinds, **options)
    (draws,) = augment.draws(len(x), 0, len(x))
    return x, augment(x, draws), draws


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_rhythm_planes_are_never_changed(kind):
    x, got, _ = changed(kind)
    assert torch.equal(got[:, 2:], x[:, 2:])
    assert not torch.equal(got[:, :2], x[:, :2])
    assert got.shape == x.shape and got.isfinite().all()


@pytest.mark.parametrize("kind", ["wander", "noise"])
def test_noise_is_added_to_half_of_the_beats_at_6_to_24_decibels(kind):
    x, got, _ = changed(kind, signals=some_signals() + 3)  # an offset has no power
    noise = (got - x)[:, :2]
    noisy = noise.abs().amax((1, 2)) > 0
    assert 0.4 < float(noisy.double().mean()) < 0.6
    # over all beats and leads, as the power of a short excerpt of wander varies
    ratio = x[:, :2].var(2, correction=0) / (noise**2).mean(2)
    decibels = 10 * torch.log10(ratio[noisy])
    if kind == "noise":  # an excerpt of three seconds has nearly the power of the whole
        assert 5 < float(decibels.min()) < 8 and 22 < float(decibels.max()) < 25
    assert 12 < float(decibels.median()) < 20


@pytest.mark.parametrize(("kind", "low", "high"), [("wander", 0.05, 0.5), ("noise", 20, 60)])
def test_the_noise_has_its_band_by_scipys_periodogram(kind, low, high):
    bank = augmenter(kind)._banks[kind].numpy()
    frequency, power = periodogram(bank, 120.0)
    inside = (frequency >= low) & (frequency <= high)
    assert power[inside].sum() / power.sum() > 0.999
    assert bank.std() == pytest.approx(1, rel=1e-4)
    assert abs(bank.mean()) < 1e-4
    assert abs(np.corrcoef(bank, augmenter(kind, seed=1)._banks[kind])[0, 1]) < 0.5


def test_scale_multiplies_both_leads_by_one_factor_between_the_bounds():
    x, got, draws = changed("scale")
    factor = (got / x)[:, :2]
    expected = torch.exp((2 * draws[:, 0] - 1) * math.log(1.25))
    torch.testing.assert_close(factor, expected[:, None, None].expand_as(factor))
    assert 0.8 <= float(factor.min()) < 0.82 and 1.22 < float(factor.max()) < 1.2501


def test_shift_is_numpys_roll_with_repeated_edges():
    x, got, draws = changed("shift")
    by = torch.round((2 * draws[:, 0] - 1) * 3).long()
    assert {-3, -2, 0, 3} <= set(by.tolist())
    for i, k in enumerate(by.tolist()):
        expected = np.roll(x[i, :2].numpy(), k, axis=1)
        if k > 0:
            expected[:, :k] = x[i, :2, :1].numpy()
        elif k < 0:
            expected[:, k:] = x[i, :2, -1:].numpy()
        np.testing.assert_array_equal(got[i, :2].numpy(), expected)


def test_one_lead_is_lost_in_one_beat_of_ten():
    _, got, _ = changed("lead-dropout", signals=some_signals(4000))
    lost = (got[:, :2] == 0).all(2)
    assert set(lost.sum(1).tolist()) == {0, 1}
    assert 0.08 < float(lost.any(1).double().mean()) < 0.12
    assert 0.4 < float(lost[lost.any(1), 0].double().mean()) < 0.6
    x, alone, _ = changed("lead-dropout", signals=some_signals(100, 1), leads=("MLII",))
    assert torch.equal(alone, x)


def test_noise_works_at_a_sampling_rate_below_its_band():
    bank = augmenter("noise", fs=30.0)._banks["noise"]
    assert bank.isfinite().all() and float(bank.std()) == pytest.approx(1, rel=1e-3)


def test_draws_differ_between_epochs_and_seeds_and_are_those_of_the_pcg64_stream():
    a, b = augmenter(*AUGMENTATIONS), augmenter(*AUGMENTATIONS, seed=1)
    first = torch.cat(a.draws(50, 0, 16))
    assert torch.equal(first, torch.cat(a.draws(50, 0, 50)))
    assert not torch.equal(first, torch.cat(a.draws(50, 1, 16)))
    assert not torch.equal(first, torch.cat(b.draws(50, 0, 16)))
    expected = np.random.default_rng([0, augmentation._DRAWS, 0]).random((50, 12), np.float32)
    np.testing.assert_array_equal(first.numpy(), expected)


def test_training_beats_are_changed_and_the_given_ones_are_not():
    before = RARE.fingerprint()
    plain, _ = train(RARE)
    for kind in AUGMENTATIONS:
        assert not same(train(RARE, augment=(kind,))[0], plain)
    assert RARE.fingerprint() == before


# -- every recipe ------------------------------------------------------------------------------


class FiledOnce(FileCheckpoint):
    """A checkpoint in a file that saves after a number of steps and ends the training there."""

    def __init__(self, path, steps):
        super().__init__(path)
        self.steps = steps

    def due(self):
        self.steps -= 1
        return self.steps == 0

    def save(self, state):
        super().save(state)
        raise InterruptedTrainingError


def test_a_training_goes_on_from_a_file(tmp_path):
    recipe = Recipe(epochs=3, **RECIPES["all"])
    expected, curves = train(RARE, **RECIPES["all"])
    checkpoint = FiledOnce(tmp_path / "state", 11)
    arguments = {"seed": 0, "device": "cpu", "progress": Silent(), "checkpoint": checkpoint}
    with pytest.raises(InterruptedTrainingError):
        fit(tiny_network(), RARE, recipe, **arguments)
    model = tiny_network(seed=1)
    assert fit(model, RARE, recipe, **arguments) == curves
    assert same(model, expected)


class Kept:
    """A checkpoint in memory that is due at no step."""

    def __init__(self):
        self.state = None

    def due(self):
        return False

    def save(self, state):
        self.state = copy.deepcopy(dict(state))

    def load(self):
        return self.state


RECIPES = {
    "logit-adjustment": {"loss": "logit-adjustment", "tau": 0.5},
    "class-balanced": {"loss": "class-balanced"},
    "focal": {"loss": "focal"},
    "augment": {"augment": AUGMENTATIONS},
    "ema": {"averaging": "ema"},
    "swa": {"averaging": "swa"},
    "sgd-one-cycle": {"schedule": "one-cycle"},
    "adamw-cosine": {"optimizer": "adamw", "lr": 0.01},
    "all": {**ADAMW, "loss": "logit-adjustment", "augment": AUGMENTATIONS, "averaging": "ema"},
}


@pytest.mark.parametrize("steps", [3, 7, 17, 20])
@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_is_stopped_anywhere_ends_the_same(name, steps):
    recipe = {"batch_size": 32, **RECIPES[name]}
    expected, curves = train(RARE, **recipe)
    checkpoint = SavedOnce(steps)
    arguments = {"seed": 0, "device": "cpu", "progress": Silent(), "checkpoint": checkpoint}
    with pytest.raises(InterruptedTrainingError):
        fit(tiny_network(), RARE, Recipe(epochs=3, **recipe), **arguments)
    model = tiny_network(seed=1)
    assert fit(model, RARE, Recipe(epochs=3, **recipe), **arguments) == curves
    assert same(model, expected)


@pytest.mark.parametrize("name", ["all", "swa"])
def test_a_training_in_parts_of_epochs_ends_the_same(name):
    recipe = Recipe(epochs=3, **{"batch_size": 32, **RECIPES[name]})
    expected, curves = train(RARE, **{"batch_size": 32, **RECIPES[name]})
    checkpoint = Kept()
    for stop in (1, 2, 3):
        model = tiny_network(seed=stop - 1)
        arguments = {"seed": 0, "device": "cpu", "progress": Silent(), "checkpoint": checkpoint}
        got = fit(model, RARE, recipe, stop_after=stop, **arguments)
    assert got == curves and same(model, expected)


def without_bias():
    """Return a network without the bias whose gradient is rounding, which Adam scales up."""
    model = tiny_network()
    model[0].bias = None
    return model


@pytest.mark.parametrize("name", RECIPES)
def test_replayed_steps_train_as_single_ones(name, monkeypatch):
    recipe = {"batch_size": 32, "epochs": 4, **RECIPES[name]}
    expected, _ = train(RARE, model=without_bias(), **recipe)
    tape = Tape()
    monkeypatch.setattr(graphs, "recorder_for", lambda device: tape)
    got, _ = train(RARE, model=without_bias(), **recipe)
    assert tape.recorded == 1 and tape.replayed == 4 * 6 - graphs.WARMUP
    for a, b in zip(got.state_dict().values(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_loss_of_a_training_by_hand_with_all_of_it():
    """Augmented signals, adjusted logits, in the order of the epoch, as one would write it."""
    recipe = Recipe(batch_size=32, epochs=1, lr=0.01, augment=("scale",), loss="logit-adjustment")
    model = tiny_network()
    _, curves = train(RARE, model=copy.deepcopy(model), **RECIPES_BY_HAND)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=3e-4)
    prior = torch.from_numpy(np.bincount(RARE.labels) / len(RARE))
    factors = np.random.default_rng([0, augmentation._DRAWS, 0]).random((200, 1), np.float32)
    total, done = 0.0, 0
    for batch in Epoch(200, 0).remaining(32, "cpu"):
        u = torch.from_numpy(factors[done : done + len(batch)])
        done += len(batch)
        x = torch.from_numpy(RARE.signals)[batch] * (1.25 ** (2 * u - 1))[:, :, None]
        logits = model(x) + prior.log().float()
        loss = cross_entropy(logits, torch.from_numpy(RARE.labels)[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimizer.step()
        total += loss.item() * len(batch)
    assert curves["loss"] == pytest.approx([total / 200], rel=1e-5)


RECIPES_BY_HAND = {
    "batch_size": 32, "epochs": 1, "lr": 0.01, "augment": ("scale",), "loss": "logit-adjustment",
}  # fmt: skip


# -- options of train --------------------------------------------------------------------------


def options(**overrides) -> TrainOptions:
    return resolve(TrainOptions, component="evaluator train", overrides=overrides)


def test_without_options_the_recipe_is_the_published_one():
    assert options().recipe == Recipe()


def test_options_reach_the_recipe():
    got = options(
        optimizer="adamw", schedule="one-cycle", loss="logit-adjustment", tau=0.5,
        augment="noise, wander", averaging="ema", averaging_decay=0.9,
    )  # fmt: skip
    assert got.recipe == Recipe(
        optimizer="adamw", schedule="one-cycle", loss="logit-adjustment", tau=0.5,
        augment=("wander", "noise"), averaging="ema", averaging_decay=0.9,
    )  # fmt: skip


@pytest.mark.parametrize(
    "published",
    [
        {"optimizer": "sgd"}, {"schedule": "cosine"}, {"loss": "cross-entropy"}, {"augment": []},
        {"loss": "focal", "gamma": 2.0}, {"loss": "class-balanced", "beta": 0.9999},
        {"loss": "logit-adjustment", "tau": 1.0}, {"averaging": "ema", "averaging_decay": 0.995},
    ],
)  # fmt: skip
def test_a_default_that_is_written_out_is_the_same_recipe_and_the_same_options(published):
    without = {
        n: v for n, v in published.items() if n in ("loss", "averaging") and v != "cross-entropy"
    }
    assert options(**published) == options(**without)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tau": 0.5}, "tau needs loss=logit-adjustment"),
        ({"loss": "focal", "beta": 0.9}, "beta needs loss=class-balanced"),
        ({"gamma": 1}, "gamma needs loss=focal"),
        ({"min_share": 0.01}, "min_share needs loss=logit-adjustment"),
        ({"averaging": "swa", "averaging_decay": 0.9}, "averaging_decay needs averaging=ema"),
        ({"optimizer": "adamw", "momentum": 0.5}, "optimizer=adamw has no momentum"),
        ({"schedule": "one-cycle", "lr_min": 0.0}, "schedule=one-cycle has no lr_min"),
        ({"lr": 0.0005}, "lr_min=0.001 is above lr=0.0005"),
        ({"augment": "hum"}, "'augment"),
        ({"loss": "hinge"}, "'loss'"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(wrong, told):
    with pytest.raises(OptionError, match=told):
        options(**wrong)


def test_weights_of_a_network_without_normalization_are_averaged():
    beats: Beats = RARE
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    trained, _ = train(beats, model=model, averaging="ema")
    assert all(p.isfinite().all() for p in trained.parameters())


@pytest.mark.parametrize(
    ("n", "size", "by_beats"), [(34, 32, True), (99, 32, True), (402, 4, False)]
)
def test_a_small_last_batch_does_not_count_as_a_whole_one(n, size, by_beats):
    norm = nn.BatchNorm1d(2)
    signals = torch.randn(n, 2, 20, generator=torch.Generator().manual_seed(1))
    signals[-(n % size) :] += 5
    batches = signals.split(size)
    average = WeightAverage(norm, Recipe(averaging="ema"), steps=1)
    average.update(norm)
    average.apply(norm, batches)
    weights = torch.tensor([float(len(batch)) if by_beats else 1.0 for batch in batches])
    weights /= weights.sum()
    mean = sum(w * batch.mean((0, 2)) for w, batch in zip(weights, batches, strict=True))
    variance = sum(w * batch.var((0, 2)) for w, batch in zip(weights, batches, strict=True))
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1 and norm.training


def test_statistics_of_many_batches_are_those_of_pytorch_to_the_last_bit():
    norm, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    batches = torch.randn(402, 2, 20, generator=torch.Generator().manual_seed(1)).split(4)
    average = WeightAverage(norm, Recipe(averaging="ema"), steps=1)
    average.update(norm)
    average.apply(norm, batches)
    update_bn(batches, other)
    assert all(torch.equal(a, b) for a, b in zip(norm.buffers(), other.buffers(), strict=True))
