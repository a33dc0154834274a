"""The relatives of DARTS: the one idea of each, and that all resume exactly."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from functools import cache, partial

import pytest
import torch
from test_darts import QUICK, SPACE, context, task_of
from torch.nn.functional import cross_entropy

from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts import (
    beta_darts,
    darts_minus,
    darts_plus,
    darts_pt,
    drnas,
    fair_darts,
    family,
    gdas,
    nasbench_ecg_strategies,
    pc_darts,
    perturbation,
    r_darts,
)
from nasbench_ecg_darts.bilevel import Batch, first_order, pure_loss, relaxed_loss
from nasbench_ecg_darts.convert import plain_to_merged
from nasbench_ecg_darts.hessian import alpha_eigenvalue, dominant_eigenvalue
from nasbench_ecg_darts.merged import MergedEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.partial import PartialEdges
from nasbench_ecg_darts.relaxation import mixing_weights
from nasbench_ecg_darts.rollback import alpha_of_epoch
from nasbench_ecg_darts.sparse import SparseEdges
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.strategy import Darts
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet, edge_index, n_edges
from nasbench_ecg_darts.variant import Moment

OPERATIONS = SPACE.operations
SKIP, CONV = OPERATIONS.index("skip"), OPERATIONS.index("conv-3")
RELATIVES = {
    "darts": (Darts, DartsOptions, {}),
    "pc-darts": (
        pc_darts.pc_darts,
        family.PcDartsOptions,
        {"channels": 4, "partial_channels": 2, "warmup_epochs": 0},
    ),
    "darts-plus": (darts_plus.darts_plus, family.DartsPlusOptions, {}),
    "beta-darts": (beta_darts.beta_darts, family.BetaDartsOptions, {}),
    "fair-darts": (fair_darts.fair_darts, family.FairDartsOptions, {}),
    "darts-minus": (darts_minus.darts_minus, family.DartsMinusOptions, {}),
    "drnas": (drnas.drnas, family.DrnasOptions, {"warmup_epochs": 0}),
    "gdas": (gdas.gdas, family.GdasOptions, {}),
    "darts-pt": (
        darts_pt.darts_pt,
        family.DartsPtOptions,
        {"tune_epochs": 0.5, "projection_beats": 20},
    ),
    "r-darts": (
        r_darts.r_darts,
        family.RDartsOptions,
        {"window": 1, "lag": 1, "start_epoch": 0, "ratio": 0.99},
    ),
}


def relative(name, **changes):
    make, model, options = RELATIVES[name]
    return make(model(**{**QUICK, "epochs": 2, "beats": 40, **options, **changes}))


def search(name, *, checkpoint=None, progress=None, **changes):
    """Return (result, trajectory without seconds)."""
    strategy, task = relative(name, **changes), task_of()
    ctx = context(task, progress=progress)
    if checkpoint is not None:
        ctx.checkpoint = FileCheckpoint(
            checkpoint, interval=0, extra=ctx.state, restore_extra=ctx.restore
        )
    with seeded(0):
        result = strategy.search(task, SPACE, ctx.builder, ctx)
    return result, [{k: v for k, v in p.items() if k != "seconds"} for p in ctx.trajectory]


@cache
def found(name):
    """Return the result and the trajectory of one uninterrupted search."""
    return search(name, epochs=3 if name == "r-darts" else 2)


def started(name, **changes):
    """Return the state of a search before its first step."""
    strategy, task = relative(name, **changes), task_of()
    with seeded(0):
        return SearchState.start(strategy.options, task, SPACE, context(task), strategy.variant)


def random_alpha(nodes=2, columns=5, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_edges(nodes), columns, generator=generator).to(dtype).requires_grad_()
        for name in ("normal", "reduction")
    }


def at(epoch, epochs=10, memory=None, operations=OPERATIONS):
    return Moment(epoch, epochs, operations, memory or {})


def prefer(alpha, cell, operation, edges):
    """Make ``operation`` by far the strongest on some edges of a cell."""
    with torch.no_grad():
        alpha[cell][list(edges), operation] = 5.0


# -- all of them -------------------------------------------------------------------------------


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
@pytest.mark.parametrize("profile", ["paper", "cpu", "quick", "smoke"])
def test_every_profile_is_allowed(name, profile):
    options = resolve(RELATIVES[name][1], component=f"strategy {name}", profile=profile)
    assert options.warmup_epochs < options.epochs


def test_defaults_are_those_of_the_methods_papers():
    pc, pt, stop = family.PcDartsOptions(), family.DartsPtOptions(), family.RDartsOptions()
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


@pytest.mark.parametrize("name", ["pc-darts", "darts-plus", "drnas", "gdas", "darts-pt", "r-darts"])
def test_a_search_that_is_stopped_again_and_again_ends_as_if_it_had_not_been(name, tmp_path):
    epochs = 3 if name == "r-darts" else 2
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


# -- pc-darts ----------------------------------------------------------------------------------


def edges_of(operations, nodes, channels, cell):
    """Return plain and merged edges of a normal (0) or reduction (1) cell with equal weights."""
    made = []
    for edges, seed in ((PlainEdges, 0), (MergedEdges, 1)):
        torch.manual_seed(seed)
        net = SuperNet(
            edges, operations=operations, nodes=nodes, cells=3, channels=channels,
            stem_filters=4, n_leads=2, n_classes=3,
        )  # fmt: skip
        made.append(net.double())
    plain_to_merged(*made)
    return [net.cells[cell].edges for net in made]


def partial_reference(plain, s0, s1, weights, share, *, reduction):
    """Return the nodes as Xu et al. write them: mask, mix, bypass, concatenate and shuffle."""
    active = s0.shape[1] // share
    order = [group * active + c for c in range(active) for group in range(share)]
    states = [s0, s1]
    for node in range(plain.nodes):
        total = 0
        for source in range(node + 2):
            row, x = edge_index(node, source), states[source]
            bypass = x[:, active:]
            if reduction and source < 2:
                odd = bypass[..., 1::2]
                pad = bypass.shape[-1] % 2
                odd = torch.cat([odd, bypass[..., -1:]], -1) if pad else odd
                bypass = torch.maximum(bypass[..., ::2], odd)
            alpha, beta = weights[row, :-1], weights[row, -1]
            mixed = sum(
                a * op(x[:, :active])
                for a, op in zip(alpha, plain.edges[row].operations, strict=True)
            )
            total = total + beta * torch.cat([mixed, bypass], 1)[:, order]
        states.append(total)
    return states[2:]


@pytest.mark.parametrize("cell", [0, 1])
@pytest.mark.parametrize("length", [20, 13])
@pytest.mark.parametrize("share", [2, 4])
def test_partial_channels_are_what_their_paper_says(cell, length, share):
    active = 2 if cell == 0 else 4
    plain, merged = edges_of(OPERATIONS, 3, 2, cell)
    ours = PartialEdges(OPERATIONS, 3, active * share, reduction=cell == 1, share=share).double()
    ours.load_state_dict(merged.state_dict())
    torch.manual_seed(2)
    s0, s1 = torch.randn(2, 5, active * share, 1, length, dtype=torch.float64).unbind(0)
    alpha, other = random_alpha(3, len(OPERATIONS) + 1), random_alpha(3, len(OPERATIONS) + 1)
    got = ours(s0, s1, pc_darts.mix(alpha, at(0))["normal"])

    beta = other["normal"][:, -1]
    sums = torch.cat([b.softmax(0) for b in beta.split([2, 3, 4])]).unsqueeze(1)
    weights = torch.cat([other["normal"][:, :-1].softmax(-1), sums], 1)
    expected = partial_reference(plain, s0, s1, weights, share, reduction=cell == 1)
    coefficients = torch.randn_like(torch.cat(expected, 1))
    for nodes in (got, expected):
        (torch.cat(nodes, 1) * coefficients).sum().backward()
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(alpha["normal"].grad, other["normal"].grad, rtol=1e-10, atol=1e-10)


def test_edge_normalisation_shares_a_node_among_its_edges_and_decides_between_them():
    alpha = random_alpha(4, len(OPERATIONS) + 1)
    strengths = pc_darts.strengths(alpha)["normal"]
    torch.testing.assert_close(
        torch.stack([part.sum() for part in strengths.split([2, 3, 4, 5])]),
        torch.ones(4, dtype=torch.float64),
    )
    state = started("pc-darts")
    with torch.no_grad():
        state.alpha["normal"].zero_()
        state.alpha["normal"][[edge_index(1, 0), edge_index(1, 2)], -1] = 1.0
    assert [edge.source for edge in state.genotype().normal[1]] == [0, 2]


def test_beta_learns_with_alpha_and_a_k_th_of_the_weights_remains():
    state = started("pc-darts")
    before = {name: value.detach().clone() for name, value in state.alpha.items()}
    state.step(next(state.remaining()), with_alpha=True)
    assert all((state.alpha[n][:, -1] != before[n][:, -1]).any() for n in before)
    full = MergedEdges(OPERATIONS, 2, 8, reduction=False)
    part = PartialEdges(OPERATIONS, 2, 8, reduction=False, share=4)
    count = [sum(p.numel() for p in m.parameters()) for m in (full, part)]
    assert count[0] == 16 * count[1]


@pytest.mark.parametrize("channels", [6, 4])
def test_channels_must_be_divisible(channels):
    with pytest.raises(OptionError, match="multiple of partial_channels"):
        resolve(
            family.PcDartsOptions, component="strategy pc-darts", overrides={"channels": channels}
        )


# -- darts-plus --------------------------------------------------------------------------------


def test_darts_plus_stops_at_the_third_skip_and_goes_back_to_the_last_alpha_with_two():
    state = started("darts-plus")
    after = partial(darts_plus.after_epoch, max_skips=2)
    prefer(state.alpha, "normal", CONV, range(5))
    state.epoch = 1
    assert not after(state, {})
    prefer(state.alpha, "normal", SKIP, [0, 1])
    with torch.no_grad():
        state.alpha["normal"][[0, 1], CONV] = 0
    state.epoch = 2
    assert darts_plus.skips(state) == 2 and not after(state, {})
    with_two = state.alpha["normal"].detach().clone()
    with torch.no_grad():
        state.alpha["normal"][2:, CONV] = 0
    prefer(state.alpha, "normal", SKIP, [2, 3])
    state.epoch = 3
    assert darts_plus.skips(state) == 4 and after(state, {})
    assert torch.equal(state.alpha["normal"], with_two)
    assert darts_plus.report(state) == {"normal_skips": 2, "alpha_of_epoch": 2}


def test_skips_of_the_reduction_cell_and_of_the_warm_up_count_for_nothing():
    state = started("darts-plus", warmup_epochs=1)
    prefer(state.alpha, "normal", SKIP, range(5))
    state.epoch = 1
    assert not darts_plus.after_epoch(state, {}, max_skips=2)
    state = started("darts-plus")
    prefer(state.alpha, "normal", CONV, range(5))
    prefer(state.alpha, "reduction", SKIP, range(5))
    state.epoch = 1
    assert not darts_plus.after_epoch(state, {}, max_skips=2)


# -- beta-darts --------------------------------------------------------------------------------


def test_beta_decay_is_the_mean_log_sum_exp_with_a_weight_that_rises_from_zero():
    alpha = random_alpha()
    by_hand = sum(
        math.log(sum(math.exp(v) for v in row)) for a in alpha.values() for row in a.tolist()
    ) / sum(len(a) for a in alpha.values())
    for epoch in (0, 3, 9):
        got = beta_darts.penalty(alpha, at(epoch), weight_max=50.0)
        assert got.item() == pytest.approx(50 * epoch / 10 * by_hand)


def test_beta_decay_draws_alpha_down_in_proportion_to_its_softmax_and_enters_the_step():
    alpha = random_alpha()
    got = torch.autograd.grad(beta_darts.penalty(alpha, at(10), weight_max=1.0), alpha["normal"])
    torch.testing.assert_close(got[0], alpha["normal"].softmax(-1) / 10)

    grads = []
    for weight in (0.0, 1e6):
        state = started("beta-darts", beta_weight=weight)
        state.epoch = 1
        state.step(next(state.remaining()), with_alpha=True)
        grads.append(state.alpha["normal"].grad)
    assert (grads[1] > 0).all() and not (grads[0] > 0).all()


# -- fair-darts --------------------------------------------------------------------------------


def test_fair_operations_do_not_compete():
    alpha = random_alpha()
    before = fair_darts.sigmoids(alpha)["normal"].detach()
    with torch.no_grad():
        alpha["normal"][:, SKIP] += 3
    after = fair_darts.sigmoids(alpha)["normal"].detach()
    others = [o for o in range(len(OPERATIONS)) if o != SKIP]
    assert torch.equal(after[:, others], before[:, others])
    assert (after[:, SKIP] > before[:, SKIP]).all()


def test_the_zero_one_loss_drives_sigmoids_from_a_half_to_a_decision():
    alpha = {name: torch.full((5, 3), 0.0) for name in ("normal", "reduction")}
    assert float(fair_darts.zero_one_loss(alpha, at(0), weight=10.0)) == 0
    alpha = {name: torch.full((5, 3), 40.0) for name in alpha}
    assert float(fair_darts.zero_one_loss(alpha, at(0), weight=10.0)) == pytest.approx(-2.5)
    alpha = random_alpha()
    loss = fair_darts.zero_one_loss(alpha, at(0), weight=10.0)
    (gradient,) = torch.autograd.grad(loss, alpha["normal"])
    assert torch.equal(gradient < 0, alpha["normal"] > 0)


def test_edges_that_fill_a_node_up_are_counted():
    state = started("fair-darts")
    with torch.no_grad():
        for value in state.alpha.values():
            value.fill_(-3)
    prefer(state.alpha, "normal", CONV, [0, 1, 3])
    below = fair_darts.report(state, threshold=0.85)["edges_below_threshold"]
    assert below == {"normal": 1, "reduction": 4}
    assert 1 in [edge.source for edge in state.genotype().normal[1]]


# -- darts-minus -------------------------------------------------------------------------------


def test_the_auxiliary_skip_fades_out_and_has_no_say_in_the_cell():
    alpha = random_alpha()
    plain = mixing_weights(alpha)["normal"]
    for epoch, beta in ((0, 1.0), (5, 0.5), (10, 0.0)):
        added = darts_minus.mix(alpha, at(epoch), skip_weight=1.0)["normal"] - plain
        assert added[:, SKIP].tolist() == pytest.approx([beta] * 5)
        added[:, SKIP] = 0
        assert not added.any()
    state = started("darts-minus")
    prefer(state.alpha, "normal", CONV, range(5))
    assert {e.operation for node in state.genotype().normal for e in node} == {"conv-3"}


def test_the_auxiliary_skip_adds_the_state_itself_to_every_edge():
    plain, _ = edges_of(OPERATIONS, 2, 2, 0)
    s0, s1 = torch.randn(2, 4, 2, 1, 12, dtype=torch.float64).unbind(0)
    alpha = random_alpha()
    weights = mixing_weights(alpha)["normal"]
    n0 = sum(plain.edges[e](s, weights[e]) + 0.7 * s for e, s in ((0, s0), (1, s1)))
    n1 = sum(plain.edges[e](s, weights[e]) + 0.7 * s for e, s in ((2, s0), (3, s1), (4, n0)))
    got = plain(s0, s1, darts_minus.mix(alpha, at(3), skip_weight=1.0)["normal"])
    torch.testing.assert_close(torch.cat(got, 1), torch.cat([n0, n1], 1))


def test_darts_minus_asks_for_a_skip():
    with pytest.raises(OptionError, match="'skip'"):
        darts_minus.mix(random_alpha(), at(0, operations=("none", "conv-3")), skip_weight=1.0)


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


# -- darts-pt ----------------------------------------------------------------------------------


def worth(table):
    """Return a score that loses what ``table`` says for every weight that is gone."""

    def score(state, weights, beats):
        lost = sum(v for (cell, row, o), v in table.items() if weights[cell][row, o] == 0)
        return -float(lost), 0.0

    return score


def test_the_operation_that_is_missed_most_is_chosen_whatever_alpha_says(monkeypatch):
    state = started("darts-pt")
    prefer(state.alpha, "normal", SKIP, [0])
    darts_pt._prepare(state)
    monkeypatch.setattr(
        perturbation, "score", worth({("normal", 0, CONV): 0.3, ("normal", 0, SKIP): 0.1})
    )
    with torch.no_grad():
        perturbation.choose_operation(state, "normal", 0, None)
    weights = state.mix(state.alpha)["normal"]
    assert weights[0].tolist() == [float(o == CONV) for o in range(len(OPERATIONS))]
    torch.testing.assert_close(weights[1:], mixing_weights(state.alpha)["normal"][1:])
    assert state.genotype().normal[0][0].operation == "conv-3"


def test_a_removal_sets_one_weight_to_zero_and_none_is_never_tried(monkeypatch):
    state = started("darts-pt")
    darts_pt._prepare(state)
    expected = mixing_weights(state.alpha)
    tried = []

    def score(state, weights, beats):
        gone = (weights["normal"] == 0).nonzero().tolist()
        kept = weights["normal"] != 0
        assert torch.equal(weights["normal"][kept], expected["normal"][kept])
        assert torch.equal(weights["reduction"], expected["reduction"])
        tried.extend(map(tuple, gone))
        return 0.0, 0.0

    monkeypatch.setattr(perturbation, "score", score)
    with torch.no_grad():
        perturbation.choose_operation(state, "normal", 3, None)
    assert tried == [(3, o) for o, name in enumerate(OPERATIONS) if name != "none"]


def test_the_edges_that_are_missed_most_stay(monkeypatch):
    state = started("darts-pt", projection_beats=None)
    darts_pt._prepare(state)
    edges = [edge_index(1, source) for source in range(3)]
    for row in edges:
        state.memory["chosen"]["normal"][row, CONV] = 1
        state.memory["decided"]["normal"][row] = True
    missed = {("normal", row, CONV): v for row, v in zip(edges, (0.5, 0.1, 0.4), strict=True)}
    monkeypatch.setattr(perturbation, "score", worth(missed))
    with torch.no_grad():
        perturbation.choose_edges(state, "normal", 1, None)
    assert [edge.source for edge in state.genotype().normal[1]] == [0, 2]
    assert not state.mix(state.alpha)["normal"][edges[1]].any()


def test_the_score_is_the_accuracy_and_loss_of_the_relaxed_network_and_leaves_it_alone():
    state = started("darts-pt")
    before = copy.deepcopy(state.net.state_dict())
    weights = mixing_weights(state.alpha)
    with torch.no_grad():
        accuracy, negative_loss = perturbation.score(state, weights, 20)
        probe = state.probe(20)
        for name, value in state.net.state_dict().items():
            assert torch.equal(value, before[name])
        logits = state.net(probe.x, weights)
    assert accuracy == pytest.approx(float((logits.argmax(1) == probe.y).float().mean()))
    assert -negative_loss == pytest.approx(float(cross_entropy(logits, probe.y)), rel=1e-5)


def test_all_edges_are_decided_in_turn_and_the_cells_are_the_decisions():
    result, trajectory = found("darts-pt")
    # Two nodes: five edges and one node with more than two; tuning lies between the decisions.
    assert darts_pt.decisions(SPACE) == 6
    assert len(trajectory) == 2 + 5
    genotype = Genotype.from_architecture(result.architecture)
    assert len(genotype.normal) == 2


def test_without_time_for_decisions_alpha_stands_in():
    state = started("darts-pt")
    prefer(state.alpha, "normal", CONV, range(5))
    assert {e.operation for node in state.genotype().normal for e in node} == {"conv-3"}


# -- r-darts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eigenvalues", "risen"),
    [
        ([1, 1, 1], False),  # not yet two windows
        ([1, 1, 1, 1], False),
        ([1, 1, 1.2, 1.2], False),
        ([0.9, 0.9, 1.2, 1.2], False),  # exactly 0.75
        ([0.9, 0.9, 1.2, 1.3], True),
        ([9, 9, 1, 1, 2, 2], True),  # what was before the windows does not count
        ([2, 2, 1, 1], False),
        ([-1, -1, 1, 1], True),
        ([1, 1, -1, -1], False),
        ([1, 1, 1, 3, 0.1, 1], False),  # a single peak within one window is averaged out
    ],
)
def test_a_rise_is_of_averages_and_by_a_third(eigenvalues, risen):
    assert r_darts.has_risen(eigenvalues, window=2, lag=2, ratio=0.75) is risen


def test_r_darts_returns_the_alpha_from_before_the_rise():
    state = started("r-darts", window=1, lag=2, ratio=0.75, epochs=10)
    options = state.options
    snapshots = []
    for epoch, eigenvalue in enumerate([1.0, 1.0, 1.1, 1.2, 5.0], start=1):
        with torch.no_grad():
            state.alpha["normal"].add_(1)
        snapshots.append(state.alpha["normal"].detach().clone())
        state.epoch = epoch
        stop = r_darts.after_epoch(state, {"hessian_eigenvalue": eigenvalue}, options=options)
        assert stop is (epoch == 5)
    assert torch.equal(state.alpha["normal"], snapshots[2])
    assert alpha_of_epoch(state) == 3


def test_r_darts_waits_for_its_first_epochs():
    state = started("r-darts", start_epoch=4, epochs=10)
    for epoch, eigenvalue in enumerate([1.0, 9.0, 99.0, 999.0, 9999.0], start=1):
        state.epoch = epoch
        stop = r_darts.after_epoch(state, {"hessian_eigenvalue": eigenvalue}, options=state.options)
        assert stop is (epoch == 5)


# -- the eigenvalue ----------------------------------------------------------------------------


def test_the_dominant_eigenvalue_of_a_quadratic_is_its_largest_and_not_its_most_negative():
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))
    values = torch.linspace(-9, 1, 30, dtype=torch.float64)
    values[7] = 4.0
    matrix = basis @ torch.diag(values) @ basis.T

    def quadratic(x):
        return x @ matrix @ x / 2 + x.sum()

    at = torch.randn(30, dtype=torch.float64)
    assert dominant_eigenvalue(quadratic, at, products=30) == pytest.approx(4, rel=1e-9)
    assert dominant_eigenvalue(quadratic, at, products=12) == pytest.approx(4, rel=0.02)
    flat = dominant_eigenvalue(lambda x: (x * x).sum(), at, products=30)
    assert flat == pytest.approx(2, rel=1e-12)


def test_the_eigenvalue_is_that_of_the_whole_hessian_of_alpha():
    torch.manual_seed(0)
    net = SuperNet(
        MergedEdges, operations=OPERATIONS, nodes=2, cells=3, channels=2, stem_filters=4,
        n_leads=2, n_classes=3,
    ).double()  # fmt: skip
    data = task_of().validation
    batch = Batch(torch.tensor(data.signals[:16]).double(), torch.tensor(data.labels[:16]))
    weights = {name: p.detach() for name, p in net.named_parameters()}
    buffers = {name: b.clone() for name, b in net.named_buffers()}

    def loss(flat):
        parts = zip(("normal", "reduction"), flat.view(2, 5, -1), strict=True)
        logits = torch.func.functional_call(
            net, {**weights, **buffers}, (batch.x, mixing_weights(dict(parts)))
        )
        return cross_entropy(logits, batch.y)

    at = torch.randn(2 * 5 * len(OPERATIONS), dtype=torch.float64)
    matrix = torch.autograd.functional.hessian(loss, at)
    largest = float(torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])
    assert largest > 0
    assert dominant_eigenvalue(loss, at, products=50) == pytest.approx(largest, rel=1e-8)
    assert 0.7 * largest < dominant_eigenvalue(loss, at) <= largest * (1 + 1e-9)


def test_the_eigenvalue_is_of_the_validation_loss_and_changes_nothing():
    state = started("darts")
    before = copy.deepcopy(state.snapshot())
    random = torch.get_rng_state()
    value = alpha_eigenvalue(state)
    assert torch.equal(torch.get_rng_state(), random)
    after = state.snapshot()
    assert torch.equal(after["generator"], before["generator"])
    assert all(torch.equal(after["net"][name], v) for name, v in before["net"].items())
    assert all(p.grad is None for p in state.net.parameters())
    assert all(a.grad is None for a in state.alpha.values())

    loss = pure_loss(state.net, "float32")
    weights = {name: p.detach() for name, p in state.net.named_parameters()}
    at = torch.cat([a.detach().ravel() for a in state.alpha.values()])

    def of(flat):
        parts = dict(zip(state.alpha, flat.view(2, 5, -1), strict=True))
        return loss(weights, parts, state.probe(16))

    matrix = torch.autograd.functional.hessian(of, at)
    largest = float(torch.linalg.eigvalsh((matrix + matrix.T).double() / 2)[-1])
    assert 0.7 * largest < value < 1.01 * largest


def test_watching_the_eigenvalue_changes_neither_result_nor_run_key():
    watched, points = found("darts")
    blind, others = search("darts", hessian_eigenvalue=False)
    assert watched == blind
    assert [{k: v for k, v in p.items() if k != "hessian_eigenvalue"} for p in points] == others
    for model in (DartsOptions, family.RDartsOptions):
        assert "hessian_eigenvalue" not in model().model_dump(mode="json")


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
    state = started("fair-darts")
    train, validation = next(state.remaining())
    loss, _ = relaxed_loss(
        copy.deepcopy(state.net), state.alpha, validation, "float32", fair_darts.sigmoids
    )
    penalty = fair_darts.zero_one_loss(state.alpha, at(0), weight=10.0)
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
