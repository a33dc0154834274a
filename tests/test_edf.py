"""EDF and EDF+ files as recordings: leads, units, rates, and files that are not whole."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench_ecg.errors import RecordError
from nasbench_ecg.signal.recordings import open_recording

FS, LEADS = 250.0, ("MLII", "V1")


def write_edf(path, microvolts, leads, others=(), kind=""):
    """Write EDF (Kemp et al. 1992) with one-second blocks and a range of ±3200 µV.

    ``others`` are further signals: label, unit and samples [n_blocks, samples in a block].
    """
    n = microvolts.shape[1] // int(FS)
    signals = [
        (label, "uV", row[: n * int(FS)].reshape(n, -1) * 10)
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
        "Signals that are not in volts are left out: SpO2 (%).",
        "Leads of a lower rate are resampled to 250 Hz: ECG 3.",
    )
    assert capsys.readouterr().out == ""
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RecordError, match=r"Data was truncated|file contains 8 records"):
        open_recording(path)
    times = ("EDF Annotations", "", time_stamps([0, 1, 2, *range(60, 66)]))
    write_edf(path, microvolts, LEADS, [times], kind="EDF+D")
    with pytest.raises(RecordError, match="interrupted"):
        open_recording(path)
