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
from toy_tables import SPACE, searched, toy_table

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget
from nasbench_ecg.report.render import FORMATS, render_tables
from nasbench_ecg.report.studies.search_comparison import as_data, summary_tables, tables, title
from nasbench_ecg.statistics import holm
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.compare import compare, paired_interval, signed_rank, superiority
from nasbench_ecg.tables.comparison import Comparison
from nasbench_ecg.tables.intraclass import intraclass, variance_components
from nasbench_ecg.tables.noise import (
    _indistinct,
    noise_card,
    seeds_to_see,
    tau,
    track_with_track,
)
from nasbench_ecg.tables.outcome import hypervolumes
from nasbench_ecg.tables.simulate import Simulation

# -- the noise card ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs, others, exact", [(14, 4, 1 / 8), (50, 5, 1 / 16), (500, 5, 1 / 16)]
)
def test_the_signed_rank_test_of_few_differences_is_exact(pairs, others, exact):
    """By hand: all ``others`` signs equal, of 2 ** others choices, on either side."""
    differences = np.zeros(pairs)
    differences[:others] = np.linspace(0.1, 0.2, others)
    assert signed_rank(differences) == pytest.approx(exact)


def test_the_signed_rank_test_without_zeros_is_that_of_scipy():
    differences = np.random.default_rng(0).normal(0.3, 1, 30)
    assert signed_rank(differences) == pytest.approx(
        stats.wilcoxon(differences, method="exact").pvalue
    )


def test_the_signed_rank_test_of_many_differences_ranks_zeros_as_pratt_does():
    """The normal approximation by hand: zeros take the lowest ranks, which are then dropped."""
    differences = np.concatenate([np.zeros(25), np.random.default_rng(1).normal(0.2, 1, 60)])
    ranks = stats.rankdata(np.abs(differences))[25:]
    above = ranks[differences[25:] > 0].sum()
    z = (above - ranks.sum() / 2) / math.sqrt((ranks**2).sum() / 4)
    assert signed_rank(differences) == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_seeds_that_a_paired_t_test_needs():
    """G*Power 3.1: pairs for 80% power at 5%, by the effect in standard deviations of pairs."""
    for effect, pairs in ((0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)):
        assert seeds_to_see(effect, 0.5**0.5) == pairs


def test_fewer_seeds_than_the_test_of_leaderboards_needs_show_nothing():
    for sd in (0.0, 0.01):
        assert seeds_to_see(1.0, sd) == 6


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
    assert card["seeds_to_see_0.2_points"] == 6
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


