"""All variants of DARTS: valid cells, the papers' defaults, and searches that resume exactly."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager

import pytest
import torch
from darts_searches import (
    SPACE,
    STRATEGIES,
    completed,
    context,
    first_batches,
    progress_at,
    search,
    started,
    strategy_of,
    take_step,
    task_of,
)
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg_darts import nasbench_ecg_strategies, options
from nasbench_ecg_darts.architect import first_order, relaxed_loss
from nasbench_ecg_darts.search import search_step
from nasbench_ecg_darts.variants import fair


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_each_returns_a_valid_architecture_and_logs_its_indicators(name):
    result, trajectory = completed(name)
    SPACE.validate(result.architecture)
    assert all(0 <= point["skip_share"] <= 1 for point in trajectory)
    assert all(math.isfinite(point["train_loss"]) for point in trajectory)
    assert all(math.isfinite(point["hessian_eigenvalue"]) for point in trajectory[:2])


def test_the_specs_name_existing_functions_and_options():
    specs = {spec.name: spec for spec in nasbench_ecg_strategies()}
    assert set(specs) == set(STRATEGIES)
    for name, (make, model, _) in STRATEGIES.items():
        assert specs[name].target == f"{make.__module__}:{make.__name__}"
        assert specs[name].options == f"{model.__module__}:{model.__name__}"
        assert name == "darts" or strategy_of(name).variant.name == name


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("profile", ["paper", "standard", "quick", "smoke"])
def test_every_profile_is_valid(name, profile):
    resolved = resolve(STRATEGIES[name][1], component=f"strategy {name}", profile=profile)
    assert resolved.warmup_epochs < resolved.epochs


def test_defaults_are_those_of_the_papers():
    pc, pt, stop = options.PcDartsOptions(), options.DartsPtOptions(), options.DartsESOptions()
    assert (pc.partial_channels, pc.warmup_epochs, pc.alpha_lr) == (4, 15, 6e-4)
    assert (stop.window, stop.lag, stop.ratio, stop.start_epoch) == (5, 5, 0.75, 10)
    assert (pt.tune_epochs, pt.projection_beats) == (10, None)
    assert options.DartsPlusOptions().max_skips == 2
    assert options.BetaDartsOptions().beta_weight == 50
    assert options.FairDartsOptions().zero_one_weight == 10
    assert options.FairDartsOptions().threshold == 0.85
    assert options.DartsMinusOptions().skip_weight == 1
    assert options.DrnasOptions().distance_scale == 1e-3
    assert (options.GdasOptions().temperature, options.GdasOptions().temperature_min) == (10, 0.1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_that_would_never_train_alpha_is_refused(name):
    with pytest.raises(ValidationError, match="must be less than epochs"):
        STRATEGIES[name][1](epochs=10, warmup_epochs=10)


def test_shorter_searches_than_the_warm_up_are_refused_and_told_so():
    with pytest.raises(OptionError, match="warmup_epochs"):
        resolve(options.PcDartsOptions, component="strategy pc-darts", overrides={"epochs": 10})


def test_a_temperature_of_gdas_that_rises_is_refused():
    with pytest.raises(ValidationError, match="temperature_min"):
        options.GdasOptions(temperature=0.5, temperature_min=1.0)


class Interrupted(Silent):
    """Progress that interrupts the search after some steps."""

    def __init__(self, steps):
        self.left = steps

    @contextmanager
    def track(self, label, total):
        yield self

    def advance(self, n=1, **figures):
        self.left -= n == 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pc-darts", "darts-plus", "drnas", "gdas", "darts-pt", "darts-es"]
)
def test_a_search_stopped_repeatedly_gives_the_same_result_as_without_stops(name, tmp_path):
    epochs = 3 if name == "darts-es" else 2
    stops = 0
    while True:
        try:
            got = search(
                name, epochs=epochs, checkpoint=tmp_path / "state", progress=Interrupted(3)
            )
            break
        except KeyboardInterrupt:
            stops += 1
            assert stops < 20
    assert stops >= 1
    assert got == completed(name)


# -- second order ------------------------------------------------------------------------------


def test_a_penalty_applies_to_the_second_order_too():
    grads = []
    for weight in (0.0, 1e6):
        variant, state = started("beta-darts", beta_weight=weight, order="second")
        state.epoch = 1
        take_step(variant, state)
        grads.append(state.alpha["normal"].grad)
    assert (grads[1] > 0).all() and torch.isfinite(grads[0]).all()


def test_the_losses_of_a_second_order_step_are_those_of_a_first_order_one():
    states = []
    for order in ("first", "second"):
        variant, state = started("darts", order=order)
        take_step(variant, state)
        states.append(state)
    assert torch.equal(states[0].confusion, states[1].confusion)
    assert states[0].losses[1] == states[1].losses[1]


def test_the_step_of_alpha_uses_the_mixing_weights_and_penalty_of_the_variant():
    variant, state = started("fair-darts")
    train, validation = first_batches(state)
    loss, _ = relaxed_loss(
        copy.deepcopy(state.net), state.alpha, validation, "float32", fair.sigmoids
    )
    penalty = fair.zero_one_loss(state.alpha, progress_at(0), weight=10.0)
    expected = [
        g + p
        for g, p in zip(
            first_order(loss, state.alpha),
            torch.autograd.grad(penalty, tuple(state.alpha.values())),
            strict=True,
        )
    ]
    search_step(state, variant, train, validation, with_alpha=True)
    for value, gradient in zip(state.alpha.values(), expected, strict=True):
        torch.testing.assert_close(value.grad, gradient)


def test_the_error_about_another_space_names_the_variant():
    class Labelings:
        name = "labelings"

    task = task_of()
    ctx = context(task)
    with pytest.raises(OptionError, match="gdas cannot relax"):
        strategy_of("gdas").search(task, Labelings(), ctx.builder, ctx)


class NoHostData(TorchDispatchMode):
    """Refuses tensors made from Python's numbers and lists.

    On a GPU each is a copy from the host: the step waits for it, and a CUDA graph cannot hold it.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten.lift_fresh.default, "a list or number became a tensor"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "name", [name for name in STRATEGIES if strategy_of(name).variant.capturable]
)
def test_a_capturable_step_takes_no_data_from_the_host(name):
    variant, state = started(name)
    first, second, *_ = state.batches(state.steps_per_epoch)
    search_step(state, variant, *first, with_alpha=True)
    with NoHostData():
        search_step(state, variant, *second, with_alpha=True)
