"""Annotating recordings: parts, leads, normalization, files, summary and the command."""

from __future__ import annotations

import errno
import itertools
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import wfdb
from typer.testing import CliRunner
from wfdb_files import real_database, write_record

import nasbench_ecg as nb
from nasbench_ecg import plot
from nasbench_ecg.cli import app
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.front.annotating import marked_beats
from nasbench_ecg.models import recording_parts
from nasbench_ecg.models.annotate import AnnotatedRecording, annotate
from nasbench_ecg.models.classifier import BeatClassifier
from nasbench_ecg.progress import Silent
from nasbench_ecg.report.networks.annotation import (
    as_markdown,
    check_target,
    chosen_beats,
    summarize,
    write_annotations,
)
from nasbench_ecg.signal.aami import AAMI_SYMBOLS
from nasbench_ecg.signal.annotations import read_annotations
from nasbench_ecg.signal.filtering import denoise
from nasbench_ecg.signal.headers import read_header
from nasbench_ecg.signal.qrs import detect_r_peaks
from nasbench_ecg.signal.recordings import files_of, lead_names, open_recording
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.signal.rhythm import rhythm_planes
from nasbench_ecg.signal.stored_recording import StoredRecording
from nasbench_ecg.signal.tables import recording_of_table
from nasbench_ecg.signal.windows import segment

FS = 250.0
CLASSES = ("N", "S", "V")


def recording(seconds=90.0, *, leads=("MLII", "V1"), seed=0):
    """Return a recording whose every fourth beat is inverted, and the samples of its beats."""
    rng = np.random.default_rng(seed)
    n = round(seconds * FS)
    beats = np.arange(round(0.7 * FS), n - round(0.7 * FS), round(0.8 * FS))
    time = np.arange(n)[:, None] - beats
    shape = np.exp(-((time / (0.012 * FS)) ** 2)) - 0.3 * np.exp(
        -(((time / FS - 0.05) / 0.02) ** 2)
    )
    sign = np.where(np.arange(len(beats)) % 4 == 3, -1.0, 1.0)
    wave = (shape * sign).sum(axis=1)
    signals = np.stack([wave * gain for gain in np.linspace(1.0, 0.6, len(leads))])
    signals += rng.normal(0, 0.01, signals.shape)
    return StoredRecording("r", FS, tuple(leads), signals), beats


def classifier(
    normalise="none",
    rhythm=None,
    fs=FS,
    leads=("MLII", "V1"),
    record=None,
    planes=None,
    differences=None,
):
    """Return a classifier by the sign of the R peak; it appends what it is given to ``record``."""

    def probabilities(beats):
        if record is not None:
            record.append(beats)
        inverted = beats[:, 0, 30] < 0
        return np.where(inverted[:, None], [0.1, 0.0, 0.9], [0.8, 0.15, 0.05]).astype(np.float32)

    options = WaveformOptions(
        records=("x",), leads=leads, before=30, after=40, denoise="none", normalise=normalise,
        rhythm=rhythm, planes=planes, differences=differences,
    )  # fmt: skip
    return BeatClassifier("the sign", probabilities, CLASSES, leads, fs, options)


def test_every_beat_is_found_and_classified():
    recorded, beats = recording()
    found = annotate(recorded, classifier(), Silent())
    assert len(found.samples) == len(beats)
    assert np.abs(found.samples - beats).max() <= 1
    assert found.symbols == tuple("V" if i % 4 == 3 else "N" for i in range(len(beats)))
    assert found.probabilities[3] == pytest.approx([0.1, 0.0, 0.9])
    assert found.notes == ()


@pytest.mark.parametrize(("fs", "told"), [(FS, ()), (2.77 * FS, "208"), (FS / 2, "38")])
def test_a_heart_rate_that_a_wrong_sampling_rate_may_explain_is_told(fs, told):
    true, beats = recording()
    wrong = StoredRecording("r", fs, true.leads, true.signals)
    notes = annotate(wrong, classifier(fs=fs), Silent(), peaks=beats).notes
    assert bool(notes) == bool(told)
    assert not told or f"median heart rate is {told} beats a minute" in notes[0]


def test_parts_do_not_change_the_result(monkeypatch):
    recorded, _ = recording(120)
    whole = annotate(recorded, classifier(), Silent())
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 17.3)
    parts = annotate(recorded, classifier(), Silent())
    assert parts.samples.tolist() == whole.samples.tolist()
    assert parts.symbols == whole.symbols


@pytest.mark.parametrize("differences", [None, "median-beat"])
@pytest.mark.parametrize("normalise", ["none", "per-beat", "per-record"])
def test_beats_are_prepared_as_in_training(normalise, differences, monkeypatch):
    recorded, _ = recording()
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 20.0)
    given = []
    own = classifier(normalise, record=given, differences=differences)
    found = annotate(recorded, own, Silent())
    as_trained = segment(
        Record("r", FS, recorded.leads, recorded.signals, np.full(len(found.samples), "N"),
               found.samples, ()),
        before=30, after=40, normalise=normalise, differences=differences,
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(given), as_trained.signals, atol=2e-5)


