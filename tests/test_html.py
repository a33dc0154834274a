"""The page in a real browser: it sorts, filters and switches plots without errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from run_records import TWO_LEAD, run_record, with_f1

from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.render import render, render_tables
from nasbench_ecg.report.render.html import charts, svg
from nasbench_ecg.report.render.svg import render_charts
from nasbench_ecg.report.statistics.datasets import CriticalDifference
from nasbench_ecg.report.table import Cell, Chart, Column, Table, TableRow
from nasbench_ecg.run.record import RunRecord

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed here")

RESULTS = Path(__file__).parents[1] / "results"

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=2000",
)  # fmt: skip

WATCH = """<script>
const complaints = [];
addEventListener("error", (event) => complaints.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => complaints.push(event.violatedDirective));
</script>"""

VISIT = """<script>
const order = () => [...document.querySelectorAll("table.board")[0].tBodies[0].rows]
  .filter((row) => !row.hidden).map((row) => row.querySelector("th.name").dataset.value);
const heading = (name) => [...document.querySelectorAll("table.board")[0].tHead.rows[0].cells]
  .find((cell) => cell.textContent.trim() === name);
const click = (name) => { heading(name).querySelector("button").click(); return order(); };
const type = (name, value) => {
  const field = document.getElementById("filters").elements[name];
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
};
const tracks = () => [...document.querySelectorAll("section.track")]
  .filter((section) => !section.hidden).map((section) => section.dataset.dataset);
const plots = () => [...document.querySelector("figure.choose").querySelectorAll(".choice")]
  .map((choice) => getComputedStyle(choice).display !== "none");
const seen = {width: innerWidth, scroll: document.documentElement.scrollWidth};
seen.first = order();
seen.firstSorted = heading("#").getAttribute("aria-sort");
seen.silent = [...document.querySelectorAll("table")].filter((table) => !table.caption).length;
seen.unreachable = [...document.querySelectorAll(".scroll")]
  .filter((part) => part.tabIndex !== 0 || !part.getAttribute("aria-label")).length;
seen.unlabeled = [...document.querySelectorAll("select, input")]
  .filter((field) => !field.labels.length && !field.getAttribute("aria-label")).length;
seen.names = [...document.querySelectorAll("table.board")]
  .map((table) => table.querySelector("tbody th.name").offsetWidth);
seen.verdicts = [...document.querySelectorAll(".verdicts tbody")]
  .map((part) => [part.rows[0].textContent.trim(), part.rows.length - 1]);
seen.verdictHeadings = [...document.querySelectorAll(".verdicts thead th")]
  .map((cell) => cell.textContent);
seen.params = click("params");
seen.paramsAgain = click("params");
seen.sorted = heading("params").getAttribute("aria-sort");
seen.f1 = click("F1");
seen.f1Sorted = [heading("F1").getAttribute("aria-sort"), heading("params").ariaSort];
seen.method = click("method");
type("method", "DARTS"); seen.filtered = order();
type("published", false); seen.ours = order();
type("method", ""); type("published", true);
seen.tracks = tracks();
type("dataset", "qt-1lead"); seen.chosen = tracks();
type("dataset", ""); seen.all = tracks();
seen.plots = plots();
const cost = document.querySelector("figure.choose select");
cost.value = "1"; cost.dispatchEvent(new Event("input", {bubbles: true}));
seen.otherPlot = plots();
const shown = (selector) => [...document.querySelectorAll(selector)]
  .filter((each) => each.checkVisibility()).map((each) => each.textContent.trim());
const nothing = document.getElementById("nothing");
seen.unsortable = [...document.querySelectorAll("table.board")[0].tHead.rows[0].cells]
  .filter((cell) => !cell.querySelector("button")).map((cell) => cell.textContent.trim());
const marks = () => [...new Set([...document.querySelectorAll("figure.choose [data-number]")]
  .filter((each) => !each.hasAttribute("hidden")).map((each) => each.dataset.number))];
