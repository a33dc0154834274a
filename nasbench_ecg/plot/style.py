"""How all figures look: colors, marks, lines, and axes of one column's width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colors that are distinct with all common kinds of color blindness (Okabe and Ito 2008)."""

MARKERS = "osD^vPX"
LINES = ("-", "--", ":", "-.")
WIDTH = 3.4  # inches: one column of a two-column paper
STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
}


@contextmanager
def axes_of(ax: Axes | None, height: float = 0.75) -> Iterator[Axes]:
    """Yield the axes to draw on, in the style of all figures.

    Args:
        ax: Axes of the user; None: new ones.
        height: Height of a new figure, as a share of its width.
    """
    import matplotlib
    import matplotlib.pyplot as plt

    with plt.rc_context(cast("Any", STYLE)):
        if ax is None:
            _, ax = plt.subplots(figsize=(WIDTH, WIDTH * height), layout="constrained", dpi=150)
        interactive = matplotlib.is_interactive()
        yield ax
    # The backend of a notebook turns this on when it makes its first figure.
    matplotlib.interactive(interactive)


_LINE_INCHES = 0.145
"""Height of a line of the legend."""

_LEGEND_CHARACTERS = 54
"""Characters that fit into a line of the legend."""

_HANDLE_CHARACTERS = 7


def _columns(labels: Sequence[str]) -> int:
    """Return how many columns of a legend fit into the width of a figure."""
    return max(1, min(3, _LEGEND_CHARACTERS // (max(map(len, labels)) + _HANDLE_CHARACTERS)))


def height_with_legend(labels: Sequence[str]) -> float:
    """Return the height of a figure with a legend above it, as a share of its width."""
    return 0.7 + _LINE_INCHES * -(-len(labels) // _columns(labels)) / WIDTH


def legend_above(axes: Axes, labels: Sequence[str]) -> None:
    """Place the legend above the axes, where it hides no line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.02), ncols=_columns(labels), borderaxespad=0,
        borderpad=0, handlelength=2.6, labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip


_MOST_INSIDE = 4
"""Names that a legend inside the axes of a new figure has, at most."""


@contextmanager
def axes_with_legend(ax: Axes | None, labels: Sequence[str]) -> Iterator[Axes]:
    """Yield the axes to draw on, which then get a legend: of many names above a new figure."""
    above = ax is None and len(labels) > _MOST_INSIDE
    with axes_of(ax, height_with_legend(labels) if above else 0.75) as axes:
        yield axes
        if above:
            legend_above(axes, labels)
        else:
            axes.legend()
