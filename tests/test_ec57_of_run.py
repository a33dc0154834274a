"""``nasbench-ecg score --run``: the EC57 report of a run's test part, record by record."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.ec57.scores import gross
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.report.networks.ec57_of_run import comparisons_of_run, notes_of_run
from nasbench_ecg.run.record_files import read_records


def nasbench(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    words = ["run", "cnn-9", "synthetic-2lead", "--profile", "smoke", "--protocol", "inter-patient"]
    assert nasbench(*words, "--out", out, "--device", "cpu").exit_code == 0
    (record,), _ = read_records(out)
    return record, out


def test_the_gross_scores_are_those_of_the_run(trained):
    record, out = trained
    found = comparisons_of_run(record, out)
    assert [one.record for one in found] == list(record.per_record)
    assert sum(one.counts.sum() for one in found) == np.sum(record.confusion)
    scores = gross(found)
    for name in ("v_se", "v_pp", "s_se", "s_pp"):
        assert getattr(scores, name) == pytest.approx(record.metrics.get(f"ec57_{name}"))


def test_predictions_take_the_place_of_missing_matrices(trained):
    record, out = trained
    older = record.model_copy(update={"per_record": {}})
    for one, other in zip(
        comparisons_of_run(record, out), comparisons_of_run(older, out), strict=True
    ):
        assert one.record == other.record and np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize("beat", [0, -1])
def test_predictions_that_are_not_those_of_the_record_are_refused(trained, tmp_path, beat):
    record, out = trained
    older = record.model_copy(update={"per_record": {}})
    folder = tmp_path / record.suite / record.run_key
    shutil.copytree(out / record.suite / record.run_key, folder)
    path = folder / "predictions.json"
    stored = json.loads(path.read_text())
    stored["predicted"][beat] = (stored["predicted"][beat] + 1) % len(record.classes)
    path.write_text(json.dumps(stored))
    with pytest.raises(StorageError, match="predictions cannot be used"):
        comparisons_of_run(older, tmp_path)
    stored["predicted"][beat] = len(record.classes)
    path.write_text(json.dumps(stored))
    with pytest.raises(StorageError, match="predictions cannot be used"):
        comparisons_of_run(older, tmp_path)


def test_the_report_scores_no_detection(trained, tmp_path):
    record, out = trained
    outputs = [tmp_path / f"r.{suffix}" for suffix in ("csv", "tex", "json")]
    said = nasbench(
        "score", "--run", record.run_key[:8], "--out", out,
        *(w for path in outputs for w in ("-o", path)),
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "QRS" not in outputs[0].read_text()
    rows = list(csv.reader(outputs[0].read_text().splitlines()))
    assert [row[1] for row in rows[1 : len(record.per_record) + 1]] == list(record.per_record)
    data = json.loads(outputs[2].read_text())
    assert data["run"] == record.run_key and "qrs_se" not in data["gross"]


def test_what_cannot_be_scored_is_said(trained):
    record, out = trained
    assert "are in the training part too" not in " ".join(notes_of_run(record))
    failed = record.model_copy(update={"status": "failed"})
    with pytest.raises(OptionError, match="no beats of the classes"):
        comparisons_of_run(failed, out)
    assert "Two annotations are needed" in nasbench("score").output
    both = nasbench("score", "a", "b", "--run", record.run_key, "--out", out)
    assert both.exit_code == 2 and "without annotation files" in both.output
    for option in (["--learning", "300"], ["--match", "0.1"], ["--symbols", "papers"]):
        idle = nasbench("score", "--run", record.run_key, "--out", out, *option)
        assert idle.exit_code == 2 and f"{option[0]} has no effect" in " ".join(idle.output.split())
    older = record.model_copy(update={"per_record": {}, "suite": "elsewhere"})
    with pytest.raises(Exception, match="predictions cannot be used"):
        comparisons_of_run(older, out)
