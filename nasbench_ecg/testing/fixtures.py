"""The component under test, with the components that it works with, at their smallest options."""

from __future__ import annotations

import importlib.metadata as metadata
import random
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from nasbench_ecg.contracts import Builder, Evaluator, SearchSpace, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.options import Options, resolve
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.hookspecs import ENTRY_POINT_GROUP
from nasbench_ecg.plugin.loading import FoundPlugin
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import BuilderSpec, ComponentSpec, EvaluatorSpec, Kind, StrategySpec
from nasbench_ecg.testing.harness import Broken, expect

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


CLASSES = ("N", "S", "V")
N_PATIENTS = 6


def bumps(n: int, *, n_leads: int = 2, n_samples: int = 128, seed: int = 0) -> Beats:
    """Return ``n`` beats of six patients; the place of the bump tells the class.

    Args:
        n: Number of beats.
        n_leads: Number of leads.
        n_samples: Samples of a window, at 100 Hz.
        seed: Seed of labels and noise.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=n)
    centre = n_samples * (labels + 1) / (len(CLASSES) + 1)
    bump = np.exp(-(((np.arange(n_samples) - centre[:, None]) / 4) ** 2))
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


@cache
def small_task() -> Task:
    """Return a task of 160 training and 60 validation beats."""
    beats = bumps(220)
    return Task(beats.take(np.arange(160)), beats.take(np.arange(160, 220)), CLASSES)


@cache
def small_test() -> Beats:
    """Return the 50 beats of the test part that goes with :func:`small_task`."""
    return bumps(50, seed=1)


def fingerprint(task: Task) -> tuple[str, str]:
    """Return the fingerprints of the two parts of a task."""
    return task.train.fingerprint(), task.validation.fingerprint()


_OURS = "nasbench_ecg.training.seeding"

_SEEDING = (
    (torch, "manual_seed"),
    (torch.random, "manual_seed"),
    (torch, "seed"),
    (torch.cuda, "manual_seed"),
    (torch.cuda, "manual_seed_all"),
)


@contextmanager
def shaken(seed: int) -> Iterator[None]:
    """Put the global generators of Python and numpy into some state for the block.

    Torch's are left to the harness, which seeds them around every strategy and evaluator.
    """
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextmanager
def watched(who: str) -> Iterator[None]:
    """Raise Broken if the block seeds torch, or does not leave Python's and numpy's generators be.

    A library that knows no generator but the global one may be seeded, if the state from before is
    put back.
    """
    calls: list[str] = []
    before = _states()
    with ExitStack() as stack:
        for module, name in _SEEDING:
            told = _told(getattr(module, name), f"{module.__name__}.{name}", calls)
            stack.enter_context(patch.object(module, name, told))
        yield
    expect(not calls, f"{who} calls {', '.join(sorted(set(calls)))}")
    for name, one, other in zip(("random", "numpy.random"), before, _states(), strict=True):
        expect(one == other, f"{who} leaves the global generator of {name} in another state")


def must_leave_generators_alone(who: str, act: Callable[[], object]) -> None:
    """Raise Broken if ``act`` touches a global generator, not only where it is called first.

    A library that is imported at its first use may draw then: that is not the component's doing.
    """
    try:
        with shaken(0), watched(who):
            act()
    except Broken:
        with shaken(0), watched(who):
            act()


def _told(function: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller != _OURS and caller.partition(".")[0] != "torch":
            calls.append(name)
        return function(*args, **kwargs)

    return called


def _states() -> tuple[str, str]:
    numpy_state: Any = np.random.get_state()
    return repr(random.getstate()), repr([np.asarray(part).tolist() for part in numpy_state])


def local_plugins(folder: Path) -> list[FoundPlugin]:
    """Return the plugins of the package in ``folder``, and put its modules on ``sys.path``.

    Modules are looked for in ``src`` where there is such a folder, and in ``folder`` itself.

    Raises:
        PluginError: There is no pyproject.toml, or it names no plugin.
    """
    project = _project(folder)
    name, version = project.get("name", folder.name), project.get("version", "")
    points = project.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    if not isinstance(points, dict) or not points:
        raise PluginError(
            "The package names no plugin.",
            where=str(folder / "pyproject.toml"),
            fix=f'Add [project.entry-points."{ENTRY_POINT_GROUP}"] with name = "module".',
        )
    for place in (folder, folder / "src"):
        if place.is_dir() and str(place.resolve()) not in sys.path:
            sys.path.insert(0, str(place.resolve()))
    return [
        FoundPlugin(
            point, str(name), str(version), metadata.EntryPoint(point, value, ENTRY_POINT_GROUP)
        )
        for point, value in points.items()
    ]


def _project(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(
            f"This is no Python package: {error}.",
            where=str(path),
            fix="Give the folder that holds the package's pyproject.toml.",
        ) from error
    project = data.get("project", {})
    return project if isinstance(project, dict) else {}
