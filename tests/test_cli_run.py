"""``nasbench-ecg run``: bad input gets one panel and writes nothing; a run writes its record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import DARTS, SETTINGS, assignments, result, tiny_config
from typer.testing import CliRunner
from wfdb_files import write_record

from nasbench_ecg.cli import app
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg_darts.search import Darts

pytestmark = pytest.mark.usefixtures("outside")

TINY = ["--profile", "paper", "--device", "cpu", *assignments({**SETTINGS, "strategy": DARTS})]


def nasbench(*arguments: str | Path) -> Any:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder, without the lock of a run."""
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def assert_refused(done: Any, said: str, out: Path) -> None:
    """Check for one panel that contains ``said``, exit code 2, and no written file."""
    assert done.exit_code == 2, done.stderr
    assert done.stderr.count("╭") == done.stderr.count("╰") == 1
    words = " ".join(line.strip("│ ") for line in done.stderr.splitlines())
    assert said in words or said.replace(" ", "") in words.replace(" ", "")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert files_below(out) == []


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dart", "toy-2lead"], "Did you mean 'darts'"),
        (["darts", "toy-2leads"], "Did you mean 'toy-2lead'"),
        (["darts", "toy-2lead", "--profile", "quik"], "Did you mean 'quick'"),
        (["darts", "toy-2lead", "--protocol", "intra-patent"], "Did you mean 'intra-patient'"),
        (["darts", "toy-2lead", "--protocol", "inter-patient"], "patient-kfold"),
        (["darts", "toy-2lead", "--device", "cup"], "Use 'auto', 'cpu' or 'cuda'"),
        (["darts", "toy-2lead", "--space", "conv-cell"], "Did you mean 'conv-cells'"),
        (["darts", "toy-2lead", "--builder", "stacked-cell"], "'stacked-cells'"),
        (["darts", "toy-2lead", "--evaluator", "trian"], "Did you mean 'train'"),
        (["darts", "toy-2lead", "--set", "strategy.epoch=3"], "Did you mean 'epochs'"),
        (["darts", "toy-2lead", "--set", "strategy.epochs=x"], "'epochs'"),
        (["darts", "toy-2lead", "--set", "strategy.lr=Infinity"], "finite number"),
        (["darts", "toy-2lead", "--set", "stratgy.epochs=3"], "Did you mean 'strategy'"),
        (["darts", "toy-2lead", "--set", "epochs=3"], "--set strategy.epochs=10"),
        (["darts", "toy-2lead", "--set", "strategy.epochs"], "--set strategy.epochs=10"),
        (["darts", "toy-2lead", "--set", "protocol.test_share=2"], "'test_share'"),
        (["darts", "toy-2lead", "--seeds", "1,x"], "--seeds 0,1,2"),
        (["darts", "toy-2lead", "--seeds", "1,1"], "--seeds 0,1,2"),
        (["darts", "toy-2lead", "--seeds", "-1"], "--seeds 0,1,2"),
        (["darts", "toy-2lead", "--seeds", ""], "the value is empty"),
        (["darts", "toy-2lead", "--seed", "-1"], "--seed"),
        (["darts", "toy-2lead", "--seed", "5", "--seeds", "0,1"], "both given"),
        (["darts", "toy-2lead", "--evaluator", "clustering"], "architectures of 'labelings', not"),
        (["darts", "toy-2lead", "--seed", "x"], "--seed"),
        (["darts", "toy-2lead", "--seed", str(2**63)], f"from 0 to {2**63 - 1}"),
        (["darts", "toy-2lead", "--seeds", f"0,{2**64}"], f"from 0 to {2**63 - 1}"),
        (["darts", "toy-2lead", "--evaluation-seed", str(2**64)], f"from 0 to {2**63 - 1}"),
        (["darts", "toy-2lead", "--data", "a", "--data", "b"], "'--data': give it only once"),
        (["darts", "toy-2lead", "--seed", "1", "--seed", "1"], "'--seed': give it only once"),
        (["darts", "toy-2lead", "--sead", "1"], "--sead"),
        (["darts", "toy-2lead", "--checkpoint-seconds", "-1"], "--checkpoint-seconds"),
        (["darts"], "DATASET"),
    ],
)
def test_bad_input_gets_one_panel_and_writes_nothing(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    assert_refused(nasbench("run", *arguments, "--out", tmp_path / "out"), said, tmp_path)


def test_an_invalid_seed_is_refused_before_the_first_run(tmp_path: Path) -> None:
    done = nasbench("run", "darts", "toy-2lead", *TINY, "--seeds", "0,0", "--out", tmp_path)
    assert_refused(done, "different whole numbers", tmp_path)


def test_a_data_folder_without_the_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "nowhere"
    done = nasbench(
        "run", "darts", "mitbih-2lead", "--device", "cpu", "--data", place, "--out", tmp_path / "o"
    )
    words = done.stderr.split("╭")[1]
    assert done.exit_code == 2 and "mitdb" in words and "--data" in words
    assert "settings" not in done.stderr and list(tmp_path.iterdir()) == []


def one_record(folder: Path) -> Path:
    """Write a record in the format of MIT-BIH; return the folder of databases."""
    write_record(folder / "mitdb", "101", n_samples=8000)
    return folder


MITBIH = ("run", "darts", "mitbih-2lead", *TINY[:4], "--set", "dataset.records=101")


def test_a_truncated_record_is_refused_by_name(tmp_path: Path) -> None:
    data = one_record(tmp_path / "data")
    signal = data / "mitdb" / "101.dat"
    signal.write_bytes(signal.read_bytes()[:-1000])
    done = nasbench(*MITBIH, "--data", data, "--out", tmp_path / "out")
    panel = "╭" + done.stderr.split("╭")[1]
    assert done.exit_code == 2 and "101" in panel and "Problem with a record" in panel
    assert "Traceback" not in done.stderr and files_below(tmp_path / "out") == []


def test_a_missing_file_in_a_data_folder_is_refused_by_name(tmp_path: Path) -> None:
    data = one_record(tmp_path / "data")
    (data / "mitdb" / "101.atr").unlink()
    done = nasbench(*MITBIH, "--data", data, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "101.atr" in done.stderr
    assert files_below(tmp_path / "out") == []


def test_a_results_folder_that_cannot_be_created_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the run was started")

    monkeypatch.setattr(Darts, "search", never)
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    done = nasbench("run", "darts", "toy-2lead", *TINY, "--out", out)
    panel = done.stderr.split("╭")[1]
    assert done.exit_code == 2 and "--out" in panel and "Results cannot be written" in panel
    assert files_below(tmp_path) == [tmp_path / "file"]


def test_a_full_disk_gives_one_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("nasbench_ecg.training.checkpoint.save_file", full)
    done = nasbench(
        "run", "darts", "toy-2lead", *TINY, "--out", tmp_path, "--checkpoint-seconds", "0"
    )
    assert done.exit_code == 2 and "no space left" in done.stderr
    ((record,), _) = read_records(tmp_path)
    assert record.status == "interrupted"  # with space, it continues


# Runs


def test_a_dry_run_shows_the_settings_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    done = nasbench("run", "darts", "toy-2lead", *TINY, "--dry-run", "--out", tmp_path / "out")
    assert done.exit_code == 0 and done.stdout == ""
    for part in ("Would run", "darts", "toy-2lead", "epochs=2", "cells=6", tiny_config().key()):
        assert "".join(part.split()) in "".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_values_of_a_list(tmp_path: Path) -> None:
    said = nasbench(
        "run", "cnn-9", "synthetic-2lead", "--dry-run", "--set", "dataset.leads=MLII",
        "--out", tmp_path,
    )  # fmt: skip
    assert 'leads=["MLII"]' in said.stderr


def test_a_dry_run_shows_what_would_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NASBENCH_ECG_DATA", raising=False)
    done = nasbench("run", "darts", "mitbih-2lead", "--dry-run", "--device", "cpu")
    assert done.exit_code == 0 and "A run downloads them first." in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_ends_as_the_run_would_where_records_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded into a folder that the user named."""
    (tmp_path / "mitdb").mkdir()
    words = ("run", "cnn-9", "mitbih-2lead", "--device", "cpu", "--data", tmp_path)
    for more in ((), ("--dry-run",)):
        done = nasbench(*words, "--out", tmp_path / "out", *more)
        said = " ".join(done.stderr.split())
        assert done.exit_code == 2 and "files of mitdb" in said
        assert "A run downloads" not in said


@pytest.fixture(scope="module")
def first(outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A finished run: its result and its results folder."""
    out = tmp_path_factory.mktemp("results")
    return nasbench("run", "darts", "toy-2lead", *TINY, "--out", out), out


@pytest.fixture
def again(first: tuple[Any, Path]) -> Callable[..., Any]:
    """Run the same command with further arguments."""
    return lambda *more: nasbench("run", "darts", "toy-2lead", *TINY, "--out", first[1], *more)


def the_record(out: Path) -> RunRecord:
    ((record,), damaged) = read_records(out)
    assert damaged == []
    return record


def test_a_run_prints_its_result_and_stores_it(first: tuple[Any, Path]) -> None:
    done, out = first
    record = the_record(out)
    assert done.exit_code == 0 and record.status == "ok"
    assert record.run_key == tiny_config().key()
    assert f"{100 * record.metrics['accuracy']:.2f}" in done.stdout
    assert record.run_key in "".join(done.stdout.split())
    assert "Estimated time: " in done.stderr and "with --profile paper" not in done.stderr


def test_the_smallest_profile_is_not_estimated(
    beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    words = ("cnn-9", "synthetic-2lead", "--profile", "smoke", "--out", tmp_path)
    done = nasbench("run", *words)
    assert done.exit_code == 0 and "Estimated time" not in done.stderr


def test_the_same_command_again_prints_the_stored_result(
    first: tuple[Any, Path], again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the run was started")

    monkeypatch.setattr(Darts, "search", never)
    before = {path: path.stat().st_mtime_ns for path in files_below(first[1])}
    done = again()
    assert done.exit_code == 0 and "Already done" in done.stderr
    accuracy = f"{100 * the_record(first[1]).metrics['accuracy']:.2f}"
    assert accuracy in done.stdout and accuracy in first[0].stdout
    assert {path: path.stat().st_mtime_ns for path in files_below(first[1])} == before


def test_a_dry_run_says_that_a_run_is_already_done(
    first: tuple[Any, Path], again: Callable[..., Any]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files_below(first[1])}
    done = again("--dry-run")
    assert done.exit_code == 0 and "Already done" in done.stderr
    assert "Would run" in again("--dry-run", "--rerun").stderr
    assert {path: path.stat().st_mtime_ns for path in files_below(first[1])} == before


def test_json_prints_only_the_records_on_stdout(
    first: tuple[Any, Path], again: Callable[..., Any]
) -> None:
    printed = json.loads(again("--json").stdout)
    assert printed == [json.loads(next(first[1].glob("runs/*.json")).read_text())]


def test_rerun_repeats_the_run_with_the_same_result(
    first: tuple[Any, Path], again: Callable[..., Any]
) -> None:
    before = the_record(first[1])
    left = RecordStore(first[1]).resume_folder(before.run_key)
    left.save_result("search", {"architecture": "of a run that was stopped"})
    done = again("--rerun", "--json")
    assert done.exit_code == 0, done.stderr
    after = the_record(first[1])
    assert after.seconds != before.seconds and result(after) == result(before)
    assert not left.exists()


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_a_run_says_when_its_beats_come_from_the_cache(
    first: tuple[Any, Path], again: Callable[..., Any], fresh: bool
) -> None:
    before = the_record(first[1])
    done = again("--rerun", *(["--fresh"] if fresh else []))
    assert done.exit_code == 0, done.stderr
    after = the_record(first[1])
    assert ("The beats of toy-2lead come from the cache." in done.stderr) is not fresh
    assert after.provenance["beats_from_cache"] is not fresh
    assert result(after) == result(before)


def test_a_damaged_run_record_is_run_again(first: tuple[Any, Path], tmp_path: Path) -> None:
    key = the_record(first[1]).run_key
    path = RecordStore(tmp_path).path(key)
    path.parent.mkdir()
    path.write_text('{"schema_version": 1, "run_ke')
    done = nasbench("run", "darts", "toy-2lead", *TINY, "--out", tmp_path, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)[0]["status"] == "ok"
    assert result(the_record(tmp_path)) == result(the_record(first[1]))


@pytest.mark.slow
def test_a_budget_limits_the_search_and_is_in_the_record(tmp_path: Path) -> None:
    tiny = [*TINY[:4], *assignments(SETTINGS)]
    done = nasbench(
        "run", "random", "toy-2lead", *tiny, "--set", "strategy.samples=4",
        "--budget-evaluations", "2", "--out", tmp_path,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    record = the_record(tmp_path)
    assert (record.trajectory[-1]["evaluations"], record.budget) == (2, {"evaluations": 2})
    assert "budget" in done.stderr and "evaluations=2" in done.stderr
    assert "budget.evaluations=2" in done.stdout and "--budget-evaluations 2" in done.stdout


def test_several_seeds_give_several_runs(tmp_path: Path) -> None:
    quick = {**SETTINGS, "strategy": {"candidates": 1}, "evaluator": {"epochs": 1}}
    tiny = [*TINY[:4], *assignments(quick)]
    done = nasbench(
        "run", "best-of-n", "toy-2lead", *tiny, "--out", tmp_path, "--seeds", "3,5", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert [record["search_seed"] for record in json.loads(done.stdout)] == [3, 5]
    assert len(read_records(tmp_path)[0]) == 2


def test_ctrl_c_prints_one_line_and_records_the_run_as_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Darts, "search", stop)
    done = nasbench("run", "darts", "toy-2lead", *TINY, "--out", tmp_path)
    assert done.exit_code == 130 and done.stdout == ""
    assert done.stderr.endswith("Interrupted.\n") and "╭" not in done.stderr
    assert the_record(tmp_path).status == "interrupted"


def test_the_estimate_skips_the_paper_profile_if_the_options_do_not_fit_it(
    tmp_path: Path,
) -> None:
    # The published minimum is three epochs, more than this maximum of two.
    small = {**SETTINGS, "strategy": {"candidates": 2, "max_epochs": 2}}
    done = nasbench(
        "run", "successive-halving", "toy-2lead", "--profile", "smoke", "--device", "cpu",
        *assignments(small), "--out", tmp_path, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert the_record(tmp_path).status == "ok"


def test_an_option_that_changes_no_result_can_be_set(tmp_path: Path) -> None:
    done = nasbench(
        "run", "darts", "toy-2lead", *TINY, "--set", "strategy.hessian_eigenvalue=false",
        "--set", "strategy.lr=0.02", "--dry-run", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "lr=0.02" in done.stderr
    assert "hessian_eigenvalue" not in done.stderr
