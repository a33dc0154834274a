"""The search of DARTS, and the beats drawn for its epochs."""

from __future__ import annotations

import copy
import itertools
import math
import random
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from darts_searches import OPERATIONS, QUICK, SPACE, context, first_batches, task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_beats import tiny_beats
from torch.nn.functional import cross_entropy

from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.errors import OptionError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, RunSearchContext
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_darts.architect import pure_loss, second_order
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import (
    discretize,
    mixing_weights,
    skip_share,
)
from nasbench_ecg_darts.search import Darts, search_step
from nasbench_ecg_darts.state import SearchState, draw_beats
from nasbench_ecg_darts.variant import DARTS, Variant

# -- drawing an epoch's beats ------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.integers(1, 150),
    st.one_of(st.none(), st.floats(0.05, 0.95)),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_an_epoch_keeps_to_its_number_of_beats_and_majority_share(labels, n, share, seed):
    labels = torch.tensor(labels)
    index = draw_beats(labels, n, share, torch.Generator().manual_seed(seed))
    assert len(index) == n
    times = torch.bincount(index, minlength=len(labels))
    assert len(times) == len(labels)
    counts = torch.bincount(labels)
    others = len(labels) - int(counts.max())
    if n <= len(labels):
        assert times.max() == 1
        if share is not None:
            frequent = int((labels[index] == counts.argmax()).sum())
            assert frequent <= max(round(share * n), n - others)
    elif share is None:
        assert times.max() - times.min() <= 1
    again = draw_beats(labels, n, share, torch.Generator().manual_seed(seed))
    assert torch.equal(index, again)


def test_other_classes_fill_the_rest_beside_the_majority():
    labels = torch.tensor([0] * 900 + [1] * 80 + [2] * 20)
    index = draw_beats(labels, 100, 0.5, torch.Generator().manual_seed(0))
    counts = torch.bincount(labels[index], minlength=3)
    assert counts[0] == 50
    assert counts[1:].sum() == 50
    # Once the 100 others are used up, only the majority is left to fill with.
    index = draw_beats(labels, 400, 0.5, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[index], minlength=3).tolist() == [300, 80, 20]


def test_a_majority_below_its_limit_loses_no_beat():
    labels = torch.tensor([0] * 40 + [1] * 30 + [2] * 30)
    index = draw_beats(labels, 100, 0.5, torch.Generator().manual_seed(0))
    assert sorted(index.tolist()) == list(range(100))


# -- the search --------------------------------------------------------------------------------


def search(task=None, *, seed=0, budget=None, progress=None, space=SPACE, **options):
    """Return (result, trajectory without seconds) of a search at tiny settings."""
    task = task or task_of()
    ctx = context(task, seed=seed, budget=budget, progress=progress)
    with seeded(seed):
        result = Darts(DartsOptions(**{**QUICK, **options})).search(task, space, ctx.builder, ctx)
    for point in ctx.trajectory:
        del point["seconds"]
    return result, ctx.trajectory


def initial_weights(seed=0, **options):
    task = task_of()
    with seeded(seed):
        state = SearchState.start(
            DartsOptions(**{**QUICK, **options}), task, SPACE, context(task, seed=seed)
        )
    return {name: w.detach() for name, w in mixing_weights(state.alpha).items()}


def moved(result, seed=0):
    """Return the largest change of a mixing weight since the start."""
    start = initial_weights(seed)
    return max(
        float((torch.tensor(result.details["mixing_weights"][name]) - start[name]).abs().max())
        for name in start
    )


@pytest.fixture(scope="module")
def found():
    return search()


def test_a_search_moves_alpha_and_returns_an_architecture_of_the_space(found):
    result, trajectory = found
    SPACE.validate(result.architecture)
    assert moved(result) > 1e-3
    assert [point["epoch"] for point in trajectory] == [1, 2, 3]
    assert trajectory[-1]["alpha_entropy"] < trajectory[0]["alpha_entropy"] < math.log(5)
    for point in trajectory:
        assert set(point) >= {"value", "best", "train_loss", "validation_loss", "skip_share"}
        assert 0 <= point["value"] <= point["best"] <= 1


@pytest.mark.slow
def test_a_search_learns():
    _, trajectory = search(lr=0.1, epochs=6)
    assert trajectory[-1]["train_loss"] < 0.7 * trajectory[0]["train_loss"]
    assert trajectory[-1]["validation_loss"] < 0.9 * trajectory[0]["validation_loss"]
    assert trajectory[-1]["value"] > trajectory[0]["value"]


