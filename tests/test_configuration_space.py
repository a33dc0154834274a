"""Parameters as a ConfigSpace: the same values, conditions and architectures."""

from __future__ import annotations

import sys

import pytest

from nasbench_ecg.api import (
    Categorical,
    Condition,
    Integer,
    OptionError,
    check_values,
    configuration_space,
    values_of,
)
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.registry import load_registry

ConfigSpace = pytest.importorskip("ConfigSpace")

SHAPE = (
    Categorical("kind", ("conv", "pool", "skip")),
    Categorical("taps", (3, 9, 27), Condition("kind", ("conv", "pool"))),
    Integer("width", 2, 4, Condition("taps", (9, 27))),
    Categorical("norm", (True, False)),
    Categorical("scale", ("1", 1, 0.5)),
)


def spaces_with_parameters():
    for component in load_registry().components("search-space"):
        made = component.create(
            resolve(component.options_model(), component=component.name, profile="quick")
        )
        if hasattr(made, "parameters"):
            yield pytest.param(made, id=component.name)


def test_configurations_are_all_allowed_values_and_no_others():
    space = configuration_space(SHAPE, seed=0)
    drawn = {
        tuple(values_of(SHAPE, configuration).items())
        for configuration in space.sample_configuration(4000)
    }
    # kind and taps: conv or pool with 3, or with 9 or 27 and three widths; skip. norm, scale: 6.
    assert len(drawn) == (2 * (1 + 2 * 3) + 1) * 6
    for values in drawn:
        assert check_values(SHAPE, dict(values)) == dict(values)
        assert {type(value) for _, value in values} <= {str, int, float, bool}


def test_equal_seeds_draw_equal_configurations():
    one, same, other = (configuration_space(SHAPE, seed=seed) for seed in (1, 1, 2))
    drawn = [[dict(c) for c in space.sample_configuration(20)] for space in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("space", list(spaces_with_parameters()))
def test_an_architecture_of_every_space_survives_both_ways(space):
    parameters = tuple(space.parameters())
    configurations = configuration_space(parameters, seed=3)
    for configuration in configurations.sample_configuration(10):
        arch = space.decode(values_of(parameters, configuration))
        space.validate(arch)
        values = space.encode(arch)
        again = ConfigSpace.Configuration(configurations, values=values)
        assert values_of(parameters, again) == values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kind": "skip", "norm": True, "scale": "2"}, "'2' is not a value"),
        ({"kind": "skip", "norm": True}, "'scale' has no value"),
        ({"kind": "skip", "taps": 3, "norm": True, "scale": "1"}, "'taps' is not active"),
        ({"kind": "skip", "norm": True, "scale": "1", "depth": 2}, "no parameter 'depth'"),
    ],
)
def test_values_that_are_not_of_the_space_are_refused(values, reason):
    with pytest.raises(OptionError, match=reason):
        values_of(SHAPE, values)


def test_equal_choices_are_refused_with_the_name_of_the_parameter():
    with pytest.raises(OptionError, match="'kind' are equal"):
        configuration_space([Categorical("kind", (1, True))])


def test_a_missing_package_is_an_error_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ConfigSpace", None)
    with pytest.raises(OptionError) as error:
        configuration_space(SHAPE)
    assert "nasbench-ecg[configspace]" in error.value.fix
