"""Relatives that draw their mixing weights: DrNAS and GDAS."""

from __future__ import annotations

import math

import pytest
import torch
from darts_relatives import OPERATIONS, at, edges_of, random_alpha

from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_darts import (
    drnas,
    gdas,
)
from nasbench_ecg_darts.edges import SparseEdges

# -- drnas -------------------------------------------------------------------------------------


def test_dirichlet_samples_are_mixtures_around_their_mean_with_a_gradient():
    alpha = {"normal": torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)}
    beta = torch.tensor([3.0, 1.0, math.exp(-1)])  # elu(x) + 1 is x + 1 above 0, exp(x) below
    torch.testing.assert_close(drnas.means(alpha)["normal"][0], beta / beta.sum())
    with seeded(0):
        draws = torch.cat([drnas.sample(alpha, at(0))["normal"] for _ in range(4000)])
    torch.testing.assert_close(draws.sum(1), torch.ones(4000))
    torch.testing.assert_close(draws.mean(0), beta / beta.sum(), atol=0.02, rtol=0)
    variance = (beta / beta.sum()) * (1 - beta / beta.sum()) / (beta.sum() + 1)
    torch.testing.assert_close(draws.var(0), variance, atol=0.01, rtol=0)
    # The gradient of a mean over samples is that of the mean of the distribution.
    (got,) = torch.autograd.grad(draws[:, 0].mean(), alpha["normal"], retain_graph=True)
    (expected,) = torch.autograd.grad(drnas.means(alpha)["normal"][0, 0], alpha["normal"])
    torch.testing.assert_close(got, expected, atol=0.01, rtol=0)


def test_the_distance_is_zero_where_the_distribution_is_uniform():
    nothing = {name: torch.zeros(5, 4) for name in ("normal", "reduction")}
    alpha = random_alpha(columns=4)
    for kind in ("l2", "kl"):
        assert float(drnas.distance(nothing, at(0), kind=kind, scale=1.0)) == pytest.approx(0)
    every = torch.cat(list(alpha.values())).detach()
    assert drnas.distance(alpha, at(0), kind="l2", scale=0.2).item() == pytest.approx(
        0.1 * float((every**2).sum())
    )
    b = torch.where(every > 0, every + 1, every.exp())
    total = b.sum(-1)
    divergence = (
        total.lgamma() - b.lgamma().sum(-1) - math.lgamma(4)
        + ((b - 1) * (b.digamma() - total.digamma().unsqueeze(-1))).sum(-1)
    )  # fmt: skip
    assert drnas.distance(alpha, at(0), kind="kl", scale=1.0).item() == pytest.approx(
        float(divergence.sum())
    )


# -- gdas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [10.0, 0.1])
def test_an_operation_is_drawn_as_often_as_its_softmax_says_at_any_temperature(tau):
    alpha = torch.tensor([[1.0, 0.0, -1.0]]).repeat(4000, 1)
    with seeded(0):
        drawn = gdas.sample(alpha, tau)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.sum(1), torch.ones(4000))
    torch.testing.assert_close(drawn.mean(0), alpha[0].softmax(0), atol=0.03, rtol=0)


def test_the_temperature_falls_linearly_from_first_to_last_epoch():
    falls = [gdas.temperature(at(e, 5), first=10.0, last=0.1) for e in range(5)]
    assert falls == pytest.approx([10, 7.525, 5.05, 2.575, 0.1])
    assert gdas.temperature(at(0, 1), first=10.0, last=0.1) == 10


def test_the_gradient_is_that_of_the_soft_sample_through_the_drawn_operation():
    alpha = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    outputs = torch.randn(6, 4, dtype=torch.float64)
    with seeded(3):
        drawn = gdas.sample(alpha, 2.0)
    (got,) = torch.autograd.grad((drawn * outputs).sum(), alpha)
    with seeded(3):
        gumbel = -torch.empty(6, 4).exponential_().log().double()
    soft = ((alpha.log_softmax(-1) + gumbel) / 2.0).softmax(-1)
    assert torch.equal(drawn.argmax(-1), soft.argmax(-1))
    (expected,) = torch.autograd.grad((soft * drawn.detach() * outputs).sum(), alpha)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("cell", [0, 1])
def test_what_is_not_drawn_is_not_computed_and_every_form_says_the_same(cell):
    active = 2 if cell == 0 else 4
    plain, merged = edges_of(OPERATIONS, 2, 2, cell)
    torch.manual_seed(0)
    sparse = SparseEdges(OPERATIONS, 2, active, reduction=cell == 1).double()
    sparse.load_state_dict(plain.state_dict())
    s0, s1 = torch.randn(2, 4, active, 1, 13, dtype=torch.float64).unbind(0)
    found = []
    for edges in (plain, merged, sparse):
        alpha = random_alpha()["normal"]
        with seeded(5):
            weights = gdas.sample(alpha, 1.0)
        nodes = torch.cat(edges(s0, s1, weights), 1)
        (nodes * torch.linspace(-1, 1, nodes.shape[-1])).sum().backward()
        found.append((nodes, alpha.grad))
    for nodes, gradient in found[1:]:
        torch.testing.assert_close(nodes, found[0][0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-10, atol=1e-10)
    for row, edge in enumerate(sparse.edges):
        for o, op in enumerate(edge.operations):
            for p in op.parameters():
                assert (p.grad is not None) == bool(weights[row, o] == 1)
