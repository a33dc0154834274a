"""Records are read completely or rejected with an error that names the damage."""

from __future__ import annotations

import numpy as np
import pytest
import wfdb
from wfdb_files import real_database, write_incart_record, write_record

from nasbench_ecg.errors import RecordError
from nasbench_ecg.signal.records import read_record, summarize_record, verify_record


@pytest.fixture
def folder(tmp_path):
    write_record(tmp_path, "r1", beats=[(500, "N"), (900, "V"), (1300, "+")], comments=["69 M"])
    return tmp_path


def test_signals_are_millivolts_and_annotations_keep_their_positions(folder):
    written = write_record(folder, "r2", beats=[(500, "N"), (900, "V")])
    record = read_record(folder, "r2")
    assert record.leads == ("MLII", "V1") and record.fs == 360
    np.testing.assert_allclose(record.signals, written, atol=0.5 / 200)
    assert record.symbols.tolist() == ["N", "V"] and record.samples.tolist() == [500, 900]


def test_real_record_equals_what_wfdb_reads():
    folder = real_database("mitdb")
    oracle = wfdb.rdrecord(str(folder / "114"))
    record = read_record(folder, "114")
    np.testing.assert_array_equal(record.signals, oracle.p_signal.T)
    assert record.leads == ("V5", "MLII")
    assert record.comments[0].startswith("72 F")


def test_leads_are_selected_by_name_by_position_and_as_the_other_lead():
    folder = real_database("mitdb")
    assert read_record(folder, "114", ("MLII", "*")).leads == ("MLII", "V5")
    assert read_record(folder, "114", ("*", "MLII")).leads == ("V5", "MLII")
    assert read_record(folder, "114", ("#0",)).leads == ("V5",)


def test_error_for_a_missing_lead_lists_the_leads(folder):
    with pytest.raises(RecordError, match=r"r1 has no lead 'V5'; it has MLII, V1") as error:
        read_record(folder, "r1", ("V5",))
    assert error.value.where.endswith("r1.hea") and "--leads" in error.value.fix


@pytest.mark.parametrize("leads", [("MLII", "#0"), ("#1", "*", "V1")])
def test_a_lead_is_not_chosen_twice(folder, leads):
    with pytest.raises(RecordError, match=r"of record r1 is chosen twice"):
        read_record(folder, "r1", leads)


def test_a_two_lead_record_has_no_second_other_lead(folder):
    with pytest.raises(RecordError, match=r"no lead '\*'"):
        read_record(folder, "r1", ("MLII", "*", "*"))


def test_error_for_a_truncated_signal_file_states_both_sizes(folder):
    path = folder / "r1.dat"
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(
        RecordError, match=r"r1\.dat has 6,000 of 16,000 bytes, 1,500 of 4,000 samples"
    ):
        read_record(folder, "r1")


def test_truncated_real_format_212_is_found(tmp_path):
    source = real_database("mitdb")
    for extension in ("hea", "atr"):
        (tmp_path / f"100.{extension}").write_bytes((source / f"100.{extension}").read_bytes())
    (tmp_path / "100.dat").write_bytes((source / "100.dat").read_bytes()[:-3])
    with pytest.raises(RecordError, match="1,949,997 of 1,950,000 bytes, 649,999 of 650,000"):
        read_record(tmp_path, "100")


