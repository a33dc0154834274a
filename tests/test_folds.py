"""Folds of one method and seed: one run each, one result on leaderboards."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from run_records import ONE_LEAD, TWO_LEAD, run_record, shown
from sklearn.metrics import precision_score, recall_score
from typer.testing import CliRunner

from nasbench_ecg.architecture import digest
from nasbench_ecg.cli import app
from nasbench_ecg.data.protocols import PatientKFoldOptions, check_one_split, open_folds
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.report.leaderboard.build import build_report, leaderboards
from nasbench_ecg.report.leaderboard.folds import pool_folds
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.render import FORMATS, render
from nasbench_ecg.report.render.terminal import leaderboard_table
from nasbench_ecg.report.studies.generalization import generalization
from nasbench_ecg.report.summary.folds import fold_summary
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.folds import each_fold
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.plan import PlannedRun, plan
from nasbench_ecg.suite.spec import parse_suite

MATRICES = [ONE_LEAD, TWO_LEAD]


def fold(strategy: str, number: int, seed: int = 0, k: int = 2, **fields: object) -> RunRecord:
    given = {
        "protocol": "patient-kfold",
        "protocol_options": {"k": k, "fold": number, "seed": 0, "macro_min_beats": None},
        "split": f"{number}{k}" * 32,
        "confusion": MATRICES[number % 2],
    }
    return run_record(strategy, seed, **{**given, **fields})  # type: ignore[arg-type]


def folds(strategy: str, seed: int = 0, k: int = 2) -> list[RunRecord]:
    return [fold(strategy, number, seed, k) for number in range(k)]


def only(records: list[RunRecord]) -> Leaderboard:
    (board,) = leaderboards(records)
    return board


def test_a_request_without_a_fold_stands_for_a_run_of_each_fold() -> None:
    registry = load_registry()
    request = RunRequest("random", "synthetic-2lead", "patient-kfold", "smoke", device="cpu")
    options = [one.overrides["protocol"] for one in each_fold(registry, request)]
    assert options == [{"fold": number} for number in range(5)]
    three = replace(request, overrides={"protocol": {"k": 3}, "strategy": {"samples": 2}})
    assert [one.overrides for one in each_fold(registry, three)] == [
        {"protocol": {"k": 3, "fold": number}, "strategy": {"samples": 2}} for number in range(3)
    ]
    chosen = replace(request, overrides={"protocol": {"fold": 2}})
    assert each_fold(registry, chosen) == [chosen]
    other = replace(request, protocol="intra-patient")
    assert each_fold(registry, other) == [other]


def test_a_run_of_one_fold_keeps_the_key_of_the_time_before_null_was_the_default() -> None:
    request = RunRequest(
        "cnn-9", "synthetic-2lead", "patient-kfold", "smoke", device="cpu",
        overrides={"protocol": {"fold": 0}},
    )  # fmt: skip
    config = configure(load_registry(), request)
    assert config.key() == "658d8f04844f2b47"


def test_a_single_split_needs_a_fold() -> None:
    assert open_folds(PatientKFoldOptions(k=3)) == 3
    assert open_folds(PatientKFoldOptions(fold=1)) == 0
    with pytest.raises(ProtocolError, match="no fold is chosen") as e:
        check_one_split("patient-kfold", PatientKFoldOptions())
    assert "--set protocol.fold=0" in (e.value.fix or "")


def test_a_fold_that_does_not_exist_is_refused_before_anything_is_shown() -> None:
    command = ["run", "cnn-9", "synthetic-2lead", "--protocol", "patient-kfold", "--profile"]
    command += ["smoke", "--set", "protocol.fold=9", "--dry-run"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and not result.stdout
    assert "there is no fold 9" in result.stderr and "Reading" not in result.stderr


def test_a_suite_plans_a_run_of_each_fold_in_one_row() -> None:
    text = """title = "t"
