"""Read the leads of EDF and EDF+ files.

``wfdb`` reads the annotations of EDF+ as a lead, and averages all signals down to the lowest
sampling rate of the file. Here, signals without a unit of volts are left out, and leads of a lower
rate than others are resampled to the highest one.

References:
    Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings",
    Electroencephalogr Clin Neurophysiol 82:391-393; Kemp & Olivan 2003, "European data format
    'plus' (EDF+)", Clin Neurophysiol 114:1755-1761.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.headers import MILLIVOLTS
from nasbench_ecg.signal.resampling import resample

Floats = NDArray[np.float64]

_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_FIXED_BYTES = 256
_SIGNAL_BYTES = 256
_WIDTHS = {
    "label": 16, "transducer": 80, "unit": 8, "lowest": 8, "highest": 8, "digital_lowest": 8,
    "digital_highest": 8, "filter": 80, "n_in_block": 8, "reserved": 32,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class EdfLeads:
    """The leads of an EDF file.

    Attributes:
        names: Their labels.
        fs: Sampling rate in hertz, the highest of the leads.
        signals: float64 [n_leads, n_samples], millivolts.
        notes: What was left out, assumed or resampled.
    """

    names: tuple[str, ...]
    fs: float
    signals: Floats
    notes: tuple[str, ...]


def read_edf(path: Path) -> EdfLeads:
    """Return the leads of an EDF file: its signals in volts, or without a unit.

    Raises:
        ValueError: It is no EDF file, is truncated or interrupted, or has no lead.
    """
    content = path.read_bytes()
    text = content[:_FIXED_BYTES].decode("latin-1")
    if text[:8].strip() != "0" or len(text) < _FIXED_BYTES:
        raise ValueError("it does not begin as an EDF file does")
    if text[192:197] == "EDF+D":
        raise ValueError("its recording is interrupted (EDF+D)")
    n_blocks, seconds, n_signals = int(text[236:244]), float(text[244:252]), int(text[252:256])
    start = _FIXED_BYTES + _SIGNAL_BYTES * n_signals
    fields = _fields(content[_FIXED_BYTES:start].decode("latin-1"), n_signals)
    widths = [int(n) for n in fields["n_in_block"]]
    block = sum(widths)
    complete = (len(content) - start) // (2 * block) if block else 0
    n_blocks = complete if n_blocks == -1 else n_blocks
    if not 0 < n_blocks <= complete or not 0 < seconds < math.inf:
        raise ValueError(
            f"it has {complete:,} complete blocks of {seconds:g} s, its header states {n_blocks:,}"
        )
    blocks = np.frombuffer(content, "<i2", n_blocks * block, start).reshape(n_blocks, block)
    columns = np.split(blocks, np.cumsum(widths)[:-1], axis=1)
    units = fields["unit"]
    leads = [
        i
        for i, label in enumerate(fields["label"])
        if widths[i] and label not in _ANNOTATIONS and (units[i] in MILLIVOLTS or not units[i])
    ]
    if not leads:
        raise ValueError("none of its signals is in volts")
    most = max(widths[i] for i in leads)
    fs, n_samples = most / seconds, n_blocks * most
    signals = np.empty((len(leads), n_samples))
    for lead, i in zip(signals, leads, strict=True):
        own = _physical(columns[i].ravel(), {name: column[i] for name, column in fields.items()})
        lead[:] = resample(own[None], widths[i] / seconds, fs)[0][0, :n_samples]
        lead *= MILLIVOLTS.get(units[i], 1.0)
    return EdfLeads(
        tuple(fields["label"][i] for i in leads),
        fs,
        signals,
        tuple(_notes(fields, leads, widths, fs)),
    )


def _fields(text: str, n_signals: int) -> dict[str, list[str]]:
    """Return the header of each signal: for each field, its text of each signal."""
    fields, at = {}, 0
    for name, width in _WIDTHS.items():
        places = range(at, at + width * n_signals, width)
        fields[name] = [text[i : i + width].strip() for i in places]
        at += width * n_signals
    return fields


def _physical(digital: NDArray[np.int16], field: dict[str, str]) -> Floats:
    """Return samples in the unit of their signal."""
    lowest, highest = float(field["lowest"]), float(field["highest"])
    first, last = float(field["digital_lowest"]), float(field["digital_highest"])
    if first == last or lowest == highest:
        raise ValueError(f"the range of its signal {field['label']!r} is empty")
    scale = (highest - lowest) / (last - first)
    physical: Floats = (digital.astype(np.float64) - first) * scale + lowest
    return physical


def _notes(
    fields: dict[str, list[str]], leads: list[int], widths: list[int], fs: float
) -> list[str]:
    labels, units, most, notes = fields["label"], fields["unit"], max(widths[i] for i in leads), []
    others = [
        f"{label} ({unit})" if (unit := units[i]) else label
        for i, label in enumerate(labels)
        if i not in leads and label not in _ANNOTATIONS
    ]
    if others:
        notes.append(f"Signals that are not in volts are left out: {', '.join(others)}.")
    if unknown := [labels[i] for i in leads if not units[i]]:
        notes.append(f"Leads without a unit are taken as millivolts: {', '.join(unknown)}.")
    if slower := [labels[i] for i in leads if widths[i] < most]:
        notes.append(f"Leads of a lower rate are resampled to {fs:g} Hz: {', '.join(slower)}.")
    return notes
