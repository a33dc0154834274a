"""Transfer of architectures to other datasets: plan the runs that train them there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.run.config import configure, default_evaluator
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.suite.spec import PlannedRun

_KEPT_ROLES = ("space", "builder", "evaluator")


@dataclass(frozen=True)
class Transfer(PlannedRun):
    """A run that trains an architecture on another dataset than the one it was found on."""

    origin: str = ""
    """Method and dataset of the search that found the architecture."""

    def __str__(self) -> str:
        config = self.config
        target = [config.dataset.name, config.protocol, config.profile]
        return " · ".join([self.origin, *target, f"seed {config.search_seed}"])


def origin_of(record: RunRecord) -> Mapping[str, Any] | None:
    """Return the run that found the architecture of ``record``; None if that is ``record`` itself.

    Returns:
        ``run_key``, ``strategy``, ``dataset``, ``protocol`` and ``search_seed`` of that run.
    """
    origin = record.components["strategy"].options.get("origin")
    return origin if isinstance(origin, Mapping) else None


def architecture_of(record: RunRecord, registry: Registry) -> Architecture:
    """Return the architecture that a run found, validated by its search space.

    Raises:
        OptionError: The run did not succeed, or its architecture is not valid in its space.
        PluginError: The space is not installed.
    """
    fix = f"'nasbench-ecg show {record.run_key[:8]}' shows its record."
    if record.status != "ok" or record.architecture is None:
        raise OptionError(
            f"The run {record.run_key} ended as {record.status!r}"
            f"{'' if record.architecture else ' and found no architecture'}.",
            where=f"{record.strategy} on {record.dataset_name}",
            fix=f"Choose a successful run. {fix}",
        )
    arch = Architecture.from_dict(record.architecture)
    used = record.components["space"]
    component = registry.get("search-space", used.name)
    try:
        options = component.options_model()(**used.options)
    except ValidationError:
        raise OptionError(
            f"The search space {used.name!r} no longer accepts the options of the run "
            f"{record.run_key}.",
            fix=fix,
        ) from None
    component.create(options).validate(arch)
    return arch


def fixed_models(registry: Registry, evaluators: Collection[str]) -> list[str]:
    """Return the names of the fixed models whose default evaluator is one of ``evaluators``."""
    return [
        component.name
        for component in registry.strategies("fixed")
        if default_evaluator(registry, component) in evaluators
    ]


def given_strategy(registry: Registry) -> str:
    """Return the name of the strategy that returns the architecture given in its options.

    Raises:
        PluginError: None is installed.
    """
    found = registry.strategies("given")
    if not found:
        raise PluginError(
            "No installed strategy returns a given architecture.",
            fix="'nasbench-ecg plugin list' shows plugins that are disabled or broken.",
        )
    return found[0].name


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
    """Return the runs that train the architectures of ``found``, and baselines, on other datasets.

    Space, builder, evaluator and their options are those of the run that found the architecture.
    For another number of leads or samples, the builder adapts the network, for cells its stem.

    Args:
        registry: The available components.
        found: Records of the runs that found the architectures.
        to: Names of the target datasets.
        baselines: Strategies to run on them too, with the same evaluator.
        protocol: Protocol on the target datasets; None for that of the run.
        profile: Profile of the new runs; None for that of the run.
        seeds: Seeds of the training; None for that of the run.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: A run failed, has no architecture, or cannot be transferred there.
        PluginError: A component is unknown.
        ProtocolError: A dataset cannot be split by the protocol.
    """
    run_keys = list(dict.fromkeys(record.run_key for record in found))
    records = {record.run_key: record for record in found}
    planned: dict[str, PlannedRun] = {}
    given = given_strategy(registry)
    for key, target in product(run_keys, to):
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
            for request, label in _requests(record, origin, given, common, seed, baselines):
                run = Transfer(configure(registry, request), 1, label)
                planned.setdefault(run.key, run)
    return sorted(planned.values(), key=lambda run: run.config.search_seed)


def _requests(
    record: RunRecord,
    origin: Mapping[str, Any],
    strategy: str,
    common: Mapping[str, Any],
    seed: int,
    baselines: Sequence[str],
) -> Iterator[tuple[RunRequest, str]]:
    changed = {role: dict(record.components[role].changed) for role in _KEPT_ROLES}
    given = {"architecture": record.architecture, "origin": dict(origin)}
    yield (
        RunRequest(
            strategy=strategy,
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
            f"The run {record.run_key} did not search: its architecture was found by the run "
            f"{before['run_key']}.",
            fix=f"Choose {before['run_key']} instead.",
        )
    architecture_of(record, registry)
    if target == record.dataset_name:
        raise OptionError(
            f"The run {record.run_key} found its architecture on {target!r}.",
            fix="Choose other datasets with --to.",
        )
    return {
        "run_key": record.run_key,
        "strategy": record.strategy,
        "dataset": record.dataset_name,
        "protocol": record.protocol,
        "search_seed": record.search_seed,
    }
