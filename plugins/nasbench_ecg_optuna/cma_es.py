"""Covariance matrix adaptation evolution strategy (CMA-ES), by Optuna and cmaes.

References:
    Hansen, Ostermeier 2001, "Completely Derandomized Self-Adaptation in Evolution Strategies",
    Evolutionary Computation 9(2).

    Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772.

    Nomura, Shibata 2024, "cmaes: A Simple yet Practical Python Library for CMA-ES",
    arXiv:2402.01373.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_ecg.api import Parameter
from nasbench_ecg_optuna.encoders import Relaxed
from nasbench_ecg_optuna.options import CmaEsOptions
from nasbench_ecg_optuna.strategy import OptunaStrategy
from nasbench_ecg_optuna.study import OptunaSearch

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class CmaEs(OptunaStrategy[CmaEsOptions]):
    """Evolves a normal distribution; a categorical has one number a choice, and the largest wins.

    Choose it for spaces of integers, or with thousands of candidates from a table: ``conv-cells``
    has 182 dimensions, so a generation has 19 candidates and a hundred are a few generations. In
    the profiles other than ``paper`` all candidates are of the first one, so they are random.
    """

    name = "cma-es"

    def _search(self) -> OptunaSearch:
        return OptunaSearch(
            self.name,
            self.options,
            self._sampler,
            batch=self.options.batch,
            encoder=Relaxed(),
            uses_constraints=False,
        )

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from nasbench_ecg_optuna.cma_sampler import CmaEsInMemory

        return CmaEsInMemory(seed, population=self.options.population, sigma=self.options.sigma)
