"""Verdicts say what runs show, and every comparison in results/README stands in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from run_records import run_record, with_f1
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.report.leaderboard.verdicts import decision_text, verdict_table, verdicts
from nasbench_ecg.report.render.verdicts import filled
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "README.md"
CLAIMS = [RESULTS, ROOT / "README.md", *sorted((ROOT / "docs" / "explanation").glob("*.md"))]
ZIGZAG = (0.0, 0.02, -0.02, 0.01, -0.01, 0.0, 0.03, -0.03)


def runs(strategy: str, scores: list[float], **fields: object) -> list[RunRecord]:
    return [
        run_record(strategy, seed, metrics=with_f1(f1), **fields)  # type: ignore[arg-type]
        for seed, f1 in enumerate(scores)
    ]


def board_of(n: int, gap: float) -> list[RunRecord]:
    """Return ``n`` runs of darts and of one random cell; darts is ``gap`` above in each seed."""
    scores = [0.9 + shift for shift in ZIGZAG[:n]]
    return [*runs("darts", [score + gap for score in scores]), *runs("random", scores)]


def only(records: list[RunRecord]) -> str:
    (board,) = leaderboards(records)
    (found,) = verdicts(board)
    assert (found.method, found.against) == ("darts", "random")
    return decision_text(found)


def test_a_difference_that_every_seed_confirms_is_shown() -> None:
    assert only(board_of(8, 0.001)) == "higher"
    assert only(board_of(8, -0.001)) == "lower"


def test_a_difference_within_the_spread_is_not() -> None:
    mixed = [*runs("darts", [0.9 - shift for shift in ZIGZAG]), *board_of(8, 0.0)[8:]]
    assert only(mixed) == "not told apart"


def test_verdicts_of_one_track_name_what_tells_its_leaderboards_apart() -> None:
    other = [
        run
        for strategy, f1 in (("darts", 0.9), ("random", 0.8))
        for run in runs(strategy, [f1] * 3, changed={"dataset": {"normalise": "none"}}, beats="d")
    ]
    table = verdict_table(leaderboards([*board_of(3, 0.1), *other]))
    track = "mitbih-2lead · intra-patient · quick · train"
    names = {row.cells[0].text for row in table.rows}
    assert names == {f"{track} (normalise={name})" for name in ("per-beat", "none")}
    (row,) = verdict_table(leaderboards(other)).rows
    assert row.cells[0].text == track


def test_three_runs_can_show_nothing() -> None:
    assert only(board_of(3, 0.5)) == "cannot be told with fewer than 6 runs"


def test_one_run_has_no_verdict() -> None:
    (board,) = leaderboards(board_of(1, 0.1))
    assert verdicts(board) == []


def test_all_shown_differences_stand_beside_those_from_the_reference() -> None:
    # by hand: 3 comparisons, each 2 / 2⁸, times 3
    records = [*board_of(8, 0.01), *runs("cnn-9", [0.8 + shift for shift in ZIGZAG])]
    (board,) = leaderboards(records)
    found = {(v.method, v.against): (v.decision, v.p) for v in verdicts(board)}
    assert found == {
        ("darts", "random"): ("higher", pytest.approx(3 * 2 / 2**8)),
        ("darts", "cnn-9"): ("higher", pytest.approx(3 * 2 / 2**8)),
        ("cnn-9", "random"): ("lower", pytest.approx(3 * 2 / 2**8)),
    }


def test_differences_that_so_few_runs_cannot_show_share_a_row() -> None:
    records = [*board_of(3, 0.05), *runs("cnn-9", [0.8 + shift for shift in ZIGZAG[:3]])]
    table = verdict_table(leaderboards(records))
    assert table is not None
    ((_, *texts),) = [[cell.text for cell in row.cells] for row in table.rows]
    assert texts == [
        "darts; cnn-9", "random", "+5.00; −10.00", "3", "", "cannot be told with fewer than 7 runs"
    ]  # fmt: skip
    assert "too few for any verdict" in table.footnotes[0]
    records = [*board_of(8, 0.05), *runs("cnn-9", [0.8 + shift for shift in ZIGZAG])]
    table = verdict_table(leaderboards(records))
    assert table is not None and len(table.rows) == 3


# Blocks of a text


def test_the_blocks_of_a_text_are_filled_and_the_rest_stays() -> None:
    text = "before\n<!-- verdicts: runs -->\nstale\n<!-- end of verdicts -->\nafter\n"
    found = filled(text, board_of(8, 0.001), "file")
    assert found.startswith("before\n<!-- verdicts: runs -->\n\n| track |")
    assert found.endswith("\n<!-- end of verdicts -->\nafter\n") and "stale" not in found
    assert filled(found, board_of(8, 0.001), "file") == found


def test_a_block_of_one_profile_holds_its_runs_only() -> None:
    text = "<!-- verdicts: runs · quick -->\n<!-- end of verdicts -->"
    records = [*board_of(8, 0.001), *runs("cnn-9", [0.1] * 8, profile="paper")]
    assert "paper" not in filled(text, records, "file")


@pytest.mark.parametrize("text", ["no block", "<!-- verdicts: other -->\n<!-- end of verdicts -->"])
def test_a_text_without_a_block_or_of_no_suite_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"no block|no run of suite 'other'"):
        filled(text, board_of(3, 0.1), "file")


@pytest.mark.usefixtures("made_up_records")
def test_the_command_prints_writes_and_checks_verdicts(tmp_path: Path) -> None:
    for i, record in enumerate(board_of(3, 0.05)):
        key = f"{i:016x}"
        RecordStore(tmp_path).write(record.model_copy(update={"run_key": key}))
    words = ["leaderboard", "--out", str(tmp_path), "--format", "verdicts"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0 and "| darts | random | +5.00 | 3 |" in printed.stdout
    page = tmp_path / "README.md"
    page.write_text("<!-- verdicts: runs -->\n<!-- end of verdicts -->\n", "utf-8")
    assert CliRunner().invoke(app, [*words, "--check", str(page)]).exit_code == 2
    assert CliRunner().invoke(app, [*words, "-o", str(page)]).exit_code == 0
    assert printed.stdout.strip() in page.read_text("utf-8")
    assert CliRunner().invoke(app, [*words, "--check", str(page)]).exit_code == 0


# What is claimed


def test_the_verdicts_of_the_results_are_those_of_the_records() -> None:
    records, _ = read_records(ROOT / "results")
    text = RESULTS.read_text("utf-8")
    assert filled(text, records, "results/README.md") == text


COMPARATIVE = re.compile(
    r"\b(better|worse|best|higher|lower|ahead|above|below|beats?|outperforms?|gains?|more accurate|"
    r"larger|smaller|exceeds?|superior|wins?|improves?|improvement)\b(?! (beats|of each))",
    re.IGNORECASE,
)
OTHER_METHODS = ("Heart-DARTS", "k-means", "SVM", "iterSVR")


def sentences(text: str) -> list[str]:
    """Return the sentences of a Markdown text outside of blocks of verdicts, tables and code."""
    text = re.sub(r"<!-- verdicts.*?<!-- end of verdicts -->", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = ["" if line.startswith(("|", "#", "<")) else line for line in text.splitlines()]
    paragraphs = re.split(r"\n\s*\n|\n(?=[-*] )", "\n".join(lines))
    return [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=[.!?:;])\s+", " ".join(paragraph.split()))
    ]


def methods_named(sentence: str) -> set[str]:
    names = {component.spec.name for component in load_registry().components("strategy")}
    wanted = {*names, *OTHER_METHODS}
    return {
        name
        for name in wanted
        if re.search(rf"(?<![\w-]){re.escape(name)}s?(?![\w-])", sentence, re.IGNORECASE)
    }


def unproven(text: str) -> list[str]:
    return [s for s in sentences(text) if COMPARATIVE.search(s) and len(methods_named(s)) > 1]


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_compares_two_methods_outside_of_the_verdicts(path: Path) -> None:
    assert unproven(path.read_text("utf-8")) == []


def test_such_a_sentence_is_found() -> None:
    text = "- F1 is good.\n- On two leads `darts` is\n  better than a random cell.\n"
    assert unproven(text) == ["- On two leads `darts` is better than a random cell."]
    assert unproven(f"<!-- verdicts: a -->\n{text}\n<!-- end of verdicts -->") == []
