"""How architectures found on one dataset perform on others, computed from run records.

A *transferred* architecture was found on one dataset and trained anew on another, the target. A
target is one dataset under one protocol, profile and evaluator, on the same beats, split and
classes; the folds of one method and seed are one result there, with their pooled scores. Its
*own best* is the method with the highest mean F1 among those that were run on it directly, by a
search there or with a fixed model, and that have the most runs. Transferred methods are compared
with the own best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.report.leaderboard.folds import pool_folds
from nasbench_ecg.report.leaderboard.grouping import (
    data_of,
    each_once,
    flat_options,
    runs_by_seed,
    search_options,
)
from nasbench_ecg.report.leaderboard.overlap import Overlap, Persons
from nasbench_ecg.report.leaderboard.published import Published, counterpart_of
from nasbench_ecg.report.leaderboard.types import Track
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.report.statistics.seeds import Summary, summarize
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of

SCORES = ("accuracy", "macro_se", "macro_pp", RANKED_BY)
CLASS_SCORES = ("se", "pp", "f1")

_Data = tuple[Track, str, str, tuple[str, ...]]
"""Track, fingerprints of beats and split, and the classes that macro scores average over."""

_TRANSFERRED = ("strategy.architecture", "strategy.origin")


@dataclass(frozen=True, order=True)
class Method:
    """One row: a method, and where it found its architectures.

    Attributes:
        found_on: Dataset that its architectures were found on; empty if it was run on each dataset
            directly.
        found_under: Protocol under which they were found; empty likewise.
        strategy: Name of the strategy; for transferred architectures the one that found them.
        builder: Name of the builder.
        options: Canonical JSON of the options and revisions that identify it.
        device: ``cpu`` or ``cuda``.
        space: Name of the search space.
        submitted_by: Who submitted the runs; empty for runs of this project and of your own.
    """

    found_on: str
    found_under: str
    strategy: str
    builder: str
    options: str
    device: str
    space: str = ""
    submitted_by: str = ""

    @property
    def label(self) -> str:
        """Name of the method, which other methods may share."""
        where = f"{self.found_on} · {self.found_under}"
        return f"{self.strategy}, found on {where}" if self.found_on else self.strategy


@dataclass(frozen=True)
class Result:
    """One method on one dataset.

    Attributes:
        scores: Scores over the runs. In their intervals all runs of one architecture count as one.
        classes: Mean scores ``se``, ``pp`` and ``f1`` of each class.
        parameters: Mean number of trainable parameters; None if not measured.
        run_keys: The runs, sorted.
        n_searches: Number of searches, each of which found one of the architectures.
        drop: Mean F1 of the dataset's own best minus that of this method, as a fraction; None for
            methods that were run there directly, or if there are none.
        class_differences: Scores of each class minus those of the own best; None likewise.
        published: Published scores of the same method, if there are any.
    """

    scores: Mapping[str, Summary]
    classes: Mapping[str, Mapping[str, float]]
    parameters: float | None
    run_keys: tuple[str, ...]
    n_searches: int
    drop: float | None = None
    class_differences: Mapping[str, Mapping[str, float]] | None = None
    published: Published | None = None

    @property
    def f1(self) -> float:
        """Mean F1."""
        return self.scores[RANKED_BY].mean


@dataclass(frozen=True)
class Target:
    """A dataset that architectures were transferred to.

    Attributes:
        track: Dataset, protocol, profile, evaluator.
        beats: SHA-256 of the beats.
        split: SHA-256 of the split.
        classes: Names of its classes.
        macro_classes: The classes that macro scores average over.
        own_best: The best method run on it directly; None if there is none.
        results: Results by method.
        excluded: Records that the option ``exclude`` leaves out.
        all_records: Whether no option of the dataset chooses records.
        n_records: Number of records, without the excluded ones.
        overlaps: Records of persons on whom transferred architectures were searched, for each place
            where they were found.
    """

    track: Track
    beats: str
    split: str
    classes: tuple[str, ...]
    macro_classes: tuple[str, ...]
    own_best: Method | None
    results: Mapping[Method, Result]
    excluded: tuple[str, ...] = ()
    all_records: bool = True
    n_records: int = 0
    overlaps: tuple[Overlap, ...] = ()


@dataclass(frozen=True)
class Generalization:
    """A matrix of methods and datasets.

    Attributes:
        methods: The methods: transferred ones first, then those run on the datasets directly.
        targets: The datasets that architectures were transferred to.
        source_f1: F1 of transferred methods on the dataset they come from, by method.
    """

    methods: tuple[Method, ...]
    targets: tuple[Target, ...]
    source_f1: Mapping[Method, Summary]


def generalization(
    records: Iterable[RunRecord],
    origins: Collection[str] | None = None,
    registry: Registry | None = None,
    datasets: Collection[str] = (),
) -> Generalization:
    """Return the results of transferred architectures beside those of methods run directly.

    Args:
        records: Records of the runs that trained a transferred architecture, of those that found
            it, and of any others on the same datasets.
        origins: Keys of the runs whose architectures are included; None: all.
        registry: The available components, for the persons of records that name none.
        datasets: Names of the datasets that are included; none: all.
    """
    finished = each_once(r for r in records if r.status == "ok" and RANKED_BY in r.metrics)
    own_last = sorted(finished.values(), key=lambda r: r.submitted_by is None)
    scored = {r.run_key: r for r in own_last}
    pooled, _ = pool_folds(finished.values())
    results = [r for r in pooled if r.status == "ok" and RANKED_BY in r.metrics]
    included = [
        record
        for record in results
        if (origin := origin_of(record)) is None or origins is None or origin["run_key"] in origins
    ]
    data = {
        _data(record)
        for record in included
        if origin_of(record) is not None and (not datasets or record.dataset_name in datasets)
    }
    persons = Persons(scored, registry)
    targets = [
        _target(one, [record for record in included if _data(record) == one], scored, persons)
        for one in sorted(data)
    ]
    methods = sorted({method for target in targets for method in target.results}, key=_row_order)
    targets.sort(key=lambda target: (target.track, not target.excluded, target.excluded))
    return Generalization(tuple(methods), tuple(targets), _source_f1(included, scored))


def _data(record: RunRecord) -> _Data:
    """Return what the results of one target share."""
    return (Track(*record.track), *data_of(record))


def _row_order(method: Method) -> tuple[object, ...]:
    return not method.found_on, method


def _method(record: RunRecord, scored: Mapping[str, RunRecord]) -> Method:
    """Return the method of a record; a transferred one has the options of the run that found it."""
    origin = origin_of(record)
    source = record if origin is None else scored.get(origin["run_key"])
    options = {
        **flat_options(record, ("space", "builder", "evaluator")),
        **flat_options(source or record, ("strategy",)),
        **search_options(source or record),
    }
    for name in _TRANSFERRED:
        options.pop(name, None)
    budget = record.budget if source is None else source.budget
    options |= {f"budget.{name}": limit for name, limit in budget.items()}
    return Method(
        found_on="" if origin is None else str(origin["dataset"]),
        found_under="" if origin is None else str(origin["protocol"]),
        strategy=record.strategy if origin is None else str(origin["strategy"]),
        builder=record.components["builder"].name,
        options=canonical_json(options),
        device=record.device,
        space=record.components["space"].name,
        submitted_by=record.submitted_by or "",
    )


def _target(
    data: _Data,
    records: Sequence[RunRecord],
    scored: Mapping[str, RunRecord],
    persons: Persons,
) -> Target:
    by_method: dict[Method, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_method[_method(record, scored)].append(record)
    track, beats, split, macro_classes = data
    all_records = not all(record.leaves_out_records for record in records)
    results = {
        method: _result(_one_of_each_seed(runs), method, track, all_records=all_records)
        for method, runs in by_method.items()
    }
    n_runs = {m: len(result.run_keys) for m, result in results.items() if not m.found_on}
    most = max(n_runs.values(), default=0)
    candidates = sorted(method for method, n in n_runs.items() if n == most)
    best = max(candidates, key=lambda method: results[method].f1, default=None)
    if best is not None:
        results = {
            method: _compared(result, results[best]) if method.found_on else result
            for method, result in results.items()
        }
    ordered = {method: results[method] for method in sorted(results, key=_row_order)}
    return Target(
        track=track,
        beats=beats,
        split=split,
        classes=tuple(records[0].classes),
        macro_classes=macro_classes,
        own_best=best,
        results=ordered,
        excluded=records[0].excluded_records,
        all_records=all_records,
        n_records=len(records[0].dataset.records) if records[0].dataset else 0,
        overlaps=tuple(persons.search_overlaps(records)),
    )


def _one_of_each_seed(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return one run for each seed, and for each architecture that was transferred."""
    by_origin: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        by_origin[(origin_of(run) or {}).get("run_key", "")].append(run)
    return [run for group in by_origin.values() for run in runs_by_seed(group)]


