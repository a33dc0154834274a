"""What a leaderboard is made of: a track, its rows, and what tests say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasbench_ecg.report.comparisons import Comparison, Improvement
from nasbench_ecg.report.published import Published
from nasbench_ecg.report.statistics import Summary

RANKED_BY = "f1_of_macro"
Seed = tuple[int, int]
"""Seed of the search and seed of the final training."""


@dataclass(frozen=True, order=True)
class Track:
    """What two results must share to be compared."""

    dataset: str
    protocol: str
    profile: str
    evaluator: str

    def __str__(self) -> str:
        return " · ".join([self.dataset, self.protocol, self.profile, self.evaluator])


@dataclass(frozen=True)
class Row:
    """One strategy, with its builder and options, over its seeds.

    Attributes:
        strategy: Name of the strategy.
        space: Name of the search space.
        builder: Name of the builder.
        device: ``cpu`` or ``cuda``.
        options: Options as ``role.option`` that a user changed, or that tell this row from another
            of the same strategy.
        seeds: Seeds that have a result, sorted.
        missing: Seeds that other rows of the board have a result for and this one has not.
        unfinished: Runs without a result, counted by status; they enter no average.
        scores: Scores over the seeds.
        costs: Mean costs over the seeds, named as in run records.
        seconds: Mean seconds over the seeds, named as in run records.
        values: Scores that the board is ranked by, one for each of ``seeds``; empty where a run
            has none.
        evaluations: Mean number of candidates that the search evaluated.
        recipe: Digest of builder, evaluator, their options and the device: rows of one recipe
            trained their networks alike.
        searched: Digest of the space, its options and the size that networks were limited to: rows
            of one digest chose among the same architectures.
        run_keys: Runs behind this row, sorted.
        rank: Place in the board, 1 the best; None where seeds are missing.
        rank_interval: Best and worst rank of a 95% bootstrap interval, where there is one.
        improvement: Improvement over random architectures of the same recipe and space.
        published: Published figure of the same method, if there is one.
        fronts: Costs for which no ranked row has a higher F1 at no more of them.
    """

    strategy: str
    space: str
    builder: str
    device: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[Seed, ...] = ()
    missing: tuple[Seed, ...] = ()
    unfinished: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Summary] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    evaluations: float | None = None
    recipe: str = ""
    searched: str = ""
    run_keys: tuple[str, ...] = ()
    rank: int | None = None
    rank_interval: tuple[int, int] | None = None
    improvement: Improvement | None = None
    published: Published | None = None
    fronts: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it has a result for every seed of the board."""
        return bool(self.seeds) and not self.missing


@dataclass(frozen=True)
class Leaderboard:
    """The rows of one track on one set of beats and one split, best first.

    Attributes:
        track: The track.
        dataset_fingerprint: SHA-256 of the beats; empty where no run got as far.
        split_fingerprint: SHA-256 of the split; likewise.
        options: Options of dataset and protocol, as ``role.option``, that a user changed or that
            tell this board from another of the track.
        others: Number of other boards of this track, on other beats or splits.
        seeds: Seeds for which any row has a result, sorted.
        rows: Ranked rows in order, then those that are not ranked.
        published: Figures published for the dataset and protocol, best first.
        comparisons: Paired tests between all ranked rows, by their indices.
    """

    track: Track
    dataset_fingerprint: str
    split_fingerprint: str
    options: Mapping[str, Any]
    others: int
    seeds: tuple[Seed, ...]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]
    comparisons: tuple[Comparison, ...] = ()

    def label(self, row: Row) -> str:
        """Return a name of ``row`` that no other row has, with the options that a user changed."""
        from nasbench_ecg.report.text import value_text

        alike = [other for other in self.rows if other.strategy == row.strategy]
        details = [
            f"{name.partition('.')[2]}={value_text(value)}" for name, value in row.options.items()
        ]
        if len({other.builder for other in alike}) > 1:
            details.insert(0, row.builder)
        if len({other.device for other in alike}) > 1:
            details.append(row.device)
        return f"{row.strategy} ({', '.join(details)})" if details else row.strategy
