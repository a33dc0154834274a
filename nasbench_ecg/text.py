"""Numbers, durations and option values as text for tables, summaries and messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters except tab and newline, changes of direction, and halves of surrogates."""


def is_name(value: object) -> bool:
    """Return whether a value is text that can be shown and written: no half of a surrogate pair."""
    if not (isinstance(value, str) and value.strip()):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return ``text`` with ``?`` for each character that a terminal would obey, not show."""
    return _UNPRINTABLE.sub("?", text)


def escape_unprintable(text: str) -> str:
    r"""Return JSON text with ``\u001b`` and so on for each character that is not printable."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """Return ``text`` without line breaks: white space at their places becomes one space."""
    return re.sub(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*", " ", text)


def duration(seconds: float, *, exact: bool = False) -> str:
    """Return a time span in one unit: ``4.1 s``, ``42 s``, ``3.8 min``, ``16.1 h``, ``2.5 days``.

    Args:
        seconds: The time span.
        exact: Whether it is a measurement of speed: one below 100 s gets three significant digits,
            one below a second in milliseconds: ``2.83 ms``, ``950 ms``, ``1.44 s``.
    """
    if exact and seconds < 0.9995:
        return f"{_three_digits(1e3 * seconds)} ms"
    if exact and seconds < 99.95:
        return f"{_three_digits(seconds)} s"
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 99.95 * _MINUTE:
        return f"{seconds / _MINUTE:.1f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with two decimals and no sign: ``99.43``."""
    return f"{100 * fraction:.2f}"


def difference(fraction: float, reference: float = 0.0) -> str:
    """Return a difference in percentage points, signed: ``+0.12``, ``−0.40``.

    Both fractions are rounded as :func:`percent` shows them before they are subtracted.
    """
    points = round(100 * fraction, 2) - round(100 * reference, 2)
    return f"{points:+.2f}".replace("-", "−") if round(points, 2) else "0.00"


def p_value(p: float) -> str:
    """Return a p-value with three decimals: ``0.042``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def counted(n: int, noun: str) -> str:
    """Return a number of things: ``1 record``, ``2,346 records``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def amount(number: float) -> str:
    """Return a count with three significant digits: ``950``, ``56.0 k``, ``1.48 M``."""
    for size, unit in _UNITS:
        if number >= 0.9995 * size:
            return f"{_three_digits(number / size)} {unit}"
    return f"{number:.0f}"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def seeds_text(seeds: Sequence[tuple[int, int]]) -> str:
    """Return pairs of search seed and training seed as text: ``seeds 0, 1/2``."""
    names = [str(search) if search == final else f"{search}/{final}" for search, final in seeds]
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"
