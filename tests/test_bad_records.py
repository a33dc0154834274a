"""One bad record file is named and skipped by every command and format; text stays text."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_records import TWO_LEAD, run_record, shown
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.io import to_json
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.render import FORMATS, render, render_tables, terminal
from nasbench_ecg.report.summary.run import run_summary
from nasbench_ecg.report.table import text_table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file, read_records
from nasbench_ecg.run.store import RecordStore

pytestmark = pytest.mark.usefixtures("made_up_records")

GOOD = "aaaa" * 4
BAD = "bbbb" * 4
POINTS = [{"seconds": float(i), "evaluations": i, "value": 0.5, "best": 0.5} for i in (1, 2)]


def whole(key: str = GOOD, seed: int = 0) -> dict[str, Any]:
    """Return the JSON data of a whole record."""
    record = run_record("darts", seed, confusion=TWO_LEAD, run_key=key, trajectory=POINTS)
    data: dict[str, Any] = json.loads(to_json(record.model_dump(mode="json")))
    return data


def changed(*path: Any, value: Any = None) -> str:
    """Return the text of a record of the key BAD with one value changed, or removed if None."""
    data = whole(BAD, seed=1)
    part = data
    for name in path[:-1]:
        part = part[name]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(data)


TEXTS = {
    "missing role": (changed("components", "evaluator"), "evaluator"),
    "unknown role": (changed("components", "judge", value=whole()["components"]["space"]), "judge"),
    "NaN": (changed("metrics", "accuracy", value=float("nan")), "NaN"),
    "infinity": (changed("metrics", "f1_of_macro", value=float("-inf")), "Infinity"),
    "overflow": (
        changed("costs", "macs", value=7.0).replace('"macs": 7.0', '"macs": 1e999'),
        "costs.macs",
    ),
    "1e308": (changed("metrics", "own_score", value=1e308), "metrics.own_score"),
    "F1 of 95 %": (changed("metrics", "f1_of_macro", value=95.3), "metrics.f1_of_macro"),
    "negative seconds": (changed("seconds", "search", value=-1), "seconds.search"),
    "ragged matrix": (changed("confusion", 2), "confusion"),
    "short row": (changed("confusion", 1, value=[27, 476, 1, 0]), "confusion"),
    "negative count": (changed("confusion", 1, 1, value=-3), "confusion"),
    "unknown class": (changed("macro_classes", value=["N", "X"]), "macro_classes"),
    "lone surrogate": (changed("command", value="nasbench \ud800"), "command"),
    "surrogate name": (changed("search_details", value={"\udfff": 1}), "search_details"),
    "path as key": (changed("run_key", value="../../etc"), "run_key"),
    "deep": (
        changed("search_details", value={"a": json.loads("[" * 60 + "]" * 60)}),
        "search_details",
    ),
    "architecture": (changed("architecture", value={"what": 1}), "repeated"),
    "wrong type": (changed("metrics", "accuracy", value="[/red]"), "metrics.accuracy"),
    "cut short": (changed("suite", value="runs")[:-40], "not JSON"),
}  # fmt: skip


@pytest.fixture(params=list(TEXTS))
def out(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A folder of results with a whole and a bad record, and what the reason must contain."""
    text, reason = TEXTS[request.param]
    folder = tmp_path / "results"
    RecordStore(folder).write(RunRecord.model_validate(whole()))
    (folder / "runs" / f"{BAD}.json").write_text(text, encoding="utf-8")
    return folder, reason


def nasbench(*words: str | Path) -> Any:
    return CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "--json"],
        ["show", GOOD[:8]],
        ["leaderboard"],
        ["leaderboard", "--json"],
        *(["leaderboard", "--format", form] for form in FORMATS),
    ],
    ids=" ".join,
)
def test_a_bad_record_is_skipped_by_every_command(words: list[str], out: tuple[Path, str]) -> None:
    folder, reason = out
    done = nasbench(*words, "--out", folder)
    assert done.exit_code == 0, done.stderr
    assert "mitbih-2lead" in done.stdout
    if GOOD[:8] not in words:
        assert f"{BAD}.json" in done.stderr and reason in done.stderr
        assert len([line for line in done.stderr.splitlines() if "Skipped" in line]) == 1


def test_a_bad_record_that_is_asked_for_is_an_error_with_the_reason(out: tuple[Path, str]) -> None:
    folder, reason = out
    done = nasbench("show", BAD[:8], "--out", folder)
    assert done.exit_code == 2
    assert "damaged" in done.stderr and reason in done.stderr


def test_the_committed_records_are_all_read() -> None:
    records, damaged = read_records(Path(__file__).parents[1] / "results")
    assert damaged == [] and len(records) > 300


