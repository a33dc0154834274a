"""Leads that are added to the signal of a beat, in order: differences, then rhythm planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nasbench_ecg.signal.rhythm import PLANES

_DIFFERENCE = "{} minus median beat"
_PLANES = frozenset(name for names in PLANES.values() for name in names)


class LeadCounts(NamedTuple):
    """How many leads of a beat are what.

    Attributes:
        signals: Leads of the record.
        differences: Their differences from the median beat: none, or as many.
        planes: Rhythm planes.
    """

    signals: int
    differences: int
    planes: int


def difference_names(leads: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the differences of these leads from the median beat."""
    return tuple(map(_DIFFERENCE.format, leads))


def count_leads(leads: Sequence[str]) -> LeadCounts:
    """Return how many of the leads of a beat, by their names, are signals, differences, planes."""
    planes = sum(lead in _PLANES for lead in leads)
    suffix = _DIFFERENCE.format("")
    differences = sum(lead.endswith(suffix) for lead in leads)
    return LeadCounts(len(leads) - differences - planes, differences, planes)
