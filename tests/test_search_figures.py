"""Figures of searches on a table show the regrets of their repetitions."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from toy_tables import SPACE, searched, toy_table

import nasbench_ecg as nb
from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError
from nasbench_ecg.tables.compare import compare

matplotlib.use("Agg")

BEST = SPACE.size - 1


@pytest.fixture(scope="module")
def table():
    """A table without noise: of members 2i and 2i + 1, which have one score, larger are better."""
    return toy_table(noise=1)


def compared(table, orders, *budgets):
    """Return a comparison of searches that evaluate members in given orders."""
    found = {label: searched(label, order, table) for label, order in orders.items()}
    given = budgets or (Budget(evaluations=3),)
    return compare(table, dict.fromkeys(given, found), "random", [])


def points_of_f1(table, members):
    test = table.mean_test_scores()
    return 100 * (test.max() - test[np.array(members)])


def test_the_curve_of_regret_has_median_and_quartiles_of_the_incumbents(table):
    orders = {"random": [[2, 0, 8], [6, 20, 4], [10, 12, 14], [0, 30, 2], [4, 2, 16]]}
    axes = nb.plot.regret(compared(table, orders))
    x, y = axes.lines[0].get_data()
    incumbents = [[2, 6, 10, 0, 4], [2, 20, 12, 30, 4], [8, 20, 14, 30, 16]]
    expected = [points_of_f1(table, members) for members in incumbents]
    assert x.tolist() == [1, 2, 3]
    assert y == pytest.approx([np.median(one) for one in expected])
    low, high = ([np.quantile(one, q) for one in expected] for q in (0.25, 0.75))
    drawn = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (drawn.min(), drawn.max()) == pytest.approx((min(low), max(high)))
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "regret, points of test F1"


def test_a_regret_of_zero_is_drawn_at_the_foot_of_the_axis(table):
    orders = {"random": [[0, 8], [2, BEST], [4, BEST]], "good": [[2, BEST]] * 3}
    axes = nb.plot.regret(compared(table, orders, Budget(evaluations=2)))
    axes.figure.canvas.draw()
    scale = axes.yaxis.get_transform()
    smallest = min(v for line in axes.lines for v in line.get_ydata() if v > 0)
    assert axes.get_yscale() == "symlog" and 0 < scale.linthresh <= smallest
    assert axes.lines[1].get_ydata()[-1] == 0 == axes.get_ylim()[0]
    assert "0" in [text.get_text() for text in axes.get_yticklabels()]
    # also if each search finds the best member at once
    axes = nb.plot.regret(compared(table, {"random": [[BEST, 0]] * 3}, Budget(evaluations=2)))
    axes.figure.canvas.draw()
    assert (axes.lines[0].get_ydata() == 0).all()


def test_a_curve_against_seconds_starts_with_complete_evaluations(table):
    order = [[2, 30], [6, 20]]
    random, slow = (searched(name, order, table) for name in ("random", "slow"))
    slow.steps["seconds"] += [0.0, 0.0, 2.5, 2.5]  # the repetitions end first ones at 1 and 3.5
    (budget,) = budgets = [Budget(seconds=4.0)]
    found = compare(table, {budget: {"random": random, "slow": slow}}, "random", [])
    axes = nb.plot.regret(found, "seconds")
    starts = [line.get_xdata()[0] for line in axes.lines]
    ends = [line.get_xdata()[-1] for line in axes.lines]
    assert starts == pytest.approx([1.0, 3.5]) and ends == pytest.approx([4.0] * 2)
    first, last = (np.median(points_of_f1(table, rows)) for rows in ([2, 6], [30, 20]))
    middle = axes.lines[0].get_ydata()
    assert (middle[0], middle[-1]) == pytest.approx((first, last))
    assert axes.get_xlabel() == "simulated seconds of the search"
    with pytest.raises(OptionError, match="no budget in evaluations"):
        nb.plot.regret(found)
    assert budgets == [outcome.budget for outcome in found.outcomes]


def test_a_search_with_smaller_budgets_has_a_curve_too(table):
    both = {name: searched(name, [[1, 2, 3]] * 2, table) for name in ("random", "costly")}
    found = {Budget(evaluations=2): both, Budget(evaluations=3): {"random": both["random"]}}
    lines = nb.plot.regret(compare(table, found, "random", [])).lines
    assert {line.get_label(): line.get_xdata()[-1] for line in lines} == {"random": 3, "costly": 2}


def test_many_searches_can_be_told_apart_without_colors_and_the_legend_hides_none(table):
    labels = ["random", *(f"regularized-evolution (population={i})" for i in range(14))]
    axes = nb.plot.regret(compared(table, {label: [[0, 5, 9], [2, 4, 8]] for label in labels}))
    lines = axes.lines
    assert lines[0].get_color() == "#000000"
    assert len({(one.get_color(), one.get_marker()) for one in lines}) == 15
    assert len({(one.get_linestyle(), one.get_marker()) for one in lines}) == 15
    axes.figure.canvas.draw()
    legend, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.y0 >= inside.y1 and legend.x1 <= axes.figure.bbox.x1
    assert inside.height > 1.5 * axes.figure.dpi  # the legend makes the figure higher


def test_what_is_no_comparison_or_effort_is_refused(table):
    found = compared(table, {"random": [[1, 2, 3]] * 2})
    with pytest.raises(OptionError, match="no comparison of searches"):
        nb.plot.regret(found.to_dataframe())
    with pytest.raises(OptionError, match="no budget in seconds"):
        nb.plot.regret(found, "seconds")
    with pytest.raises(OptionError, match="no 'epochs'"):
        nb.plot.regret(found, "epochs")
