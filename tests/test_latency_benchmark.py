"""``python benchmarks/latency`` replaces latencies and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_records import keyed, run_record, with_f1

from nasbench_ecg.run.environment import cpu_name
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells

LATENCY = Path(__file__).parents[1] / "benchmarks" / "latency"


def recorded(seed: int, cpu: str) -> RunRecord:
    """Return a run with a real network and latencies of a day."""
    arch = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(seed))
    record = run_record(
        seed=seed,
        metrics=with_f1(0.9),
        architecture=arch.to_dict(),
        costs={"parameters": 7.0, "latency_1_ms": 864e5, "latency_256_ms": 864e5},
        provenance={"cpu": cpu, "threads": 2},
    )
    options = StackedCellsShortcutOptions(cells=6, channels=2).model_dump(mode="json")
    record.components["builder"].options = options
    return keyed(record)


def measure(out: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(LATENCY), "--out", str(out), "--rounds", "1"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_latencies_are_measured_again_and_nothing_else_changes(tmp_path: Path) -> None:
    before = {f"{suite}-{seed}": recorded(seed, cpu_name()) for suite in "ab" for seed in (0, 1)}
    for name, record in before.items():
        RecordStore(tmp_path, name[0]).write(record.model_copy(update={"suite": name[0]}))
    RecordStore(tmp_path, "a").write(keyed(run_record(status="failed")))
    done = measure(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 records of 2 networks" in done.stdout
    records, _ = read_records(tmp_path)
    after = {f"{r.suite}-{r.search_seed}": r for r in records if r.status == "ok"}
    for name, record in after.items():
        assert 0 < record.costs["latency_1_ms"] < 1e4
        assert record.provenance["latency_threads"] == 1
        assert "latency_measured" in record.provenance
        same = {"costs", "provenance", "suite"}
        assert record.model_dump(exclude=same) == before[name].model_dump(exclude=same)
        assert record.costs["parameters"] == 7.0
    assert after["a-0"].costs == after["b-0"].costs != after["a-1"].costs


@pytest.mark.parametrize("cpu", ["another processor"])
@pytest.mark.slow
def test_runs_of_another_machine_are_refused(tmp_path: Path, cpu: str) -> None:
    store = RecordStore(tmp_path, "a")
    path = store.write(recorded(0, cpu))
    text = path.read_text()
    done = measure(tmp_path)
    assert done.returncode == 2 and cpu in done.stderr
    assert path.read_text() == text
