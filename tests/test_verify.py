"""Verify and submit: what a record says is computed again, and a forged run is refused."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nasbench_ecg as nb
from nasbench_ecg.cli import app
from nasbench_ecg.io import sha256
from nasbench_ecg.metrics import class_table, scores
from nasbench_ecg.models.repeated_run import other_scores, other_search, spread_of_seeds
from nasbench_ecg.models.stored_int8 import check_int8
from nasbench_ecg.run.key import key_of_record
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest

ROOT = Path(__file__).parents[1]
TINY = ("--set", "dataset.minutes=1", "--set", "space.nodes=2", "--set", "builder.channels=2")
# 500 beats an epoch: the network that is found then takes beats of one class for several.
RUN = (
    *("run", "darts", "synthetic-2lead", "--profile", "smoke", "--device", "cpu", *TINY),
    *("--set", "strategy.beats=500"),
)


def nasbench(*words: str | Path) -> Any:
    return CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, beats_cache: Path) -> Any:
    """A folder of results with one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        out = tmp_path_factory.mktemp("made") / "results"
        done = nasbench(*RUN, "--out", out)
        assert done.exit_code == 0, done.stderr
        yield out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of the results, to be changed."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def record_of(out: Path) -> Path:
    (path,) = (out / "runs").glob("*.json")
    return path


def outcomes(target: Path, *words: str) -> dict[str, tuple[str, str]]:
    done = nasbench("verify", target, "--json", *words)
    (run,) = json.loads(done.stdout)
    found = {check["name"]: (check["outcome"], check["detail"]) for check in run["checks"]}
    failed = any(outcome == "failed" for outcome, _ in found.values())
    assert done.exit_code == (1 if failed else 0)
    return found


@pytest.mark.slow
def test_an_honest_run_passes_every_check(out: Path) -> None:
    found = outcomes(record_of(out), "--rerun")
    assert {outcome for outcome, _ in found.values()} == {"passed"}, found
    assert "same architecture, scores and trajectory" in found["repeated run"][1]
    key = record_of(out).stem
    assert nasbench("verify", key[:6], "--out", out).exit_code == 0
    assert nasbench("verify", out).exit_code == 0


@pytest.mark.slow
def test_the_command_of_a_run_may_have_options_that_change_no_result(out: Path) -> None:
    path = record_of(out)
    command = json.loads(path.read_text())["command"]
    for more, outcome in (
        ("strategy.hessian_eigenvalue=false", "passed"),
        ("strategy.epochs=9", "failed"),
    ):
        edit(path, command=f"{command} --set {more}")
        assert outcomes(path)["command"][0] == outcome


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_files_that_are_not_those_of_the_run_are_named(out: Path) -> None:
    path = record_of(out)
    folder = path.with_suffix("")
    stored = json.loads((folder / "predictions.json").read_text())
    edit(folder / "predictions.json", predicted=stored["truth"])
    found = outcomes(path)
    assert found["files"][0] == "failed" and "predictions.json" in found["files"][1]
    assert found["predictions"][0] == "failed"
    assert found["weights"][0] == "passed"


def forge(path: Path) -> None:
    """Make all test beats right, in predictions, matrix, scores and digests alike."""
    folder = path.with_suffix("")
    stored = json.loads((folder / "predictions.json").read_text())
    edit(folder / "predictions.json", predicted=stored["truth"])
    record = json.loads(path.read_text())
    table = np.diag(np.bincount(stored["truth"], minlength=len(record["classes"])))
    metrics = scores(table, record["classes"], record["macro_classes"])
    edit(
        path,
        confusion=table.tolist(),
        per_record={},
        metrics=metrics,
        per_class=class_table(table, record["classes"]),
        score=metrics["f1_of_macro"],
        files={name: sha256(folder / name) for name in record["files"]},
    )


