"""From run records to leaderboards: records are grouped by track, data and method, then ranked."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.metrics import ec57_scores
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.report.leaderboard.comparisons import across_datasets, with_comparisons
from nasbench_ecg.report.leaderboard.folds import FoldSet, pool_folds, row_folds
from nasbench_ecg.report.leaderboard.grouping import (
    METHOD_ROLES,
    NO_DATA,
    Data,
    by_data,
    by_method,
    common_options,
    data_options,
    differing,
    each_once,
    flat_options,
    results_first,
    runs_by_seed,
    seed_of,
    usual_options,
)
from nasbench_ecg.report.leaderboard.overlap import Persons
from nasbench_ecg.report.leaderboard.published import counterpart, published_for
from nasbench_ecg.report.leaderboard.types import SUBMITTED, Leaderboard, Report, Row, RunId, Track
from nasbench_ecg.report.measures import OWN_SCORE, RANKED_BY
from nasbench_ecg.report.statistics.patients import (
    patient_interval,
    person_matrices,
    persons_in_both_parts,
    persons_of,
    tests_unseen_records,
)
from nasbench_ecg.report.statistics.seed_noise import SeedNoise, StoredNoise
from nasbench_ecg.report.statistics.seeds import summarize
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import counted

_SIZE_LIMITS = ("max_parameters", "max_macs", "max_flash", "max_ram")
"""Options by which searches refuse larger networks."""


def build_report(
    records: Sequence[RunRecord],
    title: str,
    draw: Callable[[RunRecord], str | None] = lambda record: None,
    *,
    registry: Registry | None = None,
    about: str = "",
    noise: Sequence[StoredNoise] = (),
) -> Report:
    """Return the report of some runs.

    Args:
        records: The runs.
        title: Its heading.
        draw: Returns the architecture that a run found as text, None if it cannot be drawn.
        registry: The components that name persons, for records that do not; None: the installed.
        about: What the suite of the runs compares.
        noise: Measurements of the noise of the seed.
    """
    boards = tuple(leaderboards(records))
    by_id = each_once(records)
    by_key: dict[str, RunRecord] = {}
    for record in sorted(records, key=results_first):
        by_key.setdefault(record.run_key, record)
    drawings: dict[str, str] = {}
    for record in by_id.values():
        if record.architecture_hash and record.architecture_hash not in drawings:
            drawing = draw(record)
            if drawing:
                drawings[record.architecture_hash] = drawing.rstrip("\n")
    persons = [_persons_of(board, by_key) for board in boards]
    across = across_datasets(boards, persons)
    boards = _with_noise(boards, by_id, noise)
    return Report(title, _with_overlaps(boards, by_key, registry), across, by_id, drawings, about)


def leaderboards(records: Iterable[RunRecord]) -> list[Leaderboard]:
    """Return the leaderboards of run records, by track; within a track the one of most runs first.

    A result that is stored twice, in two suites or by two runs with the same options and seeds,
    counts once. The folds of one method and seed are one result.
    """
    tracks: dict[Track, list[RunRecord]] = defaultdict(list)
    pooled, folds = pool_folds(records)
    for record in pooled:
        tracks[Track(*record.track)].append(record)
    return [board for track in sorted(tracks) for board in _of_track(track, tracks[track], folds)]


# One leaderboard for each set of beats and split


def _of_track(
    track: Track, records: Sequence[RunRecord], folds: Mapping[str, FoldSet]
) -> list[Leaderboard]:
    groups = by_data(records)
    n_known = sum(data != NO_DATA for data in groups)
    distinguishing = differing([data_options(r) for r in records]) if len(groups) > 1 else set()
    return [
        _leaderboard(
            track,
            data,
            groups[data],
            distinguishing,
            folds,
            n_others=0 if data == NO_DATA else n_known - 1,
        )
        for data in groups
    ]


def _leaderboard(
    track: Track,
    data: Data,
    records: Sequence[RunRecord],
    distinguishing: set[str],
    folds: Mapping[str, FoldSet],
    *,
    n_others: int,
) -> Leaderboard:
    """Return one leaderboard; ``distinguishing`` names the options of data to show."""
    methods = by_method(records)
    by_name: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for method in methods:
        by_name[method[:3]].append(json.loads(method[3]))
    ranked_by = _ranked_by(records)
    rows = [
        _row(method, methods[method], differing(by_name[method[:3]]), ranked_by, folds)
        for method in sorted(methods)
    ]
    common = common_options(rows)
    rows = [
        replace(row, options={k: v for k, v in row.options.items() if k not in common})
        for row in rows
    ]
    usual = usual_options(rows)
    rows = [
        replace(row, options={**{n: json.loads(method[3]).get(n) for n in usual}, **row.options})
        for method, row in zip(sorted(methods), rows, strict=True)
    ]
    seeds = tuple(sorted({seed for row in rows for seed in row.seeds}))
    missing = [tuple(seed for seed in seeds if seed not in row.seeds) for row in rows]
    changed = {f"dataset.{name}" for r in records for name in r.components["dataset"].changed}
    options = data_options(min(records, key=lambda record: record.run_key))
    board = Leaderboard(
        track=track,
        dataset_fingerprint=data[0],
        split_fingerprint=data[1],
        options={
            **{name: options[name] for name in sorted(distinguishing | changed) if name in options},
            **common,
        },
        macro_classes=data[2],
        n_others=n_others,
        seeds=seeds,
        rows=_ranked(
            [replace(row, missing=seeds) for row, seeds in zip(rows, missing, strict=True)]
        ),
        published=tuple(next(filter(None, map(published_for, records)), [])),
        usual=usual,
        ranked_by=ranked_by,
    )
    persons = {
        row.run_ids: person_matrices(
            [run for run in runs_by_seed(methods[method]) if run.status == "ok"]
        )
        for method, row in zip(sorted(methods), rows, strict=True)
    }
    known = {ids: own for ids, own in persons.items() if own is not None}
    majorities = next(iter(known.values())).majorities() if known else ()
    shared = {person for record in records for person in persons_in_both_parts(record)}
    board = replace(board, majorities=majorities, shared_persons=tuple(sorted(shared)))
    return with_comparisons(board, known)


def _ranked_by(records: Sequence[RunRecord]) -> str:
    """Return the score that ranks: F1, unless an evaluator of these runs ranks by another score."""
    finished = [record for record in records if record.status == "ok"]
    own = any(r.score is not None and r.score != r.metrics.get(RANKED_BY) for r in finished)
    return OWN_SCORE if own else RANKED_BY


def _metrics(record: RunRecord, ranked_by: str) -> Mapping[str, float]:
    """Return the metrics of a run with the score that ranks.

    A record without a score is older than that field; its evaluator ranked by F1 if it has one.
    Gross scores that count no beat, which older records give as zero, are left out.
    """
    metrics = record.metrics
    if record.confusion is not None:
        counted = ec57_scores(np.asarray(record.confusion), record.classes)
        metrics = {
            name: value
            for name, value in metrics.items()
            if not name.startswith("ec57_") or name in counted
        }
    score = record.metrics.get(RANKED_BY) if record.score is None else record.score
    if ranked_by == RANKED_BY or score is None:
        return metrics
    return {**metrics, OWN_SCORE: score}


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with their ranks, in order; rows with equal means share a rank."""
    means = [round(row.ranking_mean, 12) for row in rows if row.can_be_ranked]
    ranked = [
        replace(row, rank=1 + sum(mean > round(row.ranking_mean, 12) for mean in means))
        if row.can_be_ranked
        else row
        for row in rows
    ]
    return tuple(sorted(ranked, key=_position))


