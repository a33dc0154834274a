"""How much a clone is changed: Algorithm 1, step 4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Mutation = Literal["inverse", "proportional"]


def normalised(affinity: float, among: Sequence[float]) -> float:
    """Return where ``affinity`` lies between the least and the largest of ``among``, in [0, 1].

    One where all are equal; zero for an affinity that is not finite.
    """
    finite = [value for value in among if math.isfinite(value)]
    if not math.isfinite(affinity) or not finite:
        return 0.0
    low, high = min(finite), max(finite)
    return 1.0 if high <= low else min(max((affinity - low) / (high - low), 0.0), 1.0)


def hypermutation_rate(share: float, rho: float, mutation: Mutation) -> float:
    """Return the rate of change, in [0, 1], of a clone whose parent's normalised affinity is given.

    ``inverse`` is exp(−ρ·share), the field's standard: the better, the less is changed.
    ``proportional`` is exp(−ρ·(1 − share)), what the paper's words say: the better, the more.

    Source: de Castro, Von Zuben 2002, equation (3), for the exponential.
    """
    return math.exp(-rho * (share if mutation == "inverse" else 1 - share))
