"""``nasbench-ecg evaluate``: trained weights on other beats, without training."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace

import made_up_plugin
import numpy as np
import pytest
from typer.testing import CliRunner
from wfdb_files import write_record

import nasbench_ecg as nb
from nasbench_ecg.cli import app
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.models import classifier
from nasbench_ecg.models.classifier import classifier_of_file, classifier_of_run
from nasbench_ecg.models.export import metadata
from nasbench_ecg.models.seal import OPEN, SEAL, sealed
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.report.networks.evaluation import as_data, tables
from nasbench_ecg.report.render import render_tables
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.signal.filtering import denoise
from nasbench_ecg.signal.resampling import denoise_at
from nasbench_ecg.studies.evaluate import CarriedWeights
from nasbench_ecg.studies.evaluate import evaluate as scores_on
from nasbench_ecg.studies.stored import read_evaluation
from nasbench_ecg.studies.stress import stress_test
from nasbench_ecg.studies.target import load_target
from nasbench_ecg_synthetic.dataset import Synthetic, SyntheticOptions

SMALL = {"patients": 12, "minutes": 3.0}
SMALL_SET = {f"dataset.{name}": value for name, value in SMALL.items()}


def evaluate(record, out, on, **words) -> CarriedWeights:
    return scores_on(load_target(classifier_of_run(record, out), on, **words))


def nasbench(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on synthetic patients, split by patient, with the folder of its results."""
    out = tmp_path_factory.mktemp("results")
    words = ["run", "cnn-9", "synthetic-2lead", "--profile", "smoke", "--protocol", "patient-kfold"]
    sets = ["--set", "evaluator.epochs=1", "--set", "protocol.fold=0"]
    result = nasbench(*words, *sets, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    (record,), _ = read_records(out)
    return record, out


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder with two records of svdb, at 128 Hz and with leads of other names."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("800", "801"):
        beats = [(100 * i, "NNSV"[i % 4]) for i in range(2, 60)]
        write_record(
            folder / "svdb", name, leads=("ECG1", "ECG2"), n_samples=6200, fs=128, beats=beats
        )
    return LocalSource(folder, folder / "cache")


def on_svdb(trained, source, **changes):
    overrides = {"records": ["800", "801"], **changes.pop("overrides", {})}
    return evaluate(*trained, "svdb-2lead", overrides=overrides, source=source, **changes)


def test_on_its_own_test_part_the_network_has_the_scores_of_its_run(trained):
    record, out = trained
    found = evaluate(record, out, record.dataset_name, protocol="patient-kfold", overrides=SMALL)
    assert found.confusion == record.confusion and found.metrics == pytest.approx(record.metrics)
    assert found.shared == [] and found.notes == [n for n in found.notes if "leads" not in n]


def test_persons_of_the_training_are_left_out_unless_they_are_kept(trained):
    record, out = trained
    found = evaluate(record, out, record.dataset_name, overrides=SMALL)
    seen = {*record.split.records["train"], *record.split.records["validation"]}
    assert set(found.shared) == seen and found.confusion == record.confusion
    assert [one.record for one in found.records] == record.split.records["test"]
    kept = evaluate(record, out, record.dataset_name, overrides=SMALL, keep_shared_persons=True)
    assert set(kept.shared) == seen and kept.kept_shared
    assert np.sum(kept.confusion) == sum(record.dataset.counts.values())
    assert sum(kept.shared_beats.values()) + np.sum(found.confusion) == np.sum(kept.confusion)
    only_seen = {**SMALL, "records": sorted(seen)}
    with pytest.raises(OptionError, match="All test records"):
        evaluate(record, out, record.dataset_name, overrides=only_seen)


def test_the_records_add_up(trained):
    record, out = trained
    found = evaluate(record, out, record.dataset_name, overrides=SMALL)
    assert np.array_equal(np.sum([one.confusion for one in found.records], axis=0), found.confusion)
    assert all(one.person == f"synthetic-2lead/{one.record}" for one in found.records)


def test_beats_of_another_database_are_cut_as_those_of_the_training(trained, elsewhere):
    found = on_svdb(trained, elsewhere)
    options = found.options
    assert (options["before"], options["after"], options["rate"]) == (99, 200, 360)
    assert (options["denoise"], options["denoise_rate"]) == ("db5", 360)
    assert found.leads == {"ECG1": "MLII", "ECG2": "V1"}
    assert any("it gets ECG1, ECG2" in note for note in found.notes)
    assert found.classes == ["N", "S", "V", "F", "Q"] and found.macro_classes == ["N", "S", "V"]
    assert any("No tested beat is F or Q" in note for note in found.notes)
    assert found.shared == [] and np.sum(found.confusion) == 2 * 58


def test_missing_records_are_downloaded_as_for_a_run(trained, elsewhere, tmp_path, monkeypatch):
    def fetch(database, folder, **options):
        assert (database, options["records"]) == ("svdb", ("800", "801"))
        shutil.copytree(elsewhere.data / database, folder, dirs_exist_ok=True)

    monkeypatch.setattr("nasbench_ecg.physionet.fetch.fetch", fetch)
    monkeypatch.delenv("NASBENCH_ECG_DATA", raising=False)
    found = on_svdb(trained, LocalSource(None, tmp_path))
    assert found.metrics == on_svdb(trained, elsewhere).metrics


def test_leads_of_equal_names_are_not_exchanged_where_another_name_differs(trained, elsewhere):
    record, out = trained
    used = record.components["dataset"]
    used = used.model_copy(update={"options": {**used.options, "leads": ["ECG2", "V1"]}})
    other = record.model_copy(update={"components": {**record.components, "dataset": used}})
    assert on_svdb((other, out), elsewhere).leads == {"ECG2": "MLII", "ECG1": "V1"}


def test_leads_and_options_can_be_named(trained, elsewhere):
    found = on_svdb(trained, elsewhere, leads=["ECG2", "ECG1"], overrides={"denoise": "none"})
    assert found.leads == {"ECG2": "MLII", "ECG1": "V1"} and found.options["denoise"] == "none"
    assert found.file_name != on_svdb(trained, elsewhere).file_name
    with pytest.raises(OptionError, match="needs 2 leads"):
        on_svdb(trained, elsewhere, leads=["ECG1"])
    with pytest.raises(OptionError, match="'seed' needs a protocol"):
        on_svdb(trained, elsewhere, protocol_overrides={"seed": 1})


def test_the_note_names_the_leads_that_are_used(trained, elsewhere):
    found = on_svdb(trained, elsewhere, overrides={"leads": ["#1", "#0"]})
    assert any("it gets #1, #0." in note for note in found.notes)
    with pytest.raises(OptionError, match="named twice"):
        on_svdb(trained, elsewhere, leads=["#1", "#0"], overrides={"leads": ["#0", "#1"]})
    with pytest.raises(OptionError, match="needs 2 leads"):
        on_svdb(trained, elsewhere, overrides={"leads": ["#1"]})
    record, out = trained
    used = record.components["dataset"]
    used = used.model_copy(update={"options": {**used.options, "leads": ["MLII", "*"]}})
    other = record.model_copy(update={"components": {**record.components, "dataset": used}})
    with pytest.raises(OptionError, match=r"2 leads \(MLII, the other lead\)"):
        on_svdb((other, out), elsewhere, leads=["ECG1"])


def test_leads_can_be_named_on_the_own_test_part(trained):
    record, out = trained
    found = evaluate(record, out, None, leads=["V1", "MLII"])
    assert found.options["leads"] == ["V1", "MLII"] and found.confusion != record.confusion
    assert any("it gets V1, MLII." in note for note in found.notes)


@pytest.mark.parametrize(
    "changed",
    [{"before": 50}, {"rate": 250}, {"rhythm": "causal"}, {"differences": "median-beat"}],
)
def test_beats_of_another_form_are_refused_before_records_are_read(trained, changed):
    (name,) = changed
    record, out = trained
    with pytest.raises(OptionError, match=f"another value of {name}"):
        evaluate(record, out, "svdb-2lead", overrides=changed)  # whose records are not there


@pytest.mark.slow
def test_an_exported_file_refuses_beats_of_another_shape(trained, tmp_path):
    record, out = trained
    for name in ("a.pt2", "a.onnx"):
        assert (
            nasbench("export", record.run_key, "-o", tmp_path / name, "--out", out).exit_code == 0
        )
        network = classifier_of_file(tmp_path / name)
        assert network.probabilities(np.zeros((3, 2, 300), np.float32)).shape == (3, 5)
        for shape in ((3, 2, 250), (3, 6, 300)):
            with pytest.raises(OptionError, match="the network needs 2 leads × 300 samples"):
                network.probabilities(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "does not describe"), ("{}", "It lacks 'leads'"), ("[]", "does not describe")],
)
def test_a_file_that_does_not_describe_its_network_is_refused(tmp_path, monkeypatch, text, said):
    path = tmp_path / "foreign.onnx"
    path.touch()
    monkeypatch.setattr(classifier, "_onnx", lambda content: (text, None))
    with pytest.raises(StorageError, match=said) as raised:
        classifier_of_file(path)
    assert "export the run again" in raised.value.fix


