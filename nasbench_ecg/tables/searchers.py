"""Strategies as a table simulates them: with options that fit the table and their budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Encodes, EstimatesSearch, Fidelity, Strategy
from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.options import Options, resolve
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import Kind, StrategySpec
from nasbench_ecg.tables.card import Component as Described
from nasbench_ecg.tables.kept_repetitions import KeptRepetitions
from nasbench_ecg.tables.lookup import ValidationLookup
from nasbench_ecg.tables.requested_searches import RequestedSearch, Scores, SearchSettings
from nasbench_ecg.tables.simulate import (
    Searcher,
    Simulation,
    TableBuilder,
    TableSearchContext,
    generators,
    joined,
    simulate,
    stand_in_task,
    started_before,
)
from nasbench_ecg.tables.space import TableSpace, table_space
from nasbench_ecg.tables.table import Table

_LONGEST = 1000
"""Rounds, and epochs a member, that no budget reaches, so that the budget ends a search."""


class TableSearches:
    """All that repeated searches on one table share.

    Args:
        registry: All components.
        table: The table.
        overrides: Options of strategies that the user set; each strategy takes those that it has.
        scores: What a search sees of a member: one of its trainings, or the mean over its seeds.
    """

    def __init__(
        self,
        registry: Registry,
        table: Table,
        overrides: Mapping[str, Any] | None = None,
        scores: Scores = "one-seed",
    ) -> None:
        self.registry, self.table, self.scores = registry, table, scores
        self.overrides = dict(overrides or {})
        self.space: TableSpace = table_space(
            create(registry, "search-space", table.card.space), table
        )
        self.builder = create(registry, "builder", table.card.builder)

    def budget_in_seconds(self, evaluations: int) -> Budget:
        """Return the seconds that so many evaluations of random members take in the mean.

        They are rounded to a tenth, or to four digits below 100 seconds, so that the budgets of
        fast networks differ.
        """
        seconds = evaluations * ValidationLookup.of(self.table).mean_seconds()
        return Budget(seconds=round(seconds, 1) if seconds >= 100 else float(f"{seconds:.4g}"))

    def searcher(
        self, name: str, budget: Budget, options: Mapping[str, Any] | None = None
    ) -> Searcher:
        """Return a strategy that plans for a budget, labeled with its name.

        Its options are those of the profile ``paper``, and: the one that says how many
        architectures it evaluates is the budget; fidelities are those of the table, from one epoch
        to all, and double from rung to rung; other limits of its length are so large that the
        budget ends it. A strategy whose first evaluations depend on the number of all gets the
        largest number that it estimates to fit into a budget of seconds. ``options`` go before all
        of these.
        """
        component = self.registry.get("strategy", name)
        own = {**self._fitting(component.options_model()), **(options or {})}
        if (option := self._set_by_budget(component, options or {})) is not None:
            own[option] = self._length(component, option, own, budget)
        return Searcher(name, partial(component.create, self._resolve(component, own)))

    def settings(self, search: RequestedSearch) -> SearchSettings:
        """Return the options of a search, without the one that each budget sets."""
        component = self.registry.get("strategy", search.strategy)
        own = {**self._fitting(component.options_model()), **search.options}
        options = self._resolve(component, own).model_dump(mode="json")
        budgeted = self._set_by_budget(component, search.options)
        return SearchSettings(
            search.label,
            search.strategy,
            {name: value for name, value in options.items() if name != budgeted},
            budgeted,
        )

    def _set_by_budget(self, component: Component, options: Mapping[str, Any]) -> str | None:
        """Return the option that says how many architectures are evaluated, unless it is given."""
        spec = component.spec
        assert isinstance(spec, StrategySpec)
        option = spec.evaluations_option
        return None if option in {**self.overrides, **options} else option

    def budgets_of(self, search: RequestedSearch, budgets: Sequence[Budget]) -> list[Budget]:
        """Return those of some budgets that a search is to be run with.

        Raises:
            OptionError: All of them are above its largest one.
        """
        if search.largest is None:
            return list(budgets)
        seconds = self.budget_in_seconds(search.largest).seconds or 0.0
        own = [
            budget
            for budget in budgets
            if (budget.evaluations or 0) <= search.largest and (budget.seconds or 0.0) <= seconds
        ]
        if not own:
            raise OptionError(
                f"{search.label} has no budget: all are above its largest one of "
                f"{search.largest} evaluations.",
                fix="Give a smaller budget, or let it have a larger one.",
            )
        return own

    def repeat(
        self,
        search: RequestedSearch,
        budgets: Sequence[Budget],
        *,
        seed: int = 0,
        workers: int = 1,
        kept: KeptRepetitions | None = None,
    ) -> dict[Budget, Simulation]:
        """Run a search many times with each budget, as ``simulate`` does.

        A strategy that is ``anytime`` is run once for all budgets, because a budget only ends it.

        Args:
            search: The search; budgets above its largest one are left out.
            budgets: What each repetition may spend.
            seed: Seed of all repetitions.
            workers: Processes.
            kept: Where repetitions are kept and read from.

        Raises:
            OptionError: All budgets are above its largest one.
        """
        own = self.budgets_of(search, budgets)
        spec = self.registry.get("strategy", search.strategy).spec
        assert isinstance(spec, StrategySpec)
        if not spec.anytime:
            return {budget: self._repeat(search, [budget], seed, workers, kept) for budget in own}
        longest = self._repeat(search, own, seed, workers, kept)
        return {budget: _cut(longest, budget) for budget in own}

    def _repeat(
        self,
        search: RequestedSearch,
        budgets: Sequence[Budget],
        seed: int,
        workers: int,
        kept: KeptRepetitions | None,
    ) -> Simulation:
        searcher = self.searcher(search.strategy, budgets[0], search.options)
        searcher = replace(searcher, label=search.label)

        def run(budget: Budget, numbers: NDArray[np.int64]) -> Simulation:
            return simulate(
                self.table, self.space, self.builder, searcher,
                repetitions=numbers, budget=budget, seed=seed, workers=workers, scores=self.scores,
            )  # fmt: skip

        def run_all(numbers: NDArray[np.int64]) -> Simulation:
            return _run_longest(run, budgets, numbers)

        if kept is None:
            return run_all(np.arange(search.repetitions))
        (options,) = searcher.create.args  # type: ignore[attr-defined]
        identity = {
            "table": self.table.card.sha256,
            "search": search.label,
            "options": options.model_dump(mode="json"),
            "budgets": [budget.limits() for budget in budgets],
            "seed": seed,
            **({} if self.scores == "one-seed" else {"scores": self.scores}),
        }
        return kept.repeat(identity, search.repetitions, run_all)

    def check(self, searches: Sequence[RequestedSearch]) -> None:
        """Check that all searches can be run, so that none is refused after hours of others.

        Each option that the user set must be one of some strategy, and each search's own one of
        its strategy.

        Raises:
            OptionError: A strategy cannot search the space, no strategy has an option, or a search
                has no such option or value.
            PluginError: There is no such strategy.
        """
        for search in searches:
            self._check_space(self.registry.get("strategy", search.strategy))
        models = [self.registry.get("strategy", s.strategy).options_model() for s in searches]
        known = {option for model in models for option in model.model_fields}
        for option in self.overrides:
            if option not in known:
                raise OptionError(
                    f"None of these strategies has an option {option!r}.",
                    fix=nearest(option, known),
                )
        for search in searches:
            component = self.registry.get("strategy", search.strategy)
            fitting = self._fitting(component.options_model())
            self._resolve(component, {**fitting, **search.options})

    def _check_space(self, component: Component) -> None:
        spec = component.spec
        assert isinstance(spec, StrategySpec)
        name = self.table.card.space.name
        if spec.spaces is not None and name not in spec.spaces:
            raise OptionError(
                f"The strategy {component.name!r} cannot search the space {name!r}.",
                fix="Choose a search that is not bound to another space.",
            )
        if spec.needs_encoding and not isinstance(self.space, Encodes):
            raise OptionError(
                f"The strategy {component.name!r} searches spaces with parameters, and the space "
                f"{name!r} has none.",
                fix="Choose another strategy.",
            )

    def _fitting(self, model: type[Options]) -> dict[str, Any]:
        epochs = self.table.card.recipe.epochs
        usual = {
            "epochs": epochs, "min_epochs": 1, "max_epochs": epochs, "eta": 2,
            "rounds": _LONGEST, "total_epochs": _LONGEST * self.space.size,
            "models": self.space.size,
        }  # fmt: skip
        own = {name: value for name, value in usual.items() if name in model.model_fields}
        return {**own, **{k: v for k, v in self.overrides.items() if k in model.model_fields}}

    def _length(
        self, component: Component, option: str, own: Mapping[str, Any], budget: Budget
    ) -> int:
        if budget.evaluations is not None:
            return budget.evaluations
        assert budget.seconds is not None
        mean = ValidationLookup.of(self.table).mean_seconds()
        most = max(1, min(int(8 * budget.seconds / mean), self.space.size))
        _, fidelities = self._estimate(component, {**own, option: most})
        if fidelities < 2:  # it can be stopped at any evaluation
            return most
        fitting = [
            n
            for n in range(1, most + 1)
            if self._estimate(component, {**own, option: n})[0] <= budget.seconds
        ]
        return fitting[-1] if fitting else 1

    def _estimate(self, component: Component, own: Mapping[str, Any]) -> tuple[float, int]:
        """Return a strategy's estimate of its seconds, and how many fidelities it plans with."""
        strategy: Strategy = component.create(self._resolve(component, own))
        if not isinstance(strategy, EstimatesSearch):
            return 0.0, 1
        lookup = ValidationLookup.of(self.table, self.scores)
        rng, noise = generators(component.name, 0, 0)
        ctx = _EstimateContext(lookup, rng, lookup.draw_seeds(noise), Budget())
        builder = TableBuilder(self.builder, self.table)
        task = stand_in_task(self.table)
        seconds = strategy.estimate(task, cast(Any, self.space), builder, ctx)
        return float(seconds or 0.0), len(ctx.asked)

    def _resolve(self, component: Component, own: Mapping[str, Any]) -> Options:
        return resolve(
            component.options_model(),
            component=f"strategy {component.name}",
            profile="paper",
            overrides=own,
        )