def test_a_forgery_that_agrees_with_itself_is_found_by_the_weights(out: Path) -> None:
    path = record_of(out)
    forge(path)
    found = outcomes(path)
    assert (found["record"][0], found["files"][0], found["predictions"][0]) == ("passed",) * 3
    assert found["weights"][0] == "failed" and "test beats" in found["weights"][1]


@pytest.mark.slow
def test_a_forgery_without_weights_is_found_by_a_repeated_run(out: Path) -> None:
    path = record_of(out)
    forge(path)
    (path.with_suffix("") / "weights.safetensors").unlink()
    assert outcomes(path)["weights"][0] == "skipped"
    found = outcomes(path, "--rerun")
    assert found["repeated run"][0] == "failed" and "same code" in found["repeated run"][1]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("code", {"core": "0123"}, "with another version of the code"),
        ("code", None, "with another version of the code"),  # as in older records
        ("instructions", "AVX9", "with another set of instructions"),
        ("threads", 77, "with another number of threads"),
    ],
)
def test_a_run_of_another_machine_or_version_may_be_rounded_differently(
    key: str, value: Any, said: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_of(out)
    record = RunRecord.model_validate_json(path.read_text())
    edit(path, provenance={**record.provenance, key: value})
    moved = {**record.metrics, "accuracy": record.metrics["accuracy"] - 0.001}
    again = record.model_copy(update={"metrics": moved})
    monkeypatch.setattr("nasbench_ecg.run.runner.execute", lambda *_: again)
    outcome, detail = outcomes(path, "--rerun")["repeated run"]
    assert outcome == "skipped" and said in detail and "no spread over seeds" in detail


def test_a_record_older_than_the_instructions_is_compared_exactly(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_of(out)
    record = RunRecord.model_validate_json(path.read_text())
    older = {key: value for key, value in record.provenance.items() if key != "instructions"}
    edit(path, provenance=older)
    moved = {**record.metrics, "accuracy": record.metrics["accuracy"] - 0.001}
    again = record.model_copy(update={"metrics": moved})
    monkeypatch.setattr("nasbench_ecg.run.runner.execute", lambda *_: again)
    assert outcomes(path, "--rerun")["repeated run"][0] == "failed"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"f1_of_macro": 0.900004, "accuracy": 0.5}, "f1_of_macro is 0.900004, not 0.900000"),
        ({"f1_of_macro": 0.9, "accuracy": 0.25}, "accuracy is 0.2500, not 0.5000"),
        ({"f1_of_macro": 0.9}, "accuracy is only in the record"),
        ({"f1_of_macro": 0.9, "accuracy": 0.5}, None),
        (
            {"f1_of_macro": 0.9, "accuracy": 0.5, "ec57_s_pp": 0.25},
            "ec57_s_pp is only in the repeated run",
        ),
    ],
)
def test_what_differs_in_a_repeated_run_is_said(
    now: dict[str, float], said: str | None, out: Path
) -> None:
    record = RunRecord.model_validate(json.loads(record_of(out).read_text()))
    before = record.model_copy(update={"metrics": {"f1_of_macro": 0.9, "accuracy": 0.5}})
    again = record.model_copy(update={"metrics": now})
    assert other_scores(before, again, "f1_of_macro") == said


@pytest.mark.parametrize(
    ("before", "said"), [(0.0, None), (0.5, "ec57_s_pp is only in the record")]
)
def test_an_undefined_score_is_0_in_older_records(
    before: float, said: str | None, out: Path
) -> None:
    record = RunRecord.model_validate(json.loads(record_of(out).read_text()))
    again = record.model_copy(update={"metrics": {"f1_of_macro": 0.9}})
    older = record.model_copy(update={"metrics": {"f1_of_macro": 0.9, "ec57_s_pp": before}})
    assert other_scores(older, again, "f1_of_macro") == said


