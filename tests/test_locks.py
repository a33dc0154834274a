"""A run is executed once, by however many processes it was started."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import pytest
from filelock import FileLock

import nasbench_ecg as nb
from nasbench_ecg.errors import StorageError
from nasbench_ecg.run import locks
from nasbench_ecg.run.locks import Holder, RunLock, waits_for
from nasbench_ecg.run.store import RecordStore

COMMAND = [sys.executable, "-P", "-m", "nasbench_ecg"]
SUITE = """
title = "Long enough to be killed"
seeds = [0, 1, 2]
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
profiles = ["smoke"]
set.evaluator.epochs = 60
set.evaluator.beats = 200
"""


def start(folder: Path, *words: str, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *words, "--device", "cpu", "--out", str(folder)],
        env={**os.environ, "NASBENCH_ECG_CACHE": str(cache)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def processes_of(folder: Path) -> list[str]:
    """Return the run keys that processes execute now, from their logs' names."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "run" in words and "suite" not in words and str(folder) in words:
            found.append(words[words.index("--seed") + 1])
    return found


@pytest.mark.slow
def test_four_processes_execute_one_run_once(beats_cache: Path, tmp_path: Path) -> None:
    words = ("run", "cnn-9", "synthetic-2lead", "--profile", "smoke")
    started = [start(tmp_path, *words, cache=beats_cache) for _ in range(4)]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    executed = [text for text in outputs if "Running with seed" in text]
    others = [text for text in outputs if "Already done" in text or "has finished it" in text]
    assert (len(executed), len(others)) == (1, 3)
    assert not any("cannot be written" in text for text in outputs)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_a_killed_suite_leaves_no_run_behind_and_its_restart_executes_each_once(
    beats_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.toml").write_text(SUITE)
    out = tmp_path / "out"
    words = ("suite", "run", str(tmp_path / "long.toml"), "--workers", "2")
    words = (*words, "--checkpoint-seconds", "0.1")
    suite = start(out, *words, cache=beats_cache)
    store = RecordStore(out, "long")
    saved: list[Path] = []
    while not saved:  # usually two; on a loaded machine one run may be over before the next begins
        assert suite.poll() is None
        time.sleep(0.05)
        saved = list((store.folder / ".unfinished").glob("*/evaluation.safetensors"))
    os.kill(suite.pid, signal.SIGKILL)
    suite.wait()
    again = start(out, *words, cache=beats_cache)
    while again.poll() is None:
        running = processes_of(out)
        assert len(running) <= 4, running  # two, and two that save their step
        time.sleep(0.5)
    assert again.returncode == 0, again.communicate()[0]
    assert processes_of(out) == []
    records = [json.loads(path.read_text()) for path in store.folder.glob("*.json")]
    assert [record["status"] for record in records] == ["ok"] * 3
    for record in records:
        curves = json.loads((store.folder / record["run_key"] / "curves.json").read_text())
        assert len(curves["loss"]) == 60
    logs = [path.read_text() for path in (store.folder / ".logs").glob("*.log")]
    # Runs that were stopped go on from their saved steps, and nothing is computed twice.
    continued = [log.count("Continuing the run that was stopped") for log in logs]
    assert max(continued) == 1 and sum(continued) >= len(saved)


@pytest.mark.slow
def test_two_commands_share_a_suite(beats_cache: Path, tmp_path: Path) -> None:
    text = SUITE.replace("= 60", "= 1")
    (tmp_path / "long.toml").write_text(text)
    words = ("suite", "run", str(tmp_path / "long.toml"))
    both = [start(tmp_path / "out", *words, cache=beats_cache) for _ in range(2)]
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert all("3 runs: 3 ok." in text for text in outputs)
    logs = [p.read_text() for p in (tmp_path / "out" / "long" / ".logs").glob("*.log")]
    # A log has the output of every process of its run, and a training ends with one line.
    assert [text.count("Training ") for text in logs] == [1, 1, 1]


def test_the_holder_is_named_and_forgotten(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "key.lock")
    assert lock.holder() is None
    with lock.acquire() as waited:
        found = RunLock(tmp_path / "key.lock").holder()
        assert not waited and found is not None and found.pid == os.getpid()
        with RunLock(tmp_path / "key.lock").acquire() as again:
            assert not again
    assert lock.holder() is None and not (tmp_path / "key.holder").exists()


def test_a_second_thread_waits_for_the_run_of_the_first(tmp_path: Path) -> None:
    path, told, entered, order = tmp_path / "key.lock", Event(), Event(), list[str]()

    def second() -> None:
        def waiting(holder: Holder) -> None:
            assert waits_for(holder).startswith("Another thread executes this run: process")
            told.set()

        entered.wait(60)
        with RunLock(path).acquire(waiting) as waited:
            order.append(f"second, waited {waited}")

    thread = Thread(target=second)
    thread.start()
    with RunLock(path).acquire():
        entered.set()
        assert told.wait(60)
        with RunLock(path).acquire() as again:  # the same thread
            order.append(f"first, waited {again}")
    thread.join(60)
    assert order == ["first, waited False", "second, waited True"]
    assert RunLock(path).holder() is None


def test_a_thread_waits_while_another_one_executes_any_run(tmp_path: Path) -> None:
    entered, order, told = Event(), list[str](), list[Holder]()

    def second() -> None:
        entered.set()
        with RunLock(tmp_path / "other.lock").acquire(told.append) as waited:
            order.append(f"second, waited {waited}")  # for no other process of this run

    thread = Thread(target=second)
    with RunLock(tmp_path / "key.lock").acquire():
        thread.start()
        assert entered.wait(60)
        time.sleep(0.5)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second, waited False"] and told == []


@pytest.mark.slow
def test_runs_in_threads_give_the_results_of_runs_one_after_another(
    beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    tiny = {"strategy.samples": 2, "builder.channels": 2, "evaluator.epochs": 1}

    def run(seed: int, out: Path) -> nb.Runs:
        words = {"profile": "smoke", "set": tiny, "device": "cpu", "out": out}
        return nb.run("random", "synthetic-2lead", seed=seed, **words)

    with ThreadPoolExecutor(3) as pool:
        made = [pool.submit(run, seed, tmp_path / "threads") for seed in (0, 0, 1)]
        records = [one.result().records[0] for one in made]
    assert records[0] == records[1]
    for seed, record in enumerate(records[1:]):
        (alone,) = run(seed, tmp_path / "alone").records
        assert alone.architecture == record.architecture and alone.metrics == record.metrics
        assert [point["value"] for point in alone.trajectory] == [
            point["value"] for point in record.trajectory
        ]


def test_a_lock_of_another_host_counts_until_it_is_stale(tmp_path: Path) -> None:
    lock, holder = RunLock(tmp_path / "key.lock"), tmp_path / "key.holder"
    holder.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "then"}))
    (tmp_path / "key.lock").touch()
    found = lock.holder()
    assert found is not None and str(found) == "process 7 on elsewhere, since then"
    old = time.time() - locks.STALE - 1
    os.utime(holder, (old, old))
    assert lock.holder() is None
    with lock.acquire() as waited:
        assert not waited


def test_a_lock_of_a_dead_process_of_this_host_is_broken(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from nasbench_ecg.run.locks import RunLock\n"
        "with RunLock(Path(sys.argv[1])).acquire(): os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "key.lock"
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert path.with_suffix(".holder").exists()
    assert RunLock(path).holder() is None


def test_a_lock_is_free_again_if_its_holder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    lock = RunLock(tmp_path / "key.lock")  # as a notebook keeps it with the traceback
    with monkeypatch.context() as patch:
        patch.setattr(locks, "write_atomically", full)
        with pytest.raises(StorageError, match="no space left"), lock.acquire():
            pass
    probe = FileLock(tmp_path / "key.lock")
    probe.acquire(blocking=False)
    probe.release()
