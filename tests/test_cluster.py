"""Shards, merged results, checks of nodes, and suites and tables on a SLURM cluster of one node."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_suite import planned, runs_that
from typer.testing import CliRunner

import nasbench_ecg
from nasbench_ecg.cli import app
from nasbench_ecg.errors import ExecutorError, StorageError
from nasbench_ecg.executors import Job, Outcome
from nasbench_ecg.io import sha256
from nasbench_ecg.run.nodes import HostCode, environment_of_jobs, submitter
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.store import RecordStore, fault_of_files
from nasbench_ecg.suite.jobs import run_job
from nasbench_ecg.suite.merge import merge_results
from nasbench_ecg.suite.runner import shard_of
from nasbench_ecg.tables.files import load_table, table_folder

slurm = pytest.mark.skipif(
    "SLURM_CONF" not in os.environ or None in (shutil.which("squeue"), find_spec("submitit")),
    reason="no SLURM cluster: '.ci/slurm start FOLDER' starts one, SLURM_CONF names it",
)

# Shards and merging


def test_shards_are_disjoint_and_complete() -> None:
    runs = planned()
    parts = [shard_of(runs, part, 3) for part in (1, 2, 3)]
    assert sorted(run.key for part in parts for run in part) == sorted(run.key for run in runs)
    assert [len(part) for part in parts] == [3, 3, 2]


def stored(folder: Path, run: Any, **changes: Any) -> None:
    record = new_record(run.config, "mine").model_copy(update={"status": "ok", **changes})
    RecordStore(folder, "mine").write(record, {"curves.json": {"loss": [1.0]}})


def test_merging_copies_records_with_their_files_once(tmp_path: Path) -> None:
    first, second = runs_that("ok", "lies")
    stored(tmp_path / "a", first)
    stored(tmp_path / "b", first, seconds={"total": 9.0})
    stored(tmp_path / "b", second)
    merged = merge_results([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert ([r.run_key for r in merged.copied], len(merged.equal)) == ([first.key, second.key], 1)
    assert (tmp_path / "out" / "mine" / second.key / "curves.json").exists()


def test_merging_copies_the_tests_of_a_network_too_and_keeps_digests(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "a", run)
    before = RecordStore(tmp_path / "a", "mine")
    before.add_artifact(run.key, "evaluations/elsewhere.json", {})
    before.add_artifact(run.key, "int8.json", {})
    merge_results([tmp_path / "a"], tmp_path / "out")
    files = tmp_path / "out" / "mine" / run.key
    assert {path.name for path in files.rglob("*.json")} == {
        "curves.json", "elsewhere.json", "int8.json"
    }  # fmt: skip
    record = RecordStore(tmp_path / "out", "mine").read(run.key)
    assert record is not None and record == before.read(run.key)


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("there", [False, True])
def test_of_equal_results_merging_keeps_the_one_with_more_files(
    tmp_path: Path, order: str, there: bool
) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "a", run)
    RecordStore(tmp_path / "a", "mine").add_artifact(run.key, "evaluations/other.json", {})
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "mine" / run.key)  # as a copy that was interrupted leaves it
    (tmp_path / "b" / "mine" / run.key).mkdir()
    (tmp_path / "b" / "mine" / run.key / ".DS_Store").touch()
    if there:
        shutil.copytree(tmp_path / "b" / "mine", tmp_path / "out" / "mine")
    merge_results([tmp_path / name for name in order], tmp_path / "out")
    files = tmp_path / "out" / "mine" / run.key
    assert sorted(path.name for path in files.rglob("*.json")) == ["curves.json", "other.json"]


def test_merging_does_not_give_a_changed_file_a_new_digest(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "a", run)
    (tmp_path / "a" / "mine" / run.key / "curves.json").write_text('{"loss": [0.5]}')
    with pytest.raises(StorageError, match=r"curves\.json is not the file of this run"):
        merge_results([tmp_path / "a"], tmp_path / "out")
    assert not (tmp_path / "out" / "mine" / f"{run.key}.json").exists()


def test_merging_again_ends_a_merge_that_was_killed_before_it_wrote_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "out", run)
    stored(tmp_path / "a", run)
    RecordStore(tmp_path / "a", "mine").add_artifact(run.key, "int8.json", {})
    other = RecordStore(tmp_path / "a", "mine").read(run.key)
    assert other is not None  # rounded differently on another machine, with the same result
    curves = tmp_path / "a" / "mine" / run.key / "curves.json"
    curves.write_text('{"loss": [1.0000001]}')
    other.files = {"curves.json": sha256(curves)}
    RecordStore(tmp_path / "a", "mine").write(other)
    with monkeypatch.context() as patch:
        patch.setattr("nasbench_ecg.run.store.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            merge_results([tmp_path / "a"], tmp_path / "out")
    merge_results([tmp_path / "a"], tmp_path / "out")
    assert RecordStore(tmp_path / "out", "mine").read(run.key) == other
    assert not fault_of_files(other, tmp_path / "out" / "mine" / run.key)
    (merged_again,) = merge_results([tmp_path / "a"], tmp_path / "out").equal
    assert merged_again == other


def test_costs_that_follow_from_the_network_must_agree(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "a", run, costs={"parameters": 10.0, "latency_1_ms": 1.0})
    stored(tmp_path / "b", run, costs={"parameters": 10.0, "latency_1_ms": 2.0})
    assert len(merge_results([tmp_path / "a", tmp_path / "b"], tmp_path / "out").equal) == 1
    stored(tmp_path / "c", run, costs={"parameters": 11.0, "latency_1_ms": 1.0})
    with pytest.raises(StorageError, match="different results: costs"):
        merge_results([tmp_path / "a", tmp_path / "c"], tmp_path / "out")


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_record_replaces_an_unfinished_one(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "out", run, status="failed")
    stored(tmp_path / "a", run)
    merge_results([tmp_path / "a"], tmp_path / "out")
    record = RecordStore(tmp_path / "out", "mine").read(run.key)
    assert record is not None and record.status == "ok"


def test_merging_says_why_a_record_cannot_be_read(tmp_path: Path) -> None:
    first, second = runs_that("ok", "lies")
    stored(tmp_path / "a", first)
    stored(tmp_path / "a", second)
    damaged = RecordStore(tmp_path / "a", "mine").path(first.key)
    damaged.write_text("{")
    shown = CliRunner().invoke(app, ["results", "merge", f"{tmp_path}/a", "--out", f"{tmp_path}/b"])
    assert f"Skipped {damaged}: not JSON" in shown.stderr.replace("\n", " ")
    RecordStore(tmp_path / "a", "mine").path(second.key).unlink()
    with pytest.raises(StorageError, match=r"no readable run records .* not JSON") as error:
        merge_results([tmp_path / "a"], tmp_path / "c")
    assert error.value.where == str(damaged)


def test_a_folder_of_another_level_is_refused(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    stored(tmp_path / "a", run)
    with pytest.raises(StorageError, match="the folder of one suite") as error:
        merge_results([tmp_path / "a" / "mine"], tmp_path / "out")
    assert str(tmp_path / "a") in str(error.value.fix)
    with pytest.raises(StorageError, match="no readable run records"):
        merge_results([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_different_results_of_one_run_are_named_and_nothing_is_copied(tmp_path: Path) -> None:
    first, second = runs_that("ok", "lies")
    stored(tmp_path / "a", second)
    stored(tmp_path / "a", first, search_details={"loss": 1})
    stored(tmp_path / "b", first, search_details={"loss": 2})
    with pytest.raises(StorageError, match=f"{first.key} has different results: search_details"):
        merge_results([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Nodes


def job(folder: Path) -> Job:
    environment = environment_of_jobs(folder)
    return Job("one", [sys.executable, "-c", "print(1)"], folder / "log", environment=environment)


def test_a_node_with_another_folder_is_named_before_the_command_runs(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert run_job(one).returncode == 0
    (tmp_path / ".jobs" / "token").write_text("of another folder")
    outcome = run_job(one)
    assert outcome.returncode == 2 and "do not share the folder" in outcome.reason


def test_a_node_with_another_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"0\.0 on elsewhere"):
        replace(HostCode.here(), version="0.0", host="elsewhere").check()
    one = submitter(tmp_path)
    with pytest.raises(ExecutorError, match="has changed since the job was submitted"):
        replace(one, code=replace(one.code, digest="other")).check()


def test_a_node_with_other_code_of_a_plugin_is_named() -> None:
    here = HostCode.here()
    assert "nasbench_ecg_darts" in here.plugins
    more = {**here.plugins, "nasbench_ecg_elsewhere": "installed on the other machine only"}
    replace(here, plugins=more).check()
    other = {**more, "nasbench_ecg_darts": "other"}
    with pytest.raises(ExecutorError, match=r"code of plugins \(nasbench_ecg_darts\) has changed"):
        replace(here, plugins=other).check()
    with pytest.raises(ExecutorError, match=r"different code of plugins \(nasbench_ecg_darts\)"):
        replace(here, plugins=other, host="elsewhere").check()
    with pytest.raises(ExecutorError, match=r"code of nasbench-ecg: .* 0\.0 on elsewhere"):
        replace(here, plugins=other, version="0.0", host="elsewhere").check()
    replace(here, plugins={}).check()


def test_a_run_checks_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of_jobs(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".jobs" / "token").unlink()
    result = CliRunner().invoke(app, ["run", "cnn-9", "synthetic-2lead", "--dry-run"])
    assert result.exit_code == 2 and "do not share the folder" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--executor", "slrum"], "Did you mean 'slurm'"),
        (["--executor", "slurm", "--workers", "2"], "an option of the executor 'local'"),
        (["--set", "strategy.epochs=3"], "options of the executor only"),
        (["--executor", "slurm", "--set", "executor.partitoin=x"], "no option 'partitoin'"),
        (["--shard", "3/2"], "there is no part"),
    ],
)
def test_a_wrong_choice_of_executor_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    asked = ["suite", "run", "smoke", "--device", "cpu", "--out", str(tmp_path / "o"), *words]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())
    assert not (tmp_path / "o").exists()


def test_an_executor_that_is_not_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg.cli.executors.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["suite", "run", "smoke", "--executor", "slurm"])
    assert result.exit_code == 2 and "pip install 'nasbench-ecg[slurm]'" in result.stderr


def test_what_is_lost_and_what_has_ended() -> None:
    assert Outcome(-9).lost and Outcome(137).lost and Outcome(None).lost
    assert not Outcome(1).lost and not Outcome(-9, timed_out=True).lost


# A SLURM cluster of one node

SUITE = """
title = "On SLURM"
seeds = [{seeds}]
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
profiles = ["smoke"]
set.evaluator.epochs = {epochs}
"""


def nasbench(cache: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "nasbench_ecg", *words],
        env={**os.environ, "NASBENCH_ECG_CACHE": str(cache), "COLUMNS": "200"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(condition: Any, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def jobs(*words: str) -> list[str]:
    asked = ["squeue", "-h", "-r", "-o", "%A", *words]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


def submitted(folder: Path) -> str:
    """Return the number of the only job of a suite, when it has been submitted."""
    wait_for(lambda: list((folder / ".jobs").glob("*.json")))
    (path,) = (folder / ".jobs").glob("*.json")
    number: str = json.loads(path.read_text())["handle"].split()[0]
    return number


def kill_processes_of(number: str) -> None:
    """Kill all processes of a job, as when its node ends."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"SLURM_JOB_ID={number}".encode() in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), 9)