def test_a_damaged_file_is_refused(tmp_path):
    path, weights = tmp_path / "a.pt2", bytes(range(256)) * 4
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/weights", weights)
    content = path.read_bytes()
    path.write_bytes(content.replace(weights, weights[:-1] + b"x"))
    with pytest.raises(StorageError, match="checksum of a/weights in the file differs"):
        classifier_of_file(path)


def described(record, **more):
    return json.dumps({**metadata(record), **more}, ensure_ascii=False)


@pytest.mark.parametrize("part", [b"first", b"run_key", b"digest", b"last"])
def test_a_file_with_a_digest_is_refused_with_one_flipped_bit(trained, tmp_path, monkeypatch, part):
    path, text = tmp_path / "a.onnx", described(trained[0], **{SEAL: OPEN})
    content = bytearray(sealed(b"first" * 99 + text.encode() + b"last" * 99))
    monkeypatch.setattr(classifier, "_onnx", lambda content: (text, None))
    path.write_bytes(content)
    assert classifier_of_file(path).notes == ()
    place = content.index(SEAL.encode()) + 20 if part == b"digest" else content.index(part)
    for bit in (0, 7):
        content[place] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises(StorageError, match="its SHA-256 differs") as raised:
            classifier_of_file(path)
        assert raised.value.where == str(path)


