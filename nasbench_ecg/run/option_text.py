"""Values of options as text, for labels, plans and summaries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nasbench_ecg.architecture import digest

_LONGEST_VALUE = 22


def value_text(value: Any) -> str:
    """Return the value of an option as text, different for different values.

    An architecture is its hash, as in ``nasbench-ecg arch show``; another long list or mapping is
    its number of values, and the first digits of a hash.
    """
    if not isinstance(value, list | Mapping) or len(json.dumps(value)) <= _LONGEST_VALUE:
        return value if isinstance(value, str) else json.dumps(value)
    digits = digest(value)
    if isinstance(value, Mapping) and set(value) == {"format", "space", "genotype"}:
        return digits[:8]
    return f"({len(value)} values, {digits[:4]})"
