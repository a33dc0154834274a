"""List the dependencies with their installed versions: ``python packages.py [WITHOUT ...]``.

Prints ``name==version`` of all direct and indirect requirements of pyproject.toml. Packages named
on the command line are left out, and so are packages that only they require.
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
_TARGET = {
    "extra": "",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}


def normalized(name: str) -> str:
    """Return the normalized name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(without: set[str]) -> Iterator[str]:
    """Yield ``name==version`` of all dependencies of the checkout except ``without``.

    Raises:
        PackageNotFoundError: A dependency is not installed.
    """
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    seen, waiting = {*map(normalized, without)}, list(project["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop())
        name = normalized(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate(_TARGET)):
            continue
        seen.add(name)
        yield f"{name}=={version(name)}"
        waiting += requires(name) or ()


if __name__ == "__main__":
    print("\n".join(sorted(needed(set(sys.argv[1:])))))
