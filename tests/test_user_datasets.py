"""A folder of WFDB records becomes a dataset by a TOML file, without code."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wfdb
from typer.testing import CliRunner
from wfdb_files import real_database, write_record

import nasbench_ecg as nb
from nasbench_ecg.cli import app
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.data.user_datasets import find_user_dataset
from nasbench_ecg.data.wfdb_folder import _TomlFile as TomlFile
from nasbench_ecg.data.wfdb_folder import describe
from nasbench_ecg.errors import MissingDataError, OptionError, RecordError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.testing.fixtures import component_under_test
from nasbench_ecg.testing.runner import run_checks

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "wfdb-folder" / "ward.toml"
DATA = os.environ.get("NASBENCH_ECG_DATA", "")
RECORDS = ("p01", "p02", "p02b", "p03", "p04", "p05", "p06")
FS = 120


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use temporary folders for the configuration and the cache."""
    monkeypatch.setenv("NASBENCH_ECG_CONFIG", str(tmp_path / "settings"))
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NASBENCH_ECG_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("nasbench_ecg.cli.execution.interrupt_on_sigterm", lambda: None)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """The example's file beside records of six persons, all at 120 Hz with leads II and V1."""
    for number, name in enumerate(RECORDS):
        write_ward_record(tmp_path / "ward" / "records", name, seed=number)
    file = tmp_path / "ward" / "ward.toml"
    file.write_text(EXAMPLE.read_text())
    return file


def write_ward_record(folder: Path, name: str, *, seed: int = 0, **more: Any) -> None:
    """Write a record of 40 beats, N upright and V upside down."""
    rng = np.random.default_rng(seed)
    peaks = np.arange(40) * FS + FS
    symbols = ["V" if i % 4 == 3 else "N" for i in range(40)]
    leads = more.pop("leads", ("II", "V1"))
    signals = 0.05 * rng.standard_normal((len(leads), 42 * FS))
    for peak, symbol in zip(peaks, symbols, strict=True):
        signals[:, peak - 3 : peak + 4] += 1.0 if symbol == "N" else -1.0
    beats = list(zip(peaks.tolist(), symbols, strict=True))
    write_record(folder, name, leads=leads, signals=signals.round(2), fs=FS, beats=beats, **more)


