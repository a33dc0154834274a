"""The summary of one run in the terminal."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from run_records import CLASSES, ONE_LEAD, TWO_LEAD, run_record, shown, with_f1

from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.report.summary.run import run_summary
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.request import RunRequest

PROTOCOLS = ("intra-patient", "inter-patient")
UNSEEN_PATIENTS = {"protocol": "inter-patient", "macro_classes": ["N", "S", "V", "F"]}


def summary(record: RunRecord, drawing: str | None = None, out: str = "results") -> str:
    return shown(run_summary(record, drawing=drawing, out=Path(out), protocols=PROTOCOLS))


def test_the_summary_has_scores_the_published_ones_and_the_difference() -> None:
    lines = summary(run_record(confusion=ONE_LEAD)).splitlines()
    (f1,) = [line for line in lines if "F1 of macros" in line]
    # Lv et al. 2021, Table VI: 95.81 with one lead, 96.16 with two
    assert f1.split()[4:7] == ["95.81", "96.16", "−0.35"]
    assert any("Heart-Darts + shortcut, Lv 2021, Table VI" in line for line in lines)


def test_without_published_scores_of_its_own_a_search_is_compared_with_the_best() -> None:
    assert "Heart-Darts + shortcut, Lv 2021" in summary(run_record("random", confusion=TWO_LEAD))


def test_without_published_scores_there_is_no_comparison() -> None:
    text = summary(run_record(dataset="synthetic-2lead", confusion=TWO_LEAD))
    assert "published:" not in text and "diff." not in text


def test_the_summary_has_every_class_and_the_confusion_matrix() -> None:
    lines = summary(run_record(confusion=TWO_LEAD)).splitlines()
    (supraventricular,) = [line for line in lines if line.startswith("│ S ")]
    # Lv et al. 2021, Table V: Se 94.44, +P 94.82, Spe 99.86
    cells = supraventricular.strip("│ ").split()
    assert cells[:5] == ["S", "504", "94.44", "94.82", "99.86"]
    assert cells[6:] == ["S", "27", "476", "1", "0", "0"]


def test_an_undefined_score_of_a_class_is_a_dash() -> None:
    never_s = [[10, 0, 0, 0, 0], [5, 0, 0, 0, 0], [0, 0, 5, 0, 0], [0] * 5, [0] * 5]
    lines = summary(run_record(confusion=never_s)).splitlines()
    (row,) = [line for line in lines if line.startswith("│ S ")]
    assert row.strip("│ ").split()[:4] == ["S", "5", "0.00", "–"]


def test_for_unseen_patients_gross_scores_stand_beside_published_ones() -> None:
    lines = summary(run_record(confusion=TWO_LEAD, **UNSEEN_PATIENTS)).splitlines()
    (zhang,) = [line for line in lines if "Zhang 2014" in line]
    assert zhang.strip("│ ").split()[-4:] == ["79.10", "36.00", "85.50", "92.70"]
    (ours,) = [line for line in lines if "this run " in line and "score" not in line]
    # S +P leaves out Q→S (0 beats), V +P leaves out F→V and Q→V: 1304 / (1304 + 7 + 1)
    assert ours.strip("│ ").split()[2:6] == ["94.44", "94.82", "98.86", "99.39"]
    assert any("macro: mean over N, S, V, F" in line for line in lines)


def test_the_cell_and_the_progress_of_the_search_are_drawn() -> None:
    progress = [{"seconds": float(i), "value": v} for i, v in enumerate([0.2, 0.5, 0.4])]
    found = {"format": 1, "space": "conv-cells", "genotype": {}}
    record = run_record(architecture=found, architecture_hash="ab12", trajectory=progress)
    text = summary(record, drawing="in₁ ─ conv-3 ─┬─ n₁")
    for part in ("ab12", "in₁ ─ conv-3 ─┬─ n₁", "▁█▆", "best 0.5"):
        assert part in text


def test_costs_that_were_not_measured_are_absent() -> None:
    text = summary(run_record(confusion=TWO_LEAD, costs={"parameters": 9.0}, seconds={}))
    assert "parameters" in text
    for part in ("MACs", "latency", "memory", "search", "training  "):
        assert part not in text


def test_the_summary_of_a_failure_shows_the_error_and_the_command() -> None:
    text = summary(run_record(status="failed"))
    for part in (
        "✗ failed",
        "ValueError: it broke",
        "nasbench-ecg run darts mitbih-2lead",
        "--json",
    ):
        assert part in text
    assert "score" not in text


def test_the_summary_of_an_interrupted_run_shows_its_command() -> None:
    text = summary(run_record(status="interrupted", error=None))
    assert "interrupted" in text and "nasbench-ecg run darts mitbih-2lead" in text


FULL_DISK = """\
Traceback (most recent call last):
  File "/opt/nasbench_ecg/io.py", line 40, in storage_errors
    yield
