"""``nasbench-ecg show`` and ``nasbench-ecg leaderboard`` on stored records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_records import TWO_LEAD, run_record, with_f1
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.cli.streams import RESULTS
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import RecordStore

pytestmark = pytest.mark.usefixtures("made_up_records")

CELL = [[["conv-3", 0], ["skip", 1]]]
FOUND = {"format": 1, "space": "conv-cells", "genotype": {"normal": CELL, "reduction": CELL}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of results: a search, a failure, and a file that is no record."""
    out = tmp_path / "results"
    store(out, run_record(confusion=TWO_LEAD, architecture=FOUND, run_key="aa11" * 4))
    store(out, run_record("random", metrics=with_f1(0.95), run_key="ab22" * 4, profile="smoke"))
    store(out, run_record("random", 1, status="failed", run_key="cc33" * 4, suite="nightly"))
    (out / "runs" / "torn.json").write_text('{"schema_version": 1, "run_k')
    return out


def store(out: Path, record: RunRecord) -> None:
    """Write a record, its space as it stands installed."""
    record.components["space"].options = {"nodes": 1}
    RecordStore(out, record.suite).write(record)


@pytest.fixture
def nasbench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command line in this process, on a terminal of 80 columns."""
    for verb in ("show", "leaderboard"):
        monkeypatch.setattr(
            f"nasbench_ecg.cli.{verb}.stdout", lambda: Console(width=80, file=RESULTS)
        )
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_show_draws_the_cell_and_prints_scores(nasbench: Callable[..., Any], out: Path) -> None:
    result = nasbench("show", "aa11", "--out", out)
    assert result.exit_code == 0
    for part in ("darts on mitbih-2lead", "in₁ ─ conv-3", "96.16", "--seeds 0,1,2"):
        assert part in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_show_without_a_run_lists_all(nasbench: Callable[..., Any], out: Path) -> None:
    result = nasbench("show", "--out", out)
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    keys = [word for word in lines if len(word) == 8 and word != "strategy"]
    assert keys == ["cc33cc33", "aa11aa11", "ab22ab22"]
    assert "failed" in lines["cc33cc33"] and "96.16" in lines["aa11aa11"]
    assert list(lines).index("nightly") < list(lines).index("runs")
    assert "torn.json: not JSON" in result.stderr
    listed = json.loads(nasbench("show", "--out", out, "--json").stdout)
    assert [one["suite"] for one in listed] == ["nightly", "runs", "runs"]
    assert [one["reason"] for one in listed] == ["ValueError: it broke", "", ""]
    assert f"'nasbench-ecg show RUN --out {out}' says why one has no result." in result.stderr
    assert "There are no runs" in nasbench("show", "--out", out / "none").stderr


def test_show_works_without_the_plugins_of_the_run(
    nasbench: Callable[..., Any], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "*")
    result = nasbench("show", "aa11", "--out", out)
    assert result.exit_code == 0
    assert "96.16" in result.stdout and "in₁" not in result.stdout


def test_show_prints_the_record_as_json(nasbench: Callable[..., Any], out: Path) -> None:
    found = json.loads(nasbench("show", "cc33", "--out", out, "--json").stdout)
    assert (found["status"], found["suite"]) == ("failed", "nightly")


@pytest.mark.parametrize(
    "prefix, said", [("zz", "no run 'zz'"), ("a", "2 run keys start with 'a'")]
)
def test_an_ambiguous_run_is_one_panel(
    nasbench: Callable[..., Any], out: Path, prefix: str, said: str
) -> None:
    result = nasbench("show", prefix, "--out", out)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_leaderboard_has_one_table_per_track(nasbench: Callable[..., Any], out: Path) -> None:
    result = nasbench("leaderboard", "--out", out)
    assert result.exit_code == 0
    assert "mitbih-2lead · intra-patient · quick · train" in result.stdout
    assert "mitbih-2lead · intra-patient · smoke · train" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_leaderboard_names_damaged_files_and_goes_on(
    nasbench: Callable[..., Any], out: Path
) -> None:
    result = nasbench("leaderboard", "--out", out)
    assert "torn.json" in result.stderr and "not JSON" in result.stderr


@pytest.mark.parametrize(
    "chosen, rows",
    [
        (["--suite", "nightly"], ["random"]),
        (["--profile", "smoke"], ["random"]),
        (["--suite", "runs", "--profile", "quick"], ["darts"]),
        (
            ["--dataset", "mitbih-2lead", "--protocol", "intra-patient"],
            ["darts", "random", "random"],
        ),
    ],
)
def test_the_leaderboard_of_some_runs(
    nasbench: Callable[..., Any], out: Path, chosen: list[str], rows: list[str]
) -> None:
    found = json.loads(nasbench("leaderboard", "--out", out, "--json", *chosen).stdout)
    assert [row["strategy"] for board in found["leaderboards"] for row in board["rows"]] == rows
    damaged = [] if "nightly" in chosen else ["torn.json"]  # which lies in another suite
    assert [Path(item["path"]).name for item in found["damaged"]] == damaged


@pytest.mark.parametrize(
    "option, wrong, near",
    [("--dataset", "mitbih-lead", "mitbih-2lead"), ("--suite", "nightli", "nightly")],
)
def test_a_filter_without_runs_names_the_nearest_value(
    nasbench: Callable[..., Any], out: Path, option: str, wrong: str, near: str
) -> None:
    result = nasbench("leaderboard", "--out", out, option, wrong)
    assert result.exit_code == 2
    assert near in result.stderr


def test_without_runs_the_leaderboard_names_a_command(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    result = nasbench("leaderboard", "--out", tmp_path / "nothing")
    assert result.exit_code == 2
    assert "nasbench-ecg run darts synthetic-2lead" in result.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_leaderboard_prints_the_columns_that_are_asked_for(
    nasbench: Callable[..., Any], out: Path
) -> None:
    printed = nasbench("leaderboard", "--out", out, "--columns", "f1, MACs").stdout
    headings = [line.split() for line in printed.splitlines() if "method" in line]
    assert headings[0] == ["#", "method", "F1", "MACs"]
    every = nasbench("leaderboard", "--out", out, "--columns", "all").stdout
    assert "latency" in every and "more columns need" not in every
    wrong = nasbench("leaderboard", "--out", out, "--columns", "watts")
    assert wrong.exit_code != 0 and "No leaderboard has a column" in wrong.stderr
    for other in (["--json"], ["--format", "csv"], ["-o", out / "a.md"]):
        refused = nasbench("leaderboard", "--out", out, "--columns", "F1", *other)
        assert "for the terminal" in refused.stderr
