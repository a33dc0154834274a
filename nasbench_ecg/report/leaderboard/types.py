"""What a leaderboard holds: the track that its runs share, one row per method, published scores.

:func:`nasbench_ecg.report.leaderboard.build.leaderboards` makes leaderboards from run records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, get_args

from nasbench_ecg.options import short_names
from nasbench_ecg.report.leaderboard.overlap import Overlap
from nasbench_ecg.report.leaderboard.published import Published
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.report.statistics.datasets import CriticalDifference
from nasbench_ecg.report.statistics.patients import Majority, PatientInterval
from nasbench_ecg.report.statistics.seed_noise import SeedNoise
from nasbench_ecg.report.statistics.seeds import Comparison, Improvement, Summary, by_sample
from nasbench_ecg.report.table import Cell, Column
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.run.record import RunRecord

SUBMITTED = "submission.submitted_by"
"""What options of rows call the one who submitted their runs."""

Seed = tuple[int, int]
"""Seed of the search and seed of the final training."""

RunId = tuple[str, str | None]
"""Run key, and who submitted the run: one run made twice has one key, and maybe two results."""


@dataclass(frozen=True, order=True)
class Track:
    """What two results must share to be comparable."""

    dataset: str
    protocol: str
    profile: str
    evaluator: str

    def __str__(self) -> str:
        return " · ".join([self.dataset, self.protocol, self.profile, self.evaluator])


@dataclass(frozen=True)
class FoldSpread:
    """A score over single folds.

    Attributes:
        n: Number of folds.
        mean: Arithmetic mean.
        sd: Sample standard deviation; None for a single fold.
    """

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class RowFolds:
    """The folds of a method under a protocol with folds; its scores are of all folds together.

    Attributes:
        k: Number of folds.
        missing: Seeds that lack folds, in order, with these folds; such a seed has no score.
        spread: Spread over the folds of their own scores.
        from_matrix: Whether the scores are those of the summed confusion matrix. If an evaluator
            gives no matrix, they are means over the folds.
    """

    k: int
    missing: tuple[tuple[Seed, tuple[int, ...]], ...]
    spread: Mapping[str, FoldSpread]
    from_matrix: bool = True


@dataclass(frozen=True)
class Row:
    """One method over its seeds: a strategy with its space, builder, options and device.

    Attributes:
        strategy: Name of the strategy.
        space: Name of the search space.
        builder: Name of the builder.
        device: ``cpu`` or ``cuda``.
        options: Options, as ``role.option``, that a user changed or that distinguish this row from
            others of the same strategy, and those that most other rows have with another value;
            None where this row has the default.
        seeds: Seeds with a result, sorted.
        missing: Seeds for which other rows have a result and this one has not, sorted.
        runs_without_result: Number of runs without a result, by status. No average includes them.
        scores: Scores over the seeds, as fractions.
        costs: Mean costs over the seeds, by their names in run records.
        seconds: Mean durations over the seeds, by their names in run records.
        score_by_seed: The score that ranks, for each of ``seeds``; empty if a run lacks it.
        evaluations: Mean number of candidates that the search evaluated.
        recipe_digest: Digest of builder, evaluator, their options and the device. Rows with the
            same digest trained their networks in the same way.
        space_digest: Digest of the space, its options and the size limit of networks. Rows with the
            same digest searched the same architectures.
        method_digest: Digest of all that identifies the method, whichever leaderboard it is on.
        run_keys: The runs of this row, sorted.
        rank: Rank, 1 is best; None if the row cannot be ranked.
        rank_interval: Best and worst rank that the paired tests leave open, if they can tell.
        improvement: Improvement over random architectures of the same recipe and space.
        patients: Interval of the score that ranks over the persons of the test part, where these
            are in no training part.
        published: Published scores of the same method, if there are any.
        pareto_costs: Costs for which the row lies on the Pareto front of the score that ranks
            against that cost.
        ranked_by: Name of the score that ranks: :data:`RANKED_BY` or :data:`OWN_SCORE`.
        folds: The folds that each seed was run on, if the protocol has folds.
        processors: Number of runs by what computed them: a GPU, or a processor with its threads.
    """

    strategy: str
    space: str
    builder: str
    device: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[Seed, ...] = ()
    missing: tuple[Seed, ...] = ()
    runs_without_result: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Summary] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    score_by_seed: tuple[float, ...] = ()
    evaluations: float | None = None
    recipe_digest: str = ""
    space_digest: str = ""
    method_digest: str = ""
    run_keys: tuple[str, ...] = ()
    rank: int | None = None
    rank_interval: tuple[int, int] | None = None
    improvement: Improvement | None = None
    patients: PatientInterval | None = None
    published: Published | None = None
    pareto_costs: tuple[str, ...] = ()
    ranked_by: str = RANKED_BY
    folds: RowFolds | None = None
    processors: Mapping[str, int] = field(default_factory=dict)

    @property
    def submitted_by(self) -> str | None:
        """Who submitted its runs; None for runs of this project and of your own."""
        by: str | None = self.options.get(SUBMITTED)
        return by

    @property
    def run_ids(self) -> tuple[RunId, ...]:
        """The runs of this row, with the one who submitted them."""
        return tuple((key, self.submitted_by) for key in self.run_keys)

    @property
    def ranking(self) -> Summary | None:
        """The score that ranks, over the seeds; None if no run has it."""
        return self.scores.get(self.ranked_by)

    @property
    def ranking_mean(self) -> float:
        """Mean of the score that ranks; minus infinity if no run has it."""
        return self.ranking.mean if self.ranking else -inf

    @property
    def score_by_search(self) -> tuple[float, ...]:
        """The score that ranks, one value for each seed of a search; empty if a run lacks it."""
        searches = [search for search, _ in self.seeds]
        return tuple(by_sample(self.score_by_seed, searches)) if self.score_by_seed else ()

    @property
    def can_be_ranked(self) -> bool:
        """Whether every seed of the leaderboard has a result with the score that ranks."""
        score = self.ranking
        return not self.missing and score is not None and score.n == len(self.seeds)


@dataclass(frozen=True)
class Leaderboard:
    """The methods of one track on the same beats and the same split, best first.

    Attributes:
        track: The track.
        dataset_fingerprint: SHA-256 of the beats; empty if no run loaded them.
        split_fingerprint: SHA-256 of the split; likewise.
        options: Options of dataset and protocol, as ``role.option``, that a user changed or that
            distinguish this leaderboard from others of the track; and those of the evaluator that
            all of its rows have in common.
        usual: Values of evaluator options, as ``role.option``, that most rows have; labels name
            them only where a row has another value.
        macro_classes: The classes that macro scores average over; empty if no run loaded the beats.
        n_others: Number of other leaderboards of this track, on other beats, splits or classes.
        seeds: Seeds for which any row has a result, sorted.
        rows: Ranked rows in order, then the rows without a rank.
        published: Scores published for the dataset and protocol, best first; empty where
            records are left out, because published scores are of all.
        comparisons: Paired tests between all ranked rows, by their indices.
        ranked_by: Name of the score that ranks: :data:`RANKED_BY` or :data:`OWN_SCORE`.
        searched: Records of persons on whom transferred architectures were searched.
        also_in: Records of persons who are also on leaderboards of other databases.
        majorities: Classes that one test person has at least half of the beats of, where test
            persons are in no training part.
        shared_persons: Persons of the test part of whom other records are in the training part.
        seed_noise: By search space, how much of its differences is the seed, where it is measured.
    """

    track: Track
    dataset_fingerprint: str
    split_fingerprint: str
    options: Mapping[str, Any]
    macro_classes: tuple[str, ...]
    n_others: int
    seeds: tuple[Seed, ...]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]
    usual: Mapping[str, Any] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    ranked_by: str = RANKED_BY
    searched: tuple[Overlap, ...] = ()
    also_in: tuple[Overlap, ...] = ()
    majorities: tuple[Majority, ...] = ()
    shared_persons: tuple[str, ...] = ()
    seed_noise: Mapping[str, SeedNoise] = field(default_factory=dict)

    @property
    def n_searches(self) -> int:
        """Number of different seeds of searches, the independent samples of a method."""
        return len({search for search, _ in self.seeds})

    @property
    def score_name(self) -> str:
        """What tables call the score that ranks: ``F1``, or ``score`` if it is the evaluator's."""
        return "F1" if self.ranked_by == RANKED_BY else "score"

    @property
    def processors(self) -> Mapping[str, int]:
        """Number of runs by what computed them; durations of two of these do not compare."""
        total: Counter[str] = Counter()
        for row in self.rows:
            total.update(row.processors)
        return dict(sorted(total.items()))

    def details(self, row: Row) -> list[str]:
        """Return what distinguishes ``row`` from others of its strategy, and changed options."""
        same_strategy = [other for other in self.rows if other.strategy == row.strategy]
        names = short_names({name for other in same_strategy for name in self._unusual(other)})
        details = [
            f"{names[key]}={'default' if value is None else value_text(value)}"
            for key, value in self._unusual(row).items()
        ]
        same_builder = [other for other in same_strategy if other.builder == row.builder]
        if len({other.space for other in same_builder}) > 1:
            details.insert(0, row.space)
        if len(same_builder) < len(same_strategy):
            details.insert(0, row.builder)
        if len({other.device for other in same_strategy}) > 1:
            details.append(row.device)
        return details

    def _unusual(self, row: Row) -> dict[str, Any]:
        """Return the options of ``row`` without those that have the usual value."""
        options = row.options.items()
        return {k: v for k, v in options if k not in self.usual or v != self.usual[k]}

    def label(self, row: Row) -> str:
        """Return a unique name of ``row``, for example ``random (samples=1, cuda)``."""
        details = self.details(row)
        return f"{row.strategy} ({', '.join(details)})" if details else row.strategy


