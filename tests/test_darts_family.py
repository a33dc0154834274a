"""All relatives of DARTS: valid cells, sound defaults, and a search that goes on exactly."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager

import pytest
import torch
from darts_relatives import RELATIVES, at, found, relative, search, started
from darts_searches import SPACE, context, task_of
from torch.utils._python_dispatch import TorchDispatchMode

from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts import (
    darts_pt,
    faidarts_es,
    family,
    nasbench_ecg_strategies,
)
from nasbench_ecg_darts.architect import first_order, relaxed_loss


@pytest.mark.parametrize("name", RELATIVES)
def test_each_returns_a_valid_architecture_and_is_watched(name):
    result, trajectory = found(name)
    SPACE.validate(result.architecture)
    assert all(0 <= point["skip_share"] <= 1 for point in trajectory)
    assert all(math.isfinite(point["train_loss"]) for point in trajectory)
    assert all(math.isfinite(point["hessian_eigenvalue"]) for point in trajectory[:2])


def test_the_specs_name_what_there_is():
    specs = {spec.name: spec for spec in nasbench_ecg_strategies()}
    assert set(specs) == set(RELATIVES)
    for name, (make, model, _) in RELATIVES.items():
        assert specs[name].target == f"{make.__module__}:{make.__name__}"
        assert specs[name].options == f"{model.__module__}:{model.__name__}"
        assert name == "darts" or relative(name).variant.name == name


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("profile", ["paper", "standard", "quick", "smoke"])
def test_every_profile_is_allowed(name, profile):
    options = resolve(RELATIVES[name][1], component=f"strategy {name}", profile=profile)
    assert options.warmup_epochs < options.epochs


def test_defaults_are_those_of_the_methods_papers():
    pc, pt, stop = family.PcDartsOptions(), family.DartsPtOptions(), family.DartsESOptions()
    assert (pc.partial_channels, pc.warmup_epochs, pc.alpha_lr) == (4, 15, 6e-4)
    assert (stop.window, stop.lag, stop.ratio, stop.start_epoch) == (5, 5, 0.75, 10)
    assert (pt.tune_epochs, pt.projection_beats) == (10, None)
    assert family.DartsPlusOptions().max_skips == 2
    assert family.BetaDartsOptions().beta_weight == 50
    assert family.FairDartsOptions().zero_one_weight == 10
    assert family.FairDartsOptions().threshold == 0.85
    assert family.DartsMinusOptions().skip_weight == 1
    assert family.DrnasOptions().distance_scale == 1e-3
    assert (family.GdasOptions().temperature, family.GdasOptions().temperature_min) == (10, 0.1)


class Interrupted(Silent):
    """Progress that is interrupted after some steps."""

    def __init__(self, steps):
        self.left = steps

    @contextmanager
    def track(self, label, total):
        yield self

    def advance(self, n=1, **figures):
        self.left -= n == 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "name", ["pc-darts", "darts-plus", "drnas", "gdas", "darts-pt", "darts-es"]
)
def test_a_search_that_is_stopped_again_and_again_ends_as_if_it_had_not_been(name, tmp_path):
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
    assert got == found(name)


# -- second order ------------------------------------------------------------------------------


def test_a_penalty_enters_the_second_order_too():
    grads = []
    for weight in (0.0, 1e6):
        state = started("beta-darts", beta_weight=weight, order="second")
        state.epoch = 1
        state.step(next(state.remaining()), with_alpha=True)
        grads.append(state.alpha["normal"].grad)
    assert (grads[1] > 0).all() and torch.isfinite(grads[0]).all()


def test_the_losses_of_a_second_order_step_are_those_of_a_first_order_one():
    states = [started("darts", order=order) for order in ("first", "second")]
    for state in states:
        state.step(next(state.remaining()), with_alpha=True)
    assert torch.equal(states[0].confusion, states[1].confusion)
    assert states[0].losses[1] == states[1].losses[1]


def test_mixing_is_the_variants_own_in_the_alpha_step():
    state = started("faidarts-es")
    train, validation = next(state.remaining())
    loss, _ = relaxed_loss(
        copy.deepcopy(state.net), state.alpha, validation, "float32", faidarts_es.sigmoids
    )
    penalty = faidarts_es.zero_one_loss(state.alpha, at(0), weight=10.0)
    expected = [
        g + p
        for g, p in zip(
            first_order(loss, state.alpha),
            torch.autograd.grad(penalty, tuple(state.alpha.values())),
            strict=True,
        )
    ]
    state.step((train, validation), with_alpha=True)
    for value, gradient in zip(state.alpha.values(), expected, strict=True):
        torch.testing.assert_close(value.grad, gradient)


def test_other_spaces_are_refused_by_the_relatives_name():
    class Labelings:
        name = "labelings"

    task = task_of()
    ctx = context(task)
    with pytest.raises(OptionError, match="gdas cannot relax"):
        relative("gdas").search(task, Labelings(), ctx.builder, ctx)


def test_a_cell_of_one_node_has_two_decisions():
    assert darts_pt.decisions(ConvCells(ConvCellsOptions(nodes=1))) == 2
    assert darts_pt.decisions(ConvCells(ConvCellsOptions(nodes=4))) == 17


class NoHostData(TorchDispatchMode):
    """Refuses tensors made of Python's numbers and lists.

    On a GPU each is a copy from the host, for which a step waits and which no CUDA graph can hold.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten.lift_fresh.default, "a list or number became a tensor"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [name for name in RELATIVES if relative(name).variant.steady])
def test_a_step_that_a_gpu_may_replay_takes_no_data_from_the_host(name):
    state = started(name)
    (first, second, *_) = state.remaining()
    state.step(first, with_alpha=True)
    with NoHostData():
        state.step(second, with_alpha=True)
