"""Beat-by-beat comparison of annotations: pairs, scores, files and the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import wfdb
import wfdb.processing
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from wfdb_files import real_database, write_record

from nasbench_ecg.cli import app
from nasbench_ecg.ec57.comparison import LABELS, compare
from nasbench_ecg.ec57.folders import annotation_files, compare_files
from nasbench_ecg.ec57.scores import average, gross, scores_of_pairs
from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.aami import AAMI_SYMBOLS
from nasbench_ecg.signal.annotations import Annotations
from nasbench_ecg.signal.qrs import detect_qrs
from nasbench_ecg.signal.records import read_record

FS = 100
WINDOW = 15  # samples: 150 ms


def marks(*given):
    """Return annotations of (sample, symbol) or (sample, symbol, subtype)."""
    samples, symbols, subtypes = (
        zip(*[(*g, 0)[:3] for g in given], strict=True) if given else ((),) * 3
    )
    return Annotations(
        np.array(symbols, dtype=np.str_), np.array(samples, np.int64), np.array(subtypes, np.int64)
    )


def pairs(reference, test, *, learning=0.0, n_samples=10_000):
    """Return the pairs with their number, such as {"NN": 3}."""
    made = compare(
        "r", marks(*reference), marks(*test), fs=FS, n_samples=n_samples, learning=learning
    )
    return {LABELS[i] + LABELS[j]: int(n) for (i, j), n in np.ndenumerate(made.counts) if n}


# -- pairs: cases by hand -----------------------------------------------------------------------


def test_beats_within_150_ms_are_pairs_and_others_have_no_partner():
    reference = [(1000, "N"), (2000, "V"), (3000, "A"), (4000, "F")]
    test = [(1015, "N"), (1985, "N"), (3016, "S"), (4000, "V")]
    assert pairs(reference, test) == {"NN": 1, "VN": 1, "SO": 1, "OS": 1, "FV": 1}


@pytest.mark.parametrize(("fs", "window"), [(128, 19), (250, 38), (257, 39), (360, 54)])
def test_the_match_window_is_rounded_to_samples_as_bxb_does(fs, window):
    # strtim(".15") of WFDB is floor(0.15 fs + 0.5), and a distance of the window still matches
    for distance, matched in ((window, 1), (window + 1, 0)):
        beat, moved = marks((1_000, "N")), marks((1_000 + distance, "N"))
        made = compare("a", beat, moved, fs=fs, n_samples=10_000, learning=0)
        assert made.counts[0, 0] == matched


def test_the_closer_of_two_beats_is_the_partner():
    assert pairs([(1000, "N")], [(990, "V"), (1004, "N")]) == {"NN": 1, "OV": 1}
    assert pairs([(990, "V"), (1004, "N")], [(1000, "N")]) == {"NN": 1, "VO": 1}


def test_a_beat_goes_to_the_later_one_if_its_rival_has_a_closer_partner():
    """As ``bxb`` since 2010: 1010 pairs with 1000, since 1022 is closer to 1024."""
    assert pairs([(1012, "N"), (1024, "V")], [(1001, "N"), (1022, "V")]) == {"NN": 1, "VV": 1}


def test_the_learning_period_is_not_compared():
    reference = [(s, "N") for s in range(100, 10_000, 100)]
    assert pairs(reference, reference, learning=50) == {"NN": 50}
    assert pairs(reference, [], learning=50) == {"NO": 50}


def test_the_first_beat_may_have_its_partner_before_the_start():
    reference = [(5005, "N"), (5100, "N")]
    test = [(4995, "N"), (5100, "V")]
    assert pairs(reference, test, learning=50) == {"NN": 1, "NV": 1}


def test_a_test_beat_right_after_the_start_may_belong_to_the_learning_period():
    reference = [(4995, "N"), (5100, "N")]
    test = [(5005, "V"), (5102, "N")]
    assert pairs(reference, test, learning=50) == {"NN": 1}


def test_only_beats_within_the_match_window_of_the_start_belong_to_both_periods():
    reference = [(5005, "N"), (5100, "N")]
    assert pairs(reference, [(4980, "V"), (5100, "V")], learning=50) == {"NO": 1, "NV": 1}
    assert pairs([(5100, "N")], [(5050, "V"), (5102, "N")], learning=50) == {"NN": 1, "OV": 1}


def test_of_two_beats_at_one_distance_the_later_one_is_the_partner_as_in_bxb():
    assert pairs([(1000, "N")], [(990, "V"), (1010, "N")]) == {"OV": 1, "NN": 1}
    assert pairs([(990, "V"), (1010, "N")], [(1000, "N")]) == {"VO": 1, "NN": 1}
    assert pairs([(1000, "V"), (1000, "N")], [(1000, "N")]) == {"VO": 1, "NN": 1}
    found = pairs([(5005, "N"), (5100, "N")], [(4995, "V"), (5015, "N"), (5100, "N")], learning=50)
    assert found == {"NN": 2}


def test_periods_that_are_open_last_to_the_end_as_in_bxb():
    down = [(1000, "N"), (2000, "~", -1)]
    assert pairs([(1000, "N"), (2500, "V")], down) == {"NN": 1, "VX": 1}
    made = compare("r", marks((1000, "N")), marks(*down), fs=FS, n_samples=10_000, learning=0)
    assert made.shutdown_seconds == 80
    flutter = [(1000, "N"), (2000, "[")]
    assert pairs(flutter, [(1000, "N"), (2500, "V"), (9000, "V")]) == {"NN": 1}


def test_a_shutdown_of_one_mark_begins_after_flutter_as_in_bxb():
    down = [(1000, "N"), (1200, "["), (1800, "]"), (2000, "~", 0x30), (4000, "N")]
    beats = [(1000, "N"), (1700, "V"), (1810, "V"), (1900, "V"), (4000, "N")]
    assert pairs(beats, down) == {"NN": 2, "VO": 2, "VX": 1}


def test_flutter_of_the_reference_is_not_compared():
    reference = [(1000, "N"), (2000, "["), (2300, "!"), (3000, "]"), (4000, "N")]
    test = [(1000, "N"), (2100, "V"), (2600, "V"), (3500, "V"), (4000, "N")]
    assert pairs(reference, test) == {"NN": 2, "OV": 1}


def test_flutter_of_the_test_misses_the_beats_of_the_reference():
    reference = [(1000, "N"), (2500, "N"), (4000, "N")]
    test = [(1000, "N"), (2000, "["), (2500, "N"), (3000, "]"), (4000, "N")]
    assert pairs(reference, test) == {"NN": 2, "NO": 1}


def test_beats_during_shutdown_are_told_apart():
    beats = [(1000, "N"), (2500, "V"), (4000, "N")]
    down = [(1000, "N"), (2000, "~", -1), (3000, "~", 0), (4000, "N")]
    assert pairs(beats, down) == {"NN": 2, "VX": 1}
    assert pairs(down, beats) == {"NN": 2, "XV": 1}
    made = compare("r", marks(*beats), marks(*down), fs=FS, n_samples=10_000, learning=0)
    assert made.shutdown_seconds == 10
    half = compare("r", marks(*beats), marks(*down), fs=FS, n_samples=10_000, learning=25)
    assert half.shutdown_seconds == 5


def test_a_shutdown_of_one_mark_lasts_from_the_beat_before_to_the_next_mark():
    beats = [(1000, "N"), (1010, "V"), (1500, "V"), (3990, "V"), (4000, "N")]
    down = [(1000, "N"), (2000, "~", 0x30), (4000, "N")]
    assert pairs(beats, down) == {"NN": 2, "VO": 2, "VX": 1}


def test_noise_in_one_signal_is_no_shutdown():
    assert pairs([(2500, "N")], [(2000, "~", 0x10), (3000, "~", 0)]) == {"NO": 1}


def test_a_record_shorter_than_the_learning_period_is_refused():
    with pytest.raises(OptionError, match="300 s is longer than record r"):
        compare("r", marks(), marks(), fs=FS, n_samples=100)


samples = st.lists(st.integers(0, 2000), min_size=1, max_size=40, unique=True).map(sorted)


@given(samples, samples)
@settings(max_examples=200, deadline=None)
def test_every_beat_is_in_one_pair(reference, test):
    found = pairs([(s, "N") for s in reference], [(s, "V") for s in test], n_samples=2000)
    matched = found.get("NV", 0)
    assert matched + found.get("NO", 0) == len(reference)
    assert matched + found.get("OV", 0) == len(test)
    alone = [s for s in reference if min(abs(np.array(test) - s)) > WINDOW]
    assert found.get("NO", 0) >= len(alone)


# -- scores -------------------------------------------------------------------------------------


def test_scores_are_those_of_the_standard():
    """By hand. Beats N 90, S 6, V 12, F 3, Q 1; no beat is shut down."""
    counts = np.zeros((7, 7), dtype=np.int64)
    rows = {
        "N": {"N": 80, "S": 2, "V": 4, "O": 4}, "S": {"S": 3, "V": 2, "N": 1},
        "V": {"V": 9, "S": 1, "N": 1, "O": 1}, "F": {"V": 2, "F": 1}, "Q": {"S": 1},
        "O": {"N": 5, "V": 1},
    }  # fmt: skip
    for row, columns in rows.items():
        for column, n in columns.items():
            counts[LABELS.index(row), LABELS.index(column)] = n
    scores = scores_of_pairs(counts)
    assert scores.qrs_se == pytest.approx(107 / 112)
    assert scores.qrs_pp == pytest.approx(107 / 113)
    assert scores.v_se == pytest.approx(9 / 12)
    assert scores.v_pp == pytest.approx(9 / (9 + 4 + 2 + 1))
    assert scores.v_fpr == pytest.approx(7 / (7 + 82 + 4 + 1 + 1 + 5))
    assert scores.s_se == pytest.approx(3 / 6)
    assert scores.s_pp == pytest.approx(3 / (3 + 2 + 1))
    assert scores.s_fpr == pytest.approx(3 / (3 + 84 + 10 + 3 + 6))


def test_a_score_without_a_beat_is_absent():
    scores = scores_of_pairs(np.zeros((7, 7), dtype=np.int64))
    assert set(vars(scores).values()) == {None}


def test_test_beats_during_shutdown_of_the_reference_are_false_detections():
    counts = np.zeros((len(LABELS), len(LABELS)), np.int64)
    counts[0, 0], counts[5, 0], counts[6, 1] = 90, 4, 6  # bxb: QFP has the rows O and X
    assert scores_of_pairs(counts).qrs_pp == 0.9
    assert scores_of_pairs(counts).s_fpr == 6 / 100


def test_gross_weighs_beats_and_average_weighs_records():
    big = compare("a", marks((1000, "V")), marks((1000, "V")), fs=FS, n_samples=3000, learning=0)
    small = compare(
        "b",
        marks((1000, "V"), (1500, "V"), (2000, "V"), (2500, "N")),
        marks((1000, "N"), (1500, "N"), (2000, "N"), (2500, "N")),
        fs=FS,
        n_samples=3000,
        learning=0,
    )
    assert gross([big, small]).v_se == 1 / 4
    assert average([big, small]).v_se == 1 / 2
    assert average([big, small]).v_pp == 1


# -- files --------------------------------------------------------------------------------------


def two_folders(tmp_path):
    """Return folders of two records: the reference, and a test that misses a beat of each."""
    reference, test = tmp_path / "reference", tmp_path / "test"
    test.mkdir()
    for name in ("a", "b"):
        beats = [(s, "V" if s % 1000 == 0 else "N") for s in range(500, 9500, 500)]
        write_record(reference, name, n_samples=10_000, fs=FS, beats=beats)
        found = np.array([s for s, _ in beats[1:]])
        wfdb.wrann(name, "ann", found, ["N"] * len(found), write_dir=str(test))
    return reference, test


def test_folders_are_compared_record_by_record(tmp_path):
    reference, test = two_folders(tmp_path)
    made = compare_files(annotation_files(reference), annotation_files(test, "ann"), learning=0)
    assert [one.record for one in made] == ["a", "b"]
    for one in made:
        assert one.counts.sum() == 18
        assert one.counts[LABELS.index("N"), LABELS.index("O")] == 1
        assert one.counts[LABELS.index("V"), LABELS.index("N")] == 9


def test_a_test_record_without_reference_is_refused(tmp_path):
    reference, test = two_folders(tmp_path)
    (reference / "b.atr").unlink()
    with pytest.raises(OptionError, match="no annotations of b"):
        compare_files(annotation_files(reference), annotation_files(test, "ann"))


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"no annotation files \*\.atr"):
        annotation_files(tmp_path)
    with pytest.raises(OptionError, match="no such file"):
        annotation_files(tmp_path / "100.atr")


def test_a_file_without_extension_is_refused(tmp_path):
    reference, test = two_folders(tmp_path)
    bare = (reference / "a.atr").rename(reference / "a")
    with pytest.raises(OptionError, match="'' is not an extension"):
        compare_files(annotation_files(bare), annotation_files(test / "a.ann"))


def test_annotations_are_not_compared_with_themselves(tmp_path):
    reference, _ = two_folders(tmp_path)
    (tmp_path / "link").symlink_to(reference)
    for other in (reference, tmp_path / "link", reference / "a.atr"):
        done = CliRunner().invoke(app, ["score", str(reference), str(other), "--learning", "0"])
        assert done.exit_code == 2 and "the same annotations" in done.output
        assert "--test-extension" in done.output


def test_an_extension_beside_a_file_is_refused(tmp_path):
    reference, test = two_folders(tmp_path)
    with pytest.raises(OptionError, match="'ann' is for a folder"):
        annotation_files(test / "a.ann", "ann")
    with pytest.raises(OptionError, match="'qrs' is for a folder"):
        annotation_files(reference / "a.atr", "qrs")


@pytest.mark.parametrize("suffix", ["hea", "dat"])
def test_a_file_that_holds_no_annotations_is_named(tmp_path, suffix):
    reference, _ = two_folders(tmp_path)
    with pytest.raises(OptionError, match=rf"ends in \.{suffix} is no annotation file"):
        annotation_files(reference / f"a.{suffix}")
    with pytest.raises(OptionError, match="no annotation file"):
        annotation_files(reference, suffix)


def test_an_extension_with_its_dot_is_refused_as_such(tmp_path):
    reference, _ = two_folders(tmp_path)
    with pytest.raises(OptionError, match="without its dot"):
        annotation_files(reference, ".atr")


def test_records_without_a_test_are_told(tmp_path):
    reference, test = two_folders(tmp_path)
    (test / "a.ann").unlink()
    asked = ["score", str(reference), str(test), "--test-extension", "ann", "--learning", "0"]
    told = " ".join(CliRunner().invoke(app, asked).output.split())
    assert "1 of the 2 records of the reference are not scored" in told and "of them: a." in told
    data = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert data["not_scored"] == ["a"] and [one["record"] for one in data["records"]] == ["b"]


def test_records_that_pair_by_chance_are_told(tmp_path):
    reference, test = two_folders(tmp_path)
    asked = ["score", str(reference), str(test), "--test-extension", "ann", "--learning", "0"]
    assert "few beats" not in CliRunner().invoke(app, asked).output
    at_half_the_rate = np.arange(500, 9500, 500) // 2
    wfdb.wrann("b", "ann", at_half_the_rate, ["N"] * 18, write_dir=str(test))
    told = " ".join(CliRunner().invoke(app, asked).output.split())
    assert "In 1 of 2 records few beats" in told and "150 ms: b. TEST may lack" in told


def test_an_annotation_without_beats_misses_all(tmp_path):
    reference, test = two_folders(tmp_path)
    (test / "a.ann").write_bytes(b"\0\0")
    truth = annotation_files(reference / "a.atr")
    (made,) = compare_files(truth, annotation_files(test / "a.ann"), learning=0)
    assert made.counts[:, LABELS.index("O")].sum() == made.counts.sum() == 18


@pytest.mark.parametrize("suffix", [".md", ".csv", ".tex", ".html", ".json"])
def test_the_command_writes_every_format(tmp_path, suffix):
    reference, test = two_folders(tmp_path)
    report = tmp_path / f"report{suffix}"
    asked = ["score", str(reference), str(test / "a.ann"), "--learning", "0", "-o", str(report)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    text = report.read_text()
    if suffix == ".json":
        assert json.loads(text)["gross"]["v_se"] == 0
    else:
        assert "QRS Se" in text and "94.44" in text


def test_the_command_says_what_it_does_not_compare(tmp_path):
    reference, test = two_folders(tmp_path)
    asked = ["score", str(reference), str(test / "a.ann")]
    done = CliRunner().invoke(app, [*asked, "--learning", "7"])
    assert "The first 7 s of each record are not compared." in done.output
    assert "not compared" not in CliRunner().invoke(app, [*asked, "--learning", "0"]).output


def test_the_command_refuses_an_unknown_symbol_map(tmp_path):
    reference, test = two_folders(tmp_path)
    asked = ["score", str(reference), str(test), "--test-extension", "ann", "--symbols", "who"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2 and "'who'" in done.output


# -- real records -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["100", "207"])
def test_a_real_record_agrees_with_its_copy_outside_of_flutter(name, tmp_path):
    """207 has six periods of flutter; the beats are counted with wfdb alone."""
    folder = real_database("mitdb")
    files = annotation_files(folder / f"{name}.atr")
    copy = shutil.copy(folder / f"{name}.atr", tmp_path / f"{name}.atr")
    (made,) = compare_files(files, annotation_files(copy))
    own = wfdb.rdann(str(folder / name), "atr")
    beats, flutter = 0, False
    for sample, symbol in zip(own.sample, own.symbol, strict=True):
        flutter = (flutter or symbol == "[") and symbol != "]"
        beats += not flutter and symbol in AAMI_SYMBOLS and sample >= 300 * 360
    assert made.counts.sum() == np.trace(made.counts) == beats > 1500


@pytest.mark.parametrize("name", ["100", "105", "203", "228"])
def test_detections_are_paired_as_wfdb_pairs_them(name):
    """``wfdb.processing.compare_annotations`` pairs each beat with its closest one as well."""
    folder = real_database("mitdb")
    record = read_record(folder, name)
    found = detect_qrs(record.signals, record.fs)
    beats = np.isin(record.symbols, list(AAMI_SYMBOLS))
    reference = record.samples[beats]
    # The window of wfdb excludes its end.
    window = int(0.15 * record.fs + 0.5) + 1
    oracle = wfdb.processing.compare_annotations(reference, found, window)
    made = compare(
        name,
        Annotations(record.symbols[beats], reference, np.zeros_like(reference)),
        Annotations(np.full(len(found), "N"), found, np.zeros_like(found)),
        fs=record.fs,
        n_samples=record.signals.shape[1],
        learning=0,
    )
    detected = int(made.counts[:5, :5].sum())
    assert (detected, int(made.counts[:5, 5].sum()), int(made.counts[5, :5].sum())) == (
        oracle.tp,
        oracle.fn,
        oracle.fp,
    )