@pytest.mark.parametrize("method", ["db5", "db6"])
def test_a_record_of_half_an_hour_is_denoised_whole_as_in_training(method):
    short, _ = recording()
    signals = np.tile(short.signals, 21)[:, : round(1805.6 * FS)]  # the length of MIT-BIH
    rng = np.random.default_rng(1)
    signals += rng.normal(0, np.linspace(0.01, 0.3, signals.shape[1]), signals.shape)
    recorded, given = replace(short, signals=signals), []
    own = classifier(record=given)
    own = replace(own, options=own.options.model_copy(update={"denoise": method}))
    found = annotate(recorded, own, Silent())
    as_trained = segment(
        Record("r", FS, recorded.leads, denoise(signals, method), np.full(len(found.samples), "N"),
               found.samples, ()),
        before=30, after=40,
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(given), as_trained.signals, atol=1e-6)


def test_a_day_is_read_in_parts_of_one_length():
    day = StoredRecording("day", 128.0, ("I",), np.zeros((1, 24 * 3600 * 128 + 100)))
    parts = list(recording_parts.parts_of(day))
    lengths = {stop - start for start, stop in (part.core for part in parts)}
    assert len(parts) == 48 and max(lengths) - min(lengths) <= 1
    assert parts[0].core[0] == 0 and parts[-1].core[1] == day.n_samples
    assert all(a.core[1] == b.core[0] for a, b in itertools.pairwise(parts))


def test_what_a_lead_lacks_does_not_count_as_in_training(monkeypatch):
    recorded, beats = recording()
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 20.0)
    length = recorded.n_samples // 3
    recorded.signals[1, :length] = 9.0
    missing = np.zeros(recorded.signals.shape, dtype=bool)
    missing[1, :length] = True
    given = []
    annotate(recorded, classifier("per-record", record=given), Silent(), peaks=beats)
    as_trained = segment(
        Record("r", FS, recorded.leads, recorded.signals, np.full(len(beats), "N"), beats, (),
               missing=missing),
        before=30, after=40, normalise="per-record",
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(given), as_trained.signals, atol=2e-5)
    own = recorded.signals[1, length:]
    beat = next(int(b) for b in beats if b > length + 40)
    expected = (recorded.signals[1, beat - 30 : beat + 41] - own.mean()) / own.std()
    where = as_trained.sample.tolist().index(beat)
    np.testing.assert_allclose(np.concatenate(given)[where, 1], expected, atol=2e-5)


def test_a_flat_lead_is_zero_as_in_training():
    recorded, beats = recording()
    recorded.signals[1] = 1.1
    given = []
    own = classifier("per-record", record=given)
    every_beat = own.options.model_copy(update={"max_missing": 1.0})
    annotate(recorded, replace(own, options=every_beat), Silent(), peaks=beats)
    assert np.abs(np.concatenate(given)[:, 1]).max() == 0


def test_two_marks_at_one_place_are_one_beat():
    recorded, beats = recording()
    once = annotate(recorded, classifier(), Silent(), peaks=beats)
    twice = annotate(recorded, classifier(), Silent(), peaks=np.sort([*beats, beats[4]]))
    assert twice.samples.tolist() == beats.tolist()
    assert twice.symbols == once.symbols and twice.notes == once.notes == ()


@pytest.mark.parametrize("rhythm", ["whole-record", "local", "causal"])
def test_rhythm_planes_are_of_the_whole_recording(rhythm, monkeypatch):
    recorded, _ = recording()
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 20.0)
    given = []
    found = annotate(recorded, classifier(rhythm=rhythm, record=given), Silent())
    planes = rhythm_planes(found.samples, rhythm)
    np.testing.assert_allclose(np.concatenate(given)[:, 2:, 0], planes, atol=1e-6)
    chosen = []
    annotate(recorded, classifier(rhythm=rhythm, planes=(1, 3), record=chosen), Silent())
    np.testing.assert_array_equal(np.concatenate(chosen), np.concatenate(given)[:, [0, 1, 2, 4]])


def test_differences_stand_before_rhythm_planes():
    recorded, _ = recording()
    given, without = [], []
    own = classifier("per-beat", "causal", record=given, differences="median-beat")
    annotate(recorded, own, Silent())
    annotate(recorded, classifier("per-beat", "causal", record=without), Silent())
    got = np.concatenate(given)
    np.testing.assert_array_equal(np.delete(got, [2, 3], axis=1), np.concatenate(without))
    median = np.median(got[:, :2], axis=0)
    np.testing.assert_allclose(got[:, 2:4], got[:, :2] - median, atol=1e-6)


def test_beats_without_signal_have_no_class_and_are_told():
    recorded, beats = recording()
    recorded.signals[:, 5000:6000] = np.nan
    found = annotate(recorded, classifier(), Silent(), peaks=beats)
    inside = (beats > 5000) & (beats < 6000)
    assert np.isnan(found.probabilities[inside]).all()
    assert {found.symbols[i] for i in np.flatnonzero(inside)} == {"Q"}
    assert found.missing == pytest.approx(1000 / recorded.n_samples)
    assert any("Beats without a class: " in note for note in found.notes)


@pytest.mark.parametrize("value", [np.nan, 0.0, 0.3])
def test_a_lead_without_signal_does_not_place_the_r_peaks(value):
    recorded, beats = recording()
    recorded.signals[0, : round(45 * FS)] = value
    found = detect_r_peaks(recorded.signals, FS)
    assert np.abs(found - beats).max() <= 2
    assert np.abs(annotate(recorded, classifier(), Silent()).samples - beats).max() <= 2


