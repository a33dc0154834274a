"""How architectures found on one dataset do on others: a pure function of run records.

A column is one dataset under one protocol, profile and evaluator, on the same beats and split. Its
*own best* is the method with the highest mean F1 among those that were run on it directly, found by
a search there or made by hand, with as many runs as any. What was carried over is compared with
that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.report.leaderboard import RANKED_BY, Track
from nasbench_ecg.report.published import Published, counterpart_of
from nasbench_ecg.report.statistics import Summary, summarize
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of

SCORES = ("accuracy", "macro_se", "macro_pp", RANKED_BY)
CLASS_SCORES = ("se", "pp", "f1")

_ROLES = ("strategy", "space", "builder", "evaluator")
_CARRIED = ("strategy.architecture", "strategy.origin")


@dataclass(frozen=True, order=True)
class Method:
    """What a row stands for.

    Attributes:
        found_on: Dataset that its architectures were found on; empty where it was run on each
            dataset itself.
        strategy: Name of the strategy; of carried architectures the one that found them.
        builder: Name of the builder.
        options: Canonical JSON of the options that tell it from others.
        device: ``cpu`` or ``cuda``.
    """

    found_on: str
    strategy: str
    builder: str
    options: str
    device: str

    @property
    def label(self) -> str:
        """The method in words."""
        return f"{self.strategy}, found on {self.found_on}" if self.found_on else self.strategy


@dataclass(frozen=True)
class Result:
    """One method on one dataset.

    Attributes:
        scores: Scores over the runs.
        classes: Mean scores ``se``, ``pp`` and ``f1`` of each class.
        parameters: Mean number of parameters; None where it was not measured.
        run_keys: The runs, sorted.
        drop: How far its mean F1 is below that of the dataset's own best, as a fraction; None for
            methods that were run there directly, or where there are none.
        class_differences: Scores of each class minus those of the own best; empty likewise.
        published: Published figure of the same method, if there is one.
    """

    scores: Mapping[str, Summary]
    classes: Mapping[str, Mapping[str, float]]
    parameters: float | None
    run_keys: tuple[str, ...]
    drop: float | None = None
    class_differences: Mapping[str, Mapping[str, float]] | None = None
    published: Published | None = None

    @property
    def f1(self) -> float:
        """Mean F1."""
        return self.scores[RANKED_BY].mean


@dataclass(frozen=True)
class Column:
    """A dataset as architectures were carried to it.

    Attributes:
        track: Dataset, protocol, profile, evaluator.
        beats: SHA-256 of the beats.
        split: SHA-256 of the split.
        classes: Names of its classes.
        own_best: The best method run on it directly; None if there is none.
        results: What there is, by method.
    """

    track: Track
    beats: str
    split: str
    classes: tuple[str, ...]
    own_best: Method | None
    results: Mapping[Method, Result]


@dataclass(frozen=True)
class Generalization:
    """A matrix of methods and datasets.

    Attributes:
        methods: Rows: what was carried over first, then what was run on the datasets directly.
        columns: The datasets that something was carried to.
        home: F1 of carried methods where their architectures were found, by method.
    """

    methods: tuple[Method, ...]
    columns: tuple[Column, ...]
    home: Mapping[Method, Summary]


def generalization(
    records: Iterable[RunRecord], origins: Collection[str] | None = None
) -> Generalization:
    """Return the report of all records of runs that carried an architecture over.

    Args:
        records: Run records: those of the carried architectures, those of the runs that found them,
            and whatever else was run on the same datasets.
        origins: Run keys of the runs whose architectures count; None: all.
    """
    scored = {r.run_key: r for r in records if r.status == "ok" and RANKED_BY in r.metrics}
    chosen = [
        record
        for record in scored.values()
        if (origin := origin_of(record)) is None or origins is None or origin["run_key"] in origins
    ]
    reached = {_place(record) for record in chosen if origin_of(record) is not None}
    columns = []
    for place in sorted(reached):
        there = [record for record in chosen if _place(record) == place]
        columns.append(_column(place, there, scored))
    methods = sorted({method for column in columns for method in column.results}, key=_row_order)
    return Generalization(tuple(methods), tuple(columns), _home(chosen, scored))


def _place(record: RunRecord) -> tuple[Track, str, str]:
    return (
        Track(*record.track),
        record.dataset.fingerprint if record.dataset else "",
        record.split.fingerprint if record.split else "",
    )


def _row_order(method: Method) -> tuple[object, ...]:
    return not method.found_on, method


def _method(record: RunRecord, scored: Mapping[str, RunRecord]) -> Method:
    """Return the method of a record; of a carried one with the options of the run that found it."""
    origin = origin_of(record)
    source = record if origin is None else scored.get(origin["run_key"])
    options = {
        f"{role}.{name}": value
        for role in _ROLES
        for name, value in _options(record, source, role).items()
        if f"{role}.{name}" not in _CARRIED
    }
    budget = record.budget if source is None else source.budget
    options |= {f"budget.{name}": limit for name, limit in budget.items()}
    return Method(
        found_on="" if origin is None else str(origin["dataset"]),
        strategy=record.strategy if origin is None else str(origin["strategy"]),
        builder=record.components["builder"].name,
        options=canonical_json(options),
        device=record.device,
    )


def _options(record: RunRecord, source: RunRecord | None, role: str) -> Mapping[str, object]:
    found = source if role == "strategy" and source is not None else record
    options = found.components[role].options
    return {name: value for name, value in options.items() if value is not None}


def _column(
    place: tuple[Track, str, str], there: Sequence[RunRecord], scored: Mapping[str, RunRecord]
) -> Column:
    by_method: dict[Method, list[RunRecord]] = defaultdict(list)
    for record in there:
        by_method[_method(record, scored)].append(record)
    track, beats, split = place
    results = {method: _result(runs, method, track) for method, runs in by_method.items()}
    runs = {method: len(result.run_keys) for method, result in results.items()}
    most = max((n for method, n in runs.items() if not method.found_on), default=0)
    direct = sorted(method for method, n in runs.items() if not method.found_on and n == most)
    best = max(direct, key=lambda method: results[method].f1, default=None)
    if best is not None:
        results = {
            method: _compared(result, results[best]) if method.found_on else result
            for method, result in results.items()
        }
    ordered = {method: results[method] for method in sorted(results, key=_row_order)}
    return Column(track, beats, split, tuple(there[0].classes), best, ordered)


def _result(runs: Sequence[RunRecord], method: Method, track: Track) -> Result:
    ordered = sorted(runs, key=lambda record: record.run_key)
    parameters = [r.costs["parameters"] for r in ordered if "parameters" in r.costs]
    return Result(
        scores={
            name: summarize([record.metrics[name] for record in ordered])
            for name in SCORES
            if all(name in record.metrics for record in ordered)
        },
        classes=_class_means(ordered),
        parameters=fmean(parameters) if parameters else None,
        run_keys=tuple(record.run_key for record in ordered),
        published=counterpart_of(
            track.dataset, track.protocol, strategy=method.strategy, builder=method.builder
        ),
    )


def _class_means(runs: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    """Return each class's mean scores over the runs that have them."""
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


def _home(chosen: Sequence[RunRecord], scored: Mapping[str, RunRecord]) -> dict[Method, Summary]:
    """Return the F1 of carried methods on the dataset they come from, each run counted once."""
    found: dict[Method, dict[str, float]] = defaultdict(dict)
    for record in chosen:
        origin = origin_of(record)
        if origin is not None and (source := scored.get(origin["run_key"])) is not None:
            found[_method(record, scored)][source.run_key] = source.metrics[RANKED_BY]
    return {method: summarize(list(values.values())) for method, values in found.items()}
