"""EDF and EDF+ files as recordings: leads, units, rates, and files that are not whole."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench_ecg.errors import RecordError
from nasbench_ecg.signal.recordings import open_recording

FS, LEADS = 250.0, ("MLII", "V1")


def write_edf(path, microvolts, leads, others=(), kind="", unit="uV"):
    """Write EDF (Kemp et al. 1992) with one-second blocks and a range of ±3200 µV.

    ``others`` are further signals: label, unit and samples [n_blocks, samples in a block].
    """
    n = microvolts.shape[1] // int(FS)
    signals = [
        (label, unit, row[: n * int(FS)].reshape(n, -1) * 10)
        for label, row in zip(leads, microvolts, strict=True)
    ] + list(others)

    def field(values, width):
        return "".join(str(value).ljust(width) for value in values)

    n_signals = len(signals)
    header = field(["0"], 8) + field(["X"], 80) * 2 + field(["01.01.20", "00.00.00"], 8)
    header += field([256 * (n_signals + 1)], 8) + field([kind], 44) + field([n, 1], 8)
    header += field([n_signals], 4) + field([label for label, _, _ in signals], 16)
    header += field([""] * n_signals, 80) + field([unit for _, unit, _ in signals], 8)
    header += field([-3200] * n_signals, 8) + field([3200] * n_signals, 8)
    header += field([-32000] * n_signals, 8) + field([32000] * n_signals, 8)
    header += field([""] * n_signals, 80) + field([rows.shape[1] for *_, rows in signals], 8)
    header += field([""] * n_signals, 32)
    blocks = np.concatenate([np.rint(rows) for *_, rows in signals], axis=1).astype("<i2")
    path.write_bytes(header.encode("latin-1") + blocks.tobytes())


def time_stamps(seconds):
    """Return the annotations by which EDF+ keeps time: the second of each block, [n_blocks, 30]."""
    texts = [f"+{second}\x14\x14\0".encode().ljust(60, b"\0") for second in seconds]
    return np.stack([np.frombuffer(text, "<i2") for text in texts])


def test_edf_files_are_read_in_millivolts(tmp_path):
    signals = np.random.default_rng(0).normal(size=(2, 10 * int(FS))).clip(-3, 3)
    path = tmp_path / "day.edf"
    write_edf(path, signals * 1000, LEADS)
    found = open_recording(path)
    assert (found.fs, found.leads) == (FS, LEADS)
    n = found.n_samples
    np.testing.assert_allclose(found.read([0, 1], 0, n), signals[:, :n], atol=5.1e-5)


def test_an_edf_file_may_have_annotations_and_other_signals(tmp_path, capsys):
    signals = np.random.default_rng(0).normal(size=(2, 10 * int(FS))).clip(-3, 3)
    n, path = 9, tmp_path / "holter.edf"  # the tenth second is an incomplete block
    microvolts = signals[:, : n * int(FS)] * 1000
    slow = np.sin(2 * np.pi * np.arange(n * 50) / 50)  # 1 Hz, in millivolts
    others = [
        ("SpO2", "%", np.full((n, 1), 96)),
        ("ECG 3", "\u00b5V", slow.reshape(n, 50) * 10_000),
        ("EDF Annotations", "", time_stamps(range(n))),
    ]
    write_edf(path, microvolts, LEADS, others, kind="EDF+C")
    found = open_recording(path)
    assert (found.fs, found.leads, found.n_samples) == (FS, (*LEADS, "ECG 3"), n * int(FS))
    read = found.read([0, 1, 2], 0, found.n_samples)
    np.testing.assert_allclose(read[:2] * 1000, microvolts, atol=0.051)  # half of a digital unit
    middle = np.arange(250, 2000)
    np.testing.assert_allclose(read[2][middle], np.sin(2 * np.pi * middle / FS), atol=0.02)
    assert found.notes == (
        "Signals in no known unit of voltage, or of another type than ECG, are left out: SpO2 (%).",
        "Leads of another rate are resampled to 250 Hz: ECG 3.",
    )
    assert capsys.readouterr().out == ""
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RecordError, match=r"Data was truncated|file contains 8 records"):
        open_recording(path)
    times = ("EDF Annotations", "", time_stamps([0, 1, 2, *range(60, 66)]))
    write_edf(path, microvolts, LEADS, [times], kind="EDF+D")
    with pytest.raises(RecordError, match="interrupted"):
        open_recording(path)


def two_leads(seconds=10):
    return np.random.default_rng(0).normal(size=(2, seconds * int(FS))).clip(-3, 3) * 1000


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("ECG V5", "ECG MLII"), ("V5", "MLII")),
        (("EKG ii", "ecg V1"), ("ii", "V1")),
        (("ECG V1", "V1"), ("ECG V1", "V1")),
        (("ECG", "ECG 2"), ("ECG", "ECG 2")),
        (("ECG V1", "ECG V1"), ("V1", "V1")),
    ],
)
def test_leads_are_named_without_the_type_of_their_signal(tmp_path, labels, names):
    write_edf(tmp_path / "a.edf", two_leads(), labels)
    assert open_recording(tmp_path / "a.edf").leads == names


def test_signals_of_another_type_are_no_leads(tmp_path):
    eeg = ("EEG Fpz", "uV", np.ones((10, int(FS))))
    marks = ("Status", "", np.ones((10, 1000)))
    moves = ("Accelerometer_X", "", np.ones((10, 100)))
    rate = ("HRV", "mV", np.ones((10, 10)))
    beats = ("Resp", "mV", np.ones((10, 10)))
    write_edf(tmp_path / "a.edf", two_leads(), LEADS, [eeg, marks, beats, moves, rate])
    found = open_recording(tmp_path / "a.edf")
    assert (found.leads, found.fs, found.n_samples) == (LEADS, FS, 2500)
    assert "EEG Fpz (uV), Status (no unit), Resp (mV)" in found.notes[0]


def test_signals_without_a_unit_come_after_those_in_volts(tmp_path):
    wave = ("button", "", np.random.default_rng(1).normal(size=(10, 1000)) * 1000)
    write_edf(tmp_path / "a.edf", two_leads(), ("V9", "V8"), unit="")
    plain = open_recording(tmp_path / "a.edf")
    assert plain.leads == ("V9", "V8")
    assert plain.notes[0] == "Leads without a unit are taken as millivolts: V9, V8."
    assert [note for note in plain.notes if "hardly millivolts" in note] == list(plain.notes[1:])
    assert len(plain.notes) == 3
    write_edf(tmp_path / "b.edf", two_leads(), LEADS, [wave])
    content = bytearray((tmp_path / "b.edf").read_bytes())
    first = 256 + 3 * (16 + 80)  # units
    content[first : first + 24] = b"        " + b"uv      " + b"mv      "
    (tmp_path / "b.edf").write_bytes(content)
    mixed = open_recording(tmp_path / "b.edf")
    assert mixed.leads == ("V1", "button", "MLII") and mixed.fs == 1000
    assert "and come after the others: MLII" in mixed.notes[0]


@pytest.mark.parametrize(("unit", "factor"), [("uv", 1e-3), ("mv", 1.0), ("\u00b5v", 1e-3)])
def test_units_may_be_written_in_small_letters(tmp_path, unit, factor):
    write_edf(tmp_path / "a.edf", two_leads(), LEADS, unit=unit)
    found = open_recording(tmp_path / "a.edf")
    np.testing.assert_allclose(found.signals, two_leads() * factor, atol=0.06 * factor)


def test_an_unknown_unit_is_named_with_the_known_ones(tmp_path):
    write_edf(tmp_path / "a.edf", two_leads(), LEADS, unit="MV")
    with pytest.raises(RecordError, match=r"known unit of voltage \(V, mV, uV.*MLII \(MV\)"):
        open_recording(tmp_path / "a.edf")