POINTS = [
    {"seconds": 1.0, "evaluations": 1, "value": 0.5, "best": 0.5},
    {"seconds": 2.0, "evaluations": 2, "value": 0.7, "best": 0.7},
]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": None}, "the architecture is another one"),
        ({"trajectory": [{**point, "seconds": 3.0} for point in POINTS]}, None),
        (
            {"trajectory": [POINTS[0], {**POINTS[1], "value": 0.70001, "best": 0.70001}]},
            "trajectory[1].value is 0.70001, not 0.70000",
        ),
        ({"trajectory": POINTS[:1]}, "the number of points in the trajectory is 1, not 2"),
    ],
)
def test_another_architecture_or_trajectory_of_a_repeated_run_is_said(
    changes: dict[str, Any], said: str | None, out: Path
) -> None:
    record = RunRecord.model_validate(json.loads(record_of(out).read_text()))
    before = record.model_copy(update={"trajectory": POINTS})
    assert other_search(before, before.model_copy(update=changes)) == said


@pytest.mark.slow
def test_a_forged_trajectory_is_found_by_a_repeated_run(out: Path) -> None:
    path = record_of(out)
    points = json.loads(path.read_text())["trajectory"]
    points[-1]["value"] = points[-1]["best"] = 0.999
    edit(path, trajectory=points)
    assert {outcome for outcome, _ in outcomes(path).values()} == {"passed"}
    found = outcomes(path, "--rerun")["repeated run"]
    assert found[0] == "failed" and "trajectory[" in found[1] and "0.9990" in found[1]


@pytest.mark.slow
def test_with_other_code_another_trajectory_does_not_pass(out: Path) -> None:
    path = record_of(out)
    record = json.loads(path.read_text())
    record["trajectory"][-1]["value"] = record["trajectory"][-1]["best"] = 0.999
    edit(path, trajectory=record["trajectory"], provenance={**record["provenance"], "code": None})
    outcome, detail = outcomes(path, "--rerun")["repeated run"]
    assert outcome == "skipped" and detail.startswith("The scores are equal, but trajectory[")


