"""What a leaderboard is made of: a track, its rows, and what tests say of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.report.analysis import across_datasets, with_verdicts
from nasbench_ecg.report.published import Published, counterpart_of, figures
from nasbench_ecg.report.statistics import (
    Comparison,
    CriticalDifference,
    Improvement,
    Summary,
    summarize,
)
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of

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


__all__ = ["RANKED_BY", "Leaderboard", "Row", "Seed", "Track", "leaderboards"]

Data = tuple[str, str]
"""Fingerprints of beats and of split."""

_NO_DATA: Data = ("", "")
_ROLES = ("strategy", "space", "builder", "evaluator")
_SIZE_LIMIT = "max_parameters"
"""Option by which searches refuse larger networks."""


def leaderboards(records: Iterable[RunRecord]) -> list[Leaderboard]:
    """Return the leaderboards of run records, by track; within a track the one of most runs first.

    A result that is stored twice, in two suites or by two runs of the same options and seeds,
    counts once.
    """
    tracks: dict[Track, list[RunRecord]] = defaultdict(list)
    for record in records:
        tracks[Track(*record.track)].append(record)
    return [board for track in sorted(tracks) for board in _boards(track, tracks[track])]


def _boards(track: Track, records: Sequence[RunRecord]) -> list[Leaderboard]:
    by_data = _by_data(records)
    known = [data for data in by_data if data != _NO_DATA]
    several = len(by_data) > 1
    telling = _differing([_data_options(record) for record in records]) if several else set()
    return [
        _board(
            track, data, by_data[data], telling=telling,
            others=0 if data == _NO_DATA else len(known) - 1,
        )
        for data in by_data
    ]  # fmt: skip


def _by_data(records: Sequence[RunRecord]) -> dict[Data, list[RunRecord]]:
    """Return records by fingerprint of beats and split, those of most runs first.

    Runs that were ended from outside know neither: they go with the most runs of equal options.
    """
    found: dict[Data, list[RunRecord]] = defaultdict(list)
    ended: list[RunRecord] = []
    for record in records:
        if record.dataset and record.split:
            found[record.dataset.fingerprint, record.split.fingerprint].append(record)
        else:
            ended.append(record)
    by_data = {data: found[data] for data in sorted(found, key=lambda d: (*_fewness(found[d]), d))}
    homes = {data: [_data_options(record) for record in some] for data, some in by_data.items()}
    for record in ended:
        options = _data_options(record)
        home = next((data for data in homes if options in homes[data]), _NO_DATA)
        by_data.setdefault(home, []).append(record)
    return by_data


def _fewness(records: Sequence[RunRecord]) -> tuple[int, int]:
    return -sum(record.status == "ok" for record in records), -len(records)


def _board(
    track: Track,
    data: Data,
    records: Sequence[RunRecord],
    *,
    telling: set[str],
    others: int,
) -> Leaderboard:
    groups = _groups(records)
    siblings: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for key in groups:
        siblings[key[:3]].append(json.loads(key[3]))
    rows = [_row(track, key, groups[key], _differing(siblings[key[:3]])) for key in sorted(groups)]
    seeds = tuple(sorted({seed for row in rows for seed in row.seeds}))
    changed = {f"dataset.{name}" for r in records for name in r.components["dataset"].changed}
    options = _data_options(min(records, key=lambda record: record.run_key))
    board = Leaderboard(
        track=track,
        dataset_fingerprint=data[0],
        split_fingerprint=data[1],
        options={name: options[name] for name in sorted(telling | changed) if name in options},
        others=others,
        seeds=seeds,
        rows=_ranked([replace(row, missing=_without(seeds, row.seeds)) for row in rows]),
        published=tuple(figures(track.dataset, track.protocol)),
    )
    return with_verdicts(board)


def _groups(records: Sequence[RunRecord]) -> dict[tuple[str, ...], list[RunRecord]]:
    """Return the records of each row by what identifies it.

    Architectures that one strategy found elsewhere with several seeds are one row, unless two of
    them were trained here with the same seed.
    """
    pooled: dict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        pooled[_identity(record)].append(record)
    groups: dict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for identity, some in pooled.items():
        origins: dict[Seed, set[str]] = defaultdict(set)
        for record in some:
            origins[_seed(record)].add((origin_of(record) or {}).get("run_key", ""))
        apart = any(len(keys) > 1 for keys in origins.values())
        for record in some:
            groups[_identity(record, by_origin=True) if apart else identity].append(record)
    return groups


def _identity(record: RunRecord, *, by_origin: bool = False) -> tuple[str, ...]:
    names = [record.components[role].name for role in ("space", "builder")]
    options = canonical_json(_options(record, by_origin=by_origin))
    return (_method(record), *names, options, record.device)


def _seed(record: RunRecord) -> Seed:
    return record.search_seed, record.evaluation_seed


def _method(record: RunRecord) -> str:
    """Return the name of the strategy, or of that which found the architecture elsewhere."""
    origin = origin_of(record)
    return f"{origin['strategy']}, found on {origin['dataset']}" if origin else record.strategy


def _options(record: RunRecord, *, by_origin: bool = False) -> dict[str, Any]:
    """Return what tells rows of one method apart; of an architecture from elsewhere, its run."""
    options = _flat(record, _ROLES)
    options.update({f"budget.{name}": limit for name, limit in record.budget.items()})
    if (origin := origin_of(record)) is not None:
        for name in ("architecture", "origin"):
            del options[f"strategy.{name}"]
        options["strategy.found_under"] = origin.get("protocol")
        if by_origin:
            options["strategy.origin"] = origin["run_key"][:8]
    return options


def _data_options(record: RunRecord) -> dict[str, Any]:
    protocol = {f"protocol.{name}": value for name, value in record.protocol_options.items()}
    return {**_flat(record, ("dataset",)), **protocol}


def _flat(record: RunRecord, roles: Sequence[str]) -> dict[str, Any]:
    """Return the options of some components; null ones are left out, as they are of run keys."""
    flat = {}
    for role in roles:
        component = record.components[role]
        flat[f"{role}.revision"] = component.revision
        set_ = {name: value for name, value in component.options.items() if value is not None}
        flat.update({f"{role}.{name}": value for name, value in set_.items()})
    return flat


def _differing(options: Sequence[Mapping[str, Any]]) -> set[str]:
    names = {name for some in options for name in some}
    return {name for name in names if len({canonical_json(some.get(name)) for some in options}) > 1}


def _row(
    track: Track, identity: tuple[str, ...], records: Sequence[RunRecord], telling: set[str]
) -> Row:
    by_seed: dict[Seed, RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.status != "ok", r.run_key, r.suite)):
        by_seed.setdefault(_seed(record), record)
    runs = [by_seed[seed] for seed in sorted(by_seed)]
    finished = [record for record in runs if record.status == "ok"]
    strategy, space, builder, text, device = identity
    options = json.loads(text)
    finder = (origin_of(records[0]) or {}).get("strategy", strategy)
    shown = telling | {
        f"{role}.{name}" for r in records for role in _ROLES for name in r.components[role].changed
    }
    shown |= {name for name in options if name.startswith("budget.")}
    return Row(
        strategy=strategy,
        space=space,
        builder=builder,
        device=device,
        options={name: options[name] for name in sorted(shown) if name in options},
        seeds=tuple((record.search_seed, record.evaluation_seed) for record in finished),
        unfinished=dict(sorted(Counter(r.status for r in runs if r.status != "ok").items())),
        scores={
            name: summarize(values)
            for name, values in _collected([record.metrics for record in finished]).items()
        },
        costs=_means([record.costs for record in finished]),
        seconds=_means([record.seconds for record in finished]),
        values=_all_or_none([record.metrics.get(RANKED_BY) for record in finished]),
        evaluations=_mean_evaluations(finished),
        recipe=digest([builder, _flat(records[0], ("builder", "evaluator")), device])[:16],
        searched=_searched(records[0]),
        run_keys=tuple(sorted(record.run_key for record in runs)),
        published=counterpart_of(track.dataset, track.protocol, strategy=finder, builder=builder),
    )


def _searched(record: RunRecord) -> str:
    space = record.components["space"].name
    limit = record.components["strategy"].options.get(_SIZE_LIMIT)
    return digest([space, _flat(record, ("space",)), limit])[:16]


def _collected(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = sorted({name for some in figures_by_run for name in some})
    return {name: [some[name] for some in figures_by_run if name in some] for name in names}


def _means(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(values) for name, values in _collected(figures_by_run).items()}


def _all_or_none(values: Sequence[float | None]) -> tuple[float, ...]:
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else ()


def _mean_evaluations(records: Sequence[RunRecord]) -> float | None:
    """Return the mean number of candidates evaluated; a run without trajectory evaluated none."""
    if not records:
        return None
    return fmean(r.trajectory[-1].get("evaluations", 0.0) if r.trajectory else 0.0 for r in records)


def _without(seeds: Sequence[Seed], taken: Sequence[Seed]) -> tuple[Seed, ...]:
    return tuple(seed for seed in seeds if seed not in taken)


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with their ranks, in order; rows of one mean share a rank."""
    means = [row.scores[RANKED_BY].mean for row in rows if _can_be_ranked(row)]
    placed = [
        replace(row, rank=1 + sum(mean > row.scores[RANKED_BY].mean for mean in means))
        if _can_be_ranked(row)
        else row
        for row in rows
    ]
    return tuple(sorted(placed, key=_place))


