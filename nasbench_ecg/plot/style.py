"""How all figures look: colors, marks, lines, and axes of one column's width."""

from __future__ import annotations

from collections.abc import Iterator
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
