"""Transfer of architectures to other datasets: plan the runs that train them there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.data.declarations import fixed_records
from nasbench_ecg.data.persons import persons_of, shared_records
from nasbench_ecg.data.record_options import RecordsOptions
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.run.configure import configure, default_evaluator
from nasbench_ecg.run.folds import each_fold
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.suite.plan import PlannedRun

_KEPT_ROLES = ("space", "builder", "evaluator")


@dataclass(frozen=True)
class Transfer(PlannedRun):
    """A run that trains an architecture on another dataset than the one it was found on."""

    origin: str = ""
    """Method and dataset of the search that found the architecture."""

    def __str__(self) -> str:
        config = self.config
        exclude = getattr(config.dataset.options, "exclude", None)
        name = config.dataset.name
        named = f"{name} without {', '.join(exclude)}" if exclude else name
        target = [named, config.protocol, config.profile]
        return " · ".join([self.origin, *target, *self.number])


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
    keep_shared_persons: bool = False,
) -> list[PlannedRun]:
    """Return the runs that train the architectures of ``found``, and baselines, on other datasets.

    Space, builder, evaluator and their options are those of the run that found the architecture.
    For another number of leads or samples, the builder adapts the network, for cells its stem.
    Records of persons on whom the architecture was searched are left out with the option
    ``exclude`` of the dataset: scores are of other persons.

    Args:
        registry: The available components.
        found: Records of the runs that found the architectures.
        to: Names of the target datasets.
        baselines: Strategies to run on them too, with the same evaluator.
        protocol: Protocol on the target datasets; None for that of the run.
        profile: Profile of the new runs; None for that of the run.
        seeds: Seeds of the training; None for that of the run.
        device: ``auto``, ``cpu`` or ``cuda``.
        keep_shared_persons: Leave no record out, as the Heart-DARTS paper does.

    Raises:
        OptionError: A run failed, has no architecture, or cannot be transferred there; or the
            target has shared persons that cannot be left out.
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
        shared = () if keep_shared_persons else records_to_exclude(registry, record, common)
        own = {"dataset": {"exclude": list(shared)}} if shared else {}
        for seed in seeds or (record.evaluation_seed,):
            for request, label in _requests(record, origin, given, common, seed, baselines, own):
                for one in each_fold(registry, request):
                    run = Transfer(configure(registry, one), 1, origin=label)
                    planned.setdefault(run.key, run)
    return sorted(planned.values(), key=lambda run: run.config.search_seed)


def _requests(
    record: RunRecord,
    origin: Mapping[str, Any],
    strategy: str,
    common: Mapping[str, Any],
    seed: int,
    baselines: Sequence[str],
    own: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[RunRequest, str]]:
    """Yield the requests of one seed, with their labels; ``own`` are options of the dataset."""
    changed = {role: dict(record.components[role].changed) for role in _KEPT_ROLES}
    given = {"architecture": record.architecture, "origin": dict(origin)}
    yield (
        RunRequest(
            strategy=strategy,
            space=record.components["space"].name,
            builder=record.components["builder"].name,
            overrides={**changed, **own, "strategy": given},
            search_seed=seed,
            **common,
        ),
        f"{record.strategy} from {record.dataset_name}",
    )
    for name in baselines:
        overrides = {"evaluator": changed["evaluator"], **own}
        yield RunRequest(strategy=name, overrides=overrides, search_seed=seed, **common), name


def records_to_exclude(
    registry: Registry, record: RunRecord, target: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the records of a target dataset that its option ``exclude`` has to leave out.

    These are the records of persons on whom the architecture of ``record`` was searched, as far as
    they would be test records, and those that its default options exclude. Empty if no person is
    shared, or if the records of the dataset are not known before it is loaded.

    Args:
        registry: The available components.
        record: The run that found the architecture.
        target: Names of ``dataset`` and ``protocol``.

    Raises:
        OptionError: The dataset cannot leave records out, or none would be left.
        PluginError: The dataset is unknown.
    """
    component = registry.get("dataset", target["dataset"])
    options = resolve(
        component.options_model(),
        component=f"dataset {component.name}",
        profile=target["profile"],
        protocol=target["protocol"],
    )
    if not isinstance(options, RecordsOptions):
        return ()
    dataset = component.create(options)
    partition = fixed_records(dataset, target["protocol"])
    tested = options.used_records if partition is None else tuple(partition["test"])
    persons = persons_of(dataset, component.name, tested)
    shared = shared_records(persons, searched_persons(record, registry))
    if shared and len(shared) == len(tested):
        raise OptionError(
            f"All test records of {component.name!r} are of persons on whom the run "
            f"{record.run_key} searched.",
            fix="Choose another dataset or protocol, or keep them with --keep-shared-persons.",
        )
    excluded = {*(options.exclude or ()), *shared}
    return tuple(name for name in options.records if name in excluded) if shared else ()


def searched_persons(record: RunRecord, registry: Registry | None = None) -> frozenset[str]:
    """Return the persons on whom a run searched: those of its training and validation part.

    Args:
        record: The run.
        registry: The available components, for records that name no persons; see
            :func:`recorded_persons`.
    """
    persons = recorded_persons(record, registry)
    parts = record.split.records if record.split else {}
    names = [name for part in ("train", "validation") for name in parts.get(part, ())]
    return frozenset(persons[name] for name in names or persons if name in persons)


def persons_searched_by_default(origin: Mapping[str, Any], registry: Registry) -> frozenset[str]:
    """Return the persons on whom a run searched of which only the origin is known.

    They are those of the training part of its dataset with default options, and none
    if the dataset is not installed or does not state its records.

    Args:
        origin: What :func:`origin_of` returns.
        registry: The available components.
    """
    try:
        component = registry.get("dataset", origin["dataset"])
    except PluginError:
        return frozenset()
    protocol = origin["protocol"]
    options = resolve(
        component.options_model(), component=f"dataset {component.name}", protocol=protocol
    )
    if not isinstance(options, RecordsOptions):
        return frozenset()
    dataset = component.create(options)
    parts = fixed_records(dataset, protocol)
    names = options.used_records if parts is None else tuple(parts["train"])
    return frozenset(persons_of(dataset, component.name, names).values())


def recorded_persons(record: RunRecord, registry: Registry | None = None) -> dict[str, str]:
    """Return the person of each record of the dataset of a run, also of excluded records.

    A run record without persons is older than their introduction: the dataset names them, if it is
    installed and still accepts the options. Otherwise each record is a person of its own.
    """
    if record.dataset is None:
        return {}
    if record.dataset.persons:
        return dict(record.dataset.persons)
    used = record.components["dataset"]
    excluded = used.options.get("exclude") or ()
    names = [*record.dataset.records, *excluded]
    all_records = {**used.options, "exclude": None} if excluded else used.options
    try:
        component = (registry or load_registry()).get("dataset", used.name)
        options = component.options_model()(**all_records)
    except (PluginError, ValidationError):
        return {name: f"{used.name}/{name}" for name in names}
    return persons_of(component.create(options), used.name, names)


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
