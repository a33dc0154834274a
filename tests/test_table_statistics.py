"""The noise card and the comparison of searches, against textbook examples and brute force."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from toy_tables import SPACE, toy_table

from nasbench_ecg.statistics import holm, welch_interval
from nasbench_ecg.tables.compare import Comparison, _mann_whitney, compare
from nasbench_ecg.tables.noise import (
    _indistinct,
    intraclass,
    noise_card,
    seeds_to_see,
    tau,
    track_with_track,
)
from nasbench_ecg.tables.simulate import Simulation
from nasbench_ecg.tables.table import TableError

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Shrout, Fleiss 1979, table 2: six targets rated by four judges."""


# -- the noise card ----------------------------------------------------------------------------


def test_intraclass_correlations_are_those_of_shrout_and_fleiss():
    """Table 4 of the paper: ICC(1,1) = .17, ICC(1,4) = .44."""
    one, four = intraclass(SHROUT_FLEISS)
    assert round(one, 2) == 0.17
    assert round(four, 2) == 0.44


@given(st.integers(2, 8), st.integers(2, 5), st.integers(0, 99))
def test_the_mean_of_k_follows_from_one_by_spearman_and_brown(n, k, seed):
    one, several = intraclass(
        np.random.default_rng(seed).normal(size=(n, k)) + np.arange(n)[:, None]
    )
    assert several == pytest.approx(k * one / (1 + (k - 1) * one))


def test_intraclass_correlation_at_its_limits():
    distinct = np.repeat(np.arange(5.0)[:, None], 3, axis=1)
    assert intraclass(distinct) == (1.0, 1.0)
    assert intraclass(distinct.T[:3])[0] == pytest.approx(-0.25)  # its smallest, −1 / (k − 1)
    for undefined in (np.ones((4, 3)), np.ones((1, 3)), np.arange(4.0)[:, None]):
        assert all(map(math.isnan, intraclass(undefined)))


def test_seeds_follow_lehrs_rule():
    """Lehr 1992: 16 (sd / difference)² a side, for 80% power at 5%."""
    for ratio in (1, 2, 5):
        assert seeds_to_see(1.0, ratio) == pytest.approx(16 * ratio**2, rel=0.02)
    assert seeds_to_see(1.0, 0.01) == 2


def test_members_that_a_t_test_does_not_tell_from_the_best():
    scores = np.array([[0.90, 0.92, 0.91], [0.90, 0.91, 0.92], [0.80, 0.81, 0.82]])
    assert _indistinct(scores, 0).tolist() == [True, True, False]


def test_a_card_of_results_without_noise():
    table = toy_table(noise=1)
    card = noise_card(table)
    assert card["published"] is True
    assert card["members"] == card["of"] == SPACE.size
    for part in card["intraclass_correlation"].values():
        assert part["one_seed"] == part["three_seeds"] == pytest.approx(1)
    taus = card["kendall_tau"]
    assert taus["validation_with_test"] == pytest.approx(1)
    assert taus["seed_with_seed"] == pytest.approx(1)
    assert taus["epoch_with_last"] == {"1": pytest.approx(1)}
    assert taus["parameters_with_test"] > 0.9  # pairs of rows have one score
    assert card["regret_of_validation_winner"] == 0
    assert card["seeds_to_see_0.2_points"] == 2
    # Rows 2i and 2i + 1 have one score; the last row is alone if the number of rows is odd.
    assert card["not_told_from_best"] == 2 - SPACE.size % 2


def test_a_card_of_noise_alone_is_not_published():
    table = toy_table()
    rng = np.random.default_rng(0)
    table.arrays["confusion"][..., range(3), range(3)] = rng.integers(
        30, 60, (SPACE.size, 3, 2, 2, 1)
    )
    card = noise_card(table)
    assert abs(card["intraclass_correlation"]["all"]["one_seed"]) < 0.2
    assert card["published"] is False
    scores = table.values("test")[:, :, -1]
    assert card["test"]["best"] == pytest.approx(scores.mean(axis=1).max())
    assert card["test"]["sd_of_a_seed"] == pytest.approx(
        math.sqrt(np.mean([row.var(ddof=1) for row in scores]))
    )


def test_a_card_counts_only_members_with_all_base_seeds():
    table = toy_table(untrained=[0, 1], noise=1)
    table.trained[2, 1] = False
    card = noise_card(table)
    assert (card["members"], card["of"], card["published"]) == (SPACE.size - 3, SPACE.size, False)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_card_without_results_says_so_in_plain_json(seeds):
    table = toy_table(seeds=seeds, untrained=range(SPACE.size))
    card = noise_card(table)
    assert card == {
        "members": 0, "of": SPACE.size, "seeds": 3, "metric": "f1_of_macro", "published": False,
    }  # fmt: skip


