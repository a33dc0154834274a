"""The first- and second-order gradients of α against exact ones."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from darts_searches import OPERATIONS
from tiny_beats import tiny_beats
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg_darts.architect import (
    Batch,
    first_order,
    hessian_vector_product,
    pure_loss,
    relaxed_loss,
    second_order,
    velocities,
)
from nasbench_ecg_darts.edges import MergedEdges, merged_to_plain
from nasbench_ecg_darts.relaxation import (
    mixing_weights,
)
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet


def tiny_net(edges=MergedEdges, *, operations=OPERATIONS, seed=0):
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


def tiny_alpha(dtype, operations=OPERATIONS, seed=5):
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


def test_the_first_order_gradient_equals_autograd_on_the_plain_form():
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
    """Make the networks smooth, so that ε = 0.01/‖v‖ is small enough for finite differences."""
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


def test_finite_differences_equal_the_hessian_vector_product_between_the_kinks_of_relu():
    assert finite_difference_errors((1e-2, 1e-4)) == pytest.approx([0, 0], abs=1e-5)


def test_the_pure_loss_equals_the_loss_and_changes_nothing():
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
