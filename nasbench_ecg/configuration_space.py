"""Parameters as a configuration space of the package ConfigSpace, which other optimizers take.

SMAC, DEHB and others search a ``ConfigSpace.ConfigurationSpace``. The package is the extra
``configspace``.

References:
    Lindauer et al. 2019, "BOAH: A Tool Suite for Multi-Fidelity Bayesian Optimization & Analysis of
    Hyperparameters", arXiv:1908.06756.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasbench_ecg.encoding import Integer, Parameter, ParameterValue, check_values
from nasbench_ecg.errors import OptionError

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def configuration_space(
    parameters: Sequence[Parameter], *, seed: int | None = None
) -> ConfigurationSpace:
    """Return the configuration space of some parameters, with their conditions.

    Args:
        parameters: Those of a search space, from :class:`nasbench_ecg.api.Encodes`.
        seed: Seed of what ``sample_configuration`` draws.

    Raises:
        OptionError: ConfigSpace is not installed, or two choices of a parameter are equal for it,
            as 1 and True are.

    Example:
        >>> from nasbench_ecg.api import Categorical, Integer
        >>> parameters = [Categorical("kind", ("conv", "skip")), Integer("width", 2, 8)]
        >>> sorted(configuration_space(parameters))
        ['kind', 'width']
    """
    try:
        from ConfigSpace import (
            CategoricalHyperparameter,
            ConfigurationSpace,
            InCondition,
            UniformIntegerHyperparameter,
        )
    except ImportError as error:
        raise OptionError(
            "A configuration space needs the package ConfigSpace.",
            fix="pip install 'nasbench-ecg[configspace]'",
        ) from error

    space = ConfigurationSpace(seed=seed)
    for one in parameters:
        if isinstance(one, Integer):
            space.add(UniformIntegerHyperparameter(one.name, one.low, one.high))
            continue
        if len(set(one.choices)) < one.count:
            raise OptionError(
                f"Two choices of the parameter {one.name!r} are equal: {one.choices}.",
                fix="Give it choices of one type, such as texts.",
            )
        space.add(CategoricalHyperparameter(one.name, one.choices))
    for one in parameters:
        if (condition := one.condition) is not None:
            parent = space[condition.parameter]
            space.add(InCondition(space[one.name], parent, list(condition.values)))
    return space


def values_of(
    parameters: Sequence[Parameter], configuration: Mapping[str, Any]
) -> dict[str, ParameterValue]:
    """Return the values of a configuration as ``decode`` of a search space takes them.

    Values of numpy become plain ones. The other way, a configuration of given values is
    ``ConfigSpace.Configuration(space, values=values)``.

    Args:
        parameters: Those of the configuration space.
        configuration: Values by name, such as a ``ConfigSpace.Configuration``.

    Raises:
        OptionError: A value is not allowed, missing, or of an unknown or inactive parameter.
    """
    plain = {
        name: value.item() if hasattr(value, "item") else value
        for name, value in dict(configuration).items()
    }
    return check_values(parameters, plain)