def _position(row: Row) -> tuple[Any, ...]:
    name = (row.strategy, row.builder, canonical_json(dict(row.options)), row.device)
    return (row.rank is None, row.rank or 0, -row.ranking_mean, *name)


def _row(
    method: tuple[str, ...],
    records: Sequence[RunRecord],
    distinguishing: set[str],
    ranked_by: str,
    folds: Mapping[str, FoldSet],
) -> Row:
    """Return the row of one method; ``distinguishing`` names the options to show."""
    runs = runs_by_seed(records)
    finished = [record for record in runs if record.status == "ok"]
    sets = [folds[record.run_key] for record in runs if record.run_key in folds]
    single = [record for record in runs if record.run_key not in folds]
    single += [record for one in sets for record in one.runs.values()]
    metrics = [_metrics(record, ranked_by) for record in finished]
    searches = _by_name(
        [dict.fromkeys(m, run.search_seed) for run, m in zip(finished, metrics, strict=True)]
    )
    score_by_seed = [one[ranked_by] for one in metrics if ranked_by in one]
    strategy, space, builder, options_json, device = method
    options = json.loads(options_json)
    shown = distinguishing | {
        f"{role}.{name}"
        for r in records
        for role in METHOD_ROLES
        for name in r.components[role].changed
    }
    shown |= {name for name in options if name.startswith(("budget.", "protocol.", SUBMITTED))}
    return Row(
        strategy=strategy,
        space=space,
        builder=builder,
        device=device,
        options={name: options[name] for name in sorted(shown) if name in options},
        seeds=tuple(seed_of(record) for record in finished),
        runs_without_result=dict(
            sorted(Counter(record.status for record in single if record.status != "ok").items())
        ),
        scores={name: summarize(own, searches[name]) for name, own in _by_name(metrics).items()},
        costs=_means([record.costs for record in finished]),
        seconds=_means([record.seconds for record in finished]),
        score_by_seed=tuple(score_by_seed) if len(score_by_seed) == len(finished) else (),
        evaluations=_mean_evaluations(finished),
        recipe_digest=digest([builder, flat_options(records[0], ("builder", "evaluator")), device])[
            :16
        ],
        space_digest=_space_digest(records[0]),
        method_digest=digest(list(method))[:16],
        run_keys=tuple(sorted(record.run_key for record in single)),
        patients=patient_interval(finished, ranked_by),
        published=next(filter(None, map(counterpart, records)), None),
        ranked_by=ranked_by,
        folds=row_folds(sets),
        processors=dict(Counter(_processor(one) for one in single if one.status == "ok")),
    )