const before = marks().length;
type("method", "darts");
seen.darts = {
  verdicts: shown(".verdicts tbody tr:not(.group) th:first-child"), legend: shown(".legend li"),
  marks: [before, marks().length], others: shown("section.track table.plain tbody tr"),
  matrices: shown("details:not(.reading) > summary"),
};
type("method", "once");
seen.once = [
  tracks(), shown("details:not(.reading) > summary"), shown(".verdicts h2"),
];
type("method", "no such method");
seen.none = [tracks(), nothing.hidden, shown(".verdicts h2"), nothing.textContent];
type("method", ""); type("dataset", "qt-1lead");
seen.verdictsOfTrack = shown(".verdicts tr.group");
seen.back = [nothing.hidden, document.querySelectorAll("section.track tbody tr[hidden]").length];
const links = [...document.querySelectorAll(".verdicts tr.group a")];
seen.linked = links.every((link) =>
  document.getElementById(decodeURIComponent(link.hash.slice(1))).matches("section.track"));
const paint = getComputedStyle(document.body);
seen.colours = [paint.backgroundColor, paint.color];
seen.complaints = complaints;
const told = document.createElement("pre");
told.id = "seen"; told.textContent = JSON.stringify(seen);
document.body.append(told);
</script>"""

PARAMETERS = {"darts": 56005.0, "random": 57000.0, "cnn-9": 22820.0, "no-costs": None}


def records() -> list[RunRecord]:
    """Return runs on two datasets; one method has no costs."""
    made = []
    for place, (strategy, parameters) in enumerate(PARAMETERS.items()):
        for dataset in ("mitbih-2lead", "qt-1lead"):
            for seed in range(3):
                costs = {} if parameters is None else {"parameters": parameters, "macs": 1e6}
                score = with_f1(0.96 - 0.01 * place + 0.001 * seed)
                made.append(run_record(strategy, seed, dataset=dataset, metrics=score, costs=costs))
    made.append(run_record("once", 0, confusion=TWO_LEAD))
    return made


def visit(page: Path, *options: str) -> dict[str, Any]:
    """Return what a visitor who clicks and types has seen, complaints of the browser included."""
    html = render(build_report(records(), "Visited"), "html")
    html = html.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{VISIT}</body>", 1)
    page.write_text(html, encoding="utf-8")
    seen, console = opened(page, *options)
    return {**seen, "console": console}


def opened(page: Path, *options: str) -> tuple[Any, list[str]]:
    """Return what a page tells in its element ``seen``, and the console of the browser."""
    assert BROWSER is not None
    profile = page.with_suffix(".profile")
    done = subprocess.run(
        [BROWSER, *QUIET, f"--user-data-dir={profile}", *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(found[1])), console


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen on a desktop."""
    return visit(tmp_path_factory.mktemp("desktop") / "board.html", "--window-size=1280,900")


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen in a narrow window in dark mode."""
    dark = "--blink-settings=preferredColorScheme=0"
    return visit(tmp_path_factory.mktemp("phone") / "board.html", "--window-size=390,800", dark)


def ours(order: list[str]) -> list[str]:
    return [name for name in order if name in (*PARAMETERS, "once")]


def test_the_browser_has_no_complaints(seen: dict[str, Any]) -> None:
    assert (seen["complaints"], seen["console"]) == ([], [])


def test_rows_come_ranked_first_and_published_last(seen: dict[str, Any]) -> None:
    assert seen["first"][:5] == ["darts", "random", "cnn-9", "no-costs", "once"]
    assert "Heart-Darts + shortcut" in seen["first"][5:]


def test_the_verdicts_of_a_track_are_together_under_its_name(seen: dict[str, Any]) -> None:
    tracks = [f"{name} · intra-patient · quick · train" for name in ("mitbih-2lead", "qt-1lead")]
    assert [name for name, _ in seen["verdicts"]] == tracks
    assert all(n_rows > 0 for _, n_rows in seen["verdicts"])
    assert seen["verdictHeadings"][:3] == ["method", "against", "difference"]


def test_a_click_on_a_cost_puts_the_least_first_and_what_has_none_last(
    seen: dict[str, Any],
) -> None:
    assert ours(seen["params"])[:2] == ["cnn-9", "darts"]
    assert ours(seen["params"])[-1] == "no-costs"
    assert ours(seen["paramsAgain"])[0] == "random"
    assert ours(seen["paramsAgain"])[-1] == "no-costs"
    assert seen["sorted"] == "descending"


def test_a_click_on_a_score_puts_the_best_first_among_published_ones(seen: dict[str, Any]) -> None:
    # darts has 96.10, the paper's best 96.16 and 95.92
    assert seen["f1"][:4] == ["Heart-Darts + shortcut", "once", "darts", "Heart-Darts"]
    assert seen["f1Sorted"] == ["descending", None]


def test_a_click_on_the_methods_sorts_them_by_name(seen: dict[str, Any]) -> None:
    assert seen["method"] == sorted(seen["method"], key=str.lower)


def test_rows_are_filtered_by_method_and_published_figures_hidden(seen: dict[str, Any]) -> None:
    assert set(seen["filtered"]) == {"darts", "Heart-Darts", "Heart-Darts + shortcut"}
    assert seen["ours"] == ["darts"]


def test_tracks_are_filtered_by_dataset(seen: dict[str, Any]) -> None:
    assert seen["tracks"] == seen["all"] == ["mitbih-2lead", "qt-1lead"]
    assert seen["chosen"] == ["qt-1lead"]


def test_a_filter_of_methods_holds_for_verdicts_plots_and_legends(seen: dict[str, Any]) -> None:
    found = seen["darts"]
    assert found["verdicts"] and all("darts" in name for name in found["verdicts"])
    assert set(found["legend"]) == {"darts"} and found["marks"] == [5, 1]
    assert found["matrices"] == []  # the only matrix is of another method
    assert seen["once"] == [["mitbih-2lead"], ["Confusion matrices"], []]


def test_a_filter_of_datasets_holds_for_verdicts(seen: dict[str, Any]) -> None:
    assert seen["verdictsOfTrack"] == ["qt-1lead · intra-patient · quick · train"]


def test_a_filter_that_nothing_passes_says_so(seen: dict[str, Any]) -> None:
    assert seen["none"] == [[], False, [], "No method or track matches."]
    assert seen["back"] == [True, 0] and seen["linked"]


def test_only_columns_with_values_can_be_sorted(seen: dict[str, Any]) -> None:
    assert seen["unsortable"] == ["runs"]


def test_one_plot_is_shown_at_a_time_and_can_be_changed(seen: dict[str, Any]) -> None:
    assert seen["plots"][0] and sum(seen["plots"]) == 1
    assert seen["otherPlot"][1] and sum(seen["otherPlot"]) == 1


def test_a_narrow_window_scrolls_its_tables_and_not_the_page(phone: dict[str, Any]) -> None:
    assert phone["width"] <= 500
    assert phone["scroll"] <= phone["width"]
    assert (phone["complaints"], phone["console"]) == ([], [])


def test_open_matrices_and_long_names_do_not_widen_the_page(tmp_path: Path) -> None:
    matrix = [[200_000 + i + j for i in range(5)] for j in range(5)]
    name = "a-strategy-with-a-very-long-name-of-one-word-" * 2
    made = [
        run_record(strategy, confusion=matrix, dataset=dataset, costs={"parameters": 100.0 + i})
        for i, strategy in enumerate((name, "random"))
        for dataset in (f"{name}lead", "qt-1lead")
    ]
    html = render(build_report(made, name), "html").replace("<details", "<details open")
    told = """<pre id="seen"></pre><script>
