"""The maximum-margin objective: its forms agree, and the searches find known optima."""

from __future__ import annotations

import margin_formulas as formulas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_ecg_immune.iemmc import polish, split_cluster
from nasbench_ecg_immune.kernels import (
    ExactKernel,
    LowRankKernel,
    kernel_of,
    median_width,
    nystrom,
    rbf,
)
from nasbench_ecg_immune.local_search import (
    best_threshold_of_absolute_loss,
    best_thresholds,
    midpoint_scan,
    single_flip_descent,
)
from nasbench_ecg_immune.objective import LEADING, margin_of_features, margin_of_kernel
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.problems import KWay, TwoWay, random_functions

REGULARIZATIONS = (1, 10, 100, 500)  # the paper's candidates for C


def problem(seed, n=40, d=3, C=10, min_size=4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[: n // 3] += 2 * rng.random()
    kernel = rbf(x, x, median_width(x, rng))
    lam = 1 / (2 * C)
    return kernel, lam, margin_of_kernel(kernel, lam), min_size, rng


def best_split(kernel, lam, min_size, rng, **options):
    """Return the labels that the evolution finds, and their objective."""
    index = np.arange(len(kernel))
    split, _ = split_cluster(
        ExactKernel(kernel), index, min_size, lam, IemmcOptions(**options), rng
    )
    return split.labels, split.objective


def random_labels(rng, count, n):
    return rng.choice(np.array([-1, 1], np.int8), size=(count, n))


# -- the objective's forms -------------------------------------------------------------------------


@pytest.mark.parametrize("C", REGULARIZATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_all_forms_with_a_bias_agree(seed, C):
    kernel, lam, margin, _, rng = problem(seed, C=C)
    y = random_labels(rng, 5, 40)
    direct = [formulas.objective(kernel, row.astype(float), lam) for row in y]
    a = formulas.quadratic_form(kernel, lam)
    assert margin.objective(y) == pytest.approx(direct, abs=1e-10)
    assert margin.objective(y, margin.fitted(y)) == pytest.approx(direct, abs=1e-10)
    assert np.einsum("pi,ij,pj->p", y, a, y) == pytest.approx(direct, abs=1e-10)
    assert margin.curvature == pytest.approx(np.diag(a), abs=1e-10)


@pytest.mark.parametrize("C", REGULARIZATIONS)
def test_all_forms_without_a_bias_agree(C):
    kernel, lam, _, _, rng = problem(1, C=C)
    y = random_labels(rng, 5, 40)
    direct = [formulas.objective_without_bias(kernel, row.astype(float), lam) for row in y]
    s, v = np.linalg.eigh(kernel)
    spectral = 40 - (s / (s + lam) * (y @ v) ** 2).sum(axis=1)
    assert spectral == pytest.approx(direct, abs=1e-10)
    assert margin_of_kernel(kernel, lam, bias=False).objective(y) == pytest.approx(
        direct, abs=1e-10
    )


def test_fitted_values_are_those_of_the_solved_system():
    kernel, lam, margin, _, rng = problem(2)
    y = random_labels(rng, 1, 40)
    b, c = formulas.bias_and_coefficients(kernel, y[0].astype(float), lam)
    assert margin.fitted(y)[0] == pytest.approx(kernel @ c + b, abs=1e-10)


@pytest.mark.parametrize("bias", [True, False])
def test_features_give_the_objective_of_their_inner_products(bias):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 7))
    y = random_labels(rng, 6, 50)
    from_kernel = margin_of_kernel(features @ features.T, 0.05, bias=bias)
    from_features = margin_of_features(features, 0.05, bias=bias)
    assert from_features.smoother is None and from_features.basis.shape[1] <= 8
    assert from_features.objective(y) == pytest.approx(from_kernel.objective(y), abs=1e-10)
    assert from_features.fitted(y) == pytest.approx(from_kernel.fitted(y), abs=1e-10)


def test_nystrom_is_exact_on_all_points_and_an_upper_bound_on_fewer():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    exact = rbf(x, x, 1.5)
    full = nystrom(x, 1.5, 60, rng)
    assert full.features @ full.features.T == pytest.approx(exact, abs=1e-8)
    y, everything = random_labels(rng, 5, 60), np.arange(60)
    few = nystrom(x, 1.5, 20, rng).margin(everything, 0.05).objective(y)
    # A smaller function space cannot fit better.
    assert (few >= ExactKernel(exact).margin(everything, 0.05).objective(y) - 1e-9).all()


def test_the_kernel_is_exact_up_to_the_limit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 2))
    options = {"width": 1.0, "rank": 10, "rng": rng}
    assert isinstance(kernel_of(x, exact_up_to=30, **options), ExactKernel)
    assert kernel_of(x, exact_up_to=29, **options).features.shape == (30, 10)


