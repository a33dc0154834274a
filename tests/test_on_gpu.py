"""``benchmarks/on_gpu.sh`` on a CPU, with tiny settings and without a package index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from pathlib import Path

import pytest
from wfdb_files import write_record

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TINY = (
    "--set strategy.cells=3 --set strategy.channels=2 --set strategy.epochs=1"
    " --set strategy.beats=100 --set builder.cells=6 --set builder.channels=2"
    " --set evaluator.epochs=1 --set evaluator.beats=200"
)


@pytest.fixture(scope="module")
def carry(tmp_path_factory):
    """The folder that pack_for_gpu.sh makes of two records, without wheels."""
    data = tmp_path_factory.mktemp("data")
    for i, name in enumerate(("a", "b")):
        write_record(data / "mitdb", name, n_samples=20_000 + i)
    folder = tmp_path_factory.mktemp("carry")
    done = subprocess.run(
        [BENCHMARKS / "pack_for_gpu.sh", folder],
        env={**os.environ, "NASBENCH_ECG_DATA": str(data), "PACK_NO_WHEELS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 records, 0 wheels" in done.stdout
    return folder, data


def on_gpu(out, carry, runs, minutes="90", **more):
    """Run the script; return its exit code and what it printed."""
    (out.parent / "runs.txt").write_text("# runs\n" + "\n".join(runs) + "\n")
    (out.parent / "mine.toml").write_text(
        'title = "One run"\nabout = "A test."\nseeds = [0]\n'
        '[[runs]]\nstrategies = ["cnn-9"]\ndatasets = ["synthetic-2lead"]\nprofiles = ["smoke"]\n'
    )
    (out.parent / "commands.txt").write_text(f"suite run {out.parent / 'mine.toml'} --workers 1\n")
    env = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "ON_GPU_CARRY": str(carry),
        "ON_GPU_PYTHON": sys.executable,
        "ON_GPU_DEVICE": "cpu",
        "ON_GPU_PROFILE": "smoke",
        "ON_GPU_RUNS": str(out.parent / "runs.txt"),
        "ON_GPU_COMMANDS": str(out.parent / "commands.txt"),
        "ON_GPU_SPEED": "--only training-smoke --no-bf16 --name here",
        "ON_GPU_TABLES": "",
        **more,
    }
    env.pop("NASBENCH_ECG_DATA", None)
    command = [BENCHMARKS / "on_gpu.sh", minutes, out]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def session(tmp_path_factory, carry):
    """A whole session with a run that succeeds and one that fails."""
    out = tmp_path_factory.mktemp("session") / "out"
    tiny = f"darts synthetic-2lead {TINY}"
    code, printed = on_gpu(out, carry[0], ["no-such-strategy synthetic-2lead", tiny])
    return out, code, printed


def outcomes(out):
    found = json.loads((out / "summary.json").read_text())
    return {outcome["name"].split()[0]: outcome for outcome in found}


@pytest.mark.slow
def test_a_failed_step_does_not_stop_the_others(session):
    out, code, printed = session
    by_name = outcomes(out)
    assert code == 0, printed
    assert list(by_name)[:4] == ["prepare", "plugins", "equality", "speed"]
    assert set(list(by_name)[4:]) == {"01", "02", "suite"}
    failed = by_name.pop("01")
    assert failed["status"] == "failed (2)"
    logs = "\n".join(path.read_text() for path in (out / "logs").iterdir())
    assert {outcome["status"] for outcome in by_name.values()} == {"ok"}, logs
    assert "| 01 no-such-strategy synthetic-2lead | failed (2) |" in printed


@pytest.mark.slow
def test_the_archive_holds_the_run_record_and_the_equality_checks(session):
    out, _, _ = session
    with tarfile.open(out / "take-home.tar.gz") as tar:
        names = tar.getnames()
        (record,) = [n for n in names if n.startswith("results/runs/") and n.count("/") == 2
                     and n.endswith(".json")]  # fmt: skip
        assert json.load(tar.extractfile(record))["status"] == "ok"
        equality = json.load(tar.extractfile("equality.json"))
    assert len(equality) == 18
    assert all(check["held"] for check in equality)
    assert {"results/speed/here.json", "summary.md", "logs/prepare.log"} <= set(names)
    assert not [name for name in names if name.startswith(("work", "done"))]


@pytest.mark.slow
def test_unpacked_records_are_equal_byte_for_byte(session, carry):
    out, _, _ = session
    _, data = carry
    for path in (data / "mitdb").iterdir():
        assert (out / "work" / "data" / "mitdb" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def steps(monkeypatch):
    """The module that does the steps."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "gpu"))
    import session

    return session


