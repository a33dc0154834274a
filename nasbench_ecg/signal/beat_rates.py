"""The sampling rates at which beats can be detected and cut."""

from __future__ import annotations

from nasbench_ecg.signal.headers import RATES

BEAT_RATES = (40.0, RATES[1])
"""Sampling rates of beats in hertz: above the first, so that they hold the band to 20 Hz in which
QRS complexes are detected; at most the second."""


def fault_of_beat_rate(rate: float) -> str:
    """Return why beats cannot have a sampling rate in hertz; empty if they can."""
    lowest, highest = BEAT_RATES
    if lowest < rate <= highest:
        return ""
    return f"{rate:g} Hz is not above {lowest:g} Hz, as QRS complexes need, up to {highest:,.0f} Hz"
