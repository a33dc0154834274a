"""Child processes: a few at a time, each with a time limit, none left behind."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from nasbench_ecg.executors import Job, Outcome
from nasbench_ecg.suite.processes import LocalExecutor, LocalOptions
from nasbench_ecg.suite.scheduling import run_jobs

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
FOREVER = "import time\nwhile True: time.sleep(0.05)"


def job(folder: Path, name: str, code: str, time_limit: float | None = None) -> Job:
    """Return a job that runs Python code."""
    command = [sys.executable, "-c", code]
    return Job(name, command, folder / "logs" / f"{name}.log", time_limit)


def local(**options: Any) -> LocalExecutor:
    """Return the executor with these options."""
    return LocalExecutor(LocalOptions(**options))


def run(executor: LocalExecutor, *jobs: Job) -> dict[str, Outcome]:
    """Return the outcomes by name."""
    started: list[str] = []
    ended = run_jobs(executor, jobs, started=lambda one: started.append(one.name))
    outcomes = {one.name: outcome for one, outcome in ended if outcome is not None}
    assert started == [one.name for one in jobs]
    return outcomes


def alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_each_job_ends_with_its_exit_status_and_its_output_in_its_log(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "good", "print('fine')"),
        job(tmp_path, "bad", "raise SystemExit(3)"),
        job(tmp_path, "loud", "raise ValueError('it broke')"),
    ]
    outcomes = run(local(), *jobs)
    assert {name: o.returncode for name, o in outcomes.items()} == {"good": 0, "bad": 3, "loud": 1}
    assert jobs[0].log.read_text() == "fine\n"
    assert "ValueError: it broke" in jobs[2].log.read_text()
    assert not any(outcome.timed_out or outcome.killed for outcome in outcomes.values())


def test_a_job_beyond_its_time_limit_is_ended(tmp_path: Path) -> None:
    (outcome,) = run(local(), job(tmp_path, "hang", FOREVER, 0.3)).values()
    assert (outcome.timed_out, outcome.killed) == (True, False)
    assert outcome.returncode == -signal.SIGTERM


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = job(tmp_path, "deaf", f"{DEAF}\n{FOREVER}", 1.5)
    (outcome,) = run(local(grace=0.2), deaf).values()
    assert (outcome.timed_out, outcome.killed) == (True, False)


def test_a_job_killed_by_another_process_is_not_a_timeout(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    (outcome,) = run(local(), job(tmp_path, "oom", code, 60)).values()
    assert (outcome.timed_out, outcome.killed) == (False, True)


@pytest.mark.slow
def test_a_failing_job_stops_no_other(tmp_path: Path) -> None:
    codes = ["raise SystemExit(1)", "print(1)", "import os; os.abort()", "print(2)"]
    jobs = [job(tmp_path, str(i), code) for i, code in enumerate(codes)]
    assert [run(local(), *jobs)[str(i)].returncode for i in (1, 3)] == [0, 0]


def test_no_more_jobs_run_at_a_time_than_there_are_workers(tmp_path: Path) -> None:
    code = (
        "import os, time, pathlib\n"
        f"here = pathlib.Path({str(tmp_path / 'here')!r}); here.mkdir(exist_ok=True)\n"
        "mine = here / str(os.getpid()); mine.touch(); time.sleep(0.3)\n"
        "print(len(list(here.iterdir()))); mine.unlink()"
    )
    jobs = [job(tmp_path, str(i), code) for i in range(5)]
    run(local(workers=2), *jobs)
    assert {int(one.log.read_text()) for one in jobs} <= {1, 2}


def test_workers_have_different_gpus(tmp_path: Path) -> None:
    code = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(0.5)"
    jobs = [job(tmp_path, str(i), code) for i in range(2)]
    run(local(workers=2, gpus=["3", "5"]), *jobs)
    assert {one.log.read_text().strip() for one in jobs} == {"3", "5"}


def test_workers_share_the_cores_of_this_process_and_not_those_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 4, 5, 6}, raising=False)
    one = job(tmp_path, "a", "import os; print(os.environ['OMP_NUM_THREADS'])")
    run(local(workers=2), one)
    assert one.log.read_text() == "2\n"


def test_a_gpu_is_reused_by_the_next_job(tmp_path: Path) -> None:
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    jobs = [job(tmp_path, str(i), code) for i in range(3)]
    run(local(workers=1, gpus=["7"]), *jobs)
    assert {one.log.read_text().strip() for one in jobs} == {"7"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_closing_the_generator_leaves_no_process_behind(tmp_path: Path) -> None:
    code = f"import os; print(os.getpid(), flush=True)\n{FOREVER}"
    jobs = [job(tmp_path, "quick", "pass"), job(tmp_path, "long", code)]
    with closing(run_jobs(local(workers=2, grace=5), jobs)) as outcomes:
        assert next(outcomes)[0].name == "quick"
        while not jobs[1].log.read_text().endswith("\n"):
            sleep(0.02)
    assert not alive(int(jobs[1].log.read_text()))


def test_jobs_have_an_empty_stdin_and_a_process_group_of_their_own(tmp_path: Path) -> None:
    one = job(tmp_path, "one", "import os, sys; print(os.getpgrp(), repr(sys.stdin.read()))")
    run(local(), one)
    group, read = one.log.read_text().split()
    assert int(group) != os.getpgrp() and read == "''"
