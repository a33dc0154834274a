"""The plan of a suite: its runs, and the rules of a fair comparison that they keep or break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from pydantic_core import to_jsonable_python

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import NasbenchError, OptionError
from nasbench_ecg.options import short_names
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.folds import each_fold
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.suite.spec import Grid, Suite

MIN_SEEDS = 3
"""Smallest number of search seeds of a published suite."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a suite's plan.

    Attributes:
        config: Its configuration.
        entry: Number of the entry of ``runs`` that it comes from, starting at 1.
        recipe: Changed options of the evaluator that all methods of its dataset, protocol and
            profile have in the plan, by name.
    """

    config: RunConfig
    entry: int
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Run key."""
        return self.config.key()

    @property
    def method(self) -> str:
        """The strategy, with its builder and options if they differ from the defaults.

        Options that two components have by the same name are called by both: ``strategy.epochs``.
        """
        return self._method()

    def _method(self, hidden: Collection[str] = ()) -> str:
        config = self.config
        parts = {
            "strategy": config.strategy.changed,
            "space": config.space.changed,
            "builder": config.builder.changed,
            "evaluator": config.evaluator.changed,
        }
        full = {f"{part}.{name}": value for part, of in parts.items() for name, value in of.items()}
        names = short_names(full)
        changed = {names[key]: value for key, value in full.items() if key not in hidden}
        changed |= {f"budget.{name}": limit for name, limit in config.budget.limits().items()}
        other_builder = config.builder.name != config.usual_builder()
        name = config.strategy.name
        return _with_options(f"{name} {config.builder.name}" if other_builder else name, changed)

    @property
    def short_method(self) -> str:
        """The method without the options of ``recipe``."""
        return self._method([f"evaluator.{name}" for name in self.recipe])

    @property
    def track(self) -> str:
        """Dataset, protocol and profile as text."""
        return " · ".join(self.row[:3])

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Dataset, protocol, profile and method: equal for runs that differ in seed and fold."""
        config = self.config
        dataset = _with_options(config.dataset.name, config.dataset.changed)
        changed = {n: value for n, value in config.protocol_changed.items() if n != "fold"}
        protocol = _with_options(config.protocol, changed)
        return dataset, protocol, config.profile, self.method

    def __str__(self) -> str:
        return " · ".join([self.short_method, self.track, *self.number])

    @property
    def number(self) -> tuple[str, ...]:
        """Seed and fold as text: ``seed 0``, ``fold 2``."""
        fold = self.config.protocol_changed.get("fold")
        seed = f"seed {self.config.search_seed}"
        return (seed,) if fold is None else (seed, f"fold {fold}")


def _with_options(name: str, changed: Mapping[str, Any]) -> str:
    texts = (
        f"{option}={value_text(to_jsonable_python(value))}" for option, value in changed.items()
    )
    return " ".join([name, *texts])


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
        options = suite.content.options(grid)
        for request in _requests(
            grid, options, seeds or grid.seeds or suite.content.seeds, profile, device
        ):
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
    return sorted(_with_recipes(list(planned.values())), key=lambda run: run.config.search_seed)


def _with_recipes(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return runs with the options of the evaluator that all methods of a track have."""
    tracks: dict[str, list[PlannedRun]] = {}
    for run in runs:
        tracks.setdefault(run.track, []).append(run)
    recipes = {
        track: dict(
            item
            for item in members[0].config.evaluator.changed.items()
            if all(item in one.config.evaluator.changed.items() for one in members)
        )
        for track, members in tracks.items()
        if len({one.method for one in members}) > 1
    }
    return [replace(run, recipe=recipes.get(run.track, {})) for run in runs]


def recipes_in_words(runs: Iterable[PlannedRun]) -> list[str]:
    """Return a sentence for each track whose methods share options of the evaluator."""
    recipes = {run.track: run.recipe for run in runs if run.recipe}
    return [
        _with_options(f"{track}: the evaluator's options of all methods are", recipe)
        for track, recipe in recipes.items()
    ]


