"""Units of voltage, and values that are hardly millivolts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "\u00b5V": 1e-3, "\u03bcV": 1e-3, "nV": 1e-6}
"""Millivolts in each unit; micro is ``u``, the micro sign or the Greek letter."""

_SPELLINGS = {**MILLIVOLTS, "v": 1e3, "mv": 1.0, "uv": 1e-3, "\u00b5v": 1e-3, "\u03bcv": 1e-3}
_SPELLINGS["nv"] = 1e-6  # "MV" is left out: mega or milli?

_LEAST_MV, _MOST_MV = 0.02, 50.0  # an ECG with its wander is within, one in V or µV is not


def millivolts_in(unit: str) -> float | None:
    """Return the millivolts in a unit; None if it is no known unit of voltage, or ambiguous."""
    return _SPELLINGS.get(unit)


def note_of_unit(lead: str, signal: NDArray[np.float64]) -> str | None:
    """Return a note on a lead whose values are hardly millivolts; None for a usual or flat one."""
    known = signal[np.isfinite(signal)]
    low, high = np.percentile(known, [1, 99]) if len(known) else (0.0, 0.0)
    if low == high or _LEAST_MV < high - low < _MOST_MV:
        return None
    return (
        f"98% of the values of lead {lead!r} are between {low:.3g} and {high:.3g}, which are "
        "hardly millivolts: divide microvolts by 1,000, multiply volts by 1,000."
    )
