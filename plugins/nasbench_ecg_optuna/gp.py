"""Bayesian optimization with Gaussian processes, by Optuna.

References:
    Snoek, Larochelle, Adams 2012, "Practical Bayesian Optimization of Machine Learning
    Algorithms", NeurIPS.

    Ament, Daulton, Eriksson, Balandat, Bakshy 2023, "Unexpected Improvements to Expected
    Improvement for Bayesian Optimization", NeurIPS (the acquisition function).

    Gelbart, Snoek, Adams 2014, "Bayesian Optimization with Unknown Constraints", UAI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_ecg.api import Parameter
from nasbench_ecg_optuna.options import GpOptions
from nasbench_ecg_optuna.strategy import OptunaStrategy
from nasbench_ecg_optuna.study import OptunaSearch

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Gp(OptunaStrategy[GpOptions]):
    """Maximizes the expected improvement of a Gaussian process over the parameters.

    Choose it for small budgets, up to a few hundred candidates, in spaces of at most about 20
    parameters. A proposal takes seconds once there are many candidates. Conditional parameters are
    drawn at random. A network above the size limit counts with its size and the worst score so far.
    The numerical optimization may give other proposals on another machine.
    """

    name = "gp"

    def _search(self) -> OptunaSearch:
        options = self.options
        return OptunaSearch(
            self.name,
            options,
            self._sampler,
            objectives=options.objectives,
            batch=options.batch,
            learns_from_rejected=True,
        )

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from optuna.samplers import GPSampler

        return GPSampler(
            seed=seed, n_startup_trials=self.options.initial, warn_independent_sampling=False
        )
