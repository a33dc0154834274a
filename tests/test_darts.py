"""DARTS: from α to cells, its two gradients against exact ones, and the search as a whole."""

from __future__ import annotations

import copy
import itertools
import math
import random
from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_beats import tiny_beats
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.errors import OptionError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.context import Search
from nasbench_ecg.run.trial import Examination
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import (
    OPERATIONS,
    ConvCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.bilevel import (
    Batch,
    first_order,
    hessian_vector_product,
    pure_loss,
    relaxed_loss,
    second_order,
    velocities,
)
from nasbench_ecg_darts.convert import merged_to_plain
from nasbench_ecg_darts.merged import MergedEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import (
    discretise,
    entropy,
    initial_alpha,
    mixing_weights,
    skip_share,
)
from nasbench_ecg_darts.sampling import draw
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.strategy import Darts
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet

# -- relaxation --------------------------------------------------------------------------------


def strongest_cell(rows, operations, nodes):
    """Return DARTS' cell by trying every pair of edges with every pair of real operations."""
    cell, start = [], 0
    for node in range(nodes):
        sources = range(node + 2)
        candidates = [
            (rows[start + s][o], s, name)
            for s in sources
            for o, name in enumerate(operations)
            if name != "none"
        ]
        pairs = [(a, b) for a, b in itertools.combinations(candidates, 2) if a[1] != b[1]]
        best = max(pairs, key=lambda pair: pair[0][0] + pair[1][0])
        cell.append(sorted((source, name) for _, source, name in best))
        start += node + 2
    return cell


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from([OPERATIONS, ("none", "skip", "conv-3"), ("conv-9", "none"), ("skip",)]),
)
@settings(max_examples=60, deadline=None)
def test_the_discrete_cell_is_the_strongest_by_brute_force(seed, nodes, operations):
    rng = np.random.default_rng(seed)
    rows = nodes * (nodes + 3) // 2
    weights = {
        name: torch.tensor(rng.normal(size=(rows, len(operations)))).softmax(-1)
        for name in ("normal", "reduction")
    }
    genotype = discretise(weights, operations, nodes)
    for name in ("normal", "reduction"):
        got = [[(e.source, e.operation) for e in node] for node in getattr(genotype, name)]
        assert got == strongest_cell(weights[name].tolist(), operations, nodes)
    ConvCells(ConvCellsOptions(nodes=nodes, operations=operations)).validate(
        genotype.to_architecture()
    )


def test_none_is_never_chosen_however_strong():
    column = OPERATIONS.index("none")
    logits = torch.zeros(14, 10)
    logits[:, column] = 50
    weights = {name: logits.softmax(-1) for name in ("normal", "reduction")}
    genotype = discretise(weights, OPERATIONS, 4)
    edges = [e for cell in (genotype.normal, genotype.reduction) for node in cell for e in node]
    assert len(edges) == 16
    assert all(edge.operation != "none" for edge in edges)


def test_a_heavy_none_weakens_its_edge_against_others():
    # Section 2.4 of DARTS compares softmax weights that "none" takes part in.
    logits = torch.zeros(5, 3)  # two nodes; operations none, skip, conv-3
    logits[2:, 1] = torch.tensor([2.0, 1.5, 1.0])
    logits[2, 0] = 5.0
    genotype = discretise(
        {name: logits.softmax(-1) for name in ("normal", "reduction")},
        ("none", "skip", "conv-3"),
        2,
    )
    assert [edge.source for edge in genotype.normal[1]] == [1, 2]


def test_alpha_starts_as_the_paper_says():
    torch.manual_seed(0)
    alpha = initial_alpha(4, 10, "cpu")
    assert {name: tuple(value.shape) for name, value in alpha.items()} == {
        "normal": (14, 10),
        "reduction": (14, 10),
    }
    assert all(value.is_leaf and value.requires_grad for value in alpha.values())
    values = torch.cat([value.detach().ravel() for value in alpha.values()])
    assert 0.8e-3 < values.std() < 1.2e-3
    assert not torch.equal(alpha["normal"], alpha["reduction"])


def test_mixing_weights_are_a_softmax_over_the_operations_of_an_edge():
    alpha = {name: torch.randn(5, 3).requires_grad_() for name in ("normal", "reduction")}
    weights = mixing_weights(alpha)
    for name, value in alpha.items():
        expected = value.exp() / value.exp().sum(1, keepdim=True)
        torch.testing.assert_close(weights[name], expected)


