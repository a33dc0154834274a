"""Which runs share a leaderboard and a row of it, and which options tell these apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.data.protocols import SEARCH_OPTIONS
from nasbench_ecg.options import short_names
from nasbench_ecg.report.leaderboard.types import SUBMITTED, Leaderboard, Row, RunId, Seed
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of

METHOD_ROLES = ("strategy", "space", "builder", "evaluator")
"""Components that identify a method."""

_MIN_ROWS = 4
"""Rows below which no value is called usual."""

Data = tuple[str, str, tuple[str, ...]]
"""Fingerprints of beats and of split, and the classes that macro scores average over."""

NO_DATA: Data = ("", "", ())


def data_of(record: RunRecord) -> Data:
    """Return what the results of one leaderboard share; empty where the run loaded no beats."""
    return (
        record.dataset.fingerprint if record.dataset else "",
        record.split.fingerprint if record.split else "",
        tuple(record.macro_classes),
    )


def of_suite(records: Sequence[RunRecord], suite: str) -> list[RunRecord]:
    """Return the runs of a suite, and those that others have submitted for its leaderboards."""
    boards = {(record.track, *data_of(record)) for record in records if record.suite == suite}
    return [
        record
        for record in records
        if record.suite == suite
        or (record.submitted_by is not None and (record.track, *data_of(record)) in boards)
    ]


def by_data(records: Sequence[RunRecord]) -> dict[Data, list[RunRecord]]:
    """Return records by fingerprint of beats and split, the group of most runs first.

    A run that was killed before it loaded its beats knows neither fingerprint. It joins the largest
    group with the same options of dataset and protocol.
    """
    found: dict[Data, list[RunRecord]] = defaultdict(list)
    without_data: list[RunRecord] = []
    for record in records:
        if record.dataset and record.split:
            found[data_of(record)].append(record)
        else:
            without_data.append(record)

    def by_size(data: Data) -> tuple[Any, ...]:
        n_results = sum(record.status == "ok" for record in found[data])
        return -n_results, -len(found[data]), data

    groups = {data: found[data] for data in sorted(found, key=by_size)}
    options = {data: [data_options(record) for record in group] for data, group in groups.items()}
    for record in without_data:
        wanted = data_options(record)
        home = next((data for data in options if wanted in options[data]), NO_DATA)
        groups.setdefault(home, []).append(record)
    return groups


def by_method(records: Sequence[RunRecord]) -> dict[tuple[str, ...], list[RunRecord]]:
    """Return the records of each row by what identifies its method.

    Transferred architectures that one strategy found with several seeds share a row, unless two of
    them were trained with the same seed.
    """
    pooled: dict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        pooled[_method(record)].append(record)
    methods: dict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for method, group in pooled.items():
        origins: dict[Seed, set[str]] = defaultdict(set)
        for record in group:
            origins[seed_of(record)].add((origin_of(record) or {}).get("run_key", ""))
        separate = any(len(keys) > 1 for keys in origins.values())
        for record in group:
            methods[_method(record, by_origin=True) if separate else method].append(record)
    return methods


def _method(record: RunRecord, *, by_origin: bool = False) -> tuple[str, ...]:
    """Return strategy, space, builder, options as JSON, and device."""
    origin = origin_of(record)
    strategy = f"{origin['strategy']}, found on {origin['dataset']}" if origin else record.strategy
    names = [record.components[role].name for role in ("space", "builder")]
    options = canonical_json(_method_options(record, by_origin=by_origin))
    return (strategy, *names, options, record.device)


def _method_options(record: RunRecord, *, by_origin: bool) -> dict[str, Any]:
    """Return the options that identify a method.

    The architecture of a transferred run and its origin are left out; ``by_origin`` adds the key of
    the run that found it.
    """
    options = {**flat_options(record, METHOD_ROLES), **search_options(record)}
    options.update({f"budget.{name}": limit for name, limit in record.budget.items()})
    if record.submitted_by is not None:
        options[SUBMITTED] = record.submitted_by
    if (origin := origin_of(record)) is not None:
        for name in ("architecture", "origin"):
            del options[f"strategy.{name}"]
        options["strategy.found_under"] = origin.get("protocol")
        if by_origin:
            options["strategy.origin"] = origin["run_key"][:8]
    return options


def seed_of(record: RunRecord) -> Seed:
    """Return the seeds of the search and of the final training."""
    return record.search_seed, record.evaluation_seed


def results_first(record: RunRecord) -> tuple[Any, ...]:
    """Return a key that sorts runs with a result before others."""
    return record.status != "ok", record.run_key, not record.per_record, record.suite


def each_once(records: Iterable[RunRecord]) -> dict[RunId, RunRecord]:
    """Return the runs by :data:`RunId`; of a run that is stored twice, the record that counts."""
    found: dict[RunId, RunRecord] = {}
    for record in sorted(records, key=results_first):
        found.setdefault((record.run_key, record.submitted_by), record)
    return found


def stored_differently(records: Iterable[RunRecord]) -> list[str]:
    """Return one line for each run that is stored twice, in two suites, with different results.

    Of these a leaderboard counts one; equal keys should give equal results.
    """
    records = [record for record in records if record.status == "ok"]
    counts = each_once(records)
    found = {}
    for record in sorted(records, key=lambda record: (record.run_key, record.suite)):
        counted = counts[record.run_key, record.submitted_by]
        if _result(record) != _result(counted):
            found[record.run_key, record.suite] = (
                f"The run {record.run_key} has another result in {record.suite} than in "
                f"{counted.suite}, which counts."
            )
    return list(found.values())


def _result(record: RunRecord) -> tuple[Any, ...]:
    measured = record.metrics if record.confusion is None else record.confusion
    return record.architecture_hash, measured


def runs_by_seed(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs of one method, one for each seed, by seed."""
    by_seed: dict[Seed, RunRecord] = {}
    for record in sorted(records, key=results_first):
        by_seed.setdefault(seed_of(record), record)
    return [by_seed[seed] for seed in sorted(by_seed)]


