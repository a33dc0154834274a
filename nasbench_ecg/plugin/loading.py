"""Entry points of installed distributions that name plugins, found without importing any plugin."""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from nasbench_ecg.errors import nearest
from nasbench_ecg.plugin.component import describe
from nasbench_ecg.plugin.hookspecs import ENTRY_POINT_GROUP
from nasbench_ecg.plugin.specs import (
    API_VERSION,
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    Kind,
    SearchSpaceSpec,
    StrategySpec,
)

SHIPPED_DISTRIBUTION = "nasbench-ecg"


@dataclass(frozen=True)
class FoundPlugin:
    """A plugin that is installed, loaded or not."""

    name: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint = field(compare=False)

    @property
    def shipped(self) -> bool:
        """Whether it comes with this project."""
        return normalized(self.distribution) == SHIPPED_DISTRIBUTION


@dataclass(frozen=True)
class PluginProblem:
    """What is wrong with a plugin, or with one of its components.

    Attributes:
        plugin: Name of the plugin; empty where it is not known.
        distribution: Name of the distribution that holds the plugin.
        version: Version of that distribution.
        stage: When it went wrong: ``discovery``, ``import``, ``hooks`` (their names and arguments),
            ``call`` (of a hook), ``spec`` (what a hook yields), ``conflict`` (of names),
            ``disabling`` or ``component`` (its target or options, when verified).
        error: What is wrong, on one line.
        components: Kind and name of each component that is missing because of it, where known.
    """

    plugin: str
    distribution: str
    version: str
    stage: str
    error: str
    components: tuple[tuple[Kind, str], ...] = ()

    def __str__(self) -> str:
        """Return the problem as one sentence."""
        source = " ".join(part for part in (self.distribution, self.version) if part)
        of = f" of {source}" if source else ""
        return f"Plugin {self.plugin!r}{of} ({self.stage}): {self.error}."


def discover() -> tuple[list[FoundPlugin], list[PluginProblem]]:
    """Return the plugins of all installed distributions by name, shipped ones first.

    A distribution that is on the path more than once (an editable install under a wheel, say)
    counts once: the first is the one that Python imports.
    """
    found: dict[tuple[str, str], FoundPlugin] = {}
    problems: list[PluginProblem] = []
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if not re.search(rf"^\s*\[{re.escape(ENTRY_POINT_GROUP)}\]", text, re.MULTILINE):
                continue
            key = normalized(distribution.name)
            if key in seen or not _is_first(distribution):
                continue
            seen.add(key)
            for plugin in _plugins_of(distribution):
                found.setdefault((key, plugin.name), plugin)
        except Exception as error:
            problems.append(_unreadable(distribution, error))
    return sorted(found.values(), key=lambda p: (not p.shipped, p.name, p.distribution)), problems


def _plugins_of(distribution: metadata.Distribution) -> Iterator[FoundPlugin]:
    for entry_point in distribution.entry_points:
        if entry_point.group == ENTRY_POINT_GROUP:
            yield FoundPlugin(
                entry_point.name, distribution.name, distribution.version or "", entry_point
            )


def _is_first(distribution: metadata.Distribution) -> bool:
    # A newer version earlier on the path may have no plugin left, and still hides this one.
    first = metadata.distribution(distribution.name)
    return first.locate_file("") == distribution.locate_file("")


def _unreadable(distribution: metadata.Distribution, error: Exception) -> PluginProblem:
    try:
        name, version = distribution.name or "", distribution.version or ""
    except Exception:
        name, version = "", ""
    reason = f"the list of its entry points cannot be read: {describe(error)}"
    return PluginProblem(
        "", name or str(distribution.locate_file("")), version, "discovery", reason
    )