def nasbench(*words: object) -> Any:
    """Run a command that must succeed, and return its result."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + result.stderr
    return result


def test_the_template_and_the_page_have_every_entry() -> None:
    lines = re.sub(r"^# (?=\w+ = |\[)", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    entries = tomllib.loads(lines)
    assert set(entries) == set(TomlFile.model_fields)
    TomlFile(**entries)  # the values of the template are allowed
    page = (EXAMPLE.parents[2] / "howto" / "dataset.md").read_text("utf-8")
    cells = "".join(re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE))
    assert set(re.findall(r"`\[?(\w+)\]?`", cells)) == set(entries)


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(['name = "my-ward"', 'folder = "records"', *lines]))
    return file


def test_the_example_is_added_listed_described_and_removed(ward: Path) -> None:
    said = nasbench("data", "add", ward).stdout
    assert "7 records of 6 subjects" in said and "N 210, V 70" in said
    listed = json.loads(nasbench("list", "datasets", "--json").stdout)
    assert "Beats of our ward" in [one["summary"] for one in listed if one["name"] == "my-ward"]
    (described,) = json.loads(nasbench("info", "my-ward", "--json").stdout)
    defaults = {option["name"]: option["defaults"]["paper"] for option in described["options"]}
    assert defaults["records"] == list(RECORDS) and defaults["leads"] == ["II", "V1"]
    assert (defaults["before"], defaults["after"], defaults["rate"]) == (50, 69, 120)
    assert all(option["description"] for option in described["options"])
    assert "120 samples per beat at 120 Hz" in nasbench("data", "info", "my-ward").stdout
    assert "Removed" in nasbench("data", "remove", "my-ward").stdout
    assert "my-ward" not in nasbench("list", "datasets").stdout
    assert (ward.parent / "records" / "p01.hea").is_file()


def test_features_are_those_of_the_beats_of_the_dataset(ward: Path, tmp_path: Path) -> None:
    records = ward.parent / "records"
    marks = wfdb.rdann(str(records / "p02"), "atr")
    wfdb.wrann("p02", "qrs", marks.sample[:30], marks.symbol[:30], write_dir=str(records))
    signals = wfdb.rdrecord(str(records / "p02")).p_signal.T * [[1], [3]]
    beats = [*zip(marks.sample.tolist(), marks.symbol, strict=True)]
    write_record(records, "p02", leads=("II", "V1"), signals=signals, fs=FS, beats=beats)
    write(ward, 'records = ["p02"]', 'leads = ["V1"]', 'annotations = "qrs"', "head = 4")
    nasbench("data", "add", ward)
    nasbench("data", "features", "my-ward", "--out", tmp_path / "f.csv")
    table = pd.read_csv(tmp_path / "f.csv")
    assert set(table.record) == {"p02"}
    assert table["sample"].tolist() == marks.sample[4:30].tolist()
    assert table.r_mv[table.label == "N"].median() > 2


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["intra-patient", "patient-kfold"])
def test_it_runs_under_both_protocols(ward: Path, tmp_path: Path, protocol: str) -> None:
    nasbench("data", "add", ward)
    words = ["run", "random", "my-ward", "--protocol", protocol, "--profile", "smoke", "--json"]
    words += ["--set", "strategy.samples=1", "--set", "builder.channels=2", "--device", "cpu"]
    words += ["--set", "protocol.k=3"] if protocol == "patient-kfold" else []
    records = json.loads(nasbench(*words, "--out", tmp_path / "results").stdout)
    assert len(records) == (3 if protocol == "patient-kfold" else 1)
    for record in records:
        assert record["status"] == "ok"
        assert record["dataset"]["counts"] == {"N": 210, "S": 0, "V": 70, "F": 0, "Q": 0}
        if protocol == "intra-patient":
            continue
        parts = [set(names) for names in record["split"]["records"].values()]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        assert sum(len({"p02", "p02b"} & part) in (0, 2) for part in parts) == 3


def test_folds_are_suggested_that_the_subjects_fill(ward: Path) -> None:
    assert "run cnn-9 my-ward --protocol patient-kfold\n" in nasbench("data", "add", ward).stdout
    text = ward.read_text()
    ward.write_text(f'exclude = ["p01", "p03"]\n{text}')
    assert "--protocol patient-kfold --set protocol.k=4\n" in nasbench("data", "add", ward).stdout


def test_a_result_of_other_beats_is_said_to_be_one(ward: Path, tmp_path: Path) -> None:
    nasbench("data", "add", ward)
    words = ["run", "cnn-11", "my-ward", "--profile", "smoke", "--device", "cpu"]
    words += ["--set", "evaluator.epochs=1", "--out", str(tmp_path / "results")]
    nasbench(*words)
    assert "has changed since" not in nasbench(*words).stderr
    path = ward.parent / "records" / "p01.atr"
    annotated = wfdb.rdann(str(path.with_suffix("")), "atr")
    wfdb.wrann(
        "p01", "atr", annotated.sample[:-2], annotated.symbol[:-2], write_dir=str(path.parent)
    )
    assert "my-ward has changed since this run" in nasbench(*words).stderr
    with pytest.warns(UserWarning, match="my-ward has changed since the run"):
        nb.run(
            "cnn-11", "my-ward", profile="smoke", device="cpu", set={"evaluator.epochs": 1},
            out=tmp_path / "results",
        )  # fmt: skip


@pytest.mark.slow
def test_an_added_dataset_passes_the_contract_checks(ward: Path) -> None:
    nasbench("data", "add", ward)
    results = list(run_checks(component_under_test(load_registry(), "dataset", "my-ward")))
    assert [result for result in results if result.outcome == "failed"] == []


def test_optional_entries_default_to_the_values_of_the_records(ward: Path) -> None:
    dataset = describe(write(ward)).dataset
    assert dataset.options["records"] == sorted(RECORDS)
    assert dataset.options["leads"] == ["II", "V1"]
    # 0.275 s and 0.556 s, as 99 and 200 samples are at 360 Hz.
    assert (dataset.options["before"], dataset.options["after"]) == (33, 67)
    assert dataset.options["rate"] is None
    assert dataset.protocols == ("intra-patient", "patient-kfold")
    assert "7 records" in dataset.summary


def test_rhythm_planes_are_an_entry_of_the_file(ward: Path) -> None:
    assert describe(write(ward)).dataset.options["rhythm"] is None
    nasbench("data", "add", write(ward, 'rhythm = "causal"'))
    said = nasbench("data", "info", "my-ward").stdout
    assert "log RR before / mean so far" in " ".join(said.split())


def test_two_subjects_are_too_few_for_patient_kfold(ward: Path) -> None:
    assert describe(write(ward, 'records = ["p01", "p03"]')).dataset.protocols == ("intra-patient",)


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        (['nam = "x"'], OptionError, "no entry 'nam'"),
        (["before = -1"], OptionError, "'before' is not valid"),
        (["rate = nan"], OptionError, "'rate' is not valid"),
        (["rate = -5"], OptionError, "'rate' is not valid"),
        (["rate = 0"], OptionError, "'rate' is not valid"),
        (["rate = inf"], OptionError, "'rate' is not valid: inf Hz is not above"),
        (["rate = 5"], OptionError, "'rate' is not valid: 5 Hz is not above 40 Hz"),
        (["rate = 40"], OptionError, "'rate' is not valid: 40 Hz is not above 40 Hz"),
        (["rate = 1e9"], OptionError, "'rate' is not valid: 1e.09 Hz .* up to 100,000 Hz"),
        (["before = 'much'"], OptionError, "'before'"),
        (["persons = {p01 = 'x'}"], OptionError, "'persons' is not valid: p01: name the person"),
        (['denoise = "db4"'], OptionError, "'denoise'"),
        (['rhythm = "later"'], OptionError, "'rhythm'"),
        (['records = ["p09"]'], RecordError, "p09"),
        (["subjects = {p09 = 'x'}"], OptionError, "no record 'p09'"),
        (['annotations = "qrs"'], RecordError, "have no annotations"),
        (['annotations = ""'], OptionError, "'' is not an extension"),
        (['annotations = "a/b"'], OptionError, "'a/b' is not an extension"),
        (['annotations = ".atr"'], OptionError, "without its dot"),
        (["= 1"], OptionError, "not valid TOML"),
        (["before = 100_000"], OptionError, "longest record 42.0 s"),
        (["after = 5_000", "rate = 60"], OptionError, "longest record 42.0 s"),
        (['annotations = "dat"'], OptionError, "no annotation file"),
    ],
)
def test_invalid_files_are_rejected(
    ward: Path, lines: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        describe(write(ward, *lines))


def test_records_that_are_sampled_too_slowly_for_beats_are_refused(ward: Path) -> None:
    header = ward.parent / "records" / "p02.hea"
    header.write_text(header.read_text().replace(f" {FS} ", " 30 ", 1))
    with pytest.raises(RecordError, match=r"record p02 is too low .*: 30 Hz is not above 40 Hz"):
        describe(write(ward, "rate = 360"))
    assert describe(write(ward, "rate = 360", 'exclude = ["p02"]')).n_subjects == 6


def test_records_without_beats_are_refused_or_named(ward: Path) -> None:
    lines = 'records = ["p01", "p03", "p04"]'
    assert describe(write(ward, lines)).n_subjects == 3
    rhythm = {"sample": np.array([200]), "symbol": ["+"], "aux_note": ["(N"]}
    wfdb.wrann("p03", "atr", **rhythm, write_dir=str(ward.parent / "records"))
    described = describe(write(ward, lines))
    assert described.n_subjects == 2 and described.dataset.protocols == ("intra-patient",)
    assert "Records without an annotated beat: p03." in described.notes
    said = nasbench("data", "add", ward).stdout
    assert "3 records of 2 subjects with beats" in said and "patient-kfold" not in said
    with pytest.raises(RecordError, match="No annotation of these records is a beat"):
        describe(write(ward, 'records = ["p03"]'))


def test_a_missing_folder_is_rejected(ward: Path) -> None:
    ward.write_text('name = "my-ward"\nfolder = "nowhere"')
    with pytest.raises(RecordError, match="does not exist") as caught:
        describe(ward)
    assert caught.value.where == str(ward.parent / "nowhere")


@pytest.mark.parametrize("name", ["My Ward", "ward_1", "../ward", "1st"])
def test_an_invalid_name_is_rejected(ward: Path, name: str) -> None:
    ward.write_text(f'name = "{name}"\nfolder = "records"')
    with pytest.raises(OptionError, match="not a valid name of a dataset"):
        describe(ward)


@pytest.mark.parametrize("name", ["synthetic-2lead", "mitdb", "darts"])
def test_a_name_that_is_already_used_is_rejected(ward: Path, name: str) -> None:
    ward.write_text(f'name = "{name}"\nfolder = "records"')
    result = CliRunner().invoke(app, ["data", "add", str(ward)])
    assert result.exit_code == 2 and "is already used" in result.stderr
    assert find_user_dataset(name) is None


def test_records_with_different_leads_need_the_entry_leads(ward: Path) -> None:
    write_ward_record(ward.parent / "records", "p07", leads=("I", "V5"))
    with pytest.raises(RecordError, match="Record p07 has the leads I, V5"):
        describe(write(ward))
    assert describe(write(ward, 'leads = ["#0"]')).dataset.options["leads"] == ["#0"]


def test_adding_again_replaces_and_removing_twice_is_an_error(ward: Path) -> None:
    nasbench("data", "add", ward)
    assert "Replaced" in nasbench("data", "add", write(ward, 'summary = "Anew"')).stdout
    assert load_registry().get("dataset", "my-ward").spec.summary == "Anew"
    nasbench("data", "remove", "my-ward")
    result = CliRunner().invoke(app, ["data", "remove", "my-ward"])
    assert result.exit_code == 2 and "no added dataset 'my-ward'" in result.stderr


def test_moved_records_are_reported_and_not_fetched(ward: Path, tmp_path: Path) -> None:
    nasbench("data", "add", ward)
    dataset = load_registry().get("dataset", "my-ward")
    (requirement,) = dataset.create(dataset.options_model()()).requires()
    (ward.parent / "records").rename(tmp_path / "elsewhere")
    with pytest.raises(MissingDataError) as caught:
        LocalSource().missing(requirement)
    assert "nasbench-ecg data add" in caught.value.fix


def test_a_damaged_description_is_a_problem_of_that_dataset_only(
    ward: Path, tmp_path: Path
) -> None:
    nasbench("data", "add", ward)
    (tmp_path / "settings" / "datasets" / "torn.json").write_text('{"format": 1,')
    registry = load_registry()
    assert registry.get("dataset", "my-ward").plugin == "added"
    (problem,) = [p for p in registry.problems if p.plugin == "added"]
    assert "torn.json" in problem.error and problem.components == (("dataset", "torn"),)


@pytest.mark.parametrize(
    "wrong", [{"summary": 1}, {"protocols": "abc"}, {"options": []}, {"folder": None}, {"more": 1}]
)
def test_a_description_with_a_value_of_another_type_is_a_problem_of_that_dataset_only(
    ward: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    nasbench("data", "add", ward)
    path = tmp_path / "settings" / "datasets" / "my-ward.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    (problem,) = [p for p in load_registry().problems if p.plugin == "added"]
    assert next(iter(wrong)) in problem.error
    assert nasbench("list", "datasets").exit_code == 0


def test_added_datasets_can_be_disabled(ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nasbench("data", "add", ward)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "added")
    registry = load_registry()
    assert "my-ward" not in [one.name for one in registry.components("dataset")]
    assert not registry.problems


def test_real_records_have_the_beats_of_the_shipped_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_DATA", DATA)
    folder = real_database("mitdb")
    file = tmp_path / "mine.toml"
    lines = [f'folder = "{folder}"', 'records = ["106", "203"]', 'leads = ["MLII", "V1"]']
    file.write_text("\n".join(['name = "mine"', *lines, "head = 3", "tail = 2"]))
    nasbench("data", "add", file)
    beats = []
    for name, options in (("mine", {}), ("mitbih-2lead", {"records": ("106", "203")})):
        dataset = load_registry().get("dataset", name)
        source = LocalSource(folder.parent)
        beats.append(dataset.create(dataset.options_model()(**options)).load(source, Silent()))
    assert beats[0].fingerprint() == beats[1].fingerprint()
