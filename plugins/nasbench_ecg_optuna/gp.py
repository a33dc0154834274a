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

from nasbench_ecg.api import (
    Builder,
    Parameter,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_optuna.options import GpOptions
from nasbench_ecg_optuna.studies import require_optuna
from nasbench_ecg_optuna.study import OptunaSearch

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Gp:
    """Maximizes the expected improvement of a Gaussian process over the parameters.

    Choose it for small budgets, up to a few hundred candidates, in spaces of at most about 20
    parameters. A proposal takes seconds once there are many candidates. Conditional parameters are
    drawn at random. A network above the size limit counts with its size and the worst score so far.
    The numerical optimization may give other proposals on another machine.
    """

    def __init__(self, options: GpOptions) -> None:
        require_optuna("gp")
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture; with several objectives, the best score of the front."""
        return self._search().search(task, space, builder, ctx)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        return self._search().estimate(task, space, builder, ctx)

    def _search(self) -> OptunaSearch:
        options = self.options
        return OptunaSearch(
            "gp",
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
