"""Variants with other mixing weights or penalties: β-DARTS, Fair DARTS, DARTS−, DrNAS and GDAS."""

from __future__ import annotations

import math

import pytest
import torch
from darts_searches import (
    CONV,
    OPERATIONS,
    SKIP,
    edges_of,
    prefer,
    progress_at,
    random_alpha,
    started,
    take_step,
)

from nasbench_ecg.errors import OptionError
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_darts.architect import Batch, first_order, relaxed_loss
from nasbench_ecg_darts.relaxation import mixing_weights
from nasbench_ecg_darts.supernet import SuperNet
from nasbench_ecg_darts.variants import beta, drnas, fair, gdas, minus
from nasbench_ecg_darts.variants.gdas import SparseEdges

# -- beta-darts --------------------------------------------------------------------------------


def test_beta_decay_is_the_mean_log_sum_exp_with_a_weight_that_rises_from_zero():
    alpha = random_alpha()
    by_hand = sum(
        math.log(sum(math.exp(v) for v in row)) for a in alpha.values() for row in a.tolist()
    ) / sum(len(a) for a in alpha.values())
    for epoch in (0, 3, 9):
        got = beta.beta_decay(alpha, progress_at(epoch), weight_max=50.0)
        assert got.item() == pytest.approx(50 * epoch / 10 * by_hand)


def test_the_gradient_of_beta_decay_is_the_softmax_and_enters_the_step():
    alpha = random_alpha()
    got = torch.autograd.grad(
        beta.beta_decay(alpha, progress_at(10), weight_max=1.0), alpha["normal"]
    )
    torch.testing.assert_close(got[0], alpha["normal"].softmax(-1) / 10)

    grads = []
    for weight in (0.0, 1e6):
        variant, state = started("beta-darts", beta_weight=weight)
        state.epoch = 1
        take_step(variant, state)
        grads.append(state.alpha["normal"].grad)
    assert (grads[1] > 0).all() and not (grads[0] > 0).all()


# -- fair-darts ---------------------------------------------------------------------------------


def test_fair_operations_do_not_compete():
    alpha = random_alpha()
    before = fair.sigmoids(alpha)["normal"].detach()
    with torch.no_grad():
        alpha["normal"][:, SKIP] += 3
    after = fair.sigmoids(alpha)["normal"].detach()
    others = [o for o in range(len(OPERATIONS)) if o != SKIP]
    assert torch.equal(after[:, others], before[:, others])
    assert (after[:, SKIP] > before[:, SKIP]).all()


def test_the_zero_one_loss_drives_sigmoids_from_a_half_to_a_decision():
    alpha = {name: torch.full((5, 3), 0.0) for name in ("normal", "reduction")}
    assert float(fair.zero_one_loss(alpha, progress_at(0), weight=10.0)) == 0
    alpha = {name: torch.full((5, 3), 40.0) for name in alpha}
    assert float(fair.zero_one_loss(alpha, progress_at(0), weight=10.0)) == pytest.approx(-2.5)
    alpha = random_alpha()
    loss = fair.zero_one_loss(alpha, progress_at(0), weight=10.0)
    (gradient,) = torch.autograd.grad(loss, alpha["normal"])
    assert torch.equal(gradient < 0, alpha["normal"] > 0)


def test_kept_edges_below_the_threshold_are_counted():
    variant, state = started("fair-darts")
    with torch.no_grad():
        for value in state.alpha.values():
            value.fill_(-3)
    prefer(state.alpha, "normal", state.space.operations.index("conv-3"), [0, 1, 3])
    below = fair.edges_below_threshold(state, threshold=0.85)["edges_below_threshold"]
    assert below == {"normal": 1, "reduction": 4}
    assert 1 in [edge.source for edge in variant.derive(state).normal[1]]


# -- darts-minus -------------------------------------------------------------------------------


def test_the_auxiliary_skip_fades_out_and_does_not_affect_the_cell():
    alpha = random_alpha()
    plain = mixing_weights(alpha)["normal"]
    for epoch, added_weight in ((0, 1.0), (5, 0.5), (10, 0.0)):
        added = minus.mix(alpha, progress_at(epoch), skip_weight=1.0)["normal"] - plain
        assert added[:, SKIP].tolist() == pytest.approx([added_weight] * 5)
        added[:, SKIP] = 0
        assert not added.any()
    variant, state = started("darts-minus")
    prefer(state.alpha, "normal", CONV, range(5))
    assert {e.operation for node in variant.derive(state).normal for e in node} == {"conv-3"}