def test_the_details_hold_the_mixing_weights_from_which_the_cells_were_derived(found):
    result, _ = found
    weights = {k: torch.tensor(v) for k, v in result.details["mixing_weights"].items()}
    assert result.details["operations"] == list(OPERATIONS)
    assert discretize(weights, OPERATIONS, 2).to_architecture() == result.architecture
    assert result.details["skip_share"] == skip_share(
        Genotype.from_architecture(result.architecture)
    )
    for value in weights.values():
        torch.testing.assert_close(value.sum(-1), torch.ones(5), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_search_bit_for_bit_and_another_seed_another(found):
    again = search()
    assert again[0] == found[0]
    assert again[1] == found[1]
    other, _ = search(seed=1)
    assert other.details["mixing_weights"] != found[0].details["mixing_weights"]


def test_warm_up_epochs_do_not_change_alpha():
    task, after = task_of(), Variant(after_epoch=lambda state, figures: state.epoch == 2)
    ctx = context(task)
    with seeded(0):
        warming = Darts(DartsOptions(**{**QUICK, "warmup_epochs": 2}), after)
        only_warmup = warming.search(task, SPACE, ctx.builder, ctx)
    trajectory = ctx.trajectory
    assert len(trajectory) == 2 and moved(only_warmup) < 1e-6
    assert trajectory[1]["train_loss"] < trajectory[0]["train_loss"]
    half_warmup, _ = search(epochs=2, warmup_epochs=1)
    assert moved(half_warmup) > 1e-4


def test_a_step_of_alpha_leaves_the_weights_gradient_alone_and_uses_adam():
    task = task_of()
    with seeded(0):
        state = SearchState.start(DartsOptions(**QUICK), task, SPACE, context(task))
    train, validation = first_batches(state)
    before = {name: value.detach().clone() for name, value in state.alpha.items()}
    twin = copy.deepcopy(state.net)
    fresh = {name: value.clone().requires_grad_() for name, value in before.items()}
    logits = twin(validation.x, mixing_weights(fresh))
    cross_entropy(logits, validation.y).backward()
    search_step(state, DARTS, train, validation, with_alpha=True)
    for name, value in state.alpha.items():
        gradient = fresh[name].grad + 1e-3 * before[name]
        # The first step of Adam goes lr · g / (|g| + eps).
        expected = before[name] - 3e-2 * gradient / (gradient.abs() + 1e-8)
        certain = gradient.abs() > 1e-6
        torch.testing.assert_close(value[certain], expected[certain], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("order", ["first", "second"])
def test_steps_are_adam_on_validation_and_clipped_sgd_on_training_batches(order):
    """Two steps, at the learning rate of the third of four epochs, as those of a loop by hand."""
    options = DartsOptions(
        **{
            **QUICK,
            "order": order,
            "epochs": 4,
            "grad_clip": 0.5,
            "weight_decay": 0.01,
            "alpha_weight_decay": 0.2,
        }
    )
    task = task_of()
    with seeded(0):
        state = SearchState.start(options, task, SPACE, context(task))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch: no step of the optimizer before
        state.schedule.step(), state.schedule.step()
    lr = options.lr_min + (options.lr - options.lr_min) / 2  # a cosine at half of its epochs
    with torch.no_grad():
        for value in state.alpha.values():
            value.mul_(1000)  # to about 1, so that its weight decay counts
    followed = [value.detach().clone().requires_grad_() for value in state.alpha.values()]
    adam = torch.optim.Adam(followed, lr=options.alpha_lr, betas=(0.5, 0.999), weight_decay=0.2)
    twin = copy.deepcopy(state.net)
    by_hand = torch.optim.SGD(
        twin.parameters(), lr=lr, momentum=options.momentum, weight_decay=options.weight_decay
    )
    velocity = {}
    for train, validation in itertools.islice(state.batches(state.steps_per_epoch), 2):
        alpha = {name: value.detach().clone() for name, value in state.alpha.items()}
        for value in alpha.values():
            value.requires_grad_()
        if order == "second":
            expected = second_order(
                pure_loss(copy.deepcopy(twin), "float32"), dict(twin.named_parameters()), alpha,
                train=train, validation=validation, lr=lr, momentum=options.momentum,
                weight_decay=options.weight_decay, velocity=velocity,
            )  # fmt: skip
        else:
            loss = cross_entropy(twin(validation.x, mixing_weights(alpha)), validation.y)
            expected = torch.autograd.grad(loss, tuple(alpha.values()))
        search_step(state, DARTS, train, validation, with_alpha=True)
        for value, gradient in zip(state.alpha.values(), expected, strict=True):
            torch.testing.assert_close(value.grad, gradient, rtol=1e-4, atol=1e-7)
        for value, gradient in zip(followed, expected, strict=True):
            value.grad = gradient
        adam.step()
        for value, other in zip(state.alpha.values(), followed, strict=True):
            torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-5)
        by_hand.zero_grad()
        updated = {name: value.detach() for name, value in state.alpha.items()}
        cross_entropy(twin(train.x, mixing_weights(updated)), train.y).backward()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), options.grad_clip)
        assert norm > options.grad_clip
        by_hand.step()
        for own, other in zip(state.net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)
        velocity = {
            name: by_hand.state[weights]["momentum_buffer"]
            for name, weights in twin.named_parameters()
        }


class Counted(Silent):
    """Counts the steps that a search reports."""

    def __init__(self):
        self.steps = 0

    def track(self, label, total):
        counted = self

        class Bar:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                return None

            def advance(self, n=1, **figures):
                counted.steps += n

        return Bar()