def _requests(
    grid: Grid,
    options: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    profile: str | None,
    device: str,
) -> Iterator[RunRequest]:
    profiles = grid.profiles if profile is None else (profile,)
    protocols: Sequence[str | None] = grid.protocols or (None,)
    for profile_name, protocol, dataset, strategy, seed in product(
        profiles, protocols, grid.datasets, grid.strategies, seeds
    ):
        yield RunRequest(
            strategy=strategy,
            dataset=dataset,
            protocol=protocol,
            profile=profile_name,
            space=grid.space,
            builder=grid.builder,
            evaluator=grid.evaluator,
            overrides=options,
            search_seed=seed,
            device=device,
            budget=Budget(grid.budget.evaluations, grid.budget.seconds),
        )


def broken_rules(runs: Sequence[PlannedRun], *, published: bool) -> list[str]:
    """Return a sentence for each violation of the rules of a fair comparison.

    A published plan needs three seeds of each run. A variant of every search must be compared with
    random search on the same data and in the same space, with the same evaluator and budget, and
    random search may have no changed option that the search does not have, for example one that
    lets it evaluate fewer candidates.
    """
    return [*(_too_few_seeds(runs) if published else []), *_without_random_search(runs)]


def _too_few_seeds(runs: Sequence[PlannedRun]) -> list[str]:
    seeds: dict[str, set[int]] = {}
    named: dict[str, RunConfig] = {}
    for config in (run.config for run in runs):
        without_seeds = replace(config, search_seed=0, evaluation_seed=0).key()
        seeds.setdefault(without_seeds, set()).add(config.search_seed)
        named.setdefault(without_seeds, config)
    few: dict[tuple[str, str, int], list[str]] = {}
    for key, config in named.items():
        if (n := len(seeds[key])) < MIN_SEEDS:
            few.setdefault((config.dataset.name, config.protocol, n), []).append(
                config.strategy.name
            )
    return [
        f"{dataset} under {protocol}: {_listed(names)} {'has' if len(names) == 1 else 'have'} "
        f"{n} of the {MIN_SEEDS} seeds that a published comparison needs."
        for (dataset, protocol, n), names in few.items()
    ]


def _listed(names: Sequence[str]) -> str:
    """Return names with their counts: ``cnn-9, random (8 times)``."""
    return ", ".join(f"{n} ({k} times)" if k > 1 else n for n, k in Counter(names).items())


def _without_random_search(runs: Sequence[PlannedRun]) -> list[str]:
    """Return a sentence for each search of which no variant has its random search."""
    partners = [run.config for run in runs if _role(run.config) == "random-search"]
    searches: dict[tuple[Any, ...], list[RunConfig]] = {}
    for search in (run.config for run in runs if _role(run.config) == "search"):
        searches.setdefault((search.strategy.name, *_comparison(search)), []).append(search)
    return [
        f"{variants[0].strategy.name} searches {variants[0].space.name} on "
        f"{variants[0].dataset.name} under {variants[0].protocol} ({variants[0].profile}) without "
        "random search under the same budget, with equal options of dataset, protocol, search "
        "space and evaluator."
        for variants in searches.values()
        if not any(_is_partner(partner, one) for partner, one in product(partners, variants))
    ]


def _comparison(config: RunConfig) -> tuple[Any, ...]:
    """Return what a search and its random search must have in common, whatever the variant."""
    names = [chosen.name for chosen in (config.space, config.dataset, config.evaluator)]
    return (*names, config.protocol, config.profile, config.budget)


def _is_partner(random_search: RunConfig, search: RunConfig) -> bool:
    """Return whether a search is compared with this random search.

    All changed options of random search are changed equally in the search.
    """
    return (
        random_search.strategy.changed.items() <= search.strategy.changed.items()
        and _comparison(random_search) == _comparison(search)
        and random_search.protocol_options == search.protocol_options
        and _chosen(random_search) == _chosen(search)
    )


def _chosen(config: RunConfig) -> list[dict[str, Any]]:
    """Return the options of dataset, search space and evaluator that the data do not determine."""
    models = (config.dataset.options, config.space.options, config.evaluator.options)
    return [model.model_dump(exclude=set(model.FOLLOWS_DATA)) for model in models]


def _role(config: RunConfig) -> str:
    spec = config.strategy.component.spec
    assert isinstance(spec, StrategySpec)
    return spec.role
