"""A plugin of a test, loaded beside the installed ones.

It is added where plugins are discovered and loaded, not in place of ``load_registry``: a module
that imports that function while it is replaced would keep the replacement for all later tests.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from nasbench_ecg.plugin import registry
from nasbench_ecg.plugin.discovery import FoundPlugin
from nasbench_ecg.plugin.hookspecs import ENTRY_POINT_GROUP
from nasbench_ecg.plugin.loading import LoadedPlugin
from nasbench_ecg.plugin.specs import ComponentSpec


def install(
    patch: pytest.MonkeyPatch,
    *specs: ComponentSpec,
    name: str = "made-up",
    distribution: str = "tests",
    version: str = "0",
) -> None:
    """Make ``specs`` known to ``load_registry`` until ``patch`` is undone."""
    entry_point = EntryPoint(name, "nowhere", ENTRY_POINT_GROUP)
    made_up = FoundPlugin(name, distribution, version, entry_point)
    discover, load_plugin = registry.discover, registry.load_plugin

    def also_discover():
        found, problems = discover()
        return [*(one for one in found if one != made_up), made_up], problems

    def also_load(manager, plugin):
        return LoadedPlugin(specs) if plugin == made_up else load_plugin(manager, plugin)

    patch.setattr(registry, "discover", also_discover)
    patch.setattr(registry, "load_plugin", also_load)