def started_again(number: str) -> bool:
    """Start a requeued job now; SLURM would wait two minutes. Return whether it has left the queue.

    It may run, or have ended already.
    """
    words = ["scontrol", "update", f"JobId={number}", "StartTime=now"]
    subprocess.run(words, capture_output=True)
    return number not in jobs("-t", "PD")


@pytest.mark.slow
@slurm
def test_a_suite_of_three_runs_is_executed_by_slurm(beats_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "three.toml").write_text(SUITE.format(seeds="0, 1, 2", epochs=1))
    words = [str(tmp_path / "three.toml"), "--device", "cpu", "--out", str(tmp_path / "out")]
    done = nasbench(beats_cache, "suite", "run", *words, "--executor", "slurm",
                    "--set", "executor.mem_gb=1")  # fmt: skip
    assert "3 runs: 3 ok." in done.communicate(timeout=280)[0] and done.returncode == 0
    logs = list((tmp_path / "out" / "three" / ".logs").glob("*.log"))
    assert len(logs) == 3 and all("F1" in log.read_text() for log in logs)


TABLE = [
    *("table", "build", "synthetic-2lead", "--beats", "64", "--epochs", "1", "--seeds", "3"),
    *("--set", 'space.operations=["skip","conv-3","sep-9"]', "--set", "space.widths=[2]"),
    *("--set", "space.cells=[1]", "--set", "dataset.patients=12", "--set", "dataset.minutes=1"),
]
ARRAY = """#!/bin/sh
#SBATCH --array=1-2
#SBATCH --mem=1000
#SBATCH --output={folder}/%a.log
exec {command} --shard "$SLURM_ARRAY_TASK_ID/2" --tables "{folder}/$SLURM_ARRAY_TASK_ID/tables"
"""


