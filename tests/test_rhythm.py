"""Rhythm planes are the logarithms that their names state, and do not depend on the signal."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import log
from statistics import median

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_files import real_database, spiky_signals, write_record

from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal import BEAT_SYMBOLS, PLANES, SYMBOLS, rhythm_planes, segment
from nasbench_ecg.signal.records import Record, read_record

FORMS = tuple(PLANES)
WINDOW = {"before": 40, "after": 20}
positions = st.lists(st.integers(0, 5000), max_size=30).map(sorted)


def a_record(beats, n_samples=6000):
    return Record(
        name="r",
        fs=360.0,
        leads=("MLII",),
        signals=spiky_signals(1, n_samples),
        symbols=np.array([symbol for _, symbol in beats], dtype=np.str_),
        samples=np.array([sample for sample, _ in beats], dtype=np.int64),
        comments=(),
    )


def log_ratio(numerator, denominator):
    return log(min(max(numerator / denominator, 0.1), 10.0))


def planes_by_hand(samples, form):
    """Return the planes of each beat from the list of all RR, one beat after the other."""
    rr = [later - earlier for earlier, later in pairwise(samples)]
    rows = []
    for i in range(len(samples)):
        row = dict.fromkeys(PLANES[form], 0.0)
        so_far = rr[:i]  # the last one ends at beat i
        if so_far:
            mean = sum(rr) / len(rr)
            last = so_far[-10:]
            by_name = {
                "log RR before / mean": log_ratio(so_far[-1], mean),
                "log RR before / mean so far": log_ratio(so_far[-1], sum(so_far) / len(so_far)),
                "log RR before / mean of last ten": log_ratio(so_far[-1], sum(last) / len(last)),
            }
            row.update({name: value for name, value in by_name.items() if name in row})
        if i >= 2:
            row["log RR before / RR before it"] = log_ratio(so_far[-1], so_far[-2])
        if form != "causal" and i < len(rr):
            row["log RR after / mean"] = log_ratio(rr[i], sum(rr) / len(rr))
        if form == "local" and rr:
            # rr[i - 1] ends at beat i; ten before and ten after it
            around = range(max(i - 11, 0), min(i + 10, len(rr)))
            changes = [abs(log_ratio(rr[k], rr[k - 1])) for k in around if k > 0]
            middle = median(rr[k] for k in around)
            if i > 0:
                row["log RR before / local median"] = log_ratio(rr[i - 1], middle)
            if i < len(rr):
                row["log RR after / local median"] = log_ratio(rr[i], middle)
            if changes:
                row["log local change / 0.1"] = log_ratio(sum(changes) / len(changes), 0.1)
        rows.append([row[name] for name in PLANES[form]])
    return np.array(rows)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("database", "name"), [("mitdb", "100"), ("mitdb", "207"), ("mitdb", "232"), ("svdb", "860")]
)
def test_planes_of_real_records_are_those_of_a_loop_by_hand(database, name, form):
    folder = real_database(database)
    marks = wfdb.rdann(str(folder / name), "atr")
    beats = [
        int(sample)
        for sample, symbol in zip(marks.sample, marks.symbol, strict=True)
        if symbol not in ("+", "~", "|", "!", "[", "]", "x", '"')
    ]
    by_hand = dict(zip(beats, planes_by_hand(beats, form), strict=True))
    record = read_record(folder, name)
    windows = segment(record, **WINDOW, head=3, tail=2, rhythm=form)
    assert len(windows.sample) > 1500
    planes = windows.signals[:, len(record.leads) :]
    assert planes.shape[1] == len(PLANES[form])
    expected = np.array([by_hand[sample] for sample in windows.sample.tolist()])
    np.testing.assert_allclose(planes[:, :, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(planes, planes[:, :, :1].repeat(planes.shape[2], axis=2))


@settings(max_examples=200, deadline=None)
@given(positions.filter(lambda beats: len(set(beats)) == len(beats)), st.sampled_from(FORMS))
def test_planes_of_any_beats_are_those_of_a_loop_by_hand(beats, form):
    planes = rhythm_planes(np.array(beats, dtype=np.int64), form)
    assert planes.shape == (len(beats), len(PLANES[form]))
    expected = planes_by_hand(beats, form).reshape(planes.shape)
    np.testing.assert_allclose(planes, expected, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(positions, positions, positions)
def test_causal_planes_do_not_change_with_the_future(past, future, other_future):
    now = max(past, default=0)
    n = len(past)

    def with_future(later):
        beats = np.array([*past, *(now + 1 + sample for sample in later)], dtype=np.int64)
        return rhythm_planes(beats, "causal")[:n]

    np.testing.assert_array_equal(with_future(future), with_future(other_future))


def test_causal_planes_of_a_real_record_do_not_change_if_it_ends_early():
    record = read_record(real_database("mitdb"), "208")
    half = len(record.symbols) // 2
    cut = replace(record, symbols=record.symbols[:half], samples=record.samples[:half])
    whole, early = (segment(one, **WINDOW, rhythm="causal") for one in (record, cut))
    n = len(early.sample)
    assert n > 1000
    np.testing.assert_array_equal(early.signals, whole.signals[:n])
    whole, early = (segment(one, **WINDOW, rhythm="whole-record") for one in (record, cut))
    assert not np.array_equal(early.signals, whole.signals[:n])


def test_a_missing_interval_has_ratio_1():
    beats = np.array([100, 400, 500, 900])
    mean = 800 / 3
    expected = [
        [0, log(300 / mean), 0, 0],
        [log(300 / mean), log(100 / mean), 0, 0],
        [log(100 / mean), log(400 / mean), log(1 / 3), log(100 / 200)],
        [log(400 / mean), 0, log(4), log(400 / mean)],
    ]
    np.testing.assert_allclose(rhythm_planes(beats, "whole-record"), expected, atol=1e-12)
    expected = [
        [0, 0, 0],
        [0, 0, 0],
        [log(100 / 200), log(1 / 3), log(100 / 200)],
        [log(400 / mean), log(4), log(400 / mean)],
    ]
    np.testing.assert_allclose(rhythm_planes(beats, "causal"), expected, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_one_beat_or_none_has_no_intervals(form):
    for beats in ([], [700]):
        planes = rhythm_planes(np.array(beats, dtype=np.int64), form)
        assert planes.shape == (len(beats), len(PLANES[form])) and not planes.any()


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=100, deadline=None)
@given(beats=positions)
def test_planes_are_between_log_one_tenth_and_log_ten(beats, form):
    planes = rhythm_planes(np.array(beats, dtype=np.int64), form)
    assert np.isfinite(planes).all() and (np.abs(planes) <= log(10) + 1e-12).all()


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_the_annotations_does_not_matter(form):
    beats = np.cumsum(np.random.default_rng(0).integers(100, 400, 50))
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(
        rhythm_planes(beats[order], form), rhythm_planes(beats, form)[order]
    )


def test_beat_symbols_are_those_of_wfdb_without_flutter_waves():
    labels = wfdb.io.annotation.ann_labels
    complexes = {one.symbol for one in labels if wfdb.io.annotation.is_qrs[one.label_store]}
    assert complexes - BEAT_SYMBOLS == {"!"}
    assert set(SYMBOLS) < BEAT_SYMBOLS


def test_intervals_are_between_all_beats_and_no_other_marks():
    beats = [
        (600, "N"),
        (900, "N"),
        (1100, "+"),
        (1200, "B"),
        (1300, "~"),
        (1500, "N"),
        (2000, "V"),
    ]
    windows = segment(a_record(beats), **WINDOW, head=1, tail=1, rhythm="whole-record")
    assert windows.sample.tolist() == [900, 1500]
    mean = (300 + 300 + 300 + 500) / 4
    expected = [
        [log(300 / mean), log(300 / mean), 0, 0],
        [log(300 / mean), log(500 / mean), 0, 0],
    ]
    np.testing.assert_allclose(windows.signals[:, 1:, 0], expected, atol=1e-6)


def test_an_interval_to_a_beat_behind_the_end_of_the_record_counts():
    beats = [(5000, "N"), (5400, "N"), (6000, "V")]
    windows = segment(a_record(beats), **WINDOW, rhythm="whole-record")
    assert windows.sample.tolist() == [5000, 5400] and sum(windows.dropped) == 1
    np.testing.assert_allclose(windows.signals[1, 2], log(600 / 500), atol=1e-6)


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Two records; one lead of the second is flat."""
    folder = tmp_path_factory.mktemp("data") / "ward"
    rng = np.random.default_rng(0)
    for name in ("r1", "r2"):
        signals = spiky_signals(2, 30_000, seed=len(name))
        signals[1] = 0.3 if name == "r2" else signals[1]
        samples = np.cumsum(rng.integers(150, 500, 60)) + 300
        write_record(folder, name, signals=signals, beats=[(int(s), "N") for s in samples])
    return folder


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rate", [None, 120.0])
@pytest.mark.parametrize("normalise", ["none", "per-beat", "per-record"])
def test_planes_are_not_filtered_resampled_or_normalized(ward, form, rate, normalise):
    given_ = {"records": ("r1", "r2"), "leads": ("MLII", "V1"), "max_missing": 1, **WINDOW}
    plain = cut_beats(ward, WaveformOptions(**given_, denoise="none"), Silent(), classes=("N",))
    signal = {"rate": rate, "normalise": normalise, "denoise": "db6"}
    without = cut_beats(ward, WaveformOptions(**given_, **signal), Silent()).beats
    with_planes = cut_beats(ward, WaveformOptions(**given_, **signal, rhythm=form), Silent()).beats
    assert with_planes.leads == (*plain.beats.leads, *PLANES[form])
    assert with_planes.signals.dtype == np.float32 and with_planes.fs == without.fs
    np.testing.assert_array_equal(with_planes.signals[:, :2], without.signals)
    expected = []
    for name in ("r1", "r2"):
        samples = wfdb.rdann(str(ward / name), "atr").sample.tolist()
        expected += list(planes_by_hand(samples, form)[3:-2])
    planes = with_planes.signals[:, 2:]
    np.testing.assert_allclose(planes, np.array(expected)[:, :, None] + 0 * planes, atol=1e-6)