@dataclass
class _EstimateContext(TableSearchContext):
    """A context that notes for which epochs a strategy asks how long an evaluation takes."""

    asked: set[int] = field(default_factory=set)

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        self.asked.add(self.lookup.epoch(fidelity))
        return super().seconds_per_evaluation(arch, fidelity)


def create(registry: Registry, kind: Kind, described: Described) -> Any:
    """Return a component with the options that a table was built with."""
    component = registry.get(kind, described.name)
    return component.create(component.options_model()(**described.options))


# One run of a search for all of its budgets, if a budget only ends it

_Run = Callable[[Budget, NDArray[np.int64]], Simulation]
"""Runs the repetitions of these numbers with a budget."""


def _run_longest(run: _Run, budgets: Sequence[Budget], numbers: NDArray[np.int64]) -> Simulation:
    """Return the repetitions with the largest budget of evaluations and that of seconds.

    A repetition ends when both are used up.
    """
    by_seconds = max((b for b in budgets if b.evaluations is None), key=_seconds, default=None)
    by_count = max(
        (b for b in budgets if b.evaluations is not None), key=_evaluations, default=None
    )
    if by_seconds is None or by_count is None:
        only = by_seconds or by_count
        assert only is not None
        return run(only, numbers)
    done = run(by_seconds, numbers)
    counts = done.steps["repetition"].value_counts().reindex(numbers, fill_value=0).to_numpy()
    short = counts < _evaluations(by_count)
    if not short.any():
        return done
    longer = run(by_count, numbers[short])
    found = done.found.copy()
    found[short] = longer.found
    kept = done.steps[~done.steps["repetition"].isin(numbers[short])]
    return joined(done.label, [kept, longer.steps], found)


def _cut(longest: Simulation, budget: Budget) -> Simulation:
    """Return what the repetitions would have been with a smaller budget."""
    steps = longest.steps
    if budget.evaluations is not None:
        inside = steps["evaluation"] <= budget.evaluations
    else:
        inside = started_before(steps, _seconds(budget))
    return Simulation(longest.label, steps[inside].reset_index(drop=True), longest.found)


def _seconds(budget: Budget) -> float:
    return budget.seconds or 0.0


def _evaluations(budget: Budget) -> int:
    return budget.evaluations or 0