def _processor(record: RunRecord) -> str:
    """Return what computed a run."""
    known = record.provenance
    if record.device == "cuda":
        return str(known.get("gpu", "an unknown GPU"))
    threads = known.get("threads")
    name = known.get("cpu", "an unknown processor")
    return f"{name} with {counted(threads, 'thread')}" if isinstance(threads, int) else str(name)


def _space_digest(record: RunRecord) -> str:
    space = record.components["space"].name
    strategy = record.components["strategy"].options
    limits = [strategy.get(name) for name in _SIZE_LIMITS]
    return digest([space, flat_options(record, ("space",)), limits])[:16]


def _by_name(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = sorted({name for figures in figures_by_run for name in figures})
    return {name: [f[name] for f in figures_by_run if name in f] for name in names}


def _means(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(values) for name, values in _by_name(figures_by_run).items()}


def _mean_evaluations(records: Sequence[RunRecord]) -> float | None:
    """Return the mean number of candidates evaluated; a run without trajectory evaluated none."""
    if not records:
        return None
    return fmean(r.trajectory[-1].get("evaluations", 0.0) if r.trajectory else 0.0 for r in records)


# What else is known of the leaderboards of a report


def _persons_of(board: Leaderboard, runs: Mapping[str, RunRecord]) -> frozenset[str]:
    """Return the persons of the beats of a leaderboard, as far as its runs name them."""
    return frozenset[str]().union(*map(persons_of, _runs_of(board, runs)))


def _runs_of(board: Leaderboard, runs: Mapping[str, RunRecord]) -> list[RunRecord]:
    return [runs[key] for row in board.rows for key in row.run_keys if key in runs]


def _with_overlaps(
    boards: Sequence[Leaderboard], runs: Mapping[str, RunRecord], registry: Registry | None
) -> tuple[Leaderboard, ...]:
    """Return leaderboards with the persons in both parts, and those who are elsewhere, too.

    Two leaderboards of one database have all persons in common; their overlap is not stated.

    Args:
        boards: The leaderboards.
        runs: All runs by key.
        registry: The available components, for records that name no persons.
    """
    persons = Persons(runs, registry)
    of_board = [
        [run for run in _runs_of(board, runs) if run.dataset is not None] for board in boards
    ]
    found = []
    for board, own in zip(boards, of_board, strict=True):
        if not own:
            found.append(board)
            continue
        others = {other[0].track[:2]: other[0] for other in of_board if other}
        also_in = [
            persons.overlap(own[0], *track, frozenset(persons.by_record(other).values()))
            for track, other in sorted(others.items())
            if persons.by_record(own[0]).keys().isdisjoint(persons.by_record(other))
        ]
        found.append(
            replace(
                board,
                shared_persons=_shared_persons(board, own[0], persons),
                searched=tuple(persons.search_overlaps(own)),
                also_in=tuple(overlap for overlap in also_in if overlap.kept),
            )
        )
    return tuple(found)


def _shared_persons(board: Leaderboard, run: RunRecord, persons: Persons) -> tuple[str, ...]:
    """Return the persons in both parts; where no run names persons, those the dataset names."""
    if board.shared_persons or not tests_unseen_records(run):
        return board.shared_persons
    return persons_in_both_parts(run, persons.by_record(run))


def _with_noise(
    boards: Iterable[Leaderboard],
    records: Mapping[RunId, RunRecord],
    stored: Sequence[StoredNoise],
) -> tuple[Leaderboard, ...]:
    """Return leaderboards with the measurements that are about one of their runs.

    Of several that are about one space, the one of most trainings counts.
    """
    by_size = sorted(stored, key=lambda one: one.noise.n * len(one.noise.seeds))

    def about(board: Leaderboard) -> dict[str, SeedNoise]:
        runs = [records[run_id] for row in board.rows for run_id in row.run_ids]
        return {one.space: one.noise for one in by_size if any(map(one.is_about, runs))}

    return tuple(replace(board, seed_noise=about(board)) for board in boards)