@pytest.mark.slow
@slurm
def test_a_table_of_two_shards_is_built_by_an_array_and_merged(
    beats_cache: Path, tmp_path: Path
) -> None:
    alone = nasbench(beats_cache, *TABLE, "--tables", str(tmp_path / "alone" / "tables"))
    assert "54 of 54 trainings, 100% of the members" in alone.communicate(timeout=500)[0]
    command = shlex.join([sys.executable, "-P", "-m", "nasbench_ecg", *TABLE])
    (tmp_path / "table.sbatch").write_text(ARRAY.format(folder=tmp_path, command=command))
    submit = ["sbatch", "--wait", str(tmp_path / "table.sbatch")]
    environment = {**os.environ, "NASBENCH_ECG_CACHE": str(beats_cache)}
    subprocess.run(submit, check=True, capture_output=True, timeout=500, env=environment)
    counts = ("48 of 54 trainings", "6 of 54 trainings")  # a shard has 48
    for part, count in enumerate(counts, 1):
        assert count in (tmp_path / f"{part}.log").read_text()
    words = [str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "both")]
    told = nasbench(beats_cache, "results", "merge", *words).communicate(timeout=100)[0]
    assert "54 trainings of tables are copied" in told
    one, both = (
        load_table(table_folder(tmp_path / name / "tables", *TRACK)) for name in ("alone", "both")
    )
    assert both.card.model_dump(exclude=DIGESTS) == one.card.model_dump(exclude=DIGESTS)
    assert both.arrays.keys() == one.arrays.keys()
    for name in set(one.arrays) - {"seconds"}:
        np.testing.assert_array_equal(both.arrays[name], one.arrays[name], err_msg=name)


