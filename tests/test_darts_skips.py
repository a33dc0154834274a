"""Relatives that keep skips in check: DARTS+, β-DARTS, Fair DARTS and DARTS−."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from darts_relatives import CONV, OPERATIONS, SKIP, at, edges_of, prefer, random_alpha, started

from nasbench_ecg.errors import OptionError
from nasbench_ecg_darts import (
    beta_darts,
    darts_minus,
    darts_plus,
    faidarts_es,
)
from nasbench_ecg_darts.relaxation import mixing_weights

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


# -- faidarts-es --------------------------------------------------------------------------------


def test_fair_operations_do_not_compete():
    alpha = random_alpha()
    before = faidarts_es.sigmoids(alpha)["normal"].detach()
    with torch.no_grad():
        alpha["normal"][:, SKIP] += 3
    after = faidarts_es.sigmoids(alpha)["normal"].detach()
    others = [o for o in range(len(OPERATIONS)) if o != SKIP]
    assert torch.equal(after[:, others], before[:, others])
    assert (after[:, SKIP] > before[:, SKIP]).all()


def test_the_zero_one_loss_drives_sigmoids_from_a_half_to_a_decision():
    alpha = {name: torch.full((5, 3), 0.0) for name in ("normal", "reduction")}
    assert float(faidarts_es.zero_one_loss(alpha, at(0), weight=10.0)) == 0
    alpha = {name: torch.full((5, 3), 40.0) for name in alpha}
    assert float(faidarts_es.zero_one_loss(alpha, at(0), weight=10.0)) == pytest.approx(-2.5)
    alpha = random_alpha()
    loss = faidarts_es.zero_one_loss(alpha, at(0), weight=10.0)
    (gradient,) = torch.autograd.grad(loss, alpha["normal"])
    assert torch.equal(gradient < 0, alpha["normal"] > 0)


def test_edges_that_fill_a_node_up_are_counted():
    state = started("faidarts-es")
    with torch.no_grad():
        for value in state.alpha.values():
            value.fill_(-3)
    prefer(state.alpha, "normal", CONV, [0, 1, 3])
    below = faidarts_es.report(state, threshold=0.85)["edges_below_threshold"]
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
