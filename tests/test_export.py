"""``nasbench-ecg export``: a trained network as one file, which says what the run said."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from run_records import keyed, run_record
from safetensors.torch import load_file, save_file
from tiny_beats import tiny_beats
from tiny_runs import DARTS, SETTINGS, assignments, prepared_run, tiny_config
from typer.testing import CliRunner

import nasbench_ecg as nb
from nasbench_ecg.cli import app
from nasbench_ecg.metrics import scores
from nasbench_ecg.models.card import model_card
from nasbench_ecg.models.executorch import METADATA_METHOD
from nasbench_ecg.models.export import METADATA
from nasbench_ecg.models.load import load_model
from nasbench_ecg.models.quantization import calibration_beats
from nasbench_ecg.models.seal import check_seal
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore

pytestmark = pytest.mark.usefixtures("outside")


def nasbench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def out(tmp_path_factory, outside):
    """A folder of results with a finished run, and the record of one that failed."""
    out = tmp_path_factory.mktemp("results")
    settings = assignments({**SETTINGS, "strategy": DARTS})
    run = ["run", "darts", "toy-2lead", "--profile", "paper", "--device", "cpu", *settings]
    assert nasbench(*run, "--out", out).exit_code == 0
    RecordStore(out).write(keyed(run_record(status="failed")))
    return out


@pytest.fixture(scope="module")
def record(out):
    return next(record for record in read_records(out)[0] if record.status == "ok")


@pytest.fixture(scope="module")
def predicted(out, record, beats_cache):
    """Test beats of the run, float32 [n, leads, samples], and the classes that it gave them."""
    told = json.loads((out / "runs" / record.run_key / "predictions.json").read_text())
    test = prepared_run(tiny_config("darts"), beats_cache).test.load()
    assert told["sample"] == test.sample.tolist()
    return np.array(test.signals), told["predicted"]


@pytest.mark.slow
def test_the_model_of_a_run_predicts_what_the_run_predicted(out, record, predicted):
    signals, classes = predicted
    model = load_model(record, out)
    with torch.no_grad():
        assert model(torch.from_numpy(signals)).argmax(1).tolist() == classes


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".pt2", ".onnx", ".pte"])
def test_the_file_predicts_what_the_run_predicted_and_says_what_it_needs(
    ending, out, record, predicted, tmp_path
):
    if ending == ".onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
    if ending == ".pte":
        runtime = pytest.importorskip("executorch.runtime")
    path = tmp_path / f"model{ending}"
    done = nasbench("export", record.run_key[:6], "--out", out, "-o", path)
    assert done.exit_code == 0, done.stderr
    assert str(path) in done.stderr
    signals, classes = predicted
    if ending == ".onnx":
        session = onnxruntime.InferenceSession(path)
        told = session.get_modelmeta().custom_metadata_map[METADATA]
        probabilities = session.run(None, {"beats": signals})[0]
    elif ending == ".pte":
        loaded = runtime.Runtime.get().load_program(path.read_bytes())
        (told,) = loaded.load_method(METADATA_METHOD).execute([])
        forward = loaded.load_method("forward")
        beats = torch.from_numpy(signals)
        found = [forward.execute([beat[None]])[0].numpy() for beat in beats]
        probabilities = np.concatenate(found)
    else:
        extra = {METADATA: ""}
        program = torch.export.load(path, extra_files=extra).module()
        told, probabilities = extra[METADATA], program(torch.from_numpy(signals)).detach().numpy()
    assert probabilities.argmax(1).tolist() == classes
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    about = json.loads(told)
    assert about["classes"] == record.classes
    assert (len(about["leads"]), about["samples"]) == signals.shape[1:]
    assert about["preparation"]["options"] == record.components["dataset"].options
    assert about["run_key"] == record.run_key
    assert check_seal(path.read_bytes(), where="") == (ending != ".pt2")


@pytest.mark.slow
def test_an_int8_network_states_what_quantization_costs(out, record, predicted, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    done = nasbench("export", record.run_key, "--int8", "--out", out, "-o", path)
    assert done.exit_code == 0, done.stderr
    signals, classes = predicted
    session = onnxruntime.InferenceSession(path)
    told = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])["int8"]
    found = session.run(None, {"beats": signals})[0].argmax(1)
    assert told["agreement"] == pytest.approx((found == np.array(classes)).mean())
    assert told["test_beats"] == len(classes)
    truth = json.loads((out / "runs" / record.run_key / "predictions.json").read_text())["truth"]
    matrix = np.zeros((len(record.classes),) * 2, dtype=int)
    np.add.at(matrix, (truth, found), 1)
    by_hand = scores(matrix, record.classes, record.macro_classes)["f1_of_macro"]
    assert told["f1_of_macro"] == pytest.approx(by_hand)
    assert told["loss"] == pytest.approx(record.metrics["f1_of_macro"] - by_hand)
    parameters = record.costs["parameters"]
    assert parameters / 2 < told["weight_bytes"] < 4 * parameters
    assert check_seal(path.read_bytes(), where="")
    assert json.loads((out / "runs" / record.run_key / "int8.json").read_text()) == told


def test_an_int8_program_of_executorch_gives_the_classes_of_the_network():
    pytest.importorskip("executorch.runtime")
    from nasbench_ecg.models import executorch
    from nasbench_ecg.models.export import Classifier

    torch.manual_seed(0)
    layers = [torch.nn.Conv1d(2, 4, 9), torch.nn.BatchNorm1d(4), torch.nn.ReLU()]
    head = [torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3)]
    network = Classifier(torch.nn.Sequential(*layers, *head)).eval()
    beats = torch.randn(16, 2, 100)
    program = executorch.quantized(network, beats.numpy())
    text, probabilities = executorch.load_program(executorch.int8_program(program, "about"))
    with torch.no_grad():
        expected = network(beats).numpy()
    assert text == "about" and np.abs(probabilities(beats.numpy()) - expected).max() < 0.05
    assert executorch.constant_bytes(program) >= 2 * 4 * 9 + 4 * 3


def test_calibration_takes_an_equal_share_of_each_class():
    beats = tiny_beats(200, seed=0)
    chosen = calibration_beats(beats, n=30)
    assert chosen.dtype == np.float32 and len(chosen) <= 30
    counts = np.bincount(beats.labels, minlength=len(beats.classes))
    assert len(chosen) == sum(min(n, 30 // np.count_nonzero(counts)) for n in counts)
    assert np.array_equal(chosen, calibration_beats(beats, n=30))


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_no_card_of_another_network(
    out, record, tmp_path, monkeypatch
):
    path = tmp_path / "model.pt2"
    path.touch()
    (tmp_path / "model.pt2.md").write_text("card of another network")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nasbench_ecg.models.export.write", killed)
    with pytest.raises(KeyboardInterrupt):
        nb.export(record, path, out=out)
    assert path.stat().st_size and [p.name for p in tmp_path.iterdir()] == ["model.pt2"]


@pytest.mark.slow
def test_the_model_card_says_what_the_record_says(out, record, tmp_path):
    path = tmp_path / "model.pt2"
    assert nasbench("export", record.run_key, "--out", out, "-o", path).exit_code == 0
    card = (tmp_path / "model.pt2.md").read_text()
    assert record.run_key in card and record.command in card
    i = record.classes.index("N")
    tp, n = record.confusion[i][i], sum(record.confusion[i])
    low, high = (100 * bound for bound in wilson(tp, n))
    assert f"| N | {n:,} | {100 * tp / n:.2f} | {low:.2f}–{high:.2f} |" in card
    assert "| part | records | persons |" in card
    persons = {
        part: {record.dataset.persons.get(name, name) for name in names}
        for part, names in record.split.records.items()
    }
    tested = persons["test"]
    assert f"| test | {len(record.split.records['test'])} | {len(tested)} |" in card
    shared = (persons["train"] | persons["validation"]) & tested
    assert f"with beats in them: {len(shared)} of {len(tested)}." in card


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (["201"], "The scores are those of persons that the network has seen."),
        (["202", "300"], "The scores are in part (1 of 2) those of persons that"),
        (["300", "301"], None),
    ],
)
def test_the_model_card_counts_persons_of_the_validation_part_too(record, test, said):
    parts = {"train": ["100"], "validation": ["201"], "test": test}
    split = record.split.model_copy(update={"records": parts})
    persons = {"100": "a", "201": "b", "202": "b", "300": "c", "301": "d"}
    data = record.dataset.model_copy(update={"persons": persons})
    card = model_card(record.model_copy(update={"split": split, "dataset": data}), "model.onnx")
    shared = sum(persons[name] == "b" for name in test)
    assert f"with beats in them: {shared} of {len(test)}." in card
    assert said in card if said else "has seen" not in card


def wilson(k, n, z=1.959963984540054):
    """Wilson 1927: the bounds where the normal test of a proportion has p = 0.05."""
    center, spread = (k + z * z / 2) / (n + z * z), z / (n + z * z)
    half = spread * np.sqrt(k * (n - k) / n + z * z / 4)
    return center - half, center + half


@pytest.mark.parametrize(
    ("run", "file", "said"),
    [
        (None, "model.pkl", "ends in one of .pt2, .onnx"),
        (None, "no/such/folder/model.pt2", "does not exist"),
        ("FAILED", "model.pt2", "ended as 'failed'"),
        ("ffff", "model.pt2", "There is no run 'ffff'"),
    ],
)
def test_bad_input_is_one_error_and_leaves_no_file(run, file, said, out, record, tmp_path):
    if run == "FAILED":
        run = next(one.run_key for one in read_records(out)[0] if one.status == "failed")
    done = nasbench("export", run or record.run_key, "--out", out, "-o", tmp_path / file)
    assert done.exit_code == 2
    assert said in " ".join(line.strip("│ ") for line in done.stderr.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_without_weights_the_command_that_makes_them_is_named(out, record, tmp_path):
    alone = tmp_path / "results"
    RecordStore(alone).write(record)
    done = nasbench("export", record.run_key, "--out", alone, "-o", tmp_path / "model.pt2")
    assert done.exit_code == 2
    assert "weights of the run" in done.stderr and "--rerun" in done.stderr


def test_a_file_that_cannot_be_written_is_an_error_before_the_work(
    out, record, tmp_path, monkeypatch
):
    monkeypatch.setattr("nasbench_ecg.models.export.exported", lambda *_: pytest.fail("exported"))
    path = tmp_path / "model.pt2"
    path.mkdir()
    done = nasbench("export", record.run_key[:8], "-o", path, "--out", out)
    assert done.exit_code == 2 and "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_cannot_be_traced_is_an_error(out, record, tmp_path, monkeypatch):
    class Moody(torch.nn.Module):
        def forward(self, beats):
            return beats.mean(-1) if beats.sum() > 0 else beats.amax(-1)

    monkeypatch.setattr("nasbench_ecg.models.load.load_model", lambda *_: Moody().eval())
    done = nasbench("export", record.run_key, "--out", out, "-o", tmp_path / "model.pt2")
    assert done.exit_code == 2
    assert "cannot be exported" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_an_error_that_says_how_to_make_them_again(out, record, tmp_path):
    damaged = tmp_path / "results"
    RecordStore(damaged).write(record, {"architecture.json": record.architecture})
    (damaged / "runs" / record.run_key / "weights.safetensors").write_bytes(b"torn")
    done = nasbench("export", record.run_key, "--out", damaged, "-o", tmp_path / "model.pt2")
    assert done.exit_code == 2
    assert "weights cannot be read" in done.stderr and "--rerun" in done.stderr
    assert not (tmp_path / "model.pt2").exists()


def test_weights_of_another_training_are_not_used(out, record, tmp_path):
    mixed = tmp_path / "results"
    shutil.copytree(out, mixed)
    file = mixed / "runs" / record.run_key / "weights.safetensors"
    weights = load_file(file)
    weights[next(iter(weights))] += 1
    save_file(weights, file)
    done = nasbench("export", record.run_key, "--out", mixed, "-o", tmp_path / "model.pt2")
    assert done.exit_code == 2
    assert "weights are not those of the run" in " ".join(done.stderr.split())
    assert not (tmp_path / "model.pt2").exists()