def test_the_auxiliary_skip_adds_the_state_itself_to_every_edge():
    plain, _ = edges_of(OPERATIONS, 2, 2, 0)
    s0, s1 = torch.randn(2, 4, 2, 1, 12, dtype=torch.float64).unbind(0)
    alpha = random_alpha()
    weights = mixing_weights(alpha)["normal"]
    n0 = sum(plain.edges[e](s, weights[e]) + 0.7 * s for e, s in ((0, s0), (1, s1)))
    n1 = sum(plain.edges[e](s, weights[e]) + 0.7 * s for e, s in ((2, s0), (3, s1), (4, n0)))
    got = plain(s0, s1, minus.mix(alpha, progress_at(3), skip_weight=1.0)["normal"])
    torch.testing.assert_close(torch.cat(got, 1), torch.cat([n0, n1], 1))


def test_darts_minus_requires_a_skip():
    with pytest.raises(OptionError, match="'skip'"):
        minus.mix(random_alpha(), progress_at(0, operations=("none", "conv-3")), skip_weight=1.0)


# -- drnas -------------------------------------------------------------------------------------


def test_dirichlet_samples_are_mixtures_around_their_mean_with_a_gradient():
    alpha = {"normal": torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)}
    beta = torch.tensor([3.0, 1.0, math.exp(-1)])  # elu(x) + 1 is x + 1 above 0, exp(x) below
    torch.testing.assert_close(drnas.means(alpha)["normal"][0], beta / beta.sum())
    with seeded(0):
        draws = torch.cat([drnas.sample(alpha, progress_at(0))["normal"] for _ in range(4000)])
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
        assert float(
            drnas.distance(nothing, progress_at(0), kind=kind, scale=1.0)
        ) == pytest.approx(0)
    every = torch.cat(list(alpha.values())).detach()
    assert drnas.distance(alpha, progress_at(0), kind="l2", scale=0.2).item() == pytest.approx(
        0.1 * float((every**2).sum())
    )
    b = torch.where(every > 0, every + 1, every.exp())
    total = b.sum(-1)
    divergence = (
        total.lgamma() - b.lgamma().sum(-1) - math.lgamma(4)
        + ((b - 1) * (b.digamma() - total.digamma().unsqueeze(-1))).sum(-1)
    )  # fmt: skip
    assert drnas.distance(alpha, progress_at(0), kind="kl", scale=1.0).item() == pytest.approx(
        float(divergence.sum())
    )


# -- gdas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [10.0, 0.1])
def test_operations_are_drawn_with_their_softmax_probability_at_any_temperature(tau):
    alpha = torch.tensor([[1.0, 0.0, -1.0]]).repeat(4000, 1)
    with seeded(0):
        drawn = gdas.gumbel_softmax(alpha, tau)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.sum(1), torch.ones(4000))
    torch.testing.assert_close(drawn.mean(0), alpha[0].softmax(0), atol=0.03, rtol=0)


def test_the_temperature_falls_linearly_from_the_first_to_the_last_epoch():
    falls = [gdas.temperature(progress_at(e, 5), first=10.0, last=0.1) for e in range(5)]
    assert falls == pytest.approx([10, 7.525, 5.05, 2.575, 0.1])
    assert gdas.temperature(progress_at(0, 1), first=10.0, last=0.1) == 10


def test_the_gradient_is_that_of_the_soft_sample_through_the_drawn_operation():
    alpha = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    outputs = torch.randn(6, 4, dtype=torch.float64)
    with seeded(3):
        drawn = gdas.gumbel_softmax(alpha, 2.0)
    (got,) = torch.autograd.grad((drawn * outputs).sum(), alpha)
    with seeded(3):
        gumbel = -torch.empty(6, 4).exponential_().log().double()
    soft = ((alpha.log_softmax(-1) + gumbel) / 2.0).softmax(-1)
    assert torch.equal(drawn.argmax(-1), soft.argmax(-1))
    (expected,) = torch.autograd.grad((soft * drawn.detach() * outputs).sum(), alpha)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("cell", [0, 1])
def test_operations_not_drawn_are_not_computed_and_all_forms_agree(cell):
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
            weights = gdas.gumbel_softmax(alpha, 1.0)
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


def test_a_cell_that_no_path_leads_from_has_a_gradient_of_zero():
    """The reduction cells draw ``none`` everywhere, so the loss does not see the normal cell."""
    operations = ("none", "skip")
    torch.manual_seed(0)
    net = SuperNet(
        SparseEdges, operations=operations, nodes=1, cells=3, channels=2, stem_filters=2,
        n_leads=1, n_classes=3,
    )  # fmt: skip
    alpha = random_alpha(nodes=1, columns=2, dtype=torch.float32)
    batch = Batch(torch.randn(4, 1, 40), torch.tensor([0, 1, 2, 0]))

    def draw(alpha):
        drawn = {"normal": torch.tensor([0.0, 1.0]), "reduction": torch.tensor([1.0, 0.0])}
        return {name: drawn[name] * (1 + a - a.detach()) for name, a in alpha.items()}

    loss, _ = relaxed_loss(net, alpha, batch, "float32", draw)
    normal, reduction = first_order(loss, alpha)
    assert normal.shape == alpha["normal"].shape
    assert normal.abs().sum() == reduction.abs().sum() == 0