def test_entropy_is_log_10_where_uniform_and_zero_where_decided():
    uniform = {name: torch.full((14, 10), 0.1) for name in ("normal", "reduction")}
    decided = {name: torch.eye(10)[:5] for name in ("normal", "reduction")}
    assert entropy(uniform) == pytest.approx(math.log(10), rel=1e-6)
    assert entropy(decided) == pytest.approx(0, abs=1e-9)


def test_the_skip_share_counts_edges_of_both_cells():
    node = (("skip", 0), ("conv-3", 1))
    all_skips = (("skip", 0), ("skip", 1))
    arch = Genotype.from_architecture(
        copy.deepcopy(ConvCells(ConvCellsOptions(nodes=1)).sample(np.random.default_rng(0)))
    ).to_architecture()
    arch.genotype.update(normal=[list(map(list, node))], reduction=[list(map(list, all_skips))])
    assert skip_share(Genotype.from_architecture(arch)) == 0.75


# -- gradients ---------------------------------------------------------------------------------

FEW = ("none", "skip", "max-pool-3", "conv-3", "conv-5")


def tiny_net(edges=MergedEdges, *, operations=FEW, seed=0):
    torch.manual_seed(seed)
    return SuperNet(
        edges,
        operations=operations,
        nodes=2,
        cells=3,
        channels=2,
        stem_filters=4,
        n_leads=2,
        n_classes=3,
    )


def tiny_alpha(dtype, operations=FEW, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(5, len(operations), generator=generator).to(dtype).requires_grad_()
        for name in ("normal", "reduction")
    }


def tiny_batch(seed, dtype, n=6):
    beats = tiny_beats(n, n_samples=40, seed=seed)
    return Batch(torch.tensor(beats.signals, dtype=dtype), torch.tensor(beats.labels))


def double_loss(net):
    """Return L(w, α) in double precision throughout."""

    def loss(weights, alpha, batch):
        buffers = {name: value.clone() for name, value in net.named_buffers()}
        logits = functional_call(net, {**weights, **buffers}, (batch.x, mixing_weights(alpha)))
        return cross_entropy(logits, batch.y)

    return loss


def test_the_first_order_gradient_is_autograds_on_the_plain_form():
    merged, plain = tiny_net().double(), tiny_net(PlainEdges, seed=9).double()
    merged_to_plain(merged, plain)
    batch = tiny_batch(1, torch.float64)
    alpha, other = tiny_alpha(torch.float64), tiny_alpha(torch.float64)
    logits = plain(batch.x, {name: value.softmax(-1) for name, value in other.items()})
    cross_entropy(logits.float(), batch.y).backward()
    loss, _ = relaxed_loss(merged, alpha, batch, "float32")
    for got, value in zip(first_order(loss, alpha), other.values(), strict=True):
        torch.testing.assert_close(got, value.grad, rtol=1e-5, atol=1e-8)
    assert all(p.grad is None for p in merged.parameters())


@pytest.fixture
def smooth(monkeypatch):
    """Make the networks smooth, so that ε = 0.01/‖v‖ is small enough to be judged by."""
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    monkeypatch.setattr(F, "max_pool2d", F.avg_pool2d)


@pytest.fixture
def second_order_case(smooth):
    """Everything that a second-order step needs, in double precision, after one step of SGD."""
    net = tiny_net().double()
    alpha = tiny_alpha(torch.float64)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    cross_entropy(
        net(tiny_batch(3, torch.float64).x, mixing_weights(alpha)), tiny_batch(3, torch.float64).y
    ).backward()
    optimizer.step()
    for value in alpha.values():
        value.grad = None
    return {
        "loss": double_loss(net),
        "weights": dict(net.named_parameters()),
        "alpha": alpha,
        "train": tiny_batch(1, torch.float64),
        "validation": tiny_batch(2, torch.float64),
        "lr": 0.3,
        "momentum": 0.9,
        "weight_decay": 0.05,
        "velocity": velocities(net, optimizer),
    }


