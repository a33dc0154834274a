"""One plugin at a time: import it, check its hooks, call them, and check what they yield."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from nasbench_ecg.component import describe
from nasbench_ecg.discovery import FoundPlugin, PluginProblem
from nasbench_ecg.errors import nearest
from nasbench_ecg.specs import (
    API_VERSION,
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
)

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
