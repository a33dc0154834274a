"""Ask a trial of Optuna for the values of a space's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nasbench_ecg.api import Categorical, Parameter, ParameterValue


class Suggests(Protocol):
    """A trial of Optuna, or what suggests the same values."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return a choice."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""


class Encoder(Protocol):
    """Translates between parameters of a space and those of a trial."""

    def suggest(
        self, trial: Suggests, parameters: Sequence[Parameter]
    ) -> dict[str, ParameterValue]:
        """Return the values of the active parameters that ``trial`` suggests."""

    def fixed(
        self, parameters: Sequence[Parameter], values: Mapping[str, ParameterValue]
    ) -> dict[str, Any]:
        """Return the parameters of a trial that suggests ``values``."""


class Direct:
    """Each parameter is one of the trial, suggested while it is active."""

    def suggest(
        self, trial: Suggests, parameters: Sequence[Parameter]
    ) -> dict[str, ParameterValue]:
        """Return the suggested values."""
        values: dict[str, ParameterValue] = {}
        for parameter in parameters:
            if parameter.condition is not None and not parameter.condition.holds(values):
                continue
            if isinstance(parameter, Categorical):
                value = trial.suggest_categorical(parameter.name, parameter.choices)
                assert value is not None
            else:
                value = trial.suggest_int(parameter.name, parameter.low, parameter.high)
            values[parameter.name] = value
        return values

    def fixed(
        self, parameters: Sequence[Parameter], values: Mapping[str, ParameterValue]
    ) -> dict[str, Any]:
        """Return the values themselves."""
        return dict(values)


class Relaxed:
    """A categorical is one real number in [0, 1] for each choice; the largest number wins.

    Integers stay integers. All parameters are suggested; the inactive ones have no effect.
    """

    def suggest(
        self, trial: Suggests, parameters: Sequence[Parameter]
    ) -> dict[str, ParameterValue]:
        """Return the suggested values."""
        values: dict[str, ParameterValue] = {}
        for parameter in parameters:
            value: ParameterValue
            if isinstance(parameter, Categorical):
                numbers = [
                    trial.suggest_float(_of_choice(parameter, i), 0.0, 1.0)
                    for i in range(parameter.count)
                ]
                value = parameter.value(max(range(parameter.count), key=numbers.__getitem__))
            else:
                value = trial.suggest_int(parameter.name, parameter.low, parameter.high)
            if parameter.condition is None or parameter.condition.holds(values):
                values[parameter.name] = value
        return values

    def fixed(
        self, parameters: Sequence[Parameter], values: Mapping[str, ParameterValue]
    ) -> dict[str, Any]:
        """Return 1 for each choice of ``values`` and 0 for the others; integers as they are."""
        fixed: dict[str, Any] = {}
        for parameter in parameters:
            value = values.get(parameter.name, parameter.value(0))
            if not isinstance(parameter, Categorical):
                fixed[parameter.name] = value
                continue
            for i in range(parameter.count):
                fixed[_of_choice(parameter, i)] = float(parameter.value(i) == value)
        return fixed


def _of_choice(parameter: Categorical, index: int) -> str:
    return f"{parameter.name}={parameter.value(index)}"
