"""What identifies a method in a leaderboard: the records of one row have it in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.report.leaderboard import SUBMITTED, Seed
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of

_ROLES = ("strategy", "space", "builder", "evaluator")


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
    options = flat_options(record, _ROLES)
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


def data_options(record: RunRecord) -> dict[str, Any]:
    """Return the options of dataset and protocol as ``role.option``."""
    protocol = {
        f"protocol.{name}": value
        for name, value in record.protocol_options.items()
        if value is not None
    }
    return {**flat_options(record, ("dataset",)), **protocol}


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


def seed_of(record: RunRecord) -> Seed:
    """Return the seeds of the search and of the final training."""
    return record.search_seed, record.evaluation_seed


def results_first(record: RunRecord) -> tuple[Any, ...]:
    """Return a key that sorts runs with a result before others."""
    return record.status != "ok", record.run_key, not record.per_record, record.suite


def runs_by_seed(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs of one method, one for each seed, by seed."""
    by_seed: dict[Seed, RunRecord] = {}
    for record in sorted(records, key=results_first):
        by_seed.setdefault(seed_of(record), record)
    return [by_seed[seed] for seed in sorted(by_seed)]