@pytest.mark.parametrize("seconds", [4, 12])
def test_a_budget_of_seconds_stops_the_search_even_within_an_epoch(seconds, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("nasbench_ecg_darts.search.monotonic", lambda: float(next(ticks)))
    progress = Counted()
    result, trajectory = search(
        budget=Budget(seconds=seconds), epochs=100, batch_size=10, progress=progress
    )
    # The clock advances by one second whenever it is read: no more steps than seconds.
    assert 1 <= progress.steps <= seconds
    assert 1 <= len(trajectory) < 100
    SPACE.validate(result.architecture)


def test_without_a_budget_all_epochs_and_steps_are_taken():
    progress = Counted()
    _, trajectory = search(progress=progress)
    assert len(trajectory) == 3
    assert progress.steps == 3 * (120 // 20)


def test_the_option_beats_limits_an_epoch():
    progress = Counted()
    search(progress=progress, beats=60, epochs=2, majority_share=0.5)
    assert progress.steps == 2 * (60 // 20)


def test_the_second_order_search_differs_from_the_first_order_one(found):
    result, trajectory = search(order="second", epochs=2, beats=60)
    first, _ = search(order="first", epochs=2, beats=60)
    SPACE.validate(result.architecture)
    assert moved(result) > 1e-4
    assert result.details["mixing_weights"] != first.details["mixing_weights"]
    assert all(math.isfinite(point["validation_loss"]) for point in trajectory)


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_the_second_order_is_refused_where_rounding_hides_its_difference(precision):
    with pytest.raises(ValueError, match="leave precision at float32"):
        DartsOptions(order="second", precision=precision)


def test_the_second_order_search_is_deterministic():
    assert search(order="second", epochs=1, beats=40) == search(order="second", epochs=1, beats=40)


@pytest.mark.parametrize(("n_train", "n_validation"), [(60, 7), (9, 60)])
def test_parts_smaller_than_a_batch_can_be_searched(n_train, n_validation):
    result, trajectory = search(task_of(n_train, n_validation), epochs=1)
    SPACE.validate(result.architecture)
    assert len(trajectory) == 1


@pytest.mark.parametrize(
    "form", [{"n_leads": 1, "n_samples": 55}, {"n_leads": 12, "n_samples": 40}, {"n_samples": 77}]
)
def test_any_number_of_leads_and_odd_lengths_can_be_searched(form):
    result, _ = search(task_of(40, 40, **form), epochs=1)
    SPACE.validate(result.architecture)


def test_a_search_in_bfloat16_works():
    result, trajectory = search(precision="bf16", epochs=1)
    SPACE.validate(result.architecture)
    assert math.isfinite(trajectory[0]["train_loss"])


def test_a_search_does_not_change_the_global_generators():
    torch.manual_seed(77), np.random.seed(77), random.seed(77)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    search(epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_a_strategy_gets_no_test_part():
    names = {"train", "validation", "macro_classes", "validation_folds"}
    assert {field.name for field in fields(Task)} == names
    assert not any("test" in field.name for field in fields(RunSearchContext))
    task = task_of()
    test_context = FinalTestContext(task, tiny_beats(10, seed=3), "cpu", Silent())
    search(task, epochs=1)
    assert not test_context.opened


def test_a_search_does_not_change_the_beats():
    task = task_of()
    before = task.train.fingerprint(), task.validation.fingerprint()
    search(task, epochs=1)
    assert (task.train.fingerprint(), task.validation.fingerprint()) == before


def test_the_estimate_is_a_positive_number_of_seconds():
    task = task_of()
    ctx = context(task)
    assert Darts(DartsOptions(**QUICK)).estimate(task, SPACE, ctx.builder, ctx) > 0


def test_the_estimate_keeps_to_the_budget_of_seconds():
    task = task_of()
    ctx = context(task, budget=Budget(seconds=0.001))
    assert Darts(DartsOptions(**QUICK)).estimate(task, SPACE, ctx.builder, ctx) == 0.001


def test_a_space_that_cannot_be_relaxed_and_beats_too_short_are_option_errors():
    class Labelings:
        name = "labelings"

    with pytest.raises(OptionError, match="labelings"):
        search(space=Labelings())
    with pytest.raises(OptionError, match="15 samples"):
        search(task_of(20, 20, n_samples=15))


def test_the_default_options_are_those_of_the_paper():
    options = DartsOptions()
    # Section IV-C: 8 cells, 16 channels, 100 epochs, batches of 100; the rest from DARTS.
    assert (options.cells, options.channels, options.epochs, options.batch_size) == (
        8,
        16,
        100,
        100,
    )
    assert (options.lr, options.lr_min, options.momentum) == (0.025, 0.001, 0.9)
    assert (options.weight_decay, options.grad_clip) == (3e-4, 5.0)
    assert (options.alpha_lr, options.alpha_weight_decay, options.order) == (3e-4, 1e-3, "first")
    assert options.beats is None
    assert options.majority_share is None
    assert options.warmup_epochs == 0
