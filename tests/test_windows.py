"""AAMI classes of annotation symbols, and windows around R peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_files import real_database, spiky_signals

from nasbench_ecg.signal.aami import AAMI_SYMBOLS, CLASSES, SYMBOLS, labels_of
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.signal.windows import segment


def a_record(signals, beats, fs=360.0):
    return Record(
        name="r",
        fs=fs,
        leads=tuple(f"L{i}" for i in range(len(signals))),
        signals=np.asarray(signals, dtype=float),
        symbols=np.array([symbol for _, symbol in beats], dtype=np.str_),
        samples=np.array([sample for sample, _ in beats], dtype=np.int64),
        comments=(),
    )


def test_the_fifteen_symbols_of_the_paper_map_to_five_classes():
    table = {"N": "NLRej", "S": "AJSa", "V": "VE", "F": "F", "Q": "/fQ"}
    assert {symbol: name for name, own in table.items() for symbol in own} == SYMBOLS
    assert labels_of(np.array(list("NA+V!F/~P"))).tolist() == [0, 1, -1, 2, -1, 3, 4, -1, -1]


def test_classes_not_asked_for_are_left_out():
    assert labels_of(np.array(list("NVQ")), ("N", "V")).tolist() == [0, 1, -1]
    assert CLASSES == ("N", "S", "V", "F", "Q")


def test_window_ends_are_inclusive_and_the_r_peak_stands_at_before():
    signals = np.arange(1000.0)[None]
    windows = segment(a_record(signals, [(500, "N")]), before=99, after=200)
    assert windows.signals.shape == (1, 1, 300) and windows.signals.dtype == np.float32
    assert windows.signals[0, 0, [0, 99, -1]].tolist() == [401, 500, 700]


def test_first_and_last_annotations_of_any_type_are_left_out():
    beats = [(100, "+"), (200, "N"), (300, "N"), (400, "V"), (500, "~"), (600, "A"), (700, "N")]
    windows = segment(a_record(np.zeros((1, 1000)), beats), before=9, after=10, head=3, tail=2)
    assert windows.sample.tolist() == [400] and windows.labels.tolist() == [2]


@pytest.mark.parametrize("n_beats", [0, 1, 4, 5])
def test_trimming_more_annotations_than_there_are_leaves_none(n_beats):
    beats = [(100 * (i + 1), "N") for i in range(n_beats)]
    windows = segment(a_record(np.zeros((1, 1000)), beats), before=9, after=10, head=3, tail=2)
    assert windows.signals.shape == (0, 1, 20)


def test_beats_whose_window_leaves_the_record_are_dropped_and_counted_by_class():
    beats = [(98, "V"), (99, "N"), (799, "N"), (800, "A"), (900, "N")]
    windows = segment(a_record(np.zeros((2, 1000)), beats), before=99, after=200)
    assert windows.sample.tolist() == [99, 799]
    assert windows.dropped == (1, 1, 1, 0, 0)


@pytest.mark.parametrize("rate", [None, 120.0])
def test_beats_at_or_behind_the_end_are_dropped_and_counted(rate):
    beats = [(999, "N"), (1000, "V"), (5000, "A")]
    windows = segment(a_record(np.zeros((1, 1000)), beats), before=0, after=0, rate=rate)
    assert windows.sample.tolist() == [999]
    assert windows.dropped == (0, 1, 1, 0, 0)


def test_record_shorter_than_a_window_gives_no_beats():
    windows = segment(a_record(np.zeros((1, 50)), [(20, "N")]), before=99, after=200)
    assert len(windows.labels) == 0 and windows.dropped == (1, 0, 0, 0, 0)


@settings(max_examples=50, deadline=None)
@given(
    peaks=st.lists(st.integers(0, 499), max_size=12).map(sorted),
    before=st.integers(0, 60),
    after=st.integers(0, 60),
)
def test_every_beat_is_either_cut_exactly_or_counted(peaks, before, after):
    signals = spiky_signals(2, 500)
    record = a_record(signals, [(peak, "V") for peak in peaks])
    windows = segment(record, before=before, after=after)
    fitting = [p for p in peaks if p - before >= 0 and p + after <= 499]
    assert windows.sample.tolist() == fitting
    assert windows.dropped[2] == len(peaks) - len(fitting)
    for window, peak in zip(windows.signals, fitting, strict=True):
        np.testing.assert_array_equal(
            window, signals[:, peak - before : peak + after + 1].astype(np.float32)
        )


def test_per_beat_normalisation_makes_each_window_of_each_lead_standard():
    record = a_record(3 + 2 * spiky_signals(2, 3000), [(500, "N"), (1500, "V")])
    signals = segment(record, before=99, after=200, normalise="per-beat").signals
    np.testing.assert_allclose(signals.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(signals.std(axis=2), 1, atol=1e-5)


def test_per_record_normalisation_uses_the_whole_lead():
    signals = 3 + 2 * spiky_signals(2, 3000)
    windows = segment(
        a_record(signals, [(500, "N")]), before=99, after=200, normalise="per-record"
    ).signals
    expected = (signals - signals.mean(1, keepdims=True)) / signals.std(1, keepdims=True)
    np.testing.assert_allclose(windows[0], expected[:, 401:701], atol=1e-5)


@pytest.mark.parametrize("rate", [None, 120.0])
def test_samples_without_signal_do_not_count_in_the_figures_of_a_record(rate):
    signals = 3 + 2 * spiky_signals(2, 7200)
    cut = {"before": 99, "after": 200, "normalise": "per-record", "rate": rate}
    whole = segment(a_record(signals[:, :3600], [(1500, "N")]), **cut)
    missing = np.zeros(signals.shape, dtype=bool)
    missing[1, 3600:] = True
    signals[1, 3600:] = 25.0  # at the end of the range of its converter
    gap = segment(replace(a_record(signals, [(1500, "N")]), missing=missing), **cut)
    exact = {"atol": 1e-5} if rate is None else {"rtol": 0.01, "atol": 0.02}  # the step rings
    np.testing.assert_allclose(gap.signals[:, 1], whole.signals[:, 1], **exact)


@pytest.mark.parametrize("normalise", ["per-beat", "per-record"])
def test_flat_lead_becomes_zero(normalise):
    record = a_record(np.full((1, 3000), 0.3), [(500, "N")])
    assert not segment(record, before=99, after=200, normalise=normalise).signals.any()


def test_resampling_keeps_a_slow_wave_and_the_place_of_the_r_peak():
    seconds = np.arange(36_000) / 360
    record = a_record(np.sin(2 * np.pi * 2 * seconds)[None], [(18_000, "N")])
    windows = segment(record, before=240, after=119, rate=120)
    assert windows.fs == 120 and windows.signals.shape == (1, 1, 360)
    times = 50 + (np.arange(360) - 240) / 120
    np.testing.assert_allclose(windows.signals[0, 0], np.sin(2 * np.pi * 2 * times), atol=2e-3)
    assert windows.sample.tolist() == [18_000]


def test_resampling_lets_no_alias_through():
    seconds = np.arange(36_000) / 360
    record = a_record(np.sin(2 * np.pi * 100 * seconds)[None], [(18_000, "N")])
    windows = segment(record, before=240, after=119, rate=120)  # 100 Hz would show as 20 Hz
    assert np.abs(windows.signals).max() < 0.01


def test_windows_of_a_real_record_hold_its_r_peaks():
    record = read_record(real_database("mitdb"), "100", ("MLII",))
    windows = segment(record, before=99, after=200, head=3, tail=2)
    normal = windows.signals[windows.labels == 0, 0]
    at_peak = np.abs(normal.argmax(axis=1) - 99) <= 5
    assert at_peak.mean() > 0.99  # the rest hold the next, premature beat, which is higher


def test_all_beat_symbols_have_the_class_of_the_wfdb_library():
    # mamap of ecgmap.h, from annotation codes 0 to 49 to AHA classes.
    aha = "ONNNN VFNNN ENPQU OOOOO OOOOO NOOOO QO[]N NOONO OROOO OOOOO".replace(" ", "")
    code = {one.symbol: one.label_store for one in wfdb.io.annotation.ann_labels}
    added = {symbol: AAMI_SYMBOLS[symbol] for symbol in AAMI_SYMBOLS if symbol not in SYMBOLS}
    assert set(added) == set("Bnr?")
    as_aami = {"N": "N", "V": "V", "R": "V", "E": "V", "Q": "Q"}  # R: R-on-T
    assert added == {symbol: as_aami[aha[code[symbol]]] for symbol in added}
    # No annotation is left out that the library counts as a beat; ~ (U) is an unreadable stretch.
    beats = {symbol for symbol, n in code.items() if aha[n] not in "OU[]"}
    assert beats == set(AAMI_SYMBOLS)


def test_the_map_of_symbols_is_an_option():
    beats = [(100 + 50 * i, symbol) for i, symbol in enumerate("NBnr?+")]
    record = a_record(np.zeros((1, 1000)), beats)
    papers = segment(record, before=9, after=10)
    aami = segment(record, before=9, after=10, symbols="aami")
    assert papers.labels.tolist() == [0]
    assert aami.labels.tolist() == [CLASSES.index(name) for name in "NNNVQ"]


@pytest.mark.parametrize("rate", [None, 50.0])
def test_beats_whose_window_lacks_signal_are_dropped_by_their_worst_lead(rate):
    missing = np.zeros((2, 1000), dtype=bool)
    missing[1, 200:300] = True
    beats = [(s, "N" if s < 300 else "V") for s in (100, 185, 195, 250, 301, 320, 400)]
    record = replace(a_record(np.zeros((2, 1000)), beats), fs=100.0, missing=missing)
    scale = 1 if rate is None else 2
    # Windows of 20 samples at 100 Hz: s - 9 … s + 10; more than two may not be missing.
    window = {"before": 10 // scale - 1 if scale == 2 else 9, "after": 10 // scale}
    found = segment(record, **window, rate=rate)
    assert found.sample.tolist() == [100, 185, 320, 400]
    assert found.missing == (2, 0, 1, 0, 0) and found.dropped == (0, 0, 0, 0, 0)
    kept = segment(record, **window, rate=rate, max_missing=1.0)
    assert len(kept.labels) == len(beats) and kept.missing == (0, 0, 0, 0, 0)


def test_at_most_a_tenth_of_a_window_may_be_missing_in_any_lead():
    missing = np.zeros((3, 1000), dtype=bool)
    missing[1, 400:600] = True
    beats = [(s, "N") for s in (349, 359, 360, 369, 638, 639)]
    record = replace(a_record(np.zeros((3, 1000)), beats), missing=missing)
    # by hand: windows of 100 samples lack 0, 10, 11, 20, 11 and 10 samples of the second lead
    found = segment(record, before=49, after=50)
    assert found.sample.tolist() == [349, 359, 639]
    assert found.missing == (3, 0, 0, 0, 0)


def test_beats_keep_their_own_rhythm_planes_where_others_have_no_window():
    beats = [(5, "N"), (105, "V"), (305, "N"), (405, "N"), (998, "A")]
    record = a_record(np.zeros((1, 1000)), beats)
    found = segment(record, before=9, after=10, rhythm="whole-record")
    assert found.sample.tolist() == [105, 305, 405] and found.dropped == (1, 1, 0, 0, 0)
    mean = (998 - 5) / 4
    before, after = found.signals[:, 1:3, 0].T
    np.testing.assert_allclose(before, np.log(np.array([100, 200, 100]) / mean), rtol=1e-6)
    np.testing.assert_allclose(after, np.log(np.array([200, 100, 593]) / mean), rtol=1e-6)


def test_a_lead_without_any_signal_is_normalized_as_a_whole():
    signals = np.stack([spiky_signals(1, 1000)[0], np.full(1000, 5.0)])
    missing = np.zeros((2, 1000), dtype=bool)
    missing[1] = True
    record = replace(a_record(signals, [(500, "N")]), missing=missing)
    cut = {"before": 9, "after": 10, "normalise": "per-record"}
    assert len(segment(record, **cut).labels) == 0
    found = segment(record, **cut, max_missing=1.0).signals
    assert found[0, 0].any() and not found[0, 1].any()
