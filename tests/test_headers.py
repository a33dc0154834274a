"""Headers are read as they are meant, or refused with the true cause by everything that reads them.

The samples and positions are compared with those that ``wfdb`` reads from an ordinary record of the
same contents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from wfdb_files import write_record

from nasbench_ecg.data.wfdb_folder import describe
from nasbench_ecg.errors import NasbenchError, RecordError
from nasbench_ecg.physionet.verify import verify
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal.records import read_record, summarize_record, verify_record

BEATS = [(360 * i + 47, "N") for i in range(1, 10)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the record ``r1``: two leads, 360 Hz, 4,000 samples, nine beats."""
    write_record(tmp_path / "records", "r1", beats=BEATS)
    return tmp_path / "records"


def change(folder: Path, old: str, new: str, name: str = "r1", encoding: str = "utf-8") -> None:
    path = folder / f"{name}.hea"
    assert old in path.read_text()
    path.write_bytes(path.read_text().replace(old, new).encode(encoding))


def refusals(folder: Path) -> list[str]:
    """Return what each reader of records says about ``r1``; all must refuse it."""
    toml = folder / "x.toml"
    toml.write_text(f'name = "x"\nfolder = "{folder}"\n')
    said = []
    for read in (
        lambda: describe(toml),
        lambda: summarize_record(folder, "r1"),
        lambda: read_record(folder, "r1"),
    ):
        with pytest.raises(NasbenchError) as caught:
            read()
        said.append(str(caught.value))
    said += verify_record(folder, "r1")[:1]
    said += [problem.problem for problem in verify(folder, "x", progress=Silent())][:1]
    assert len(said) == 5
    return said


@pytest.mark.parametrize("rate", ["0", "-360", "nan", "inf", "1e9", "0.1", "fast"])
def test_impossible_sampling_rates_are_refused_by_every_reader(folder: Path, rate: str) -> None:
    change(folder, "r1 2 360 ", f"r1 2 {rate} ")
    for said in refusals(folder):
        assert f"sampling rate of {rate} Hz" in said and "r1.hea" in said


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("r1 2 360 4000 2020", "'2020' is not a time"),
        ("r1 2 360 4000 12:00:00 2020", "'2020' is not a date"),
        ("r1/3 2 360 4000", "several segments"),
        ("r1 0 360 4000", "no signals of its own"),
        ("r1 3 360 4000", "states 3 leads but describes 2"),
        ("r1 2 360 0", "length '0'"),
        ("r1 2 360 -5", "length '-5'"),
        ("r1 two 360 4000", "no number of signals"),
        ("r1", "no number of signals"),
    ],
)
def test_every_reader_names_what_is_wrong_with_the_first_line(
    folder: Path, line: str, cause: str
) -> None:
    change(folder, "r1 2 360 4000", line)
    for said in refusals(folder):
        assert cause in said


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("r1.dat 16 ", "r1.dat x ", "signal 0 has no valid format"),
        ("200.0(0)/mV", "much", "signal 0 has no valid gain"),
        ("r1.dat 16 ", "r1.dat 16x2 ", "annotations state no time resolution"),
    ],
)
def test_every_reader_names_what_is_wrong_with_a_signal_line(
    folder: Path, old: str, new: str, cause: str
) -> None:
    change(folder, old, new)
    if "x2" in new:
        change(folder, "r1 2 360 4000", "r1 2 360 2000")
        assert any(cause in said for said in verify_record(folder, "r1"))
        with pytest.raises(RecordError, match=cause):
            summarize_record(folder, "r1")
        return
    for said in refusals(folder):
        assert cause in said


def test_leads_of_several_sampling_rates_are_refused(folder: Path) -> None:
    path = folder / "r1.hea"
    path.write_text(path.read_text().replace("r1.dat 16 ", "r1.dat 16x2 ", 1))
    for said in refusals(folder):
        assert "several sampling rates" in said


def test_an_upper_case_ending_is_named_by_every_reader(folder: Path) -> None:
    (folder / "r1.hea").rename(folder / "r1.HEA")
    with pytest.raises(RecordError, match=r"r1\.HEA; WFDB requires r1\.hea"):
        read_record(folder, "r1")
    (folder / "x.toml").write_text('name = "x"\nfolder = "."\n')
    for read in (
        lambda: describe(folder / "x.toml"),
        lambda: list(verify(folder, "x", progress=Silent())),
    ):
        with pytest.raises(RecordError, match=r"r1\.HEA is not found by WFDB"):
            read()