document.getElementById("seen").textContent =
  JSON.stringify([innerWidth, document.documentElement.scrollWidth]);</script></body>"""
    page = tmp_path / "wide.html"
    page.write_text(html.replace("</body>", told), encoding="utf-8")
    inner, scroll = opened(page, "--window-size=500,800")[0]
    assert scroll <= inner <= 500


def test_rows_that_are_set_apart_are_shaded_in_any_table(tmp_path: Path) -> None:
    rows = [TableRow((Cell("a"), Cell("1", 1)), "first"), TableRow((Cell("b"), Cell("2", 2)))]
    table = Table("t", (Column("method", numeric=False), Column("F1")), tuple(rows))
    html = render_tables([table], "Shaded", "html")
    told = """<pre id="seen"></pre><script>
document.getElementById("seen").textContent = JSON.stringify([...document.querySelectorAll(
  "tbody tr")].map((row) => [...row.cells].map((cell) => getComputedStyle(cell).backgroundColor)));
</script></body>"""
    page = tmp_path / "shaded.html"
    page.write_text(html.replace("</body>", told), encoding="utf-8")
    (name, score), others = opened(page)[0]
    assert name == score and name not in others


def test_the_name_of_the_published_line_is_on_top_and_away_from_marks() -> None:
    def label(at: float) -> str:
        other = {"costs": {"parameters": 100.0 - at}}
        made = [
            run_record("a", metrics=with_f1(0.962), costs={"parameters": at}),
            run_record("b", metrics=with_f1(0.5), **other),
        ]
        (board,) = build_report(made, "").leaderboards
        drawn = charts.f1_against_costs(board, {"a": 0, "b": 1})[0].svg
        last = drawn[drawn.rindex("</g>") :]  # the marks are groups
        return str(re.search(r'class="published over([^"]*)"', last)[1])  # type: ignore[index]

    assert (label(10.0), label(90.0)) == (" end", "")


def test_leaderboards_of_one_track_have_headings_and_places_of_their_own() -> None:
    made = [
        run_record(
            "darts",
            metrics=with_f1(0.9),
            beats=4 * value,
            changed={"dataset": {"normalise": value}},
        )
        for value in ("per-beat", "none")
    ]
    html = render(build_report(made, "Two"), "html")
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert len(set(headings)) == len(headings) == 2
    assert all("normalise=" in heading for heading in headings)
    places = re.findall(r'<section class="track" id="([^" ]+)"', html)
    labels = re.findall(r'aria-label="(Leaderboard of [^"]+)"', html)
    assert len(set(places)) == len(set(labels)) == 2


def contrast(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the contrast of two colors as WCAG 2 defines it."""

    def luminance(color: Sequence[float]) -> float:
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
            for v in (channel / 255 for channel in color)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_counts_can_be_read_on_the_darkest_shade_of_a_matrix() -> None:
    css = (files(charts.__package__) / "page.css").read_text()
    shades = {
        "wrong": float(re.search(r"\.wrong \{.*\* (\.\d+)\)\)", css)[1]),  # type: ignore[index]
        "right": 0.1 + 0.5,
    }
    for theme in css.split("@media (prefers-color-scheme: dark)")[:2]:
        colors = {
            name: [int(one, 16) for one in re.findall("..", value[1:])]
            if value.startswith("#")
            else [int(one) for one in value.split(",")]
            for name, value in re.findall(r"--(\w+): (#\w{6}|\d+, \d+, \d+);", theme)
        }
        for kind, alpha in shades.items():
            pairs = zip(colors[kind], colors["ground"], strict=True)
            shade = [alpha * one + (1 - alpha) * ground for one, ground in pairs]
            assert contrast(colors["ink"], shade) >= 4.5, kind