# The options that a leaderboard and its rows show


def data_options(record: RunRecord) -> dict[str, Any]:
    """Return the options of dataset and protocol that determine beats and split."""
    protocol = {
        f"protocol.{name}": value
        for name, value in record.protocol_options.items()
        if value is not None and name not in SEARCH_OPTIONS
    }
    return {**flat_options(record, ("dataset",)), **protocol}


def search_options(record: RunRecord) -> dict[str, Any]:
    """Return the options of the protocol that belong to the method, as ``protocol.option``."""
    return {f"protocol.{name}": value for name, value in record.search_options.items()}


def flat_options(record: RunRecord, roles: Sequence[str]) -> dict[str, Any]:
    """Return options as ``role.option``, without null ones, which run keys leave out, too."""
    flat = {}
    for role in roles:
        component = record.components[role]
        flat[f"{role}.revision"] = component.revision
        for name, value in component.options.items():
            if value is not None:
                flat[f"{role}.{name}"] = value
    return flat


def differing(options: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of options whose values differ."""
    names = {name for one in options for name in one}
    return {name for name in names if len({canonical_json(one.get(name)) for one in options}) > 1}


def common_options(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the options that describe the leaderboard and distinguish no row.

    They are those of evaluator and protocol that all of several rows show with the same value, and
    those of a space or builder that all of several rows with that space or builder do.
    """
    found = {}
    for name in sorted({name for row in rows for name in row.options}):
        role = name.partition(".")[0]
        showing = [row for row in rows if name in row.options]
        values = [row.options[name] for row in showing]
        concerned = [row for row in rows if _concerned(row, role, showing)]
        if len(showing) > 1 and showing == concerned and values.count(values[0]) == len(values):
            found[name] = values[0]
    return found


def _concerned(row: Row, role: str, others: Sequence[Row]) -> bool:
    """Tell whether the options of a component that ``others`` have are options of ``row``."""
    if role == "space":
        return any(row.space == other.space for other in others)
    if role == "builder":
        return any(row.builder == other.builder for other in others)
    return role in ("evaluator", "protocol")


def usual_options(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the values of evaluator options that more than half of at least four rows show."""
    found = {}
    shown = {name for row in rows for name in row.options}
    for name in sorted(name for name in shown if name.startswith("evaluator.")):
        values = [row.options[name] for row in rows if name in row.options]
        value = max(values, key=values.count)
        if len(rows) >= _MIN_ROWS and 2 * values.count(value) > len(rows):
            found[name] = value
    return found


def track_name(board: Leaderboard, boards: Sequence[Leaderboard]) -> str:
    """Return the track of a leaderboard, with what tells it from others of that track."""
    details = what_differs(board, [other for other in boards if other.track == board.track])
    return f"{board.track} ({', '.join(details)})" if details else str(board.track)


def what_differs(board: Leaderboard, alike: Sequence[Leaderboard]) -> list[str]:
    """Return what tells a leaderboard from the others of ``alike``, which it is one of."""
    settings, own = [_settings(other) for other in alike], _settings(board)
    names = sorted(differing(settings))
    short = short_names(names)
    details = [f"{short[name]}={value_text(own[name])}" for name in names if name in own]
    if settings.count(own) > 1:
        data = [board.dataset_fingerprint, board.split_fingerprint, list(board.macro_classes)]
        details.append(f"beats {digest(data)[:4]}")
    return details


def _settings(board: Leaderboard) -> dict[str, Any]:
    return {**board.options, "track.evaluator": board.track.evaluator}