def test_the_record_that_was_asked_for_is_read_and_another_name_is_told(folder: Path) -> None:
    other = write_record(folder, "new", beats=BEATS, n_samples=5000, signals=np.eye(2, 5000))
    change(folder, "new 2 360", "r1 2 360", "new")
    record = read_record(folder, "new")
    np.testing.assert_allclose(record.signals, other, atol=0.5 / 200)
    assert record.name == "new"
    for notes in (record.notes, summarize_record(folder, "new").notes):
        assert notes == ("The header new.hea names the record 'r1'; 'new' is read.",)
    assert read_record(folder, "r1").notes == ()


@pytest.mark.parametrize("frequency", [250, 360, 1000, 99.5])
def test_positions_follow_the_time_resolution_of_the_annotations(
    folder: Path, frequency: float
) -> None:
    seconds = np.array([sample for sample, _ in BEATS]) / 360
    marks = np.rint(seconds * frequency).astype(int)
    wfdb.wrann("r1", "atr", marks, ["N"] * len(marks), fs=frequency, write_dir=str(folder))
    record = read_record(folder, "r1")
    np.testing.assert_array_equal(record.samples, np.rint(marks * 360 / frequency))
    assert np.abs(record.samples / 360 - seconds).max() <= 0.5 / frequency + 0.5 / 360


@pytest.mark.parametrize(
    ("unit", "encoding"),
    [
        ("\u00b5V", "utf-8"),
        ("\u03bcV", "utf-8"),
        ("\u00b5V", "latin-1"),
        ("uV", "utf-8"),
        ("uv", "utf-8"),
    ],
)
def test_microvolts_are_recognized_in_every_spelling(
    folder: Path, unit: str, encoding: str
) -> None:
    expected = read_record(folder, "r1").signals
    change(folder, "200.0(0)/mV", f"0.2(0)/{unit}", encoding=encoding)
    np.testing.assert_allclose(read_record(folder, "r1").signals, expected, rtol=1e-12)


@pytest.mark.parametrize("unit", ["MV", "mmHg", "bpm"])
def test_other_units_are_refused_when_a_dataset_is_added(folder: Path, unit: str) -> None:
    change(folder, "/mV", f"/{unit}")
    (folder / "x.toml").write_text('name = "x"\nfolder = "."\n')
    for read in (lambda: describe(folder / "x.toml"), lambda: read_record(folder, "r1")):
        with pytest.raises(RecordError, match=f"in '{unit}', which is no known unit of voltage"):
            read()


def test_a_lead_in_another_unit_may_be_left_out(folder: Path) -> None:
    path = folder / "r1.hea"
    path.write_text(path.read_text().replace("/mV", "/mmHg", 1))
    (folder / "x.toml").write_text('name = "x"\nfolder = "."\nleads = ["V1"]\n')
    assert describe(folder / "x.toml").beats["N"] == 9
    assert read_record(folder, "r1", ("V1",)).leads == ("V1",)


def test_a_header_without_length_is_read_as_long_as_its_file(folder: Path) -> None:
    expected = read_record(folder, "r1")
    change(folder, "r1 2 360 4000", "r1 2 360")
    np.testing.assert_array_equal(read_record(folder, "r1").signals, expected.signals)
    assert summarize_record(folder, "r1").seconds == 4000 / 360
    assert verify_record(folder, "r1") == []


def test_skewed_leads_are_aligned_after_their_checksum_is_checked(folder: Path) -> None:
    path = folder / "r1.hea"
    path.write_text(path.read_text().replace("r1.dat 16 ", "r1.dat 16:36 ", 1))
    oracle = wfdb.rdrecord(str(folder / "r1")).p_signal.T
    record = read_record(folder, "r1")
    assert np.isnan(oracle[0, -36:]).all() and not np.isnan(oracle[:, :-36]).any()
    np.testing.assert_allclose(record.signals[:, :-36], oracle[:, :-36], rtol=1e-12)
    assert record.missing is not None
    np.testing.assert_array_equal(record.missing, np.isnan(oracle))
    assert verify_record(folder, "r1") == []