def test_dark_mode_turns_the_colours_round(seen: dict[str, Any], phone: dict[str, Any]) -> None:
    def brightness(colour: str) -> int:
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    (ground, ink), (dark_ground, dark_ink) = seen["colours"], phone["colours"]
    assert brightness(ground) > brightness(ink)
    assert brightness(dark_ground) < brightness(dark_ink)


def test_screen_reader_and_keyboard_reach_everything(seen: dict[str, Any]) -> None:
    assert seen["firstSorted"] == "ascending"
    assert (seen["silent"], seen["unreachable"], seen["unlabeled"]) == (0, 0, 0)


def test_names_leave_room_for_scores(phone: dict[str, Any]) -> None:
    assert max(phone["names"]) < phone["width"] / 2


def test_fifty_methods_have_marks_of_their_own() -> None:
    assert len({svg.mark(index) for index in range(50)}) == 50


CUT = """<script>
const cut = [...document.querySelectorAll("svg text")].filter((text) => {
  const own = text.getBoundingClientRect();
  const all = text.closest("svg:not(svg svg)").getBoundingClientRect();
  return own.left < all.left || own.right > all.right;
}).map((text) => text.textContent);
const told = document.createElement("pre");
told.id = "seen"; told.textContent = JSON.stringify(cut);
document.body.append(told);
</script>"""