def test_a_file_without_a_digest_is_read_and_says_so(trained, tmp_path, monkeypatch):
    path = tmp_path / "old.onnx"
    path.write_bytes(described(trained[0]).encode())
    monkeypatch.setattr(classifier, "_onnx", lambda content: (content.decode(), None))
    (note,) = classifier_of_file(path).notes
    assert note.startswith("old.onnx holds no SHA-256 of itself")


def test_classes_can_count_as_others(trained, elsewhere):
    plain = np.array(on_svdb(trained, elsewhere).confusion)
    found = on_svdb(trained, elsewhere, merge={"F": "V", "S": "N"})
    assert found.classes == ["N", "V", "Q"] and found.merged == {"F": "V", "S": "N"}
    true = plain.sum(axis=1)
    assert np.sum(found.confusion, axis=1).tolist() == [true[0] + true[1], true[2] + true[3], 0]
    for merge, message in (({"X": "N"}, "no class 'X'"), ({"F": "V", "V": "N"}, "'V' counts")):
        with pytest.raises(OptionError, match=message):
            on_svdb(trained, elsewhere, merge=merge)


class OtherOrder(Synthetic):
    """Its beats of the classes V, N, X and Q, where X are those of class S."""

    def load(self, source, progress):
        beats = super().load(source, progress)
        names = np.array(["X" if name == "S" else name for name in beats.classes])[beats.labels]
        order = ("V", "N", "X", "Q")
        kept = np.flatnonzero(np.isin(names, order))
        labels = np.array([order.index(name) for name in names[kept]], dtype=np.int64)
        return replace(beats.take(kept), labels=labels, classes=order)


