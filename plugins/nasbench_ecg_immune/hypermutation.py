"""How much a clone is changed: Algorithm 1, step 4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Mutation = Literal["inverse", "proportional"]


def normalised(affinities: Sequence[float]) -> list[float]:
    """Return where each affinity lies between the least and the largest, in [0, 1].

    One where all are equal; zero for an affinity that is not finite.
    """
    finite = [value for value in affinities if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high - low
    return [
        0.0 if not math.isfinite(value) else (value - low) / span if span > 0 else 1.0
        for value in affinities
    ]


def hypermutation_rate(share: float, rho: float, mutation: Mutation) -> float:
    """Return the rate of change, in [0, 1], of a clone whose parent's normalised affinity is given.

    ``inverse`` is exp(−ρ·share), the field's standard: the better, the less is changed.
    ``proportional`` is exp(−ρ·(1 − share)), what the paper's words say: the better, the more.

    Source: de Castro, Von Zuben 2002, equation (3), for the exponential.
    """
    return math.exp(-rho * (share if mutation == "inverse" else 1 - share))
