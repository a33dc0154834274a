"""A record proves itself: each edit that contradicts the rest of the record is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_records import CLASSES, TWO_LEAD, keyed, run_record
from typer.testing import CliRunner

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.metrics import scores
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.consistency import score_metric
from nasbench_ecg.run.key import key_of_record
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.request import RunRequest

ROOT = Path(__file__).parents[1]
FOUND = Architecture("conv-cells", {"normal": [], "reduction": []})


def whole() -> dict[str, Any]:
    """Return a record that agrees with itself, with something of every kind in it."""
    record = run_record(
        confusion=TWO_LEAD,
        architecture=FOUND.to_dict(),
        architecture_hash=FOUND.hash,
        trajectory=[
            {"seconds": 1.0, "evaluations": 1.0, "value": 0.5, "best": 0.5},
            {"seconds": 2.0, "evaluations": 2.0, "value": 0.4, "best": 0.5},
        ],
        budget={"evaluations": 2},
    )
    record.score, record.score_metric = record.metrics["f1_of_macro"], "f1_of_macro"
    data: dict[str, Any] = json.loads(keyed(record).model_dump_json())
    return data


def read(data: dict[str, Any], folder: Path) -> Any:
    path = folder / f"{data['run_key']}.json"
    path.write_text(json.dumps(data))
    return read_record_file(path)


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return an edit that sets one value."""

    def edit(data: dict[str, Any]) -> None:
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = value

    return edit


def moved_beat(data: dict[str, Any]) -> None:
    """Move a wrong beat onto the diagonal, which leaves the sums of the rows."""
    data["confusion"][1][0] -= 1
    data["confusion"][1][1] += 1


def easier(data: dict[str, Any]) -> None:
    """Leave the two hardest classes out of the macro scores, and compute these accordingly."""
    kept = ["N", "V", "Q"]
    data["macro_classes"] = kept
    data["metrics"] = scores(np.asarray(TWO_LEAD), data["classes"], kept)
    data["score"] = data["metrics"]["f1_of_macro"]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a higher F1": (put("metrics", "f1_of_macro", value=0.999), "metrics.f1_of_macro"),
    "a higher accuracy": (put("metrics", "accuracy", value=0.9999), "metrics.accuracy"),
    "a gross score": (put("metrics", "ec57_v_se", value=1.0), "metrics.ec57_v_se"),
    "a higher score": (put("score", value=0.999), "score is 0.999"),
    "the accuracy as score": (put("score_metric", value="accuracy"), "accuracy"),
    "a better matrix": (moved_beat, "by the confusion matrix"),
    "a larger matrix": (put("confusion", 0, 0, value=20000), "split.counts.test"),
    "a class's sensitivity": (put("per_class", "V", "se", value=1.0), "per_class.V.se"),
    "a class's support": (put("per_class", "V", "support", value=7000), "per_class.V.support"),
    "other macro classes": (put("macro_classes", value=["N", "Q"]), "macro_classes is N, Q"),
    "macro classes without S and F": (easier, "macro_classes is N, V, Q, but the protocol gives"),
    "another seed": (put("search_seed", value=7), "run_key"),
    "another seed of training": (put("evaluation_seed", value=7), "run_key"),
    "another strategy": (put("components", "strategy", "name", value="random"), "run_key"),
    "another option": (put("components", "evaluator", "options", "epochs", value=3), "run_key"),
    "another revision": (put("components", "strategy", "revision", value=9), "run_key"),
    "another protocol": (put("protocol", value="inter-patient"), "run_key"),
    "another split seed": (put("protocol_options", "seed", value=1), "run_key"),
    "another device": (put("device", value="cuda"), "run_key"),
    "another budget": (put("budget", value={}), "run_key"),
    "another key": (put("run_key", value="0123456789abcdef"), "run_key"),
    "a hidden change": (
        put("components", "strategy", "changed", value={"epochs": 50}),
        "components.strategy.changed.epochs",
    ),
    "another architecture": (
        put("architecture", "genotype", value={"normal": [1]}),
        "architecture_hash",
    ),
    "a better search": (put("trajectory", 0, "best", value=0.9), "trajectory[0].best"),
    "time that runs back": (put("trajectory", 0, "seconds", value=3.0), "trajectory has seconds"),
    "an evaluation that is undone": (
        put("trajectory", 1, "evaluations", value=0.0),
        "trajectory has evaluations",
    ),
    "a point after the end": (put("trajectory", 1, "seconds", value=1e6), "seconds.search"),
    "more test beats": (put("split", "counts", "test", "V", value=9999), "split.counts"),
    "a faster search": (put("seconds", "search", value=3.0), "seconds.total"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "read_at_all"), [(0.0, True), (0.9, False)])
