"""What the executor ``slurm`` says when SLURM refuses, forgets or loses jobs; without SLURM.

Scripts take the place of its commands. ``test_cluster.py`` has the same cases on a cluster.
"""

from __future__ import annotations

import json
import os
import shlex
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
    return f"{number} {json.dumps([str(tmp_path), 'name'])}"


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
        ("PREEMPTED", Outcome(None, reason="ended"), Outcome(None, reason="ended")),
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


def scripts(tmp_path: Path) -> str:
    """Return what was given to ``sbatch``."""
    found = (tmp_path / "out" / "short" / ".logs" / "slurm").glob("*.sh")
    return "".join(path.read_text() for path in found)


def stored(tmp_path: Path) -> list[dict[str, Any]]:
    """Return the stored jobs of the suite."""
    return [
        json.loads(p.read_text()) for p in (tmp_path / "out" / "short" / ".jobs").glob("*.json")
    ]


def of_suite(tmp_path: Path, verb: str, *words: str) -> Any:
    asked = ["suite", verb, str(tmp_path / "short.toml"), "--out", str(tmp_path / "out"), *words]
    return CliRunner().invoke(app, asked, env={"COLUMNS": "300"})


INTERRUPT = "kill -INT $PPID; sleep 0.2"


def test_a_job_that_waits_after_it_was_told_to_save_is_attached(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", "echo '7 PENDING'")
    known = handle(tmp_path, outcome=Outcome(None, reason="SLURM has ended its job."))
    assert slurm().state(known) == "queued"
    write(commands, "squeue", f"{INTERRUPT}; echo '7 PENDING'")
    assert "The jobs go on." in told(suite(tmp_path))
    (job,) = stored(tmp_path)
    provisional = tmp_path / "out" / "short" / ".logs" / "slurm" / f"{job['run_key']}.outcome"
    provisional.write_text(json.dumps(vars(Outcome(None, reason="SLURM has ended its job."))))
    write(commands, "sbatch", f"touch {commands}/submitted; echo Submitted batch job 8")
    assert "The jobs go on." in told(suite(tmp_path))
    assert not (commands / "submitted").exists() and stored(tmp_path) == [job]


def test_a_signal_while_jobs_are_submitted_leaves_none_without_a_handle(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "sbatch", f"{INTERRUPT}; echo Submitted batch job 7")
    write(commands, "squeue", "echo '7 RUNNING'")
    assert "The jobs go on." in told(suite(tmp_path))
    assert [job["handle"].split()[0] for job in stored(tmp_path)] == ["7"]


def test_the_printed_commands_are_those_that_see_await_and_end_the_jobs(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", f"{INTERRUPT}; echo '7 RUNNING'")
    more = ("--shard", "1/1", "--time-limit", "0.5", "--data", str(tmp_path), "--retry-failed")
    lines = suite(tmp_path, *more, "--set", "executor.mem_gb=2").stderr.splitlines()
    write(commands, "squeue", "echo '7 RUNNING'")
    found = dict(line.split(": ", 1) for line in lines if line.startswith("To "))
    waiting = shlex.split(found["To wait for them"])
    for word in (*more, "executor.mem_gb=2", "slurm"):
        assert word in waiting
    status = CliRunner().invoke(app, shlex.split(found["To see their state"])[1:])
    assert status.exit_code == 0 and "running in slurm as job 7" in told(status)
    ended = CliRunner().invoke(app, shlex.split(found["To end them"])[1:])
    assert ended.exit_code == 0 and "1 job told to end" in told(ended)
    assert (commands / "canceled").read_text().split() == ["7"] and stored(tmp_path) == []


def test_a_job_that_cannot_be_ended_is_not_forgotten(commands: Path, tmp_path: Path) -> None:
    write(commands, "squeue", f"{INTERRUPT}; echo '7 RUNNING'")
    suite(tmp_path)
    write(commands, "squeue", "echo '7 RUNNING'")
    write(commands, "scancel", "echo 'scancel: error: Unable to contact slurm' >&2; exit 1")
    refused = of_suite(tmp_path, "cancel", "--device", "cpu")
    assert refused.exit_code == 2 and "1 job could not be ended (7)" in told(refused)
    assert [job["canceled"] for job in stored(tmp_path)] == [True]
    other = of_suite(tmp_path, "cancel", "--device", "cpu", "--seeds", "5")
    assert other.exit_code == 0 and "1 job of other runs of this suite stay" in told(other)
    write(commands, "scancel", "exit 0")
    ended = of_suite(tmp_path, "cancel", "--device", "cpu")
    assert ended.exit_code == 0 and "1 job told to end" in told(ended) and stored(tmp_path) == []


def test_a_queue_that_takes_no_jobs_now_is_asked_again(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg.suite.scheduling.BUSY_SECONDS", 0.01)
    error = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    first = commands / "first"
    body = f"[ -e {first} ] && echo Submitted batch job 7 && exit; touch {first}"
    write(commands, "sbatch", f"{body}; echo '{error}' >&2; exit 1")
    write(commands, "squeue", "echo '7 CANCELLED'")
    assert "The SLURM job 7 was canceled." in told(suite(tmp_path))
    first.unlink()
    monkeypatch.setattr("nasbench_ecg_slurm.executor._PATIENCE", 0.0)
    assert "SLURM refuses the jobs: Batch job submission failed: Socket" in told(suite(tmp_path))


def test_jobs_that_a_failed_submission_has_left_are_ended(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg.suite.scheduling.BUSY_SECONDS", 0.01)
    name = "sed -n 's/^#SBATCH --job-name=//p' \"$1\""
    error = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    lost = f"touch {commands}/first; echo '{error}' >&2; exit 1"  # but the queue has the job
    body = f"{name} >>{commands}/queue; [ -e {commands}/first ] || {{ {lost}; }}; echo job 7"
    write(commands, "sbatch", body)
    write(commands, "squeue", "echo '7 CANCELLED'")
    assert "The SLURM job 7 was canceled." in told(suite(tmp_path))
    first, second = (commands / "queue").read_text().split()
    assert first != second and first.startswith("nasbench-ecg-")
    # at once, before the next submission, and at the end: SLURM may take a job late
    assert (commands / "canceled").read_text().split() == [f"--name={first}"] * 3


def test_jobs_do_not_inherit_the_job_that_submits_them(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = {"SLURM_JOB_ID": "3", "SLURM_MEM_PER_CPU": "300", "SLURM_ARRAY_JOB_ID": "3"}
    for name, value in {**inherited, "SLURM_CONF": "/etc/slurm.conf"}.items():
        monkeypatch.setenv(name, value)
    write(commands, "sbatch", f"env >{commands}/env; echo Submitted batch job 7")
    slurm().submit([Job("one", ["true"], tmp_path / "logs" / "one")])
    seen = dict(line.split("=", 1) for line in (commands / "env").read_text().splitlines() if line)
    assert not inherited.keys() & seen.keys() and seen["SLURM_CONF"] == "/etc/slurm.conf"
    assert os.environ["SLURM_JOB_ID"] == "3"


def test_what_a_job_is_submitted_with(commands: Path, tmp_path: Path) -> None:
    suite(tmp_path, "--set", "executor.mem_gb=0.0001", "--set", 'executor.setup=["module load x"]')
    script = scripts(tmp_path)
    assert "#SBATCH --mem=1M" in script
    assert "set -e\nmodule load x\nset +e" in script
    assert " -P -u -m submitit.core._submit" in script


def test_what_cannot_be_submitted_is_refused(commands: Path, tmp_path: Path) -> None:
    short = suite(tmp_path, "--set", "executor.timeout_min=1")
    assert short.exit_code == 2 and "told to save before it has started" in told(short)
    with pytest.raises(ExecutorError, match="SLURM takes % in a path"):
        slurm().submit([Job("one", ["true"], tmp_path / "per%cent" / "one")])


def test_the_end_of_a_job_that_nobody_waited_for_is_recorded(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", f"{INTERRUPT}; echo '7 RUNNING'")
    suite(tmp_path, "--time-limit", "0.5")
    (job,) = stored(tmp_path)
    path = tmp_path / "out" / "short" / ".logs" / "slurm" / f"{job['run_key']}.outcome"
    path.write_text(json.dumps(vars(Outcome(-15, timed_out=True, seconds=1800.0))))
    write(commands, "squeue", UNKNOWN)
    said = told(suite(tmp_path, "--time-limit", "0.5"))
    assert "1 run: 1 timeout." in said and stored(tmp_path) == []
    assert "0 of 1 runs are to be executed." in told(suite(tmp_path))


def test_what_an_earlier_job_has_said_is_not_said_of_a_later_one(
    commands: Path, tmp_path: Path
) -> None:
    suite(tmp_path, "--set", "executor.retries=0")
    (record,), _ = read_records(tmp_path / "out")
    log = tmp_path / "out" / "short" / ".logs" / f"{record.run_key}.log"
    assert f"see {log}" not in told(suite(tmp_path, "--set", "executor.retries=0"))
    log.write_text("╭─ Missing ──╮\n│ No records │\n╰────────────╯\n")
    suite(tmp_path, "--set", "executor.retries=0")
    (record,), _ = read_records(tmp_path / "out")
    assert record.error is not None
    assert "No records" not in record.error and "It ran the strategy" not in record.error


def test_a_job_that_has_used_up_its_requeues_says_so(commands: Path, tmp_path: Path) -> None:
    log = tmp_path / "7_0_log.err"
    reason = "Job not requeued because: timed-out too many times."
    error = f"submitit.core.utils.UncompletedJobError: {reason}"
    log.write_text(f"Traceback\n{error}\nsrun: error: vm: task 0: Exited with exit code 1\n")
    write(commands, "squeue", "echo '7 FAILED'")
    found = slurm(requeues=1).outcome(handle(tmp_path))
    assert "has reached its time limit of 60 minutes, 2 times" in found.reason and not found.lost
    log.write_text("Traceback\nImportError: no queue\n")
    assert "It says: ImportError: no queue." in slurm().outcome(handle(tmp_path)).reason


def test_variables_that_hide_jobs_are_not_those_of_the_queue(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "high")
    write(commands, "squeue", '[ -n "$SQUEUE_PARTITION" ] || echo 7 RUNNING')
    assert slurm().state(handle(tmp_path)) == "running"


def test_a_queue_that_fails_is_asked_once_for_all_jobs(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasbench_ecg_slurm.executor._FRESH", 60.0)
    write(commands, "squeue", f"echo x >>{commands}/asked; echo 'error: down' >&2; exit 1")
    executor = slurm()
    assert [executor.outcome(handle(tmp_path, n)) for n in ("7_0", "7_1", "8")] == [None] * 3
    assert (commands / "asked").read_text().split() == ["x"]


def test_the_status_of_a_suite_says_that_the_queue_does_not_answer(
    commands: Path, tmp_path: Path
) -> None:
    write(commands, "squeue", f"{INTERRUPT}; echo '7 RUNNING'")
    suite(tmp_path)
    write(commands, "squeue", "echo 'squeue: error: down' >&2; exit 1")
    result = of_suite(tmp_path, "status", "--device", "cpu")
    assert result.exit_code == 0
    assert "unknown (squeue fails: squeue: error: down) in slurm as job 7" in told(result)


def test_a_second_process_takes_over_the_job_that_the_first_has_submitted(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(commands, "squeue", f"{INTERRUPT}; echo '7 RUNNING'")
    suite(tmp_path)
    (path,) = (tmp_path / "out" / "short" / ".jobs").glob("[0-9a-f]*.json")
    content = path.read_text()
    path.unlink()
    from nasbench_ecg.suite.claims import Claims

    take = Claims.take

    def submitted_meanwhile(self: Claims, run_key: str) -> bool:
        taken = take(self, run_key)
        path.write_text(content)  # by another process, which has gone
        return taken

    monkeypatch.setattr(Claims, "take", submitted_meanwhile)
    write(commands, "sbatch", f"touch {commands}/submitted; echo Submitted batch job 8")
    assert "The jobs go on." in told(suite(tmp_path))
    assert not (commands / "submitted").exists() and path.read_text() == content
