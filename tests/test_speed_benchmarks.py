"""``python benchmarks/speed`` from end to end with tiny settings; no time is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path

import pytest
import torch

SPEED = Path(__file__).parents[1] / "benchmarks" / "speed"


@pytest.fixture
def speed_modules(monkeypatch):
    monkeypatch.syspath_prepend(str(SPEED))


def run(out, *arguments):
    """Run the command; return what it printed."""
    command = [sys.executable, str(SPEED), "--device", "cpu", "--no-bf16", "--out", str(out)]
    env = {**os.environ, "NASBENCH_ECG_CACHE": str(out / "cache")}
    done = subprocess.run(
        [*command, *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_benchmarks_write_json_and_the_same_table_in_markdown(tmp_path):
    only = ("supernet-smoke", "training-smoke", "whole-run", "busy")
    printed = run(
        tmp_path,
        *(word for name in only for word in ("--only", name)),
        *("--dataset", "synthetic-2lead", "--profile", "smoke", "--epochs", "1", "--name", "here"),
    )
    report = json.loads((tmp_path / "here.json").read_text())
    search, final, supernet, training = report["targets"]
    assert report["machine"]["torch"] == torch.__version__
    assert float(supernet["same"].split()[-1]) < 1e-4
    assert float(training["same"].split()[-1]) < 1e-4
    assert supernet["ratio"] > 0
    for part, target in (("search", search), ("training", final)):
        assert target["what"].startswith(f"whole {part}, profile smoke, synthetic-2lead")
        assert list(target["seconds"]) == ["EXTRAPOLATED from 1 of 2 epochs"]
        assert target["figures"]["epochs_measured"] == 1
        assert target["held"] is None
    table = (tmp_path / "here.md").read_text()
    assert all(f"| {target['what']} |" in table for target in report["targets"])
    assert "busy: not measured, it needs a GPU" in printed


@pytest.fixture
def command(speed_modules, monkeypatch, tmp_path):
    """Return the command in this process, with two benchmarks that measure nothing."""
    from measure import Target

    def target(name):
        return Target(name, "none", {"one": next(seconds)})

    def call(*arguments):
        words = ["--device", "cpu", "--out", str(tmp_path), "--name", "here", *arguments]
        monkeypatch.setattr(sys, "argv", ["speed", *words])
        return program.main()

    seconds = count(2.0)
    spec = spec_from_file_location("speed_program", SPEED / "__main__.py")
    program = module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(
        program,
        "benchmarks",
        lambda plan, bf16: {name: partial(target, name) for name in ("first", "second")},
    )
    return call


def test_an_update_keeps_the_rows_of_other_benchmarks(command, tmp_path):
    def rows():
        report = json.loads((tmp_path / "here.json").read_text())
        return {row["benchmark"]: row["seconds"]["one"] for row in report["targets"]}

    command("--only", "second")
    busier = json.loads((tmp_path / "here.json").read_text())
    busier["machine"]["load"] = 1000.0
    (tmp_path / "here.json").write_text(json.dumps(busier))
    command("--only", "first", "--update")
    assert "load at most 1000.0 at the start" in (tmp_path / "here.md").read_text()
    assert rows() == {"first": 3.0, "second": 2.0}
    command("--only", "first")
    assert rows() == {"first": 4.0}


def test_an_update_of_the_results_of_another_machine_is_refused(command, tmp_path):
    command("--only", "first")
    path = tmp_path / "here.json"
    report = json.loads(path.read_text())
    report["machine"]["cpu"] = "another"
    path.write_text(json.dumps(report))
    with pytest.raises(SystemExit, match="was measured with another cpu: leave out --update"):
        command("--update")
    assert json.loads(path.read_text()) == report


@pytest.mark.slow
def test_a_published_search_needs_a_gpu_or_a_number_of_epochs(tmp_path):
    printed = run(tmp_path, "--only", "whole-run")
    assert "whole-run: not measured, without a GPU it needs --epochs" in printed


@pytest.mark.parametrize(
    ("measured", "epochs", "total"),
    [([3.0], 10, 30.0), ([5.0, 2.0, 2.0], 10, 9 + 14.0), ([5.0, 2.0], 2, 7.0)],
)
def test_the_extrapolation_uses_the_median_of_the_later_epochs(
    speed_modules, measured, epochs, total
):
    from paper import extrapolated

    assert extrapolated(measured, epochs) == pytest.approx(total)


@pytest.mark.slow
def test_each_proxy_is_timed_and_compared_with_one_pass_of_the_network(
    speed_modules, monkeypatch, tmp_path
):
    from proxies import PROXIES, proxies

    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path))
    target = proxies("smoke", "cpu", n=1)
    assert list(target.seconds) == ["built, one pass forward and back", *PROXIES]
    assert target.figures["slowest"] == max(target.seconds[name] for name in PROXIES)


def test_overlapping_kernels_count_once(speed_modules):
    from busy import covered

    assert covered([(5, 6), (0, 2), (1, 3), (1.5, 2.5)]) == pytest.approx(4)
    assert covered([]) == 0


def test_the_profiled_window_ends_the_work_after_its_last_step(speed_modules):
    from busy import EnoughError, StepWindow

    window = StepWindow("cpu", first=2, last=5)
    done = 0
    with pytest.raises(EnoughError), window.track("Searching", 100) as bar:
        bar.advance(0)
        for _ in range(100):
            torch.ones(8).sum()
            done += 1
            bar.advance()
    assert done == 5
    assert window.seconds > 0
    assert window.share() == 0  # no kernel ran on a GPU
