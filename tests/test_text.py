"""Numbers and durations as text."""

from __future__ import annotations

import pytest

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.text import amount, counted, difference, duration, p_value


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.42, "0.4 s"),
        (59.6, "60 s"),
        (230, "3.8 min"),
        (3599.9, "60.0 min"),
        (57600, "16.0 h"),
        (216000, "2.5 days"),
    ],
)
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0028273, "2.83 ms"),
        (0.95, "950 ms"),
        (0.9996, "1.00 s"),
        (13.88, "13.9 s"),
        (230, "3.8 min"),
    ],
)
def test_an_exact_duration_has_three_digits_and_milliseconds(seconds: float, text: str) -> None:
    assert duration(seconds, exact=True) == text


@pytest.mark.parametrize(
    "number, text",
    [(950, "950"), (999.6, "1.00 k"), (22820, "22.8 k"), (1475008, "1.48 M"), (2.5e9, "2.50 G")],
)
def test_an_amount_has_three_digits(number: float, text: str) -> None:
    assert amount(number) == text


@pytest.mark.parametrize(
    "p, text", [(0.0002, "< 0.001"), (0.001, "0.001"), (0.0625, "0.062"), (1, "1.000")]
)
def test_a_p_value_is_never_zero(p: float, text: str) -> None:
    assert p_value(p) == text


def test_a_difference_is_that_of_the_numbers_shown() -> None:
    assert difference(0.99434, 0.9935) == "+0.08"
    assert difference(0.95, 0.9616) == "−1.16"
    assert difference(0.961599, 0.9616) == "0.00"


def test_different_values_of_an_option_have_different_texts():
    one = Architecture("tiny-cells", {"edges": ["skip", "skip", "sep-27"], "width": 8, "cells": 2})
    assert value_text(one.to_dict()) == one.hash[:8]
    records, others = [str(n) for n in range(100, 122)], [str(n) for n in range(101, 123)]
    assert value_text(records) != value_text(others)
    assert value_text(records).startswith("(22 values, ")
    assert [value_text(v) for v in ([1, 2], "adamw", 0.5)] == ["[1, 2]", "adamw", "0.5"]


def test_one_of_a_thing_is_singular() -> None:
    said = [counted(n, "record") for n in (0, 1, 2346)]
    assert said == ["0 records", "1 record", "2,346 records"]
