"""Numbers as a reader meets them in tables and panels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST_VALUE = 22
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with two decimals and no sign: ``99.43``."""
    return f"{100 * fraction:.2f}"


def difference(fraction: float, reference: float) -> str:
    """Return a difference in percentage points, signed: ``+0.12``, ``−0.40``.

    It is that of the percentages as shown, so that a reader who subtracts agrees.
    """
    points = round(100 * fraction, 2) - round(100 * reference, 2)
    return f"{points:+.2f}".replace("-", "−") if round(points, 2) else "0.00"


def amount(number: float) -> str:
    """Return a large number with three digits: ``950``, ``56.0 k``, ``1.48 M``."""
    for size, unit in _UNITS:
        if number >= 0.9995 * size:
            value = number / size
            decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{decimals}f} {unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time span with two units at most: ``0.4 s``, ``42 s``, ``3 min 50 s``, ``16 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def coarse_duration(seconds: float) -> str:
    """Return a time span in one unit, for tables: ``4.1 s``, ``42 s``, ``3.8 min``, ``16.1 h``."""
    if seconds < 99.5:
        return duration(seconds) if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 99.95 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def milliseconds(value: float) -> str:
    """Return milliseconds with three digits: ``2.83 ms``, ``18.6 ms``, ``950 ms``."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f} ms"


def value_text(value: Any) -> str:
    """Return the value of an option as text, a long one as the number of its parts."""
    if isinstance(value, list | Mapping) and len(json.dumps(value)) > _LONGEST_VALUE:
        return f"({len(value)} values)"
    return value if isinstance(value, str) else json.dumps(value)


def seeds_text(seeds: Sequence[tuple[int, int]]) -> str:
    """Return seeds of search and final training as text: ``seeds 0, 1/2``."""
    names = [str(search) if search == final else f"{search}/{final}" for search, final in seeds]
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"
