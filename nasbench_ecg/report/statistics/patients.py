"""Scores over the persons of the test part: their matrices, and intervals by resampling persons.

A score on unseen patients varies with the patients as well as with the seeds, and beats of one
person are not independent. So persons are resampled with all their beats, in all runs together.

In a simulation of persons who differ in their class shares and in the difficulty of their beats
(``tests/test_patients.py``), the 95% interval covers 94.4% with 10 persons, 95.0% with 22 and 95.4%
with 44. A class that only a few persons have, such as F, makes an interval less reliable.

References:
    Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8: resampling of
    whole clusters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench_ecg.statistics import CONFIDENCE, MIN_VALUES_FOR_INTERVAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nasbench_ecg.run.record import RunRecord

RESAMPLES = 1999


@dataclass(frozen=True)
class PatientInterval:
    """A 95% interval of the mean score of some runs over test persons.

    Attributes:
        low: Its lower end, as a fraction.
        high: Its upper end.
        n_persons: Number of persons of the test part.
    """

    low: float
    high: float
    n_persons: int


@dataclass(frozen=True)
class Majority:
    """A class that one test person has at least half of the beats of.

    Attributes:
        label: The class.
        person: The person.
        share: Share of the class's test beats, 0.5 to 1.
    """

    label: str
    person: str
    share: float


@dataclass(frozen=True)
class PersonMatrices:
    """The confusion matrices of the runs of a method, by test person.

    Attributes:
        persons: The test persons, the same in all runs.
        matrices: [n_runs, n_persons, n_classes, n_classes].
        classes: Names of the classes.
        macro_classes: The classes that macro scores average over.
    """

    persons: tuple[str, ...]
    matrices: NDArray[np.int64]
    classes: tuple[str, ...]
    macro_classes: tuple[str, ...] | None

    def scores(self, score: str) -> NDArray[np.float64]:
        """Return a score of each run over all its persons, [n_runs]."""
        from nasbench_ecg.metrics import scores_of_many

        totals = self.matrices.sum(axis=1)
        return scores_of_many(totals, self.classes, self.macro_classes)[score]

    def majorities(self) -> tuple[Majority, ...]:
        """Return the classes in macro scores that one person has at least half of the beats of."""
        found = []
        for i, label in enumerate(self.classes):
            beats = self.matrices[0, :, i].sum(axis=-1)
            most, total = int(beats.argmax()), int(beats.sum())
            counts = self.macro_classes is None or label in self.macro_classes
            if counts and total and 2 * beats[most] >= total:
                found.append(Majority(label, self.persons[most], float(beats[most] / total)))
        return tuple(found)


def person_of(record: RunRecord, name: str) -> str:
    """Return the person of one of the records of a run's dataset, across databases if known."""
    return record.dataset.persons.get(name, name) if record.dataset else name


def persons_of(record: RunRecord) -> frozenset[str]:
    """Return the persons of the dataset of a run; empty if the run does not name them."""
    names = record.dataset.records if record.dataset and record.dataset.persons else []
    return frozenset(person_of(record, name) for name in names)


def tests_unseen_records(record: RunRecord) -> bool:
    """Return whether no record of the test part is in the training part."""
    parts = record.split.records if record.split else {}
    test = parts.get("test", [])
    return bool(test) and set(test).isdisjoint(parts.get("train", []))


