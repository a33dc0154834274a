"""Load one plugin at a time.

:func:`load_plugin` imports a plugin, checks its API version and its hooks, calls the hooks, and
checks each spec that they yield. Whatever goes wrong becomes a :class:`PluginProblem`, so a broken
plugin affects no other.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import pluggy

from nasbench_ecg.errors import describe_error, nearest
from nasbench_ecg.plugin import process_settings, trial
from nasbench_ecg.plugin.discovery import FoundPlugin, PluginProblem
from nasbench_ecg.plugin.specs import (
    API_VERSION,
    BudgetName,
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    ExecutorSpec,
    Role,
    SearchSpaceSpec,
    StrategySpec,
)

VERSION_ATTRIBUTE = "PLUGIN_API_VERSION"
"""Attribute of a plugin's module that holds the API version that it was written for."""


# Loading


@dataclass(frozen=True)
class LoadedPlugin:
    """What one plugin provides.

    Attributes:
        specs: The valid specs, in the order of the hooks.
        problems: What is wrong with the plugin or with its other specs.
        loaded: False if the plugin failed as a whole.
    """

    specs: tuple[ComponentSpec, ...] = ()
    problems: tuple[PluginProblem, ...] = ()
    loaded: bool = True


def load_plugin(manager: pluggy.PluginManager, plugin: FoundPlugin) -> LoadedPlugin:
    """Import ``plugin``, register it with ``manager``, and return what its hooks yield.

    A hook that raises loses everything it yielded; an invalid spec is dropped alone. No exception
    of the plugin leaves this function, not even ``SystemExit``. A plugin of a third party is first
    tried in a copy of this process, see :mod:`nasbench_ecg.plugin.trial`, so that one that ends the
    process or does not finish is not loaded. Settings of the process are restored, and a problem
    names those that the plugin changed.
    """
    stage = ["import"]

    def load() -> LoadedPlugin:
        with redirect_stdout(sys.stderr):  # stdout is for the output of commands, maybe JSON
            return _load(manager, plugin, stage)

    before = process_settings.read(process_settings.AT_IMPORT)
    if not plugin.shipped and (fault := trial.fault_of(load)):
        return _failed(plugin, "import", f"{fault}, while it is imported or its hooks are called")
    try:
        with trial.limited_time():
            loaded = load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        loaded = _failed(plugin, stage[0], _located(error))
    if changed := process_settings.restore(process_settings.AT_IMPORT, before):
        fault = f"it changes settings of the process, which were restored: {'; '.join(changed)}"
        loaded = replace(loaded, problems=(*loaded.problems, _problem(plugin, "import", fault)))
    return loaded


def _failed(plugin: FoundPlugin, stage: str, error: str) -> LoadedPlugin:
    return LoadedPlugin(problems=(_problem(plugin, stage, error),), loaded=False)


def _load(manager: pluggy.PluginManager, plugin: FoundPlugin, stage: list[str]) -> LoadedPlugin:
    """Load ``plugin``; errors of its import leave this function, and ``stage`` says where."""
    stage[0] = "import"
    module = plugin.entry_point.load()
    stage[0] = "version"
    if fault := _version_fault(plugin, module):
        return _failed(plugin, "version", fault)
    stage[0] = "hooks"
    try:
        hooks = _register(manager, module, f"{plugin.distribution}:{plugin.name}")
    except Exception as error:
        return _failed(plugin, "hooks", _first_lines(error))
    stage[0] = "call"
    specs: list[ComponentSpec] = []
    problems: list[PluginProblem] = []
    for name, hook in hooks:
        for result in _call(plugin, name, hook):
            if isinstance(result, PluginProblem):
                problems.append(result)
            else:
                specs.append(result)
    return LoadedPlugin(tuple(specs), tuple(problems))


def _version_fault(plugin: FoundPlugin, module: Any) -> str:
    """Return why this core cannot load the plugin's API version; empty if it can."""
    written_for = getattr(module, VERSION_ATTRIBUTE, None)
    if written_for is None:
        return (
            f"it does not say which API version it was written for: add {VERSION_ATTRIBUTE} = "
            f'"{API_VERSION}" to {plugin.entry_point.value}'
        )
    if not isinstance(written_for, str) or not re.fullmatch(r"\d+\.\d+", written_for):
        return f"its {VERSION_ATTRIBUTE} is {written_for!r}, not a version such as '{API_VERSION}'"
    major, minor = _major_minor(written_for)
    own_major, own_minor = _major_minor(API_VERSION)
    if (major, minor) > (own_major, own_minor):
        update = "nasbench-ecg"
    elif major < own_major:
        update = plugin.distribution
    else:
        return ""
    return (
        f"it was written for version {written_for} of the plugin API, and this nasbench-ecg has "
        f"version {API_VERSION}: update {update}"
    )


