"""Statistics over seeds and datasets: intervals, paired tests, ranks, critical differences."""

from __future__ import annotations

from itertools import product
from math import comb
from statistics import mean

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_records import run_record, with_f1
from scipy.stats import permutation_test

from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.report.leaderboard.comparisons import across_datasets
from nasbench_ecg.report.leaderboard.tables import (
    friedman_text,
    leaderboard_table,
    left_out_text,
)
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.statistics.datasets import critical_difference, nemenyi
from nasbench_ecg.report.statistics.seeds import (
    by_sample,
    compare_all,
    improvement,
    open_ranks,
    summarize,
)
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.statistics import (
    holm,
    mean_interval,
    min_pairs_for_significance,
    paired_p_value,
    smallest_paired_p_value,
)

# Demšar 2006, Table 6: AUC of four variants of C4.5 on 14 datasets.
VARIANTS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = [
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.9751, 0.975),  # printed alike, ranked 2 and 3
    (0.957, 0.978, 0.946, 0.970),
]
DATASETS = [f"dataset{i}" for i in range(14)]

SCORES = st.floats(0, 1).map(lambda score: round(score, 6))

SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def runs(strategy: str, *scores: float, **fields: object) -> list[RunRecord]:
    """Return one run for each seed."""
    return [
        run_record(strategy, seed, metrics=with_f1(f1), **fields)  # type: ignore[arg-type]
        for seed, f1 in enumerate(scores)
    ]


def only(records: list[RunRecord]) -> Leaderboard:
    (board,) = leaderboards(records)
    return board


# Summaries of one score


def test_a_summary_is_mean_sample_sd_and_extremes() -> None:
    # by hand: deviations −2, 0, 2 → 8 / 2 = 4 → sd 2
    found = summarize([0.94, 0.96, 0.92])
    assert (found.n, found.best, found.worst) == (3, 0.96, 0.92)
    assert found.mean == pytest.approx(0.94)
    assert found.sd == pytest.approx(0.02)


def test_too_few_seeds_leave_sd_and_interval_absent() -> None:
    assert (summarize([0.9]).sd, summarize([0.9]).interval) == (None, None)
    assert summarize([0.9, 0.8]).sd is not None
    assert summarize([0.9, 0.8, 0.85, 0.87]).interval is None
    assert summarize([0.9, 0.8, 0.85, 0.87, 0.88]).interval is not None


# Over several datasets (golden: Demšar 2006, section 3.2.2 and Table 5(a))


def test_average_ranks_and_critical_difference_are_those_of_demsar() -> None:
    found = critical_difference(AUC, VARIANTS, DATASETS)
    assert found is not None
    ranks = dict(zip(found.methods, found.ranks, strict=True))
    assert ranks == pytest.approx(
        {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}, abs=5e-4
    )
    assert found.methods[0] == "C4.5+m+cf"
    assert found.difference == pytest.approx(1.25, abs=0.005)
    assert found.p < 0.05
    assert friedman_text(found).endswith(f"equal: p = {found.p:.3f}.")


