"""What checks work with: the component under test, and a small synthetic task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nasbench_ecg.contracts import Builder, Evaluator, SearchSpace, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import Options, resolve
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import (
    BuilderSpec,
    ComponentSpec,
    EvaluatorSpec,
    Kind,
    SearchSpaceSpec,
    StrategySpec,
)
from nasbench_ecg.run.request import ROLES

PROFILE = "smoke"

_ROLES: dict[str, Kind] = {**ROLES, "executor": "executor"}
_ROLE_OF_KIND = {kind: role for role, kind in _ROLES.items()}


@dataclass(frozen=True)
class ComponentUnderTest:
    """A component, and the components that it is tested together with.

    Attributes:
        component: The component.
        registry: Where the other components are found.
        overrides: Options by role, as ``--set`` takes them, on top of the profile ``smoke``.
        data: Folder of databases; None for that of the environment, or the cache.
        cache: Results that several checks of the component share.
    """

    component: Component
    registry: Registry
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data: str | None = None
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def spec(self) -> ComponentSpec:
        """Its spec."""
        return self.component.spec

    def options(self, protocol: str = "") -> Options:
        """Return its options under the profile ``smoke``."""
        return self._options(self.component, protocol)

    def create(self, protocol: str = "") -> Any:
        """Return a new instance of the component."""
        return self.component.create(self.options(protocol))

    def space(self) -> SearchSpace:
        """Return the search space that it is or works with."""
        return self._create("search-space", self.space_spec().name)  # type: ignore[no-any-return]

    def builder(self) -> Builder:
        """Return the builder that it is or works with."""
        return self._create("builder", self._builder_name())  # type: ignore[no-any-return]

    def evaluator(self) -> Evaluator:
        """Return the evaluator that it is or works with."""
        return self._create("evaluator", self._evaluator_name())  # type: ignore[no-any-return]

    def strategy(self) -> ComponentUnderTest | None:
        """Return a strategy that searches its space; None if samples of the space will do.

        The architectures of some spaces belong to the beats of a task, so that only a search of
        that task can produce them. The space that most strategies use is not one of those.
        """
        space = self.space_spec().name
        if space == self._most_used_space():
            return None
        for component in self.registry.components("strategy"):
            if isinstance(component.spec, StrategySpec) and component.spec.space == space:
                return replace(self, component=component, cache={})
        return None

    def task(self) -> Task:
        """Return a new small task, with beats that its strategy and its builder accept."""
        return small_task(self._n_samples())

    def test(self) -> Beats:
        """Return the test part that goes with :meth:`task`, in new arrays."""
        return small_test(self._n_samples())

    def _n_samples(self) -> int:
        builder = self.registry.get("builder", self._builder_name()).spec
        specs = [
            spec for spec in (self.spec, builder) if isinstance(spec, StrategySpec | BuilderSpec)
        ]
        return max(_N_SAMPLES, *(spec.min_samples for spec in specs))

    def space_spec(self) -> SearchSpaceSpec:
        """Return the spec of the search space that it is or works with."""
        spec = self.spec
        if isinstance(spec, SearchSpaceSpec):
            return spec
        named = spec.space if isinstance(spec, StrategySpec | BuilderSpec | EvaluatorSpec) else None
        name = named or self._space_of_evaluator(spec.name)
        space = self.registry.get("search-space", name).spec
        assert isinstance(space, SearchSpaceSpec)
        return space

    def _builder_name(self) -> str:
        if isinstance(self.spec, BuilderSpec):
            return self.spec.name
        named = self.spec.builder if isinstance(self.spec, StrategySpec) else None
        return named or self.space_spec().builder

    def _evaluator_name(self) -> str:
        if isinstance(self.spec, EvaluatorSpec):
            return self.spec.name
        named = self.spec.evaluator if isinstance(self.spec, StrategySpec) else None
        return named or self.space_spec().evaluator

    def _space_of_evaluator(self, evaluator: str) -> str:
        """Return a space whose default evaluator it is, or the space that most strategies use."""
        usual = self._most_used_space()
        naming = [
            component.name
            for component in self.registry.components("search-space")
            if isinstance(component.spec, SearchSpaceSpec) and component.spec.evaluator == evaluator
        ]
        return usual if usual in naming or not naming else naming[0]

    def _most_used_space(self) -> str:
        """Return the search space that most strategies use by default."""
        spaces = Counter(
            component.spec.space
            for component in self.registry.components("strategy")
            if isinstance(component.spec, StrategySpec)
        )
        return spaces.most_common(1)[0][0]

    def _create(self, kind: Kind, name: str) -> Any:
        if (kind, name) == (self.component.kind, self.component.name):
            return self.create()
        component = self.registry.get(kind, name)
        return component.create(self._options(component))

    def _options(self, component: Component, protocol: str = "") -> Options:
        role = _ROLE_OF_KIND[component.kind]
        return resolve(
            component.options_model(),
            component=f"{role} {component.name}",
            profile=PROFILE,
            protocol=protocol,
            overrides=self.overrides.get(role),
        )


def component_under_test(
    registry: Registry,
    kind: Kind,
    name: str,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    data: str | None = None,
) -> ComponentUnderTest:
    """Return a component of the registry, to be tested.

    Raises:
        PluginError: There is no such component.
        OptionError: ``overrides`` names an unknown role.
    """
    overrides = overrides or {}
    unknown = sorted(set(overrides) - set(_ROLES))
    if unknown:
        raise OptionError(
            f"There is no component {unknown[0]!r} to set options of.",
            fix=f"Use one of: {', '.join(_ROLES)}.",
        )
    return ComponentUnderTest(registry.get(kind, name), registry, overrides, data)


# A small task

CLASSES = ("N", "S", "V")
N_PATIENTS = 6
_N_SAMPLES = 128


def synthetic_beats(
    n: int, *, n_leads: int = 2, n_samples: int = _N_SAMPLES, seed: int = 0
) -> Beats:
    """Return ``n`` beats of six patients: one bump each, whose position depends on the class.

    Args:
        n: Number of beats.
        n_leads: Number of leads.
        n_samples: Samples of a window, at 100 Hz.
        seed: Seed of labels and noise.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=n)
    center = n_samples * (labels + 1) / (len(CLASSES) + 1)
    bump = np.exp(-(((np.arange(n_samples) - center[:, None]) / 4) ** 2))
    signals = bump[:, None, :] + 0.3 * rng.standard_normal((n, n_leads, n_samples))
    patients = tuple(f"p{i}" for i in range(N_PATIENTS))
    return Beats(
        signals=signals.astype(np.float32),
        labels=labels.astype(np.int64),
        record=(np.arange(n) % N_PATIENTS).astype(np.int32),
        sample=n_samples * (1 + np.arange(n, dtype=np.int64) // N_PATIENTS),
        classes=CLASSES,
        records=patients,
        subjects=patients,
        leads=tuple(f"lead {i}" for i in range(n_leads)),
        fs=100.0,
    )


def small_task(n_samples: int = _N_SAMPLES) -> Task:
    """Return a new task of 160 training and 60 validation beats, always with equal beats."""
    beats = synthetic_beats(220, n_samples=n_samples)
    return Task(beats.take(np.arange(160)), beats.take(np.arange(160, 220)), CLASSES)


def small_test(n_samples: int = _N_SAMPLES) -> Beats:
    """Return, in new arrays, the 50 beats of the test part that goes with :func:`small_task`."""
    return synthetic_beats(50, n_samples=n_samples, seed=1)


def fingerprints(task: Task) -> tuple[str, str]:
    """Return the fingerprints of the training and the validation part."""
    return task.train.fingerprint(), task.validation.fingerprint()
