"""WFDB records for tests: generated ones, and the real ones of NASBENCH_ECG_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import wfdb

REASON = "needs real records: set NASBENCH_ECG_DATA to a folder that holds {}"


def real_database(name):
    """Return the folder of a real database, or skip the test."""
    data = os.environ.get("NASBENCH_ECG_DATA")
    if not data or not (Path(data) / name).is_dir():
        pytest.skip(REASON.format(name))
    return Path(data) / name


def spiky_signals(n_leads, n_samples, seed=0):
    """Return [n_leads, n_samples] millivolts of noise."""
    return np.random.default_rng(seed).normal(0, 0.5, (n_leads, n_samples)).round(2)


def write_record(
    folder,
    name,
    *,
    leads=("MLII", "V1"),
    n_samples=4000,
    fs=360,
    signals=None,
    beats=None,
    comments=(),
    fmt="16",
    gain=200.0,
):
    """Write a record and its annotations; ``beats`` is a list of (sample, symbol)."""
    folder.mkdir(parents=True, exist_ok=True)
    signals = spiky_signals(len(leads), n_samples) if signals is None else signals
    beats = [(s, "N") for s in range(400, signals.shape[1] - 400, 300)] if beats is None else beats
    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=signals.T,
        fmt=[fmt] * len(leads),
        adc_gain=[gain] * len(leads),
        baseline=[0] * len(leads),
        comments=list(comments),
        write_dir=str(folder),
    )
    wfdb.wrann(
        name,
        "atr",
        np.array([sample for sample, _ in beats]),
        [symbol for _, symbol in beats],
        write_dir=str(folder),
    )
    return signals


INCART_LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
INCART_GAINS = (306, 240, 412, 518, 367, 289, 1063, 655, 731, 842, 908, 977)


def write_incart_record(folder, name, *, patient=None, n_samples=6000, beats=()):
    """Write a record in the form of the INCART headers, and return its millivolts [n_samples, 12].

    That form has 12 leads, a gain of its own for each lead (240 to 1063 in the database),
    checksums, the diagnoses in a comment, and ``patient N`` in another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digital = np.random.default_rng(1).integers(-900, 900, (n_samples, 12)).astype("<i2")
    (folder / f"{name}.dat").write_bytes(digital.tobytes())
    checksums = digital.sum(axis=0, dtype=np.int64).astype("<i2")
    lines = [f"{name} 12 257 {n_samples}"]
    for lead, gain, first, checksum in zip(
        INCART_LEADS, INCART_GAINS, digital[0], checksums, strict=True
    ):
        lines += [f"{name}.dat 16 {gain} 16 0 {first} {checksum} 0 {lead}"]
    lines += ["#<age>: 65 <sex>: F <diagnoses> Coronary artery disease, arterial hypertension"]
    lines += [f"# patient {patient}", "# PVCs, noise"] if patient else []
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    wfdb.wrann(
        name,
        "atr",
        np.array([sample for sample, _ in beats]),
        [symbol for _, symbol in beats],
        write_dir=str(folder),
    )
    return digital / np.array(INCART_GAINS)