def test_an_interval_across_a_gap_is_no_pause(monkeypatch):
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 20.0)  # a border within the gap
    recorded, _ = recording()
    recorded.signals[:, round(30 * FS) : round(50 * FS)] = np.nan
    recorded.signals[0, round(60 * FS) : round(70 * FS)] = np.nan  # the other lead has a signal
    recorded.signals[:, round(75 * FS) : round(75.5 * FS)] = np.nan  # too short to hide a pause
    found = annotate(recorded, classifier(), Silent())
    assert found.gaps == ((round(30 * FS), round(50 * FS)),)
    made = summarize(found)
    assert made.pauses == () and made.gaps == ((30.0, 20.0),)
    assert made.heart_rate == pytest.approx(75, rel=0.03)
    assert (
        "Parts without signal, across which no pause is told: 1 (0:00:30, 20.0 s)."
        in as_markdown(found, "the sign")
    )


def test_given_peaks_are_moved_as_the_marks_of_the_training():
    aligned, given = [], []
    recorded, beats = recording()
    network = classifier(record=aligned)
    options = network.options.model_copy(update={"align_marks": 60.0})
    late = beats + round(0.04 * FS)
    found = annotate(recorded, replace(network, options=options), Silent(), peaks=late)
    assert found.samples.tolist() == late.tolist()
    annotate(recorded, classifier(record=given), Silent(), peaks=beats)
    place = np.abs(aligned[0][:, 0]).argmax(axis=1)
    assert np.abs(place - np.abs(given[0][:, 0]).argmax(axis=1)).max() <= 2


def test_an_infinite_sample_is_named_by_its_place_in_the_recording(monkeypatch):
    monkeypatch.setattr(recording_parts, "_PART_SECONDS", 20.0)
    recorded, _ = recording()
    recorded.signals[1, 20_000] = np.inf
    with pytest.raises(RecordError, match=r"sample 20,000.*\n?.*lead V1"):
        annotate(recorded, classifier(), Silent())


def test_an_unknown_rate_of_denoising_is_told():
    recorded, _ = recording()
    network = classifier()
    update = {"rate": FS, "denoise": "db5"}
    network = replace(network, options=network.options.model_copy(update=update))
    notes = annotate(recorded, network, Silent()).notes
    assert any("denoised at its own 250 Hz" in note for note in notes)


def test_another_rate_is_resampled_and_told():
    recorded, beats = recording()
    given = []
    found = annotate(recorded, classifier(fs=125.0, record=given), Silent(), peaks=beats)
    assert given[0].shape[1:] == (2, 71)
    assert any("250 Hz" in note and "125 Hz" in note for note in found.notes)


@pytest.mark.parametrize(
    ("own", "asked", "used", "told"),
    [
        (("V1", "MLII"), None, ("MLII", "V1"), False),
        (("II", "V5"), None, ("II", "V5"), True),
        (("V5", "MLII"), None, ("MLII", "V5"), True),
        (("V1", "II"), None, ("II", "V1"), True),
        (("aVF", "MLII", "MLII", "V1"), None, ("aVF", "V1"), True),
        (("II", "V5"), ("V5", "II"), ("V5", "II"), True),
        (("II", "V5"), ("#1", "II"), ("V5", "II"), True),
        (("ECG", "ECG"), None, ("#0", "#1"), True),
        (("ECG", "ECG"), ("#1", "#0"), ("#1", "#0"), True),
    ],
)
def test_leads_are_chosen_by_name_or_by_order(own, asked, used, told):
    recorded, _ = recording(leads=own)
    found = annotate(recorded, classifier(), Silent(), leads=asked)
    assert found.leads == used
    assert any("was trained on MLII, V1" in note for note in found.notes) == told


def test_the_other_lead_is_the_first_that_is_left_as_in_training():
    """Leads MLII and '*': record 114 of MIT-BIH has V5 and MLII, in this order."""
    recorded, _ = recording(leads=("V5", "MLII", "V1"))
    found = annotate(recorded, classifier(leads=("MLII", "other")), Silent())
    assert found.leads == ("MLII", "V5")


def test_a_network_of_leads_with_one_name_does_not_get_one_lead_twice():
    given = []
    recorded, _ = recording(leads=("ECG", "ECG"))
    network = classifier(leads=("ECG", "Q"), record=given)
    found = annotate(recorded, replace(network, leads=("ECG", "ECG")), Silent())
    assert found.leads == ("#0", "#1") and not any("trained on" in note for note in found.notes)
    one, other = given[0][:, :, 30].T
    np.testing.assert_allclose(other, 0.6 * one, atol=0.05)
    figure = plot.strips(recorded, found, [30])
    assert not np.array_equal(*(line.get_ydata() for line in figure.axes[0].lines[:2]))


@pytest.mark.parametrize(
    ("own", "asked", "said"),
    [
        (("MLII",), None, "needs 2 leads"),
        (("I", "II"), ("I", "aVF"), "no lead 'aVF'"),
        (("I", "II"), ("I",), "needs 2 leads, not 1"),
        (("I", "II"), ("I", "#0"), "'I' is named twice"),
        (("ECG", "ECG"), ("ECG", "#1"), "several leads 'ECG'"),
    ],
)
def test_missing_leads_are_an_error(own, asked, said):
    recorded, _ = recording(leads=own)
    with pytest.raises(OptionError, match=said):
        annotate(recorded, classifier(), Silent(), leads=asked)


# -- files --------------------------------------------------------------------------------------