def test_a_labeling_and_its_negative_are_one():
    _, _, margin, min_size, rng = problem(3)
    y = random_labels(rng, 4, 40)
    assert margin.objective(y) == pytest.approx(margin.objective(-y), abs=1e-12)
    two_way = TwoWay(margin, min_size)
    assert two_way.key(y[0]) == two_way.key(-y[0]) != two_way.key(y[1])
    assert two_way.distances([y[0], -y[0]]) == pytest.approx(np.zeros((2, 2)))


def test_two_clusters_at_once_have_twice_the_objective_of_one_split():
    _, _, margin, min_size, rng = problem(4)
    y = random_labels(rng, 3, 40)
    both = KWay(margin, 2, min_size).objective((y > 0).astype(np.uint8))
    assert both == pytest.approx(2 * margin.objective(y), abs=1e-10)


# -- the midpoint scan -----------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_the_scan_finds_what_trying_every_midpoint_finds(seed, min_size):
    f = np.random.default_rng(seed).standard_normal(15)
    ordered = np.sort(f)
    candidates = (ordered[min_size - 1 : 15 - min_size] + ordered[min_size : 16 - min_size]) / 2

    def cost(threshold, power):
        return (np.abs(np.where(f > threshold, 1, -1) - f + threshold) ** power).sum()

    squared = best_thresholds(f[None], min_size)[0]
    assert cost(squared, 2) == pytest.approx(min(cost(c, 2) for c in candidates))
    absolute = best_threshold_of_absolute_loss(f, min_size)
    assert cost(absolute, 1) == pytest.approx(min(cost(c, 1) for c in candidates))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(3))