def test_the_figures_of_a_noisy_card_are_those_of_loops_by_hand():
    table = toy_table(noise=40)
    card = noise_card(table)
    test, validation = table.values("test"), table.values("validation")
    last, n = test[:, :, -1], SPACE.size
    mean = last.mean(axis=1)

    winners = [validation[:, seed, -1].argmax() for seed in range(3)]
    regret = np.mean([mean.max() - mean[row] for row in winners])
    assert card["regret_of_validation_winner"] == pytest.approx(regret) and regret > 0.001

    n_best = max(1, round(n / 100))
    best = [set(sorted(range(n), key=lambda i: (-last[i, s], i))[:n_best]) for s in range(3)]
    shared = [len(best[a] & best[b]) / n_best for a, b in ((0, 1), (0, 2), (1, 2))]
    assert card["overlap_of_best_percent"] == pytest.approx(np.mean(shared))

    def by_scipy(a, b):
        return pytest.approx(stats.kendalltau(a, b).statistic)

    taus = card["kendall_tau"]
    assert taus["validation_with_test"] == by_scipy(validation[:, :, -1].mean(axis=1), mean)
    assert taus["epoch_with_last"] == {"1": by_scipy(validation[:, :, 0].mean(axis=1), mean)}
    assert taus["parameters_with_test"] == by_scipy(table.costs()["parameters"], mean)
    of_seeds = [
        stats.kendalltau(last[:, a], last[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    assert taus["seed_with_seed"] == pytest.approx(np.mean(of_seeds))

    order = sorted(range(n), key=lambda i: (-mean[i], i))
    for name, share in (("all", 1), ("best_half", 1 / 2), ("best_tenth", 1 / 10)):
        one, three = intraclass(last[order[: max(2, round(share * n))]])
        found = card["intraclass_correlation"][name]
        assert (found["one_seed"], found["three_seeds"]) == pytest.approx((one, three))

    parts = variance_components(last)
    least = stats.t.ppf(0.975, parts.freedom) * math.sqrt(2 * parts.rest / 3)
    assert card["not_told_from_best"] == sum(mean.max() - value <= least for value in mean)
    assert 2 < card["not_told_from_best"] < n


def test_a_card_counts_only_members_with_all_base_seeds():
    table = toy_table(untrained=[0, 1], noise=1)
    table.trained[2, 1] = False
    card = noise_card(table)
    assert (card["members"], card["of"], card["published"]) == (SPACE.size - 3, SPACE.size, False)


def test_members_with_more_seeds_say_how_well_three_rank():
    table = toy_table(seeds=6)
    table.trained[5:, 3:] = False
    card = noise_card(table)
    more = card["with_more_seeds"]
    scores = table.values("test")[:5, :, -1]
    assert (more["members"], more["seeds"]) == (5, 6)
    assert more["sd_of_a_seed"] == pytest.approx(math.sqrt(scores.var(axis=1, ddof=1).mean()))
    expected = stats.kendalltau(scores[:, :3].mean(axis=1), scores[:, 3:].mean(axis=1)).statistic
    assert more["kendall_tau"] == pytest.approx(expected)
    one, several = (more["intraclass_correlation"][name] for name in ("one_seed", "all_seeds"))
    assert several == pytest.approx(6 * one / (1 + 5 * one))  # Spearman-Brown
    # nothing else of the card changes
    three = toy_table()
    assert {**card, "with_more_seeds": None} == noise_card(three)


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
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert superiority(np.array(a), np.array(b)) == pytest.approx(np.mean(pairs))


@pytest.mark.filterwarnings("ignore:Precision loss")  # of scipy, for nearly equal samples
@given(samples, st.integers(1, 9))
@settings(max_examples=50)
def test_the_interval_is_students_at_bonferronis_level(differences, comparisons):
    differences = np.array(differences)
    found = paired_interval(differences, comparisons)
    assert found[0] == pytest.approx(differences.mean())
    if len(set(differences)) == 1:
        assert found[0] == found[1] == found[2]
        return
    interval = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / comparisons)
    assert found[1:] == pytest.approx((interval.low, interval.high))


def test_the_signed_rank_test_is_that_of_wilcoxons_table():
    """Hollander, Wolfe 1973, table 3.1: depression of nine patients, exact p = 0.039."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    assert signed_rank(np.array(before) - after) == pytest.approx(0.039, abs=0.005)
    assert signed_rank(np.zeros(5)) == 1.0


@pytest.mark.parametrize("differences", [range(1, 6), [1, 1, 1, 1, 2], [0, 1, 1, 1, 1, 2]])
def test_the_signed_rank_test_of_few_pairs_is_exact(differences):
    """Five positive differences: only one of 2⁵ assignments of signs is as large, on each side."""
    assert signed_rank(np.array(differences, float)) == pytest.approx(2 / 2**5)


def compared(table, simulations, *, budgets=(1, 2), costs=("parameters",)):
    found = {Budget(evaluations=n): simulations for n in budgets}
    return compare(table, found, "random", costs)


def test_a_comparison_by_hand():
    table = toy_table(noise=1)
    best = SPACE.size - 1
    simulations = {
        "random": searched("random", [[i, i + 20] for i in range(12)], table),
        "good": searched("good", [[i + 20, best - i % 4] for i in range(12)], table),
        "same": searched("same", [[i, i + 20] for i in range(12)], table),
    }
    found = compared(table, simulations)
    assert [o.budget.evaluations for o in found.outcomes] == [1, 2]
    assert [row.label for row in found.outcomes[1].scores] == list(simulations)
    random, good, same = found.outcomes[1].scores
    test = table.mean_test_scores()
    expected = test[[best - i % 4 for i in range(12)]]
    assert good.mean == pytest.approx(expected.mean())
    assert good.quartiles == pytest.approx(np.quantile(expected, [0.25, 0.5, 0.75]))
    assert found.best == test[best]
    assert good.superiority == found.outcomes[1].superiority["good", "random"] == 1.0
    assert good.better and not good.worse
    assert (good.rank, random.rank, same.rank) == (1.0, 2.5, 2.5)
    assert (same.p, same.superiority, same.better, same.difference[0]) == (1.0, 0.5, False, 0)
    assert (random.difference, random.p, random.better) == (None, None, False)
    # four comparisons of the measure: two searches with two budgets
    assert good.difference == paired_interval(expected - test[[i + 20 for i in range(12)]], 4)
    uncorrected = [
        signed_rank(test[own] - test[base])
        for own, base in ((range(20, 32), range(12)), ([best - i % 4 for i in range(12)],
                                                       range(20, 32)))
    ]  # fmt: skip
    assert good.p == pytest.approx(holm([*uncorrected, 1.0, 1.0])[1])


def test_the_winner_is_the_member_that_most_repetitions_find():
    table = toy_table(noise=1)
    orders = [[3, 9], [9, 2], [4, 1], [9, 5], [20, 6]]
    simulations = {
        "random": searched("random", orders, table),
        "slow": searched("slow", [[7], [7]], table),
    }
    found = compare(
        table,
        {Budget(evaluations=2): simulations, Budget(evaluations=1): simulations},
        "random",
        ["parameters"],
    )
    incumbents = [
        max(order, key=lambda m: table.values("validation")[m, 0, -1]) for order in orders
    ]
    winner, slow = found.winners
    assert (winner.label, winner.budget.evaluations) == ("random", 2)
    assert winner.architecture == table.members[9]
    assert winner.share == incumbents.count(9) / 5 == 3 / 5
    assert winner.score == table.mean_test_scores()[9]
    assert winner.costs == {"parameters": table.costs()["parameters"][9]}
    assert (slow.architecture, slow.share) == (table.members[7], 1.0)
    data = as_data(table, found)["winners"][0]
    assert Architecture.from_dict(data["architecture"]) == table.members[9]


def test_repetitions_that_a_search_lacks_have_no_pair():
    table = toy_table(noise=1)
    simulations = {
        "random": searched("random", [[i] for i in range(12)], table),
        "slow": searched("slow", [[i + 20] for i in range(4)], table),
    }
    slow = compared(table, simulations).outcomes[0].scores[1]
    test = table.mean_test_scores()
    assert slow.repetitions == 4
    assert slow.difference[0] == pytest.approx((test[20:24] - test[:4]).mean())


def test_a_search_that_always_finds_the_same_is_compared_too():
    table = toy_table(noise=1)
    simulations = {
        "random": searched("random", [[5]] * 4, table),
        "other": searched("other", [[5]] * 4, table),
        "best": searched("best", [[SPACE.size - 1]] * 4, table),
    }
    _, other, best = compared(table, simulations, budgets=[3]).outcomes[0].scores
    assert other.difference == (0.0, 0.0, 0.0)
    assert (other.p, other.superiority) == (1.0, 0.5)
    assert best.superiority == 1.0
    assert not np.isnan(best.p)


def test_better_and_worse_need_both_the_interval_and_the_test():
    row = Comparison("a", 9, (0, 0, 0), 0.5, 1.0, (0.1, 0.01, 0.2), 0.01, 0.9)
    assert row.better and not row.worse
    for changed in ({"p": 0.2}, {"difference": (0.1, -0.01, 0.2)}, {"difference": None}):
        assert not Comparison(**{**vars(row), **changed}).better
    worse = {**vars(row), "difference": (-0.1, -0.2, -0.01)}
    assert Comparison(**worse).worse
    for changed in ({"p": 0.2}, {"difference": (-0.1, -0.2, 0.01)}, {"difference": None}):
        assert not Comparison(**{**worse, **changed}).worse


# -- fronts ------------------------------------------------------------------------------------


def test_a_hypervolume_by_hand():
    """Three members span the front; the area of its steps is computed by rectangles."""
    table = toy_table(noise=1, untrained=range(3, SPACE.size))
    table.arrays["cost_macs"] = np.exp(np.array([0.0, 1.0, 3.0] + [9.0] * (SPACE.size - 3)))
    table.arrays["confusion"][:3] = 0
    for row, correct in enumerate((2, 5, 8)):  # F1 of 0.2, 0.5 and 0.8: the same in each class
        table.arrays["confusion"][row, ..., range(3), range(3)] = correct
        for i in range(3):
            table.arrays["confusion"][row, ..., i, (i + 1) % 3] = 10 - correct
    assert table.mean_test_scores()[:3] == pytest.approx([0.2, 0.5, 0.8])
    whole = (0.5 - 0.2) * (3 - 1) + (0.8 - 0.5) * (3 - 3)
    simulation = searched("s", [[0, 1, 2], [2, 1, 0], [0]], table)
    volumes = hypervolumes(simulation, table, "macs", [1, 2, 3]) * whole
    assert volumes == pytest.approx(np.array([[0, 0.6, 0.6], [0, 0.6, 0.6], [0, 0, 0]]))
    with pytest.raises(TableError, match="no cost 'energy'"):
        hypervolumes(simulation, table, "energy", [1])
    unevaluated = Simulation("s", simulation.steps.iloc[:0], np.array([0, 1, 2]))
    alone = hypervolumes(unevaluated, table, "macs", [1, 2]) * whole  # of the returned member
    assert alone == pytest.approx(np.array([[0, 0], [0.6, 0.6], [0, 0]]))


def test_a_member_that_was_evaluated_twice_counts_with_its_last_score():
    table = toy_table(noise=1, untrained=range(3, SPACE.size))
    table.arrays["cost_macs"] = np.exp(np.array([1.0, 1.0, 3.0] + [9.0] * (SPACE.size - 3)))
    table.arrays["confusion"][:3] = 0
    for row, correct in enumerate((2, 8, 5)):
        table.arrays["confusion"][row, ..., range(3), range(3)] = correct
        for i in range(3):
            table.arrays["confusion"][row, ..., i, (i + 1) % 3] = 10 - correct
    steps = [(0, 1, 1.0, 0, 1, 0.9), (0, 2, 2.0, 1, 1, 0.5), (0, 3, 3.0, 0, 2, 0.4)]
    names = ["repetition", "evaluation", "seconds", "member", "epoch", "score"]
    simulation = Simulation("s", pd.DataFrame(steps, columns=names), np.array([0]))
    # by hand: member 0 dominates 1 by its first score, and is dominated by its last one
    assert hypervolumes(simulation, table, "macs", [1, 2, 3])[0].tolist() == [0, 0, 1]


def test_members_of_equal_score_and_cost_are_both_on_the_front():
    table = toy_table(noise=1, untrained=range(3, SPACE.size))
    table.arrays["cost_macs"] = np.exp(np.array([1.0, 1.0, 3.0] + [9.0] * (SPACE.size - 3)))
    table.arrays["confusion"][:3] = 0
    for part, corrects in enumerate([(5, 5, 2), (5, 8, 2)]):  # validation, test
        for row, correct in enumerate(corrects):
            of_part = table.arrays["confusion"][row, :, :, part]
            of_part[..., range(3), range(3)] = correct
            for i in range(3):
                of_part[..., i, (i + 1) % 3] = 10 - correct
    simulation = searched("s", [[0, 1], [1, 0], [0]], table)
    both, reverse, one = hypervolumes(simulation, table, "macs", [2])[:, 0]
    assert both == reverse == pytest.approx(1.0)
    assert one == pytest.approx((0.5 - 0.2) / (0.8 - 0.2))


def test_the_hypervolume_of_everything_is_one_and_never_shrinks():
    table = toy_table()
    simulation = searched("s", [list(range(SPACE.size))], table)
    (volumes,) = hypervolumes(simulation, table, "parameters", [1, 5, 20, SPACE.size])
    assert (np.diff(volumes) >= -0.05).all()  # a front by validation may lose on the test set
    assert 0.5 < volumes[-1] <= 1


@pytest.mark.parametrize("seconds", [0.7, 64.7])
def test_a_curve_ends_with_its_budget_of_seconds(seconds):
    table = toy_table(noise=1)
    one = searched("random", [[i, i + 20] for i in range(4)], table)
    (curve,) = compare(table, {Budget(seconds=seconds): {"random": one}}, "random", []).curves
    assert curve.points[0] == pytest.approx(seconds / 100)
    assert curve.points[-1] == pytest.approx(seconds)
    assert len(set(curve.points)) == 8


# -- reports -----------------------------------------------------------------------------------


def test_the_first_tables_have_all_verdicts():
    table = toy_table(noise=1)
    best = SPACE.size - 1
    small = {
        "random": searched("random", [[i] for i in range(12)], table),
        "good": searched("good", [[best - i % 4] for i in range(12)], table),
        "same": searched("same", [[i] for i in range(12)], table),
    }
    large = {name: small[name] for name in ("random", "same")}
    found = compare(
        table,
        {Budget(evaluations=1): small, Budget(evaluations=2): large},
        "random",
        ["parameters"],
    )
    scores, front = tables(table, found)[:2]
    assert front.title == "Verdicts on the found front of F1 and parameters"
    assert [column.heading for column in scores.columns][2:] == ["1 evaluation", "2 evaluations"]
    assert [[cell.text for cell in row.cells] for row in scores.rows] == [
        ["good", "12", "better", ""],
        ["same", "12", "−", "−"],
    ]


def test_a_summary_has_the_verdicts_and_the_regret_of_each_budget():
    table = toy_table(noise=1)
    simulations = {
        name: searched(name, [[i + s] for i in range(8 - 2 * s)], table)
        for s, name in enumerate(("random", "other"))
    }
    budgets = {Budget(evaluations=1): simulations, Budget(seconds=1.5): simulations}
    found = compare(table, budgets, "random", ["parameters"])
    *verdicts, regret = summary_tables(table, found)
    assert [one.title for one in verdicts] == [one.title for one in tables(table, found)[:2]]
    assert not any(one.footnotes for one in verdicts)
    scores = [one for one in tables(table, found) if one.title.startswith("Found member")]
    assert [row.cells[1:] for row in regret.rows] == [
        tuple(one.rows[i].cells[3] for one in scores) for i in range(2)
    ]
    assert "over the first 6 repetitions, which all have" in scores[0].footnotes[0]


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_of_an_incomplete_table_says_so_everywhere(form):
    table = toy_table(noise=1, untrained=[0])
    simulations = {
        name: searched(name, [[i + s, i + 5] for i in range(1, 9)], table)
        for s, name in enumerate(("random", "other"))
    }
    found = compare(
        table,
        {Budget(evaluations=2): simulations, Budget(seconds=1.5): simulations},
        "random",
        ["parameters"],
    )
    shown = tables(table, found)
    text = render_tables(shown, title(table), form)
    assert "incomplete" in text
    assert all("incomplete" in one.title and one.footnotes for one in shown)
    assert {curve.by for curve in found.curves} == {"evaluation", "seconds"}
    assert any("over the 2 comparisons" in note for one in shown for note in one.footnotes)
    for words in ("random", "other", "superior", "simulated"):
        assert words in text
    json.dumps(as_data(table, found), allow_nan=False)
