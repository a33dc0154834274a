"""Find the installed plugins; nothing is imported.

:func:`discover` reads the entry points of the group ``nasbench_ecg.plugins``, and
:func:`discover_package` does the same for a package that is not installed.
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import PluginError, describe_error
from nasbench_ecg.plugin.hookspecs import ENTRY_POINT_GROUP
from nasbench_ecg.plugin.specs import Kind

SHIPPED_DISTRIBUTION = "nasbench-ecg"


@dataclass(frozen=True)
class FoundPlugin:
    """An installed plugin, loaded or not."""

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
        plugin: Name of the plugin; empty if unknown.
        distribution: Name of the distribution that holds the plugin.
        version: Version of that distribution.
        stage: Where it went wrong: ``discovery``, ``import``, ``version`` (of the API), ``hooks``
            (their names and arguments), ``call`` (of a hook), ``spec`` (what a hook yields),
            ``conflict`` (of names), ``disabling`` or ``component`` (its target or options, when
            verified).
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


# Discovery


def discover() -> tuple[list[FoundPlugin], list[PluginProblem]]:
    """Return the plugins of all installed distributions by name, shipped ones first.

    A distribution that is on the path more than once (say, an editable install and a wheel) counts
    once: the first one, which is the one that Python imports.
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
            if key in seen or not _is_first_on_path(distribution):
                continue
            seen.add(key)
            for plugin in _plugins_of(distribution):
                found.setdefault((key, plugin.name), plugin)
        except Exception as error:
            problems.append(_unreadable(distribution, error))
    return sorted(found.values(), key=lambda p: (not p.shipped, p.name, p.distribution)), problems


def normalized(name: str) -> str:
    """Return the normalized name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _plugins_of(distribution: metadata.Distribution) -> Iterator[FoundPlugin]:
    about = distribution.metadata  # parsed anew at each access, with the whole README in it
    name, version = about["Name"], about["Version"] or ""
    for entry_point in distribution.entry_points:
        if entry_point.group == ENTRY_POINT_GROUP:
            yield FoundPlugin(entry_point.name, name, version, entry_point)


def _is_first_on_path(distribution: metadata.Distribution) -> bool:
    # A version earlier on the path may have no plugins, and still hides this one.
    first = metadata.distribution(distribution.name)
    return first.locate_file("") == distribution.locate_file("")


def _unreadable(distribution: metadata.Distribution, error: Exception) -> PluginProblem:
    try:
        name, version = distribution.name or "", distribution.version or ""
    except Exception:
        name, version = "", ""
    reason = f"its entry points cannot be read: {describe_error(error)}"
    return PluginProblem(
        "", name or str(distribution.locate_file("")), version, "discovery", reason
    )


def discover_package(folder: Path) -> list[FoundPlugin]:
    """Return the plugins of a package that is not installed, and put it on ``sys.path``.

    Modules are found in ``folder/src``, if there is one, and in ``folder`` itself.

    Raises:
        PluginError: There is no pyproject.toml, or it declares no plugin.
    """
    project = _read_project(folder)
    name, version = project.get("name", folder.name), project.get("version", "")
    points = project.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    if not isinstance(points, dict) or not points:
        raise PluginError(
            "The package declares no plugin.",
            where=str(folder / "pyproject.toml"),
            fix=f'Add [project.entry-points."{ENTRY_POINT_GROUP}"] with name = "module".',
        )
    for path in (folder, folder / "src"):
        if path.is_dir() and str(path.resolve()) not in sys.path:
            sys.path.insert(0, str(path.resolve()))
    return [
        FoundPlugin(
            point, str(name), str(version), metadata.EntryPoint(point, value, ENTRY_POINT_GROUP)
        )
        for point, value in points.items()
    ]


def _read_project(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(
            f"This is not a Python package: {error}.",
            where=str(path),
            fix="Give the folder that holds the package's pyproject.toml.",
        ) from error
    project = data.get("project", {})
    return project if isinstance(project, dict) else {}