def test_with_many_points_the_scan_finds_the_best_midpoint(seed, sign):
    rng = np.random.default_rng(seed)
    n, min_size = 20_000, 100
    f = np.concatenate([rng.normal(-0.8, 0.4, n // 2), rng.normal(0.9, 0.5, n // 2)]) * sign
    ordered = np.sort(f)
    tried = np.arange(n // 2 - 1500, n // 2 + 1500)
    candidates = (ordered[tried - 1] + ordered[tried]) / 2
    costs = [((np.where(f > c, 1, -1) - f + c) ** 2).sum() for c in candidates]
    found = best_thresholds(f[None], min_size)[0]
    assert candidates[0] < found < candidates[-1]
    assert found == pytest.approx(candidates[int(np.argmin(costs))])


def test_the_scan_never_separates_equal_values_and_keeps_the_balance():
    f = np.array([[0.0] * 6 + [1.0, 2.0], [3.0] * 8])
    labels = np.array([[1, -1] * 4] * 2, np.int8)
    assert midpoint_scan(labels, f, 2).tolist() == [[-1] * 6 + [1, 1], [1, -1] * 4]
    assert midpoint_scan(labels, f, 3).tolist() == labels.tolist()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_improvement_never_raises_the_objective_and_keeps_the_balance(seed):
    _, _, margin, min_size, rng = problem(seed, n=30)
    two_way = TwoWay(margin, min_size, flips=3)
    before = np.stack([two_way.random(rng) for _ in range(6)])
    after, objective = two_way.improve(before)
    assert objective == pytest.approx(margin.objective(after), abs=1e-9)
    assert (objective <= margin.objective(before) + 1e-9).all()
    positive = (after > 0).sum(axis=1)
    assert (positive >= min_size).all() and (positive <= 30 - min_size).all()


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from(["functions", "labels"]))
@settings(max_examples=40, deadline=None)
def test_every_move_of_labels_can_be_repaired_to_the_balance(seed, rate, newcomers):
    _, _, margin, _, rng = problem(0, n=20)
    rng = np.random.default_rng(seed)
    two_way = TwoWay(margin, 7, newcomers=newcomers)
    k_way = KWay(margin, 3, 5, newcomers)
    y, codes = two_way.random(rng), k_way.random(rng)
    assert 7 <= (y > 0).sum() <= 13
    assert np.bincount(codes, minlength=3).min() >= 5
    changed, moved = two_way.hypermutate(y, rate, rng), k_way.hypermutate(codes, rate, rng)
    assert (changed != y).any() and (moved != codes).any()
    assert 7 <= (two_way.repair(changed, rng) > 0).sum() <= 13
    assert np.bincount(k_way.repair(moved, rng), minlength=3).min() >= 5
    valid = np.array([1] * 7 + [-1] * 13, np.int8)
    assert two_way.repair(valid, rng) is valid
    assert (two_way.load(two_way.dump(y)) == y).all()
    assert (k_way.load(k_way.dump(codes)) == codes).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("low_rank", [True, False])
def test_leading_directions_are_the_kernels_without_the_constant(low_rank, bias):
    rng = np.random.default_rng(4)
    features = rng.standard_normal((60, 12)) * np.arange(1, 13)
    kernel = features @ features.T
    margin = (
        margin_of_features(features, 0.5, bias=bias)
        if low_rank
        else margin_of_kernel(kernel, 0.5, bias=bias)
    )
    center = np.eye(60) - (1 / 60 if bias else 0)
    values, vectors = np.linalg.eigh(center @ kernel @ center)
    assert margin.leading.shape == (12 if low_rank else LEADING, 60)
    leading = margin.leading[-3:]
    for own, vector, value in zip(leading, vectors.T[-3:], values[-3:], strict=True):
        assert own @ own == pytest.approx(value / (value + 0.5))
        assert abs(own @ vector) ** 2 == pytest.approx(own @ own)


def test_random_functions_differ_and_their_rank_is_log_uniform():
    margin = problem(0, n=80)[2]
    rng = np.random.default_rng(0)
    drawn = random_functions(margin, 5, rng)
    assert drawn.shape == (5, 80) and len(np.unique(drawn.round(6), axis=0)) == 5
    ranks = [np.linalg.matrix_rank(random_functions(margin, 40, rng)) for _ in range(200)]
    assert min(ranks) == 1 and 25 <= max(ranks) <= LEADING
    assert np.median(ranks) < 9  # log-uniform: half of them below √33


@pytest.mark.parametrize("C", [1, 100])
def test_random_functions_lead_to_wider_margins_than_labels_drawn_one_by_one(C):
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.standard_normal((70, 4)) * s + c for s, c in ((1, 0), (2, 3), (1, 5))])
    kernel = rbf(x, x, median_width(x, rng))
    ends = {
        newcomers: [
            best_split(kernel, 1 / (2 * C), 20, np.random.default_rng(seed), newcomers=newcomers)[1]
            for seed in range(3)
        ]
        for newcomers in ("functions", "labels")
    }
    assert max(ends["functions"]) <= min(ends["labels"]) * (1 + 1e-3)


def test_a_larger_rate_changes_more_labels():
    _, _, margin, min_size, rng = problem(0, n=400)
    two_way = TwoWay(margin, min_size)
    y = two_way.random(rng)
    changed = [(two_way.hypermutate(y, rate, rng) != y).mean() for rate in (0.01, 0.2, 1.0)]
    # Half of the redrawn labels keep their value.
    assert changed == pytest.approx([0.005, 0.1, 0.5], abs=0.1) and changed == sorted(changed)


def test_direct_improvement_never_raises_the_objective():
    _, _, margin, _, rng = problem(5, n=60)
    k_way = KWay(margin, 4, 3)
    before = np.stack([k_way.random(rng) for _ in range(5)])
    after, objective = k_way.improve(before)
    assert objective == pytest.approx(k_way.objective(after), abs=1e-9)
    assert (objective <= k_way.objective(before) + 1e-9).all()


def test_direct_improvement_keeps_the_balance_where_a_better_labeling_breaks_it():
    _, _, margin, _, rng = problem(5, n=60)
    before = np.stack([KWay(margin, 4, 13).random(rng) for _ in range(5)])
    free, _ = KWay(margin, 4, 1).improve(before)
    kept, _ = KWay(margin, 4, 13).improve(before)
    smallest = [[np.bincount(row, minlength=4).min() for row in labels] for labels in (free, kept)]
    assert min(smallest[0]) < 13 <= min(smallest[1])


def test_random_labels_have_every_number_of_positive_ones_within_the_bound():
    two_way = TwoWay(problem(5, n=7)[2], 2)
    rng = np.random.default_rng(0)
    assert {int((two_way.random(rng) > 0).sum()) for _ in range(200)} == {2, 3, 4, 5}


def test_the_distance_of_two_labelings_ignores_the_numbering_of_clusters():
    margin = problem(5, n=12)[2]
    k_way = KWay(margin, 3, 1)
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], np.uint8)
    renamed = np.array([2, 0, 1], np.uint8)[a]
    one_moved = renamed.copy()
    one_moved[0] = 0
    d = k_way.distances([a, renamed, one_moved])
    assert d[0] == pytest.approx([0, 0, 1 / 12], abs=1e-6)
    assert k_way.key(a) == k_way.key(renamed) != k_way.key(one_moved)


