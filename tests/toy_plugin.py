"""Two tiny datasets as a plugin, so that a test can run a whole command on them."""

from __future__ import annotations

from pathlib import Path

import made_up_plugin
from tiny_beats import tiny_beats
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.executors import Outcome
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.suite.processes import LocalExecutor


class Toy:
    """240 beats of 120 samples that a tiny network learns."""

    n_leads = 2

    def __init__(self, options):
        self.options = options

    def requires(self):
        return ()

    def load(self, source, progress):
        return tiny_beats(240, n_leads=self.n_leads, n_samples=120, seed=self.n_leads)

    def partition(self, protocol):
        return None


class ToyOneLead(Toy):
    n_leads = 1


def install(monkeypatch, tmp_path: Path) -> None:
    """Add ``toy-2lead`` and ``toy-1lead``, and run the jobs of a suite in this process."""
    specs = (
        DatasetSpec(name="toy-2lead", target=Toy, summary="Two leads", generated=True),
        DatasetSpec(name="toy-1lead", target=ToyOneLead, summary="One lead", generated=True),
    )
    made_up_plugin.install(monkeypatch, *specs, name="toy", distribution="toy", version="1")
    monkeypatch.setattr(LocalExecutor, "submit", _in_this_process)
    monkeypatch.setattr(
        LocalExecutor, "outcome", lambda self, handle: Outcome(int(handle), False, 0.1)
    )
    monkeypatch.setattr("nasbench_ecg.cli.execution.interrupt_on_sigterm", lambda: None)
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))


def _in_this_process(self, jobs):
    handles = []
    for job in jobs:
        words = job.command[job.command.index("run") :]
        result = CliRunner().invoke(app, words)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text(result.output)
        handles.append(str(result.exit_code))
    return handles