seeds = [0, 1]
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
protocols = ["patient-kfold"]
profiles = ["smoke"]
set.protocol.k = 3
"""
    runs: list[PlannedRun] = plan(parse_suite(text, "t", "t.toml"), load_registry(), device="cpu")
    assert [run.number for run in runs] == [
        (f"seed {seed}", f"fold {number}") for seed in (0, 1) for number in range(3)
    ]
    assert len({run.key for run in runs}) == 6
    assert {run.row for run in runs} == {("synthetic-2lead", "patient-kfold k=3", "smoke", "cnn-9")}


def test_the_score_of_all_folds_is_that_of_all_beats() -> None:
    total = np.add(*MATRICES)
    truth = np.repeat(np.arange(5), total.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(5), row) for row in total])
    se = recall_score(truth, predicted, average="macro")
    pp = precision_score(truth, predicted, average="macro")
    (row,) = only(folds("darts")).rows
    assert row.scores["f1_of_macro"].mean == pytest.approx(2 * se * pp / (se + pp), abs=1e-12)
    assert row.scores["accuracy"].mean == pytest.approx((truth == predicted).mean(), abs=1e-12)
    own = [record.metrics["f1_of_macro"] for record in folds("darts")]
    assert row.folds is not None
    spread = row.folds.spread["f1_of_macro"]
    assert (spread.n, spread.mean, spread.sd) == (2, fmean(own), stdev(own))
    assert row.rank == 1 and len(row.run_keys) == 2


def test_each_seed_has_one_pooled_score() -> None:
    (row,) = only([*folds("darts", 0), *folds("darts", 1), *folds("darts", 2)]).rows
    assert row.seeds == ((0, 0), (1, 1), (2, 2))
    assert row.scores["f1_of_macro"].n == 3 and len(set(row.score_by_seed)) == 1


@pytest.mark.parametrize("how", ["absent", "failed"])
def test_a_result_that_lacks_a_fold_is_shown_and_not_ranked(how: str) -> None:
    lacking = [fold("lucky", 0)]
    lacking += [fold("lucky", 1, status="failed")] if how == "failed" else []
    board = only([*folds("darts"), *lacking])
    assert [(row.strategy, row.rank) for row in board.rows] == [("darts", 1), ("lucky", None)]
    row = board.rows[1]
    assert row.folds is not None and row.folds.missing == (((0, 0), (1,)),)
    assert row.runs_without_result == ({"failed": 1} if how == "failed" else {})
    assert not row.scores and row.folds.spread["accuracy"].n == 1
    text = " ".join(shown(leaderboard_table(board, width=80)).split())
    assert "incomplete: no fold 1 of 2" in text and "are not ranked" in text


@pytest.mark.usefixtures("made_up_records")
def test_missing_folds_are_in_the_json_of_a_leaderboard(tmp_path: Path) -> None:
    for record in [*folds("darts"), fold("darts", 0, seed=1)]:
        record = record.model_copy(update={"run_key": digest(record.model_dump())[:16]})
        RecordStore(tmp_path, "runs").write(record)
    result = CliRunner().invoke(app, ["leaderboard", "--out", str(tmp_path), "--json"])
    ((row,),) = [board["rows"] for board in json.loads(result.stdout)["leaderboards"]]
    assert row["folds"]["missing"] == [[[1, 1], [1]]]


def test_a_single_fold_alone_is_incomplete() -> None:
    board = only([fold("darts", 1)])
    assert board.rows[0].rank is None and board.options == {}


def test_another_number_of_folds_or_other_beats_make_another_leaderboard() -> None:
    boards = leaderboards([*folds("darts"), *folds("darts", k=3)])
    assert [board.options for board in boards] == [{"protocol.k": 3}, {"protocol.k": 2}] or [
        board.options for board in boards
    ] == [{"protocol.k": 2}, {"protocol.k": 3}]
    others = [record.model_copy(deep=True) for record in folds("random")]
    for record in others:
        assert record.dataset is not None
        record.dataset.fingerprint = "e" * 64
    assert len(leaderboards([*folds("darts"), *others])) == 2


def test_classes_are_chosen_by_the_beats_of_all_folds() -> None:
    """Seven Q beats in each fold are too few; fourteen are enough."""
    matrix = [[90, 0, 0, 0, 0], [0, 50, 0, 0, 0], [0, 0, 40, 0, 0], [0] * 5, [7, 0, 0, 0, 0]]
    counts = {"N": 180, "S": 100, "V": 80, "F": 0, "Q": 14}
    records = [fold("darts", n, confusion=matrix, macro_classes=["N", "S", "V"]) for n in (0, 1)]
    for record in records:
        assert record.dataset is not None
        record.dataset.counts = counts
    board = only(records)
    assert board.macro_classes == ("N", "S", "V", "Q")
    assert board.rows[0].scores["macro_se"].mean == pytest.approx(0.75)


def test_the_order_of_folds_does_not_matter() -> None:
    records = [*folds("darts"), *folds("random"), fold("cnn-9", 1), *folds("darts", 1, k=3)]
    assert leaderboards(records) == leaderboards(records[::-1])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_the_pooled_score_and_the_folds(form: str) -> None:
    text = render(build_report([*folds("darts"), fold("lucky", 0)], "Folds"), form)
    pooled = only(folds("darts")).rows[0].scores["f1_of_macro"].mean
    if form == "csv":
        lines = {line["strategy"]: line for line in csv.DictReader(io.StringIO(text))}
        assert float(lines["darts"]["f1_of_macro_mean"]) == pytest.approx(pooled)
        assert lines["darts"]["folds"] == "2" and lines["darts"]["f1_of_macro_folds_sd"]
        assert lines["lucky"]["folds_missing"] == "0/0:1"
        assert lines["lucky"]["kind"] == "unranked" and not lines["lucky"]["f1_of_macro_mean"]
    else:
        assert f"{100 * pooled:.2f}" in text and "F1 folds" in text
        assert "no fold 1 of 2" in text
    if form == "html":
        assert "summed over seeds and folds" in text


def test_the_summary_of_folds_names_them_and_the_pooled_matrix() -> None:
    _, sets = pool_folds(folds("darts"))
    (one,) = sets.values()
    text = shown(fold_summary(one, out=Path("results")))
    assert "fold 0" in text and "all folds" in text and f"{16007 + 16001}" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    _, sets = pool_folds(folds("darts")[:1])
    (one,) = sets.values()
    assert "no result of fold 1" in shown(fold_summary(one, out=Path("r")))


def test_generalization_compares_pooled_scores() -> None:
    source = run_record("darts", confusion=TWO_LEAD)
    origin = {
        "run_key": source.run_key, "strategy": "darts", "dataset": "mitbih-2lead",
        "protocol": "intra-patient",
    }  # fmt: skip
    given = {"strategy": {"architecture": {"normal": [1]}, "origin": origin}}
    there = [fold("given", number, changed=given, dataset="svdb-2lead") for number in range(2)]
    direct = [fold("cnn-9", number, dataset="svdb-2lead") for number in range(2)]
    (target,) = generalization([source, *there, *direct]).targets
    pooled = only(folds("darts")).rows[0].scores["f1_of_macro"].mean
    assert [result.f1 for result in target.results.values()] == [pytest.approx(pooled)] * 2
    assert [result.drop for result in target.results.values()] == [pytest.approx(0.0), None]
