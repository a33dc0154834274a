"""Figures of searches that were repeated on a table: their regret."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_ecg.errors import OptionError
from nasbench_ecg.plot.style import COLORS, LINES, MARKERS, WIDTH, axes_of
from nasbench_ecg.report.leaderboard.anytime import EFFORTS, Effort
from nasbench_ecg.tables.comparison import SearchComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST = 0.01
"""Points of F1 up to which regret is shown on a logarithmic axis: reports round to them."""

_LINE_INCHES = 0.145
"""Height of a line of the legend."""

_LEGEND_CHARACTERS = 54
"""Characters that fit into a line of the legend."""

_HANDLE_CHARACTERS = 7


def regret(
    found: SearchComparison, against: Effort = "evaluations", *, ax: Axes | None = None
) -> Axes:
    """Draw the regret of searches on a table so far: median and quartiles over repetitions.

    Regret is the best mean test F1 of the table minus that of the member with the best validation
    score so far, so it can rise. Its axis is logarithmic; where a regret of zero is drawn, which is
    that of the best member, it is linear below the smallest other one. Each search has its own
    largest budget. A curve against seconds starts when the first evaluation of every repetition is
    complete; a search that ends before its budget keeps its last regret. The baseline is black.

    Args:
        found: What ``nb.table(...).compare(...)`` returns.
        against: ``evaluations`` or simulated ``seconds``.
        ax: Axes to draw on; the legend is above them.

    Raises:
        OptionError: This is no comparison, or it has no such budgets.
    """
    if against not in EFFORTS:
        raise OptionError(f"There is no {against!r}.", fix="Give 'evaluations' or 'seconds'.")
    comparison = _comparison(found)
    by = "seconds" if against == "seconds" else "evaluation"
    curves = [curve for curve in comparison.regret_curves if curve.by == by]
    if not curves:
        raise OptionError(
            f"These searches have no budget in {against}.",
            fix=f"Give compare budget_{against}, or draw against the other.",
        )
    styles = _styles(comparison)
    with axes_of(ax, _height([curve.label for curve in curves])) as axes:
        for curve in curves:
            low, middle, high = 100 * np.array(curve.regret).T
            style = styles[curve.label]
            axes.step(curve.points, middle, where="post", label=curve.label, **style)
            axes.fill_between(
                curve.points, low, high, step="post", color=style["color"], linewidth=0,
                alpha=min(0.2, 0.7 / len(curves)),
            )  # fmt: skip
        _scale_to_zero(
            axes, "y", (100 * one for curve in curves for q in curve.regret for one in q)
        )
        _log_if_wide(axes, [at for curve in curves for at in curve.points])
        axes.set_xlabel(f"{'simulated ' if by == 'seconds' else ''}{against} of the search")
        axes.set_ylabel("regret, points of test F1")
        _legend_above(axes, [curve.label for curve in curves])
        return axes


def _comparison(found: Any) -> SearchComparison:
    """Return the comparison that a user gives.

    Raises:
        OptionError: It is something else.
    """
    if not isinstance(found, SearchComparison):
        raise OptionError(
            "This is no comparison of searches.",
            fix="Give what nb.table(...).compare(...) returns.",
        )
    return found


def _styles(comparison: SearchComparison) -> dict[str, dict[str, Any]]:
    """Return color, line and marks of each search, the same in all figures of a comparison.

    Lines and marks differ, too, so that a print without colors can be read.
    """
    labels = dict.fromkeys(one.label for each in comparison.outcomes for one in each.scores)
    others = [label for label in labels if label != comparison.baseline]
    *colors, black = COLORS
    styles: dict[str, dict[str, Any]] = {
        label: {
            "color": colors[i % len(colors)],
            "linestyle": LINES[(i + 1) % len(LINES)],
            "marker": MARKERS[i % len(MARKERS)],
            "markevery": (0.05 + 0.03 * (i % 6), 0.2),
            "markersize": 3,
        }
        for i, label in enumerate(others)
    }
    return {comparison.baseline: {"color": black, "linestyle": "-"}, **styles}


def _columns(labels: Sequence[str]) -> int:
    """Return how many columns of a legend fit into the width of a figure."""
    return max(1, min(3, _LEGEND_CHARACTERS // (max(map(len, labels)) + _HANDLE_CHARACTERS)))


def _height(labels: Sequence[str]) -> float:
    """Return the height of a figure with a legend above it, as a share of its width."""
    return 0.7 + _LINE_INCHES * -(-len(labels) // _columns(labels)) / WIDTH


def _legend_above(axes: Axes, labels: Sequence[str]) -> None:
    """Place the legend above the axes, where it hides no line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.02), ncols=_columns(labels), borderaxespad=0,
        borderpad=0, handlelength=2.6, labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip


def _scale_to_zero(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Make an axis logarithmic; where a value is zero, linear from the smallest other one to it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, SymmetricalLogLocator

    drawn = np.array(values)
    above = drawn[drawn > 0]
    axis = axes.yaxis if which == "y" else axes.xaxis
    set_scale = axes.set_yscale if which == "y" else axes.set_xscale
    if not len(above):
        return
    least = max(_LEAST, float(above.min()))
    subs = (1.0, 2.0, 5.0) if above.max() < 100 * least else (1.0, 3.0)
    if above.size == drawn.size and above.min() >= _LEAST:
        set_scale("log")
        axis.set_major_locator(LogLocator(subs=subs))
    else:
        threshold = 10 ** floor(log10(least))
        threshold *= max(sub for sub in (1, 2, 5) if sub * threshold <= least * (1 + 1e-9))
        set_scale("symlog", linthresh=threshold, linscale=0.4)
        axis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=threshold, subs=subs))
        (axes.set_ylim if which == "y" else axes.set_xlim)(0, None)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _log_if_wide(axes: Axes, points: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic if its points span a factor of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if max(points) < 10 * min(points):
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