LONG = "regularized-evolution (max_flash=32768, mutations=2, order=second)"


def _charts_with_long_names() -> str:
    empty = svg.document(svg.WIDTH, svg.HEIGHT, [], "empty")
    return render_charts([Chart(f"{LONG} {LONG}", empty, (LONG,), (0,))], "Charts")


def _figure_with_long_names() -> str:
    runs = [run_record(LONG, seed, metrics=with_f1(0.9)) for seed in range(2)]
    return render(build_report(runs, "Figure"), "svg")


def _ranks_of_long_names() -> str:
    names = tuple(f"{LONG} {i}" for i in range(3))
    found = CriticalDifference(names, (1.0, 1.9, 3.0), ("a", "b"), 1.0, 0.01, ((0, 1),))
    drawn = charts.critical_difference(found, {name: i for i, name in enumerate(names)})
    return f"<style>{(files(charts.__package__) / 'page.css').read_text()}</style>{drawn}"


def _plot_with_ticks_at_its_edge() -> str:
    x = svg.Axis("parameters", 10_000, 250_050, svg.LEFT, svg.WIDTH - svg.RIGHT)
    drawn = svg.plot(x, svg.vertical("F1, %", [90.0, 99.0]), [], description="edge")
    assert ">250k<" in drawn
    return f"<style>{(files(charts.__package__) / 'page.css').read_text()}</style>{drawn}"


@pytest.mark.parametrize(
    "figure",
    [
        _figure_with_long_names,
        _charts_with_long_names,
        _ranks_of_long_names,
        _plot_with_ticks_at_its_edge,
    ],
)
def test_no_figure_cuts_a_long_name(figure: Callable[[], str], tmp_path: Path) -> None:
    page = tmp_path / "figure.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><body>{figure()}{CUT}</body>')
    assert opened(page)[0] == []


WIDTHS = """<script>
const told = document.createElement("pre");
told.id = "seen";
const within = (name, of) => [...document.querySelectorAll(name)].map(of);
told.textContent = JSON.stringify({
  room: within("table.board, table.plain", (t) => innerWidth - t.getBoundingClientRect().right),
  read: within(".reading .note", (note) => note.checkVisibility()),
});
document.body.append(told);
</script>"""


@pytest.mark.parametrize("suite", ["rhythm", "iemmc"])
def test_printed_tables_fit_on_the_paper_and_say_how_to_read_them(
    suite: str, tmp_path: Path
) -> None:
    html = (RESULTS / suite / "leaderboard.html").read_text(encoding="utf-8")
    page = tmp_path / "printed.html"
    page.write_text(
        html.replace("@media print", "@media all").replace("</body>", f"{WIDTHS}</body>")
    )
    landscape = int((297 - 20) / 25.4 * 96)  # A4 without its margins, in CSS pixels
    seen = opened(page, f"--window-size={landscape},700")[0]
    assert min(seen["room"]) >= 0
    assert seen["read"] and all(seen["read"])


@pytest.mark.parametrize(("low", "high"), [(99_880, 100_130), (10_000, 10_001), (0.97512, 0.97519)])
def test_the_ticks_of_an_axis_say_their_values(low: float, high: float) -> None:
    axis = svg.horizontal("parameters", [low, high], log=True)
    units = {"k": 1e3, "M": 1e6}
    said = [svg.short(tick) for tick in axis.ticks()]
    values = [float(text.rstrip("kM")) * units.get(text[-1], 1.0) for text in said]
    assert values == pytest.approx(axis.ticks(), rel=1e-9)
    assert len(set(said)) == len(said) > 2