def test_a_wfdb_record_is_read_in_parts_as_read_record_reads_it(tmp_path):
    write_record(tmp_path, "a", n_samples=5000)
    recorded = open_recording(tmp_path / "a.hea")
    whole = read_record(tmp_path, "a").signals
    assert (recorded.leads, recorded.n_samples) == (("MLII", "V1"), 5000)
    np.testing.assert_array_equal(recorded.read([1, 0], 100, 900), whole[[1, 0], 100:900])


def test_a_record_that_states_no_length_is_read(tmp_path):
    write_record(tmp_path, "a", n_samples=5000)
    whole = read_record(tmp_path, "a").signals
    header = tmp_path / "a.hea"
    header.write_text(header.read_text().replace("a 2 360 5000", "a 2 360"))
    recorded = open_recording(header)
    assert recorded.n_samples == 5000
    np.testing.assert_array_equal(recorded.read([1, 0], 100, 900), whole[[1, 0], 100:900])


def test_a_damaged_record_is_refused(tmp_path):
    write_record(tmp_path, "a", n_samples=5000)
    content = bytearray((tmp_path / "a.dat").read_bytes())
    content[777] ^= 1
    (tmp_path / "a.dat").write_bytes(bytes(content))
    with pytest.raises(RecordError, match="checksum"):
        open_recording(tmp_path / "a")


def test_csv_files_hold_millivolts(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("I,II\n0.5,1\n,2\n-0.5,3\n")
    recorded = open_recording(path, 100.0)
    assert (recorded.name, recorded.fs, recorded.leads) == ("mine", 100.0, ("I", "II"))
    assert np.isnan(recorded.read([0], 1, 2)).all()
    assert recorded.read([1], 0, 3).tolist() == [[1.0, 2.0, 3.0]]
    with pytest.raises(OptionError, match="sampling rate"):
        open_recording(path)
    for text, place in (
        ("I,II\n1,0\n0,b\n", "row 2 of the column 'II' has 'b'"),
        ("time;II\n0;0,5\n", "row 1 of the column 'time;II' has '0;0'|more fields"),
        ("time,II\ns,mV\n0,0.5\n", "row 1 of the column 'time' has 's'"),
    ):
        path.write_text(text)
        with pytest.raises(RecordError, match=f"no table of numbers: .*({place})"):
            open_recording(path, 100.0)


def test_an_empty_line_within_a_csv_file_is_a_missing_sample(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("II\n0.5\n\n\n-0.5\n\n\n")
    expected = [0.5, np.nan, np.nan, -0.5]
    np.testing.assert_array_equal(open_recording(path, 100.0).signals, [expected])
    path.write_text("I,II\r\n0.5,1\r\n\r\n-0.5,3\r\n")
    expected = [[0.5, np.nan, -0.5], [1, np.nan, 3]]
    np.testing.assert_array_equal(open_recording(path, 100.0).signals, expected)


def test_a_record_of_differences_is_read_as_read_record_reads_it(tmp_path):
    steps = np.array([-30, 10, -100, -8, 60, 40, 20, 8] * 50, np.int8)  # the sum reaches -128
    expected = np.cumsum(steps, dtype=np.int64) / 200
    (tmp_path / "a.dat").write_bytes(steps.tobytes())
    (tmp_path / "a.hea").write_text("a 1 360 400\na.dat 8 200 8 0 0 0 0 II\n")
    wfdb.wrann("a", "atr", np.array([50]), ["N"], write_dir=str(tmp_path))
    assert (expected == -128 / 200).any()
    np.testing.assert_allclose(read_record(tmp_path, "a").signals, expected[None])
    recorded = open_recording(tmp_path / "a")
    np.testing.assert_allclose(recorded.read([0], 100, 300), expected[None, 100:300])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5,1\n0.4,2\n0.3,3\n", "heading has a number"),
        ("I,II\n0,0.5,1\n1,0.4,2\n", "more fields than its heading"),
        ("I,II\n", "no samples"),
    ],
)
def test_a_csv_file_whose_leads_are_not_clear_is_refused(tmp_path, text, said):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=said):
        open_recording(path, 100.0)


def test_other_annotation_files_of_a_record_are_named(tmp_path):
    write_record(tmp_path, "a", n_samples=5000)
    (tmp_path / "a.txt").write_text("a note")
    recorded = open_recording(tmp_path / "a")
    with pytest.raises(RecordError, match=r"no annotation file a\.qrs.*files end in \.atr\."):
        marked_beats(tmp_path / "a", recorded, "qrs")
    (tmp_path / "a.atr").unlink()
    with pytest.raises(RecordError, match=r"no annotation file a\.atr.*Restore the file"):
        marked_beats(tmp_path / "a", recorded, "atr")


