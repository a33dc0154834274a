"""Suite files and their plans: a grid of strategies, datasets, protocols and seeds in TOML.

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

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import NasbenchError, OptionError, StorageError, nearest
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.run.config import RunConfig, configure
from nasbench_ecg.run.folds import each_fold
from nasbench_ecg.run.request import RunRequest, assigned

MIN_SEEDS = 3
"""Smallest number of search seeds of a published suite."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("A seed is listed twice")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)
]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """The budget of a search."""

    evaluations: Annotated[int, Field(ge=1)] | None = None
    """Largest number of candidates that it evaluates."""
    seconds: Annotated[float, Field(ge=1)] | None = None
    """Largest number of seconds that it takes."""


class Grid(_Strict):
    """One entry of a suite: all combinations of its strategies, datasets, protocols and so on."""

    strategies: Names
    datasets: Names
    protocols: Names = ("intra-patient",)
    profiles: Names = ("quick",)
    seeds: Seeds | None = None
    """Seeds of this entry; None: those of the suite."""
    space: str | None = None
    builder: str | None = None
    evaluator: str | None = None
    budget: Limits = Limits()
    """Budget of each search, as in ``budget.evaluations = 20``."""
    set: dict[str, dict[str, Any]] = {}
    """Options by component, as in ``--set strategy.epochs=10``."""


class SuiteFile(_Strict):
    """The content of a suite file."""

    title: str
    about: str = ""
    published: bool = False
    """Whether the results are published; they must then keep the rules of a fair comparison."""
    seeds: Seeds
    time_limit_hours: Annotated[float, Field(gt=0)] | None = None
    """Time limit of one run."""
    runs: Annotated[tuple[Grid, ...], Field(min_length=1)]


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