def test_a_repeated_run_that_fails_is_said_with_its_error(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunRecord.model_validate_json(record_of(out).read_text())
    failed = {"status": "failed", "metrics": {}, "error": "Traceback\nValueError: no beats"}
    monkeypatch.setattr(
        "nasbench_ecg.run.runner.execute", lambda *_: record.model_copy(update=failed)
    )
    found = outcomes(record_of(out), "--rerun")["repeated run"]
    assert found == ("failed", "The repeated run is 'failed', not 'ok': ValueError: no beats")


def state(path: Path, **values: Any) -> None:
    """Change entries of a record, and make its command and its digests of files agree with them."""
    edit(path, **values)
    record = RunRecord.model_validate_json(path.read_text())
    files = {name: sha256(path.with_suffix("") / name) for name in record.files}
    edit(path, command=RunRequest.from_record(record).command(), files=files)


def test_options_that_the_profile_does_not_give_fail(out: Path) -> None:
    path = record_of(out)
    components = json.loads(path.read_text())["components"]
    assert components["builder"].pop("changed") == {"channels": 2}
    hidden = {**components, "builder": {**components["builder"], "changed": {}}}
    state(path, components=hidden)
    found = outcomes(path)
    assert (found["record"][0], found["weights"][0]) == ("passed", "passed")
    assert found["command"][0] == "failed" and "builder.channels is 2" in found["command"][1]


def test_a_run_that_names_another_profile_fails(out: Path) -> None:
    path = record_of(out)
    state(path, profile="paper")
    found = outcomes(path)["command"]
    assert found[0] == "failed" and "profile 'paper'" in found[1]


def test_components_of_another_revision_do_not_tell_the_options(out: Path) -> None:
    path = record_of(out)
    record = json.loads(path.read_text())
    record["components"]["builder"].update(revision=7, changed={})
    key = key_of_record(RunRecord.model_validate(record))
    path.unlink()
    path = path.with_name(f"{key}.json")
    path.write_text(json.dumps({**record, "run_key": key, "files": {}}))
    state(path)
    found = outcomes(path)["command"]
    assert found[0] == "skipped" and "not 7" in found[1]


@pytest.mark.parametrize("of_records", [True, False])
def test_predictions_that_are_exchanged_between_beats_fail(out: Path, of_records: bool) -> None:
    path = record_of(out)
    file = path.with_suffix("") / "predictions.json"
    stored = json.loads(file.read_text())
    predicted, n_beats = stored["predicted"], len(stored["truth"])
    kinds = list(zip(stored["truth"], stored["record"], strict=True))
    i, j = next(
        (i, j)
        for i in range(n_beats)
        for j in range(i)
        if stored["truth"][i] == stored["truth"][j] and predicted[i] != predicted[j]
        if (kinds[i] != kinds[j]) is of_records
    )
    predicted[i], predicted[j] = predicted[j], predicted[i]
    edit(file, predicted=predicted)
    state(path)
    found = outcomes(path)
    assert found["files"][0] == "passed"
    assert found["predictions"][0] == ("failed" if of_records else "passed")
    assert of_records or (
        found["weights"][0] == "failed" and "at least 2 of" in found["weights"][1]
    )


def test_matrices_of_records_that_are_exchanged_fail(out: Path) -> None:
    path = record_of(out)
    matrices = json.loads(path.read_text())["per_record"]
    first, *_, last = matrices
    assert matrices[first] != matrices[last]
    state(path, per_record={**matrices, first: matrices[last], last: matrices[first]})
    found = outcomes(path)
    assert found["record"][0] == "passed"
    assert found["predictions"][0] == "failed" and "per_record" in found["predictions"][1]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("dataset", "fs", 999.0),
        ("dataset", "leads", ["I", "II"]),
        ("split", "records", {"train": ["s999"], "validation": [], "test": []}),
        ("dataset", "persons", {"s001": "mitdb/100"}),
    ],
)
def test_facts_of_the_beats_that_are_others_fail(
    out: Path, part: str, name: str, value: Any
) -> None:
    path = record_of(out)
    stored = json.loads(path.read_text())[part]
    state(path, per_record={}, **{part: {**stored, name: value}})
    found = outcomes(path)["beats"]
    assert found[0] == "failed" and f"{part}.{name}" in found[1]


@pytest.mark.parametrize("name", ["parameters", "macs", "flash_bytes", "ram_bytes"])
def test_costs_that_are_not_those_of_the_network_fail(name: str, out: Path) -> None:
    path = record_of(out)
    costs = json.loads(path.read_text())["costs"]
    edit(path, costs=costs | {name: costs[name] - 1})
    outcome, why = outcomes(path)["costs"]
    assert outcome == "failed" and why.startswith(f"{name} is {costs[name] - 1:,g} in the record")


def test_the_command_of_another_run_is_found(out: Path) -> None:
    path = record_of(out)
    edit(path, command=json.loads(path.read_text())["command"].replace("--seed 0", "--seed 1"))
    assert outcomes(path)["command"][0] == "failed"


def test_a_damaged_record_fails(out: Path) -> None:
    path = record_of(out)
    edit(path, search_seed=5)
    (check,) = outcomes(path).items()
    assert check[0] == "record" and check[1][0] == "failed" and "run_key" in check[1][1]
    done = nasbench("verify", path.stem[:6], "--out", out)
    assert done.exit_code == 1 and "run_key" in done.stdout


@pytest.mark.slow
def test_the_committed_records_verify_without_their_weights() -> None:
    done = nasbench("verify", ROOT / "results" / "small", "--json")
    assert done.exit_code == 0, done.stdout[:2000]