def test_a_csv_file_may_end_its_lines_with_a_comma(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("I,II\n0.5,1,\n0.4,2,\n")
    assert open_recording(path, 100.0).read([0, 1], 0, 2).tolist() == [[0.5, 0.4], [1.0, 2.0]]
    for fs in (np.inf, np.nan, 0.0, -360.0, 1e9):
        with pytest.raises(OptionError, match=r"The sampling rate .* Hz is not between 1 and"):
            open_recording(path, fs)


def test_leads_of_one_name_in_a_csv_file_are_used_by_position(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("ECG, ECG,V1\n0.5,1,2\n0.4,2,3\n")
    recorded = open_recording(path, 100.0)
    assert recorded.leads == ("ECG", "ECG", "V1") and lead_names(recorded) == ("#0", "#1", "V1")
    path.write_text("ECG,ECG,,\n0.5,1,2,3\n")
    assert open_recording(path, 100.0).leads[:2] == ("ECG", "ECG")


@pytest.mark.filterwarnings("error")
def test_an_infinite_value_of_a_csv_file_is_no_warning(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("I,II\n" + "0.5,inf\n0.4,1\n-0.3,inf\n" * 100)
    assert np.isinf(open_recording(path, 100.0).signals[1]).sum() == 200


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("b.dat", r"no header file b\.hea"),
        ("a.atr", r"a\.atr is a file beside the record a, .*--peaks atr"),
        ("b.atr", "An annotation file has no signals"),
    ],
)
def test_other_files_of_a_wfdb_record_are_told_from_recordings(tmp_path, name, said):
    write_record(tmp_path, "a", n_samples=5000)
    (tmp_path / name).touch()
    with pytest.raises(OptionError) as raised:
        open_recording(tmp_path / name)
    assert re.search(said, str(raised.value)) and "CSV" not in str(raised.value)


@pytest.mark.parametrize(
    "first",
    [
        np.arange(1500),
        np.arange(1500) / 360 * 1000,
        np.arange(1500) / 360 * 1e9,
        (np.arange(1500) / 360).round(2),
    ],
    ids=["samples", "milliseconds", "nanoseconds", "rounded seconds"],
)
def test_a_column_of_times_is_no_lead(tmp_path, first):
    path, lead = tmp_path / "mine.csv", np.sin(np.arange(1500.0))
    columns = np.stack([first, lead, 2 * lead], axis=1)
    np.savetxt(path, columns, delimiter=",", header="elapsed,II,V5", comments="")
    recorded = open_recording(path, 360.0)
    assert recorded.leads == ("II", "V5") and "'elapsed' counts" in recorded.notes[0]
    assert recorded.read([1], 0, 1500)[0] == pytest.approx(2 * lead)
    np.savetxt(path, first, header="elapsed", comments="")
    with pytest.raises(RecordError, match="There is no lead"):
        open_recording(path, 360.0)


@pytest.mark.parametrize("decimals", [9, 2], ids=["exact", "rounded"])
def test_a_gap_that_empty_rows_fill_leaves_a_column_of_times(decimals):
    seconds = (np.arange(2000) / 360).round(decimals)
    table = pd.DataFrame({"time": seconds, "II": np.sin(np.arange(2000.0))})
    table.iloc[600:900] = np.nan
    recorded = recording_of_table(table, 360)
    assert recorded.leads == ("II",) and np.isnan(recorded.read([0], 600, 900)).all()
    for wrong in (table.drop(index=range(600, 800)), table.drop(index=range(600, 899))):
        with pytest.raises(RecordError, match=r"not evenly spaced.*in row .*, after \d+ without"):
            recording_of_table(wrong, 360)
    with pytest.raises(RecordError, match="not evenly spaced"):
        recording_of_table(table.drop(index=range(600, 900)), 360)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (np.arange(1500) / 250, "rises by 0.004 in each row.*the rate is 250 Hz"),
        (np.arange(1500) / 360 + 10 * (np.arange(1500) > 700), "not evenly spaced.*row 702"),
        (np.arange(1500) / 360 + (np.arange(1500) > 700), "not evenly spaced"),
    ],
    ids=["another rate", "a gap", "a short gap"],
)
def test_a_column_of_times_that_contradicts_the_rate_is_refused(tmp_path, seconds, said):
    path = tmp_path / "mine.csv"
    table = pd.DataFrame({"time": seconds, "II": np.sin(np.arange(1500.0))})
    table.to_csv(path, index=False)
    with pytest.raises(RecordError, match=said) as raised:
        open_recording(path, 360.0)
    assert "the column 'time'" in raised.value.where


@pytest.mark.parametrize(
    "lead",
    [np.full(200, 0.3), np.repeat([-5.0, 5.0], 100), np.arange(200) / 10 + np.sin(np.arange(200))],
    ids=["flat", "saturated", "drift"],
)
def test_a_lead_that_rises_is_no_column_of_times(tmp_path, lead):
    path = tmp_path / "mine.csv"
    np.savetxt(path, lead, header="II", comments="")
    recorded = open_recording(path, 100.0)
    assert (recorded.leads, recorded.notes) == (("II",), ())


def test_a_table_is_read_as_a_csv_file_is(tmp_path):
    table = pd.DataFrame({"t": np.arange(200) / 100, "II": np.sin(np.arange(200.0))})
    table.loc[3, "II"] = np.nan
    table.to_csv(tmp_path / "mine.csv", index=False)
    read, made = open_recording(tmp_path / "mine.csv", 100.0), recording_of_table(table, 100)
    assert (made.leads, made.fs, made.notes) == (read.leads, read.fs, read.notes)
    assert made.signals == pytest.approx(read.signals, nan_ok=True)
    with pytest.raises(OptionError, match="A table does not state its sampling rate"):
        recording_of_table(table, None)
    for wrong, said in (
        (pd.DataFrame([[0.5, 1.0]]), "heading has a number"),
        (pd.DataFrame({"II": ["a"]}), "no table of numbers"),
        (pd.DataFrame({"II": []}), "no samples"),
    ):
        with pytest.raises(RecordError, match=said):
            recording_of_table(wrong, 100)


