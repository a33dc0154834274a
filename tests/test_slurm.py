"""What the executor ``slurm`` says when SLURM refuses, forgets or loses jobs; without SLURM.

Scripts take the place of its commands. ``test_cluster.py`` has the same cases on a cluster.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.errors import ExecutorError
from nasbench_ecg.executors import Job, Outcome
from nasbench_ecg.run.record_files import read_records

pytest.importorskip("submitit", reason="needs the extra 'slurm'")

SUITE = """
title = "Short"
seeds = [0]
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
profiles = ["smoke"]
"""
UNKNOWN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, the first in PATH: a queue that takes jobs and knows none of them."""
    from nasbench_ecg_slurm import executor

    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(executor, "_SETTLE", 0.0)
    monkeypatch.setattr(executor, "_FRESH", 0.0)
    monkeypatch.setattr("nasbench_ecg.suite.scheduling.QUEUE_POLL_SECONDS", 0.01)
    write(folder, "srun", "exit 0")
    write(folder, "sbatch", "echo Submitted batch job 7")
    write(folder, "scancel", f'echo "$@" >>{folder}/canceled')
    write(folder, "squeue", UNKNOWN)
    return folder


def write(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def suite(tmp_path: Path, *words: str) -> Any:
    (tmp_path / "short.toml").write_text(SUITE)
    asked = ["suite", "run", str(tmp_path / "short.toml"), "--out", str(tmp_path / "out")]
    asked += ["--device", "cpu", "--executor", "slurm", *words]
    return CliRunner().invoke(app, asked, env={"COLUMNS": "300"})


def told(result: Any) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


def slurm(**options: Any) -> Any:
    from nasbench_ecg_slurm.executor import SlurmExecutor, SlurmOptions

    return SlurmExecutor(SlurmOptions(**options))


def test_the_time_limit_is_of_all_parts_of_a_requeued_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasbench_ecg_slurm import command

    asked = []

    def ran(job: Job, *, stop: Any) -> Outcome:
        asked.append(job.time_limit)
        return Outcome(-15, seconds=40.0)

    monkeypatch.setattr(command, "run_job", ran)
    part = command.JobCommand(Job("name", ["true"], tmp_path / "log", 100.0), str(tmp_path))
    for _ in range(3):
        part._stop = SimpleNamespace(is_set=lambda: True, set=lambda: None)
        part._thread = SimpleNamespace(join=lambda: None)
        part._run()
        part = part.checkpoint().function
    assert asked == [100.0, 60.0, 20.0] and part.used == 120.0


def handle(tmp_path: Path, number: str = "7", outcome: Outcome | None = None) -> str:
    """Return the handle of a job; ``outcome`` is what it has left."""
    if outcome is not None:
        (tmp_path / "name.outcome").write_text(json.dumps(vars(outcome)))
    return json.dumps([number, str(tmp_path), "name"])


def test_a_vanished_job_is_told_and_the_run_can_be_started_again(
    commands: Path, tmp_path: Path
) -> None:
    result = suite(tmp_path, "--set", "executor.retries=1")
    said = told(result)
    assert result.exit_code == 1 and "1 run: 1 interrupted." in said
    assert "submitted again cnn-9" in said
    reason = "The SLURM job 7 is no longer in the queue and has left no result."
    assert said.count(reason) == 2 and "the nodes may not share that folder" in said
    again = "--device cpu --executor slurm --set executor.retries=1"
    assert "To continue the interrupted runs: nasbench-ecg suite run" in said and again in said
    (record,), _ = read_records(tmp_path / "out")
    assert record.status == "interrupted" and reason in (record.error or "")
    assert "1 of 1 runs are to be executed." in told(suite(tmp_path))


def test_a_job_that_somebody_canceled_is_not_submitted_again(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", "echo '7 CANCELLED'")
    result = suite(tmp_path)
    assert "The SLURM job 7 was canceled." in told(result)
    assert "submitted again" not in told(result) and result.exit_code == 1


@pytest.mark.parametrize(
    ("state", "known", "outcome"),
    [
        ("RUNNING", None, None),
        ("PENDING", Outcome(None, reason="SLURM has ended its job."), None),
        ("COMPLETED", Outcome(3), Outcome(3)),
        ("PREEMPTED", Outcome(None, reason="ended"), None),
        ("FAILED", Outcome(None, reason="ended"), Outcome(None, reason="ended")),
    ],
)
def test_states_of_the_queue_become_outcomes(
    state: str, known: Outcome | None, outcome: Outcome | None, commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", f"echo '7 {state}'")
    assert slurm().outcome(handle(tmp_path, outcome=known)) == outcome


def test_the_state_in_which_a_job_was_lost_is_told(commands: Path, tmp_path: Path) -> None:
    write(commands, "squeue", "echo '7 NODE_FAIL'")
    found = slurm().outcome(handle(tmp_path))
    assert found.lost and "The SLURM job 7 has ended as NODE_FAIL" in found.reason


def test_the_queue_is_asked_for_all_jobs_at_once(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg_slurm.executor._FRESH", 60.0)
    write(commands, "squeue", f'echo "$@" >>{commands}/asked; echo 7_0 RUNNING; echo 7_1 PENDING')
    executor = slurm()
    states = [executor.state(handle(tmp_path, number)) for number in ("7_0", "7_1", "7_2")]
    assert states == ["running", "queued", "unknown"]
    (asked,) = (commands / "asked").read_text().splitlines()
    assert "--jobs 7 --array" in asked


def test_a_queue_that_does_not_answer_is_awaited_for_some_time(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        commands, "squeue", "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1"
    )
    executor = slurm()
    assert executor.outcome(handle(tmp_path)) is None
    monkeypatch.setattr("nasbench_ecg_slurm.executor._PATIENCE", 0.0)
    with pytest.raises(ExecutorError, match="Unable to contact slurm controller"):
        executor.outcome(handle(tmp_path))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            "invalid partition specified: nope",
            "SLURM refuses the jobs: Batch job submission failed",
        ),
        ("Job violates accounting/QOS policy", "Job violates accounting/QOS policy"),
    ],
)
def test_a_queue_that_refuses_is_one_error(
    error: str, said: str, commands: Path, tmp_path: Path
) -> None:
    lines = f"echo 'sbatch: error: Batch job submission failed: {error}' >&2; exit 1"
    write(commands, "sbatch", lines)
    result = suite(tmp_path, "--set", "executor.partition=nope")
    assert result.exit_code == 2 and said in told(result) and "partition nope" in told(result)
    assert "executor.partition=NAME" in told(result)


def test_no_job_is_left_when_a_later_array_is_refused(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg_slurm.executor._ARRAY", 2)
    marker = commands / "first"
    write(commands, "sbatch", f"[ -e {marker} ] && exit 1; touch {marker}; echo job 7")
    jobs = [Job(str(i), ["true"], tmp_path / "logs" / str(i)) for i in range(3)]
    with pytest.raises(ExecutorError, match="SLURM refuses the jobs"):
        slurm().submit(jobs)
    assert (commands / "canceled").read_text().split() == ["7_0", "7_1"]


def test_without_slurm_the_machine_is_named(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = suite(tmp_path)
    assert result.exit_code == 2 and "There is no command sbatch here" in told(result)
    assert "login node" in told(result)
