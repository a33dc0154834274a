"""BOHB: the brackets of Hyperband, with candidates from a tree-structured Parzen estimator.

References:
    Falkner, Klein, Hutter 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale",
    ICML, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Parameter,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.halving import Rung
from nasbench_ecg_blackbox.history import MAX_REPEATS
from nasbench_ecg_blackbox.hyperband import Hyperband, Proposer
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_optuna.encoders import Direct
from nasbench_ecg_optuna.options import BohbOptions
from nasbench_ecg_optuna.studies import quiet_optuna, require_optuna, study_in_memory
from nasbench_ecg_optuna.study import MAX_PROPOSALS, encoded

if TYPE_CHECKING:
    from optuna import Study


class Bohb(Hyperband):
    """Runs the brackets of Hyperband on candidates that a model of the scores so far proposes.

    Choose it over ``hyperband`` if short training ranks candidates about as long training does and
    the search has several brackets: it learns from short trainings until there are enough long
    ones. It honors budgets of evaluations and of seconds.

    The model is Optuna's multivariate TPE, and differs from the published one in three points. A
    tenth of the scores counts as good, at most 25, where the authors take 15%, and no fewer than
    there are parameters plus one. Weights and bandwidths of the densities are Optuna's. Candidates
    whose training diverged are left out; the authors count them as bad.
    """

    options: BohbOptions

    def __init__(self, options: BohbOptions) -> None:
        require_optuna("bohb")
        super().__init__(options)

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best of the candidates that were trained longest, the first of equals.

        A budget ends the search in the middle of a bracket.
        """
        with quiet_optuna():
            return super().search(task, space, builder, ctx)

    def _proposer(self, space: SearchSpace, ctx: SearchContext, limit: SizeLimit) -> Proposer:
        return _Model(self.options, space, ctx, limit)


class _Model:
    """Proposes candidates by the scores at the most epochs that have enough of them."""

    def __init__(
        self, options: BohbOptions, space: SearchSpace, ctx: SearchContext, limit: SizeLimit
    ) -> None:
        self.options, self.space, self.limit, self.rng = options, space, limit, ctx.rng
        self.encodes = encoded(space, "bohb")
        self.parameters: tuple[Parameter, ...] = tuple(self.encodes.parameters())
        self.studies: dict[int, Study] = {}
        self.seed = int(ctx.rng.integers(2**31))
        self._told: set[tuple[int, str]] = set()

    def propose(self, n: int) -> list[Architecture]:
        """Return ``n`` distinct candidates within the limits, or as many as are found."""
        found: dict[str, Architecture] = {}
        study = self._model()
        repeats = 0
        while study is not None and len(found) < n and repeats < MAX_REPEATS:
            if self.rng.random() < self.options.random_fraction:
                arch = self.limit.sample(self.space, self.rng)
            else:
                proposed = self._propose(study, found)
                if proposed is None:
                    break
                arch = proposed
            repeats = repeats + 1 if arch.hash in found else 0
            found.setdefault(arch.hash, arch)
        for arch in self.limit.sample_distinct(self.space, self.rng, n):
            if len(found) < n:
                found.setdefault(arch.hash, arch)
        return list(found.values())

    def tell(self, rung: Rung, scored: Sequence[tuple[float, Architecture]]) -> None:
        """Add the scores of a rung to the observations at its epochs."""
        import optuna

        epochs = rung.fidelity.epochs or 0
        study = self.studies.get(epochs) or self._create_study(epochs)
        for score, arch in scored:
            if (epochs, arch.hash) in self._told or score == float("-inf"):
                continue
            self._told.add((epochs, arch.hash))
            values = Direct().fixed(self.parameters, self.encodes.encode(arch))
            trial = optuna.trial.FixedTrial(values)
            Direct().suggest(trial, self.parameters)
            study.add_trial(
                optuna.trial.create_trial(
                    params=trial.params, distributions=trial.distributions, value=score
                )
            )

    def _model(self) -> Study | None:
        """Return the study at the most epochs that has enough scores; None if none has."""
        for _, study in sorted(self.studies.items(), reverse=True):
            if self.parameters and len(study.get_trials(deepcopy=False)) >= self._enough:
                return study
        return None

    @property
    def _enough(self) -> int:
        """Scores that a model needs: by default, one more than there are parameters."""
        return self.options.initial or len(self.parameters) + 1

    def _propose(self, study: Study, known: dict[str, Architecture]) -> Architecture | None:
        """Return a new proposal of a model within the limits; None after too many others."""
        from optuna.trial import TrialState

        from nasbench_ecg_optuna.storage import QuickTrial

        for _ in range(MAX_PROPOSALS):
            trial = study.ask()
            values = Direct().suggest(QuickTrial(study, trial), self.parameters)
            arch = self.encodes.decode(values)
            study.tell(trial, state=TrialState.FAIL)
            if arch.hash not in known and self.limit.allows(arch):
                return arch
        return None

    def _create_study(self, epochs: int) -> Study:
        import optuna

        conditional = any(parameter.condition is not None for parameter in self.parameters)
        sampler = optuna.samplers.TPESampler(
            seed=self.seed + epochs,
            n_startup_trials=1,
            n_ei_candidates=self.options.model_candidates,
            multivariate=True,
            group=conditional,
        )
        self.studies[epochs] = study_in_memory(sampler=sampler, direction="maximize")
        return self.studies[epochs]