@pytest.mark.parametrize("name", ["100", "203", "232"])
def test_values_that_are_hardly_millivolts_are_noted(name: str) -> None:
    record = read_record(real_database("mitdb"), name)
    table = pd.DataFrame(record.signals.T[:100_000], columns=record.leads)
    assert recording_of_table(table, record.fs).notes == ()
    assert recording_of_table(table * 0, record.fs).notes == ()
    for factor in (1e3, 1e-3):
        first, second = recording_of_table(table * factor, record.fs).notes
        assert record.leads[0] in first and record.leads[1] in second
        assert "hardly millivolts" in first


def test_a_file_of_another_format_is_told_from_a_missing_one(tmp_path):
    (tmp_path / "mine.npy").touch()
    with pytest.raises(OptionError, match=r"cannot be read from '\.npy'"):
        open_recording(tmp_path / "mine.npy")


@pytest.mark.parametrize("name", ["nothing", "nothing.csv", "nothing.edf"])
def test_a_missing_recording_is_an_error(name, tmp_path):
    with pytest.raises(OptionError, match="no such"):
        open_recording(tmp_path / name, 100.0)


def annotated(samples, symbols, *, n_samples=100_000, fs=100.0):
    probabilities = np.tile(np.array([0.7, 0.2, 0.1], np.float32), (len(samples), 1))
    return AnnotatedRecording(
        "r", fs, n_samples, ("I",), np.array(samples), tuple(symbols), probabilities, CLASSES, 0.0,
        ("A note.",),
    )  # fmt: skip


def test_the_annotation_file_has_symbols_times_and_probabilities(tmp_path):
    path = write_annotations(annotated([100, 220, 350], "NVS"), tmp_path)
    found = wfdb.rdann(str(path.with_suffix("")), "atr")
    assert found.sample.tolist() == [100, 220, 350]
    assert found.symbol == ["N", "V", "S"]
    assert found.aux_note[0].strip("\x00") == "N=70 S=20 V=10"
    assert found.fs == 100
    assert [p.name for p in tmp_path.iterdir()] == ["r.atr"]


