"""NSGA-II and NSGA-III, by Optuna.

References:
    Deb, Pratap, Agarwal, Meyarivan 2002, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Trans. Evol. Comput. 6(2).

    Deb, Jain 2014, "An Evolutionary Many-Objective Optimization Algorithm Using
    Reference-Point-Based Nondominated Sorting Approach, Part I: Solving Problems With Box
    Constraints", IEEE Trans. Evol. Comput. 18(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_ecg.api import (
    Builder,
    Parameter,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_optuna.options import NsgaIIIOptions, NsgaIIOptions
from nasbench_ecg_optuna.studies import require_optuna
from nasbench_ecg_optuna.study import OptunaSearch, SamplerFactory

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class NsgaII:
    """Evolves a Pareto front by uniform crossover and mutation of the parameters.

    Choose it for two objectives in a space whose own mutation is poor; ``nsga2`` evolves the
    genotypes of any space instead. A child above the size limit is drawn again.
    """

    def __init__(self, options: NsgaIIOptions) -> None:
        require_optuna("nsga-ii")
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture of the front with the best score, the cheapest of equals."""
        return self._search().search(task, space, builder, ctx)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        return self._search().estimate(task, space, builder, ctx)

    def _search(self) -> OptunaSearch:
        return _search_in_generations("nsga-ii", self.options, self._sampler)

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(
            seed=seed,
            population_size=self.options.population,
            crossover_prob=self.options.crossover,
            mutation_prob=self.options.mutation,
        )


class NsgaIII:
    """Evolves a Pareto front that reference points keep spread out over all objectives.

    Choose it for three objectives or more, where few candidates dominate others and the crowding
    distance of NSGA-II no longer spreads the front.
    """

    def __init__(self, options: NsgaIIIOptions) -> None:
        require_optuna("nsga-iii")
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture of the front with the best score, the cheapest of equals."""
        return self._search().search(task, space, builder, ctx)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        return self._search().estimate(task, space, builder, ctx)

    def _search(self) -> OptunaSearch:
        return _search_in_generations("nsga-iii", self.options, self._sampler)

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from optuna.samplers import NSGAIIISampler

        return NSGAIIISampler(
            seed=seed,
            population_size=self.options.population,
            crossover_prob=self.options.crossover,
            mutation_prob=self.options.mutation,
            dividing_parameter=self.options.divisions,
        )


def _search_in_generations(
    name: str, options: NsgaIIOptions, sampler: SamplerFactory
) -> OptunaSearch:
    """Return a search whose generations are evaluated at once."""
    return OptunaSearch(
        name, options, sampler, objectives=options.objectives, batch=options.population
    )