# -- finding the optimum ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [9, 12, 14])
@pytest.mark.parametrize("C", REGULARIZATIONS)
def test_the_optimum_of_few_points_is_the_one_found_by_enumeration(n, C):
    kernel, lam, _, _, rng = problem(n + C, n=n, C=C)
    optimum, _ = formulas.best_by_enumeration(formulas.quadratic_form(kernel, lam), 2)
    labels, found = best_split(kernel, lam, 2, rng, precision="float64")
    assert found == pytest.approx(optimum, abs=1e-9)
    assert formulas.objective(kernel, labels.astype(float), lam) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_no_greedy_search_of_single_flips_ends_below(seed):
    # Steepest descent from random labels, as in RLScore's maximum-margin clustering.
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 70))
    C = REGULARIZATIONS[seed % 4]
    kernel, lam, margin, min_size, rng = problem(1000 + seed, n=n, C=C, min_size=max(2, n // 6))
    starts = np.stack([TwoWay(margin, min_size).random(rng) for _ in range(10)])
    greedy = margin.objective(_greedy(margin, starts, min_size)).min()
    _, found = best_split(kernel, lam, min_size, rng)
    assert found <= greedy + 1e-6


def _greedy(margin, starts, min_size):
    """Return labels after steepest single flips, each scored by the objective itself."""
    n = margin.n
    flip = 1 - 2 * np.eye(n, dtype=np.int8)
    ends = []
    for y in starts:
        value = margin.objective(y[None])[0]
        while True:
            around = y * flip
            positive = (around > 0).sum(axis=1)
            values = margin.objective(around)
            values[(positive < min_size) | (positive > n - min_size)] = np.inf
            if values.min() >= value - 1e-9:
                break
            y, value = around[values.argmin()], values.min()
        ends.append(y)
    return np.stack(ends)


@pytest.mark.parametrize("min_size", [4, 15, 19])
def test_a_descent_ends_where_no_single_flip_helps_and_keeps_the_balance(min_size):
    _, _, margin, _, rng = problem(7, n=40, C=500)
    starts = np.stack([TwoWay(margin, min_size).random(rng) for _ in range(4)])
    ends, fitted = single_flip_descent(margin, starts, min_size)
    assert fitted == pytest.approx(margin.fitted(ends), abs=1e-9)
    assert (margin.objective(ends) <= margin.objective(starts)).all()
    assert (_greedy(margin, ends, min_size) == ends).all()
    positive = (ends > 0).sum(axis=1)
    assert (positive >= min_size).all() and (positive <= 40 - min_size).all()


def test_polish_makes_no_labeling_worse():
    _, _, margin, min_size, rng = problem(8, n=50)
    labels = np.stack([TwoWay(margin, min_size).random(rng) for _ in range(5)])
    best = margin.objective(labels).min()
    for single_flips in (True, False):
        polished = polish(margin, labels, min_size, single_flips=single_flips)
        assert margin.objective(polished).min() <= best + 1e-9


def test_two_separate_groups_are_the_two_clusters():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    x[20:] += 8
    labels, _ = best_split(rbf(x, x, 8.0), 0.5, 12, rng, generations=4)
    assert (labels * labels[0] == np.where(np.arange(60) < 20, 1, -1)).all()


def test_different_starts_end_at_the_same_optimum():
    ends = []
    for seed in range(3):
        kernel, lam, _, min_size, _ = problem(3, n=40, C=1)
        ends.append(best_split(kernel, lam, min_size, np.random.default_rng(seed))[1])
    assert ends == pytest.approx([ends[0]] * 3, abs=1e-9)


@pytest.mark.parametrize("low_rank", [False, True])
def test_functions_fitted_on_all_points_are_carried_over_unchanged(low_rank):
    kernel, lam, margin, _, rng = problem(6)
    chosen, index = ExactKernel(kernel), np.arange(40)
    if low_rank:
        s, v = np.linalg.eigh(kernel)
        chosen = LowRankKernel(v * np.sqrt(np.clip(s, 0, None)))
    y = random_labels(rng, 3, 40)
    values = chosen.carry_over(index, y, index, lam)
    offset = margin.fitted(y) - values
    assert offset == pytest.approx(np.repeat(offset[:, :1], 40, axis=1), abs=1e-8)


def test_two_groups_are_separated_after_evolving_a_few_of_their_points():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2))
    x[100:] += 8
    labels, _ = best_split(
        rbf(x, x, 8.0), 0.5, 60, rng, generations=4, evolve_beats=30, flips=0, exact_up_to=10
    )
    assert (labels * labels[0] == np.where(np.arange(300) < 100, 1, -1)).all()