def test_classes_that_are_no_symbols_of_beats_are_refused(tmp_path):
    """wfdb writes them as comments, so that the file would have no beats."""
    found = replace(annotated([100, 220], ["AF", "N"]), classes=("N", "AF", "V"))
    with pytest.raises(OptionError, match="no beats of the class 'AF'"):
        write_annotations(found, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "EC57" not in as_markdown(found, "the sign")
    assert "EC57" in as_markdown(annotated([100], "N"), "the sign")


def test_expert_annotations_are_not_overwritten(tmp_path):
    (tmp_path / "r.atr").write_bytes(b"expert")
    with pytest.raises(OptionError, match="exists already"):
        write_annotations(annotated([100], "N"), tmp_path)
    assert (tmp_path / "r.atr").read_bytes() == b"expert"
    write_annotations(annotated([100], "N"), tmp_path, overwrite=True)
    assert (tmp_path / "r.atr").read_bytes() != b"expert"


def test_summary_and_strips_of_annotations_that_are_replaced_are_removed(tmp_path):
    """They are of another network, and a killed command does not write its own."""
    for name in ("r.atr", "r.md", "r.png", "r.ann.md", "q.md"):
        (tmp_path / name).touch()
    write_annotations(annotated([100], "N"), tmp_path, "ann")
    write_annotations(annotated([100], "N"), tmp_path, overwrite=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"r.atr", "r.ann", "r.ann.md", "q.md"}


@pytest.mark.parametrize("extension", ["q2", ".net", "a.b", "", "csv", "hea", "dat", "MD", "png"])
def test_an_extension_of_other_files_is_refused(tmp_path, extension):
    with pytest.raises(OptionError, match=r"other characters than letters|no annotation file"):
        write_annotations(annotated([100], "N"), tmp_path, extension, overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", [".net", "csv"])
def test_the_command_refuses_an_extension_before_it_reads_anything(tmp_path, extension):
    words = ["annotate", "none.csv", "--fs", "250", "--model", "none.onnx", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--extension", extension, "--overwrite"])
    assert done.exit_code == 2 and "--extension" in done.output and "such file" not in done.output


def test_files_of_the_recording_are_not_replaced(tmp_path):
    write_record(tmp_path, "a", n_samples=5000)
    (tmp_path / "a.dat").rename(tmp_path / "a.sig")
    header = tmp_path / "a.hea"
    header.write_text(header.read_text().replace("a.dat", "a.sig"))
    sources = files_of(tmp_path / "a")
    assert sources == (header, tmp_path / "a.sig")
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        with pytest.raises(OptionError, match="a file of the recording itself"):
            check_target(folder / "a.sig", overwrite=True, sources=sources)
    check_target(tmp_path / "a.atr", overwrite=True, sources=sources)
    assert files_of(tmp_path / "b.csv") == (tmp_path / "b.csv",)


def test_annotations_without_beats_are_a_file_with_the_end_mark(tmp_path):
    none = replace(annotated([], ""), probabilities=np.zeros((0, 3), np.float32))
    write_record(tmp_path, "r", n_samples=5000)
    path = write_annotations(none, tmp_path, "ann")
    assert path.read_bytes() == b"\0\0"
    header = read_header(tmp_path, "r")
    assert len(read_annotations(tmp_path, header, "ann").samples) == 0


def test_the_summary_counts_hours_runs_and_pauses():
    samples = [100, 200, 300, 400, 500, 800, 360_050, 360_150]
    found = annotated(samples, "NVVVNVNN", n_samples=720_000)
    made = summarize(found)
    assert made.beats == {"N": 4, "S": 0, "V": 4}
    assert made.hours == ({"N": 2, "S": 0, "V": 4}, {"N": 2, "S": 0, "V": 0})
    assert made.runs == ((2.0, 3),)
    assert [round(seconds, 1) for _, seconds in made.pauses] == [3.0, 3592.5]
    assert made.heart_rate == pytest.approx(60 * 7 / 3600.5)
    text = as_markdown(found, "the sign")
    assert "| hour 2 | 2 | 0 | 0 |" in text and "A note." in text
    assert "Runs of 3 or more V beats: 1 (0:00:02, 3 beats)." in text
    assert "Pauses of more than 2 s: 2 (0:00:05, 3.0 s; " in text
    regular = as_markdown(annotated([100, 200, 300], "NNN"), "the sign")
    assert "Runs of 3 or more V beats: 0." in regular


def test_a_run_of_v_beats_ends_where_there_is_no_signal():
    samples = [100, 200, 1400, 1500, 1600, 1700]
    found = replace(annotated(samples, "VVVVVN"), gaps=((300, 1300),))
    assert summarize(found).runs == ((14.0, 3),)
    assert summarize(replace(found, gaps=())).runs == ((1.0, 5),)


# -- real records, and the command --------------------------------------------------------------


@pytest.mark.parametrize("name", ["100", "213", "221"])
def test_r_peaks_are_where_experts_mark_them(name):
    record = read_record(real_database("mitdb"), name)
    beats = record.samples[np.isin(record.symbols, list(AAMI_SYMBOLS))]
    found = detect_r_peaks(record.signals, record.fs)
    nearest = np.abs(found[:, None] - beats[None, :]).min(axis=0)
    assert (nearest <= 0.014 * record.fs).mean() > 0.97


@pytest.mark.slow
def test_the_command_annotates_with_a_run_and_with_its_exported_network(tmp_path, monkeypatch):
    out = tmp_path / "results"
    run = ["run", "cnn-9", "synthetic-2lead", "--profile", "smoke", "--device", "cpu"]
    assert CliRunner().invoke(app, [*run, "--out", str(out)]).exit_code == 0
    (record,) = (out / "runs").glob("*.json")
    recorded, _ = recording(30)
    path = tmp_path / "mine.csv"
    header = ",".join(recorded.leads)
    np.savetxt(path, recorded.signals.T, delimiter=",", header=header, comments="")
    model = tmp_path / "model.pt2"
    exported = ["export", record.stem, "--out", str(out), "-o", str(model)]
    assert CliRunner().invoke(app, exported).exit_code == 0
    made = []
    for network in (["--run", record.stem, "--out", str(out)], ["--model", str(model)]):
        folder = tmp_path / f"made-{len(made)}"
        drawn = ["--strips", "png,pdf", "--at", "3,12"] if not made else []
        asked = ["annotate", str(path), "--fs", str(FS), "-o", str(folder), *network, *drawn]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0, done.output
        assert (folder / "mine.md").is_file()
        found = wfdb.rdann(str(folder / "mine"), "atr")
        made.append((found.sample.tolist(), found.symbol, found.aux_note))
    assert made[0] == made[1]
    first = (tmp_path / "made-0" / "mine.md").read_bytes()
    asked = ["annotate", str(path), "--fs", str(FS), "-o", str(tmp_path / "made-0")]
    words = ["--model", str(model), "--extension", "net", "--strips", "png", "--at", "3"]
    assert CliRunner().invoke(app, [*asked, *words]).exit_code == 0
    assert (
        (tmp_path / "made-0" / "mine.md").read_bytes()
        == first
        != ((tmp_path / "made-0" / "mine.net.md").read_bytes())
    )
    assert (tmp_path / "made-0" / "mine.net.png").is_file()
    for network in ({"run": record.stem, "out": out}, {"model": model}):
        table = nb.annotate(path, fs=FS, **network).to_dataframe()
        assert (table["sample"].tolist(), table["symbol"].tolist()) == made[0][:2]
        assert table["second"].tolist() == (table["sample"] / FS).tolist()
        sums = table.filter(like="p_").sum(axis=1)
        assert sums[table["symbol"] != "Q"].to_numpy() == pytest.approx(1, abs=1e-5)
    some = nb.annotate(path, record.stem, out=out, fs=FS, peaks=made[0][0][2:5])
    assert some.samples.tolist() == made[0][0][2:5] and some.symbols == tuple(made[0][1][2:5])
    for words, message in (
        ({"run": record.stem, "model": model, "fs": FS}, "Name one network"),
        ({"model": model}, "does not state its sampling rate"),
        ({"model": model, "fs": FS, "peaks": [10**6]}, "outside of the 7,500 samples"),
        ({"model": model, "fs": FS, "peaks": [0.5]}, "no list of sample indices"),
        ({"model": model, "fs": FS, "peaks": "atr"}, "csv file has no annotation file"),
    ):
        with pytest.raises(OptionError, match=message):
            nb.annotate(path, **words)
    table = pd.DataFrame(recorded.signals.T, columns=recorded.leads)
    of_table = nb.annotate(table, model=model, fs=FS, peaks=some.samples)
    assert of_table.symbols == some.symbols and len(plot.strips(table, of_table).axes) >= 1
    with pytest.raises(OptionError, match="An array does not name its leads"):
        nb.annotate(recorded.signals, model=model, fs=FS)
    with pytest.raises(OptionError, match="fs has no effect"):
        nb.annotate(recorded, model=model, fs=FS)
    with pytest.raises(OptionError, match="has no annotation file"):
        nb.annotate(recorded, model=model, peaks="atr")
    assert len(plot.strips(path, some).axes) >= 1
    drawn = {path.suffix: path.read_bytes()[:4] for path in (tmp_path / "made-0").glob("mine.p*")}
    assert drawn == {".png": b"\x89PNG", ".pdf": b"%PDF"}
    asked = ["annotate", str(path), "--model", str(model), "-o", str(tmp_path / "x")]
    refused = CliRunner().invoke(app, [*asked, "--strips", "gif"])
    assert refused.exit_code == 2 and "png, pdf" in refused.output
    refused = CliRunner().invoke(app, [*asked, "--fs", str(FS), "--strips", "png", "--at", "3,61"])
    assert refused.exit_code == 2 and "no second 61" in refused.output
    assert not (tmp_path / "x").exists()
    (tmp_path / "other").mkdir()
    other = shutil.copy(path, tmp_path / "other")
    twice = [*asked[:1], str(other), *asked[1:], "--fs", str(FS), "--overwrite"]
    refused = CliRunner().invoke(app, twice)
    assert refused.exit_code == 2 and "called 'mine'" in refused.output
    flat, short = tmp_path / "flat.csv", tmp_path / "short.csv"
    np.savetxt(flat, 0 * recorded.signals.T, delimiter=",", header=header, comments="")
    np.savetxt(short, recorded.signals.T[:500], delimiter=",", header=header, comments="")
    asked = ["annotate", *map(str, (flat, short, path)), "--model", str(model), "--fs", str(FS)]
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "flat.atr").write_bytes(b"beats of another recording")
    some = CliRunner().invoke(app, [*asked, "-o", str(tmp_path / "some"), "--overwrite"])
    assert (tmp_path / "some" / "flat.atr").read_bytes() == b"\0\0"
    assert some.exit_code == 2 and "No beat was found in flat, short" in some.output
    assert "flat: 100.0% of a lead has no signal." in some.output
    assert "short: No beat was found. R peaks are detected in recordings of at least 3 s." in (
        " ".join(some.output.split())
    )
    written = sorted(path.name for path in (tmp_path / "some").iterdir())
    names = ("flat", "mine", "short")
    assert written == [f"{name}.{suffix}" for name in names for suffix in ("atr", "md")]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.md").write_text("of the user")
    kept = CliRunner().invoke(app, ["annotate", str(path), *asked[4:], "-o", str(tmp_path / "own")])
    assert kept.exit_code == 2 and "exists already" in kept.output
    none = CliRunner().invoke(app, ["annotate", str(path), "-o", str(tmp_path / "x")])
    assert none.exit_code == 2 and "Name one network" in none.output

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wfdb, "wrann", full)
    asked = ["annotate", str(path), "--model", str(model), "--fs", str(FS)]
    refused = CliRunner().invoke(app, [*asked, "-o", str(tmp_path / "full")])
    assert refused.exit_code != 0 and "no space left on the disk" in refused.output
    assert not any((tmp_path / "full").iterdir())


# Strips


def test_strips_show_rare_beats_and_no_part_twice():
    recorded, _ = recording(120)
    found = annotate(recorded, classifier(), Silent())
    chosen = chosen_beats(found, 6)
    assert {found.symbols[i] for i in chosen} == {"V"} and len(chosen) == 6
    assert np.diff(found.samples[chosen]).min() >= 4 * FS
    assert chosen[0] < 10 and chosen[-1] > len(found.samples) - 10
    assert len(chosen_beats(found, 1000)) < 31


def test_strips_have_every_lead_and_the_class_of_each_beat():
    recorded, _ = recording(60)
    found = annotate(recorded, classifier(), Silent())
    figure = plot.strips(recorded, found, [2.0, 30.0])
    assert len(figure.axes) == 2
    for axes, at in zip(figure.axes, (4.0, 30.0), strict=True):  # the first is at the start
        assert axes.get_xlim() == pytest.approx((at - 4, at + 4))
        inside = np.abs(found.samples / FS - at) < 4
        words = [text.get_text().strip() for text in axes.texts]
        assert words == [*(s for s, own in zip(found.symbols, inside, strict=True) if own), "1 mV"]
        (bar,) = [
            line
            for line in axes.lines
            if len({*line.get_ydata()} - {0, 1}) == 2 == len(line.get_ydata())
        ]
        assert np.ptp(bar.get_ydata()) == pytest.approx(1.0)
        assert [label.get_text() for label in axes.get_yticklabels()] == list(found.leads)
        waves = [line for line in axes.lines if len(line.get_xdata()) > 2]
        assert len(waves) == 2 and len(waves[0].get_xdata()) == 8 * FS
    assert "chosen for" not in figure.get_suptitle()
    of_choice = plot.strips(recorded, found)
    assert "bold: the beat that the strip was chosen for" in of_choice.get_suptitle()
    for seconds, message in (([61.0], "no second 61"), ([], "nothing to draw")):
        with pytest.raises(OptionError, match=message):
            plot.strips(recorded, found, seconds)
