"""Loading of beats, and the answers of the command line."""

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
from nasbench_ecg.registry import load_registry


def loading() -> Target | None:
    """Time the 40 records of ``mitbih-2lead`` to beats, cold and warm; None without records."""
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
    """Time ``--help`` and ``list`` as whole processes, beside a bare interpreter."""
    return [
        _command("--help", 0.2),
        _command("list", 0.4),
    ]


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
