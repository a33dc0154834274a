"""Digests of the code that makes beats, and of the code of any component."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nasbench_ecg

_CORE = Path(nasbench_ecg.__file__).parent
_CORE_FOLDERS = ("data", "signal")
_EXECUTED = (
    "architecture.py", "contracts", "data", "encoding.py", "metrics.py", "run", "signal", "training"
)  # fmt: skip


def code_of(dataset: object) -> dict[str, str]:
    """Return versions and digests of the code that makes the beats of ``dataset``.

    Beats that other code made may differ, even if nobody raised the revision of the dataset.

    Returns:
        ``core``: version of nasbench-ecg; ``preparation``: SHA-256 of its modules that read records
        and cut beats; ``dataset``: SHA-256 of the modules of the package that defines the dataset,
        or of the one module if it is in no package.
    """
    return {
        "core": nasbench_ecg.__version__,
        "preparation": _digest_of(tuple(_CORE / name for name in _CORE_FOLDERS)),
        "dataset": package_digest(dataset),
    }


def core_digest() -> str:
    """Return the SHA-256 of the modules of nasbench-ecg itself, without the plugins."""
    return _digest_of((_CORE,))


def installed_digests(packages: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the modules of each package that is installed, by its name."""
    found = {name: _digest_of(_installed_at(name)) for name in packages}
    return {name: digest for name, digest in found.items() if digest}


def _installed_at(name: str) -> tuple[Path, ...]:
    """Return the folder of a package, or the file of a module, without an import."""
    spec = find_spec(name)
    folders = tuple(Path(folder) for folder in (spec and spec.submodule_search_locations) or ())
    return folders or ((Path(spec.origin),) if spec and spec.origin else ())


def execution_digest() -> str:
    """Return the SHA-256 of the modules of nasbench-ecg that a run executes."""
    return _digest_of(tuple(_CORE / name for name in _EXECUTED))


def package_digest(component: object) -> str:
    """Return the SHA-256 of the modules of the package that defines a component.

    A component in no package gives that of its module. Empty if there is no source, and for a
    component of the core, whose version says what it is.
    """
    return _digest_of(_sources(type(component).__module__))


def _sources(name: str) -> tuple[Path, ...]:
    """Return the folder of the package of a module, or the file of a module in no package."""
    package, _, rest = name.partition(".")
    if package == nasbench_ecg.__name__:
        return ()  # covered by the digest of the preparation
    module = sys.modules.get(package if rest else name)
    if module is None:
        return ()
    folders = tuple(Path(folder) for folder in getattr(module, "__path__", ()))
    file = getattr(module, "__file__", None)
    return folders or ((Path(file),) if file else ())


@lru_cache
def _digest_of(sources: tuple[Path, ...]) -> str:
    """Return the SHA-256 of names and contents of all Python files; empty if there are none."""
    files = sorted(_python_files(sources))
    if not files:
        return ""
    digest = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _python_files(sources: Iterable[Path]) -> Iterable[tuple[str, Path]]:
    for source in sources:
        if source.is_file():
            yield source.name, source
        for path in source.rglob("*.py"):
            yield path.relative_to(source).as_posix(), path
