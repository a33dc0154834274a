"""Options: which layer wins, and what a user is told who sets one wrongly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import (
    NoOptions,
    Options,
    changed_options,
    parse_assignments,
    resolve,
    short_names,
)


class Search(Options):
    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 5, "order": "second"},
        "smoke": {"epochs": 1},
    }
    PROTOCOLS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"inter-patient": {"epochs": 7}}

    epochs: int = Field(100, ge=1)
    lr: float = Field(0.025, gt=0)
    order: Literal["first", "second"] = "first"
    beats: int | None = None


def options(profile: str = "paper", protocol: str = "", **overrides: Any) -> Search:
    return resolve(
        Search, component="strategy darts", profile=profile, protocol=protocol, overrides=overrides
    )


@pytest.mark.parametrize(
    ("layers", "epochs"),
    [
        ({}, 100),
        ({"profile": "quick"}, 5),
        ({"profile": "quick", "protocol": "inter-patient"}, 7),
        ({"protocol": "inter-patient"}, 7),
        ({"profile": "quick", "protocol": "inter-patient", "epochs": 9}, 9),
        ({"profile": "quick", "protocol": "intra-patient"}, 5),
    ],
)
def test_profile_overrides_default_and_protocol_profile_and_user_all(
    layers: dict[str, Any], epochs: int
) -> None:
    assert options(**layers).epochs == epochs


def test_a_profile_keeps_the_defaults_that_it_does_not_set() -> None:
    assert options("quick", "inter-patient", lr=0.5).order == "second"
    assert options("smoke").lr == 0.025


@pytest.mark.parametrize(("name", "said"), [("epoch", "'epochs'"), ("zzz", "beats, epochs, lr")])
def test_an_unknown_option_is_answered_with_the_known_ones(name: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: 1})
    assert repr(name) in caught.value.what and "strategy darts" in caught.value.what
    assert said in caught.value.fix


def test_a_component_without_options_says_so() -> None:
    with pytest.raises(OptionError, match="takes no options"):
        resolve(NoOptions, component="strategy plain", overrides={"epochs": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "ten"),
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", None),
        ("epochs", True),
        ("beats", True),
        ("lr", False),
        ("lr", math.inf),
        ("lr", math.nan),
        ("lr", "Infinity"),
        ("order", "third"),
        ("beats", [1]),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_component_and_option(
    name: str, value: object
) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: value})
    assert "strategy darts" in caught.value.what and f"'{name}'" in caught.value.what
    assert "nasbench-ecg info darts" in caught.value.fix


def test_a_name_in_place_of_a_list_is_answered_with_a_list() -> None:
    class Several(Options):
        objectives: tuple[str, ...] = ()

    with pytest.raises(OptionError) as caught:
        resolve(Several, component="strategy several", overrides={"objectives": "macs"})
    assert 'a JSON list such as ["a", "b"], not \'macs\'' in caught.value.what


def test_text_of_a_number_is_read_as_a_number() -> None:
    assert options(epochs="12").epochs == 12


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("strategy.x=10", 10),
        ("strategy.x=1e-3", 1e-3),
        ("strategy.x=true", True),
        ("strategy.x=null", None),
        ('strategy.x=["a", 1]', ["a", 1]),
        ('strategy.x="10"', "10"),
        ("strategy.x=bf16", "bf16"),
        ("strategy.x=a=b", "a=b"),
        ("strategy.x=", ""),
        (" strategy.x=[1", "[1"),
        ("strategy.x=" + "9" * 5000, "9" * 5000),
        ("strategy.x=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_values_are_json_where_they_are_json_and_text_elsewhere(
    assignment: str, value: object
) -> None:
    assert parse_assignments([assignment]) == {"strategy": {"x": value}}


def test_assignments_gather_by_component() -> None:
    parsed = parse_assignments(["builder.cells=3", "strategy.a=1", "strategy.b=2"])
    assert parsed == {"builder": {"cells": 3}, "strategy": {"a": 1, "b": 2}}


def test_a_name_within_a_value_is_not_given_twice_either() -> None:
    with pytest.raises(OptionError, match=r"strategy\.a has the name 'x' twice"):
        parse_assignments(['strategy.a={"x": 1, "y": [{"z": 1}], "x": 2}'])
    with pytest.raises(OptionError, match=r"strategy\.a has the name 'z' twice"):
        parse_assignments(['strategy.a=[{"z": 1, "z": 1}]'])
    assert parse_assignments(['strategy.a=[{"z": 1}, {"z": 2}]']) == {
        "strategy": {"a": [{"z": 1}, {"z": 2}]}
    }


@pytest.mark.parametrize("text", ['"\\ud800"', "caf\udce9", '{"\\udc00": 1}'])
def test_a_text_that_no_record_can_hold_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"strategy\.a has a text that is not Unicode"):
        parse_assignments([f"strategy.a={text}"])


def test_an_option_is_not_set_twice_as_the_first_value_would_be_ignored() -> None:
    with pytest.raises(OptionError, match=r"strategy\.a is given twice"):
        parse_assignments(["strategy.a=1", "strategy.b=2", "strategy.a=4"])


@pytest.mark.parametrize("assignment", ["epochs=3", "strategy.epochs", "strategy.=3", "", "="])
def test_a_malformed_assignment_is_answered_with_an_example(assignment: str) -> None:
    with pytest.raises(OptionError, match=r"component\.option=value") as caught:
        parse_assignments([assignment])
    assert "--set strategy.epochs=10" in caught.value.fix


def test_an_assignment_to_an_unknown_component_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="Did you mean 'strategy'"):
        parse_assignments(["stratgy.epochs=3"])


@given(st.lists(st.text(max_size=12), max_size=3))
def test_any_text_is_parsed_or_refused_with_an_option_error(assignments: list[str]) -> None:
    with suppress(OptionError):
        parse_assignments(assignments)


def test_options_that_two_components_have_keep_the_name_of_the_component():
    names = ["strategy.epochs", "evaluator.epochs", "evaluator.lr"]
    assert short_names(names) == {
        "strategy.epochs": "strategy.epochs",
        "evaluator.epochs": "evaluator.epochs",
        "evaluator.lr": "lr",
    }


class Nested(Options):
    widths: tuple[int, ...] | None = None
    rates: dict[str, float] = Field({})
    pairs: tuple[tuple[float, bool], ...] = ()


@pytest.mark.parametrize(
    "values", [{"widths": [True, 3]}, {"rates": {"a": False}}, {"widths": (3, False)}]
)
def test_true_and_false_are_no_numbers_in_lists_and_tables_either(values: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="it holds numbers"):
        resolve(Nested, component="strategy x", overrides=values)


def test_true_and_false_stay_where_they_belong() -> None:
    options = resolve(
        Nested, component="strategy x", overrides={"pairs": [[1, True], [0.5, False]]}
    )
    assert options.pairs == ((1.0, True), (0.5, False))


def test_changed_options_leave_out_those_that_change_no_result() -> None:
    class Curious(Search):
        measures: bool = Field(True, exclude=True)

    given = {"measures": False, "lr": 0.5, "epochs": 100}
    assert changed_options(Curious(**given), given) == {"lr": 0.5}


class Inner(BaseModel):
    letters: frozenset[str] = frozenset("fedcba")


def test_a_set_is_sorted_data_as_its_own_order_would_change_the_run_key() -> None:
    class Named(Options):
        names: frozenset[str] = frozenset("qwertyuiop")
        numbers: set[int] = {10, 9, 100}  # noqa: RUF012 - pydantic copies it
        of_lead: dict[str, frozenset[str]] = {"II": frozenset("wertyu")}  # noqa: RUF012
        groups: frozenset[tuple[int, frozenset[str]]] = frozenset({(2, frozenset("qwe"))})
        inner: Inner = Inner()

    dumped = {
        "names": [*"eiopqrtuwy"],
        "numbers": [10, 100, 9],
        "of_lead": {"II": [*"ertuwy"]},
        "groups": [[2, [*"eqw"]]],
        "inner": {"letters": [*"abcdef"]},
    }
    assert Named().model_dump(mode="json") == json.loads(Named().model_dump_json()) == dumped
    assert Named().names == frozenset("qwertyuiop")


@pytest.mark.parametrize("given", ["none", "None", ""])
def test_none_for_an_option_that_may_be_left_out_is_told_to_be_null(given: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(beats=given)
    assert "Give null" in caught.value.fix


def test_none_for_an_option_that_needs_a_value_is_not_told_to_be_null() -> None:
    for name in ("epochs", "order"):
        with pytest.raises(OptionError) as caught:
            options(**{name: "none"})
        assert "null" not in caught.value.fix