def normalized(name: str) -> str:
    """Return the name of a distribution as all ways to write it have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


SPEC_OF_HOOK: dict[str, type[ComponentSpec]] = {
    "nasbench_ecg_search_spaces": SearchSpaceSpec,
    "nasbench_ecg_builders": BuilderSpec,
    "nasbench_ecg_strategies": StrategySpec,
    "nasbench_ecg_datasets": DatasetSpec,
    "nasbench_ecg_evaluators": EvaluatorSpec,
}

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Collected:
    """What one plugin gave.

    Attributes:
        specs: The sound specs, in the order of the hooks.
        problems: What is wrong with the plugin or with its other specs.
        loaded: False where the plugin failed as a whole.
    """

    specs: tuple[ComponentSpec, ...] = ()
    problems: tuple[PluginProblem, ...] = ()
    loaded: bool = True


def collect(manager: pluggy.PluginManager, plugin: FoundPlugin) -> Collected:
    """Load ``plugin``, register it with ``manager``, and return what its hooks yield.

    A hook that raises loses all that it yielded; a faulty spec is lost alone. No exception of the
    plugin leaves this function, ``SystemExit`` included.
    """
    try:
        module = plugin.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Collected(problems=(_problem(plugin, "import", _located(error)),), loaded=False)
    try:
        hooks = _register(manager, module, f"{plugin.distribution}:{plugin.name}")
    except Exception as error:
        return Collected(problems=(_problem(plugin, "hooks", _first_line(error)),), loaded=False)
    specs: list[ComponentSpec] = []
    problems: list[PluginProblem] = []
    for name, hook in hooks:
        for result in _call(plugin, name, hook):
            if isinstance(result, PluginProblem):
                problems.append(result)
            else:
                specs.append(result)
    return Collected(tuple(specs), tuple(problems))


def _register(
    manager: pluggy.PluginManager, module: Any, name: str
) -> list[tuple[str, Callable[[], Any]]]:
    """Register a plugin and return its hook functions, or leave it unregistered and raise."""
    if manager.is_registered(module):
        raise ValueError(f"the same module is the plugin {manager.get_name(module)!r} already")
    try:
        manager.register(module, name)
        _check_hooks(manager, module)
    except BaseException:
        # pluggy stores a plugin before it verifies it.
        if manager.has_plugin(name):
            manager.unregister(name=name)
        raise
    return [
        (hook, implementation.function)
        for hook in SPEC_OF_HOOK
        for implementation in getattr(manager.hook, hook).get_hookimpls()
        if implementation.plugin is module
    ]


def _check_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    callers = manager.get_hookcallers(module) or []
    marked = {caller.name for caller in callers}
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not module:
                continue
            if not caller.has_spec() and not implementation.optionalhook:
                raise ValueError(
                    f"there is no hook {caller.name!r}. {nearest(caller.name, SPEC_OF_HOOK)}"
                )
            if implementation.hookwrapper or implementation.wrapper:
                raise ValueError(f"{caller.name} is a wrapper; hooks here only yield specs")
    for name in SPEC_OF_HOOK:
        if name not in marked and callable(getattr(module, name, None)):
            raise ValueError(f"{name} is not marked with @hookimpl")


def _call(
    plugin: FoundPlugin, name: str, hook: Callable[[], Any]
) -> Iterator[ComponentSpec | PluginProblem]:
    yielded: list[Any] = []
    try:
        result = hook()
        if result is None:
            raise TypeError("it returns None where specs should be yielded")
        yielded.extend(result)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        yield _problem(plugin, "call", f"{name} fails: {_located(error)}", *yielded)
        return
    for item in yielded:
        fault = _fault(item, SPEC_OF_HOOK[name])
        yield _problem(plugin, "spec", f"{name} yields {fault}", item) if fault else item


def _fault(item: Any, expected: type[ComponentSpec]) -> str:
    """Return what is wrong with something that a hook yields; empty where nothing is."""
    if not isinstance(item, expected):
        return f"a value of type {type(item).__name__} where a {expected.__name__} is due"
    called = f"{item.name!r}, whose"
    if item.api_version != API_VERSION:
        return (
            f"{called} api_version is {item.api_version!r}; this version of nasbench-ecg "
            f"knows {API_VERSION}"
        )
    if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
        return f"{called} name is not made of lower-case words and digits joined by hyphens"
    if not isinstance(item.summary, str) or not item.summary or "\n" in item.summary:
        return f"{called} summary is not one line of text"
    if not (callable(item.target) or _is_address(item.target)):
        return f"{called} target {item.target!r} is not of the form 'package.module:Class'"
    if not (item.options is None or isinstance(item.options, type) or _is_address(item.options)):
        return f"{called} options {item.options!r} are not of the form 'package.module:Class'"
    return ""


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


def _problem(plugin: FoundPlugin, stage: str, error: str, *lost: Any) -> PluginProblem:
    return PluginProblem(
        plugin.name,
        plugin.distribution,
        plugin.version,
        stage,
        error.rstrip("."),
        tuple((spec.kind, spec.name) for spec in lost if isinstance(spec, ComponentSpec)),
    )


def _first_line(error: Exception) -> str:
    # pluggy's validation errors go on with a dump of signatures.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__


def _located(error: BaseException) -> str:
    """Return the error with the line of code that raised it, the plugin author's first question."""
    ours = (__file__, str(Path(importlib.__file__).parent), "<")
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return describe(error) + where
