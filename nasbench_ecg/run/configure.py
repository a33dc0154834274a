"""Resolving a request to the configuration of a run, and refusing what does not fit together.

A :class:`RunRequest` is what a user asks for. :func:`configure` resolves it to a
:class:`~nasbench_ecg.run.config.RunConfig`, which names everything that determines the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nasbench_ecg.contracts import Budget
from nasbench_ecg.data.protocols import ProtocolOptions, protocol_names, protocol_options
from nasbench_ecg.errors import OptionError, ProtocolError, nearest
from nasbench_ecg.options import PROFILE_NAMES, Options, changed_options, resolve
from nasbench_ecg.plugin.registry import Component, Registry
from nasbench_ecg.plugin.specs import (
    BuilderSpec,
    DatasetSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
)
from nasbench_ecg.run.config import ResolvedComponent, RunConfig
from nasbench_ecg.run.fitting_parts import check_architecture, check_encoding, check_length
from nasbench_ecg.run.request import ROLES, RunRequest

MAX_SEED = 2**63 - 1
"""Largest seed that all random generators accept."""


def configure(registry: Registry, request: RunRequest) -> RunConfig:
    """Resolve a request: look the components up, merge their options, choose the device.

    Nothing is loaded. A combination that the components' specs rule out is refused here, so that a
    dry run and the plan of a suite refuse it too.

    Raises:
        PluginError: A component is unknown or broken.
        OptionError: An option or profile is unknown or not allowed; the strategy does not search
            the space or does not keep the budget; the beats are too short; or an architecture
            that is given is not of the space.
        ProtocolError: The dataset cannot be split by the protocol.
    """
    _check_names(request.profile, request.overrides)
    strategy = registry.get("strategy", request.strategy)
    dataset = registry.get("dataset", request.dataset)
    assert isinstance(strategy.spec, StrategySpec) and isinstance(dataset.spec, DatasetSpec)
    space, builder, evaluator = _parts_of_search(registry, request, strategy.spec)
    _check_budget(strategy.spec, request.budget)
    _check_seeds(request)
    protocol, protocol_set = _resolve_protocol(
        dataset.spec, request.protocol, request.profile, request.overrides
    )
    overrides = dict(request.overrides.get("protocol", {}))

    def choose(role: str, component: Component) -> ResolvedComponent:
        return _resolve(role, component, request, protocol)

    config = RunConfig(
        strategy=choose("strategy", strategy),
        space=choose("space", space),
        builder=choose("builder", builder),
        dataset=choose("dataset", dataset),
        evaluator=choose("evaluator", evaluator),
        protocol=protocol,
        protocol_options=protocol_set,
        protocol_changed=changed_options(protocol_set, overrides, profile=request.profile),
        profile=request.profile,
        search_seed=request.search_seed,
        evaluation_seed=(
            request.search_seed if request.evaluation_seed is None else request.evaluation_seed
        ),
        device=resolve_device(request.device),
        budget=request.budget,
    )
    check_length(config)
    check_encoding(config)
    check_architecture(config, registry)
    return config


def resolve_dataset(
    component: Component,
    protocol: str | None,
    profile: str,
    overrides: Mapping[str, Mapping[str, Any]],
) -> tuple[Options, str, ProtocolOptions]:
    """Return the options of a dataset, its protocol, and the options of that.

    Raises:
        OptionError: An option or the profile is unknown or not allowed.
        ProtocolError: The dataset cannot be split by the protocol.
    """
    assert isinstance(component.spec, DatasetSpec)
    _check_names(profile, overrides)
    name, protocol_set = _resolve_protocol(component.spec, protocol, profile, overrides)
    options = resolve(
        component.options_model(),
        component=f"dataset {component.spec.name}",
        overrides=dict(overrides.get("dataset", {})),
        profile=profile,
        protocol=name,
    )
    return options, name, protocol_set


def _check_names(profile: str, overrides: Mapping[str, Mapping[str, Any]]) -> None:
    if profile not in PROFILE_NAMES:
        raise OptionError(f"There is no profile {profile!r}.", fix=nearest(profile, PROFILE_NAMES))
    for role in overrides:
        if role not in (*ROLES, "protocol"):
            raise OptionError(
                f"A run has no component {role!r} to set options of.",
                fix=nearest(role, (*ROLES, "protocol")),
            )


def _resolve_protocol(
    dataset: DatasetSpec,
    protocol: str | None,
    profile: str,
    overrides: Mapping[str, Mapping[str, Any]],
) -> tuple[str, ProtocolOptions]:
    protocol = dataset.protocol if protocol is None else protocol
    if protocol not in protocol_names():
        raise ProtocolError(
            f"There is no protocol {protocol!r}.", fix=nearest(protocol, protocol_names())
        )
    if protocol not in dataset.protocols:
        raise ProtocolError(
            f"The dataset {dataset.name!r} cannot be split by {protocol!r}.",
            fix=f"Its protocols are: {', '.join(dataset.protocols)}.",
        )

    return protocol, resolve(
        protocol_options(protocol),
        component=f"protocol {protocol}",
        profile=profile,
        overrides=dict(overrides.get("protocol", {})),
    )


def _parts_of_search(
    registry: Registry, request: RunRequest, strategy: StrategySpec
) -> tuple[Component, Component, Component]:
    """Return the search space, the builder and the evaluator of a request."""
    space = registry.get("search-space", _first(request.space, strategy.space))
    assert isinstance(space.spec, SearchSpaceSpec)
    if strategy.spaces is not None and space.name not in strategy.spaces:
        raise OptionError(
            f"The strategy {strategy.name!r} cannot search the space {space.name!r}.",
            fix=f"It searches {', '.join(strategy.spaces)}: name that with --space, or leave "
            "--space out.",
        )
    usual = strategy if space.name == strategy.space else None
    own = usual.builder if usual else None
    builder = registry.get("builder", _first(request.builder, own, space.spec.builder))
    assert isinstance(builder.spec, BuilderSpec)
    if builder.spec.space != space.name:
        fitting = [
            c.name
            for c in registry.components("builder")
            if isinstance(c.spec, BuilderSpec) and c.spec.space == space.name
        ]
        raise OptionError(
            f"The builder {builder.name!r} builds architectures of {builder.spec.space!r}, "
            f"not of {space.name!r}.",
            fix=f"Builders for {space.name!r}: {', '.join(fitting) or 'none'}.",
        )
    evaluator = registry.get(
        "evaluator",
        _first(request.evaluator, usual.evaluator if usual else None, space.spec.evaluator),
    )
    assert isinstance(evaluator.spec, EvaluatorSpec)
    if evaluator.spec.space not in (None, space.name):
        raise OptionError(
            f"The evaluator {evaluator.name!r} scores architectures of "
            f"{evaluator.spec.space!r}, not of {space.name!r}.",
            fix=f"Leave --evaluator out, or name --space {evaluator.spec.space}.",
        )
    return space, builder, evaluator


def _first(*names: str | None) -> str:
    """Return the first name that is given; an empty text is a name that is not known."""
    return next(name for name in names if name is not None)


def default_evaluator(registry: Registry, strategy: Component) -> str:
    """Return the evaluator of a strategy when the user names neither space nor evaluator."""
    assert isinstance(strategy.spec, StrategySpec)
    space = registry.get("search-space", strategy.spec.space).spec
    assert isinstance(space, SearchSpaceSpec)
    return strategy.spec.evaluator or space.evaluator


def _check_budget(strategy: StrategySpec, budget: Budget) -> None:
    for name, limit in budget.limits().items():
        if not (math.isfinite(limit) and limit >= 1):
            raise OptionError(
                f"A budget of {limit} {name} is not allowed.", fix="Give a number from 1."
            )
        if strategy.keeps(name):
            continue
        if not strategy.searches:
            raise OptionError(
                f"The strategy {strategy.name!r} takes no budget: it does not search.",
                fix=f"Leave out --budget-{name}.",
            )
        kept = " and ".join(f"--budget-{kept}" for kept in strategy.budgets) or "no budget"
        raise OptionError(
            f"The strategy {strategy.name!r} does not keep a budget of {name}.",
            fix=f"Leave out --budget-{name}; it keeps {kept}.",
        )


def _check_seeds(request: RunRequest) -> None:
    for seed in (request.search_seed, request.evaluation_seed or 0):
        if not 0 <= seed <= MAX_SEED:
            raise OptionError(
                f"A seed of {seed} is not allowed.", fix=f"Give a number from 0 to {MAX_SEED}."
            )


def _resolve(
    role: str, component: Component, request: RunRequest, protocol: str
) -> ResolvedComponent:
    overrides = dict(request.overrides.get(role, {}))
    settings = {"profile": request.profile, "protocol": protocol}
    options = resolve(
        component.options_model(),
        component=f"{role} {component.spec.name}",
        overrides=overrides,
        **settings,
    )
    return ResolvedComponent(component, options, changed_options(options, overrides, **settings))


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: The device is unknown, or there is none here.
    """
    known = ("auto", "cpu", "cuda")
    if device not in known:
        raise OptionError(f"There is no device {device!r}.", fix="Use 'auto', 'cpu' or 'cuda'.")
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise OptionError(
            "PyTorch finds no CUDA GPU here.", fix="Leave --device out, or say --device cpu."
        )
    return "cpu"
