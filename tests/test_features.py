"""Every annotated beat has one row of eighteen features, and the command writes them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_delineation import WAVES, synthetic_lead
from typer.testing import CliRunner
from wfdb_files import real_database, write_record

from nasbench_ecg.cli.data import app
from nasbench_ecg.errors import OptionError, RecordError, StorageError
from nasbench_ecg.signal.features import (
    FEATURES,
    FeatureTable,
    beat_features,
    check_table_path,
    join_tables,
)
from nasbench_ecg.signal.records import Record, read_record


def record_of(lead, peaks, fs=360.0, symbols=None):
    symbols = np.full(len(peaks), "N") if symbols is None else np.asarray(symbols)
    return Record("r1", fs, ("MLII",), lead[None], symbols, np.asarray(peaks), ())


def column(table, name):
    return table.values[:, FEATURES.index(name)]


@pytest.fixture(scope="module")
def synthetic():
    return beat_features(record_of(*synthetic_lead(360.0)))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of databases, with one database of two records."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    lead, peaks = synthetic_lead(360.0)
    for name in ("r1", "r2"):
        beats = [(int(p), "V" if i == 7 else "N") for i, p in enumerate(peaks)]
        write_record(tmp_path / "ward", name, signals=np.stack([lead, -lead]), beats=beats)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_beats_behind_the_end_of_the_record_have_no_row(synthetic):
    lead, peaks = synthetic_lead(360.0)
    symbols = ["N"] * len(peaks) + ["V", "N"]
    later = beat_features(record_of(lead, [*peaks, len(lead), len(lead) + 500], symbols=symbols))
    np.testing.assert_array_equal(later.values, synthetic.values)
    assert set(later.label) == {"N"}


def test_there_are_nine_features_of_the_beat_and_of_the_previous_one():
    assert len(FEATURES) == 18
    assert FEATURES[9:] == tuple(f"previous_{name}" for name in FEATURES[:9])


@pytest.mark.parametrize(
    ("name", "expected", "tolerance"),
    [
        ("rr_before", 1.0, 0.01),
        ("rr_after", 1.0, 0.01),
        ("qrs_s", WAVES["s"][1] - WAVES["q"][1], 0.01),
        ("pr_s", -WAVES["p"][1], 0.01),
        ("qt_s", WAVES["t"][1] - WAVES["q"][1], 0.015),
        ("p_mv", WAVES["p"][0], 0.05),
        ("r_mv", WAVES["r"][0], 0.15),
        ("t_mv", WAVES["t"][0], 0.06),
    ],
)
def test_features_of_a_known_beat_have_their_known_values(synthetic, name, expected, tolerance):
    assert abs(np.nanmedian(column(synthetic, name)) - expected) < tolerance


def test_st_interval_ends_on_the_rising_side_of_the_t_wave(synthetic):
    _, delay, width = WAVES["t"]
    st = np.nanmedian(column(synthetic, "st_s"))
    assert delay - WAVES["s"][1] - 3 * width < st < delay - WAVES["s"][1] - 0.5 * width


def test_an_early_beat_has_a_short_interval_before_and_a_long_one_after():
    lead, peaks = synthetic_lead(360.0)
    moved = peaks.copy()
    shift = 100
    moved[20] -= shift
    lead = lead.copy()
    whole = slice(peaks[20] - 130, peaks[20] + 150)
    beat = lead[whole].copy()
    lead[whole] = 0
    lead[whole.start - shift : whole.stop - shift] = beat
    table = beat_features(record_of(lead, moved))
    assert column(table, "rr_before")[20] < 0.75 < 1.25 < column(table, "rr_after")[20]
    assert column(table, "previous_rr_before")[21] == column(table, "rr_before")[20]


def test_a_gap_between_annotated_beats_is_no_interval():
    lead, peaks = synthetic_lead(360.0)
    # Seven intervals of 0.9 s, as where ventricular flutter is not annotated beat by beat.
    table = beat_features(record_of(lead, np.delete(peaks, range(20, 26))))
    assert np.isnan(column(table, "rr_after")[19]) and np.isnan(column(table, "rr_before")[20])
    known = np.delete(column(table, "rr_before"), [0, 20])
    assert np.abs(known - 1).max() < 0.02
    # A pause of five intervals is one.
    table = beat_features(record_of(lead, np.delete(peaks, range(20, 24))))
    assert 4 < column(table, "rr_before")[20] < 5


def test_the_first_beat_has_no_beat_before_it(synthetic):
    assert np.isnan(synthetic.values[0, 9:]).all()
    np.testing.assert_array_equal(synthetic.values[1:, 9:], synthetic.values[:-1, :9])


def test_real_record_has_one_row_for_each_beat_of_a_known_class():
    record = read_record(real_database("mitdb"), "100")
    table = beat_features(record)
    # 100.atr: 2,239 N, 33 A, 1 V (the database's directory)
    assert {name: int((table.label == name).sum()) for name in "NSV"} == {
        "N": 2239,
        "S": 33,
        "V": 1,
    }
    np.testing.assert_array_equal(table.sample, record.samples[record.symbols != "+"])
    assert np.isfinite(table.values[1:-1]).mean() > 0.95
    assert np.nanmedian(column(table, "rr_before")[table.label == "S"]) < 0.9


def test_a_flat_lead_is_marked_and_all_its_features_are_nan():
    _, peaks = synthetic_lead(360.0)
    table = beat_features(record_of(np.zeros(21_600), peaks))
    assert len(table) == len(peaks) and not table.usable.any() and np.isnan(table.values).all()


def test_beats_where_a_lead_is_missing_are_marked_and_their_features_are_nan():
    lead, peaks = synthetic_lead(360.0)
    gap = slice(int(peaks[10]) - 100, int(peaks[14]) + 100)
    missing = np.zeros((1, len(lead)), dtype=bool)
    missing[0, gap] = True
    lead = lead.copy()
    lead[gap] = np.linspace(lead[gap.start], lead[gap.stop], gap.stop - gap.start)  # as read
    table = beat_features(replace(record_of(lead, peaks), missing=missing))
    assert np.flatnonzero(~table.usable).tolist() == [10, 11, 12, 13, 14]
    assert np.isnan(column(table, "r_mv")[10:15]).all()


def test_a_record_too_short_is_named(tmp_path):
    with pytest.raises(RecordError, match="too short") as error:
        beat_features(record_of(np.zeros(1000), [500]))
    assert "record r1" in error.value.where and error.value.fix


def test_a_lead_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match="no lead number 2; it has MLII"):
        beat_features(record_of(*synthetic_lead(360.0)), lead=2)


def test_a_record_without_beats_has_no_rows():
    table = beat_features(record_of(synthetic_lead(360.0)[0], [500], symbols=["+"]))
    assert table.values.shape == (0, 18)
    assert join_tables([table, table]).values.shape == (0, 18)
    assert len(join_tables([])) == 0


def test_standardised_columns_have_mean_0_and_deviation_1_and_keep_their_gaps(synthetic):
    varied = synthetic.values + np.random.default_rng(0).normal(3, 2, synthetic.values.shape)
    values = replace(synthetic, values=varied).standardized().values
    np.testing.assert_allclose(np.nanmean(values, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.nanstd(values, axis=0), 1)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(synthetic.values))


def test_a_constant_feature_cannot_be_standardized(synthetic):
    one = synthetic.take(np.array([3]))
    with pytest.raises(OptionError, match="rr_before is the same in all 1 beats"):
        one.standardized()


def test_missing_values_become_the_median_of_the_record_or_of_all():
    values = np.full((5, 18), np.nan)
    values[:, 0] = [1, 3, 8, np.nan, np.nan]
    values[:, 1] = [1, np.nan, 5, 6, np.nan]
    table = FeatureTable(
        values=values,
        record=np.array(["a", "a", "a", "a", "b"]),
        sample=np.arange(5),
        label=np.full(5, "N"),
        usable=np.ones(5, dtype=bool),
    )
    filled = table.filled().values
    assert filled[:, 0].tolist() == [1, 3, 8, 3, 3]
    assert filled[:, 1].tolist() == [1, 5, 5, 6, 5]
    assert not filled[:, 2:].any()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_writes_one_row_per_beat(data, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    out = data / f"features.{ending}"
    result = run("features", "ward", "--data", data, "--out", out)
    read = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert list(read.columns) == ["record", "sample", "label", "usable", *FEATURES]
    assert len(read) == 2 * len(synthetic_lead(360.0)[1])
    assert read.label[read.record == "r1"].value_counts().to_dict()["V"] == 1
    assert f"{len(read)} beats of 2 records, 18 features each" in result.output
    assert f"written: {out}" in result.output
    assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []


def test_records_and_lead_can_be_chosen(data):
    out = data / "features.csv"
    run("features", "ward", "--data", data, "--records", "r2", "--lead", "V1", "--out", out)
    read = pd.read_csv(out)
    assert set(read.record) == {"r2"} and read.r_mv.median() < 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (["ward", "--out", "x.xlsx"], OptionError, r"\.csv or \.parquet"),
        (["ward", "--out", "nowhere/x.csv"], StorageError, "does not exist"),
        (["ward", "--records", " , "], OptionError, "contains no record"),
        (["ward", "--records", "r9"], RecordError, "r9 has no header"),
        (["ward", "--lead", "II"], RecordError, "no lead 'II'; it has MLII, V1"),
        (["mitbih-2lean"], OptionError, "mitbih-2lead"),
    ],
)
def test_invalid_arguments_are_rejected(data, arguments, error, match):
    with pytest.raises(error) as caught:
        run("features", *arguments, "--data", data)
    assert re.search(match, str(caught.value))


def test_error_for_missing_pyarrow_states_how_to_install_it(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"nasbench-ecg\[parquet\]"):
        check_table_path(data / "x.parquet")


def test_a_dataset_has_the_rows_of_its_own_beats(tmp_path, monkeypatch):
    folder = real_database("mitdb")
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("nasbench_ecg.run.loading.load_beats", lambda **_: Loaded())
    out = tmp_path / "f.csv"
    arguments = ["mitbih-2lead", "--data", folder.parent, "--records", "101", "--out", out]
    run("features", *arguments)
    assert pd.read_csv(out)["sample"].tolist() == Loaded.beats.sample.tolist()


class Loaded:
    """Three beats of record 101, in place of all beats of a dataset."""

    class beats:  # noqa: N801
        records = ("101",)
        record = np.zeros(3, dtype=np.int32)
        sample = np.array([396, 711, 1032])
