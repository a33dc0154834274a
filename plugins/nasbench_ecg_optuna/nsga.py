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

from nasbench_ecg.api import Parameter
from nasbench_ecg_optuna.options import NsgaIIIOptions, NsgaIIOptions
from nasbench_ecg_optuna.strategy import OptunaStrategy
from nasbench_ecg_optuna.study import OptunaSearch, SamplerFactory

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class NsgaII(OptunaStrategy[NsgaIIOptions]):
    """Evolves a Pareto front by uniform crossover and mutation of the parameters.

    Choose it for two objectives in a space whose own mutation is poor; ``nsga2`` evolves the
    genotypes of any space instead. A child above the size limit is drawn again.
    """

    name = "nsga-ii"

    def _search(self) -> OptunaSearch:
        return _search_in_generations(self.name, self.options, self._sampler)

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(
            seed=seed,
            population_size=self.options.population,
            crossover_prob=self.options.crossover,
            mutation_prob=self.options.mutation,
        )


class NsgaIII(OptunaStrategy[NsgaIIIOptions]):
    """Evolves a Pareto front that reference points keep spread out over all objectives.

    Choose it for three objectives or more, where few candidates dominate others and the crowding
    distance of NSGA-II no longer spreads the front.
    """

    name = "nsga-iii"

    def _search(self) -> OptunaSearch:
        return _search_in_generations(self.name, self.options, self._sampler)

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
