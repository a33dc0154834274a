"""Best score so far and hypervolume of searches: mean and quartiles over seeds."""

from __future__ import annotations

import csv
import io
from typing import Any

import matplotlib
import pytest
from run_records import run_record, with_f1

import nasbench_ecg as nb
from nasbench_ecg.report.leaderboard.anytime import BEST, best_curve, curves, tables
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.types import Report
from nasbench_ecg.report.render import render
from nasbench_ecg.run.record import RunRecord

Step = tuple[float, float, float]


def search(strategy: str, seed: int, steps: list[Step], **fields: Any) -> RunRecord:
    """Return the run of a search; a step is evaluations, seconds and score, with 10 parameters."""
    best, trajectory = 0.0, []
    for evaluations, seconds, value in steps:
        best = max(best, value)
        trajectory.append(
            {"evaluations": evaluations, "seconds": seconds, "value": value, "best": best}
        )
    return run_record(strategy, seed, metrics=with_f1(0.9), trajectory=trajectory, **fields)


@pytest.fixture
def report() -> Report:
    made = [
        search("random", 0, [(1, 10, 0.5), (2, 20, 0.4), (3, 30, 0.9)]),
        search("random", 1, [(1, 12, 0.3), (2, 25, 0.7)]),
        search("random", 2, [(1, 8, 0.1), (2, 16, 0.2), (3, 24, 0.3), (4, 32, 0.6)]),
        run_record("cnn-9", 0, metrics=with_f1(0.9)),
    ]
    return build_report(made, "Searches")


def test_a_curve_is_mean_and_quartiles_of_what_each_search_had_by_then(report: Report) -> None:
    found = curves(report, report.leaderboards[0])
    assert [(c.method, c.quantity, c.effort) for c in found] == [
        ("random", BEST, "evaluations"),
        ("random", BEST, "seconds"),
    ]
    # By hand. After 3 evaluations the searches have 0.9, 0.7 (it ended at 2) and 0.3; quartiles lie
    # half way between neighbors.
    by_evaluations, by_seconds = found
    assert by_evaluations.points == (1, 2, 3, 4)
    assert by_evaluations.mean == pytest.approx((0.3, 1.4 / 3, 1.9 / 3, 2.2 / 3))
    assert by_evaluations.low == pytest.approx((0.2, 0.35, 0.5, 0.65))
    assert by_evaluations.high == pytest.approx((0.4, 0.6, 0.8, 0.8))
    # The curve starts at 12 s, when the last of the searches has its first value.
    assert by_seconds.points == (12, 16, 20, 24, 25, 30, 32)
    assert by_seconds.mean[0] == pytest.approx((0.5 + 0.3 + 0.1) / 3)
    assert by_seconds.at(11) is None and by_seconds.at(17) == 1


def test_a_search_that_counts_no_evaluations_has_no_curve_against_them() -> None:
    steps: list[Step] = [(0, 10, 0.5), (0, 20, 0.6)]
    record = search("darts", 0, steps)
    assert best_curve("darts", [record], "evaluations") is None
    assert best_curve("darts", [record], "seconds") is not None
    assert best_curve("cnn-9", [run_record("cnn-9", 0, metrics=with_f1(0.9))], "seconds") is None


def two_goals(seed: int, candidates: list[tuple[float, float]]) -> RunRecord:
    trajectory = [
        {"evaluations": i, "seconds": 10.0 * i, "value": v, "best": v, "parameters": p}
        for i, (v, p) in enumerate(candidates, 1)
    ]
    return run_record(
        "nsga2", seed, metrics=with_f1(0.9), trajectory=trajectory,
        search_details={"objectives": ["score", "parameters"]},
    )  # fmt: skip


def test_hypervolume_is_the_area_of_score_and_log_cost_as_a_share_of_all_candidates() -> None:
    # Reference: score 0.2 and 10,000 parameters. Seed 0: the first candidate is the reference
    # itself (0), the second spans 0.4 × 2 decades. Seed 1: 0.6 × 1 decade, then 0.2 × 3 more.
    made = [two_goals(0, [(0.2, 1e4), (0.6, 1e2)]), two_goals(1, [(0.8, 1e3), (0.4, 1e1)])]
    report = build_report(made, "Two goals")
    found = [c for c in curves(report, report.leaderboards[0]) if c.effort == "evaluations"]
    assert [c.quantity for c in found] == [BEST, "hypervolume of score and parameters"]
    # All three together: decades 4-3 at 0.6, 3-2 at 0.4, 2-1 at 0.2.
    whole = 0.6 + 0.4 + 0.2
    seeds = [(0.0, 0.8), (0.6, 0.6 + 2 * 0.2)]
    expected = [(seeds[0][i] + seeds[1][i]) / 2 / whole for i in range(2)]
    assert found[1].mean == pytest.approx(expected)


def test_a_candidate_that_diverged_adds_nothing_to_the_hypervolume() -> None:
    record = two_goals(0, [(0.2, 1e4), (0.6, 1e2), (0.5, 1e1)])
    del record.trajectory[1]["value"]
    report = build_report([record], "Diverged")
    found = [c for c in curves(report, report.leaderboards[0]) if c.effort == "evaluations"]
    assert [c.quantity for c in found] == [BEST, "hypervolume of score and parameters"]
    assert (found[1].points, found[1].mean) == ((1, 3), (0.0, 1.0))


def test_page_markdown_and_csv_have_the_curves(report: Report) -> None:
    page, text = render(report, "html"), render(report, "markdown")
    assert "best score so far against evaluations" in page and 'class="band"' in page
    assert "| random | 3 | 30.00 [20.00, 40.00] | 46.67 [35.00, 60.00] |" in text
    lines = list(csv.DictReader(io.StringIO(render(report, "anytime"))))
    assert len(lines) == 4 + 7
    last = lines[3]
    assert (last["method"], last["effort"], last["at"], last["searches"]) == (
        "random", "evaluations", "4.0", "3",
    )  # fmt: skip
    assert float(last["mean"]) == pytest.approx(2.2 / 3)
    assert float(last["quartile_1"]) == pytest.approx(0.65)


def test_columns_of_the_tables_are_round_and_end_with_the_last_point(report: Report) -> None:
    headings = [
        [column.heading for column in table.columns[2:]]
        for table in tables(curves(report, report.leaderboards[0]))
    ]
    assert headings == [["1", "2", "4"], ["32 s"]]


def test_a_page_without_searches_has_no_progress() -> None:
    report = build_report([run_record("cnn-9", 0, metrics=with_f1(0.9))], "No search")
    assert "Progress" not in render(report, "html") + render(report, "markdown")
    assert render(report, "anytime").count("\n") == 1


def test_the_front_door_has_a_row_for_each_point(report: Report) -> None:
    frame = nb.leaderboard(list(report.records.values())).anytime()
    assert list(frame["at"]) == [1, 2, 3, 4, 12, 16, 20, 24, 25, 30, 32]
    assert set(frame["method"]) == {"random"}


def test_searches_that_differ_by_their_options_have_curves_of_their_own() -> None:
    matplotlib.use("Agg")
    few = {"strategy": {"samples": 2}}
    made = [
        search("random", 0, [(1, 10, 0.5), (2, 20, 0.9)]),
        search("random", 0, [(1, 10, 0.3), (2, 20, 0.4)], changed=few),
        search("random", 1, [(1, 10, 0.1), (2, 20, 0.2)], changed=few),
    ]
    axes = nb.plot.anytime(made)
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn == {
        "random": pytest.approx([0.5, 0.9]),
        "random (samples=2)": pytest.approx([0.2, 0.3]),
    }
