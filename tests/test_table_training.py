"""How a table trains a member: which beats, how scores are corrected, and what a network costs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_beats import tiny_beats

from nasbench_ecg.contracts import Task
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.options import NoOptions
from nasbench_ecg.progress import Silent
from nasbench_ecg.tables.card import Recipe
from nasbench_ecg.tables.training import draw_beats, member_costs, train_member, training_recipe
from nasbench_ecg.training.engine import fit, predict
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.space import to_architecture

BUILDER = TinyNetwork(NoOptions())
ARCH = to_architecture(("conv-9", "skip", "sep-27", 2, 1))
RECIPE = Recipe(beats=128, epochs=2, batch_size=32)
SHARES = (0.8, 0.15, 0.05)


@pytest.fixture(scope="module")
def parts():
    train, validation, test = (tiny_beats(n, shares=SHARES, seed=n) for n in (400, 150, 160))
    return Task(train, validation, train.classes), test


@pytest.fixture(scope="module")
def trained(parts):
    return train_member(ARCH, *parts, BUILDER, RECIPE, 3)


def test_the_published_recipe():
    assert Recipe() == Recipe(
        beats=16_384, epochs=2, rare_share=0.5, batch_size=128, lr=0.02, weight_decay=0.01
    )
    recipe = training_recipe(Recipe())
    assert (recipe.optimizer, recipe.schedule, recipe.lr) == ("adamw", "one-cycle", 0.02)


def test_a_training_scores_every_beat_after_every_epoch(parts, trained):
    task, test = parts
    assert trained.confusion.shape == (2, 2, 3, 3)
    for epoch in trained.confusion:
        for matrix, beats in zip(epoch, (task.validation, test), strict=True):
            assert (matrix.sum(axis=1) == np.bincount(beats.labels, minlength=3)).all()
    assert np.isfinite(trained.nll).all() and (trained.nll > 0).all()
    assert 0 < trained.seconds[0] < trained.seconds[1]


def test_seconds_are_those_of_training_and_validation_without_the_test_set(parts, monkeypatch):
    task, test = parts
    now = [0.0]

    def slow_predict(model, beats, *, device):
        now[0] += 1.0 if beats is task.validation else 100.0
        return predict(model, beats, device=device)

    monkeypatch.setattr("nasbench_ecg.tables.training.predict", slow_predict)
    clock = SimpleNamespace(process_time=lambda: now[0])
    monkeypatch.setattr("nasbench_ecg.tables.training.time", clock)
    found = train_member(ARCH, task, test, BUILDER, RECIPE, 3)
    assert found.seconds.tolist() == [1, 2]


def test_a_seed_gives_one_result_and_another_seed_another(parts, trained):
    again, other = (train_member(ARCH, *parts, BUILDER, RECIPE, seed) for seed in (3, 4))
    np.testing.assert_array_equal(again.confusion, trained.confusion)
    np.testing.assert_array_equal(again.nll, trained.nll)
    assert (other.nll != trained.nll).any()


def test_the_last_epoch_is_that_of_training_and_correcting_by_hand(parts, trained):
    task, test = parts
    labels = task.train.labels
    chosen, factor = draw_beats(labels, 3, RECIPE, 3)
    with seeded(3):
        model = BUILDER.build(ARCH, n_leads=2, n_samples=64, n_classes=3)
        beats = task.train.take(chosen)
        fit(model, beats, training_recipe(RECIPE), seed=3, device="cpu", progress=Silent())
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(test.signals)).double()
    log_p = torch.log_softmax(logits + torch.from_numpy(factor).double().log(), dim=1).numpy()
    predicted = log_p.argmax(axis=1)
    np.testing.assert_array_equal(
        trained.confusion[-1, 1], confusion_matrix(test.labels, predicted, 3)
    )
    nll = -log_p[np.arange(len(test)), test.labels].mean()
    assert float(trained.nll[-1, 1]) == pytest.approx(nll, rel=2e-3)


def test_the_test_set_changes_neither_training_nor_validation(parts, trained):
    task, _ = parts
    other = train_member(ARCH, task, tiny_beats(30, seed=9), BUILDER, RECIPE, 3)
    np.testing.assert_array_equal(other.confusion[:, 0], trained.confusion[:, 0])
    np.testing.assert_array_equal(other.nll[:, 0], trained.nll[:, 0])


# -- the draw of the beats ---------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=5).filter(lambda c: sum(c) > 1),
    beats=st.integers(1, 150),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_a_draw_holds_the_wanted_share_of_rare_beats_where_there_are_as_many(
    counts, beats, share, seed
):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    recipe = Recipe(beats=beats, rare_share=share)
    chosen, factor = draw_beats(labels, len(counts), recipe, seed)
    total = min(beats, len(labels))
    assert len(chosen) == len(set(chosen.tolist())) == total
    common = int(np.argmax(counts))
    available = len(labels) - counts[common]
    rare = int((labels[chosen] != common).sum())
    wanted = round(total * share)
    assert rare == max(min(wanted, available), total - counts[common])
    drawn = np.bincount(labels[chosen], minlength=len(counts))
    for k, n in enumerate(drawn):
        expected = counts[k] / len(labels) / (n / total) if n else 1.0
        assert factor[k] == pytest.approx(expected, rel=1e-5)
    if (drawn > 0).all():
        assert (factor * drawn / total).sum() == pytest.approx(1, rel=1e-5)


def test_a_draw_depends_on_the_seed_alone():
    labels = np.repeat([0, 1, 2], [300, 30, 20])
    draws = [draw_beats(labels, 3, Recipe(beats=40), seed)[0] for seed in (0, 0, 1)]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_all_beats_need_no_correction():
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    chosen, factor = draw_beats(labels, 3, Recipe(beats=1000), 0)
    assert sorted(chosen) == list(range(60))
    assert factor == pytest.approx([1, 1, 1])


# -- costs -------------------------------------------------------------------------------------


def test_the_costs_of_the_smallest_network_by_hand(parts):
    """Convolutions 2→2 of 7, 2→4 and 4→8 of 3, linear 8→3, on 64 samples of 2 leads."""
    costs = member_costs(to_architecture(("zero", "skip", "zero", 2, 1)), BUILDER, parts[0])
    weights = 2 * 2 * 7 + 2 * 4 * 3 + 4 * 8 * 3 + 8 * 3
    assert costs == {
        "parameters": weights + 2 * (2 + 4 + 8) + 3,
        "macs": 28 * 16 + 24 * 8 + 96 * 4 + 24,
        # scales and biases of all outputs; input, three layers, mean and linear layer
        "flash_bytes": weights + 8 * (2 + 4 + 8 + 3) + 5 * 6,
        "ram_bytes": 2 * 64 + 2 * 16,
    }


def test_costs_do_not_depend_on_torchs_global_generator_nor_change_it(parts):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    member_costs(ARCH, BUILDER, parts[0])
    assert torch.equal(torch.get_rng_state(), before)