def test_a_run_of_a_gpu_is_verified_where_there_is_none(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = record_of(out)
    data = json.loads(path.read_text())
    data |= {"device": "cuda", "command": data["command"].replace("cpu", "cuda")}
    data["run_key"] = key_of_record(RunRecord.model_validate(data))
    moved = path.with_name(f"{data['run_key']}.json")
    path.with_suffix("").rename(moved.with_suffix(""))
    path.unlink()
    moved.write_text(json.dumps(data))
    found = outcomes(moved, "--rerun")
    assert found.pop("repeated run") == (
        "skipped", "The run was made on a GPU, and there is none here."
    )  # fmt: skip
    assert {outcome for outcome, _ in found.values()} == {"passed"}, found


# Submissions


def submitted(out: Path, *words: str) -> Any:
    return nasbench(
        "submit", record_of(out).stem[:6], "--by", "Jane Doe", "--out", out,
        "-o", out / "submitted" / "jane", *words,
    )  # fmt: skip


def test_a_submission_has_a_card_verifies_and_is_marked_on_the_board(out: Path) -> None:
    done = submitted(out, "--weights", "--contact", "jane@example.org")
    assert done.exit_code == 0, done.stderr
    folder = out / "submitted" / "jane"
    card = json.loads((folder / "card.json").read_text())
    assert card["submitted_by"] == "Jane Doe" and card["runs"] == [record_of(out).stem]
    assert "nasbench-ecg" in card["packages"] and card["install"].startswith("pip install")
    assert nasbench("verify", out / "submitted").exit_code == 0
    shutil.rmtree(out / "runs")
    board = nasbench("leaderboard", "--out", out, "--format", "markdown")
    assert board.exit_code == 0 and "by=Jane Doe" in board.stdout
    assert "by=Jane Doe" in str(nb.leaderboard(out))


def test_a_folder_of_results_is_verified_with_its_submissions(out: Path) -> None:
    assert submitted(out).exit_code == 0
    found = json.loads(nasbench("verify", out, "--json").stdout)
    assert [Path(run["path"]).parent.name for run in found] == ["runs", "jane"]
    (path,) = set((out / "submitted" / "jane").glob("*.json")) - {
        out / "submitted" / "jane" / "card.json"
    }
    edit(path, score=0.9999)
    assert nasbench("verify", out).exit_code == 1


def test_without_weights_a_submission_has_none(out: Path) -> None:
    assert submitted(out).exit_code == 0
    assert not list((out / "submitted").rglob("*.safetensors"))
    assert list((out / "submitted").rglob("predictions.json"))


def test_a_run_whose_network_was_tested_elsewhere_can_be_submitted(out: Path) -> None:
    run = record_of(out).stem
    tested = nasbench("evaluate", run, "--on", "synthetic-2lead", *TINY[:2], "--out", out)
    assert tested.exit_code == 0, tested.stderr
    done = submitted(out, "--weights")
    assert done.exit_code == 0, done.stderr
    (test,) = (out / "submitted" / "jane" / run / "evaluations").glob("*.json")
    assert nasbench("verify", out / "submitted").exit_code == 0
    shutil.rmtree(out / "submitted")
    edit(out / "runs" / run / "evaluations" / test.name, own_metrics={"accuracy": 0.99})
    refused = submitted(out, "--weights")
    assert refused.exit_code == 2 and "cannot be submitted: evaluations" in refused.stderr


def scores_in_8_bits(path: Path, gained: float = 0.0, **changed: Any) -> tuple[Path, RunRecord]:
    """Store the scores of a quantized network with the F1 of the run and ``gained`` more."""
    record = RunRecord.model_validate_json(path.read_text())
    found = {"agreement": 1.0, "loss": 0.0, "weight_bytes": 10, "calibration_beats": 8}
    found["test_beats"] = int(np.sum(record.confusion))
    found["f1_of_macro"] = record.metrics["f1_of_macro"] + gained
    path.with_suffix("").joinpath("int8.json").write_text(json.dumps(found | changed))
    return path, record


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, ""),
        ({"gained": 0.005}, ""),
        ({"gained": 0.02}, "F1 before quantization is"),
        ({"test_beats": 7}, "test_beats is 7, but the run has"),
        ({"weight_bytes": 0}, "must be positive"),
        ({"agreement": 1.5}, "must be fractions"),
        ({"agreement": 0.99999}, "no whole number of"),
        ({"gained": -0.2, "loss": 0.2}, "but no beat changed its class"),
        ({"loss": "much"}, "loss: "),
    ],
    ids=str,
)
def test_scores_in_8_bits_of_another_network_are_found(
    out: Path, changed: dict[str, Any], message: str
) -> None:
    (check,) = check_int8(*scores_in_8_bits(record_of(out), **changed))
    assert check.outcome == ("failed" if message else "passed") and message in check.detail


