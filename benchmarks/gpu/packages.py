"""The packages that the project needs, as installed here: ``python packages.py [WITHOUT ...]``.

Prints ``name==version`` of all that the installed project requires, directly or not. Packages
named on the command line are left out, and so is what only they require.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from pip._vendor.packaging.requirements import Requirement

PROJECT = "nasbench-ecg"
_THERE = {
    "extra": "",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}


def normal(name: str) -> str:
    """Return the name of a package in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(project: str, without: set[str]) -> Iterator[str]:
    """Yield ``name==version`` of all that ``project`` needs but for ``without``."""
    seen = {normal(project), "editables", *map(normal, without)}  # of editable installs only
    waiting = [project]
    while waiting:
        for line in requires(waiting.pop()) or ():
            requirement = Requirement(line)
            name = normal(requirement.name)
            if name in seen or (requirement.marker and not requirement.marker.evaluate(_THERE)):
                continue
            seen.add(name)
            try:
                yield f"{name}=={version(name)}"
            except PackageNotFoundError:
                continue
            waiting.append(name)


if __name__ == "__main__":
    print("\n".join(sorted(needed(PROJECT, set(sys.argv[1:])))))
