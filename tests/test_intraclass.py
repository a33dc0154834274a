"""Intraclass correlations and their intervals, against textbook examples and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tables import toy_table

from nasbench_ecg.tables.intraclass import (
    consistency,
    consistency_interval,
    intraclass,
    intraclass_interval,
    of_mean,
    variance_components,
)
from nasbench_ecg.tables.noise import _indistinct, noise_card

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Shrout, Fleiss 1979, table 2: six targets rated by four judges."""


def test_correlations_are_those_of_shrout_and_fleiss():
    """Table 4 of the paper: ICC(2,1) = .29, ICC(2,4) = .62, ICC(3,1) = .71, ICC(3,4) = .91."""
    found = (*intraclass(SHROUT_FLEISS), *consistency(SHROUT_FLEISS))
    assert [round(value, 2) for value in found] == [0.29, 0.62, 0.71, 0.91]


def test_components_are_those_of_the_mean_squares_of_shrout_and_fleiss():
    """Table 3: mean squares 11.24 of targets, 32.49 of judges, 1.02 of the rest, 15 df."""
    found = variance_components(SHROUT_FLEISS)
    expected = ((11.24 - 1.02) / 4, (32.49 - 1.02) / 6, 1.02)
    assert (found.members, found.seeds, found.rest) == pytest.approx(expected, abs=0.01)
    assert found.freedom == 15
    assert found.of_a_seed == pytest.approx(SHROUT_FLEISS.var(axis=1, ddof=1).mean())


def test_the_interval_of_the_consistency_is_that_of_psych():
    """R's psych::ICC on the same ratings: ICC3 0.342 to 0.95, ICC3k 0.676 to 0.99."""
    low, high = consistency_interval(SHROUT_FLEISS)
    assert (round(low, 3), round(high, 2)) == (0.342, 0.95)
    assert (round(of_mean(low, 4), 3), round(of_mean(high, 4), 2)) == (0.676, 0.99)
    assert of_mean(-1 / 3, 4) == -math.inf


def test_seeds_without_a_common_effect_are_those_of_a_one_way_model():
    """The order of the ratings of a target means nothing there, so psych::ICC1 stays the same."""
    orders = [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2), (0, 2, 1, 3), (3, 1, 2, 0)]
    nested = np.array([np.sort(r)[list(o)] for r, o in zip(SHROUT_FLEISS, orders, strict=True)])
    found = variance_components(nested)
    assert (found.seeds, found.freedom) == (0, 18)
    # ICC(1,1) = .17, ICC(1,4) = .44 (Shrout and Fleiss, table 4); psych: −0.133 to 0.72
    assert [round(value, 2) for value in intraclass(nested)] == [0.17, 0.44]
    low, high = intraclass_interval(nested)
    assert (round(low, 3), round(high, 2)) == (-0.133, 0.72)


@pytest.mark.parametrize(("common", "members"), [(0.0, 80), (2.3, 80), (2.3, 1935)])
def test_intervals_cover_with_and_without_an_effect_of_the_seed_on_all_members(common, members):
    """The components of mitbih-2lead-context; 95% ± 4 standard errors of 400 tables."""
    rng = np.random.default_rng(members)
    tables, covered = 400, np.zeros(3)
    for _ in range(tables):
        effects = rng.normal(0, common, 3)
        scores = rng.normal(0, 7.1, (members, 1)) + effects + rng.normal(0, 4.2, (members, 3))
        here = 7.1**2 / (7.1**2 + effects.var(ddof=1) + 4.2**2)
        elsewhere = 7.1**2 / (7.1**2 + common**2 + 4.2**2)
        at_equal_seeds = 7.1**2 / (7.1**2 + 4.2**2)
        low, high = intraclass_interval(scores)
        covered += [low <= here <= high, 0, low <= elsewhere <= high]
        low, high = consistency_interval(scores)
        covered[1] += low <= at_equal_seeds <= high
    assert covered[:2] / tables == pytest.approx(0.95, abs=0.044)
    if common and members > 1000:  # why the first one says nothing of other seeds
        assert covered[2] / tables < 0.4


@given(st.integers(2, 8), st.integers(2, 5), st.integers(0, 99))
def test_the_mean_of_k_follows_from_one_by_spearman_and_brown(n, k, seed):
    scores = np.random.default_rng(seed).normal(size=(n, k)) + np.arange(n)[:, None]
    for correlation in (intraclass, consistency):
        one, several = correlation(scores)
        rest = 1 + (k - 1) * one
        assert several == (pytest.approx(k * one / rest) if rest > 0 else -math.inf)


@given(st.integers(3, 8), st.integers(2, 5), st.integers(0, 99))
def test_an_effect_of_the_seed_on_all_members_changes_agreement_only(n, k, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k)) + np.arange(n)[:, None]
    shifted = scores + 9 * np.arange(k)
    assert consistency(shifted) == pytest.approx(consistency(scores))
    assert consistency_interval(shifted) == pytest.approx(consistency_interval(scores))
    assert abs(intraclass(shifted)[0]) < abs(consistency(shifted)[0])
    assert (_indistinct(shifted, n - 1) == _indistinct(scores + 5 * np.arange(k), n - 1)).all()


def test_correlations_at_their_limits():
    distinct = np.repeat(np.arange(5.0)[:, None], 3, axis=1)
    assert intraclass(distinct) == consistency(distinct) == (1.0, 1.0)
    assert intraclass_interval(distinct) == consistency_interval(distinct) == (1.0, 1.0)
    # members alike, and one effect of each seed
    assert intraclass(distinct.T) == pytest.approx((0, 0))
    assert all(map(math.isnan, consistency(distinct.T)))
    assert consistency_interval(distinct.T) is None
    # a shift by the seed alone leaves the ranking whole
    shifted = distinct + np.array([0.0, 5.0, 9.0])
    assert consistency(shifted) == (1.0, 1.0)
    assert intraclass(shifted)[0] == pytest.approx(2.5 / (2.5 + np.var([0, 5, 9], ddof=1)))
    for undefined in (np.ones((4, 3)), np.ones((1, 3)), np.arange(4.0)[:, None]):
        for correlation in (intraclass, consistency):
            assert all(map(math.isnan, correlation(undefined)))
        assert intraclass_interval(undefined) is None is consistency_interval(undefined)


def test_a_card_has_both_correlations_and_both_parts_of_the_seed():
    table = toy_table()
    card = noise_card(table)
    scores = table.values("test")[:, :, -1]
    parts = variance_components(scores)
    assert card["test"]["sd_common_to_all_members"] == pytest.approx(math.sqrt(parts.seeds))
    assert card["test"]["sd_at_equal_seeds"] == pytest.approx(math.sqrt(parts.rest))
    for name, correlation, interval in (
        ("intraclass_correlation", intraclass, intraclass_interval),
        ("intraclass_consistency", consistency, consistency_interval),
    ):
        found = card[name]["all"]
        assert (found["one_seed"], found["three_seeds"]) == pytest.approx(correlation(scores))
        assert found["one_seed_interval"] == pytest.approx(interval(scores))
        low, high = found["three_seeds_interval"]
        assert low < found["three_seeds"] < high