# Any other value


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in JSON data, of the first two in a list."""
    if path:
        yield path
    if isinstance(data, dict):
        for name, value in data.items():
            yield from places(value, (*path, name))
    elif isinstance(data, list):
        for i, value in enumerate(data[:2]):
            yield from places(value, (*path, i))


VALUES: list[Any] = [
    None, True, -1, 0, 5e-324, 10**30, 1e308, "x", "[/red]", "\x1b[2J", "a\n\nb", [], {}, [[]],
    [1, [2]], {"value": "x"}, {"": ""},
]  # fmt: skip


@pytest.mark.slow
def test_a_record_with_any_wrong_value_is_skipped_or_can_be_shown(tmp_path: Path) -> None:
    rng = random.Random(0)
    base = whole()
    path = tmp_path / f"{GOOD}.json"
    others = [run_record("random", seed, confusion=TWO_LEAD) for seed in range(3)]
    n_skipped = n_shown = 0
    for place in places(base):
        for value in rng.sample(VALUES, 3):
            data = copy.deepcopy(base)
            part = data
            for name in place[:-1]:
                part = part[name]
            part[place[-1]] = value
            path.write_text(json.dumps(data))
            found = read_record_file(path)
            if isinstance(found, DamagedRecord):
                assert found.reason
                n_skipped += 1
                continue
            n_shown += 1
            if n_shown % 3:
                continue
            report = build_report([*others, found], "All")
            for form in FORMATS:
                assert "\x1b" not in render(report, form)
            for board in report.leaderboards:
                shown(terminal.leaderboard_table(board, width=160), 160)
            shown(run_summary(found, drawing=None, out=tmp_path, protocols=("inter-patient",)))
    assert min(n_skipped, n_shown) > 50


# Text


EVIL = "=1+1[red]\x1b[2J\u202e`x`|<b>&\r\n\n# head\n[a](http://b) $x$ --\\input"


def evil_records() -> list[RunRecord]:
    """Return runs whose names and notes are not what a terminal or a format expects."""
    return [
        run_record(EVIL, seed, confusion=TWO_LEAD, dataset=EVIL, builder=EVIL, profile=EVIL)
        for seed in range(3)
    ]


@pytest.mark.parametrize("words", [["show"], ["show", "--json"], ["leaderboard"]], ids=" ".join)
def test_a_terminal_shows_text_from_records_as_text(words: list[str], tmp_path: Path) -> None:
    for record in evil_records():
        RecordStore(tmp_path).write(record)
    done = nasbench(*words, "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert not {"\x1b", "\u202e", "\r"} & set(done.stdout + done.stderr)
    assert "[red]" in done.stdout.replace("\n", "")
    if "--json" in words:
        assert EVIL in json.loads(done.stdout)[0]["command"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_shows_text_from_records_as_text(form: str) -> None:
    text = render(build_report(evil_records(), f"Title\n{EVIL}"), form)
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    lines = text.splitlines()
    if form == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[1][0].startswith("'=1+1[red]")
        assert not any(cell.startswith(("=", "@")) for row in rows for cell in row)
    elif form == "markdown":
        assert len({line.count("|") - line.count(r"\|") for line in lines if line[:1] == "|"}) == 1
        assert not any(line.startswith("# head") for line in lines)
        assert "](http" not in text.replace(r"\](http", "") and "<b>" not in text.replace(
            r"\<b", ""
        )
    elif form == "latex":
        shown_text = "\n".join(lines[1:])  # without the comment
        assert r"\input" not in shown_text and r"\textbackslash{}input" in shown_text
        assert "\n\n#" not in text and all(line.startswith("%") for line in lines[:2])
        labels = [line for line in lines if line.startswith(r"\label")]
        assert all(re.fullmatch(r"\\label\{tab:[\w.+-]*\}", line, re.ASCII) for line in labels)
    else:
        assert "<b>" not in text.partition("<body>")[2]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-1+cmd", "'-1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-0.12", "-0.12"),
        ("+1.5e-3", "+1.5e-3"),
        ("+0.36 [+0.10, +0.62]", "+0.36 [+0.10, +0.62]"),
        ("darts", "darts"),
        ("", ""),
    ],
)
def test_a_csv_cell_is_no_formula(text: str, cell: str) -> None:
    table = text_table("t", ["name", "value"], [[text, text]])
    (_, row) = csv.reader(io.StringIO(render_tables([table], "t", "csv")))
    assert row == ["t", cell, cell]


def test_labels_of_latex_tables_are_distinct() -> None:
    tables = [text_table("µ equal", ["a"], [["--"]])] * 2
    text = render_tables(tables, "two", "latex")
    assert re.findall(r"label\{(.*)\}", text) == ["tab:equal", "tab:equal-2"]
    assert "-{}-" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# a", r"\# a"),
        ("1. a", r"1\. a"),
        ("- a", r"\- a"),
        ("> a", r"\> a"),
        ("[a]: b", r"[a\]: b"),
    ],
)
def test_a_markdown_footnote_is_a_paragraph(text: str, shown: str) -> None:
    table = text_table("t", ["a"], [["b"]], footnotes=[text])
    assert render_tables([table], "t", "markdown").rstrip().endswith(f"\n\n{shown}")