@pytest.mark.parametrize("k, q", [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_values_of_nemenyi_are_those_of_demsars_table(k: int, q: float) -> None:
    n = 20
    assert nemenyi(k, n) / (k * (k + 1) / (6 * n)) ** 0.5 == pytest.approx(q, abs=1e-3)


def test_methods_within_the_critical_difference_are_joined() -> None:
    table = [[0.9 - 0.1 * i for i in range(4)]] * 8  # ranks 1, 2, 3, 4 throughout
    found = critical_difference(table, "abcd", DATASETS[:8])
    assert found is not None
    assert found.difference == pytest.approx(2.569 * (20 / 48) ** 0.5, abs=2e-3)  # 1.66
    assert found.groups == ((0, 1), (1, 2), (2, 3))
    assert friedman_text(found).endswith("equal: p < 0.001.")


def test_methods_that_are_all_equal_do_not_differ() -> None:
    found = critical_difference([[0.5] * 3] * 5, "abc", DATASETS[:5])
    assert found is not None
    assert (found.p, found.groups) == (1.0, ((0, 2),))


@pytest.mark.parametrize("methods, datasets", [(2, 5), (5, 1), (5, 4), (0, 0)])
def test_too_few_methods_or_datasets_have_no_critical_difference(
    methods: int, datasets: int
) -> None:
    table = [[0.1 * i for i in range(methods)]] * datasets
    assert critical_difference(table, "abcde"[:methods], DATASETS[:datasets]) is None


def of_datasets(n: int) -> list[Leaderboard]:
    """Return leaderboards of ``n`` datasets; method d lacks a result on all but the first."""
    records = [
        record
        for i in range(n)
        for place, strategy in enumerate("abc")
        for record in runs(strategy, 0.9 - 0.01 * place, 0.91 - 0.01 * place, dataset=f"set{i}")
    ]
    return leaderboards([*records, *runs("d", 0.8, 0.8, dataset="set0")])


def test_leaderboards_of_one_protocol_are_compared_over_their_datasets() -> None:
    boards = of_datasets(5)
    persons = [frozenset({board.track.dataset}) for board in boards]
    ((name, found),) = across_datasets(boards, persons).items()
    assert name == "intra-patient · quick · train"
    assert (found.methods, found.ranks) == (("a", "b", "c"), (1.0, 2.0, 3.0))
    assert found.datasets == ("set0", "set1", "set2", "set3", "set4")
    assert left_out_text(found) == (
        "Left out, because not ranked on every dataset: d (not on set1, set2, set3, set4)."
    )


def test_datasets_with_a_common_person_count_once() -> None:
    boards = of_datasets(6)
    shared = [frozenset({"p0", f"p{i}"}) if i < 2 else frozenset({f"p{i}"}) for i in range(6)]
    ((_, found),) = across_datasets(boards, shared).items()
    assert found.datasets == ("set0", "set2", "set3", "set4", "set5")
    assert across_datasets(boards[:5], shared[:5]) == {}


def test_the_first_leaderboard_of_a_dataset_counts() -> None:
    boards = of_datasets(5)
    other = leaderboards([r for s in "abc" for r in runs(s, 0.5, 0.5, dataset="set0")])
    persons = [frozenset({f"p{i}"}) for i in range(6)]
    first = across_datasets(boards, persons[:5])
    assert across_datasets([*boards, *other], persons) == first != {}


def test_a_dataset_whose_persons_are_unknown_does_not_count() -> None:
    boards = of_datasets(5)
    persons = [frozenset({"p"}), frozenset[str](), *(frozenset({f"p{i}"}) for i in range(3))]
    assert across_datasets(boards, persons) == {}


# Ranks


def test_ranks_are_certain_where_the_tests_show_every_difference() -> None:
    values = [[0.9 + 0.001 * s for s in range(8)], [0.8 + 0.002 * s for s in range(8)]]
    assert open_ranks(2, 8, compare_all(values)) == [(1, 1), (2, 2)]


def test_a_rank_is_open_as_far_as_no_test_shows_a_difference() -> None:
    # by hand: b and c differ by +1 and −1 in turn, a is above both in all eight
    values = [[0.9] * 8, [0.5, 0.6] * 4, [0.6, 0.5] * 4]
    assert open_ranks(3, 8, compare_all(values)) == [(1, 1), (2, 3), (2, 3)]


def test_ranks_are_open_where_only_uncorrected_tests_show_a_difference() -> None:
    # by hand: of the 128 choices of signs, two sums are as large as that of a − b, two as small
    difference = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, -0.005]
    values = [[0.5 + d for d in difference], [0.5] * 7, [0.5] * 7]
    comparisons = compare_all(values)
    assert [found.p for found in comparisons] == pytest.approx([4 / 128, 4 / 128, 1])
    assert [found.p_adjusted for found in comparisons] == pytest.approx([12 / 128, 12 / 128, 1])
    assert open_ranks(3, 7, comparisons) == [(1, 3)] * 3


@pytest.mark.parametrize("n_methods, n_seeds", [(2, 5), (3, 6), (1, 8)])
def test_no_rank_is_told_where_no_difference_could_be(n_methods: int, n_seeds: int) -> None:
    values = [[0.1 * i + 0.01 * s for s in range(n_seeds)] for i in range(n_methods)]
    assert open_ranks(n_methods, n_seeds, compare_all(values)) is None


def test_no_rank_is_told_without_tests() -> None:
    (board,) = leaderboards([run_record(name, metrics=with_f1(0.9)) for name in ("darts", "lucky")])
    assert not board.comparisons and [row.rank_interval for row in board.rows] == [None, None]


def test_only_ranked_rows_have_a_rank_interval() -> None:
    board = only([*runs("a", *[0.9] * 6), *runs("b", *[0.8] * 6), *runs("c", 0.99)])
    assert [(row.strategy, row.rank_interval) for row in board.rows] == [
        ("a", (1, 1)),
        ("b", (2, 2)),
        ("c", None),
    ]


# Paired tests


@SETTINGS
@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=7))
def test_the_paired_p_value_is_the_share_of_signs_as_extreme(
    pairs: list[tuple[float, float]],
) -> None:
    differences = [round(a - b, 12) for a, b in pairs]
    signs = list(product((1, -1), repeat=len(differences)))
    means = [mean(s * d for s, d in zip(sign, differences, strict=True)) for sign in signs]
    above = sum(m >= means[0] - 1e-12 for m in means) / len(means)
    below = sum(m <= means[0] + 1e-12 for m in means) / len(means)
    p = paired_p_value([a for a, _ in pairs], [b for _, b in pairs])
    assert p == pytest.approx(min(1.0, 2 * min(above, below)))


