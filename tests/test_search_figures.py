"""Figures of searches on a table show the regrets of their repetitions."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from toy_tables import SPACE, searched, toy_table

import nasbench_ecg as nb
from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError
from nasbench_ecg.report.studies.search_comparison import as_data
from nasbench_ecg.tables.compare import compare

matplotlib.use("Agg")

BEST = SPACE.size - 1


@pytest.fixture(scope="module")
def table():
    """A table without noise: of members 2i and 2i + 1, which have one score, larger are better."""
    return toy_table(noise=1)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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


# -- the distribution over repetitions ---------------------------------------------------------


def test_the_distribution_is_the_share_of_repetitions_up_to_each_regret(table):
    orders = {"random": [[8], [20], [20], [4]], "good": [[2, BEST], [20, 30]]}
    budgets = [Budget(evaluations=n) for n in (1, 2)]
    found = compared(table, orders, *budgets)
    axes = nb.plot.regret_distribution(found, 1)
    expected = points_of_f1(table, [20, 8, 4])
    x, y = axes.lines[0].get_data()

    def share(at):
        return y[np.searchsorted(x, at + 1e-9, side="right") - 1]

    assert [share(at) for at in expected] == [50, 75, 100]
    assert (x[0], y[0]) == pytest.approx((expected[0], 0))
    assert axes.get_xlabel() == "regret after 1 evaluation, points of test F1"
    assert [line.get_label() for line in axes.lines] == ["random, n = 4", "good, n = 2"]
    # all curves end at the largest regret of any, that of member 2
    assert {line.get_data()[0][-1] for line in axes.lines} == {points_of_f1(table, [2])[0]}
    # the largest budget by default, where one repetition has the best member
    x, y = nb.plot.regret_distribution(found).lines[1].get_data()
    assert x[:2].tolist() == [0, 0] and y[:2].tolist() == [0, 50]


def test_a_search_looks_the_same_in_both_figures(table):
    both = {name: searched(name, [[1, 2, 3]] * 2, table) for name in ("random", "costly", "cheap")}
    cheap = {name: both[name] for name in ("random", "cheap")}
    found = {Budget(evaluations=2): both, Budget(evaluations=3): cheap}
    found = compare(table, found, "random", [])
    of = {}
    for axes in (nb.plot.regret(found), nb.plot.regret_distribution(found)):
        for line in axes.lines:
            style = line.get_color(), line.get_linestyle(), line.get_marker()
            assert of.setdefault(line.get_label(), style) == style
    assert len(set(of.values())) == 3


def test_a_distribution_of_another_budget_is_refused(table):
    found = compared(table, {"random": [[1, 2]] * 2}, Budget(evaluations=2), Budget(seconds=1.5))
    axes = nb.plot.regret_distribution(found, budget_seconds=1.5)
    assert axes.get_xlabel() == "regret after 1.5 s simulated, points of test F1"
    with pytest.raises(OptionError, match="not compared with 5 evaluations") as error:
        nb.plot.regret_distribution(found, 5)
    assert "2 evaluations, 1.5 s simulated" in str(error.value.fix)
    with pytest.raises(OptionError, match="of one budget"):
        nb.plot.regret_distribution(found, 2, 1.5)
    with pytest.raises(OptionError, match="no comparison of searches"):
        nb.plot.regret_distribution("found")


def test_the_repetitions_are_what_the_quartiles_and_tests_are_of(table):
    orders = {"random": [[0, 8], [2, 20], [4, 6]], "good": [[BEST, 0], [30, 2]]}
    found = {label: searched(label, order, table) for label, order in orders.items()}
    budgets = (Budget(evaluations=2), Budget(seconds=1.5))
    found = compare(table, dict.fromkeys(budgets, found), "random", ["parameters"])
    frame = found.repetitions()
    assert frame["search"].tolist() == (["random"] * 3 + ["good"] * 2) * 2
    assert frame["repetition"].tolist() == [0, 1, 2, 0, 1] * 2
    assert frame["evaluations"].dropna().tolist() == [2] * 5
    assert frame["seconds"].dropna().tolist() == [1.5] * 5
    rows = [8, 20, 6, BEST, 30, 0, 2, 4, BEST, 30]
    assert frame["regret"].tolist() == pytest.approx((points_of_f1(table, rows) / 100).tolist())
    test = table.mean_test_scores()
    assert frame["f1"].tolist() == pytest.approx(test[rows].tolist())
    volumes = frame["hypervolume_parameters"]
    assert volumes.between(0, 1).all() and volumes.nunique() > 3
    grouped = frame[frame["evaluations"] == 2].groupby("search")
    means = (
        found.to_dataframe()
        .query("evaluations == 2")
        .pivot(index="search", columns="measure", values="mean")
    )
    for search, own in grouped:
        assert own["f1"].mean() == pytest.approx(means.loc[search, "f1"])
        expected = means.loc[search, "parameters"]
        assert own["hypervolume_parameters"].mean() == pytest.approx(expected)
    assert "values" not in as_data(table, found)["outcomes"][0]  # reports have quartiles
