"""The registry: the components of all installed plugins, looked up by kind and name.

A broken plugin becomes a :class:`PluginProblem` and affects no other plugin. The registry is built
inside a command, by :func:`load_registry`, and never when a module is imported.

``NASBENCH_ECG_DISABLE_PLUGINS=a,b`` leaves out the plugins of these names (``*``: all of them), and
``NASBENCH_ECG_STRICT_PLUGINS=1`` makes any problem an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import pluggy

from nasbench_ecg.data.user_datasets import read_user_datasets, spec_targets
from nasbench_ecg.errors import PluginError, nearest
from nasbench_ecg.plugin import hookspecs, session, trial
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.discovery import FoundPlugin, PluginProblem, discover, normalized
from nasbench_ecg.plugin.loading import load_plugin
from nasbench_ecg.plugin.specs import DatasetSpec, Kind, Role, StrategySpec

__all__ = ["KINDS", "Component", "PluginInfo", "PluginProblem", "Registry", "load_registry"]

KINDS: tuple[Kind, ...] = get_args(Kind)

DISABLE = "NASBENCH_ECG_DISABLE_PLUGINS"
STRICT = "NASBENCH_ECG_STRICT_PLUGINS"

ADDED, ADDED_DISTRIBUTION = "added", "added-datasets"
"""Plugin and distribution that the user's own datasets are listed under."""


@dataclass(frozen=True)
class PluginInfo:
    """An installed plugin.

    Attributes:
        name: Name of its entry point.
        distribution: Name of the installed distribution that holds it.
        version: Version of that distribution.
        shipped: Whether it comes with this project.
        components: What it provides, without invalid and conflicting specs.
        state: Whether it was loaded, disabled by the user, or failed as a whole.
    """

    name: str
    distribution: str
    version: str
    shipped: bool
    components: tuple[Component, ...] = ()
    state: Literal["loaded", "disabled", "failed"] = "loaded"


@dataclass(frozen=True)
class Registry:
    """The components of all loaded plugins.

    Attributes:
        plugins: All installed plugins, including those that failed or are disabled.
        problems: What is wrong with them.
    """

    plugins: tuple[PluginInfo, ...]
    problems: tuple[PluginProblem, ...]

    def components(self, kind: Kind | None = None) -> list[Component]:
        """Return the components of ``kind``, or all, by kind and name."""
        chosen = [
            component
            for plugin in self.plugins
            for component in plugin.components
            if kind in (None, component.kind)
        ]
        return sorted(chosen, key=lambda c: (KINDS.index(c.kind), c.name))

    def get(self, kind: Kind, name: str) -> Component:
        """Return the component ``name`` of ``kind``.

        Raises:
            PluginError: There is none; the error names the nearest names or the failed plugin.
        """
        return self.find(name, kind)[0]

    def find(self, name: str, kind: Kind | None = None) -> list[Component]:
        """Return all components called ``name``, at most one of each kind.

        Raises:
            PluginError: There is none.
        """
        found = [component for component in self.components(kind) if component.name == name]
        if not found:
            raise self._unknown(name, kind)
        return found

    def strategies(self, role: Role) -> list[Component]:
        """Return the strategies that have ``role``, by name."""
        return [
            component
            for component in self.components("strategy")
            if isinstance(component.spec, StrategySpec) and component.spec.role == role
        ]

    def verify(self) -> list[PluginProblem]:
        """Import every component with its libraries, and return the problems found."""
        problems = []
        shipped = {plugin.name for plugin in self.plugins if plugin.shipped}
        # Third parties first: they are tried in a copy of this process before it imports PyTorch.
        for component in sorted(self.components(), key=lambda c: c.plugin in shipped):
            if error := _verify(component, trust=component.plugin in shipped):
                source = (component.plugin, component.distribution, component.version)
                lost = ((component.kind, component.name),)
                problems.append(PluginProblem(*source, "component", error.rstrip("."), lost))
        return problems

    def _unknown(self, name: str, kind: Kind | None) -> PluginError:
        what = f"There is no {_words(kind) if kind else 'component'} {name!r}."
        for problem in self.problems:
            if any(n == name and kind in (None, k) for k, n in problem.components):
                return PluginError(
                    what,
                    where=str(problem).rstrip("."),
                    fix="'nasbench-ecg plugin list' shows all problems.",
                )
        others = [component.kind for component in self.components() if component.name == name]
        if others:
            what += f" There is a {_words(others[0])} of that name."
        return PluginError(
            what + self._not_loaded(),
            fix=nearest(name, {component.name for component in self.components(kind)}),
        )

    def _not_loaded(self) -> str:
        reasons = [
            f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} "
            + self._reason(plugin)
            for plugin in self.plugins
            if plugin.state != "loaded"
        ]
        if not reasons:
            return ""
        return f" It may come from a plugin that is not loaded: {'; '.join(reasons)}."

    def _reason(self, plugin: PluginInfo) -> str:
        if plugin.state == "disabled":
            return f"is disabled by {DISABLE}"
        return "; ".join(
            f"failed ({problem.stage}): {problem.error}"
            for problem in self.problems
            if (problem.plugin, problem.distribution) == (plugin.name, plugin.distribution)
        )