@pytest.fixture
def other_order(monkeypatch):
    """Make the dataset known, and return its name."""
    name = "other-order"
    spec = DatasetSpec(
        name=name, target=OtherOrder, options=SyntheticOptions, summary="Other classes",
        generated=True,
    )  # fmt: skip
    made_up_plugin.install(monkeypatch, spec)
    return name


@pytest.mark.parametrize("merge", [None, {"F": "V"}, {"X": "V"}, {"V": "N"}])
def test_classes_are_matched_by_name_where_their_order_or_number_differs(
    trained, other_order, merge
):
    record, out = trained
    words = {"overrides": SMALL, "keep_shared_persons": True, "merge": merge}
    network = classifier_of_run(record, out)
    plain = load_target(network, record.dataset_name, overrides=SMALL, keep_shared_persons=True)
    turned = replace(
        network, classes=("Q", "V", "N", "F", "S"),
        probabilities=lambda beats: network.probabilities(beats)[:, [4, 2, 0, 3, 1]],
    )  # fmt: skip
    target = load_target(network, other_order, **words)
    found, same = scores_on(target), scores_on(load_target(turned, other_order, **words))
    probabilities = dict(
        zip(network.classes, network.probabilities(plain.beats.signals).T, strict=True)
    )
    for name, other in (merge or {}).items():
        if name in probabilities:
            probabilities[other] = probabilities[other] + probabilities.pop(name)
    names = list(probabilities)
    called = np.array(names)[np.argmax([*probabilities.values()], axis=0)]
    renamed = {"S": "X"} | {name: (merge or {}).get(name, name) for name in "NVQ"}
    if merge == {"X": "V"}:
        renamed["S"] = "V"
    is_in = np.isin(plain.truth, [plain.classes.index(name) for name in "NSVQ"])
    true = np.array([renamed.get(plain.classes[i], "") for i in plain.truth])
    for one in (found, same):
        for i, row in enumerate(one.classes):
            for j, column in enumerate(one.classes):
                expected = np.sum(is_in & (true == row) & (called == column))
                assert one.confusion[i][j] == expected, (row, column)
            assert one.per_class[row]["support"] == sum(one.confusion[i])
        recognized = np.mean(called[is_in] == true[is_in])
        assert one.metrics["accuracy"] == pytest.approx(recognized)
        assert {*one.macro_classes} <= {*one.classes} - {"F", "S"}
    assert np.sum(found.confusion) == is_in.sum() and found.metrics == pytest.approx(same.metrics)
    if merge is None:
        assert found.classes == ["N", "S", "V", "F", "Q", "X"]
        assert same.classes == ["Q", "V", "N", "F", "S", "X"]
        assert any("does not know X" in note for note in found.notes)
        level = stress_test(target, "mark-shift", [1e-3]).levels
        assert all(one.confusion == found.confusion for one in level)
    (named,) = nb.evaluate(
        record, other_order, set=SMALL_SET, keep_shared_persons=True, merge=merge, out=out
    )
    assert named.confusion == found.confusion
    path = out / record.suite / record.run_key / named.file_name
    assert read_evaluation(path, record) == named
    path.unlink()


def test_features_are_refused(trained, elsewhere):
    with pytest.raises(OptionError, match="does not say how its beats are cut"):
        evaluate(*trained, "mitbih-features", source=elsewhere)


def test_the_report_has_every_format_and_the_file_lies_beside_the_record(trained, tmp_path):
    record, out = trained
    sets = ["--set", "dataset.patients=12", "--set", "dataset.minutes=3"]
    words = ["evaluate", record.run_key[:8], "--on", "synthetic-2lead", *sets, "--out", out]
    outputs = [tmp_path / f"report.{suffix}" for suffix in ("md", "csv", "tex", "html", "json")]
    result = nasbench(*words, *(word for path in outputs for word in ("-o", path)))
    assert result.exit_code == 0, result.output
    (stored,) = (out / record.suite / record.run_key / "evaluations").iterdir()
    report = json.loads(outputs[-1].read_text())
    assert report["evaluations"] == [json.loads(stored.read_text())]
    assert all("cnn-9" in path.read_text() for path in outputs)
    refused = nasbench(*words, "--merge", "F")
    assert refused.exit_code == 2 and "A=B" in refused.output
    refused = nasbench(*words, "--merge", "F=V,F=N")
    assert refused.exit_code == 2 and "'F' as 'V' and as 'N'" in refused.output