nasbench_ecg.errors.StorageError: There is no space left on the device. (results/runs)
"""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FULL_DISK, FULL_DISK.splitlines()[-1]),
        ("Traceback\nKeyboardInterrupt\nThe SLURM job 7 is gone.", "The SLURM job 7 is gone."),
        ("Traceback (most recent call last):\nKeyboardInterrupt\n", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_summary_says_why_a_run_was_interrupted_unless_a_user_did(
    error: str | None, reason: str
) -> None:
    record = run_record(status="interrupted", error=error)
    assert record.reason == reason
    text = " ".join(line.strip("│ ") for line in summary(record).splitlines())
    assert "– interrupted" in text and ("Traceback" in text) == bool(reason)
    assert (reason or "The run ended without a result. No leaderboard includes it.") in text


def test_a_run_with_a_result_has_no_reason_for_having_none() -> None:
    assert run_record(status="ok", error="an earlier one").reason == ""
    assert run_record(status="failed", error="KeyboardInterrupt").reason == "KeyboardInterrupt"


def commands(record: RunRecord, out: str = "results") -> dict[str, str]:
    """Return the commands of the summary by their purpose."""
    text = summary(record, out=out).partition("record ")[2].replace(" \\\n  ", " ")
    above = re.findall(r"^# (.+)\n(nasbench-ecg .+)$", text, flags=re.MULTILINE)
    beside = re.findall(r"^(nasbench-ecg .+?)  # (.+)$", text, flags=re.MULTILINE)
    return dict(above) | {purpose: command for command, purpose in beside}


def test_the_next_commands_keep_what_a_user_set() -> None:
    record = run_record(
        confusion=TWO_LEAD, builder="stacked-cells", changed={"strategy": {"order": "second"}},
        suite="mine", **UNSEEN_PATIENTS,
    )  # fmt: skip
    again = commands(record, out="some where")["repeat with three seeds"]
    for part in (
        "run darts mitbih-2lead --protocol inter-patient",
        "--seeds 0,1,2",
        "--builder stacked-cells",
        "--set strategy.order=second",
        "--suite mine",
        "--out 'some where'",
    ):
        assert part in again


def test_the_next_commands_depend_on_what_was_run() -> None:
    purposes = set(commands(run_record(confusion=TWO_LEAD)))
    assert "test on unseen patients" in purposes
    assert "run with the published settings" not in purposes
    unseen = commands(run_record(confusion=TWO_LEAD, **UNSEEN_PATIENTS))
    assert "--profile paper" in unseen["run with the published settings"]
    assert set(commands(run_record(status="failed"))) == {"try again", "show the full record"}


def test_only_a_run_whose_weights_are_there_can_be_exported(tmp_path: Path) -> None:
    purpose, out = "write the network to a file", str(tmp_path)
    record = run_record(confusion=TWO_LEAD)
    assert purpose not in commands(record, out=out)  # as where only the record was committed
    weights = tmp_path / record.suite / record.run_key / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    export = f"nasbench-ecg export {record.run_key[:8]} -o model.pt2 --out"
    assert commands(record, out=out)[purpose].startswith(export)


@pytest.mark.parametrize(
    ("protocol", "of_dataset", "offered"),
    [
        ("intra-patient", ("intra-patient", "inter-patient", "patient-kfold"), "inter-patient"),
        ("intra-patient", ("intra-patient", "patient-kfold"), "patient-kfold"),
        ("intra-patient", ("intra-patient",), None),
        ("patient-kfold", ("intra-patient", "inter-patient", "patient-kfold"), None),
        ("inter-patient", ("intra-patient", "inter-patient", "patient-kfold"), None),
        ("inter-patient-strict", ("inter-patient", "inter-patient-strict"), None),
    ],
)
def test_unseen_patients_are_offered_only_after_a_test_on_seen_ones(
    protocol: str, of_dataset: tuple[str, ...], offered: str | None
) -> None:
    record = run_record(confusion=TWO_LEAD, protocol=protocol)
    text = shown(run_summary(record, drawing=None, out=Path("results"), protocols=of_dataset))
    assert ("test on unseen patients" in text) == (offered is not None)
    assert offered is None or f"--protocol {offered} " in text.partition("unseen patients")[2]


def test_the_folds_that_are_offered_are_no_more_than_the_persons() -> None:
    record = run_record(confusion=TWO_LEAD)
    assert record.dataset is not None
    for persons, option in (({"a": "x/1", "b": "x/2", "c": "x/3", "d": "x/3"}, True), ({}, False)):
        record.dataset.persons = persons
        protocols = ("intra-patient", "patient-kfold")
        text = shown(run_summary(record, drawing=None, out=Path("results"), protocols=protocols))
        assert ("--set protocol.k=3" in text) == option


@pytest.mark.parametrize("status", ["failed", "ok"])
def test_the_command_of_a_run_keeps_its_fold_and_its_training_seed(status: str) -> None:
    request = RunRequest(
        "darts", "mitbih-2lead", protocol="patient-kfold", device="cpu", search_seed=2,
        evaluation_seed=5, overrides={"protocol": {"fold": 1}},
    )  # fmt: skip
    config = configure(load_registry(), request)
    record = new_record(config, "runs").model_copy(update={"status": status, "error": "it broke"})
    if status == "failed":
        shown_command = commands(record)["try again"]
        assert shlex.split(shown_command) == shlex.split(config.command())
    else:
        again = shlex.split(commands(record)["repeat with three seeds"])
        words = config.command().replace("--seed 2 --evaluation-seed 5", "--seeds 0,1,2")
        assert again == shlex.split(words)


def test_scores_of_single_classes_that_an_evaluator_adds_are_counted_and_not_listed() -> None:
    record = run_record(metrics=with_f1(0.9) | {"clustered_accuracy": 0.5, "clusters": 5.0})
    by_class = {f"clustered_se_{name.lower()}": 0.5 for name in record.classes}
    by_class["clustered_ec57_v_se"] = 0.5
    text = summary(record.model_copy(update={"metrics": record.metrics | by_class}))
    assert "clustered_accuracy" in text and "clusters" in text
    assert not any(name in text for name in by_class)
    assert f"{len(by_class)} more scores of single classes" in text
    assert "single classes" not in summary(record)


@pytest.mark.parametrize("changes", [{}, UNSEEN_PATIENTS, {"status": "failed"}])
@pytest.mark.parametrize("out", ["results", "/a/folder" * 20])
def test_a_summary_fits_80_columns(changes: dict[str, Any], out: str) -> None:
    record = run_record(confusion=TWO_LEAD, **changes)
    if record.error:
        record.error = f'  File "/{"deep/" * 40}run/runner.py", line 3, in execute\n{record.error}'
    text = summary(record, out=out)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_markup_in_a_record_is_shown_as_it_is() -> None:
    record = run_record("[bold]odd", status="failed", error="ValueError: [red]no[/red]")
    assert "[bold]odd" in summary(record) and "[red]no[/red]" in summary(record)


def test_classes_other_than_the_five_fit_too() -> None:
    matrix = [row[:4] for row in TWO_LEAD[:4]]
    record = run_record(confusion=TWO_LEAD)
    record.classes, record.confusion = CLASSES[:4], matrix
    record.per_class.pop("Q")
    assert "↓ true" in summary(record)