def test_a_precision_of_no_predicted_beats_is_0_at_most(
    value: float, read_at_all: bool, tmp_path: Path
) -> None:
    matrix = copy.deepcopy(TWO_LEAD)
    for row in matrix:  # nothing is predicted S
        row[0], row[1] = row[0] + row[1], 0
    data = json.loads(keyed(run_record(confusion=matrix)).model_dump_json())
    assert "ec57_s_se" in data["metrics"] and "ec57_s_pp" not in data["metrics"]
    data["metrics"]["ec57_s_pp"] = value  # older records have 0
    found = read(data, tmp_path)
    assert isinstance(found, DamagedRecord) is not read_at_all
    if not read_at_all:
        assert (
            found.reason == "metrics.ec57_s_pp is 0.9, but the confusion matrix leaves it undefined"
        )


@pytest.mark.parametrize(("edit", "field"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_record_is_damaged_and_the_edit_is_named(
    edit: Callable[[dict[str, Any]], None], field: str, tmp_path: Path
) -> None:
    data = whole()
    assert not isinstance(read(data, tmp_path), DamagedRecord)
    edited = copy.deepcopy(data)
    edit(edited)
    found = read(edited, tmp_path)
    assert isinstance(found, DamagedRecord)
    assert field in found.reason


@pytest.mark.parametrize(
    ("parts", "names", "fault"),
    [
        ({"test": ["100", "103"]}, ("100", "103"), ""),
        ({"test": ["100", "103"]}, ("100", "999"), "per_record does not have the records"),
        ({"test": ["100", "103"]}, ("100",), "per_record does not have the records"),
        ({"test": ["100", "103"]}, ("103", "100"), "per_record.100 has 0 beats of N, but"),
        ({"test": ["100", "103"], "train": ["100", "103"]}, ("103", "100"), ""),  # parts of beats
    ],
)
def test_the_matrices_of_records_are_of_the_beats_of_these_records(
    parts: dict[str, list[str]], names: tuple[str, ...], fault: str, tmp_path: Path
) -> None:
    none = [[0] * len(CLASSES) for _ in CLASSES]
    data = whole()
    data["split"]["records"] = parts
    data["dataset"]["by_record"] = {"100": data["split"]["counts"]["test"], "103": {}}
    data["per_record"] = dict(zip(names, [TWO_LEAD, none], strict=False))
    found = read(data, tmp_path)
    assert (found.reason if isinstance(found, DamagedRecord) else "").startswith(fault)
    assert isinstance(found, DamagedRecord) is bool(fault)


def test_a_record_under_the_name_of_another_run_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "0123456789abcdef.json"
    path.write_text(json.dumps(whole()))
    found = read_record_file(path)
    assert isinstance(found, DamagedRecord) and "name of the file" in found.reason


def test_an_edited_record_is_on_no_leaderboard(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    for seed, f1 in ((0, None), (1, 0.9999)):
        data = json.loads(keyed(run_record(seed=seed, confusion=TWO_LEAD)).model_dump_json())
        if f1:
            data["metrics"]["f1_of_macro"] = f1
        (folder / f"{data['run_key']}.json").write_text(json.dumps(data))
    done = CliRunner().invoke(app, ["leaderboard", "--out", str(tmp_path)])
    assert "99.99" not in done.stdout and "Skipped" in done.stderr
    assert "metrics.f1_of_macro" in done.stderr


def test_metrics_of_the_evaluator_itself_are_not_compared(tmp_path: Path) -> None:
    data = whole()
    data["metrics"]["clustered_accuracy"] = 0.123
    assert not isinstance(read(data, tmp_path), DamagedRecord)


@pytest.mark.parametrize(
    ("score", "metrics", "expected"),
    [
        (0.5, {"f1_of_macro": 0.5, "accuracy": 0.5}, "f1_of_macro"),
        (-3.0, {"latency_1_ms": 3.0}, "-latency_1_ms"),
        (7.0, {"synflow": 7.0}, "synflow"),
        (0.1, {"accuracy": 0.5}, ""),
    ],
)
def test_the_metric_that_a_score_is_gets_a_name(
    score: float, metrics: dict[str, float], expected: str
) -> None:
    assert score_metric(score, metrics, "f1_of_macro") == expected


def test_a_new_record_has_the_key_of_its_configuration(shipped: Any) -> None:
    for request in (
        RunRequest("darts", "synthetic-2lead", device="cpu"),
        RunRequest("random", "mitbih-2lead", profile="paper", search_seed=3, device="cpu"),
    ):
        config = configure(shipped, request)
        assert key_of_record(new_record(config, "runs")) == config.key()


@pytest.fixture(scope="module")
def shipped() -> Any:
    from nasbench_ecg.plugin.registry import load_registry

    return load_registry()