def exact_second_order(
    *, loss, weights, alpha, train, validation, lr, momentum, weight_decay, velocity
):
    """Return ∇α L_val(w − ξ(∇w L_train + λw + μv), α) by differentiating through the step."""
    w = {name: value.detach().requires_grad_() for name, value in weights.items()}
    gradients = torch.autograd.grad(loss(w, alpha, train), tuple(w.values()), create_graph=True)
    unrolled = {
        name: value - lr * (g + weight_decay * value + momentum * velocity.get(name, 0))
        for (name, value), g in zip(w.items(), gradients, strict=True)
    }
    return torch.autograd.grad(loss(unrolled, alpha, validation), tuple(alpha.values()))


def distance(a, b):
    return float(torch.cat([(x - y).ravel() for x, y in zip(a, b, strict=True)]).norm())


def size(a):
    return float(torch.cat([x.ravel() for x in a]).norm())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"momentum": 0.0, "weight_decay": 0.0},
        {"velocity": {}},
        {"weight_decay": 0.5},
        {"lr": 0.025},
    ],
)
def test_the_second_order_gradient_is_the_exact_one_through_the_unrolled_step(
    second_order_case, change
):
    case = {**second_order_case, **change}
    exact = exact_second_order(**case)
    got = second_order(**case)
    assert distance(got, exact) < 0.01 * size(exact)


def test_the_second_order_gradient_needs_both_of_its_terms(second_order_case):
    case = second_order_case
    exact = exact_second_order(**case)
    error = distance(second_order(**case), exact)
    at_w = torch.autograd.grad(
        case["loss"](case["weights"], case["alpha"], case["validation"]),
        tuple(case["alpha"].values()),
    )
    without_momentum = second_order(**{**case, "momentum": 0.0})
    without_decay = second_order(**{**case, "weight_decay": 0.0})
    for wrong in (at_w, without_momentum, without_decay):
        assert distance(wrong, exact) > 5 * error


def finite_difference_errors(scales):
    """Return the relative errors of ∇²α,w L · v with steps shorter by ``scales``."""
    net, alpha = tiny_net().double(), tiny_alpha(torch.float64)
    loss, train = double_loss(net), tiny_batch(1, torch.float64)
    w = {name: value.detach().clone() for name, value in net.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    v = tuple(torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in w.values())

    leaves = {name: value.clone().requires_grad_() for name, value in w.items()}
    by_alpha = torch.autograd.grad(
        loss(leaves, alpha, train), tuple(leaves.values()), create_graph=True
    )
    along = sum((g * d).sum() for g, d in zip(by_alpha, v, strict=True))
    exact = torch.autograd.grad(along, tuple(alpha.values()))

    errors = []
    for scale in scales:
        # In u with w(u) = w + scale · (u − w) the same ε is a step shorter by the scale.
        def nearer(u, alpha, batch, scale=scale):
            return loss({n: w[n] + scale * (u[n] - w[n]) for n in w}, alpha, batch)

        product = hessian_vector_product(nearer, w, alpha, train, v)
        errors.append(distance([p / scale for p in product], exact) / size(exact))
    return errors


def test_finite_differences_converge_quadratically_on_a_smooth_network(smooth):
    errors = finite_difference_errors((1.0, 0.1))
    assert errors[0] < 0.01
    assert errors[1] < errors[0] / 50


def test_finite_differences_meet_the_hessian_vector_product_between_the_kinks_of_relu():
    assert finite_difference_errors((1e-2, 1e-4)) == pytest.approx([0, 0], abs=1e-5)


def test_the_pure_loss_is_the_loss_and_leaves_no_trace():
    net, alpha = tiny_net(), tiny_alpha(torch.float32)
    before = copy.deepcopy(net.state_dict())
    batch = tiny_batch(1, torch.float32)
    loss = pure_loss(net, "float32")
    value = loss(dict(net.named_parameters()), alpha, batch)
    second_order(
        loss, dict(net.named_parameters()), alpha, train=batch, validation=batch, lr=0.1,
        momentum=0.9, weight_decay=0.1, velocity={},
    )  # fmt: skip
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(a.grad is None for a in alpha.values())
    torch.testing.assert_close(value, relaxed_loss(net, alpha, batch, "float32")[0])


def test_velocities_are_the_momentum_buffers_by_name_and_absent_before_the_first_step():
    net = tiny_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    assert velocities(net, optimizer) == {}
    loss, _ = relaxed_loss(net, tiny_alpha(torch.float32), tiny_batch(1, torch.float32), "float32")
    loss.backward()
    optimizer.step()
    found = velocities(net, optimizer)
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


# -- drawing an epoch's beats ------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.integers(1, 150),
    st.one_of(st.none(), st.floats(0.05, 0.95)),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_an_epochs_beats_keep_to_their_number_and_to_the_majority_share(labels, n, share, seed):
    labels = torch.tensor(labels)
    index = draw(labels, n, share, torch.Generator().manual_seed(seed))
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
    again = draw(labels, n, share, torch.Generator().manual_seed(seed))
    assert torch.equal(index, again)


def test_rare_beats_fill_what_the_majority_may_not():
    labels = torch.tensor([0] * 900 + [1] * 80 + [2] * 20)
    index = draw(labels, 100, 0.5, torch.Generator().manual_seed(0))
    counts = torch.bincount(labels[index], minlength=3)
    assert counts[0] == 50
    assert counts[1:].sum() == 50
    # Once the 100 others are used up, only the majority is left to fill with.
    index = draw(labels, 400, 0.5, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[index], minlength=3).tolist() == [300, 80, 20]


def test_a_majority_below_its_share_loses_no_beat():
    labels = torch.tensor([0] * 40 + [1] * 30 + [2] * 30)
    index = draw(labels, 100, 0.5, torch.Generator().manual_seed(0))
    assert sorted(index.tolist()) == list(range(100))


# -- the search --------------------------------------------------------------------------------

QUICK = {
    "cells": 3, "channels": 2, "stem_filters": 4, "epochs": 3, "batch_size": 20, "alpha_lr": 3e-2,
}  # fmt: skip
SPACE = ConvCells(ConvCellsOptions(nodes=2, operations=FEW))


def task_of(n_train=120, n_validation=80, **options):
    return Task(
        tiny_beats(n_train, seed=1, **options),
        tiny_beats(n_validation, seed=2, **options),
        ("N", "S", "V"),
    )


def context(task, *, seed=0, budget=None, progress=None):
    return Search(
        task=task,
        space=SPACE,
        builder=StackedCellsShortcut(
            StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4)
        ),
        evaluator=None,
        rng=np.random.default_rng(seed),
        evaluation_seed=0,
        device="cpu",
        progress=progress or Silent(),
        budget=budget or Budget(),
    )


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
    """Return how far the mixing weights went from where they started."""
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


