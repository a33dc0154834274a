"""The Pareto front of F1 against each cost, in every format."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from run_records import run_record, with_f1

from nasbench_ecg.report.leaderboard.build import build_report, leaderboards
from nasbench_ecg.report.leaderboard.comparisons import PARETO_COSTS, with_pareto_fronts
from nasbench_ecg.report.leaderboard.tables import leaderboard_table as full_table
from nasbench_ecg.report.leaderboard.types import Row
from nasbench_ecg.report.render import render
from nasbench_ecg.report.render.terminal import leaderboard_table
from nasbench_ecg.report.statistics.seeds import summarize

# F1, parameters, multiply-accumulates, milliseconds
METHODS = {
    "large": (0.96, 90_000.0, 9e6, 3.0),
    "middle": (0.95, 20_000.0, 9e6, 3.5),
    "small": (0.90, 5_000.0, 2e6, 1.0),
    "waste": (0.89, 30_000.0, 9.5e6, 4.0),
}
ON_FRONT = {"large": "P M L", "middle": "P", "small": "P M L", "waste": ""}


def records(seeds=(0, 1)):
    return [
        run_record(
            name,
            seed,
            metrics=with_f1(f1),
            costs={"parameters": parameters, "macs": macs, "latency_1_ms": latency},
        )
        for name, (f1, parameters, macs, latency) in METHODS.items()
        for seed in seeds
    ]


def row(f1, parameters, rank=1):
    scores = {"f1_of_macro": summarize([f1])}
    return Row("s", "c", "b", "cpu", scores=scores, costs={"parameters": parameters}, rank=rank)


def letters(one):
    return " ".join(PARETO_COSTS[cost] for cost in one.pareto_costs)


def rows_of(form):
    return render(build_report(records(), "Front"), form)


def test_a_method_is_on_the_front_of_each_cost_by_itself():
    (board,) = leaderboards(records())
    assert {one.strategy: letters(one) for one in board.rows} == ON_FRONT


@pytest.mark.parametrize(
    ("device", "provenance", "said"),
    [
        ("cpu", {"cpu": "Xeon", "threads": 2}, "Xeon with 1 thread (7 runs), Xeon with 2 threads"),
        ("cuda", {"cpu": "Xeon", "threads": 1, "gpu": "H100"}, "H100 (1 run), Xeon with 1 thread"),
    ],
)
def test_latencies_of_several_processors_have_no_front_and_a_note(device, provenance, said):
    usual = {"cpu": "Xeon", "threads": 1}
    made = [one.model_copy(update={"provenance": usual}) for one in records()]
    (board,) = leaderboards(made)
    assert {one.strategy: letters(one) for one in board.rows} == ON_FRONT
    assert not any("processors" in note for note in full_table(board, "markdown").footnotes)
    made[0] = made[0].model_copy(update={"device": device, "provenance": provenance})
    (board,) = leaderboards(made)
    assert not any("L" in letters(one) for one in board.rows)
    assert any(said in note for note in full_table(board, "markdown").footnotes)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=2, max_size=12))
def test_nothing_on_the_front_is_beaten_and_everything_off_it_is(points):
    rows = with_pareto_fronts([row(f1 / 10, float(cost)) for f1, cost in points])
    for (f1, cost), one in zip(points, rows, strict=True):
        beaten = any(
            (other >= f1 and less <= cost) and (other, less) != (f1, cost) for other, less in points
        )
        assert one.pareto_costs == (() if beaten else ("parameters",))


def test_what_is_not_ranked_has_no_place_on_it_and_takes_none():
    incomplete = run_record(
        "lucky", 0, metrics=with_f1(0.99), costs={"parameters": 10.0, "macs": 1.0}
    )
    (board,) = leaderboards([*records(), incomplete])
    by_name = {one.strategy: letters(one) for one in board.rows}
    assert by_name == {**ON_FRONT, "lucky": ""}


def test_a_single_method_has_no_front():
    assert [
        one.pareto_costs for one in with_pareto_fronts([row(0.9, 5.0), row(0.8, 1.0, rank=None)])
    ] == [
        (),
        (),
    ]


def test_csv_names_the_costs():
    listed = csv.DictReader(io.StringIO(rows_of("csv")))
    found = {line["method"]: line["pareto_front"] for line in listed if line["kind"] == "ranked"}
    assert found == {
        "large": "parameters macs latency_1_ms",
        "middle": "parameters",
        "small": "parameters macs latency_1_ms",
        "waste": "",
    }


@pytest.mark.parametrize(("form", "between"), [("markdown", "|"), ("latex", "&")])
def test_markdown_and_latex_have_a_column_and_say_what_it_means(form, between):
    text = rows_of(form)
    assert "no ranked method has a higher F1 with no more" in text
    lines = [[cell.strip() for cell in line.split(between)] for line in text.splitlines()]
    heading = next(cells for cells in lines if "method" in cells and "Pareto" in cells)
    method, pareto = heading.index("method"), heading.index("Pareto")
    found = {cells[method]: cells[pareto] for cells in lines if len(cells) == len(heading)}
    assert {name: found[name] for name in ON_FRONT} == ON_FRONT


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_marks_rows_at_any_width(width):
    console = Console(width=width, record=True, file=io.StringIO())
    (board,) = leaderboards(records())
    console.print(leaderboard_table(board, width=width))
    lines = console.export_text().splitlines()
    for name, costs in ON_FRONT.items():
        (line,) = [one for one in lines if re.match(rf"\s*◆?\d\s+{name}\b", one)]
        assert line.lstrip().startswith("◆") == bool(costs)
        assert max(map(len, lines)) <= width
        if width == 160 and costs:
            assert re.search(rf"{costs}(\s|$)", line)
    assert "◆ Pareto-optimal: no ranked method has a higher F1" in " ".join(lines)


def test_the_page_plots_the_front_and_its_column_sorts():
    text = rows_of("html")
    assert text.count('class="front"') == 3  # of the three costs; seconds are all the same
    cells = re.findall(r'data-value="(\d)">P( M L)?<', text)
    assert sorted(cells) == [("1", ""), ("3", " M L"), ("3", " M L")]


def test_the_staircase_of_the_plot_turns_at_the_rows_on_the_front():
    text = rows_of("html")
    plot = text[text.index('aria-label="F1 against trainable parameters"') :]
    stairs = re.search(r'class="front" d="M([^"]+)"', plot)[1]
    points = [tuple(map(float, p.split())) for p in stairs.split("L")]
    marks = {
        name: tuple(map(float, place))
        for name in METHODS
        for place in [re.search(rf"translate\(([\d.]+) ([\d.]+)\)\"><title>{name}:", plot).groups()]
    }
    assert {marks["large"], marks["middle"], marks["small"]} <= set(points)
    assert marks["waste"] not in points