def made(steps, tmp_path, code, *, seconds=60.0):
    for folder in ("logs", "done"):
        (tmp_path / folder).mkdir(exist_ok=True)
    step = steps.Step("a step", [sys.executable, "-c", code])
    return steps.perform(step, tmp_path, time.monotonic() + seconds, dict(os.environ))


def test_a_done_step_is_skipped_and_a_failed_one_is_repeated(steps, tmp_path):
    assert made(steps, tmp_path, "print('done')").status == "ok"
    again = made(steps, tmp_path, "print('done')")
    assert (again.status, again.last) == ("done before", "done")
    assert made(steps, tmp_path, "raise SystemExit(3)").status == "failed (3)"
    assert made(steps, tmp_path, "raise SystemExit(3)").status == "failed (3)"


def test_a_step_gets_sigterm_when_its_time_is_over(steps, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "_LEAST", 0.0)
    code = (
        "import signal, sys, time\n"
        "def end(*_): print('saved a checkpoint', flush=True); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "time.sleep(600)"
    )
    outcome = made(steps, tmp_path, code, seconds=4.0)
    assert outcome.status == "stopped: time"
    assert outcome.last == "saved a checkpoint"


def test_no_step_is_started_when_the_minutes_are_over(steps, tmp_path):
    assert made(steps, tmp_path, "print()", seconds=0.0).status == "not started: time"


def test_a_found_architecture_comes_home_without_checkpoints_and_weights(steps, tmp_path):
    names = {
        "results/a/.unfinished/k/search.json": True,
        "results/a/.unfinished/k/train.safetensors": False,
        "results/a/.unfinished/k.lock": False,
        "results/a/r.json": True,
        "results/a/r/weights.safetensors": False,
        "results/tables/s/t/shards/0001.npz": False,
        "logs/x.log": True,
    }
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    steps.pack_results(tmp_path)
    with tarfile.open(tmp_path / "take-home.tar.gz") as tar:
        packed = {entry.name for entry in tar if entry.isfile()}
    assert packed == {name for name, kept in names.items() if kept}


def test_the_published_runs_name_known_strategies_and_datasets(steps):
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.suite.spec import load_suite

    args = Namespace(
        root=ROOT, carry=ROOT, work=ROOT, out=ROOT, device="cpu", profile="paper", speed="",
        runs=BENCHMARKS / "gpu" / "runs.txt", commands=BENCHMARKS / "gpu" / "commands.txt",
        command_lanes=2, tables="a:b",
    )  # fmt: skip
    runs, tables, *others = steps.lanes(args)
    assert [step.name for step in tables] == ["tables"]
    commands = [step.name.split() for lane in others for step in lane]
    for words in commands:
        if words[0] == "suite":
            assert load_suite(words[2]).content.runs
        else:
            assert words[0] == "correlate"
    runs = [step.name.split() for step in runs]
    registry = load_registry()
    assert runs[0][1:3] == ["darts", "mitbih-2lead"]
    for _, strategy, dataset, *_ in runs:
        registry.get("strategy", strategy)
        registry.get("dataset", dataset)
    assert len({tuple(run[1:]) for run in runs}) == len(runs)


def test_leaving_out_a_package_leaves_out_its_own_requirements(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "gpu"))
    from packages import needed

    names = {line.partition("==")[0] for line in needed({"torch", "pandas"})}
    assert {"wfdb", "soundfile", "pydantic-core"} <= names
    assert not names & {"torch", "pandas", "nasbench-ecg", "sympy"}
