"""Create a new plugin package from templates: completely, or not at all."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import make_beside, storage_errors
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import API_VERSION, Kind

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_MODULE: dict[Kind, str] = {
    "strategy": "strategy",
    "dataset": "dataset",
    "search-space": "space",
    "builder": "network",
    "evaluator": "evaluator",
    "executor": "executor",
}

_RUN: dict[Kind, str] = {
    "strategy": "nasbench-ecg run $name synthetic-2lead --profile smoke",
    "dataset": "nasbench-ecg run random $name --profile smoke",
    "search-space": "nasbench-ecg run random synthetic-2lead --profile smoke --space $name",
    "builder": "nasbench-ecg run random synthetic-2lead --profile smoke --builder $name",
    "evaluator": "nasbench-ecg run random synthetic-2lead --profile smoke --evaluator $name",
    "executor": "nasbench-ecg suite run smoke --executor $name",
}


def create(name: str, kind: Kind, parent: Path, registry: Registry) -> Path:
    """Write the package ``parent``/``name`` and return its folder.

    Args:
        name: Name of the component and of the distribution.
        kind: Kind of the component.
        parent: Folder that the package is written to; created if it does not exist.
        registry: The installed components, whose names are taken.

    Raises:
        OptionError: The name is bad or taken, or the folder exists.
        StorageError: The folder cannot be written.
    """
    package = name.replace("-", "_")
    _check_name(name, package, kind, registry)
    folder = parent / name
    if folder.exists():
        raise OptionError(
            "The folder already exists.",
            where=str(folder),
            fix="Choose another name, or another folder with --dir.",
        )
    words = _words(name, kind, package)
    texts = _texts(words)
    _check_class(words["Class"], texts)
    with storage_errors(folder, option="--dir", what="The package"):
        parent.mkdir(parents=True, exist_ok=True)
        temporary = make_beside(folder, Path.mkdir)
        try:
            for relative, text in texts.items():
                path = temporary / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def commands(name: str, kind: Kind, folder: Path) -> list[str]:
    """Return the commands that install, run and check the new package."""
    place = str(folder) if folder.is_absolute() else f"./{folder}"
    return [
        f"pip install {place}",
        Template(_RUN[kind]).substitute(name=name),
        f"nasbench-ecg plugin check {name}",
    ]


def _check_name(name: str, package: str, kind: Kind, registry: Registry) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(package):
        raise OptionError(
            f"{name!r} is not a valid name of a component.",
            fix="Names are lower-case words and digits joined by hyphens, as in my-search.",
        )
    for component in registry.components(kind):
        if component.name == name:
            raise OptionError(
                f"There is already a {kind.replace('-', ' ')} {name!r}.",
                where=component.source,
                fix="Choose another name.",
            )
    if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
        raise OptionError(
            f"There is already a Python module {package!r}, which the package would hide.",
            fix="Choose another name.",
        )


def _check_class(name: str, texts: Mapping[str, str]) -> None:
    """Refuse a class whose name is no name of Python, or that of something which is imported."""
    code = [text for path, text in texts.items() if path.endswith(".py")]
    if keyword.iskeyword(name) or any(name in _imported(text) for text in code):
        raise OptionError(
            f"The class of the component cannot be called {name!r}, which has another meaning.",
            fix="Choose another name.",
        )


def _imported(text: str) -> set[str]:
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)]
    return {alias.name for node in nodes for alias in node.names}


def _words(name: str, kind: Kind, package: str) -> Mapping[str, str]:
    """Return the values of the templates' placeholders."""
    return {
        "name": name,
        "package": package,
        "api_version": API_VERSION,
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "kind": kind,
        "kind_in_words": kind.replace("-", " "),
        "module": _MODULE[kind],
        "run": Template(_RUN[kind]).substitute(name=name),
    }


def _texts(words: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each file by its path in the package."""
    package, module, kind = words["package"], words["module"], words["kind"]
    places = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{package}/__init__.py": f"{kind}/init.py",
        f"src/{package}/{module}.py": f"{kind}/{module}.py",
        "tests/test_contract.py": f"{kind}/contract.py",
    }
    if kind == "search-space":
        places[f"src/{package}/network.py"] = f"{kind}/network.py"
    templates = files("nasbench_ecg.scaffold") / "templates"
    return {
        place: Template(templates.joinpath(f"{source}.txt").read_text("utf-8")).substitute(words)
        for place, source in places.items()
    } | {f"src/{package}/py.typed": ""}
