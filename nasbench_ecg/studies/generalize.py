"""Carrying an architecture from the dataset it was found on to others: which runs that takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.run.config import RunRequest, configure
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.suite.spec import PlannedRun

GIVEN = "given"
"""The strategy that returns the architecture of its options."""

_KEPT = ("space", "builder", "evaluator")


@dataclass(frozen=True)
class Transfer(PlannedRun):
    """A run that trains a given architecture on another dataset."""

    origin: str = ""
    """The method and dataset that the architecture comes from."""

    def __str__(self) -> str:
        config = self.config
        target = [config.dataset.name, config.protocol, config.profile]
        return " · ".join([self.origin, *target, f"seed {config.search_seed}"])


def origin_of(record: RunRecord) -> Mapping[str, Any] | None:
    """Return which run the architecture of ``record`` was taken from; None if it was found there.

    Returns:
        ``run_key``, ``strategy``, ``dataset``, ``protocol`` and ``search_seed`` of that run.
    """
    origin = record.components["strategy"].options.get("origin")
    return origin if isinstance(origin, Mapping) else None


def architecture_of(record: RunRecord, registry: Registry) -> Architecture:
    """Return the architecture that a run found, checked by its search space.

    Raises:
        OptionError: The run did not succeed, or its architecture is not of its space.
        PluginError: The space is not installed.
    """
    fix = f"'nasbench-ecg show {record.run_key[:8]}' tells more of it."
    if record.status != "ok" or record.architecture is None:
        raise OptionError(
            f"The run {record.run_key} ended as {record.status!r}"
            f"{'' if record.architecture else ' and found no architecture'}.",
            where=f"{record.strategy} on {record.dataset_name}",
            fix=f"Name a run that succeeded. {fix}",
        )
    arch = Architecture.from_dict(record.architecture)
    used = record.components["space"]
    component = registry.get("search-space", used.name)
    try:
        options = component.options_model()(**used.options)
    except ValidationError:
        raise OptionError(
            f"The space {used.name!r} no longer takes the options of the run {record.run_key}.",
            fix=fix,
        ) from None
    component.create(options).validate(arch)
    return arch


def fixed_models(registry: Registry, evaluators: Collection[str]) -> list[str]:
    """Return the strategies that search nothing and are meant for one of ``evaluators``.

    The one for given architectures is none of them.
    """
    return [
        component.name
        for component in registry.components("strategy")
        if isinstance(component.spec, StrategySpec)
        and not component.spec.searches
        and component.spec.evaluator in evaluators
        and component.name != GIVEN
    ]


def plan_transfers(
    registry: Registry,
    found: Sequence[RunRecord],
    to: Sequence[str],
    *,
    baselines: Sequence[str] = (),
    protocol: str | None = None,
    profile: str | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
) -> list[PlannedRun]:
    """Return the runs that train what ``found`` found, and the baselines, on other datasets.

    Space, builder, evaluator and their options are those of the run that found the architecture;
    a network for fewer leads or samples differs in what the builder adapts, for cells the stem.

    Args:
        registry: The components there are.
        found: Records of the runs whose architectures are carried over.
        to: Names of the datasets.
        baselines: Strategies that are run there beside, trained by the same evaluator.
        protocol: Protocol on the datasets; None: that of the run.
        profile: Profile of the runs; None: that of the run.
        seeds: Seeds of the training; None: that of the run.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: A run failed, has no architecture, or cannot be carried there.
        PluginError: A component is unknown.
        ProtocolError: A dataset cannot be split by the protocol.
    """
    carried = list(dict.fromkeys(record.run_key for record in found))
    records = {record.run_key: record for record in found}
    planned: dict[str, PlannedRun] = {}
    for key, target in product(carried, to):
        record = records[key]
        origin = _checked_origin(record, registry, target)
        common = {
            "dataset": target,
            "protocol": protocol or record.protocol,
            "profile": profile or record.profile,
            "evaluator": record.components["evaluator"].name,
            "device": device,
        }
        for seed in seeds or (record.evaluation_seed,):
            wishes = _wishes(record, origin, common, seed, baselines)
            for request, label in wishes:
                run = Transfer(configure(registry, request), 1, label)
                planned.setdefault(run.key, run)
    return sorted(planned.values(), key=lambda run: run.config.search_seed)


def _wishes(
    record: RunRecord,
    origin: Mapping[str, Any],
    common: Mapping[str, Any],
    seed: int,
    baselines: Sequence[str],
) -> Iterator[tuple[RunRequest, str]]:
    changed = {role: dict(record.components[role].changed) for role in _KEPT}
    given = {"architecture": record.architecture, "origin": dict(origin)}
    yield (
        RunRequest(
            strategy=GIVEN,
            space=record.components["space"].name,
            builder=record.components["builder"].name,
            overrides={**changed, "strategy": given},
            search_seed=seed,
            **common,
        ),
        f"{record.strategy} from {record.dataset_name}",
    )
    for name in baselines:
        overrides = {"evaluator": changed["evaluator"]}
        yield RunRequest(strategy=name, overrides=overrides, search_seed=seed, **common), name


def _checked_origin(record: RunRecord, registry: Registry, target: str) -> dict[str, Any]:
    if (before := origin_of(record)) is not None:
        raise OptionError(
            f"The run {record.run_key} found nothing itself: its architecture is that of "
            f"{before['run_key']}.",
            fix=f"Name {before['run_key']} instead.",
        )
    architecture_of(record, registry)
    if target == record.dataset_name:
        raise OptionError(
            f"The run {record.run_key} searched on {target!r} itself.",
            fix="Name other datasets with --to.",
        )
    return {
        "run_key": record.run_key,
        "strategy": record.strategy,
        "dataset": record.dataset_name,
        "protocol": record.protocol,
        "search_seed": record.search_seed,
    }
