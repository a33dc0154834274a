"""Suite files: grids of strategies, datasets, protocols and seeds in TOML.

For example::

    title = "The baselines on MIT-BIH"
    published = true
    seeds = [0, 1, 2]
    time_limit_hours = 2.0

    [[runs]]
    strategies = ["cnn-9", "cnn-11"]
    datasets = ["mitbih-1lead", "mitbih-2lead"]
    protocols = ["intra-patient"]
    profiles = ["paper"]
    set.evaluator.epochs = 100
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from nasbench_ecg.errors import OptionError, StorageError, nearest

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_OTHER_FOLDERS = frozenset({"speed", "tables", "correlation", "submitted"})
"""Folders of results that hold no suite: of ``benchmarks/speed``, tables, ``correlate``, and runs
that others have submitted."""


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("A seed is listed twice")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, strict=True)], ...],
    Field(min_length=1),
    AfterValidator(_distinct),
]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """The budget of a search."""

    evaluations: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Largest number of candidates that it evaluates."""
    seconds: Annotated[float, Field(ge=1)] | None = None
    """Largest number of seconds that it takes."""


class Grid(_Strict):
    """One entry of a suite: all combinations of its strategies, datasets, protocols and so on."""

    strategies: Names
    datasets: Names
    protocols: Names | None = None
    """Protocols of this entry; None: that of each dataset, as ``run`` uses it."""
    profiles: Names = ("quick",)
    seeds: Seeds | None = None
    """Seeds of this entry; None: those of the suite."""
    space: str | None = None
    builder: str | None = None
    evaluator: str | None = None
    budget: Limits = Limits()
    """Budget of each search, as in ``budget.evaluations = 20``."""
    use: tuple[str, ...] = ()
    """Names of options that several entries share; of two with the same option the later wins."""
    set: dict[str, dict[str, Any]] = {}
    """Options by component, as in ``--set strategy.epochs=10``; they win over those of ``use``."""


class SuiteFile(_Strict):
    """The content of a suite file."""

    title: str
    about: str = ""
    published: bool = False
    """Whether the results are published; they must then keep the rules of a fair comparison."""
    seeds: Seeds
    time_limit_hours: Annotated[float, Field(gt=0)] | None = None
    """Time limit of one run."""
    shared: dict[str, dict[str, dict[str, Any]]] = {}
    """Options by name and component that entries can ``use``, as in ``shared.tiny.space``."""
    runs: Annotated[tuple[Grid, ...], Field(min_length=1)]

    def options(self, grid: Grid) -> dict[str, dict[str, Any]]:
        """Return the options of an entry by component: those that it uses, and its own."""
        options: dict[str, dict[str, Any]] = {}
        for given in (*(self.shared[name] for name in grid.use), grid.set):
            for component, values in given.items():
                options[component] = {**options.get(component, {}), **values}
        return options


@dataclass(frozen=True)
class Suite:
    """A suite and its file.

    Attributes:
        name: Name of the file without its extension, and of the folder of its results.
        path: The file, as shown in errors.
        content: The content of the file.
    """

    name: str
    path: str
    content: SuiteFile


def shipped_suites() -> list[Suite]:
    """Return the suites that come with the project, in the order of their names.

    Raises:
        OptionError: One of the files is not a suite.
    """
    found = [p for p in files("nasbench_ecg_suites").iterdir() if p.name.endswith(".toml")]
    texts = {p.name.removesuffix(".toml"): p.read_text(encoding="utf-8") for p in found}
    return [
        parse_suite(text, name, f"{name}.toml")
        for name, text in sorted(texts.items())
        if "[[runs]]" in text
    ]


def about_suites(names: Iterable[str]) -> str:
    """Return what a shipped suite compares, as its file says; empty for several, or for another."""
    only = set(names)
    return next((s.content.about for s in shipped_suites() if only == {s.name}), "")


def load_suite(name_or_path: str) -> Suite:
    """Return the shipped suite of a name, or the suite in a TOML file.

    Raises:
        OptionError: There is no such suite, or the file is not a suite.
        StorageError: The file cannot be read.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            return parse_suite(path.read_text(encoding="utf-8"), path.stem, str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(
                f"The suite cannot be read: {getattr(error, 'strerror', None) or error}.",
                where=str(path),
                fix="Name a shipped suite ('nasbench-ecg suite list'), or a TOML file.",
            ) from None
    suites = {suite.name: suite for suite in shipped_suites()}
    if name_or_path not in suites:
        raise OptionError(
            f"There is no suite {name_or_path!r}.",
            fix=f"{nearest(name_or_path, suites)} The name of your own file must end in .toml.",
        )
    return suites[name_or_path]


def check_name(name: str, where: str) -> None:
    """Raise OptionError unless ``name`` is valid as the name of a suite and of its folder."""
    if name in _OTHER_FOLDERS:
        raise OptionError(
            f"{name!r} cannot name a suite: this folder of results has other contents.",
            where=where,
            fix="Choose another name.",
        )
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"{name!r} cannot name a suite.",
            where=where,
            fix="Use lower-case letters and digits, joined by hyphens.",
        )


def parse_suite(text: str, name: str, path: str) -> Suite:
    """Return the suite that a TOML text describes.

    Raises:
        OptionError: The text is not TOML, or not a suite; the error names file and entry.
    """
    check_name(name, path)
    try:
        content = SuiteFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"The file is not TOML: {error}.", where=path) from None
    except ValidationError as error:
        errors = error.errors()
        misspelt = (one for one in errors if one["type"] == "extra_forbidden")
        first = next(misspelt, errors[0])  # it is why another entry is missing
        where, what = _location(path, first["loc"]), first["msg"]
        if first["type"] == "extra_forbidden":
            model = (
                Limits if "budget" in first["loc"] else Grid if len(first["loc"]) > 1 else SuiteFile
            )
            what, fix = "There is no such entry", nearest(str(first["loc"][-1]), model.model_fields)
        elif first["type"] == "too_short":
            what, fix = "The list is empty, so there is nothing to run", "Give at least one value."
        elif first["type"] == "missing":
            what, fix = "This entry is missing", "Add it: it has no default."
        else:
            what = what.removeprefix("Value error, ")
            fix = "The page 'Suites' of the documentation shows a whole file."
        raise OptionError(f"{what.rstrip('.')}.", where=where, fix=fix) from None
    for i, grid in enumerate(content.runs):
        for shared in grid.use:
            if shared not in content.shared:
                raise OptionError(
                    f"There are no shared options {shared!r}.",
                    where=_location(path, ("runs", i, "use")),
                    fix=f"{nearest(shared, content.shared)} Define them as [shared.{shared}].",
                )
    used = {shared for grid in content.runs for shared in grid.use}
    if unused := [shared for shared in content.shared if shared not in used]:
        raise OptionError(
            f"No entry uses the shared options {unused[0]!r}, so that no run has them.",
            where=_location(path, ("shared", unused[0])),
            fix=f"Write use = [{json.dumps(unused[0])}] in the entries that are to have them, or "
            "remove them.",
        )
    return Suite(name, path, content)


def _location(path: str, location: Sequence[int | str]) -> str:
    parts = [f"entry {part + 1}" if isinstance(part, int) else part for part in location]
    return f"{path}: {' › '.join(parts)}"
