"""A study in the memory of one process, whose trials are never copied.

Optuna's own storage in memory copies a trial for every parameter, attribute and value, for the
sake of other threads, and :meth:`optuna.study.Study.tell` copies the whole trial once more. In a
search on a table these copies take most of the time. A search here is one thread, and nobody
changes the trials that it reads.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

_ONLY = 0
"""Identifier of the only study."""


class UncopiedTrial(FrozenTrial):
    """A trial whose deep copies share its contents, and that looks up its constraints once."""

    @property
    def constraints(self) -> dict[str, float]:
        """The constraints by name."""
        if not self.state.is_finished():
            return super().constraints
        known: dict[str, float] | None = self.__dict__.get("_known_constraints")
        if known is None:
            known = self._known_constraints = super().constraints
        return known

    def __deepcopy__(self, memo: dict[int, Any]) -> UncopiedTrial:
        return copy.copy(self)


class QuickTrial:
    """Suggests what Optuna's own trial suggests, without a copy for each parameter.

    Args:
        study: A study in a :class:`OneStudy`.
        trial: The trial as the study proposed it.
    """

    def __init__(self, study: Study, trial: Trial) -> None:
        self._study, self._sampler = study, study.sampler
        self._trial = study.get_trials(deepcopy=False)[trial.number]
        self._together: dict[str, Any] | None = None

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return a choice."""
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``."""
        return int(self._suggest(name, IntDistribution(low, high)))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        return float(self._suggest(name, FloatDistribution(low, high)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if self._together is None:
            space = self._sampler.infer_relative_search_space(self._study, self._trial)
            self._together = self._sampler.sample_relative(self._study, self._trial, space)
        if name in self._together:
            value = self._together[name]
        else:
            value = self._sampler.sample_independent(self._study, self._trial, name, distribution)
        self._trial.params[name] = value
        self._trial.distributions[name] = distribution
        return value


class OneStudy(BaseStorage):
    """Holds one study. Trials are numbered from 0, and their identifiers are their numbers."""

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self.waiting: list[FrozenTrial] = []
        self.directions: list[StudyDirection] = []
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}

    # The study

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """Begin the study."""
        self.directions = list(directions)
        return _ONLY

    def delete_study(self, study_id: int) -> None:
        """Refuse: the study goes with the storage."""
        raise NotImplementedError

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute."""
        self.user_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self.system_attrs[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the identifier of the only study."""
        return _ONLY

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of the only study."""
        return "only"

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return whether each value is minimized or maximized."""
        return self.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes."""
        return self.user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's attributes."""
        return self.system_attrs

    def get_all_studies(self) -> list[Any]:
        """Refuse: there is one study, and who has the storage has it."""
        raise NotImplementedError

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial that runs, or one like ``template_trial``; return its number."""
        number = len(self.trials)
        like = template_trial
        trial = UncopiedTrial(
            number=number,
            trial_id=number,
            state=TrialState.RUNNING if like is None else like.state,
            value=None,
            values=None if like is None else like.values,
            datetime_start=datetime.now() if like is None else like.datetime_start,
            datetime_complete=None if like is None else like.datetime_complete,
            params={} if like is None else dict(like.params),
            distributions={} if like is None else dict(like.distributions),
            user_attrs={} if like is None else dict(like.user_attrs),
            system_attrs={} if like is None else dict(like.system_attrs),
            intermediate_values={} if like is None else dict(like.intermediate_values),
        )
        self.trials.append(trial)
        if trial.state == TrialState.WAITING:
            self.waiting.append(trial)
        return number

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Set a parameter of a trial that runs."""
        trial = self.trials[trial_id]
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Begin or finish a trial; return False if it is to begin and does not wait."""
        trial = self.trials[trial_id]
        self.check_trial_is_updatable(trial_id, trial.state)
        if state == TrialState.RUNNING:
            if trial.state != TrialState.WAITING:
                return False
            self.waiting.remove(trial)
            trial.datetime_start = datetime.now()
        trial.state = state
        if values is not None:
            trial.values = values
        if state.is_finished():
            trial.datetime_complete = datetime.now()
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Set what a trial reports at a step."""
        self.trials[trial_id].intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of a trial."""
        self.trials[trial_id].user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's of a trial."""
        self.trials[trial_id].system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial itself."""
        return self.trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials themselves, also if ``deepcopy`` is asked for."""
        if states is None:
            return self.trials.copy()
        if states == (TrialState.WAITING,):
            return self.waiting.copy()
        return [trial for trial in self.trials if trial.state in states]
