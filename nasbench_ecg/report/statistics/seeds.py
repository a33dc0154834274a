"""Statistics of scores over seeds.

Summaries with intervals, paired tests, improvement over a random baseline, and the ranks that tests
leave open. Scores are fractions, larger is better.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev

from nasbench_ecg.statistics import (
    SIGNIFICANCE,
    holm,
    mean_interval,
    min_pairs_for_significance,
    paired_p_value,
    ratio_interval,
)

# Summary of one score


@dataclass(frozen=True)
class Summary:
    """A score over seeds, as a fraction; None where there are too few seeds.

    Attributes:
        n: Number of seeds.
        mean: Arithmetic mean.
        sd: Sample standard deviation; needs two seeds.
        best: Largest value.
        worst: Smallest value.
        interval: Lower and upper end of the 95% interval of the mean; needs five independent runs.
    """

    n: int
    mean: float
    sd: float | None
    best: float
    worst: float
    interval: tuple[float, float] | None


def summarize(values: Sequence[float], samples: Sequence[Hashable] = ()) -> Summary:
    """Return the summary of one score over one seed or more; their order does not matter.

    Args:
        values: The scores.
        samples: The sample that each value is of, as in :func:`by_sample`; none: of one each.
    """
    ordered = sorted(values)
    return Summary(
        n=len(ordered),
        mean=fmean(ordered),
        sd=stdev(ordered) if len(ordered) > 1 else None,
        best=ordered[-1],
        worst=ordered[0],
        interval=mean_interval(by_sample(values, samples) if samples else ordered),
    )


def by_sample(values: Sequence[float], samples: Sequence[Hashable]) -> list[float]:
    """Return one value for each independent sample, of which several values may be.

    Several trainings of one architecture say nothing of other searches, however many they are. With
    equally many values of each sample these are their means. Otherwise a sample with more values
    moves the mean of all more, so the distance of its mean from that is multiplied by the number of
    its values over the average number. Either way the mean of the returned values is that of all,
    and their standard error that of a ratio estimator for clusters of unequal sizes (Cochran,
    Sampling Techniques, 1977, chapter 9A).

    Args:
        values: The values.
        samples: What those of one sample share, such as the seed of their search.
    """
    of_sample: dict[Hashable, list[float]] = {}
    for value, sample in zip(values, samples, strict=True):
        of_sample.setdefault(sample, []).append(value)
    average, n_of_each = fmean(values), len(values) / len(of_sample)
    return [
        fmean(own)
        if len(own) == n_of_each
        else average + len(own) / n_of_each * (fmean(own) - average)
        for own in of_sample.values()
    ]


# Paired tests


@dataclass(frozen=True)
class Comparison:
    """A paired test of two methods on the same seeds.

    Attributes:
        first: Index of the first method.
        second: Index of the second method.
        n: Number of paired seeds.
        difference: Mean of first minus second, as a fraction.
        p: Two-sided p-value of the paired permutation test.
        p_adjusted: The p-value corrected for all comparisons made together (Holm).
        n_persons: Number of test persons of the test over persons; None without one.
        p_persons: Two-sided p-value of exchanging the methods in each test person.
        p_persons_adjusted: The same corrected for all comparisons made together (Holm).
    """

    first: int
    second: int
    n: int
    difference: float
    p: float
    p_adjusted: float
    n_persons: int | None = None
    p_persons: float | None = None
    p_persons_adjusted: float | None = None

    @property
    def smallest_p(self) -> float:
        """The smaller of the corrected p-values over seeds and over persons."""
        return min(
            self.p_adjusted, 1.0 if self.p_persons_adjusted is None else self.p_persons_adjusted
        )


def compare_all(values: Sequence[Sequence[float]]) -> list[Comparison]:
    """Return a paired test of every pair of methods; a single seed has a p-value of 1.

    Args:
        values: [n_methods][n_seeds]; column s holds the scores of seed s.
    """
    pairs = list(combinations(range(len(values)), 2))
    p_values = [
        paired_p_value(values[i], values[j]) if len(values[i]) > 1 else 1.0 for i, j in pairs
    ]
    return [
        Comparison(i, j, len(values[i]), fmean(values[i]) - fmean(values[j]), p, adjusted)
        for (i, j), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


# Improvement over a random baseline


@dataclass(frozen=True)
class Improvement:
    """How much better a method is than random architectures.

    Attributes:
        relative: (mean − mean of random) / mean of random.
        interval: 95% interval of ``relative``; None with fewer than five seeds of each.
        n: Number of seeds of the method.
        n_random: Number of random architectures.
    """

    relative: float
    interval: tuple[float, float] | None
    n: int
    n_random: int


def improvement(values: Sequence[float], random: Sequence[float]) -> Improvement:
    """Return the relative improvement over random architectures with the same training recipe.

    References:
        Yang, Esperança, Carlucci 2020, "NAS evaluation is frustratingly hard", ICLR, section 3.
    """
    ratio = ratio_interval(values, random)
    interval = None if ratio is None else (ratio[0] - 1, ratio[1] - 1)
    return Improvement(fmean(values) / fmean(random) - 1, interval, len(values), len(random))


# Ranks


def open_ranks(
    n_methods: int, n_pairs: int, comparisons: Sequence[Comparison]
) -> list[tuple[int, int]] | None:
    """Return, for each method, the best and the worst rank that the comparisons leave open.

    A method can have no better rank than the number of methods that are significantly better, and
    no worse one than those that are significantly worse. All intervals hold together at 95%.

    Args:
        n_methods: Number of methods.
        n_pairs: Number of seeds.
        comparisons: The tests of all pairs of methods, with p-values corrected together.

    Returns:
        None without tests, or if so few seeds cannot distinguish any two methods.

    References:
        Mogstad, Romano, Shaikh, Wilhelm 2024, "Inference for ranks with applications to mobility
        across neighbourhoods and academic achievement across countries", Rev. Econ. Stud. 91(1).
    """
    if not comparisons or n_pairs < min_pairs_for_significance(len(comparisons)):
        return None
    low, high = [1] * n_methods, [n_methods] * n_methods
    for found in comparisons:
        if found.p_adjusted < SIGNIFICANCE:
            better, worse = found.first, found.second
            if found.difference < 0:
                better, worse = worse, better
            low[worse] += 1
            high[better] -= 1
    return list(zip(low, high, strict=True))
