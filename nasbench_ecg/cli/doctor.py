"""``nasbench-ecg doctor``: what a bug report needs to say about this installation."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import typer

import nasbench_ecg
from nasbench_ecg.cli.console import print_json, stdout, styled, table
from nasbench_ecg.cli.shared_options import JsonOption
from nasbench_ecg.text import counted

_VARIABLES = "NASBENCH_ECG_"


def doctor(
    as_json: JsonOption = False,
) -> None:
    """Print versions, device, folders, plugins with their problems, and the size of the cache.

    Paste the output into a bug report. The exit code is 1 if a plugin has a problem or a dependency
    is missing.
    """
    found = _found()
    if as_json:
        print_json(found)
    else:
        listed = table("part", "value")
        for name, value in _rows(found):
            listed.add_row(styled((name, "bold")), value)
        stdout().print(listed)
    if found["problems"] or None in found["dependencies"].values():
        raise typer.Exit(1)


def _found() -> dict[str, Any]:
    """Return everything that the verb prints."""
    from pathlib import Path

    import torch

    from nasbench_ecg.data.cache import cache_entries
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.environment import cpu_name

    registry, source = load_registry(), LocalSource()
    cuda = torch.cuda.is_available()
    return {
        "nasbench-ecg": nasbench_ecg.__version__,
        "installed in": str(Path(nasbench_ecg.__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "dependencies": _dependencies(),
        "variables": {name: os.environ[name] for name in sorted(os.environ) if _VARIABLES in name},
        "cache": str(source.cache),
        "cache_bytes": sum(entry.n_bytes for entry in cache_entries(source)),
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "state": plugin.state,
                "components": len(plugin.components),
            }
            for plugin in registry.plugins
        ],
        "problems": [str(problem) for problem in registry.problems],
    }


def _dependencies() -> dict[str, str | None]:
    """Return the version of each dependency, None if it is not installed."""
    found: dict[str, str | None] = {}
    for text in requires("nasbench-ecg") or ():
        if "extra ==" in text:
            continue
        name = re.split(r"[^\w.-]", text, maxsplit=1)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from nasbench_ecg.physionet.catalog import describe_size

    for name in ("nasbench-ecg", "installed in", "python", "platform", "processor"):
        yield name, found[name]
    yield "GPU", f"{found['gpu']}, CUDA {found['cuda']}" if found["gpu"] else "none"
    yield (
        "dependencies",
        ", ".join(f"{name} {v or 'MISSING'}" for name, v in found["dependencies"].items()),
    )
    yield "variables", ", ".join(f"{n}={v}" for n, v in found["variables"].items()) or "none"
    yield "cache", f"{found['cache']}, {describe_size(found['cache_bytes'])}"
    for plugin in found["plugins"]:
        yield (
            f"plugin {plugin['name']}",
            f"{plugin['distribution']} {plugin['version']}, {plugin['state']}, "
            f"{counted(plugin['components'], 'component')}",
        )
    for problem in found["problems"]:
        yield "problem", problem
