"""What a run consists of: its components with all their options, resolved and checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasbench_ecg.architecture import digest
from nasbench_ecg.contracts import Budget
from nasbench_ecg.data.protocols import protocol_names, protocol_options
from nasbench_ecg.errors import OptionError, ProtocolError, nearest
from nasbench_ecg.options import PROFILE_NAMES, Options, defaults, resolve
from nasbench_ecg.plugin.registry import Component, Registry
from nasbench_ecg.plugin.specs import BuilderSpec, DatasetSpec, EvaluatorSpec, Kind, StrategySpec

KEY_FORMAT = 1
KEY_LENGTH = 16


@dataclass(frozen=True)
class RunRequest:
    """What a user asks for; None leaves the choice to the components.

    Attributes:
        strategy: Name of the search strategy.
        dataset: Name of the dataset.
        protocol: Name of the protocol.
        profile: Name of the profile.
        space: Name of the search space.
        builder: Name of the builder.
        evaluator: Name of the evaluator.
        overrides: Options by component, as :func:`nasbench_ecg.options.parse_assignments` gives.
        search_seed: Seed of the search.
        evaluation_seed: Seed of the final training; by default that of the search.
        device: ``auto``, ``cpu`` or ``cuda``.
        budget: What the search may spend.
    """

    strategy: str
    dataset: str
    protocol: str | None = None
    profile: str = "quick"
    space: str | None = None
    builder: str | None = None
    evaluator: str | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    search_seed: int = 0
    evaluation_seed: int | None = None
    device: str = "auto"
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class ResolvedComponent:
    """A component with its options.

    Attributes:
        component: The component.
        options: Its resolved options.
        changed: Options that the user set to other than the profile's value.
    """

    component: Component
    options: Options
    changed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the component."""
        return self.component.spec.name

    def create(self) -> Any:
        """Return the component, made with its options."""
        return self.component.create(self.options)


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run's result."""

    strategy: ResolvedComponent
    space: ResolvedComponent
    builder: ResolvedComponent
    dataset: ResolvedComponent
    evaluator: ResolvedComponent
    protocol: str
    protocol_options: Options
    protocol_changed: Mapping[str, Any]
    profile: str
    search_seed: int
    evaluation_seed: int
    device: str
    budget: Budget = field(default_factory=Budget)

    def chosen(self) -> dict[str, ResolvedComponent]:
        """Return the five components by role."""
        return {
            "strategy": self.strategy,
            "space": self.space,
            "builder": self.builder,
            "dataset": self.dataset,
            "evaluator": self.evaluator,
        }

    def key(self) -> str:
        """Return the run key: equal for two runs exactly if their results should be equal.

        It covers names, revisions and options of all components, the protocol, the seeds and the
        kind of device; not the profile, which is only a name for options. An option that is null
        is left out, so that a new one, null by default, leaves the keys of older records alone, and
        so is a budget that limits nothing. Under one of seconds a result also depends on how fast
        the machine is.
        """
        budget = self.budget.limits()
        return digest(
            {
                "format": KEY_FORMAT,
                **{
                    role: {
                        "name": chosen.name,
                        "revision": chosen.component.spec.revision,
                        "options": chosen.options.model_dump(mode="json", exclude_none=True),
                    }
                    for role, chosen in self.chosen().items()
                },
                "protocol": {
                    "name": self.protocol,
                    "options": self.protocol_options.model_dump(mode="json", exclude_none=True),
                },
                "seeds": [self.search_seed, self.evaluation_seed],
                "device": self.device,
                **({"budget": budget} if budget else {}),
            }
        )[:KEY_LENGTH]

    def command(self) -> str:
        """Return the command that repeats this run."""
        words = ["nasbench-ecg", "run", self.strategy.name, self.dataset.name]
        words += ["--protocol", self.protocol, "--profile", self.profile]
        words += ["--seed", str(self.search_seed)]
        if self.evaluation_seed != self.search_seed:
            words += ["--evaluation-seed", str(self.evaluation_seed)]
        words += [
            word
            for role in ("space", "builder", "evaluator")
            for word in (f"--{role}", self.chosen()[role].name)
        ]
        for name, limit in self.budget.limits().items():
            words += [f"--budget-{name}", str(limit)]
        changed = {role: chosen.changed for role, chosen in self.chosen().items()}
        for role, options in {**changed, "protocol": self.protocol_changed}.items():
            for name, value in options.items():
                words += ["--set", f"{role}.{name}={assigned(value)}"]
        return shlex.join([*words, "--device", self.device])


