"""Encodings of search spaces: parameters, conditions, refused values, and the contract's checks."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import registry_with

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    Condition,
    Encodes,
    Integer,
    NoOptions,
    OptionError,
    check_values,
    draw_values,
)
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import SearchSpaceSpec
from nasbench_ecg.testing.checks import checks_of
from nasbench_ecg.testing.fixtures import component_under_test
from nasbench_ecg.testing.runner import run_check
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells

SHAPE = (
    Categorical("kind", ("conv", "pool", "skip")),
    Integer("width", 3, 5, Condition("kind", ("conv", "pool"))),
    Categorical("groups", (1, 2), Condition("width", (4,))),
)


# Parameters


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "'kind' has no value"),
        ({"kind": "conv"}, "'width' has no value"),
        ({"kind": "conv", "width": 4}, "'groups' has no value"),
        ({"kind": "lstm"}, "'lstm' is not a value.*'conv', 'pool', 'skip'"),
        ({"kind": "conv", "width": 6}, "6 is not a value.*from 3 to 5"),
        ({"kind": "conv", "width": 3.0}, "3.0 is not a value"),
        ({"kind": "conv", "width": 4, "groups": True}, "True is not a value"),
        ({"kind": "skip", "width": 3}, "'width' is not active"),
        ({"kind": "conv", "width": 3, "groups": 1}, "'groups' is not active"),
        ({"kind": "skip", "widht": 3}, "no parameter 'widht'.*Did you mean 'width'"),
    ],
)
def test_values_that_the_parameters_do_not_allow_are_refused(values, reason):
    with pytest.raises(OptionError, match=reason):
        check_values(SHAPE, values)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "skip"},
        {"width": 3, "kind": "pool"},
        {"kind": "conv", "width": 4, "groups": 2},
    ],
)
def test_values_of_all_active_parameters_are_returned_in_their_order(values):
    names = [parameter.name for parameter in SHAPE]
    checked = check_values(SHAPE, values)
    assert checked == values and list(checked) == [name for name in names if name in values]


def test_drawn_values_are_allowed_and_each_decision_is_uniform():
    rng, n = np.random.default_rng(0), 9000
    drawn = Counter(tuple(check_values(SHAPE, draw_values(SHAPE, rng)).values()) for _ in range(n))
    expected = {("skip",): n / 3}
    for kind in ("conv", "pool"):
        expected |= {(kind, 3): n / 9, (kind, 5): n / 9, (kind, 4, 1): n / 18, (kind, 4, 2): n / 18}
    assert set(drawn) == set(expected)
    chi_square = sum((drawn[v] - count) ** 2 / count for v, count in expected.items())
    assert chi_square < 26.1  # 0.999 quantile, 8 degrees of freedom


# conv-cells

OPERATIONS = st.sets(
    st.sampled_from(["none", "skip", "max-pool-3", "conv-3", "conv-5"]), min_size=1
).filter(lambda names: names != {"none"})


@st.composite
def spaces(draw):
    return ConvCells(
        ConvCellsOptions(nodes=draw(st.integers(1, 4)), operations=tuple(sorted(draw(OPERATIONS))))
    )


def test_values_and_genotypes_of_conv_cells_correspond_one_to_one():
    space = ConvCells(ConvCellsOptions(nodes=2, operations=("skip", "conv-3")))
    names = [parameter.name for parameter in space.parameters()]
    choices = [parameter.choices for parameter in space.parameters()]
    decoded = {space.decode(dict(zip(names, v, strict=True))) for v in product(*choices)}
    assert len(decoded) == space.size == (2**2 * 3 * 2**2) ** 2  # C(2, 2)·|O|² · C(3, 2)·|O|²


def test_the_decisions_of_a_node_are_its_sources_and_an_operation_for_each():
    space = ConvCells(ConvCellsOptions())
    arch = space.sample(np.random.default_rng(0))
    values = space.encode(arch)
    first, second = Genotype.from_architecture(arch).reduction[3]
    assert values["reduction.4.sources"] == f"{first.source},{second.source}"
    assert values["reduction.4.operation-1"] == first.operation
    assert values["reduction.4.operation-2"] == second.operation
    assert len(values) == 2 * (4 * 3 - 1) and "normal.1.sources" not in values


def test_a_space_with_one_architecture_has_no_parameters():
    space = ConvCells(ConvCellsOptions(nodes=1, operations=("none", "skip")))
    assert space.size == 1 and space.parameters() == ()
    assert space.decode({}) == space.sample(np.random.default_rng(0))


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_mutation_is_the_drawn_one_of_all_neighbours(space, seed):
    arch = space.sample(np.random.default_rng(seed))
    neighbours = list(space.neighbours(arch))
    if not neighbours:
        return
    one, other = (np.random.default_rng(seed) for _ in range(2))
    for _ in range(3):
        assert space.mutate(arch, one) == neighbours[other.integers(len(neighbours))]
    assert one.bit_generator.state == other.bit_generator.state


# tiny-cells


@pytest.mark.parametrize(
    "options",
    [{}, {"operations": ("zero", "skip", "conv-9"), "cells": (2,)}, {"operations": ("conv-3",)}],
)
def test_every_value_of_tiny_cells_is_a_member_and_every_member_is_reached(options):
    space = TinyCells(TinyCellsOptions(**options))
    names = [parameter.name for parameter in space.parameters()]
    choices = [parameter.choices for parameter in space.parameters()]
    decoded = {space.decode(dict(zip(names, v, strict=True))) for v in product(*choices)}
    assert decoded == set(space.members)
    assert all(space.decode(space.encode(member)) == member for member in space.members)


# The checks of the contract


def test_the_shipped_spaces_that_have_an_encoding():
    registry = load_registry()
    encoded = [
        c.name
        for c in registry.components("search-space")
        if c.distribution == "nasbench-ecg"
        and isinstance(component_under_test(registry, "search-space", c.name).space(), Encodes)
    ]
    assert set(encoded) == {"conv-cells", "fixed", "tiny-cells"}


class Shapes:
    """Shapes, by the values of their parameters."""

    name = "shapes"
    size = 9

    def __init__(self, options: Any) -> None:
        pass

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.decode(draw_values(SHAPE, rng))

    def validate(self, arch: Architecture) -> None:
        if arch.space != self.name:
            raise OptionError("another space")
        check_values(SHAPE, arch.genotype)

    def parameters(self) -> Any:
        return SHAPE

    def encode(self, arch: Architecture) -> Any:
        return arch.genotype

    def decode(self, values: Any) -> Architecture:
        return Architecture(self.name, check_values(SHAPE, values))


class ForgetsTheWidth(Shapes):
    def encode(self, arch: Architecture) -> Any:
        return {**arch.genotype, **({"width": 3} if arch.genotype.get("width") == 5 else {})}


class LeavesTheKindOut(Shapes):
    def encode(self, arch: Architecture) -> Any:
        return {name: v for name, v in arch.genotype.items() if name != "kind"}


class DecodesInvalid(Shapes):
    def decode(self, values: Any) -> Architecture:
        return Architecture(self.name, {**check_values(SHAPE, values), "kind": "lstm"})


class TakesAnything(Shapes):
    def decode(self, values: Any) -> Architecture:
        allowed = {p.name: v for p in SHAPE if (v := values.get(p.name)) and p.contains(v)}
        return Architecture(self.name, {"kind": "skip"} if "kind" not in allowed else allowed)


class BreaksDown(Shapes):
    def decode(self, values: Any) -> Architecture:
        if unknown := set(values) - {parameter.name for parameter in SHAPE}:
            raise KeyError(unknown)
        return super().decode(values)


class SameName(Shapes):
    def parameters(self) -> Any:
        return (SHAPE[0], SHAPE[0])


class LateCondition(Shapes):
    def parameters(self) -> Any:
        return SHAPE[::-1]


class SingleChoice(Shapes):
    def parameters(self) -> Any:
        return (Categorical("kind", ("conv",)),)


def outcome(space: type[Shapes], check: str) -> tuple[str, str]:
    spec = SearchSpaceSpec(
        name="shapes", target=space, options=NoOptions, summary="Shapes",
        builder="stacked-cells", evaluator="train",
    )  # fmt: skip
    component = component_under_test(registry_with(spec), "search-space", "shapes")
    (found,) = [one for one in checks_of("search-space") if one.name == check]
    result = run_check(found, component)
    return result.outcome, result.reason


FORM = "parameters-are-well-formed"
ROUND_TRIP = "encoding-and-decoding-return-the-architecture"
ALLOWED = "allowed-values-are-architectures"
REFUSED = "other-values-are-refused"


@pytest.mark.parametrize("check", [FORM, ROUND_TRIP, ALLOWED, REFUSED])
def test_a_correct_encoding_passes(check):
    assert outcome(Shapes, check) == ("passed", "")


@pytest.mark.parametrize(
    ("space", "check", "reason"),
    [
        (ForgetsTheWidth, ROUND_TRIP, "is encoded as"),
        (LeavesTheKindOut, ROUND_TRIP, "'kind' has no value"),
        (DecodesInvalid, ALLOWED, "what validate refuses"),
        (TakesAnything, REFUSED, "decode accepts"),
        (BreaksDown, REFUSED, "decode raises .*not OptionError"),
        (SameName, FORM, "two parameters have the name 'kind'"),
        (LateCondition, FORM, "depends on 'width', which does not come before it"),
        (SingleChoice, FORM, "has 1 values"),
    ],
)
def test_a_wrong_encoding_is_found(space, check, reason):
    result, said = outcome(space, check)
    assert result == "failed" and re.search(reason, said), said