TRACK = ("tiny-cells", "synthetic-2lead", "intra-patient")
DIGESTS = {"sha256", "card_sha256"}


@pytest.mark.slow
@slurm
@pytest.mark.parametrize("how", ["preempted", "killed"])
def test_a_preempted_or_killed_run_continues_and_ends_equal(
    how: str, beats_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.toml").write_text(SUITE.format(seeds="0", epochs=60))
    out = tmp_path / "out"
    words = [str(tmp_path / "one.toml"), "--device", "cpu", "--out"]
    suite = nasbench(beats_cache, "suite", "run", *words, str(out), "--executor", "slurm",
                     "--set", "executor.mem_gb=1", "--checkpoint-seconds", "1")  # fmt: skip
    saved = out / "one" / ".unfinished"
    wait_for(lambda: list(saved.glob("*/evaluation.safetensors")))
    number = submitted(out / "one")
    if how == "preempted":
        subprocess.run(["scancel", "--signal=USR2", number], check=True)
        wait_for(lambda: number in jobs("-t", "PD"))
        wait_for(lambda: started_again(number))
    else:
        kill_processes_of(number)
    told, _ = suite.communicate(timeout=500)
    assert suite.returncode == 0 and "1 run: 1 ok." in told
    (path,) = (out / "one").glob("*.json")
    curves = json.loads((path.with_suffix("") / "curves.json").read_text())
    alone = nasbench(beats_cache, "suite", "run", *words, str(tmp_path / "alone"))
    alone.communicate(timeout=200)
    other = tmp_path / "alone" / "one" / path.stem / "curves.json"
    assert json.loads(other.read_text()) == curves
    merge_results([out, tmp_path / "alone"], tmp_path / "both")


@pytest.mark.slow
@slurm
def test_ctrl_c_leaves_jobs_and_cancel_ends_them(beats_cache: Path, tmp_path: Path) -> None:
    import signal

    (tmp_path / "two.toml").write_text(SUITE.format(seeds="0", epochs=5000))
    words = [str(tmp_path / "two.toml"), "--device", "cpu", "--out", str(tmp_path / "out")]
    suite = nasbench(beats_cache, "suite", "run", *words, "--executor", "slurm",
                     "--set", "executor.mem_gb=1")  # fmt: skip
    wait_for(lambda: list((tmp_path / "out" / "two" / ".unfinished").glob("*.holder")))
    os.kill(suite.pid, signal.SIGINT)
    told, _ = suite.communicate(timeout=60)
    assert suite.returncode == 130 and "The jobs go on." in told
    assert f"nasbench-ecg suite cancel {tmp_path / 'two.toml'}" in told
    assert "--executor slurm --set executor.mem_gb=1" in told  # the command that waits for them
    assert submitted(tmp_path / "out" / "two") in jobs("-t", "R")
    status = nasbench(beats_cache, "suite", "status", *words).communicate(timeout=100)[0]
    assert "running in slurm as job" in status
    ended = nasbench(beats_cache, "suite", "cancel", *words).communicate(timeout=100)[0]
    assert "1 job told to end" in ended
    wait_for(lambda: not list((tmp_path / "out" / "two" / ".unfinished").glob("*.holder")))
    (path,) = (tmp_path / "out" / "two").glob("*.json")
    assert json.loads(path.read_text())["status"] == "interrupted"


ONE = SUITE.format(seeds="0", epochs=1)


def on_slurm(folder: Path, *assignments: str) -> list[str]:
    """Return the words that execute a suite of one run with these options of the executor."""
    (folder / "one.toml").write_text(ONE)
    words = ["suite", "run", str(folder / "one.toml"), "--device", "cpu"]
    words += ["--out", str(folder / "out"), "--executor", "slurm"]
    usual = {"mem_gb": "0.5", "retries": "0"}
    options = {**usual, **dict(text.split("=", 1) for text in assignments)}
    settings = (f"executor.{name}={value}" for name, value in options.items())
    return [*words, *(word for setting in settings for word in ("--set", setting))]


def run_on_slurm(folder: Path, *assignments: str) -> tuple[int, str]:
    """Execute a suite of one run; return the exit status and what was printed, as one line."""
    words = on_slurm(folder, *assignments)
    result = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    return result.exit_code, " ".join(result.stderr.replace("│", " ").split())


@slurm
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("partition=nope", "Invalid partition name specified."),
        ("mem_gb=100000", "Requested node configuration is not available."),
    ],
)
def test_slurm_refuses_jobs_with_one_error(option: str, said: str, tmp_path: Path) -> None:
    status, told = run_on_slurm(tmp_path, option)
    assert status == 2 and f"SLURM refuses the jobs: Batch job submission failed: {said}" in told
    assert f"partition {'nope' if 'nope' in option else 'default'}" in told