@dataclass(frozen=True)
class Report:
    """Everything that is written about a set of runs.

    Attributes:
        title: Heading.
        leaderboards: The leaderboards, by track.
        across_datasets: Comparison of methods over several datasets, by what these share.
        records: The runs by :data:`RunId`; of a run that is stored twice, the record that counts.
        drawings: Architectures drawn as text, by hash.
        about: What the suite of the runs compares, by its author; empty if they are of several.
    """

    title: str
    leaderboards: tuple[Leaderboard, ...]
    across_datasets: Mapping[str, CriticalDifference]
    records: Mapping[RunId, RunRecord]
    drawings: Mapping[str, str]
    about: str = ""

    def finished_runs(self, row: Row) -> list[RunRecord]:
        """Return the runs of a row that have a result, by seed."""
        runs = [self.records[run_id] for run_id in row.run_ids]
        return sorted(
            (record for record in runs if record.status == "ok"),
            key=lambda record: (record.search_seed, record.evaluation_seed),
        )


# A column

Format = Literal["terminal", "markdown", "latex", "html", "csv"]
ALL_FORMATS: frozenset[Format] = frozenset(get_args(Format))
CSV_ONLY: frozenset[Format] = frozenset({"csv"})


def _no_cell(_: Any) -> Cell:
    return Cell()


def _no_values(_: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class LeaderboardColumn:
    """A column of a leaderboard: how it gets its values, how it shows them, and where.

    Attributes:
        column: Heading, meaning, alignment and priority.
        ours: Cell of one of our rows.
        theirs: Cell of a published method.
        values: Unrounded values of one of our rows, by their names in CSV files.
        their_values: The same of a published method.
        formats: Formats that have the column.
    """

    column: Column
    ours: Callable[[Row], Cell]
    theirs: Callable[[Published], Cell] = _no_cell
    values: Callable[[Row], Mapping[str, Any]] = _no_values
    their_values: Callable[[Published], Mapping[str, Any]] = _no_values
    formats: frozenset[Format] = ALL_FORMATS