def _major_minor(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


# Hooks

SPEC_OF_HOOK: dict[str, type[ComponentSpec]] = {
    "nasbench_ecg_search_spaces": SearchSpaceSpec,
    "nasbench_ecg_builders": BuilderSpec,
    "nasbench_ecg_strategies": StrategySpec,
    "nasbench_ecg_datasets": DatasetSpec,
    "nasbench_ecg_evaluators": EvaluatorSpec,
    "nasbench_ecg_executors": ExecutorSpec,
}


def _register(
    manager: pluggy.PluginManager, module: Any, name: str
) -> list[tuple[str, Callable[[], Any]]]:
    """Register a plugin and return its hook functions, or leave it unregistered and raise."""
    if manager.is_registered(module):
        raise ValueError(f"the same module is already the plugin {manager.get_name(module)!r}")
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
                raise ValueError(f"{caller.name} is a wrapper, but these hooks only yield specs")
    for name in SPEC_OF_HOOK:
        if name not in marked and callable(getattr(module, name, None)):
            raise ValueError(f"{name} is not marked with @hookimpl")


_MOST_SPECS = 1000
"""Most specs that one hook may yield."""


def _call(
    plugin: FoundPlugin, name: str, hook: Callable[[], Any]
) -> Iterator[ComponentSpec | PluginProblem]:
    yielded: list[Any] = []
    try:
        result = hook()
        if result is None:
            raise TypeError("it returns None instead of specs")
        for item in result:
            if len(yielded) == _MOST_SPECS:
                raise ValueError(f"it yields more than {_MOST_SPECS} specs, perhaps without end")
            yielded.append(item)
    except (KeyboardInterrupt, trial.TooSlow):
        raise
    except BaseException as error:
        yield _problem(plugin, "call", f"{name} fails: {_located(error)}", *yielded)
        return
    for item in yielded:
        try:
            fault = spec_fault(item, SPEC_OF_HOOK[name])
        except Exception as error:  # an attribute that cannot be read or shown
            fault = f"a spec that cannot be read: {describe_error(error)}"
            item = None
        yield _problem(plugin, "spec", f"{name} yields {fault}", item) if fault else item


# Specs

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_COUNTS = ("revision", "min_samples")
_COMPONENTS = ("space", "builder", "evaluator", "protocol")


def spec_fault(item: Any, expected: type[ComponentSpec]) -> str:
    """Return what is wrong with a value that should be a spec; empty if it is valid."""
    if not isinstance(item, expected):
        return f"a value of type {type(item).__name__}, not a {expected.__name__}"
    whose = f"{item.name!r}, whose"
    if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
        return f"{whose} name does not consist of lower-case words and digits joined by hyphens"
    if not isinstance(item.summary, str) or not item.summary or "\n" in item.summary:
        return f"{whose} summary is not one line of text"
    if not (callable(item.target) or _is_address(item.target)):
        return f"{whose} target {item.target!r} is not of the form 'package.module:Class'"
    if not (item.options is None or isinstance(item.options, type) or _is_address(item.options)):
        return f"{whose} options {item.options!r} are not of the form 'package.module:Class'"
    for field in fields(item):
        value = getattr(item, field.name)
        if field.name in _COUNTS and (type(value) is not int or value < 1):
            return f"{whose} {field.name} {value!r} is not a whole number from 1"
        optional = field.default is None
        if field.name in _COMPONENTS and not (
            isinstance(value, str) or (value is None and optional)
        ):
            return f"{whose} {field.name} {value!r} is not the name of a component"
    if isinstance(item, StrategySpec) and (fault := _strategy_fault(item)):
        return f"{whose} {fault}"
    if isinstance(item, DatasetSpec) and item.protocol not in item.protocols:
        return f"{whose} protocols {item.protocols!r} do not contain its protocol {item.protocol!r}"
    return ""


def _strategy_fault(spec: StrategySpec) -> str:
    if spec.spaces is not None and not (
        isinstance(spec.spaces, tuple) and spec.space in spec.spaces
    ):
        return f"spaces {spec.spaces!r} are not a tuple that contains its space {spec.space!r}"
    if spec.role not in get_args(Role):
        return f"role {spec.role!r} is none of {', '.join(get_args(Role))}"
    known = get_args(BudgetName)
    if not isinstance(spec.budgets, tuple) or not set(spec.budgets) <= set(known):
        return f"budgets {spec.budgets!r} are not a tuple of {' and '.join(known)}"
    return ""


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


# Problems


def _problem(plugin: FoundPlugin, stage: str, error: str, *lost: Any) -> PluginProblem:
    return PluginProblem(
        plugin.name,
        plugin.distribution,
        plugin.version,
        stage,
        error.rstrip("."),
        tuple((spec.kind, spec.name) for spec in lost if isinstance(spec, ComponentSpec)),
    )


def _first_lines(error: Exception) -> str:
    # pluggy's validation errors end with a dump of signatures.
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:
        return describe_error(error)
    return " ".join(lines[:3]) or type(error).__name__


def _located(error: BaseException) -> str:
    """Return the error with the file and line of the plugin's code that raised it."""
    ours = (__file__, str(Path(importlib.__file__).parent), "<")
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return describe_error(error) + where