FIND = """
import importlib.machinery, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "nasbench_ecg":
            return importlib.machinery.PathFinder.find_spec(name, [{folder!r}])

sys.meta_path.insert(0, Finder)  # before that of an editable installation
"""


def install_other_code(folder: Path) -> None:
    """Write a copy of nasbench-ecg with one more line; a process with PYTHONPATH imports it."""
    source = Path(nasbench_ecg.__file__).parent
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / source.name / "text.py").open("a") as file:
        file.write("OTHER = 1\n")
    (folder / "sitecustomize.py").write_text(FIND.format(folder=str(folder)))


@pytest.mark.slow
@slurm
@pytest.mark.parametrize(
    ("case", "said", "status"),
    [
        ("folder", "do not share the folder of the results", "failed"),
        ("version", "The code of nasbench-ecg has changed since the job was submitted", "failed"),
        ("vanished", "has ended as COMPLETED and has left no result", "interrupted"),
    ],
)
def test_a_node_that_differs_is_told_and_the_run_can_be_started_again(
    case: str, said: str, status: str, tmp_path: Path
) -> None:
    if case == "version":
        install_other_code(tmp_path / "other")
    setup = {  # what a job does on its node first
        "folder": f"echo another >{tmp_path}/out/one/.jobs/token",
        "version": f"export PYTHONPATH={tmp_path}/other",
        "vanished": "exit 0",
    }[case]
    ended, told = run_on_slurm(tmp_path, f"setup={json.dumps([setup])}")
    assert ended == 1 and f"1 run: 1 {status}." in told and said in told
    what = "retry the failed runs" if status == "failed" else "continue the interrupted runs"
    assert f"To {what}: nasbench-ecg suite run {tmp_path / 'one.toml'}" in told


@pytest.mark.slow
@slurm
def test_a_job_that_is_canceled_outside_of_the_suite_is_told(
    beats_cache: Path, tmp_path: Path
) -> None:
    words = on_slurm(tmp_path, 'additional={"begin": "now+1hour"}', "retries=2")
    suite = nasbench(beats_cache, *words)
    subprocess.run(["scancel", submitted(tmp_path / "out" / "one")], check=True)
    told, _ = suite.communicate(timeout=200)
    assert suite.returncode == 1 and "was canceled." in told and "submitted again" not in told
    assert "To continue the interrupted runs: " in told
