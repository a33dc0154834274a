"""The component under test, with the components that it works with, at their smallest options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nasbench_ecg.component import Component
from nasbench_ecg.contracts import Builder, Evaluator, SearchSpace
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import Options, resolve
from nasbench_ecg.registry import Registry
from nasbench_ecg.specs import BuilderSpec, ComponentSpec, EvaluatorSpec, Kind, StrategySpec

PROFILE = "smoke"

_ROLE: dict[Kind, str] = {
    "search-space": "space",
    "builder": "builder",
    "strategy": "strategy",
    "dataset": "dataset",
    "evaluator": "evaluator",
}


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        component: The component.
        registry: Where the components that it works with are found.
        overrides: Options by role, as ``--set`` takes them, over those of the profile ``smoke``.
        found: What checks of one component share, so that it is worked out once.
    """

    component: Component
    registry: Registry
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def spec(self) -> ComponentSpec:
        """What the plugin says of the component."""
        return self.component.spec

    def options(self, protocol: str = "") -> Options:
        """Return its options under the profile ``smoke``."""
        return self._options(self.component, protocol)

    def create(self, protocol: str = "") -> Any:
        """Return the component, made anew."""
        return self.component.create(self.options(protocol))

    def space(self) -> SearchSpace:
        """Return the search space that it is or works with."""
        if self.spec.kind == "search-space":
            return self.create()  # type: ignore[no-any-return]
        return self._made("search-space", self.companion().space)  # type: ignore[no-any-return]

    def builder(self) -> Builder:
        """Return the builder that it is or works with."""
        if self.spec.kind == "builder":
            return self.create()  # type: ignore[no-any-return]
        return self._made("builder", self.companion().builder)  # type: ignore[no-any-return]

    def evaluator(self) -> Evaluator:
        """Return the evaluator that it is or works with."""
        if self.spec.kind == "evaluator":
            return self.create()  # type: ignore[no-any-return]
        return self._made("evaluator", self.companion().evaluator)  # type: ignore[no-any-return]

    def companion(self) -> StrategySpec:
        """Return a strategy whose space, builder and evaluator go with the component.

        A strategy names its own, and a builder its space. An evaluator names none: it gets those
        of a strategy that names it.
        """
        spec = self.spec
        if isinstance(spec, StrategySpec):
            return spec
        usual = StrategySpec(name="", target="", summary="")
        if isinstance(spec, BuilderSpec):
            return replace(usual, space=spec.space, builder=spec.name)
        if isinstance(spec, EvaluatorSpec):
            return self._user_of(spec.name) or replace(usual, evaluator=spec.name)
        return usual

    def of_companion(self) -> Subject | None:
        """Return the strategy of :meth:`companion` as a subject; None where it is no real one."""
        name = self.companion().name
        if not name:
            return None
        return replace(self, component=self.registry.get("strategy", name), found={})

    def _user_of(self, evaluator: str) -> StrategySpec | None:
        users = [
            component.spec
            for component in self.registry.components("strategy")
            if isinstance(component.spec, StrategySpec) and component.spec.evaluator == evaluator
        ]
        usual = [spec for spec in users if spec.space == StrategySpec.space]
        return None if usual or not users else users[0]

    def _made(self, kind: Kind, name: str) -> Any:
        component = self.registry.get(kind, name)
        return component.create(self._options(component))

    def _options(self, component: Component, protocol: str = "") -> Options:
        role = _ROLE[component.kind]
        return resolve(
            component.options_model(),
            component=f"{role} {component.name}",
            profile=PROFILE,
            protocol=protocol,
            overrides=self.overrides.get(role),
        )


def subject_of(
    registry: Registry,
    kind: Kind,
    name: str,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Subject:
    """Return an installed component as a subject.

    Raises:
        PluginError: There is no such component.
        OptionError: ``overrides`` names a role that there is none of.
    """
    overrides = overrides or {}
    unknown = sorted(set(overrides) - set(_ROLE.values()))
    if unknown:
        raise OptionError(
            f"There is no component {unknown[0]!r} to set options of.",
            fix=f"There are: {', '.join(_ROLE.values())}.",
        )
    return Subject(registry.get(kind, name), registry, overrides)
