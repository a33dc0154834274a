"""Paired tests of two methods over the persons of the test part.

The predictions of two methods are exchanged in each person with probability 1/2. In simulations of
equal methods (``tests/test_patients.py``), of which one may vary more between persons, the test
finds a difference at the 5% level in 4.1 to 4.9% of pairs with 10 persons, in 4.8 to 5.0% with 22
and in 4.5 to 6.2% with 44.

References:
    Smucker, Allan, Carterette 2007, "A comparison of statistical significance tests for
    information retrieval evaluation", CIKM, section 3.2: Fisher's randomization of paired systems
    with any statistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nasbench_ecg.report.statistics.patients import PersonMatrices
from nasbench_ecg.statistics import SIGNIFICANCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_EXACT_PERSONS = 22
"""Tests of up to so many persons try all exchanges; those of more draw :data:`EXCHANGES`."""

EXCHANGES = 199_999

FIRST_EXCHANGES = 4999
"""Exchanges that are drawn first; only where their p-value is small are the others worth it."""

_SMALL = 0.1
_DRAWN = 2**9  # exchanges that are drawn and scored at a time
_GROUP = 3  # persons that are exchanged between two looks at the bounds
_BLOCK = 2**16  # counts that are scored at a time where all exchanges are: they stay in the cache
_ROUNDING = 1e-9  # more than the scores' errors of rounding


def paired_person_p_value(first: PersonMatrices, second: PersonMatrices, score: str) -> float:
    """Return the two-sided p-value that two methods are equal in each person.

    The matrices of the two methods are exchanged in every person with probability 1/2, in all runs
    together; the statistic is the difference of their mean scores. Up to
    :data:`MOST_EXACT_PERSONS` persons, p-values below 0.1 are exact. The networks are taken as they
    are: the test is about other persons, not other seeds.

    Args:
        first: The matrices of the one method.
        second: Those of the other, for the same persons and classes, and as many runs.
        score: Name of a score of :func:`nasbench_ecg.metrics.scores_of_many`.
    """
    import numpy as np

    pair, n = _Pair.of(first, second, score), len(first.persons)
    observed = float(pair.differences(pair.changes(np.zeros((1, n), np.int64)))[0])
    if 2**n > FIRST_EXCHANGES + 1:
        p_value = _drawn_p_value(pair, observed, n, FIRST_EXCHANGES)
        if p_value > _SMALL:
            return p_value
    if n > MOST_EXACT_PERSONS:
        return _drawn_p_value(pair, observed, n, EXCHANGES)
    return float(pair.number_that_reach(observed) / 2 ** (n - 1))


def smallest_person_p_value(n_persons: int) -> float:
    """Return the smallest p-value that :func:`paired_person_p_value` can give."""
    return 2.0 ** (1 - n_persons) if n_persons <= MOST_EXACT_PERSONS else 1 / (EXCHANGES + 1)


def min_persons_for_significance(comparisons: int) -> int | None:
    """Return the fewest persons with which one of so many comparisons can reach the 5% level.

    Returns:
        None if no number is enough: the test draws only :data:`EXCHANGES` of the exchanges.
    """
    for n in range(1, MOST_EXACT_PERSONS + 1):
        if comparisons * smallest_person_p_value(n) <= SIGNIFICANCE:
            return n
    return None


def _drawn_p_value(pair: _Pair, observed: float, n: int, draws: int) -> float:
    """Return the p-value over exchanges that are drawn, with the observed one among them."""
    n_extreme = 1
    for exchanged in _drawn_exchanges(n, draws):
        n_extreme += int((pair.differences(pair.changes(exchanged)) >= observed).sum())
    return n_extreme / (draws + 1)


@lru_cache(maxsize=4)
def _drawn_exchanges(n: int, draws: int) -> tuple[NDArray[np.uint8], ...]:
    """Return the exchanges of all tests of ``n`` persons, [up to 512, n] each, zeros and ones."""
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = [min(_DRAWN, draws - start) for start in range(0, draws, _DRAWN)]
    return tuple(rng.integers(2, size=(size, n)).astype(np.uint8) for size in sizes)


def _all_exchanges(n: int) -> NDArray[np.int64]:
    """Return all exchanges of ``n`` persons, [2 ** n, n] of zeros and ones."""
    import numpy as np

    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1


@dataclass(frozen=True, eq=False)
class _Pair:
    """What the scores of two methods need of their matrices; the true classes are the same.

    Attributes:
        support: float64 [n_runs, 1, n_classes], true beats.
        totals: float64 [2, 2, n_classes, n_runs, 1], right and predicted beats of both methods.
        gaps: float64 [2 × n_classes × n_runs, n_persons], what an exchange of a person changes.
        classes: Names of the classes that the score depends on.
        score: Name of the score.
    """

    support: NDArray[np.float64]
    totals: NDArray[np.float64]
    gaps: NDArray[np.float64]
    classes: tuple[str, ...]
    score: str

    @classmethod
    def of(cls, first: PersonMatrices, second: PersonMatrices, score: str) -> _Pair:
        """Return the counts of two methods."""
        import numpy as np

        macro = first.classes if first.macro_classes is None else first.macro_classes
        used = np.isin(first.classes, first.classes if score == "accuracy" else macro)
        both = np.stack([first.matrices, second.matrices]).astype(np.float64)
        counts = np.stack([np.diagonal(both, axis1=-2, axis2=-1), both.sum(axis=-2)], axis=1)
        counts = np.moveaxis(counts[..., used], -1, 2)  # [2, 2, n_classes, n_runs, n_persons]
        return cls(
            support=both[0].sum(axis=(1, 3))[:, None, used],
            totals=counts.sum(axis=-1, keepdims=True),
            gaps=(counts[1] - counts[0]).reshape(-1, len(first.persons)),
            classes=tuple(np.array(first.classes)[used]),
            score=score,
        )

    def changes(self, exchanged: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return what exchanges change in the counts of the first method.

        Args:
            exchanged: [n_exchanges, n_persons], 1 where the methods are exchanged.

        Returns:
            [2 × n_classes × n_runs, n_exchanges]
        """
        import numpy as np

        return self.gaps @ exchanged.T.astype(np.float64)

    def number_that_reach(self, size: float) -> int:
        """Return how many exchanges of persons give a difference of at least ``size``.

        One person is never exchanged: to exchange all persons changes only the sign. The others are
        exchanged group by group, first those who change most. After each group, the largest and the
        smallest counts that the remaining persons allow bound the differences: where all or none
        of them reach ``size``, the remaining persons are not exchanged one by one.
        """
        import numpy as np

        n_counts, n_persons = self.gaps.shape
        shares = self.gaps / np.maximum(self.totals.max(axis=0), 1).reshape(-1, 1)
        gaps = self.gaps[:, np.abs(shares).sum(axis=0).argsort()[::-1]][:, 1:]
        groups = [gaps[:, start : start + _GROUP] for start in range(0, n_persons - 1, _GROUP)]
        branches = [group @ _all_exchanges(group.shape[1]).T.astype(np.float64) for group in groups]
        n_reaching, unknown = 0, [(0, np.zeros((n_counts, 1)))]
        while unknown:
            depth, changes = unknown.pop()
            if depth == len(groups):
                n_reaching += int((self.differences(changes) >= size).sum())
                continue
            changes = (changes[:, :, None] + branches[depth][:, None]).reshape(n_counts, -1)
            if depth + 1 < len(groups):
                remaining = gaps[:, (depth + 1) * _GROUP :]
                least, most = self._range(changes, remaining)
                surely = least >= size + _ROUNDING
                n_reaching += int(surely.sum()) << remaining.shape[1]
                changes = changes[:, ~surely & (most >= size - _ROUNDING)]
            n_blocks = -(-changes.size // _BLOCK)
            if n_blocks:
                unknown += [(depth + 1, b) for b in np.array_split(changes, n_blocks, axis=1)]
        return n_reaching

    def _range(
        self, changes: NDArray[np.float64], remaining: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds of the sizes of the differences, each [n_exchanges].

        Args:
            changes: [2 × n_classes × n_runs, n_exchanges], from :meth:`changes`.
            remaining: [2 × n_classes × n_runs, n_remaining], what an exchange of each person
                changes who may still be exchanged.
        """
        import numpy as np

        shape = (*self.totals.shape[1:-1], -1)
        least, most = (
            (changes + bound(remaining, 0).sum(axis=1)[:, None]).reshape(shape)
            for bound in (np.minimum, np.maximum)
        )
        low, high = self._score_range(self.totals[0] + least, self.totals[0] + most)
        other_low, other_high = self._score_range(self.totals[1] - most, self.totals[1] - least)
        above, below = low - other_high, other_low - high
        return np.maximum(np.maximum(above, below), 0), np.maximum(-above, -below)

    def differences(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sizes of the differences of the mean scores, [n_exchanges].

        Args:
            changes: [2 × n_classes × n_runs, n_exchanges], from :meth:`changes`.
        """
        import numpy as np

        moved = changes.reshape(*self.totals.shape[1:-1], -1)
        first, second = (
            self._mean_scores(*counts)
            for counts in (self.totals[0] + moved, self.totals[1] - moved)
        )
        sizes: NDArray[np.float64] = np.abs(first - second).round(12)
        return sizes

    def _score_range(
        self, least: NDArray[np.float64], most: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds of the mean scores of counts between two, each [n_exchanges].

        Every score rises with the beats that are right and falls with those that are predicted,
        of which there are at least as many.

        Args:
            least: [2, n_classes, n_runs, n_exchanges], the fewest right and predicted beats.
            most: The most.
        """
        import numpy as np

        (fewest, fewest_predicted), (right, most_predicted) = least, most
        lowest = self._mean_scores(fewest, most_predicted)
        return lowest, self._mean_scores(right, np.maximum(fewest_predicted, right))

    def _mean_scores(
        self, right: NDArray[np.float64], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the mean scores over the runs, [n_exchanges].

        Args:
            right: [n_classes, n_runs, n_exchanges], beats that are recognized.
            predicted: As many, beats that are taken for each class.
        """
        import numpy as np

        from nasbench_ecg.metrics import score_of_counts

        right, predicted = np.moveaxis(right, 0, -1), np.moveaxis(predicted, 0, -1)
        of_runs = score_of_counts(self.score, right, self.support, predicted, self.classes)
        return np.asarray(of_runs.mean(axis=0))
