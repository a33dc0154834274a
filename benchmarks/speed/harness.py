"""Speed of the harness itself: loading beats, the command line, and suites with two workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import Target

from nasbench_ecg.api import Silent
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.record_files import read_records


def loading() -> Target | None:
    """Time loading the 40 records of ``mitbih-2lead`` without and with a cache.

    None if the records are missing.
    """
    component = load_registry().get("dataset", "mitbih-2lead")
    options = component.options_model()()
    times = {}
    fingerprints = set()
    with tempfile.TemporaryDirectory() as cache:
        source = LocalSource(cache=Path(cache))
        for name in ("cold", "warm"):
            dataset = component.create(options)
            start = time.perf_counter()
            try:
                loaded = load_beats(
                    name=component.name,
                    revision=component.spec.revision,
                    options=options,
                    dataset=dataset,
                    source=source,
                    progress=Silent(),
                )
            except MissingDataError:
                return None
            times[name] = time.perf_counter() - start
            fingerprints.add(loaded.beats.fingerprint())
            assert loaded.from_cache == (name == "warm")
    return Target(
        what="40 records to beats",
        target="cold ≤ 5 s, warm ≤ 0.3 s",
        seconds=times,
        same="equal fingerprints" if len(fingerprints) == 1 else "DIFFERENT beats",
        held=times["cold"] <= 5 and times["warm"] <= 0.3 and len(fingerprints) == 1,
    )


def command_line() -> list[Target]:
    """Time ``--help`` and ``list`` as processes, compared with an empty Python program."""
    return [
        _command("--help", 0.2),
        _command("list", 0.4),
    ]


def suite(runs: int = 4, epochs: int = 30) -> Target:
    """Time a suite of equal runs with one and with two workers; every run uses one thread.

    Args:
        runs: Number of runs, which differ in their seed.
        epochs: Epochs of training in each run.
    """
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        file = here / "equal-runs.toml"
        file.write_text(
            f'title = "Equal runs"\nseeds = {list(range(runs))}\n[[runs]]\n'
            'strategies = ["cnn-9"]\ndatasets = ["synthetic-2lead"]\nprofiles = ["smoke"]\n'
            f"set.evaluator.epochs = {epochs}\n"
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        beats = ["run", "cnn-9", "synthetic-2lead", "--profile", "smoke", "--device", "cpu"]
        _nasbench(*beats, "--set", "evaluator.epochs=1", "--out", folder, env=environment)
        seconds, found = {}, []
        for workers in (1, 2):
            out = here / str(workers)
            start = time.perf_counter()
            _nasbench(
                "suite", "run", str(file), "--device", "cpu", "--workers", str(workers),
                "--out", str(out), env=environment,
            )  # fmt: skip
            seconds[f"{workers} worker{'s' * (workers > 1)}"] = time.perf_counter() - start
            records, _ = read_records(out)
            found.append({record.run_key: record.confusion for record in records})
    equal = found[0] == found[1] and len(found[0]) == runs
    return Target(
        what=f"suite of {runs} equal runs (cnn-9, {epochs} epochs of 1,000 beats, one thread each)",
        target="two workers ≥ 1.8× one",
        seconds=seconds,
        same="equal confusion matrices" if equal else "DIFFERENT results",
        held=equal and seconds["1 worker"] / seconds["2 workers"] >= 1.8
        if (os.cpu_count() or 1) > 1
        else None,
    )


def _nasbench(*words: str, env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "nasbench_ecg", *words], check=True, capture_output=True, env=env
    )


def _command(word: str, most: float) -> Target:
    installed = Path(sys.executable).with_name("nasbench-ecg")
    module = [sys.executable, "-m", "nasbench_ecg"]
    script = [*([str(installed)] if installed.is_file() else module), word]
    bare = [sys.executable, "-c", "pass"]
    times: dict[str, list[float]] = {"bare python": [], word: []}
    for _ in range(7):
        for name, command in (("bare python", bare), (word, script)):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=os.environ)
            times[name].append(time.perf_counter() - start)
    seconds = {name: median(values[1:]) for name, values in times.items()}
    return Target(
        what=f"nasbench-ecg {word}",
        target=f"≤ {most} s",
        seconds=seconds,
        held=seconds[word] <= most,
    )
