"""Tree-structured Parzen estimator (TPE), by Optuna.

References:
    Bergstra, Bardenet, Bengio, Kégl 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS,
    section 4.

    Falkner, Klein, Hutter 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale",
    ICML, section 3.2 (the multivariate density).

    Watanabe 2023, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and
    Their Roles for Better Empirical Performance", arXiv:2304.11127.

    Ozaki, Tanigaki, Watanabe, Onishi 2020, "Multiobjective Tree-Structured Parzen Estimator for
    Computationally Expensive Optimization Problems", GECCO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_ecg.api import Fidelity, Parameter
from nasbench_ecg_blackbox.halving import rung_fidelity
from nasbench_ecg_optuna.options import TpeOptions
from nasbench_ecg_optuna.strategy import OptunaStrategy
from nasbench_ecg_optuna.study import OptunaSearch

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

_GROWTH = 3
"""Factor between the epochs at which a candidate may be stopped."""


class Tpe(OptunaStrategy[TpeOptions]):
    """Samples values that are frequent among good candidates and rare among the others.

    Choose it first among model-based searches: it costs milliseconds a candidate, learns from
    networks above the size limit, and handles conditional parameters and several objectives.
    """

    name = "tpe"

    def _search(self) -> OptunaSearch:
        options = self.options
        return OptunaSearch(
            self.name,
            options,
            self._sampler,
            objectives=options.objectives,
            batch=options.batch,
            rungs=self._rungs(),
            pruner=self._pruner,
        )

    def _rungs(self) -> list[Fidelity]:
        """Return the fidelities at which a candidate may be stopped, and the last one."""
        options = self.options
        last, epochs = options.epochs, options.prune_after
        if last is None or epochs is None:
            return [Fidelity(last, options.beats)]
        rungs: list[Fidelity] = []
        before = None
        while epochs < last:
            rungs.append(rung_fidelity(epochs, options.beats, before=before, longest=last))
            before, epochs = epochs, _GROWTH * epochs
        return [*rungs, rung_fidelity(last, options.beats, before=before, longest=last)]

    def _pruner(self) -> BasePruner:
        from optuna.pruners import MedianPruner

        return MedianPruner(n_startup_trials=self.options.initial)

    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler:
        from optuna.samplers import TPESampler

        conditional = any(parameter.condition is not None for parameter in parameters)
        return TPESampler(
            seed=seed,
            n_startup_trials=self.options.initial,
            n_ei_candidates=self.options.candidates,
            group=conditional and not self.options.objectives,
        )