def persons_in_both_parts(
    record: RunRecord, persons: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the persons of test records of whom other records are in the training part.

    Args:
        record: The run.
        persons: The person of each record, for a run that names none; None: those of the run.
    """
    if not tests_unseen_records(record):
        return ()
    assert record.split is not None
    named = persons or {}
    parts = {
        part: {named.get(name) or person_of(record, name) for name in names}
        for part, names in record.split.records.items()
    }
    return tuple(
        sorted(parts["test"] & (parts.get("train", set()) | parts.get("validation", set())))
    )


def patient_interval(runs: Sequence[RunRecord], score: str) -> PatientInterval | None:
    """Return the interval of the mean score of runs with different seeds over test persons.

    Persons are drawn with replacement from the test part, the same for all runs that have it. Runs
    with other test persons, such as those of another fold, are resampled on their own.

    Args:
        runs: Finished runs of one method on the same classes.
        score: Name of a score of :func:`nasbench_ecg.metrics.scores_of_many`.

    Returns:
        None if a run tests records that it was trained on, or has no matrix for each record, or
        if a test part has fewer than five persons.
    """
    import numpy as np

    from nasbench_ecg.metrics import SCORES

    if not runs or score not in SCORES:
        return None
    by_persons: dict[tuple[str, ...], list[NDArray[np.int64]]] = defaultdict(list)
    for run in runs:
        if not run.per_record or not tests_unseen_records(run):
            return None
        persons, matrices = _by_person(run)
        if len(persons) < MIN_VALUES_FOR_INTERVAL:
            return None
        by_persons[persons].append(matrices)
    rng = np.random.default_rng(0)
    total = np.zeros(RESAMPLES)
    for persons in sorted(by_persons):
        total += resampled_scores(np.stack(by_persons[persons]), runs[0], score, rng).sum(axis=1)
    n_persons = len({person for persons in by_persons for person in persons})
    low, high = expanded_interval((total / len(runs)).round(12), n_persons)
    return PatientInterval(low, high, n_persons)


def _by_person(run: RunRecord) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the test persons of a run and their matrices, [n_persons, n_classes, n_classes]."""
    import numpy as np

    matrices: dict[str, NDArray[np.int64]] = {}
    for name, matrix in run.per_record.items():
        person = person_of(run, name)
        matrices[person] = matrices.get(person, 0) + np.asarray(matrix, dtype=np.int64)
    persons = tuple(sorted(matrices))
    return persons, np.stack([matrices[person] for person in persons])


def resampled_scores(
    matrices: NDArray[np.int64], run: RunRecord, score: str, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the scores of runs on resampled persons, [n_resamples, n_runs].

    Args:
        matrices: [n_runs, n_persons, n_classes, n_classes].
        run: One of the runs, whose classes are those of the matrices.
        score: Name of the score.
        rng: Draws the persons.
    """
    import numpy as np

    from nasbench_ecg.metrics import scores_of_many

    n_runs, n_persons, k, _ = matrices.shape
    times = rng.multinomial(n_persons, np.full(n_persons, 1 / n_persons), size=RESAMPLES)
    totals = np.einsum("bp,rpc->brc", times, matrices.reshape(n_runs, n_persons, k * k))
    totals = totals.reshape(RESAMPLES, n_runs, k, k)
    return scores_of_many(totals, run.classes, run.macro_classes or None)[score]


def expanded_interval(resampled: NDArray[np.float64], n: int) -> tuple[float, float]:
    """Return the 95% interval of a statistic from its bootstrap distribution over ``n`` persons.

    Its percentiles are moved outwards as far as Student's t with n − 1 degrees of freedom and the
    sample variance exceed the normal distribution and the variance of bootstrap samples.

    References:
        Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician
        69(4), section 4.1: the expanded percentile interval.
    """
    import numpy as np
    from scipy.stats import norm, t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, n - 1))
    tail = float(norm.cdf(-quantile * (n / (n - 1)) ** 0.5))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def person_matrices(runs: Sequence[RunRecord]) -> PersonMatrices | None:
    """Return the matrices of the runs of one method with different seeds, by test person.

    Args:
        runs: Finished runs on the same classes.

    Returns:
        None if a run tests records that it was trained on, or has no matrix for each record, or if
        the runs have different test persons, or fewer than five.
    """
    import numpy as np

    if not runs or not all(run.per_record and tests_unseen_records(run) for run in runs):
        return None
    by_run = [_by_person(run) for run in runs]
    persons = by_run[0][0]
    if len(persons) < MIN_VALUES_FOR_INTERVAL or any(own != persons for own, _ in by_run):
        return None
    matrices = np.stack([matrices for _, matrices in by_run])
    macro = tuple(runs[0].macro_classes) or None
    return PersonMatrices(persons, matrices, tuple(runs[0].classes), macro)
