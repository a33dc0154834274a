"""Intervals of means cover what they say, and permutation tests hold their level (simulations)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nasbench_ecg import statistics
from nasbench_ecg.statistics import (
    mean_interval,
    mean_intervals,
    ratio_interval,
)

N_SAMPLES = 4000
ROOT = Path(__file__).resolve().parent.parent

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {  # with the true mean
    "normal": (lambda rng, shape: rng.standard_normal(shape), 0.0),
    "gamma": (lambda rng, shape: rng.gamma(4, size=shape), 4.0),  # skewness 1
    "failed runs": (lambda rng, shape: -rng.gamma(4, size=shape), -4.0),  # skewness −1
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0),  # skewness 2
}


@cache
def coverage(name: str, n: int) -> float:
    draw, mean = DISTRIBUTIONS[name]
    samples = draw(np.random.default_rng(n), (N_SAMPLES, n))
    low, high = np.concatenate(
        [mean_intervals(part, 1999) for part in np.array_split(samples, 8)]
    ).T
    return float(np.mean((low <= mean) & (mean <= high)))


@pytest.mark.parametrize("n", [5, 10, 20, 50])
@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_the_interval_covers_93_to_97_percent(name: str, n: int) -> None:
    least = 0.91 if (name, n) == ("exponential", 5) else 0.93  # no method reaches 93% there
    assert least <= coverage(name, n) <= 0.97


@pytest.mark.parametrize("n", [5, 10, 20, 50])
@pytest.mark.parametrize(
    ("name", "of_module", "of_page"),
    [
        ("normal", "normal (0)", "| normal values"),
        ("gamma", "gamma of shape 4 (1)", "| skewed values"),
        ("exponential", "exponential (2)", "| very skewed values"),
    ],
)
def test_the_module_and_the_page_state_the_coverages(
    name: str, of_module: str, of_page: str, n: int
) -> None:
    page = (ROOT / "docs/explanation/fairness.md").read_text()
    measured = 100 * coverage(name, n)
    for text, start in ((statistics.__doc__ or "", of_module), (page, of_page)):
        (line,) = (line for line in text.splitlines() if line.startswith(start))
        stated = [float(value) for value in re.findall(r"\d+\.\d", line)]
        assert stated[[5, 10, 20, 50].index(n)] == pytest.approx(measured, abs=0.051)


def test_the_interval_of_five_is_that_of_all_resamples_by_hand() -> None:
    values = [0.9, 0.93, 0.94, 0.99, 0.97]
    mean, error = np.mean(values), np.std(values, ddof=1) / 5**0.5
    t = []
    for sample in product(values, repeat=5):
        spread = max(np.std(sample, ddof=1), 0.3 * np.std(values, ddof=1)) / 5**0.5
        t.append((np.mean(sample) - mean) / spread)
    t.sort()
    place = int(np.ceil(0.025 * len(t))) - 1
    expected = (mean - t[-1 - place] * error, mean - t[place] * error)
    assert mean_interval(values) == pytest.approx(expected)


def test_the_interval_is_wider_on_the_side_of_the_long_tail() -> None:
    values = [0.96, 0.955, 0.95, 0.958, 0.90]  # one run has failed
    low, high = mean_interval(values) or (0.0, 0.0)
    assert np.mean(values) - low > high - np.mean(values)


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_no_interval_is_much_wider_than_students(name: str, n: int) -> None:
    samples = DISTRIBUTIONS[name][0](np.random.default_rng(n), (N_SAMPLES, n))
    low, high = np.concatenate([mean_intervals(x, 1999) for x in np.array_split(samples, 8)]).T
    students = 2 * stats.t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / n**0.5
    assert ((high - low) / students).max() < 1.8
    close = [0.969, 0.9691, 0.9692, 0.9693, 0.9868]
    assert (mean_interval(close) or (0, 2))[1] < 0.99


@pytest.mark.parametrize("values", [[0.9] * 4, [0.9] * 5, []])
def test_no_interval_of_too_few_or_equal_values(values: list[float]) -> None:
    assert mean_interval(values) is None


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_interval_of_a_ratio_covers_93_to_97_percent(n: int, skewed: bool) -> None:
    rng = np.random.default_rng(n)
    draw = -rng.gamma(4, size=(2, 1000, n)) if skewed else rng.standard_normal((2, 1000, n))
    above, below = 0.96 + 0.01 * (draw - draw.mean().round()) * np.array([1, 2])[:, None, None]
    center = 0.96
    if skewed:
        center = 0.96 + 0.01 * (-4 - draw.mean().round())
    hits = [
        low <= center / (0.96 + 2 * (center - 0.96)) <= high
        for a, b in zip(above, below, strict=True)
        if (found := ratio_interval(a, b)) is not None
        for low, high in [found]
    ]
    assert len(hits) == 1000 and 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.filterwarnings("ignore:Precision loss")  # of scipy, for equal values
def test_a_ratio_to_a_known_mean_is_welchs_interval_over_it() -> None:
    above, below = [0.95, 0.96, 0.97, 0.95, 0.98], [0.5, 0.5, 0.5, 0.5, 0.5]
    low, high = stats.ttest_ind(above, below, equal_var=False).confidence_interval()
    assert ratio_interval(above, below) == pytest.approx((low / 0.5 + 1, high / 0.5 + 1))


def test_students_interval_would_cover_too_little_of_skewed_runs() -> None:
    x = np.random.default_rng(0).exponential(size=(N_SAMPLES, 5))
    half = stats.t.ppf(0.975, 4) * x.std(axis=1, ddof=1) / 5**0.5
    assert np.mean(np.abs(x.mean(axis=1) - 1) <= half) < 0.90
