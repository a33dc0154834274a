"""Leaderboards: a pure function of run records, the same for any order of them.

One board ranks the runs of one track on the same beats with the same split. Runs of the track whose
beats or split differ, be it by an option or by the machine, get a board of their own and are never
averaged or ranked together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.report.published import Published, counterpart_of, figures
from nasbench_ecg.report.statistics import Summary, summarize
from nasbench_ecg.run.record import RunRecord

RANKED_BY = "f1_of_macro"
Seed = tuple[int, int]
"""Seed of the search and seed of the final training."""

_ROLES = ("strategy", "space", "builder", "evaluator")


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
        run_keys: Runs behind this row, sorted.
        rank: Place in the board, 1 the best; None where seeds are missing.
        published: Published figure of the same method, if there is one.
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
    run_keys: tuple[str, ...] = ()
    rank: int | None = None
    published: Published | None = None

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
    """

    track: Track
    dataset_fingerprint: str
    split_fingerprint: str
    options: Mapping[str, Any]
    others: int
    seeds: tuple[Seed, ...]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]


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
    by_data: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        by_data[_data(record)].append(record)
    order = sorted(by_data, key=lambda data: (*_fewness(by_data[data]), data))
    telling = _differing([_data_options(record) for record in records]) if len(order) > 1 else set()
    return [
        _board(track, data, by_data[data], telling=telling, others=len(order) - 1) for data in order
    ]


def _data(record: RunRecord) -> tuple[str, str]:
    return (
        record.dataset.fingerprint if record.dataset else "",
        record.split.fingerprint if record.split else "",
    )


def _fewness(records: Sequence[RunRecord]) -> tuple[int, int]:
    return -sum(record.status == "ok" for record in records), -len(records)


def _board(
    track: Track,
    data: tuple[str, str],
    records: Sequence[RunRecord],
    *,
    telling: set[str],
    others: int,
) -> Leaderboard:
    groups: dict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[_identity(record)].append(record)
    siblings: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for key in groups:
        siblings[key[:3]].append(_options(groups[key][0]))
    rows = [_row(track, key, groups[key], _differing(siblings[key[:3]])) for key in sorted(groups)]
    seeds = tuple(sorted({seed for row in rows for seed in row.seeds}))
    changed = {f"dataset.{name}" for r in records for name in r.components["dataset"].changed}
    options = _data_options(min(records, key=lambda record: record.run_key))
    return Leaderboard(
        track=track,
        dataset_fingerprint=data[0],
        split_fingerprint=data[1],
        options={name: options[name] for name in sorted(telling | changed) if name in options},
        others=others,
        seeds=seeds,
        rows=_ranked([replace(row, missing=_without(seeds, row.seeds)) for row in rows]),
        published=tuple(figures(track.dataset, track.protocol)),
    )


def _identity(record: RunRecord) -> tuple[str, ...]:
    names = [record.components[role].name for role in ("strategy", "space", "builder")]
    return (*names, canonical_json(_options(record)), record.device)


def _options(record: RunRecord) -> dict[str, Any]:
    return _flat(record, _ROLES)


def _data_options(record: RunRecord) -> dict[str, Any]:
    protocol = {f"protocol.{name}": value for name, value in record.protocol_options.items()}
    return {**_flat(record, ("dataset",)), **protocol}


def _flat(record: RunRecord, roles: Sequence[str]) -> dict[str, Any]:
    flat = {}
    for role in roles:
        component = record.components[role]
        flat[f"{role}.revision"] = component.revision
        flat.update({f"{role}.{name}": value for name, value in component.options.items()})
    return flat


def _differing(options: Sequence[Mapping[str, Any]]) -> set[str]:
    names = {name for some in options for name in some}
    return {name for name in names if len({canonical_json(some.get(name)) for some in options}) > 1}


def _row(
    track: Track, identity: tuple[str, ...], records: Sequence[RunRecord], telling: set[str]
) -> Row:
    by_seed: dict[Seed, RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.status != "ok", r.run_key, r.suite)):
        by_seed.setdefault((record.search_seed, record.evaluation_seed), record)
    runs = [by_seed[seed] for seed in sorted(by_seed)]
    finished = [record for record in runs if record.status == "ok"]
    strategy, space, builder, _, device = identity
    options = _options(records[0])
    shown = telling | {
        f"{role}.{name}" for r in records for role in _ROLES for name in r.components[role].changed
    }
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
        run_keys=tuple(sorted(record.run_key for record in runs)),
        published=counterpart_of(track.dataset, track.protocol, strategy=strategy, builder=builder),
    )


def _collected(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = sorted({name for some in figures_by_run for name in some})
    return {name: [some[name] for some in figures_by_run if name in some] for name in names}


def _means(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(values) for name, values in _collected(figures_by_run).items()}


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
