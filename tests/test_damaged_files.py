"""Damaged record files are refused where checksums lie beside them: few cases of the benchmark."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from wfdb_files import real_database, write_record

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "damaged_files" / "__main__.py"


@pytest.fixture(scope="module")
def damaged_files():
    spec = importlib.util.spec_from_file_location("damaged_files_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def records(tmp_path):
    symbols = ["N", "V"]
    for i, name in enumerate(("a", "b")):
        beats = [(s + 7 * i, symbols[(s // 300) % 2]) for s in range(400, 3600, 300)]
        signals = np.random.default_rng(i).normal(0, 0.5, (2, 4000)).round(2)
        write_record(tmp_path / "mitdb", name, signals=signals, beats=beats)
    return tmp_path / "mitdb"


def test_no_damage_is_accepted_where_checksums_lie_beside_the_records(damaged_files, records):
    counts = damaged_files.count(records, ["a", "b"], 60, sums=True)
    total = sum(counts.values(), Counter())
    assert total["refused"] == total.total() > 50


def test_without_checksums_no_damage_ends_in_another_exception(damaged_files, records):
    counts = damaged_files.count(records, ["a", "b"], 60, sums=False)
    assert sum(counts.values(), Counter())["crashed"] == 0
    signal_files = sum((n for kind, n in counts.items() if kind.startswith("dat")), Counter())
    assert signal_files["accepted"] == 0 < signal_files["refused"]


def test_no_damage_of_real_records_is_accepted(damaged_files):
    counts = damaged_files.count(real_database("mitdb"), ["100", "207"], 12, sums=True, seed=1)
    assert set(sum(counts.values(), Counter())) == {"refused"}
