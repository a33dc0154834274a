"""Figures of searches that were repeated on a table: their regret."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError
from nasbench_ecg.front.searches import ComparedSearches
from nasbench_ecg.plot.style import (
    COLORS,
    LINES,
    MARKERS,
    axes_of,
    height_with_legend,
    legend_above,
)
from nasbench_ecg.report.leaderboard.anytime import EFFORTS, Effort
from nasbench_ecg.report.studies.search_comparison import budget_text
from nasbench_ecg.tables.comparison import Outcome, SearchComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST = 0.01
"""Points of F1 up to which regret is shown on a logarithmic axis: reports round to them."""


def regret(
    found: ComparedSearches | SearchComparison,
    against: Effort = "evaluations",
    *,
    ax: Axes | None = None,
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
    with axes_of(ax, height_with_legend([curve.label for curve in curves])) as axes:
        for curve in curves:
            low, middle, high = 100 * np.array(curve.regret).T
            style = styles[curve.label]
            axes.step(curve.points, middle, where="post", label=curve.label, **style)
            axes.fill_between(
                curve.points, low, high, step="post", color=style["color"], linewidth=0,
                alpha=min(0.2, 0.7 / len(curves)),
            )  # fmt: skip
        drawn = [100 * one for curve in curves for quartiles in curve.regret for one in quartiles]
        _scale_to_zero(axes, "y", drawn)
        _log_if_wide(axes, [at for curve in curves for at in curve.points])
        axes.set_xlabel(f"{'simulated ' if by == 'seconds' else ''}{against} of the search")
        axes.set_ylabel("regret, points of test F1")
        legend_above(axes, [curve.label for curve in curves])
        return axes


def regret_distribution(
    found: ComparedSearches | SearchComparison,
    budget_evaluations: int | None = None,
    budget_seconds: float | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of repetitions that end with a regret of at most so many points of test F1.

    This is the empirical cumulative distribution of the final regret, as a performance profile: a
    search whose curve is above another one everywhere is better at each quantile. With 95%
    confidence the distribution over all repetitions lies within √(ln 40 / 2n) of the curve of n: 6
    percentage points for 500. The axis is that of :func:`regret`, and searches look the same.

    Args:
        found: What ``nb.table(...).compare(...)`` returns.
        budget_evaluations: A budget of the comparison.
        budget_seconds: A budget in simulated seconds, in place of it; None for both: the largest
            one in evaluations, or in seconds if there is no other.
        ax: Axes to draw on; the legend is above them.

    Raises:
        OptionError: This is no comparison, or it has no such budget.

    References:
        Dolan, Moré 2002, "Benchmarking optimization software with performance profiles",
        Mathematical Programming 91; Agarwal et al. 2021, "Deep reinforcement learning at the edge
        of the statistical precipice", NeurIPS. Massart 1990, "The tight constant in the
        Dvoretzky-Kiefer-Wolfowitz inequality", Annals of Probability 18(3).
    """
    comparison = _comparison(found)
    outcome = _outcome(comparison, budget_evaluations, budget_seconds)
    final = {
        label: np.sort(100 * (comparison.best - f1)) for label, f1 in outcome.values["f1"].items()
    }
    counts = {len(one) for one in final.values()}
    names = {
        label: label if len(counts) == 1 else f"{label}, n = {len(one)}"
        for label, one in final.items()
    }
    largest = max(float(one[-1]) for one in final.values())
    styles = _styles(comparison)
    with axes_of(ax, height_with_legend([*names.values()])) as axes:
        for label, one in final.items():
            share = 100 * np.arange(len(one) + 1) / len(one)
            axes.step(
                [one[0], *one, largest], [*share, 100.0], where="post", label=names[label],
                **styles[label],
            )  # fmt: skip
        _scale_to_zero(axes, "x", np.concatenate([*final.values()]).tolist())
        axes.set_ylim(0, 103)
        axes.set_xlabel(f"regret after {budget_text(outcome.budget)}, points of test F1")
        axes.set_ylabel("repetitions, %")
        legend_above(axes, [*names.values()])
        return axes


def _outcome(
    comparison: SearchComparison, evaluations: int | None, seconds: float | None
) -> Outcome:
    """Return the outcome with a budget, by default the largest one in evaluations.

    Raises:
        OptionError: Both are given, or there is no such budget.
    """
    if evaluations is not None and seconds is not None:
        raise OptionError(
            "A distribution is of one budget.", fix="Give budget_evaluations or budget_seconds."
        )
    outcomes = comparison.outcomes
    if evaluations is None and seconds is None:
        counted = [one for one in outcomes if one.budget.evaluations is not None]
        return max(counted or outcomes, key=lambda one: max(one.budget.limits().values()))
    asked = Budget(evaluations=evaluations, seconds=seconds)
    for one in outcomes:
        if one.budget == asked:
            return one
    raise OptionError(
        f"The searches were not compared with {budget_text(asked)}.",
        fix=f"Choose one of: {', '.join(budget_text(one.budget) for one in outcomes)}.",
    )


def _comparison(found: Any) -> SearchComparison:
    """Return the comparison that a user gives.

    Raises:
        OptionError: It is something else.
    """
    if isinstance(found, ComparedSearches):
        return found.comparison
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