@dataclass(frozen=True)
class PlannedRun:
    """One run of a suite's plan.

    Attributes:
        config: Its configuration.
        entry: Number of the entry of ``runs`` that it comes from, starting at 1.
    """

    config: RunConfig
    entry: int

    @property
    def key(self) -> str:
        """Run key."""
        return self.config.key()

    @property
    def method(self) -> str:
        """The strategy, with its builder and options if they differ from the defaults."""
        config = self.config
        budget = {f"budget.{name}": limit for name, limit in config.budget.limits().items()}
        changed = {**config.strategy.changed, **config.builder.changed, **config.evaluator.changed}
        changed |= budget
        other_builder = config.builder.name != config.usual_builder()
        name = config.strategy.name
        return _with_options(f"{name} {config.builder.name}" if other_builder else name, changed)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Dataset, protocol, profile and method: equal for runs that differ in seed and fold."""
        config = self.config
        dataset = _with_options(config.dataset.name, config.dataset.changed)
        changed = {n: value for n, value in config.protocol_changed.items() if n != "fold"}
        protocol = _with_options(config.protocol, changed)
        return dataset, protocol, config.profile, self.method

    def __str__(self) -> str:
        *where, method = self.row
        return " · ".join([method, *where, *self.number])

    @property
    def number(self) -> tuple[str, ...]:
        """Seed and fold as text: ``seed 0``, ``fold 2``."""
        fold = self.config.protocol_changed.get("fold")
        seed = f"seed {self.config.search_seed}"
        return (seed,) if fold is None else (seed, f"fold {fold}")


def _with_options(name: str, changed: Mapping[str, Any]) -> str:
    return " ".join([name, *(f"{option}={assigned(value)}" for option, value in changed.items())])


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
        return Suite(name, path, SuiteFile.model_validate(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"The file is not TOML: {error}.", where=path) from None
    except ValidationError as error:
        first = error.errors()[0]
        where, what = _location(path, first["loc"]), first["msg"]
        if first["type"] == "extra_forbidden":
            model = (
                Limits if "budget" in first["loc"] else Grid if len(first["loc"]) > 1 else SuiteFile
            )
            what, fix = "There is no such entry", nearest(str(first["loc"][-1]), model.model_fields)
        elif first["type"] == "too_short":
            what, fix = "The list is empty, so there is nothing to run", "Give at least one value."
        else:
            what = what.removeprefix("Value error, ")
            fix = "Compare it with a shipped suite in benchmarks/nasbench_ecg_suites."
        raise OptionError(f"{what.rstrip('.')}.", where=where, fix=fix) from None


def _location(path: str, location: Sequence[int | str]) -> str:
    parts = [f"entry {part + 1}" if isinstance(part, int) else part for part in location]
    return f"{path}: {' › '.join(parts)}"


def plan(
    suite: Suite,
    registry: Registry,
    *,
    profile: str | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
) -> list[PlannedRun]:
    """Return the different runs of a suite, without loading any beats.

    A protocol with folds gives one run for each fold, unless the suite chooses a fold. The
    runs are sorted by seed, so that every method has a first result before any has a second.

    Args:
        suite: The suite.
        registry: The available components.
        profile: Profile of all runs, instead of the suite's own.
        seeds: Seeds of all runs, instead of the suite's own.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: A name is unknown or an option is not allowed; the error names file and entry.
    """
    planned: dict[str, PlannedRun] = {}
    for number, grid in enumerate(suite.content.runs, start=1):
        for request in _requests(grid, seeds or grid.seeds or suite.content.seeds, profile, device):
            try:
                runs = [
                    PlannedRun(configure(registry, one), number)
                    for one in each_fold(registry, request)
                ]
            except NasbenchError as error:
                where = (
                    f"{suite.path}: runs › entry {number}, {request.strategy} on {request.dataset}"
                )
                raise OptionError(error.what, where=where, fix=error.fix) from None
            for run in runs:
                planned.setdefault(run.key, run)
    return sorted(planned.values(), key=lambda run: run.config.search_seed)


def _requests(
    grid: Grid, seeds: Sequence[int], profile: str | None, device: str
) -> Iterator[RunRequest]:
    profiles = grid.profiles if profile is None else (profile,)
    for profile_name, protocol, dataset, strategy, seed in product(
        profiles, grid.protocols, grid.datasets, grid.strategies, seeds
    ):
        yield RunRequest(
            strategy=strategy,
            dataset=dataset,
            protocol=protocol,
            profile=profile_name,
            space=grid.space,
            builder=grid.builder,
            evaluator=grid.evaluator,
            overrides=grid.set,
            search_seed=seed,
            device=device,
            budget=Budget(grid.budget.evaluations, grid.budget.seconds),
        )


def broken_rules(runs: Sequence[PlannedRun], *, published: bool) -> list[str]:
    """Return a sentence for each violation of the rules of a fair comparison.

    A published plan needs three seeds of each run. Every search must be compared with random search
    under the same budget, and random search may have no changed option that the search does not
    have, for example one that lets it evaluate fewer candidates.
    """
    return [*(_too_few_seeds(runs) if published else []), *_without_random_search(runs)]


def _too_few_seeds(runs: Sequence[PlannedRun]) -> list[str]:
    seeds: dict[tuple[Any, ...], set[int]] = {}
    for run in runs:
        config = run.config
        options = tuple(chosen.options.model_dump_json() for chosen in config.components().values())
        row = (config.strategy.name, config.dataset.name, config.protocol, config.builder.name)
        seeds.setdefault((row, options), set()).add(config.search_seed)
    return [
        f"{row[0]} on {row[1]} under {row[2]} has {len(chosen)} of the {MIN_SEEDS} seeds "
        "that a published comparison needs."
        for (row, _), chosen in seeds.items()
        if len(chosen) < MIN_SEEDS
    ]


def _without_random_search(runs: Sequence[PlannedRun]) -> list[str]:
    random_searches: dict[tuple[Any, ...], list[RunConfig]] = {}
    for run in runs:
        if _role(run.config) == "random-search":
            random_searches.setdefault(_comparison(run.config), []).append(run.config)
    without: dict[tuple[Any, ...], RunConfig] = {}
    for search in (run.config for run in runs if _role(run.config) == "search"):
        partners = random_searches.get(_comparison(search), ())
        if not any(_no_extra_options(partner, search) for partner in partners):
            without[_comparison(search)] = search
    return [
        f"{config.strategy.name} searches {config.space.name} on {config.dataset.name} under "
        f"{config.protocol} ({config.profile}) without random search under the same budget."
        for config in without.values()
    ]


def _comparison(config: RunConfig) -> tuple[Any, ...]:
    """Return what a search and its random search must have in common."""
    roles = (config.space, config.dataset, config.evaluator)
    names = [chosen.name for chosen in roles]
    return (*names, config.protocol, config.profile, config.budget)


def _no_extra_options(random_search: RunConfig, search: RunConfig) -> bool:
    """Return whether all changed options of random search are changed equally in ``search``."""
    return random_search.strategy.changed.items() <= search.strategy.changed.items()


def _role(config: RunConfig) -> str:
    spec = config.strategy.component.spec
    assert isinstance(spec, StrategySpec)
    return spec.role
