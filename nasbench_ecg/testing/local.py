"""Plugins of a package that is not installed, found by the entry points of its pyproject.toml."""

from __future__ import annotations

import importlib.metadata as metadata
import sys
import tomllib
from pathlib import Path
from typing import Any

from nasbench_ecg.discovery import FoundPlugin
from nasbench_ecg.errors import PluginError
from nasbench_ecg.hookspecs import ENTRY_POINT_GROUP


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
