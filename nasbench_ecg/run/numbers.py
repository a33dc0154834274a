"""The numbers that a run record may hold: what is written can be read again."""

from __future__ import annotations

import math

SMALLEST, LARGEST = 1e-100, 1e100
"""Magnitudes of a measured number, between which squares and ratios are finite and not zero."""

TOLERANCE = 1e-6
"""How far a share of 1 may be outside of 0 to 1, by rounding."""

_FRACTIONS = frozenset(("accuracy", "macro_se", "macro_pp", "macro_f1", "f1_of_macro"))


def is_fraction(metric: str) -> bool:
    """Return whether metrics of this name are shares of 1."""
    return metric in _FRACTIONS or metric.startswith("ec57_")


def is_measured(value: float) -> bool:
    """Return whether a record may hold ``value``."""
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


def measured(value: float, metric: str = "") -> float:
    """Return ``value`` as a record holds it: zero if it is too small, a share of 1 within 0 to 1.

    A magnitude that is too large becomes infinite, which a record does not hold.
    """
    if abs(value) > LARGEST:
        return math.copysign(math.inf, value)
    if abs(value) < SMALLEST:
        return 0.0
    if is_fraction(metric) and -TOLERANCE <= value <= 1 + TOLERANCE:
        return min(max(value, 0.0), 1.0)
    return value