def test_a_search_learns():
    _, trajectory = search(lr=0.1, epochs=6)
    assert trajectory[-1]["train_loss"] < 0.7 * trajectory[0]["train_loss"]
    assert trajectory[-1]["validation_loss"] < 0.9 * trajectory[0]["validation_loss"]
    assert trajectory[-1]["value"] > trajectory[0]["value"]


def test_the_details_hold_the_weights_that_the_cells_were_read_from(found):
    result, _ = found
    weights = {k: torch.tensor(v) for k, v in result.details["mixing_weights"].items()}
    assert result.details["operations"] == list(FEW)
    assert discretise(weights, FEW, 2).to_architecture() == result.architecture
    assert result.details["skip_share"] == skip_share(
        Genotype.from_architecture(result.architecture)
    )
    for value in weights.values():
        torch.testing.assert_close(value.sum(-1), torch.ones(5), rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_search_bit_for_bit_and_another_seed_another(found):
    again = search()
    assert again[0] == found[0]
    assert again[1] == found[1]
    other, _ = search(seed=1)
    assert other.details["mixing_weights"] != found[0].details["mixing_weights"]


def test_warm_up_epochs_leave_alpha_where_it_was():
    asleep, trajectory = search(epochs=2, warmup_epochs=2)
    assert moved(asleep) < 1e-6
    assert trajectory[1]["train_loss"] < trajectory[0]["train_loss"]
    awake, _ = search(epochs=2, warmup_epochs=1)
    assert moved(awake) > 1e-4


def test_a_step_of_alpha_leaves_the_weights_gradient_alone_and_uses_adam():
    task = task_of()
    with seeded(0):
        state = SearchState.start(DartsOptions(**QUICK), task, SPACE, context(task))
    train, validation = next(state.remaining())
    before = {name: value.detach().clone() for name, value in state.alpha.items()}
    twin = copy.deepcopy(state.net)
    fresh = {name: value.clone().requires_grad_() for name, value in before.items()}
    logits = twin(validation.x, mixing_weights(fresh))
    cross_entropy(logits, validation.y).backward()
    state.step((train, validation), with_alpha=True)
    for name, value in state.alpha.items():
        gradient = fresh[name].grad + 1e-3 * before[name]
        # The first step of Adam goes lr · g / (|g| + eps).
        expected = before[name] - 3e-2 * gradient / (gradient.abs() + 1e-8)
        certain = gradient.abs() > 1e-6
        torch.testing.assert_close(value[certain], expected[certain], rtol=1e-3, atol=1e-5)


class Counted(Silent):
    """Counts the steps that a search shows."""

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
def test_the_budgets_seconds_stop_the_search_even_within_an_epoch(seconds, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("nasbench_ecg_darts.strategy.monotonic", lambda: float(next(ticks)))
    progress = Counted()
    result, trajectory = search(
        budget=Budget(seconds=seconds), epochs=100, batch_size=10, progress=progress
    )
    # A clock that goes on by a second each time it is read: no more steps than seconds.
    assert 1 <= progress.steps <= seconds
    assert 1 <= len(trajectory) < 100
    SPACE.validate(result.architecture)


def test_without_a_budget_all_epochs_and_steps_are_taken():
    progress = Counted()
    _, trajectory = search(progress=progress)
    assert len(trajectory) == 3
    assert progress.steps == 3 * (120 // 20)


def test_beats_limits_an_epoch():
    progress = Counted()
    search(progress=progress, beats=60, epochs=2, majority_share=0.5)
    assert progress.steps == 2 * (60 // 20)


def test_second_order_runs_and_goes_its_own_way(found):
    result, trajectory = search(order="second", epochs=2, beats=60)
    first, _ = search(order="first", epochs=2, beats=60)
    SPACE.validate(result.architecture)
    assert moved(result) > 1e-4
    assert result.details["mixing_weights"] != first.details["mixing_weights"]
    assert all(math.isfinite(point["validation_loss"]) for point in trajectory)


def test_second_order_is_repeatable_too():
    assert search(order="second", epochs=1, beats=40) == search(order="second", epochs=1, beats=40)


@pytest.mark.parametrize(("n_train", "n_validation"), [(60, 7), (9, 60)])
def test_parts_smaller_than_a_batch_are_searched_on_all_the_same(n_train, n_validation):
    result, trajectory = search(task_of(n_train, n_validation), epochs=1)
    SPACE.validate(result.architecture)
    assert len(trajectory) == 1


@pytest.mark.parametrize(
    "form", [{"n_leads": 1, "n_samples": 55}, {"n_leads": 12, "n_samples": 40}, {"n_samples": 77}]
)
def test_any_number_of_leads_and_odd_lengths_are_searched(form):
    result, _ = search(task_of(40, 40, **form), epochs=1)
    SPACE.validate(result.architecture)


def test_bfloat16_searches():
    result, trajectory = search(precision="bf16", epochs=1)
    SPACE.validate(result.architecture)
    assert math.isfinite(trajectory[0]["train_loss"])


def test_a_search_leaves_all_global_generators_as_they_were():
    torch.manual_seed(77), np.random.seed(77), random.seed(77)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    search(epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_what_a_strategy_gets_holds_no_test_part():
    assert {field.name for field in fields(Task)} == {"train", "validation", "macro_classes"}
    assert not any("test" in field.name for field in fields(Search))
    task = task_of()
    examination = Examination(task, tiny_beats(10, seed=3), "cpu", Silent())
    search(task, epochs=1)
    assert not examination.opened


def test_a_search_changes_no_beat_of_its_task():
    task = task_of()
    before = task.train.fingerprint(), task.validation.fingerprint()
    search(task, epochs=1)
    assert (task.train.fingerprint(), task.validation.fingerprint()) == before


def test_the_estimate_is_a_positive_number_of_seconds():
    task = task_of()
    ctx = context(task)
    assert Darts(DartsOptions(**QUICK)).estimate(task, SPACE, ctx.builder, ctx) > 0


def test_a_space_that_cannot_be_relaxed_and_beats_too_short_are_option_errors():
    class Labelings:
        name = "labelings"

    with pytest.raises(OptionError, match="labelings"):
        search(space=Labelings())
    with pytest.raises(OptionError, match="15 samples"):
        search(task_of(20, 20, n_samples=15))


def test_the_options_defaults_are_the_papers():
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