def assigned(value: Any) -> str:
    """Return ``value`` as ``--set`` reads it: text as it is, unless it would be read as JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


def configure(registry: Registry, request: RunRequest) -> RunConfig:
    """Resolve a request: look the components up, merge their options, choose the device.

    Raises:
        PluginError: A component is unknown or broken.
        OptionError: An option or profile is unknown or not allowed.
        ProtocolError: The dataset cannot be split by the protocol.
    """
    if request.profile not in PROFILE_NAMES:
        raise OptionError(
            f"There is no profile {request.profile!r}.", fix=nearest(request.profile, PROFILE_NAMES)
        )
    strategy = registry.get("strategy", request.strategy)
    dataset = registry.get("dataset", request.dataset)
    assert isinstance(strategy.spec, StrategySpec) and isinstance(dataset.spec, DatasetSpec)
    builder = registry.get("builder", request.builder or strategy.spec.builder)
    assert isinstance(builder.spec, BuilderSpec)
    space = registry.get("search-space", request.space or strategy.spec.space)
    if builder.spec.space != space.spec.name:
        fitting = [
            c.spec.name
            for c in registry.components("builder")
            if isinstance(c.spec, BuilderSpec) and c.spec.space == space.spec.name
        ]
        raise OptionError(
            f"The builder {builder.spec.name!r} builds architectures of {builder.spec.space!r}, "
            f"not of {space.spec.name!r}.",
            fix=f"Builders for it: {', '.join(fitting) or 'none'}.",
        )
    evaluator = registry.get("evaluator", request.evaluator or strategy.spec.evaluator)
    assert isinstance(evaluator.spec, EvaluatorSpec)
    if evaluator.spec.space not in (None, space.spec.name):
        raise OptionError(
            f"The evaluator {evaluator.spec.name!r} scores architectures of "
            f"{evaluator.spec.space!r}, not of {space.spec.name!r}.",
            fix=f"Leave --evaluator out, or name --space {evaluator.spec.space}.",
        )
    protocol = request.protocol or dataset.spec.protocol
    if protocol not in protocol_names():
        raise ProtocolError(
            f"There is no protocol {protocol!r}.", fix=nearest(protocol, protocol_names())
        )
    if protocol not in dataset.spec.protocols:
        raise ProtocolError(
            f"The dataset {dataset.spec.name!r} cannot be split by {protocol!r}.",
            fix=f"Its protocols are: {', '.join(dataset.spec.protocols)}.",
        )

    def choose(role: str, kind: Kind, component: Component) -> ResolvedComponent:
        return _choose(role, kind, component, request, protocol)

    overrides = dict(request.overrides.get("protocol", {}))
    model = protocol_options(protocol)
    return RunConfig(
        strategy=choose("strategy", "strategy", strategy),
        space=choose("space", "search-space", space),
        builder=choose("builder", "builder", builder),
        dataset=choose("dataset", "dataset", dataset),
        evaluator=choose("evaluator", "evaluator", evaluator),
        protocol=protocol,
        protocol_options=resolve(
            model, component=f"protocol {protocol}", profile=request.profile, overrides=overrides
        ),
        protocol_changed=overrides,
        profile=request.profile,
        search_seed=request.search_seed,
        evaluation_seed=(
            request.search_seed if request.evaluation_seed is None else request.evaluation_seed
        ),
        device=resolve_device(request.device),
        budget=request.budget,
    )


def _choose(
    role: str, kind: Kind, component: Component, request: RunRequest, protocol: str
) -> ResolvedComponent:
    model = component.options_model()
    overrides = dict(request.overrides.get(role, {}))
    options = resolve(
        model,
        component=f"{role} {component.spec.name}",
        profile=request.profile,
        protocol=protocol,
        overrides=overrides,
    )
    usual = model(**defaults(model, profile=request.profile, protocol=protocol)).model_dump()
    dumped = options.model_dump(mode="json")
    changed = {name: dumped[name] for name in overrides if getattr(options, name) != usual[name]}
    return ResolvedComponent(component, options, changed)


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: The device is unknown, or there is none here.
    """
    known = ("auto", "cpu", "cuda")
    if device not in known:
        raise OptionError(f"There is no device {device!r}.", fix=nearest(device, known))
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