def _can_be_ranked(row: Row) -> bool:
    score = row.scores.get(RANKED_BY)
    return row.complete and score is not None and score.n == len(row.seeds)


def _place(row: Row) -> tuple[Any, ...]:
    mean = row.scores[RANKED_BY].mean if RANKED_BY in row.scores else -1.0
    name = (row.strategy, row.builder, canonical_json(dict(row.options)), row.device)
    return (row.rank is None, row.rank or 0, -mean, *name)


@dataclass(frozen=True)
class Report:
    """What some runs say.

    Attributes:
        title: Heading.
        boards: One leaderboard a track.
        across: Methods compared over several datasets, by what these share.
        records: The runs by key; of one that is stored twice, the one that counts.
        drawings: Architectures as text, by hash.
    """

    title: str
    boards: tuple[Leaderboard, ...]
    across: Mapping[str, CriticalDifference]
    records: Mapping[str, RunRecord]
    drawings: Mapping[str, str]

    def finished(self, row: Row) -> list[RunRecord]:
        """Return the runs with a result behind a row, by seed."""
        found = [self.records[key] for key in row.run_keys]
        return sorted(
            (record for record in found if record.status == "ok"),
            key=lambda record: (record.search_seed, record.evaluation_seed),
        )


def assemble(
    records: Sequence[RunRecord],
    title: str,
    draw: Callable[[RunRecord], str | None] = lambda record: None,
) -> Report:
    """Return the report of some runs.

    Args:
        records: The runs.
        title: Its heading.
        draw: Returns the architecture that a run found as text, None where it cannot be drawn.
    """
    boards = tuple(leaderboards(records))
    by_key: dict[str, RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.status != "ok", r.run_key, r.suite)):
        by_key.setdefault(record.run_key, record)
    drawings: dict[str, str] = {}
    for record in by_key.values():
        if record.architecture_hash and record.architecture_hash not in drawings:
            drawing = draw(record)
            if drawing:
                drawings[record.architecture_hash] = drawing.rstrip("\n")
    return Report(title, boards, across_datasets(boards), by_key, drawings)
