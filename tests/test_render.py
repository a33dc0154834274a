"""Leaderboards as files: the same numbers in every format, the same bytes every time."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from run_records import TWO_LEAD, run_record, shown, with_f1
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.front.results import leaderboard
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.columns import leaderboard_columns
from nasbench_ecg.report.leaderboard.tables import leaderboard_table
from nasbench_ecg.report.render import FORMATS, SUFFIXES, latex, markdown, render, terminal
from nasbench_ecg.report.render.html import charts
from nasbench_ecg.report.table import text_table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.spec import about_suites

pytestmark = pytest.mark.usefixtures("made_up_records")

EVALUATED = [{"evaluations": 12.0, "seconds": 9.5, "value": 0.9, "best": 0.9}]


def some_records() -> list[RunRecord]:
    """Return runs of four methods, one of which lacks a seed and one of which failed once."""
    records = [run_record("darts", seed, confusion=TWO_LEAD, suite="s") for seed in range(3)]
    for seed, f1 in enumerate((0.950, 0.952, 0.957)):
        records.append(run_record("random", seed, metrics=with_f1(f1), trajectory=EVALUATED))
        one = {"strategy": {"epochs": 1}}
        records.append(run_record("random", seed, metrics=with_f1(f1 - 0.01), changed=one))
    records += [run_record("half|way_1", seed, metrics=with_f1(0.99)) for seed in (0, 1)]
    records.append(run_record("half|way_1", 2, status="oom"))
    records += [run_record("darts", s, metrics=with_f1(0.8), dataset="qt-1lead") for s in (0, 1)]
    return records


def rendered(form: str, records: list[RunRecord] | None = None) -> str:
    """Return the report of some runs."""
    return render(build_report(records or some_records(), "All & sundry"), form)


@pytest.mark.parametrize("form", FORMATS)
def test_the_order_of_records_changes_no_byte(form: str) -> None:
    shuffled = some_records()
    random.Random(0).shuffle(shuffled)
    assert rendered(form) == rendered(form, shuffled)


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_report_says_what_the_suite_of_its_runs_compares(form: str) -> None:
    text = render(build_report(some_records(), "All", about="Half of *each* cell."), form)
    assert {"markdown": r"Half of \*each\* cell.", "html": "<p>Half of *each* cell.</p>"}[
        form
    ] in text
    assert "<p></p>" not in rendered("html")


def test_the_text_of_a_suite_is_shown_where_all_runs_are_of_it() -> None:
    assert "15 cells are published" in about_suites(["heart-darts", "heart-darts"])
    assert about_suites(["heart-darts", "shortcuts"]) == about_suites(["runs"]) == ""
    runs = [run_record("darts", seed, suite="heart-darts") for seed in range(2)]
    shown_text = str(leaderboard(runs))
    assert shown_text.startswith("Table VI of the Heart-DARTS paper")


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_stored_in_two_suites_changes_nothing(form: str) -> None:
    twice = some_records()
    twice.append(twice[0].model_copy(update={"suite": "z"}))
    assert rendered(form) == rendered(form, twice)


@pytest.mark.parametrize("form", FORMATS)
def test_published_figures_stand_beside_ours_and_are_marked(form: str) -> None:
    lines = [line for line in rendered(form).splitlines() if "Heart-Darts + shortcut" in line]
    if form == "csv":
        assert all(",published," in line and "Lv 2021" in line for line in lines)
    else:
        assert any("published: Lv 2021, Table VI" in line for line in lines)


def test_every_table_has_the_same_columns_and_csv_has_their_values() -> None:
    for board in build_report(some_records(), "All").leaderboards:
        table = leaderboard_table(board, "markdown")
        headings = [column.heading for column in table.columns]
        for form in ("terminal", "latex", "html"):
            found = leaderboard_table(board, form)
            assert [column.heading for column in found.columns] == headings
        wide = shown(terminal.leaderboard_table(board, width=400), 400)
        assert all(heading in wide for heading in headings)
        in_csv = leaderboard_columns(board, "csv")
        assert set(headings) <= {column.column.heading for column in in_csv}
        assert all(
            column.values(board.rows[0]) for column in in_csv if column.column.heading == "F1"
        )


# CSV


def csv_rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rendered("csv"))))


def test_csv_has_every_row_with_its_track() -> None:
    rows = [row for row in csv_rows() if row["kind"] != "published"]
    assert [(row["dataset"], row["method"], row["rank"]) for row in rows] == [
        ("mitbih-2lead", "darts", "1"),
        ("mitbih-2lead", "random (epochs=6)", "2"),
        ("mitbih-2lead", "random (epochs=1)", "3"),
        ("mitbih-2lead", "half|way_1", ""),
        ("qt-1lead", "darts", "1"),
    ]
    assert {row["kind"] for row in rows} == {"ranked", "unranked"}


def test_csv_figures_are_fractions_by_hand() -> None:
    row = next(row for row in csv_rows() if row["method"] == "random (epochs=6)")
    # .950, .952, .957: mean .953; deviations −3, −1, 4 → 26 / 2 = 13 → sd √13 ‰
    assert float(row["f1_of_macro_mean"]) == pytest.approx(0.953)
    assert float(row["f1_of_macro_sd"]) == pytest.approx(13**0.5 / 1000)
    assert float(row["cost_parameters"]) == 56005
    assert float(row["evaluations"]) == 12
    assert float(row["over_random_mean"]) == pytest.approx(0.953 / 0.943 - 1)


def test_csv_has_the_number_of_runs_of_a_score_that_some_runs_lack() -> None:
    finished = [run_record(seed=seed, metrics=with_f1(0.5) | {"ec57_s_pp": 0.9}) for seed in (0, 1)]
    without = run_record(seed=2, metrics=with_f1(0.5))
    line, *_ = csv.DictReader(io.StringIO(rendered("csv", [*finished, without])))
    assert line["n"] == "3" and line["ec57_s_pp_n"] == "2" and "f1_of_macro_n" not in line


def test_csv_leaves_empty_what_was_not_measured() -> None:
    rows = {(row["dataset"], row["method"]): row for row in csv_rows()}
    two_seeds = rows["qt-1lead", "darts"]
    assert two_seeds["f1_of_macro_sd"] != "" and two_seeds["f1_of_macro_low"] == ""
    assert rows["mitbih-2lead", "Heart-Darts"]["cost_parameters"] == ""


# Markdown


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    tables = re.findall(r"(?:^\|.*\|\n)+", rendered("markdown"), flags=re.MULTILINE)
    assert len(tables) >= 3
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_markdown_says_mean_spread_interval_and_what_is_incomplete() -> None:
    text = rendered("markdown")
    assert "| 95.30 ± 0.36 |" in text and "| 95.00, 95.20, 95.70 |" in text
    assert "half\\|way\\_1 (incomplete: no seed 2; 1 oom)" in text
    assert "| +1.06 % |" in text  # .953 / .943


def test_markdown_has_an_interval_from_five_seeds() -> None:
    runs = [run_record("darts", s, metrics=with_f1(0.95 + 0.001 * s)) for s in range(5)]
    assert re.search(r"95\.20 ± 0\.16 \[\d\d\.\d\d, \d\d\.\d\d\]", rendered("markdown", runs))


def two_methods(n_seeds: int) -> list[RunRecord]:
    """Return runs of two methods, which differ by one point with every seed."""
    pairs = [("darts", 0.95), ("random", 0.94)]
    return [run_record(m, s, metrics=with_f1(f1)) for m, f1 in pairs for s in range(n_seeds)]


@pytest.mark.parametrize("form", ["markdown", "html", "latex"])
def test_all_tests_are_listed_where_one_can_tell_two_methods_apart(form: str) -> None:
    assert "p (Holm)" in rendered(form, two_methods(6))
    left_out = rendered(form, two_methods(5))
    assert "p (Holm)" not in left_out
    assert "The tests of all pairs are not listed." in left_out


def test_markdown_names_the_limit_of_few_seeds() -> None:
    text = rendered("markdown")
    assert "3 seeds cannot distinguish any two of these methods" in text
    assert "paired permutation tests" not in text


def test_markdown_gives_verdicts_first() -> None:
    text = rendered("markdown")
    line = next(line for line in text.splitlines() if "| darts; random (epochs=6) |" in line)
    assert line.endswith(
        "| random (epochs=1) | +1.86; +1.00 | 3 |  | cannot be told with fewer than 7 runs |"
    )
    assert text.index("## What these runs show") < text.index("## mitbih-2lead")


def test_markdown_shows_special_characters_as_they_are() -> None:
    assert markdown.escape("a_b*c|d`e~f<g&h\\i") == r"a\_b\*c\|d\`e\~f\<g\&h\\i"


# LaTeX


def test_latex_tables_are_balanced_and_have_as_many_cells_in_every_row() -> None:
    text = rendered("latex")
    for table in re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, flags=re.DOTALL):
        layout = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert layout
        body = table[table.index("\\toprule") : table.index("\\bottomrule")]
        for line in (line for line in body.splitlines() if line.endswith("\\\\")):
            assert len(re.findall(r"(?<!\\)&", line)) == len(layout[1]) - 1
        assert table.count("{") == table.count("}")


def test_latex_has_no_bare_special_character() -> None:
    text = rendered("latex")
    assert r"half\textbar{}way\_1" in text and r"95.30 $\pm$ 0.36 & " in text
    assert all(character not in text for character in "±−–·")
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[%#_]", "\n".join(body))


def test_latex_escapes_each_special_character_once() -> None:
    assert latex.escape("\\ ~ ^") == r"\textbackslash{} \textasciitilde{} \textasciicircum{}"
    assert latex.escape("{}%&#_$") == r"\{\}\%\&\#\_\$"
    assert latex.escape("<|>") == r"\textless{}\textbar{}\textgreater{}"
    assert latex.escape("[x₁] −1 – 2") == "{[}x$_1${]} $-$1 -- 2"


@pytest.mark.parametrize(
    "form, bold", [("markdown", r"\*\*([^*|]+)\*\*"), ("latex", r"\\textbf\{([^}]+)\}")]
)
def test_bold_are_p_and_verdict_of_the_test_that_is_below_5_percent(form: str, bold: str) -> None:
    text = rendered(form, two_methods(6))
    expected = {"0.031", "higher"} if form == "markdown" else {"0.031"}
    assert set(re.findall(bold, text)) == expected
    html = rendered("html", two_methods(6))
    strong = re.findall(r'<t[dh][^>]*class="\w+ strong"[^>]*>([^<]+)', html)
    assert set(strong) == {"0.031", "higher"}
    assert "Bold: " in text


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_the_note_of_a_leaderboard_is_about_all_of_its_columns(form: str) -> None:
    gross = {"ec57_s_se": 0.5, "ec57_s_pp": 0.4, "ec57_v_se": 0.9, "ec57_v_pp": 0.8}
    runs = [
        run_record(
            "random", seed, metrics=with_f1(0.9) | gross, trajectory=EVALUATED,
            protocol="inter-patient",
        )
        for seed in (0, 1)
    ]  # fmt: skip
    text = " ".join(rendered(form, runs).split())
    for said in (
        "S/V Se, +P: gross sensitivity and positive predictivity of supraventricular and "
        "ventricular beats (EC57)",
        "evals: candidates that the search evaluated",
        "n: number of seeds",
        "runs: F1 of each run, by seed",
    ):
        assert text.count(said) == 1


def test_the_note_of_a_plot_is_about_what_it_has() -> None:
    def notes(n_seeds: int, **second: Any) -> list[str]:
        costs = {"parameters": 5.0, "latency_1_ms": 1.0}
        other = {"costs": {"parameters": 9.0, "latency_1_ms": 2.0}, **second}
        runs = [
            run_record(name, seed, metrics=with_f1(0.9 + seed / 100), dataset="nodb", **fields)
            for seed in range(n_seeds)
            for name, fields in (("a", {"costs": costs}), ("b", other))
        ]
        (board,) = build_report(runs, "").leaderboards
        return [chart.note for chart in charts.f1_against_costs(board, {"a": 0, "b": 1})]

    front = "Dashed: Pareto front of the ranked methods."
    assert notes(1)[:2] == [front, front]
    assert notes(2)[0] == f"Dots: single runs, of methods with fewer than 5. {front}"
    assert notes(5)[0] == f"Bars: 95% intervals over seeds. {front}"
    gpu = {"device": "cuda", "provenance": {"gpu": "A", "processor": "x"}}
    assert notes(1, **gpu)[1] == "Measured on several processors: do not compare."
    html = rendered("html")
    assert "Dotted: the best published F1." in html


# The page's text


def test_the_page_needs_no_other_file_and_no_network() -> None:
    text = rendered("html")
    assert not re.search(r"(src|action)\s*=|href=.(?!#)|url\(|@import|fetch\(|https?:", text)
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_markup_in_names_stays_text_on_the_page() -> None:
    text = rendered("html", [run_record("<img onerror=x>", 0, metrics=with_f1(0.9))])
    assert "<img" not in text and "&lt;img onerror=x&gt;" in text


def test_the_page_shows_matrices_searches_and_cells() -> None:
    points = [
        {"seconds": 1.0 * i, "evaluations": 0, "value": 0.9, "best": 0.8 + i / 100}
        for i in range(1, 5)
    ]
    record = run_record(
        "darts", 0, confusion=TWO_LEAD, trajectory=points, architecture={}, architecture_hash="ab12"
    )
    other = run_record("random", 0, confusion=TWO_LEAD)
    report = build_report([record, other], "One", lambda r: "drawn <here>" if r is record else None)
    text = render(report, "html")
    assert "drawn &lt;here&gt;" in text and "ab12" in text
    assert "16,001" in text and "Progress of the searches" in text
    assert 'title="94.44 % of S"' in text  # 476 of 504


def test_runs_without_costs_and_results_make_a_page_too() -> None:
    failed = run_record("darts", 0, status="failed")
    bare = run_record("random", 0, metrics={"ari": 0.5}, costs={}, seconds={})
    text = rendered("html", [failed, bare])
    assert "1 failed" in text and "0.5" in text


# On the command line


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of results with a damaged file in it."""
    out = tmp_path / "results"
    for record in some_records():
        RecordStore(out, "demo").write(record.model_copy(update={"suite": "demo"}))
    (out / "demo" / "torn.json").write_text('{"schema_version": 1, "run_k')
    return out


