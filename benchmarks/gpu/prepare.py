"""Make a machine without network ready: ``python prepare.py ROOT CARRY WORK``.

Unpacks the records, installs those of the carried wheels that are missing here, and makes the
checkout known as an installed distribution, without which its plugins would not be found.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packages import normal
from pip._vendor.packaging.requirements import Requirement


def unpack_records(carry: Path, work: Path) -> str:
    """Unpack the carried records into ``work/data``, and say so."""
    archive, done = carry / "records.tar.xz", work / "data" / ".unpacked"
    if not archive.is_file():
        return f"no records: {archive} is missing"
    if not done.is_file():
        with tarfile.open(archive) as tar:
            tar.extractall(work / "data", filter="data")
        done.touch()
    n_records = len(list((work / "data" / "mitdb").glob("*.hea")))
    return f"{n_records} records in {work / 'data'}"


def install_missing(carry: Path, site: Path) -> str:
    """Install the carried wheels of packages that are not here into ``site``, and say which."""
    missing = [
        wheel
        for wheel in sorted((carry / "wheels").glob("*.whl"))
        if not _installed(normal(wheel.name.partition("-")[0]))
    ]
    if not missing:
        return "no package was missing"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    pip += ["--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*pip, "--upgrade", "--target", site, *missing], check=True)
    return f"installed {', '.join(wheel.name.split('-')[0] for wheel in missing)}"


def make_known(root: Path, site: Path) -> list[str]:
    """Write the checkout's metadata into ``site``; return its requirements that do not hold."""
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
    return [line for line in project["dependencies"] if not _holds(Requirement(line))]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _holds(requirement: Requirement) -> bool:
    found = _installed(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def main() -> None:
    """Prepare the machine; fail if a requirement does not hold."""
    root, carry, work = (Path(argument) for argument in sys.argv[1:4])
    site = work / "site"
    print(unpack_records(carry, work))
    print(install_missing(carry, site))
    lacking = make_known(root, site)
    if lacking:
        sys.exit(f"not fulfilled here: {', '.join(lacking)}; pack them with pack_for_gpu.sh")


if __name__ == "__main__":
    main()