def _result(
    runs: Sequence[RunRecord], method: Method, track: Track, *, all_records: bool = True
) -> Result:
    ordered = sorted(runs, key=lambda record: record.run_key)
    parameters = [r.costs["parameters"] for r in ordered if "parameters" in r.costs]
    searches = [_search_of(record) for record in ordered]
    return Result(
        scores={
            name: summarize([record.metrics[name] for record in ordered], searches)
            for name in SCORES
            if all(name in record.metrics for record in ordered)
        },
        classes=_class_means(ordered),
        parameters=fmean(parameters) if parameters else None,
        run_keys=tuple(record.run_key for record in ordered),
        n_searches=len(set(searches)),
        published=counterpart_of(
            track.dataset,
            track.protocol,
            strategy=method.strategy,
            builder=method.builder,
            searched_on=method.found_on,
        )
        if all_records
        else None,
    )


def _search_of(record: RunRecord) -> str:
    """Return what the runs that train the architecture of one search have in common."""
    origin = origin_of(record)
    return f"seed {record.search_seed}" if origin is None else str(origin["run_key"])


def _class_means(runs: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    """Return the mean scores of each class over the runs that have them."""
    means: dict[str, dict[str, float]] = {}
    for name in runs[0].per_class:
        for score in CLASS_SCORES:
            values = [
                run.per_class[name][score] for run in runs if score in run.per_class.get(name, {})
            ]
            if values:
                means.setdefault(name, {})[score] = fmean(values)
    return means


def _compared(result: Result, best: Result) -> Result:
    differences = {
        name: {s: v - best.classes[name][s] for s, v in row.items() if s in best.classes[name]}
        for name, row in result.classes.items()
        if name in best.classes
    }
    return replace(result, drop=best.f1 - result.f1, class_differences=differences)


def _source_f1(
    included: Sequence[RunRecord], scored: Mapping[str, RunRecord]
) -> dict[Method, Summary]:
    """Return the F1 of transferred methods where they were found, each run counted once."""
    found: dict[Method, dict[str, RunRecord]] = defaultdict(dict)
    for record in included:
        origin = origin_of(record)
        if origin is not None and (source := scored.get(origin["run_key"])) is not None:
            found[_method(record, scored)][source.run_key] = source
    return {
        method: summarize(
            [source.metrics[RANKED_BY] for source in sources.values()],
            [source.search_seed for source in sources.values()],
        )
        for method, sources in found.items()
    }
