"""Named parameters that encode the architectures of a search space, for optimizers from outside.

A parameter is :class:`Categorical` or :class:`Integer`. It may depend on an earlier parameter: it
is then active only while that one has certain values. The values of the active parameters, by name,
describe one architecture; see :class:`nasbench_ecg.api.Encodes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench_ecg.errors import OptionError, nearest

if TYPE_CHECKING:
    import numpy as np

ParameterValue = str | int | float | bool
"""Value of a parameter: plain JSON data."""


@dataclass(frozen=True)
class Condition:
    """A condition on an earlier parameter.

    Attributes:
        parameter: Name of the earlier parameter.
        values: Values of it that meet the condition. An inactive parameter meets none.
    """

    parameter: str
    values: tuple[ParameterValue, ...]

    def holds(self, values: Mapping[str, ParameterValue]) -> bool:
        """Return whether the values of the active parameters meet the condition."""
        return self.parameter in values and values[self.parameter] in self.values


@dataclass(frozen=True)
class Categorical:
    """A parameter whose choices have no order.

    Attributes:
        name: Its name.
        choices: At least two distinct choices.
        condition: When it is active; None: always.
    """

    name: str
    choices: tuple[ParameterValue, ...]
    condition: Condition | None = None

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.choices)

    def value(self, index: int) -> ParameterValue:
        """Return the value at ``index`` in 0…count-1."""
        return self.choices[index]

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is a choice, of the same type."""
        return any(value == choice and type(value) is type(choice) for choice in self.choices)


@dataclass(frozen=True)
class Integer:
    """A parameter with ordered whole values.

    Attributes:
        name: Its name.
        low: Smallest value.
        high: Largest value, greater than ``low``.
        condition: When it is active; None: always.
    """

    name: str
    low: int
    high: int
    condition: Condition | None = None

    @property
    def count(self) -> int:
        """Number of values."""
        return self.high - self.low + 1

    def value(self, index: int) -> int:
        """Return the value at ``index`` in 0…count-1."""
        return self.low + index

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is an integer from ``low`` to ``high``."""
        return type(value) is int and self.low <= value <= self.high


Parameter = Categorical | Integer


def draw_values(
    parameters: Sequence[Parameter], rng: np.random.Generator
) -> dict[str, ParameterValue]:
    """Return random values of the active parameters, each uniform over its choices."""
    values: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if parameter.condition is None or parameter.condition.holds(values):
            values[parameter.name] = parameter.value(int(rng.integers(parameter.count)))
    return values


def check_values(
    parameters: Sequence[Parameter], values: Mapping[str, ParameterValue]
) -> dict[str, ParameterValue]:
    """Return ``values`` in the order of ``parameters``.

    Raises:
        OptionError: A value is not allowed; an active parameter has none; or a parameter is
            unknown, or inactive under these values.
    """
    checked: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if parameter.condition is not None and not parameter.condition.holds(checked):
            continue
        if parameter.name not in values:
            raise OptionError(f"The parameter {parameter.name!r} has no value.")
        value = values[parameter.name]
        if not parameter.contains(value):
            raise OptionError(
                f"{value!r} is not a value of the parameter {parameter.name!r}.",
                fix=f"Its values are {_described(parameter)}.",
            )
        checked[parameter.name] = value
    if others := [name for name in values if name not in checked]:
        known = [parameter.name for parameter in parameters]
        if others[0] in known:
            raise OptionError(
                f"The parameter {others[0]!r} is not active under these values.",
                fix="Leave its value out.",
            )
        raise OptionError(
            f"There is no parameter {others[0]!r}.", fix=nearest(str(others[0]), known)
        )
    return checked


def _described(parameter: Parameter) -> str:
    if isinstance(parameter, Integer):
        return f"the integers from {parameter.low} to {parameter.high}"
    return ", ".join(map(repr, parameter.choices))