def test_several_samples_a_frame_are_read_at_the_rate_of_the_leads(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-500, 500, (2, 4000))
    frames = digital.reshape(2, 2000, 2).transpose(1, 0, 2)
    frames.astype("<i2").tofile(tmp_path / "r1.dat")
    sums = digital.sum(axis=1) % 65536
    lines = [f"r1.dat 16x2 200(0)/mV 16 0 0 {s} 0 L{i}" for i, s in enumerate(sums)]
    (tmp_path / "r1.hea").write_text("\n".join(["r1 2 180 2000", *lines, ""]))
    samples = np.array([sample for sample, _ in BEATS])
    wfdb.wrann("r1", "atr", samples, ["N"] * 9, fs=360, write_dir=str(tmp_path))
    record = read_record(tmp_path, "r1")
    assert record.fs == 360
    np.testing.assert_allclose(record.signals, digital / 200, rtol=1e-12)
    np.testing.assert_array_equal(record.samples, samples)
    wfdb.wrann("r1", "atr", samples // 2, ["N"] * 9, fs=180, write_dir=str(tmp_path))
    np.testing.assert_array_equal(read_record(tmp_path, "r1").samples, samples // 2 * 2)


def test_big_endian_samples_are_read(folder: Path) -> None:
    expected = read_record(folder, "r1").signals
    content = np.fromfile(folder / "r1.dat", "<i2")
    content.astype(">i2").tofile(folder / "r1.dat")
    change(folder, "r1.dat 16 ", "r1.dat 61 ")
    np.testing.assert_array_equal(read_record(folder, "r1").signals, expected)
    assert verify_record(folder, "r1") == []


@pytest.mark.parametrize(
    ("first", "second"), [("", ""), ("ECG", "ECG"), ("#1", "V1"), ("I, II", "V1")]
)
def test_leads_without_a_name_of_their_own_are_used_by_position(
    folder: Path, first: str, second: str
) -> None:
    expected = read_record(folder, "r1").signals
    change(folder, " 0 MLII", f" 0 {first}")
    change(folder, " 0 V1", f" 0 {second}")
    (folder / "x.toml").write_text('name = "x"\nfolder = "."\n')
    assert describe(folder / "x.toml").dataset.options["leads"] == ["#0", "#1"]
    assert verify_record(folder, "r1") == []
    record = read_record(folder, "r1", ("#0", "#1"))
    np.testing.assert_array_equal(record.signals, expected)


def test_a_lead_name_that_occurs_twice_is_refused(folder: Path) -> None:
    change(folder, " 0 V1", " 0 MLII")
    with pytest.raises(RecordError, match="has several leads 'MLII'") as caught:
        read_record(folder, "r1", ("MLII",))
    assert "#0" in caught.value.fix


def test_lead_names_need_not_be_ascii(folder: Path) -> None:
    change(folder, " 0 V1", " 0 пре-кор")
    (folder / "x.toml").write_text('name = "x"\nfolder = "."\n')
    assert describe(folder / "x.toml").dataset.options["leads"] == ["MLII", "пре-кор"]
    assert read_record(folder, "r1", ("пре-кор",)).leads == ("пре-кор",)


def test_records_in_subfolders_are_used_if_they_are_listed(tmp_path: Path) -> None:
    write_record(tmp_path / "g1", "r1", beats=BEATS)
    (tmp_path / "x.toml").write_text('name = "x"\nfolder = "."\n')
    with pytest.raises(RecordError, match="in subfolders") as caught:
        describe(tmp_path / "x.toml")
    assert "RECORDS" in caught.value.fix and "g1/r1" in caught.value.fix
    (tmp_path / "RECORDS").write_text("g1/r1\n")
    assert describe(tmp_path / "x.toml").dataset.options["records"] == ["g1/r1"]
    assert list(verify(tmp_path, "x", progress=Silent())) == []
    expected = read_record(tmp_path / "g1", "r1")
    np.testing.assert_array_equal(read_record(tmp_path, "g1/r1").signals, expected.signals)


def test_replacing_by_the_published_file_is_advised_only_beside_published_checksums(
    folder: Path,
) -> None:
    (folder / "r1.dat").write_bytes(b"")
    with pytest.raises(RecordError) as caught:
        read_record(folder, "r1")
    assert "published" not in caught.value.fix
    (folder / "SHA256SUMS.txt").write_text("")
    with pytest.raises(RecordError) as caught:
        read_record(folder, "r1")
    assert "published" in caught.value.fix