def test_a_card_of_equal_scores_has_no_correlations():
    table = toy_table()
    table.arrays["confusion"][:] = 1
    card = noise_card(table)
    json.dumps(card, allow_nan=False)
    assert card["kendall_tau"]["validation_with_test"] is None
    assert card["published"] is False


@pytest.mark.parametrize("metric", ["nll", "f2"])
def test_a_card_is_of_a_score(metric):
    with pytest.raises(TableError, match=metric):
        noise_card(toy_table(), metric)


def test_tracks_are_compared_over_the_members_that_both_have():
    a, b = toy_table(noise=1), toy_table(noise=1, untrained=[0, 3])
    found = track_with_track({"a": a, "b": b, "c": toy_table(untrained=range(SPACE.size))})
    assert found == {("a", "b"): pytest.approx(1)}
    assert tau(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


# -- comparisons -------------------------------------------------------------------------------


def test_holms_correction_by_hand():
    """0.005·4, 0.01·3, 0.03·2, 0.04·1, each at least the one before."""
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


samples = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=12)


@given(samples, samples)
def test_superiority_is_the_share_of_pairs(a, b):
    p, superiority = _mann_whitney(np.array(a), np.array(b))
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert superiority == pytest.approx(np.mean(pairs))
    assert 0 <= p <= 1


@pytest.mark.filterwarnings("ignore:Precision loss")  # of scipy, for nearly equal samples
@given(samples, samples, st.integers(1, 9))
@settings(max_examples=50)
def test_the_interval_is_welchs_at_bonferronis_level(a, b, comparisons):
    a, b = np.array(a), np.array(b)
    found = welch_interval(a, b, comparisons=comparisons)
    if len(set(a)) == len(set(b)) == 1:
        assert found == (a.mean() - b.mean(),) * 2
        return
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(1 - 0.05 / comparisons)
    assert found == pytest.approx((interval.low, interval.high))


def searched(label, members, table):
    """Return a simulation whose repetitions evaluate the given members, in their order."""
    rows = []
    for repetition, order in enumerate(members):
        for i, member in enumerate(order, start=1):
            score = table.values("validation")[member, 0, -1]
            rows.append((repetition, i, float(i), member, 2, score))
    names = ["repetition", "evaluation", "seconds", "member", "epoch", "score"]
    found = np.array([order[-1] for order in members], dtype=np.int64)
    return Simulation(label, pd.DataFrame(rows, columns=names), found)


def test_a_comparison_by_hand():
    table = toy_table(noise=1)
    best, n = SPACE.size - 1, SPACE.size
    simulations = {
        "random": searched("random", [[i, i + 20] for i in range(12)], table),
        "good": searched("good", [[i + 20, best - i % 4] for i in range(12)], table),
        "same": searched("same", [[i, i + 20] for i in range(12)], table),
    }
    rows = compare(table, simulations, "random", [1, 2])
    assert [(row.label, row.evaluations) for row in rows] == [
        (label, budget) for budget in (1, 2) for label in simulations
    ]
    test = table.mean_test_scores()
    good = rows[4]
    expected = test[[best - i % 4 for i in range(12)]]
    assert good.mean == pytest.approx(expected.mean())
    assert good.regret == pytest.approx(np.quantile(test[n - 1] - expected, [0.25, 0.5, 0.75]))
    assert good.superiority == 1.0
    assert good.better
    same = rows[5]
    assert (same.p, same.superiority, same.better) == (1.0, 0.5, False)
    assert same.difference[0] == 0
    random = rows[3]
    assert (random.difference, random.p, random.better) == (None, None, False)


def test_a_search_that_always_finds_the_same_is_compared_too():
    table = toy_table(noise=1)
    simulations = {
        "random": searched("random", [[5]] * 4, table),
        "other": searched("other", [[5]] * 4, table),
        "best": searched("best", [[SPACE.size - 1]] * 4, table),
    }
    _, other, best = compare(table, simulations, "random", [3])
    assert other.difference == (0.0, 0.0, 0.0)
    assert (other.p, other.superiority) == (1.0, 0.5)
    assert best.superiority == 1.0
    assert not np.isnan(best.p)


def test_better_needs_both_the_interval_and_the_test():
    row = Comparison("a", 1, (0, 0, 0), 0.5, (0.1, 0.01, 0.2), 0.01, 0.9)
    assert row.better
    for changed in ({"p": 0.2}, {"difference": (0.1, -0.01, 0.2)}, {"difference": None}):
        assert not Comparison(**{**vars(row), **changed}).better
