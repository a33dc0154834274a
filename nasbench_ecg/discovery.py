"""Entry points of installed distributions that name plugins, found without importing any plugin."""

from __future__ import annotations

import importlib.metadata as metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nasbench_ecg.component import describe
from nasbench_ecg.hookspecs import ENTRY_POINT_GROUP
from nasbench_ecg.specs import Kind

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
