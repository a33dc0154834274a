"""Stress tests: calibrated noise as the program nst adds it, and shifted R marks."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from xml.etree import ElementTree

import numpy as np
import pytest
from run_records import keyed
from typer.testing import CliRunner
from wfdb_files import real_database, write_record

import nasbench_ecg as nb
from nasbench_ecg.cli import app
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError, NasbenchError, OptionError, StorageError
from nasbench_ecg.metrics import scores
from nasbench_ecg.progress import Silent
from nasbench_ecg.report.networks.evaluation import Method, tables
from nasbench_ecg.report.networks.stress import tables as stress_tables
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import EVALUATIONS, WEIGHTS, RecordStore
from nasbench_ecg.signal.noise import (
    Noise,
    add_noise,
    is_noisy,
    noise_gains,
    qrs_amplitudes,
    read_noise,
)
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.studies.stored import read_evaluation

FS = 100
MINUTES = 10


def sine(amplitude, hertz=5.0, minutes=MINUTES):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(60 * FS * minutes) / FS)


def record(signals, every=100, symbols="N"):
    samples = np.arange(every, signals.shape[1] - every, every)
    return Record(
        name="r", fs=float(FS), leads=tuple("AB"[: len(signals)]), signals=signals,
        symbols=np.resize(list(symbols), len(samples)), samples=samples, comments=(),
    )  # fmt: skip


def noise(*signals):
    return Noise("n", float(FS), np.array(signals))


def test_at_0_db_a_sine_is_as_large_as_the_qrs_complexes():
    # nst: the signal power of QRS complexes is that of a sine of their peak-to-peak amplitude.
    tall = record(np.stack([sine(2.0), sine(0.5)]))
    np.testing.assert_allclose(qrs_amplitudes(tall), [4.0, 1.0])
    gains = noise_gains(tall, noise(sine(2.0), sine(2.0)), 0.0)
    np.testing.assert_allclose(gains, [1.0, 0.25], rtol=1e-9)
    np.testing.assert_allclose(noise_gains(tall, noise(sine(2.0)), 20.0), [0.1, 0.025])
    np.testing.assert_allclose(noise_gains(tall, noise(sine(2.0)), -6.0)[0], 10**0.3)


def test_noise_starts_after_five_minutes_and_pauses_every_other_two():
    minutes = np.arange(0, 30, 0.5)
    noisy = is_noisy((minutes * 60 * FS).astype(np.int64), FS)
    assert set(minutes[noisy].astype(int)) == {5, 6, 9, 10, 13, 14, 17, 18, 21, 22, 25, 26, 29}


def test_noise_is_added_without_steps():
    clean = record(sine(1.0)[None])
    rough = noise(np.random.default_rng(0).normal(3.0, 1.0, 60 * FS * MINUTES))
    added = (add_noise(clean, rough, 6.0).signals - clean.signals)[0]
    assert not added[: 300 * FS].any()
    assert np.ptp(added[420 * FS : 540 * FS]) < 1e-12  # only the offset remains
    gain = noise_gains(clean, rough, 6.0)[0]
    for first, last in ((300, 420), (540, 600)):
        own = slice(first * FS, last * FS)
        np.testing.assert_allclose(np.diff(added[own]), gain * np.diff(rough.signals[0][own]))
    assert np.abs(np.diff(added)).max() <= gain * np.abs(np.diff(rough.signals)).max() + 1e-9


def test_noise_that_ends_starts_again_and_leads_take_turns():
    clean = record(np.zeros((2, 60 * FS * MINUTES)) + sine(1.0))
    short = noise(sine(1.0, 7.0, minutes=1))
    added = add_noise(clean, short, 0.0).signals - clean.signals
    np.testing.assert_allclose(added[0], added[1])
    first, second = added[0, 300 * FS : 360 * FS], added[0, 360 * FS : 420 * FS]
    assert first.std() == pytest.approx(np.sqrt(0.5), rel=0.01)
    np.testing.assert_allclose(np.diff(first), np.diff(second), atol=1e-9)
    assert abs(second[0] - first[-1]) < 1e-9  # no step, as where noise begins


def test_amplitudes_leave_out_ventricular_beats_and_the_extremes():
    signals = np.zeros((1, 60 * FS * MINUTES))
    beats = record(signals, every=100, symbols="NV")
    signals[0, beats.samples[beats.symbols == "N"]] = 1.0
    signals[0, beats.samples[beats.symbols == "V"]] = 5.0
    signals[0, beats.samples[beats.symbols == "N"][:10]] = 100.0  # fewer than 5%
    assert qrs_amplitudes(beats) == pytest.approx([1.0])
    only = record(signals, symbols="V")
    assert qrs_amplitudes(only)[0] > 1.0
    assert noise_gains(record(np.zeros((1, 9000))), noise(sine(1.0)), 0.0) == [0.0]


def test_amplitudes_are_measured_where_a_lead_has_a_signal():
    signals = np.stack([sine(2.0), sine(0.5)])
    missing = np.zeros(signals.shape, dtype=bool)
    missing[0, : 60 * FS * 7] = True
    signals[missing] = 5.0
    off = replace(record(signals), missing=missing)
    np.testing.assert_allclose(qrs_amplitudes(off), [4.0, 1.0])
    missing[0] = True
    np.testing.assert_allclose(qrs_amplitudes(replace(off, missing=missing)), [0.0, 1.0])


def test_real_noise_has_the_ratio_that_it_is_asked_for():
    clean = read_record(real_database("mitdb"), "118")
    for name in ("bw", "em", "ma"):
        rough = read_noise(real_database("nstdb"), name)
        assert rough.fs == 360 and rough.signals.shape == (2, 650_000)
        added = add_noise(clean, rough, 6.0).signals - clean.signals
        noisy = is_noisy(np.arange(added.shape[1]), 360)
        assert np.ptp(added[:, 420 * 360 + 1 : 540 * 360], axis=1).max() < 1e-9
        # by the definition, over the segments with noise: the record is not equally loud
        seconds = added[:, noisy][:, : 360 * 700].reshape(2, 700, 360)
        power = np.median(seconds.var(axis=2), axis=1)
        snr = 10 * np.log10(qrs_amplitudes(clean) ** 2 / 8 / power)
        assert np.abs(snr - 6).max() < 6, (name, snr)


# Beats


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Two records of svdb of eight minutes, and noise at another rate."""
    data = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("800", "801")):
        n = 128 * 60 * 8
        beats = [(100 * i, "NNSV"[i % 4]) for i in range(2, n // 100 - 2)]
        signals = np.random.default_rng(seed).normal(0, 0.02, (2, n))
        for at, symbol in beats:
            signals[:, at - 3 : at + 4] += np.hanning(7) * (-1 if symbol == "V" else 1)
        write_record(
            data / "svdb", name, leads=("ECG1", "ECG2"), fs=128, beats=beats,
            signals=signals.round(3),
        )  # fmt: skip
    rough = np.random.default_rng(5).normal(0, 0.3, (2, 360 * 60 * 8)).round(2)
    for name in ("em", "ma"):
        write_record(
            data / "nstdb", name, leads=("noise1", "noise2"), signals=rough, beats=[(9, "N")]
        )
    return LocalSource(data, data / "cache")


def options(**changes):
    given = {"records": ("800", "801"), "leads": ("ECG1", "ECG2"), "before": 35, "after": 71}
    return WaveformOptions(**{**given, "denoise": "none", "head": 0, "tail": 0, **changes})


def cut(ward, **changes):
    return cut_beats(ward.folder("svdb"), options(**changes), Silent(), source=ward).beats


def test_noise_changes_the_windows_of_the_noisy_segments_only(ward):
    clean, noisy = cut(ward), cut(ward, added_noise="em", snr=0)
    changed = (clean.signals != noisy.signals).any(axis=(1, 2))
    inside = is_noisy(clean.sample, 128)
    assert changed[inside].all() and not changed[clean.sample < 128 * 299].any()
    assert np.array_equal(clean.sample, noisy.sample)
    with pytest.raises(ValueError, match="added_noise and snr together"):
        options(added_noise="em")
    with pytest.raises(OptionError, match="does not support the option 'added_noise'"):
        cut_beats(ward.folder("svdb"), options(added_noise="em", snr=0), Silent())


def test_shifted_marks_move_windows_and_not_marks(ward):
    clean, moved = cut(ward), cut(ward, mark_shift=40)
    assert np.array_equal(clean.sample, moved.sample)
    assert np.array_equal(moved.signals, cut(ward, mark_shift=40).signals)
    found = moved.signals[:, 0, 35 - 12 : 35 + 13]
    place = np.abs(found).argmax(axis=1) - 12
    assert np.abs(place).max() <= 7 and {-5, 0, 5} <= set(place.tolist())  # 5 samples are 39 ms
    assert np.abs(place.mean()) < 1


def test_marks_are_moved_to_detected_peaks_and_labels_stay(ward):
    displaced = [(100 * i + (9 if i % 3 else 0), "NNSV"[i % 4]) for i in range(2, 74)]
    n = 128 * 60
    signals = np.random.default_rng(3).normal(0, 0.01, (2, n))
    for i in range(2, 74):
        signals[:, 100 * i - 3 : 100 * i + 4] += np.hanning(7)
    write_record(
        ward.data / "svdb", "802", leads=("ECG1", "ECG2"), fs=128, beats=displaced,
        signals=signals.round(3),
    )  # fmt: skip
    marked, aligned, short = (
        cut(ward, records=("802",), align_marks=reach) for reach in (None, 100, 50)
    )
    assert np.array_equal(marked.sample, aligned.sample)
    assert np.array_equal(marked.labels, aligned.labels)
    places = np.abs(aligned.signals[:, 0]).argmax(axis=1) - 35
    assert np.abs(places).max() <= 1
    late = np.abs(short.signals[:, 0, :60]).argmax(axis=1) - 35  # 9 samples are 70 ms
    assert {-9, 0} <= set(late.tolist())
    assert options(align_marks=100).model_dump(exclude_none=True)["align_marks"] == 100
    assert "align_marks" not in options().model_dump(exclude_none=True)


# Networks


def nasbench(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    words = ["run", "cnn-9", "synthetic-2lead", "--profile", "smoke", "--protocol", "patient-kfold"]
    sets = ["--set", "evaluator.epochs=1", "--set", "protocol.fold=0"]
    assert nasbench(*words, *sets, "--out", out, "--device", "cpu").exit_code == 0
    (found,), _ = read_records(out)
    return found, out


def test_the_stress_test_of_a_network(trained, ward, tmp_path):
    record, out = trained
    sets = ["--set", 'dataset.records=["800", "801"]', "--data", ward.data, "--out", out]
    outputs = [tmp_path / f"curve.{suffix}" for suffix in ("md", "csv", "html", "svg", "json")]
    said = nasbench(
        "evaluate", record.run_key, "--on", "svdb-2lead", "--noise", "em,ma", "--snr", "60,0",
        *sets, *(word for path in outputs for word in ("-o", path)),
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    em, ma = json.loads(outputs[-1].read_text())["stress_tests"]
    assert [level["level"] for level in em["levels"]] == [None, 60, 0]
    clean, quiet, loud = (np.array(level["confusion"]) for level in em["levels"])
    assert clean.sum() == loud.sum() > 100
    assert np.array_equal(clean.sum(axis=1), loud.sum(axis=1))
    assert np.abs(clean - quiet).sum() < 0.1 * clean.sum() < np.abs(clean - loud).sum()
    assert ma["levels"][2]["confusion"] == em["levels"][2]["confusion"]  # equal noise
    assert "no noise" in outputs[0].read_text() and "60 dB" in outputs[1].read_text()
    for path in outputs[2:4]:
        assert "Dashed: the score without the disturbance." in path.read_text()
    assert "sensitivity and positive predictivity" in " ".join(outputs[0].read_text().split())
    assert "<svg" in outputs[2].read_text() and "electrode motion" in outputs[2].read_text()
    assert len(ElementTree.fromstring(outputs[3].read_text()).findall(".//*[@class='curve']")) == 2
    stored = {path.name for path in (out / record.suite / record.run_key / "evaluations").iterdir()}
    assert sorted(name[:13] for name in stored) == ["svdb-2lead-em", "svdb-2lead-ma"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"shift_marks": [20, 0]}, "cannot be moved by 0 ms"),
        ({"shift_marks": [np.nan]}, "moved by nan ms"),
        ({"noise": "em", "snr": [0, np.inf]}, "cannot be inf dB"),
        ({"noise": "em", "snr": -101}, "cannot be -101 dB"),
        ({"noise": "em", "snr": []}, "No level"),
    ],
)
def test_a_wrong_level_is_refused_before_the_others_are_tested(trained, words, said):
    record, out = trained
    with pytest.raises(OptionError, match=said):
        nb.evaluate(record, "svdb-2lead", **words, out=out, data=out)  # where no records are


def test_a_stress_test_with_other_settings_is_another_one(trained, ward, tmp_path):
    record, out = trained
    copies = tmp_path / "results"
    folder = shutil.copytree(out, copies) / record.suite / record.run_key / EVALUATIONS
    shutil.rmtree(folder, ignore_errors=True)  # those of other tests
    words = {"on": "svdb-2lead", "shift_marks": [20], "out": copies, "data": ward.data}
    records = {"dataset.records": ["800", "801"]}
    (plain,) = nb.evaluate(record, set=records, **words)
    (merged,) = nb.evaluate(record, set=records, merge={"F": "V"}, **words)
    assert len({plain.file_name, merged.file_name}) == len(list(folder.glob("*"))) == 2
    again = nb.stored_evaluations(out=copies)
    assert len(again) == 2 and all(one in again.results for one in (plain, merged))
    (table,) = again.tables()
    shown = {row.cells[2].label for row in table.rows}
    assert shown == {
        'svdb-2lead (records=["800", "801"])',
        'svdb-2lead (merge={"F": "V"}, records=["800", "801"])',
    }
    assert {row.cells[5].value for row in table.rows} == {1}  # not two runs of one method
    usual = replace(plain, changed={})
    assert usual.file_name == "evaluations/svdb-2lead-mark-shift.json"
    assert "changed" not in usual.as_data() and "changed" in plain.as_data()


def test_stored_tests_are_shown_as_means_over_the_runs_of_a_method(trained, ward, tmp_path):
    record, out = trained
    copies = tmp_path / "results"
    first = shutil.copytree(out, copies) / record.suite / record.run_key
    shutil.rmtree(first / EVALUATIONS, ignore_errors=True)  # those of other tests
    words = {"out": copies, "data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    plain = nb.evaluate(record, "svdb-2lead", **words)[0]
    aligned = nb.evaluate(record, "svdb-2lead", align_marks=50, **words)[0]
    nb.evaluate(record, "svdb-2lead", noise="em", snr=[6, 0], **words)
    found = nb.stored_evaluations(out=copies)
    assert {one.as_data()["options"].get("align_marks") for one in found[:2]} == {None, 50}
    assert plain.as_data() in [one.as_data() for one in found] and len(found) == 3
    board, stress = found.tables()
    shown = [row.cells[2].label for row in board.rows]
    assert shown == ["its own test part", "svdb-2lead", "svdb-2lead (align_marks=50)"]
    assert len(stress.rows) == 3 and stress.chart is not None
    file, svg = tmp_path / "board.md", tmp_path / "board.svg"
    said = nasbench("evaluate", "--stored", "--out", copies, "-o", file, "-o", svg)
    assert said.exit_code == 0, said.output
    stored = ["evaluate", "--stored", "--out", copies, "--check", file]
    assert nasbench(*stored).exit_code == 0
    assert nasbench("verify", record.run_key, "--out", copies, "--data", ward.data).exit_code == 0
    one = first / aligned.file_name
    told = json.loads(one.read_text())
    told["metrics"]["accuracy"] = 0.99
    one.write_text(json.dumps(told))
    refused = nasbench(*stored)
    assert refused.exit_code == 2 and "accuracy is 0.99" in refused.output
    failed = nasbench("verify", record.run_key, "--out", copies, "--data", ward.data)
    assert failed.exit_code == 1 and "evaluations" in failed.output
    told = aligned.as_data()
    told["per_class"]["N"], told["per_class"]["V"] = (told["per_class"][name] for name in "VN")
    one.write_text(json.dumps(told))
    assert "support of N is" in nasbench(*stored).output
    one.unlink()
    assert "--stored" in nasbench("evaluate", "--check", file).output
    changed = nasbench(*stored)
    assert changed.exit_code == 2 and "differs" in changed.output
    with pytest.raises(StorageError, match="no suite 'no-such-suite'"):
        nb.stored_evaluations("no-such-suite", out=copies)
    (copies / "empty").mkdir()
    with pytest.raises(StorageError, match="No test of a trained network is stored"):
        nb.stored_evaluations("empty", out=copies)


def test_a_stored_test_that_was_changed_is_refused(trained, ward, tmp_path):
    record, out = trained
    copies = tmp_path / "results"
    folder = shutil.copytree(out, copies) / record.suite / record.run_key / EVALUATIONS
    shutil.rmtree(folder, ignore_errors=True)  # those of other tests
    words = {"out": copies, "data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    (one,) = nb.evaluate(record, "svdb-2lead", **words)
    (path,) = folder.glob("*.json")
    assert read_evaluation(path, record) == one
    fewer = one.macro_classes[:2]
    metrics = scores(np.array(one.confusion), one.classes, fewer)
    assert metrics["macro_se"] != one.metrics["macro_se"]
    first = {**asdict(one.records[0]), "metrics": {"accuracy": 0.99}}
    for changes, said in (
        ({"own_metrics": {**one.own_metrics, "f1_of_macro": 0.99}}, "its own test part"),
        ({"macro_classes": fewer, "metrics": metrics}, "macro_classes is"),
        ({"records": [first, *one.as_data()["records"][1:]]}, "in 800, accuracy is 0.99"),
        ({"strategy": "darts-es"}, "is of darts-es"),
        ({"tested_on": "incart-2lead"}, "give it the name incart-2lead"),
        ({"options": {**one.options, "mark_shift": 20.0}}, "give it the name svdb-2lead"),
    ):
        path.write_text(json.dumps({**one.as_data(), **changes}))
        with pytest.raises(StorageError, match=said):
            read_evaluation(path, record)


def test_the_tests_of_two_runs_of_a_method_have_one_row(trained, ward):
    record, out = trained
    words = {"out": out, "data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    (one,) = nb.evaluate(record, "svdb-2lead", **words)
    (noisy,) = nb.evaluate(record, "svdb-2lead", noise="em", snr=[0], **words)
    metrics = {name: value / 2 for name, value in one.metrics.items()}
    other = replace(one, run_key="f" * 16, metrics=metrics)
    levels = [replace(level, metrics=metrics) for level in noisy.levels]
    noisier = replace(noisy, run_key="f" * 16, levels=levels)
    methods = {id(test): Method("cnn-9", "here") for test in (one, other, noisy, noisier)}
    (table,) = tables([one, other], methods)
    (stress,) = stress_tables([noisy, noisier], methods)
    shown = ((table.rows[1].cells[4:], one), (stress.rows[0].cells[5:], noisy.levels[0]))
    for (found, accuracy, *_), value in shown:
        runs = found.text
        assert runs == "2"
        both = [value.metrics["accuracy"], metrics["accuracy"]]
        assert accuracy.value == pytest.approx(np.mean(both))
        assert accuracy.spread == f"± {100 * np.std(both, ddof=1):.2f}"
    assert len(table.rows) == 2 and len(stress.rows) == 2


def test_rows_of_two_networks_never_look_the_same(trained, ward):
    record, out = trained
    words = {"out": out, "data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    (one,) = nb.evaluate(record, "svdb-2lead", **words)
    (noisy,) = nb.evaluate(record, "svdb-2lead", noise="em", snr=[0], **words)
    tests = [one, noisy, *(replace(test, run_key="f" * 16) for test in (one, noisy))]
    methods = {id(t): Method("cnn-9", where) for t, where in zip(tests, "aabb", strict=True)}
    for named in (None, methods):
        for table in (
            tables(tests[::2], named)[0], stress_tables(tests[1::2], named)[0],
        ):  # fmt: skip
            rows = [tuple(c.line for c in row.cells) for row in table.rows]
            assert len(rows) == len(set(rows)) == 4, table.title
            where = [column.heading for column in table.columns].index("trained on")
            if named:
                assert [row[where] for row in rows] == ["a", "a", "b", "b"]
    (alone,) = stress_tables([noisy])
    (name,) = {row.cells[0].line for row in alone.rows}
    assert name == f"cnn-9 ({record.run_key[:8]})"
    (curve,) = alone.chart.methods
    assert curve.startswith(f"{name} on svdb-2lead")


def also(out, record, suite, **changes):
    """Store a run once more, changed and with its tests, in another suite."""
    options = changes.pop("dataset_options", {})
    changed = record.model_copy(deep=True, update={"suite": suite, **changes})
    changed.components["dataset"].options.update(options)
    changed.components["dataset"].changed.update(options)
    changed = keyed(changed)
    store, files = RecordStore(out, suite), out / record.suite / record.run_key
    store.write(changed)
    shutil.copytree(files, store.folder / changed.run_key)
    for path in (store.folder / changed.run_key / EVALUATIONS).iterdir():
        path.write_text(path.read_text().replace(record.run_key, changed.run_key))
    return changed


def test_a_result_in_two_suites_is_one_network_whose_weights_are_found(trained, ward, tmp_path):
    record, out = trained
    copies = tmp_path / "results"
    files = shutil.copytree(out, copies) / record.suite / record.run_key
    copy = record.model_copy(update={"suite": "a-suite"})
    RecordStore(copies, copy.suite).copy(copy, files, weights=False)
    for run in (copy, record.run_key):
        nb.load_model(run, out=copies)
    words = {"data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    assert len(nb.evaluate(nb.runs(copies), "svdb-2lead", **words)) == 1
    (files / WEIGHTS).write_bytes(b"of another network")
    with pytest.raises(StorageError, match=f"weights of the run {record.run_key} are missing"):
        nb.load_model(copy, out=copies)


def test_stored_tests_count_each_result_once_and_tell_others_apart(trained, ward, tmp_path):
    record, out = trained
    copies = tmp_path / "results"
    first = shutil.copytree(out, copies) / record.suite / record.run_key
    shutil.rmtree(first / EVALUATIONS, ignore_errors=True)  # those of other tests
    words = {"out": copies, "data": ward.data, "set": {"dataset.records": ["800", "801"]}}
    nb.evaluate(record, "svdb-2lead", **words)

    def shown():
        (board,) = nb.stored_evaluations(out=copies).tables()
        return [tuple(cell.text for cell in row.cells[:5]) for row in board.rows]

    trained_on = "synthetic-2lead · patient-kfold · smoke"
    before = shown()
    assert [row[1:3] + row[4:] for row in before] == [
        (trained_on, "its own test part", "1"), (trained_on, "svdb-2lead", "1"),
    ]  # fmt: skip
    # the same run in two suites; a run with another option and the same beats
    also(copies, record, "again")
    assert also(copies, record, "twin", dataset_options={"max_missing": 0.9}) != record.run_key
    assert shown() == before
    # other beats, and another's run of the same key
    data = record.dataset.model_copy(update={"fingerprint": "d" * 64})
    other = {"dataset": data, "dataset_options": {"leads": ["X", "Y"]}}
    also(copies, record, "other-beats", **other)
    also(copies, record, "theirs", submitted_by="Someone")
    where = [row[:2] + row[4:] for row in shown() if row[2] == "svdb-2lead"]
    leads = '(leads=["X", "Y"])'
    assert len(where) == 3 and all(runs == "1" for *_, runs in where)
    assert [trained for _, trained, _ in where if leads in trained] == [f"{trained_on} {leads}"]
    assert ["Someone" in method for method, *_ in where].count(True) == 1


def test_a_shift_of_the_marks_costs_score(trained):
    record, out = trained
    (found,) = nb.evaluate(record, out=out, shift_marks=[1, 200])
    frame = nb.evaluate(record, out=out, shift_marks=[1, 200]).to_dataframe()
    assert found.levels[0].confusion == record.confusion
    accuracy = frame.set_index("level")["accuracy"]
    assert accuracy[1] > accuracy[200]
    assert frame["disturbance"].eq("mark-shift").all()


def test_what_the_training_was_disturbed_with_is_left_out(trained):
    record, out = trained
    shifted = record.model_copy(deep=True)  # the same weights, as if trained on shifted beats
    shifted.components["dataset"].options["mark_shift"] = 200.0
    (found,) = nb.evaluate(shifted, out=out, shift_marks=[1, 200])
    (usual,) = nb.evaluate(record, out=out, shift_marks=[1, 200])
    assert [one.confusion for one in found.levels] == [one.confusion for one in usual.levels]
    with pytest.raises(OptionError, match="itself sets the option 'mark_shift'"):
        nb.evaluate(record, out=out, shift_marks=[1], set={"dataset.mark_shift": 20})


def test_a_wrong_name_is_said_before_the_first_test(trained, ward):
    record, out = trained
    words = {"out": out, "set": {"dataset.records": ["800"]}, "data": ward.data}
    before = sorted(out.rglob("*.json"))
    for wrong, message in (
        ({"on": ["svdb-2lead", "svdb-lead"]}, "svdb-lead"),
        ({"on": "svdb-2lead", "protocol": "by-patient"}, "by-patient"),
        ({"on": "svdb-2lead", "noise": ["bw", "loud"]}, "loud"),
    ):
        with pytest.raises(NasbenchError, match=message):
            nb.evaluate(record, **words, **wrong)
    assert sorted(out.rglob("*.json")) == before


def test_what_cannot_be_tested_is_said(trained, ward, tmp_path):
    record, out = trained
    with pytest.raises(OptionError, match="Noise begins after five minutes"):
        nb.evaluate(record, out=out, noise="em")
    elsewhere = {"on": "svdb-2lead", "set": {"dataset.records": ["800"]}, "data": ward.data}
    with pytest.raises(OptionError, match="There is no noise 'loud'"):
        nb.evaluate(record, out=out, noise="loud", **elsewhere)
    with pytest.raises(OptionError, match="needs a noise"):
        nb.evaluate(record, out=out, snr=[6], **elsewhere)
    with pytest.raises(MissingDataError, match=r"bw\.hea"):
        nb.evaluate(record, out=out, noise="bw", **elsewhere)
    words = ["evaluate", record.run_key, "--out", out]
    assert "no list of numbers" in nasbench(*words, "--noise", "em", "--snr", "loud").output
    assert "suffixes" in nasbench(*words, "-o", tmp_path / "a.svg").output