def test_a_result_that_cannot_be_stored_is_not_made(trained, monkeypatch):
    def refuse(store):
        raise StorageError("Results cannot be written.")

    monkeypatch.setattr(RecordStore, "check_writable", refuse)
    monkeypatch.setattr("nasbench_ecg.studies.target.load_target", pytest.fail)
    with pytest.raises(StorageError, match="cannot be written"):
        nb.evaluate(*trained[:1], out=trained[1])


def test_without_a_dataset_the_run_is_tested_on_its_own_test_part(trained):
    record, out = trained
    (found,) = nb.evaluate(record, out=out)
    assert found.confusion == record.confusion and found.protocol == "patient-kfold"
    assert nb.evaluate(record.run_key[:8], out=out)[0].as_data() == found.as_data()


@pytest.mark.parametrize("library", ["onnxruntime", "executorch"])
@pytest.mark.slow
def test_other_formats_are_read_too(library, trained, tmp_path):
    pytest.importorskip(library)
    record, out = trained
    file = tmp_path / {"onnxruntime": "a.onnx", "executorch": "a.pte"}[library]
    assert nasbench("export", record.run_key, "-o", file, "--out", out).exit_code == 0
    (found,) = nb.evaluate(model=file)
    assert np.abs(np.subtract(found.confusion, record.confusion)).sum() <= 2  # a tie


def test_an_exported_file_is_tested_as_its_run(trained, elsewhere, tmp_path):
    record, out = trained
    assert nasbench("export", record.run_key, "-o", tmp_path / "a.pt2", "--out", out).exit_code == 0
    sets = {"dataset.records": ["800", "801"]}
    words = {"out": out, "set": sets, "data": elsewhere.data, "model": tmp_path / "a.pt2"}
    of_run, of_file = nb.evaluate(record, "svdb-2lead", **words)
    assert of_file.file == "a.pt2" and of_file.confusion == of_run.confusion
    own = nb.evaluate(model=tmp_path / "a.pt2")
    assert own[0].confusion == record.confusion
    seen = nb.evaluate(model=tmp_path / "a.pt2", on=record.dataset_name, set=SMALL_SET)[0]
    assert set(seen.shared) == {*record.split.records["train"], *record.split.records["validation"]}
    frame = own.to_dataframe()
    assert frame["accuracy"].tolist() == [pytest.approx(record.metrics["accuracy"])]
    assert "a.pt2" in str(own) and "<table>" in own._repr_html_()
    with pytest.raises(OptionError, match="No network is named"):
        nb.evaluate(out=out)
    with pytest.raises(OptionError, match="Options of the strategy"):
        nb.evaluate(record, out=out, set={"strategy.epochs": 1})


def test_the_tables_name_what_was_left_out(trained):
    record, out = trained
    found = evaluate(record, out, record.dataset_name, overrides=SMALL)
    board = tables([found])[0]
    assert [row.cells[2].text for row in board.rows] == ["its own test part", "synthetic-2lead"]
    assert any(
        "of persons that the network was trained on are left out" in n for n in board.footnotes
    )
    assert "Trained on" in render_tables([board], "t", "markdown")
    assert as_data([found])["evaluations"][0]["run_key"] == record.run_key


def test_at_the_rate_of_the_training_denoising_keeps_what_it_kept_there():
    # Details of the two finest levels go: everything above fs / 8, 16 Hz at 128 Hz.
    seconds = np.arange(128 * 60) / 128
    signals = np.sin(2 * np.pi * 25 * seconds)[None]
    assert denoise(signals, "db5")[:, 500:-500].std() < 0.1
    kept = denoise_at(signals, 128, 360, "db5")
    assert kept.shape == signals.shape
    np.testing.assert_allclose(kept[:, 500:-500], signals[:, 500:-500], atol=0.1)
    np.testing.assert_array_equal(denoise_at(signals, 128, 360, "none"), signals)