def test_verify_and_submit_refuse_scores_in_8_bits_of_another_network(out: Path) -> None:
    path, _ = scores_in_8_bits(record_of(out))
    assert outcomes(path)["int8"][0] == "passed"
    scores_in_8_bits(path, gained=0.1)
    assert outcomes(path)["int8"][0] == "failed"
    refused = submitted(out)
    assert refused.exit_code == 2 and "cannot be submitted: int8" in refused.stderr


def test_a_submission_is_written_whole_or_not_at_all(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        assert "no space left" in submitted(out).stderr
    assert submitted(out).exit_code == 0


def test_a_folder_that_cannot_name_a_suite_is_refused(out: Path) -> None:
    folder = out / "submitted" / "My search!"
    done = nasbench("submit", record_of(out).stem, "--by", "Jane", "--out", out, "-o", folder)
    assert done.exit_code == 2 and "cannot name a suite" in done.stderr


def test_runs_of_two_versions_of_a_package_are_refused(out: Path) -> None:
    first = record_of(out)
    record = json.loads(first.read_text()) | {"search_seed": 1, "evaluation_seed": 1}
    record["command"] = record["command"].replace("--seed 0", "--seed 1")
    record["run_key"] = key_of_record(RunRecord.model_validate(record))
    record["components"]["strategy"]["version"] = "0.1"
    second = first.with_name(f"{record['run_key']}.json")
    shutil.copytree(first.with_suffix(""), second.with_suffix(""))
    second.write_text(json.dumps(record))
    words = ("--by", "Jane", "--out", out, "-o", out / "submitted" / "jane")
    done = nasbench("submit", first.stem, second.stem, *words)
    assert done.exit_code == 2 and "two versions of nasbench-ecg" in done.stderr


@pytest.mark.parametrize("wrong", ["a", None, 10**30, 0.5, True, [1]])
def test_predictions_that_are_no_classes_fail_their_check(out: Path, wrong: Any) -> None:
    path = record_of(out).with_suffix("") / "predictions.json"
    stored = json.loads(path.read_text())
    stored["predicted"][0] = wrong
    path.write_text(json.dumps(stored))
    assert outcomes(out)["predictions"][1].startswith("predictions.json does not hold one class")


def test_an_architecture_file_that_is_not_text_fails_its_check(out: Path) -> None:
    (record_of(out).with_suffix("") / "architecture.json").write_bytes(b"\xff\xfe")
    assert "cannot be read" in outcomes(out)["architecture"][1]


def test_the_spread_of_a_method_is_over_its_seeds_alone(out: Path) -> None:
    path = record_of(out)
    record = RunRecord.model_validate_json(path.read_text())
    other = json.loads(path.read_text())
    other["components"]["builder"]["options"]["channels"] = 3
    other["components"]["builder"]["changed"]["channels"] = 3
    other["command"] = other["command"].replace("channels=2", "channels=3")
    other["run_key"] = key_of_record(RunRecord.model_validate(other))
    path.with_name(f"{other['run_key']}.json").write_text(json.dumps(other))
    assert len(nb.runs(out)) == 2 and not nb.runs(out).damaged
    assert spread_of_seeds(path, record, "accuracy", 0.5) is None


def test_the_score_of_a_forged_run_does_not_widen_the_spread_that_it_must_keep_to(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_of(out)
    shutil.rmtree(path.with_suffix(""))
    honest = RunRecord.model_validate_json(path.read_text())

    def store(seed: int, share: float) -> RunRecord:
        """Store a run in which this share of the beats of each class is right."""
        n_true = np.asarray(honest.confusion).sum(axis=1)
        right = np.diag(np.rint(share * n_true).astype(np.int64))
        table = right + np.roll(np.diag(n_true - right.diagonal()), 1, axis=1)
        metrics = scores(table, honest.classes, honest.macro_classes)
        record = honest.model_copy(
            update={
                **{"search_seed": seed, "evaluation_seed": seed, "per_record": {}, "files": {}},
                "confusion": table.tolist(),
                "metrics": metrics,
                "per_class": class_table(table, honest.classes),
                "score": metrics["f1_of_macro"],
                "provenance": {**honest.provenance, "threads": 77},
            }
        )
        record.command = RunRequest.from_record(record).command()
        record.run_key = key_of_record(record)
        path.with_name(f"{record.run_key}.json").write_text(record.model_dump_json())
        return record

    for repeated, outcome in ((0.65, "failed"), (0.98, "passed")):
        store(0, 0.99)
        store(1, 0.61)
        store(2, 0.62)
        again = store(0, repeated).model_copy(update={"provenance": honest.provenance})
        store(0, 0.99)
        monkeypatch.setattr("nasbench_ecg.run.runner.execute", lambda *_, again=again: again)
        found = outcomes(path, "--rerun")
        assert found["record"][0] == "passed" and found["repeated run"][0] == outcome
        assert (
            "spread" in found["repeated run"][1] or "differ by at most" in found["repeated run"][1]
        )


def test_a_forged_run_cannot_be_submitted(out: Path) -> None:
    forge(record_of(out))
    done = submitted(out)
    assert done.exit_code == 2 and "cannot be submitted: weights" in done.stderr
    assert not (out / "submitted").exists()


def test_a_submission_forged_afterwards_fails_and_is_on_no_board(out: Path) -> None:
    assert submitted(out, "--weights").exit_code == 0
    folder = out / "submitted" / "jane"
    (path,) = set(folder.glob("*.json")) - {folder / "card.json"}
    record = json.loads(path.read_text())
    edit(path, metrics={**record["metrics"], "f1_of_macro": 0.9999})
    done = nasbench("verify", out / "submitted")
    assert done.exit_code == 1 and "metrics.f1_of_macro" in done.stdout
    board = nasbench("leaderboard", "--out", out)
    assert "99.99" not in board.stdout and "Skipped" in board.stderr


def test_a_record_that_the_card_does_not_name_is_skipped(out: Path) -> None:
    assert submitted(out).exit_code == 0
    edit(out / "submitted" / "jane" / "card.json", runs=[])
    assert "does not name this run" in nasbench("leaderboard", "--out", out).stderr


@pytest.mark.parametrize("words", [["--by", ""], ["--by", "x", "-o", "."]])
def test_a_wrong_word_is_one_panel(words: list[str], out: Path) -> None:
    more = [] if "-o" in words else ["-o", str(out / "new")]
    done = nasbench("submit", record_of(out).stem[:6], "--out", out, *words, *more)
    assert done.exit_code == 2


def test_doctor_prints_versions_device_folders_and_plugins() -> None:
    done = nasbench("doctor", "--json")
    found = json.loads(done.stdout)
    assert found["dependencies"]["torch"] and found["cache"] and found["cache_bytes"] >= 0
    assert {"darts", "evaluators"} <= {plugin["name"] for plugin in found["plugins"]}
    assert found["problems"] == [] and done.exit_code == 0
    text = nasbench("doctor").stdout
    assert "processor" in text and "plugin darts" in text