def _verify(component: Component, *, trust: bool) -> str:
    """Import a component, and return what is wrong with it; empty if nothing is."""
    if not trust and (fault := trial.fault_of(component.verify)):
        return f"the {_words(component.kind)} {component.name!r} cannot be used: {fault}"
    try:
        with trial.limited_time():
            component.verify()
    except PluginError as error:
        return error.what
    except trial.TooSlow as error:
        return f"the {_words(component.kind)} {component.name!r} cannot be used: {error}"
    return ""


def load_registry(local: Sequence[FoundPlugin] = ()) -> Registry:
    """Find and load the installed plugins, the user's own datasets and strategies of this session.

    Args:
        local: Plugins that are not installed; they replace the installed plugins of their
            distributions.

    Raises:
        PluginError: A plugin has a problem and ``NASBENCH_ECG_STRICT_PLUGINS`` is set.
    """
    found, problems = discover()
    replaced = {normalized(plugin.distribution) for plugin in local}
    found = [p for p in found if normalized(p.distribution) not in replaced] + list(local)
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",")} - {""}
    problems += _unknown_disabled(disabled, found)
    manager = pluggy.PluginManager("nasbench_ecg")
    manager.add_hookspecs(hookspecs)
    plugins = []
    for plugin in found:
        info = PluginInfo(plugin.name, plugin.distribution, plugin.version, plugin.shipped)
        if disabled & {plugin.name, "*"}:
            plugins.append(replace(info, state="disabled"))
            continue
        loaded = load_plugin(manager, plugin)
        problems += loaded.problems
        components = tuple(
            Component(spec, plugin.name, plugin.distribution, plugin.version)
            for spec in loaded.specs
        )
        state: Literal["loaded", "failed"] = "loaded" if loaded.loaded else "failed"
        plugins.append(replace(info, components=components, state=state))
    if added := _user_datasets(disabled):
        plugins.append(added[0])
        problems += added[1]
    if of_session := session.components():
        info = PluginInfo(session.SESSION, session.SESSION_DISTRIBUTION, "", shipped=False)
        plugins.append(replace(info, components=of_session))
    plugins, conflicts = _resolve_conflicts(plugins)
    problems += conflicts
    if problems and os.environ.get(STRICT, "0") not in ("", "0"):
        raise PluginError(
            f"{STRICT} is set and there are problems: {' '.join(map(str, problems))}",
            fix=f"Fix or remove these plugins, or unset {STRICT}.",
        )
    return Registry(tuple(plugins), tuple(problems))


def _user_datasets(disabled: set[str]) -> tuple[PluginInfo, list[PluginProblem]] | None:
    """Return the datasets that the user added, as one plugin; None if there are none."""
    found, faults = read_user_datasets()
    if not found and not faults:
        return None
    info = PluginInfo(ADDED, ADDED_DISTRIBUTION, "", shipped=False)
    if disabled & {ADDED, "*"}:
        return replace(info, state="disabled"), []
    components = []
    for one in found:
        target, options = spec_targets(one.name)
        spec = DatasetSpec(
            name=one.name,
            target=target,
            options=options,
            summary=one.summary,
            protocol=one.protocols[0],
            protocols=one.protocols,
        )
        components.append(Component(spec, ADDED, ADDED_DISTRIBUTION, ""))
    problems = [
        PluginProblem(ADDED, ADDED_DISTRIBUTION, "", "discovery", fault, (("dataset", name),))
        for name, fault in faults
    ]
    return replace(info, components=tuple(components)), problems


def _unknown_disabled(disabled: Iterable[str], found: Sequence[FoundPlugin]) -> list[PluginProblem]:
    known = {ADDED, *(plugin.name for plugin in found)}
    return [
        PluginProblem(
            name,
            "",
            "",
            "disabling",
            f"{DISABLE} names no installed plugin. {nearest(name, known)}",
        )
        for name in sorted(set(disabled) - known - {"*"})
    ]


def _resolve_conflicts(
    plugins: list[PluginInfo],
) -> tuple[list[PluginInfo], list[PluginProblem]]:
    """Keep one component per kind and name: the shipped one, or none if only third parties do."""
    providers: dict[tuple[Kind, str], list[PluginInfo]] = {}
    for plugin in plugins:
        for component in plugin.components:
            providers.setdefault((component.kind, component.name), []).append(plugin)
    resolved = []
    problems = []
    for plugin in plugins:
        kept = []
        for component in plugin.components:
            rivals = providers[component.kind, component.name]
            shipped = [rival for rival in rivals if rival.shipped]
            if len(rivals) == 1 or shipped == [plugin]:
                kept.append(component)
            else:
                problems.append(_conflict(component, rivals, taken=bool(shipped)))
        resolved.append(replace(plugin, components=tuple(kept)))
    return resolved, problems


def _conflict(component: Component, rivals: Sequence[PluginInfo], *, taken: bool) -> PluginProblem:
    providers = ", ".join(f"{p.name!r} of {p.distribution} {p.version}" for p in rivals)
    what = f"the {_words(component.kind)} {component.name!r} is provided by {providers}; "
    rule = "a shipped name cannot be replaced" if taken else "none of them is used"
    return PluginProblem(
        component.plugin,
        component.distribution,
        component.version,
        "conflict",
        what + rule,
        ((component.kind, component.name),),
    )


def _words(kind: Kind) -> str:
    return kind.replace("-", " ")
