"""The packages that the checkout needs, as installed here: ``python packages.py [WITHOUT ...]``.

Prints ``name==version`` of all that pyproject.toml requires, directly or not. Packages named on
the command line are left out, and so is what only they require.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

_ROOT = Path(__file__).parents[2]
_THERE = {
    "extra": "",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}


def normal(name: str) -> str:
    """Return the name of a package in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(without: set[str]) -> Iterator[str]:
    """Yield ``name==version`` of all that the checkout needs but for ``without``.

    Raises:
        PackageNotFoundError: One of them is not installed here.
    """
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    seen, waiting = {*map(normal, without)}, list(project["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop())
        name = normal(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate(_THERE)):
            continue
        seen.add(name)
        yield f"{name}=={version(name)}"
        waiting += requires(name) or ()


if __name__ == "__main__":
    print("\n".join(sorted(needed(set(sys.argv[1:])))))