@pytest.fixture
def nasbench() -> Callable[..., Any]:
    """Run a command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize("suffix, form", SUFFIXES.items())
def test_a_file_is_written_in_the_format_of_its_name_and_checked(
    nasbench: Callable[..., Any], out: Path, tmp_path: Path, suffix: str, form: str
) -> None:
    file = tmp_path / f"board{suffix}"
    written = nasbench("leaderboard", "--suite", "demo", "--out", out, "-o", file)
    assert written.exit_code == 0, written.stderr
    assert "torn.json" in written.stderr and str(file) in written.stderr
    asked = nasbench("leaderboard", "--suite", "demo", "--out", out, "--format", form)
    assert asked.stdout == file.read_text()
    checked = nasbench("leaderboard", "--suite", "demo", "--out", out, "--check", file)
    assert (checked.exit_code, "agrees with the records" in checked.stderr) == (0, True)


def test_several_files_are_written_at_once(
    nasbench: Callable[..., Any], out: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"board{suffix}" for suffix in SUFFIXES]
    written = nasbench("leaderboard", "--out", out, *(word for f in files for word in ("-o", f)))
    assert written.exit_code == 0, written.stderr
    checks = [word for f in files for word in ("--check", f)]
    assert nasbench("leaderboard", "--out", out, *checks).exit_code == 0


def test_the_progress_of_searches_is_checked_as_it_was_written(
    nasbench: Callable[..., Any], out: Path, tmp_path: Path
) -> None:
    file = tmp_path / "progress.csv"
    asked = ("leaderboard", "--suite", "demo", "--out", out, "--format", "anytime")
    assert nasbench(*asked, "-o", file).exit_code == 0
    assert nasbench(*asked, "--check", file).exit_code == 0
    file.write_text(file.read_text() + "more\n")
    assert nasbench(*asked, "--check", file).exit_code == 2


def test_a_file_that_differs_from_the_records_is_an_error(
    nasbench: Callable[..., Any], out: Path, tmp_path: Path
) -> None:
    file = tmp_path / "board.md"
    nasbench("leaderboard", "--suite", "demo", "--out", out, "-o", file)
    file.write_text(file.read_text().replace("95.30 ±", "96.30 ±"))
    result = nasbench("leaderboard", "--suite", "demo", "--out", out, "--check", file)
    assert result.exit_code == 2
    assert "differs from the run records" in result.stderr and "96.30" in result.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["--format", "markdwn"], "'markdown'"),
        (["-o", "board.pdf"], "Cannot tell the format"),
        (["--check", "none.md"], "cannot be read"),
        (["-o", "no/such/folder/board.md"], "cannot be written"),
    ],
)
def test_what_cannot_be_written_or_checked_is_one_panel(
    nasbench: Callable[..., Any], out: Path, words: list[str], said: str
) -> None:
    result = nasbench("leaderboard", "--out", out, *words)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())


# The figure


def test_the_figure_says_what_its_marks_are() -> None:
    def said(n: int) -> str:
        runs = [run_record("darts", s, metrics=with_f1(0.95 + 0.001 * s)) for s in range(n)]
        root = ElementTree.fromstring(rendered("svg", runs))
        (note,) = [text.text for text in root.iter() if text.get("class") == "note"]
        return str(note)

    assert said(2) == "Line: mean; dots: single runs."
    assert said(5) == "Line: mean; dots: single runs; thick bar: 95% interval over seeds."


def test_the_figure_shows_each_run_and_the_intervals_of_enough_runs() -> None:
    runs = [run_record("darts", s, metrics=with_f1(0.95 + 0.001 * s)) for s in range(5)]
    figure = rendered("svg", [*runs, *(run_record("a<b", s, metrics=with_f1(0.9)) for s in (0, 1))])
    root = ElementTree.fromstring(figure)
    assert figure.count("<circle") == 7 and figure.count('class="seeds"') == 1
    assert "a&lt;b" in figure and root.tag.endswith("svg")


def test_a_figure_tells_leaderboards_of_one_track_apart_and_its_title_is_quoted() -> None:
    runs = [
        run_record(metrics=with_f1(0.9), beats=4 * value, changed={"dataset": {"normalise": value}})
        for value in ("per-beat", "none")
    ]
    figure = render(build_report(runs, 'The "best"'), "svg")
    root = ElementTree.fromstring(figure)
    assert root.attrib["aria-label"] == 'The "best"'
    titles = [text.text for text in root.iter() if text.get("class") == "title"]
    assert len(titles) == len(set(titles)) == 2
    assert all("normalise=" in str(title) for title in titles)


@pytest.mark.parametrize("form", ["markdown", "csv", "html"])
def test_published_scores_are_shown_where_all_our_runs_failed(form: str) -> None:
    # Lv et al. 2021, Table VI: Heart-DARTS with shortcuts, two leads
    failed = rendered(form, [run_record("darts", status="failed", metrics={})])
    assert ("0.9616" if form == "csv" else "96.16") in failed


@pytest.mark.parametrize("width", [60, 80, 90, 100])
def test_a_terminal_wraps_cells_and_cuts_none(width: int) -> None:
    headings = ("method", "on source dataset and protocol", "qt · intra-patient", "svdb")
    row = ("darts, found on mitbih-2lead · intra-patient", "96.52", "95.81 (+0.25) of 82", "93.34")
    table = text_table("F1", headings, [row] * 2, ["A note."])
    narrow, wide = (
        terminal.as_text([terminal.render_tables([table])], width=w) for w in (width, 1000)
    )
    assert max(map(len, narrow.splitlines())) <= width
    assert sorted(re.sub("[ \\n─]", "", narrow)) == sorted(re.sub("[ \\n─]", "", wide))