def test_three_seeds_can_not_reach_five_percent_and_six_can() -> None:
    assert paired_p_value([0.9, 0.91, 0.92], [0.1, 0.11, 0.12]) == pytest.approx(0.25)
    assert min_pairs_for_significance() == 6
    assert paired_p_value([0.9] * 6, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]) == pytest.approx(2 / 64)


@pytest.mark.parametrize("n", [15, 20, 40])
def test_the_paired_p_value_of_many_seeds_is_exact(n: int) -> None:
    assert paired_p_value([1.0] * n, [0.5] * n) == smallest_paired_p_value(n) == 2.0 ** (1 - n)
    # by hand: of equal differences, as many or more of one sign as the seeds have, on either side
    signs = [1.0] * (n - 4) + [-1.0] * 4
    extreme = 2 * sum(comb(n, k) for k in range(5)) / 2**n
    assert paired_p_value([0.7 + 0.1 * s for s in signs], [0.7] * n) == pytest.approx(extreme)


def test_the_paired_p_value_equals_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 5, 10, 14, 15):
        a, b = rng.normal(0.9, 0.02, (2, n)).round(3)
        found = permutation_test(
            (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=2**n
        )
        assert paired_p_value(a, b) == pytest.approx(found.pvalue, abs=1e-12)


def test_scores_that_differ_by_rounding_alone_do_not_differ() -> None:
    assert 0.1 + 0.2 != 0.3
    assert paired_p_value([0.1 + 0.2] * 8, [0.3] * 8) == 1.0


def test_the_stated_number_of_runs_is_enough_for_many_methods() -> None:
    # 33 methods: random draws of 20,000 permutations can give no corrected p-value below 0.0528
    for methods in (2, 10, 33, 60):
        comparisons = methods * (methods - 1) // 2
        n = min_pairs_for_significance(comparisons)
        ramp = [0.01 * s for s in range(n)]
        assert comparisons * paired_p_value([0.5 + s for s in ramp], ramp) < 0.05
        assert comparisons * paired_p_value([0.5 + s for s in ramp[1:]], ramp[1:]) > 0.05


def test_more_seeds_than_are_counted_one_by_one_can_show_a_difference_of_many_methods() -> None:
    ramp = [0.01 * s for s in range(41)]
    p = paired_p_value([0.5 + s for s in ramp], ramp)
    assert p == smallest_paired_p_value(41)
    assert 60 * 59 // 2 * p < 0.05


def test_holm_by_hand() -> None:
    # sorted: .01·4, .02·3, .03·2 (but no less than .06), .5·1
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([]) == []


@SETTINGS
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_lies_between_the_p_values_and_bonferronis(p_values: list[float]) -> None:
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, len(p_values) * p) or adjusted == max(holm(p_values))