@pytest.mark.parametrize("position", [0, 7_001, 15_999])
def test_one_flipped_bit_anywhere_is_found_by_the_checksum(folder, position):
    path = folder / "r1.dat"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    lead = ("MLII", "V1")[(position // 2) % 2]
    with pytest.raises(RecordError, match=f"lead {lead} has checksum"):
        read_record(folder, "r1")


def test_damage_in_a_lead_that_is_not_requested_is_detected(folder):
    path = folder / "r1.dat"
    content = bytearray(path.read_bytes())
    content[2] ^= 1  # first sample of V1
    path.write_bytes(content)
    with pytest.raises(RecordError, match="lead V1"):
        read_record(folder, "r1", ("MLII",))


def test_record_in_the_form_of_incart_is_read_and_its_checksums_are_checked(tmp_path):
    signals = write_incart_record(tmp_path, "I22", patient=11, beats=[(1000, "N")])
    record = read_record(tmp_path, "I22", ("V1", "II"))
    np.testing.assert_allclose(record.signals, signals.T[[6, 1]], rtol=1e-12)
    assert record.comments[-2:] == ("patient 11", "PVCs, noise")
    path = tmp_path / "I22.dat"
    content = bytearray(path.read_bytes())
    content[500] ^= 1  # sample 20, lead V5
    path.write_bytes(content)
    with pytest.raises(RecordError, match="lead V5 has checksum"):
        read_record(tmp_path, "I22", ("V1",))


def test_header_that_states_zero_for_every_checksum_is_read(folder):
    path = folder / "r1.hea"
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        words = line.split(" ")
        if words[0] == "r1.dat":
            lines[i] = " ".join([*words[:6], "0", *words[7:]])
    path.write_text("\n".join(lines) + "\n")
    assert read_record(folder, "r1").signals.shape[0] == 2


def test_missing_header_and_empty_folder_have_different_errors(folder, tmp_path_factory):
    with pytest.raises(RecordError) as error:
        read_record(folder, "r9")
    assert error.value.what == "Record r9 has no header file."
    with pytest.raises(RecordError, match="contains no records"):
        read_record(tmp_path_factory.mktemp("empty"), "r1")


@pytest.mark.parametrize("text", ["", "r1 2 360\n", "nonsense\n", "r1 2 x y\nr1.dat 16\n"])
def test_damaged_header_is_a_record_error(folder, text):
    (folder / "r1.hea").write_text(text)
    with pytest.raises(RecordError) as error:
        read_record(folder, "r1")
    assert "r1" in error.value.where


def test_inconsistent_header_is_rejected(folder):
    header = folder / "r1.hea"
    text = header.read_text()
    header.write_text(text.replace("r1.dat 16 ", "r1.dat 212 ", 1))
    with pytest.raises(RecordError, match=r"several formats for r1\.dat: 16, 212"):
        read_record(folder, "r1")
    header.write_text("\n".join(text.splitlines()[:2]) + "\n")
    with pytest.raises(RecordError, match="states 2 leads but describes 1"):
        read_record(folder, "r1")


def test_missing_signal_and_annotation_files_are_named(folder):
    (folder / "r1.atr").unlink()
    with pytest.raises(RecordError, match=r"no annotation file r1\.atr"):
        read_record(folder, "r1")
    (folder / "r1.dat").unlink()
    with pytest.raises(RecordError, match=r"has no signal file r1\.dat"):
        read_record(folder, "r1")


def test_truncated_annotations_are_detected(folder):
    path = folder / "r1.atr"
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(RecordError, match=r"annotations in r1\.atr are truncated"):
        read_record(folder, "r1")
    (problem,) = verify_record(folder, "r1")
    assert "truncated" in problem
    path.write_bytes(content[:-1])
    with pytest.raises(RecordError, match=r"r1\.atr are truncated or of another format"):
        read_record(folder, "r1")


@pytest.mark.parametrize("damaged", [slice(2, 4), slice(2, 8)])
def test_zeros_among_annotations_are_no_end_mark(folder, damaged):
    """The end mark is the first zero word, but wfdb reads on behind it: marks move silently."""
    path = folder / "r1.atr"
    content = bytearray(path.read_bytes())
    content[damaged] = bytes(len(content[damaged]))
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"r1\.atr are damaged: their end mark is at byte 2 of"):
        read_record(folder, "r1")
    (problem,) = verify_record(folder, "r1")
    assert "end mark" in problem


def test_zeros_within_a_text_or_a_long_interval_are_no_end_mark(tmp_path):
    """Intervals of 65,536 samples and notes of an odd length have zero words as payload."""
    write_record(tmp_path, "r1", n_samples=200_000)
    samples = np.array([500, 500 + 2 * 65_536, 150_000])
    notes = ["(N\0\0\0\0", "(AFIB", "\0"]
    wfdb.wrann("r1", "atr", samples, ["+", "N", "+"], aux_note=notes, write_dir=str(tmp_path))
    assert b"\0\0\0\0" in (tmp_path / "r1.atr").read_bytes()[:-2]
    assert read_record(tmp_path, "r1").samples.tolist() == samples.tolist()


def test_annotations_at_or_behind_the_end_are_kept(tmp_path):
    write_record(tmp_path, "r1", beats=[(500, "N"), (4000, "V"), (9000, "N")])
    assert read_record(tmp_path, "r1").samples.tolist() == [500, 4000, 9000]
    assert summarize_record(tmp_path, "r1").notes == (
        "Record r1: 2 annotations are at or behind the end.",
    )
    assert verify_record(tmp_path, "r1") == []


def test_annotations_that_go_backwards_are_rejected(folder, monkeypatch):
    annotated = wfdb.rdann(str(folder / "r1"), "atr")
    annotated.sample = np.array([500, 1300, 900])
    monkeypatch.setattr(wfdb, "rdann", lambda *_: annotated)
    with pytest.raises(RecordError, match="annotation 2 is at sample 900, the one before it is at"):
        read_record(folder, "r1")
    (problem,) = verify_record(folder, "r1")
    assert "not in order" in problem


def test_gap_is_interpolated_linearly(tmp_path):
    write_record(tmp_path, "r1", signals=np.full((1, 2000), 0.5), leads=("MLII",), beats=[(9, "N")])
    digital = np.fromfile(tmp_path / "r1.dat", "<i2")
    digital[1000:1010] = -32768  # the invalid sample value of the format
    digital[1010:] = 210
    digital.tofile(tmp_path / "r1.dat")
    header = (tmp_path / "r1.hea").read_text().splitlines()
    fields = header[1].split()
    fields[6] = str(int(digital.astype(int).sum() % 65536))
    (tmp_path / "r1.hea").write_text("\n".join([header[0], " ".join(fields), *header[2:]]) + "\n")
    lead = read_record(tmp_path, "r1").signals[0]
    np.testing.assert_allclose(lead[999:1011], np.interp(range(12), [0, 11], [100, 210]) * 0.005)


def test_unit_other_than_volts_is_rejected(folder):
    header = folder / "r1.hea"
    header.write_text(header.read_text().replace("/mV", "/mmHg"))
    with pytest.raises(RecordError, match="mmHg"):
        read_record(folder, "r1")


def test_verify_collects_all_problems(tmp_path):
    write_record(tmp_path, "r1")
    content = bytearray((tmp_path / "r1.dat").read_bytes())
    content[0] ^= 1
    content[2] ^= 1
    (tmp_path / "r1.dat").write_bytes(content)
    problems = verify_record(tmp_path, "r1", ["hea", "dat", "atr", "qrs"])
    assert len(problems) == 3
    for part in ("lead MLII", "lead V1", "r1.qrs"):
        assert any(part in problem for problem in problems)


def test_verify_of_an_undamaged_record_is_empty(folder):
    assert verify_record(folder, "r1") == []


def test_real_records_verify():
    for database, name, endings in (
        ("mitdb", "102", ["atr"]),
        ("svdb", "860", ["atr"]),  # its last beat is one sample behind the end
        ("qtdb", "sel100", ["atr", "man", "q1c"]),
    ):
        folder = real_database(database)
        assert verify_record(folder, name, ["hea", "dat", *endings]) == []
