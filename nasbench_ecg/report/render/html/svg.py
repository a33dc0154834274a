"""Plots as inline SVG: axes, marks and lines in the colors of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from unicodedata import east_asian_width

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 44
PHONE_TEXT = 15 / 12
"""How much larger text is in a narrow window, see page.css."""

COLORS = (
    "#3b82c4", "#e0574f", "#2f9e67", "#b7860b", "#8b5fbf",
    "#1795a5", "#d0619c", "#7a8591", "#6b8e23", "#c46a2b",
)  # fmt: skip
_SHAPES = (
    '<circle r="5"/>',
    '<rect x="-4.4" y="-4.4" width="8.8" height="8.8"/>',
    '<path d="M0-5.6 5.2 4H-5.2Z"/>',
    '<path d="M0-6 6 0 0 6-6 0Z"/>',
    '<path d="M0 5.6 5.2-4H-5.2Z"/>',
)


@dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        label: What it shows.
        low: Value at its beginning.
        high: Value at its end, larger than ``low``.
        log: Whether it is logarithmic.
        start: Place of ``low`` in the plot.
        end: Place of ``high``.
    """

    label: str
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return the place of ``value`` in the plot."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = log10(low), log10(high), log10(value)
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return three to eight round values."""
        if self.log and log10(self.high / self.low) >= 1:
            decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            steps: Sequence[int] = (1, 3) if len(decades) < 5 else (1,)
            values = [step * 10.0**decade for decade in decades for step in steps]
            return [value for value in values if self.low <= value <= self.high]
        step = _round_step((self.high - self.low) / 5)
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def _round_step(step: float) -> float:
    unit = 10.0 ** floor(log10(step))
    return next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= step)


def horizontal(label: str, values: Sequence[float], *, log: bool = False) -> Axis:
    """Return the lower axis for these values, logarithmic if ``log`` and all are positive."""
    low, high, log = _span(values, log=log)
    return Axis(label, low, high, LEFT, WIDTH - RIGHT, log)


def vertical(label: str, values: Sequence[float]) -> Axis:
    """Return the left axis for these values."""
    low, high, _ = _span(values, log=False)
    return Axis(label, low, high, HEIGHT - BOTTOM, TOP)


def _span(values: Sequence[float], *, log: bool) -> tuple[float, float, bool]:
    low, high = min(values), max(values)
    alike = high - low <= 1e-9 * abs(high)
    if log and low > 0:
        factor = 2.0 if alike else (high / low) ** 0.08
        return low / factor, high * factor, True
    margin = (abs(high) / 10 or 1.0) if alike else 0.08 * (high - low)
    return low - margin, high + margin, False


def plot(x: Axis, y: Axis, marks: Sequence[str], *, description: str) -> str:
    """Return a plot with its axes; ``marks`` are SVG elements, the last one on top."""
    parts = [f'<g class="grid">{_grid(x, y)}</g>', *marks]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="label" x="{_n((LEFT + WIDTH - RIGHT) / 2)}" y="{HEIGHT - 6}">'
        f"{escape(x.label)}</text>"
        f'<text class="label" transform="translate(12 {_n(middle)}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )
    return document(WIDTH, HEIGHT, parts, description)


def document(width: float, height: float, parts: Sequence[str], description: str) -> str:
    """Return an SVG element that fills the width of its place on the page."""
    return (
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def _grid(x: Axis, y: Axis) -> str:
    lines = [
        f'<path d="M{_n(x.place(tick))} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text class="x" x="{_n(_within(x.place(tick), short(tick)))}" '
        f'y="{HEIGHT - BOTTOM + 15}">{short(tick)}</text>'
        for tick in x.ticks()
    ]
    lines += [
        f'<path d="M{LEFT} {_n(y.place(tick))}H{WIDTH - RIGHT}"/>'
        f'<text class="y" x="{LEFT - 6}" y="{_n(y.place(tick) + 4)}">{short(tick)}</text>'
        for tick in y.ticks()
    ]
    return "".join(lines)


def _within(middle: float, words: str) -> float:
    """Return the middle of a text, moved left if the text would end outside of the plot."""
    return min(middle, WIDTH - text_width(words) * PHONE_TEXT / 2)


def mark(index: int, x: float = 0.0, y: float = 0.0, title: str = "") -> str:
    """Return the mark of the method with that number; ``title`` is its tooltip."""
    tooltip = f"<title>{escape(title)}</title>" if title else ""
    color = COLORS[index % len(COLORS)]
    shape = _SHAPES[(index + index // len(COLORS)) % len(_SHAPES)]
    place = f'transform="translate({_n(x)} {_n(y)})"'
    return f'<g data-number="{index}" fill="{color}" {place}>{tooltip}{shape}</g>'


def dot(index: int, x: float, y: float) -> str:
    """Return a small dot in the color of the method with that number."""
    color = COLORS[index % len(COLORS)]
    return f'<circle data-number="{index}" r="2" fill="{color}" cx="{_n(x)}" cy="{_n(y)}"/>'


def symbol(index: int) -> str:
    """Return the mark of a method for a legend, as an SVG element."""
    return f'<svg class="symbol" viewBox="-7 -7 14 14" aria-hidden="true">{mark(index)}</svg>'


def line(index: int, points: Sequence[tuple[float, float]], css: str, title: str = "") -> str:
    """Return a line in the color of the method with that number."""
    tooltip = f"<title>{escape(title)}</title>" if title else ""
    color = COLORS[index % len(COLORS)]
    return f'<g data-number="{index}" stroke="{color}">{tooltip}{path(points, css)}</g>'


def area(index: int, points: Sequence[tuple[float, float]]) -> str:
    """Return the area within a closed line, in the color of the method with that number."""
    color = COLORS[index % len(COLORS)]
    return f'<g data-number="{index}" fill="{color}">{path(points, "band")}</g>'


def group(method: str, drawn: str) -> str:
    """Return what is drawn of a method as a group, for the filter of the page."""
    return f'<g data-method="{escape(method)}">{drawn}</g>'


def path(points: Sequence[tuple[float, float]], css: str) -> str:
    """Return a line through ``points``."""
    d = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
    return f'<path class="{css}" d="{d}"/>'


def text(x: float, y: float, words: str, css: str) -> str:
    """Return text at a place."""
    return f'<text class="{css}" x="{_n(x)}" y="{_n(y)}">{escape(words)}</text>'


def text_width(words: str) -> int:
    """Return the room for a text of 12 px, enough for wide fonts: which one is used is unknown."""
    return sum(13 if one in "mwMW" or east_asian_width(one) in "WF" else 8 for one in words)


def short(value: float) -> str:
    """Return a number as an axis shows it: ``0``, ``95.5``, ``30k``, ``1.5M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.10g}{unit}"
    return f"{value:.10g}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