def test_every_pair_of_ranked_rows_is_compared_on_the_same_seeds() -> None:
    board = only([*runs("a", 0.90, 0.92), *runs("b", 0.88, 0.92), *runs("c", 0.7, 0.7)])
    found = {(c.first, c.second): (c.n, round(c.difference, 6)) for c in board.comparisons}
    assert found == {(0, 1): (2, 0.01), (0, 2): (2, 0.21), (1, 2): (2, 0.2)}


def test_one_seed_gives_no_test() -> None:
    assert only([*runs("a", 0.9), *runs("b", 0.8)]).comparisons == ()


def trainings(strategy: str, by_search: np.ndarray) -> list[RunRecord]:
    """Return the runs that train the architecture of each search with several seeds."""
    return [
        run_record(strategy, search, evaluation_seed=final, metrics=with_f1(float(f1)))
        for search, scores in enumerate(by_search)
        for final, f1 in enumerate(scores)
    ]


def test_trainings_of_one_architecture_are_one_sample() -> None:
    rng = np.random.default_rng(0)
    searches, noise = rng.normal(0.8, 0.02, (2, 7, 1)), rng.normal(0, 1e-3, (2, 7, 4))
    scores = searches + noise
    board = only([*trainings("a", scores[0]), *trainings("b", scores[1])])
    (found,) = board.comparisons
    differences = (scores[0] - scores[1]).mean(axis=1) * (
        1 if board.rows[0].strategy == "a" else -1
    )
    expected = permutation_test((differences,), mean, permutation_type="samples")
    assert (found.n, found.p) == (7, pytest.approx(expected.pvalue))
    assert found.difference == pytest.approx(differences.mean())
    for row in board.rows:
        own = scores["ab".index(row.strategy)]
        total, alone = row.ranking, summarize(own.mean(axis=1).tolist())
        assert total is not None and total.n == 28 and total.mean == pytest.approx(own.mean())
        assert total.interval == pytest.approx(alone.interval)
    assert "So there are 7 of them" in " ".join(leaderboard_table(board, "markdown").footnotes)


def test_searches_with_unequal_numbers_of_trainings_have_the_error_of_a_ratio() -> None:
    values = [0.91, 0.93, 0.92, 0.80, 0.86, 0.84, 0.88, 0.90]
    searches = [0, 0, 0, 1, 2, 2, 3, 4]
    found = summarize(values, searches)
    totals = np.bincount(searches, values)
    sizes = np.bincount(searches)
    n, ratio = len(sizes), totals.sum() / sizes.sum()
    error = np.sqrt(n / (n - 1) * ((totals - ratio * sizes) ** 2).sum()) / sizes.sum()
    by_search = by_sample(values, searches)
    assert found.mean == pytest.approx(ratio) == pytest.approx(mean(by_search))
    assert np.std(by_search, ddof=1) / np.sqrt(n) == pytest.approx(error)
    assert found.interval == mean_interval(by_search)
    assert by_sample(values[:2], searches[:2]) == [pytest.approx(0.92)]
    assert by_sample(values, range(8)) == values  # to the last bit, so that ties stay ties


def test_many_trainings_of_one_architecture_show_nothing_of_its_search() -> None:
    once = np.linspace(0.90, 0.91, 8)[None]
    board = only([*trainings("a", once), *trainings("b", once - 0.1)])
    assert board.comparisons == () and board.n_searches == 1
    assert [row.ranking.interval for row in board.rows if row.ranking] == [None, None]
    table = leaderboard_table(board, "markdown")
    assert "runs" in [column.heading for column in table.columns]
    assert "vs random" not in " ".join(table.footnotes)


