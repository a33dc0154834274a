"""Prepare a machine that has no network: ``python prepare.py ROOT CARRY WORK``.

Unpacks the records, installs the packed wheels of missing packages, and registers the checkout as
an installed distribution, so that its plugins are found.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packages import normalized
from pip._vendor.packaging.requirements import Requirement


def unpack_records(carry: Path, work: Path) -> str:
    """Unpack the packed records into ``work/data``, once each archive; return a line about it."""
    archive = carry / "records.tar.xz"
    if not archive.is_file():
        return f"no records: {archive} is missing"
    done = work / "data" / f".unpacked-{archive.stat().st_size}"
    if not done.is_file():
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):  # not in Python before 3.11.4
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(work / "data")
        done.touch()
    n_records = len(list((work / "data").glob("*/*.hea")))
    return f"{n_records} records in {work / 'data'}"


def install_missing(carry: Path, site: Path) -> str:
    """Install the packed wheels of missing packages into ``site``; return a line of text."""
    missing = [
        wheel
        for wheel in sorted((carry / "wheels").glob("*.whl"))
        if not _installed(normalized(wheel.name.partition("-")[0]))
    ]
    if not missing:
        return "no package was missing"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    pip += ["--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*pip, "--upgrade", "--target", site, *missing], check=True)
    return f"installed {', '.join(wheel.name.split('-')[0] for wheel in missing)}"


def register_checkout(root: Path, site: Path) -> list[str]:
    """Write the metadata of the checkout into ``site``; return its unmet requirements."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\n"
        f"Name: {project['name']}\nVersion: {project['version']}\n"
        + "".join(f"Requires-Dist: {line}\n" for line in project["dependencies"])
    )
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return [line for line in project["dependencies"] if not _is_met(Requirement(line))]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_met(requirement: Requirement) -> bool:
    found = _installed(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def main() -> None:
    """Prepare the machine; exit with an error if a requirement is not met."""
    root, carry, work = (Path(argument) for argument in sys.argv[1:4])
    site = work / "site"
    print(unpack_records(carry, work))
    print(install_missing(carry, site))
    unmet = register_checkout(root, site)
    if unmet:
        sys.exit(f"missing requirements: {', '.join(unmet)}; pack them with pack_for_gpu.sh")


if __name__ == "__main__":
    main()