def test_comparisons_are_corrected_together() -> None:
    values = [[0.1 * i + 0.01 * s for s in range(8)] for i in range(3)]
    for found in compare_all(values):
        assert found.p == pytest.approx(2 / 2**8)
        assert found.p_adjusted == pytest.approx(3 * found.p)


# Over random architectures


def test_the_improvement_over_random_is_relative_to_its_mean() -> None:
    found = improvement([0.96, 0.98], [0.90, 0.94])
    assert found.relative == pytest.approx(0.97 / 0.92 - 1)
    assert (found.interval, found.n, found.n_random) == (None, 2, 2)


def test_four_runs_give_no_interval_of_an_improvement_and_five_do() -> None:
    values = [0.95, 0.96, 0.97, 0.95, 0.96]
    assert improvement(values[:4], values).interval is None
    assert improvement([0.0] * 5, values).interval is None  # runs that found one class only
    assert np.var([0.8] * 6) > 0  # by rounding
    assert improvement([0.9] * 6, [0.8] * 6).interval is None
    low, high = improvement(values, values).interval or (1, -1)
    assert low < 0 < high


def test_a_search_is_compared_with_random_architectures_rather_than_random_search() -> None:
    evaluated = [{"evaluations": 12.0, "seconds": 1.0, "value": 0.9, "best": 0.9}]
    one = {"strategy": {"samples": 1}}
    board = only(
        [
            *runs("darts", 0.96, 0.97),
            *runs("random", 0.95, 0.95, trajectory=evaluated),
            *runs("random", 0.90, 0.90, changed=one),
        ]
    )
    gains = {board.label(row): row.improvement for row in board.rows}
    assert gains["darts"] is not None
    assert gains["darts"].relative == pytest.approx(0.965 / 0.9 - 1)
    searched = next(row for row in board.rows if row.strategy == "random" and row.evaluations)
    assert searched.improvement is not None
    assert searched.improvement.relative == pytest.approx(0.95 / 0.9 - 1)
    assert gains["random (samples=1)"] is None


def test_only_architectures_with_the_same_recipe_are_compared_with() -> None:
    longer = {"evaluator": {"epochs": 100}}
    board = only([*runs("darts", 0.96, changed=longer), *runs("random", 0.9)])
    assert [row.improvement for row in board.rows] == [None, None]


# Limits of few seeds


@pytest.mark.parametrize(
    "n_seeds, said",
    [(1, "no interval"), (2, "no interval"), (3, "correction for one comparison is 0.25"),
     (5, "is 0.062")],
)  # fmt: skip
def test_a_footnote_names_the_limits_of_few_seeds(n_seeds: int, said: str) -> None:
    board = only([*runs("a", *[0.9] * n_seeds), *runs("b", *[0.8] * n_seeds)])
    assert said in " ".join(leaderboard_table(board, "markdown").footnotes)


def test_the_single_runs_are_listed_where_there_are_too_few_for_an_interval() -> None:
    table = leaderboard_table(only(runs("a", 0.9, 0.8, 0.85, 0.95)), "markdown")
    at = [column.heading for column in table.columns].index("runs")
    assert table.rows[0].cells[at].text == "90.00, 80.00, 85.00, 95.00"
    five = leaderboard_table(only(runs("a", 0.9, 0.8, 0.85, 0.95, 0.91)), "markdown")
    assert "runs" not in [column.heading for column in five.columns]


def test_six_seeds_need_no_such_footnote() -> None:
    board = only([*runs("a", *[0.9] * 6), *runs("b", *[0.8] * 6)])
    assert "cannot" not in " ".join(leaderboard_table(board, "markdown").footnotes)


def test_a_leaderboard_says_how_much_of_it_may_be_chance() -> None:
    values = [0.9, 0.91, 0.92, 0.93, 0.95, 0.9]
    board = only([*runs("a", *values), *runs("b", *(value - 0.1 for value in values))])
    notes = " ".join(leaderboard_table(board, "markdown").footnotes)
    assert "2 intervals of a mean over seeds, 0 over patients: about 0.1 of them" in notes
    assert "1 paired test on 1 leaderboard: about 0.05 uncorrected" in notes
