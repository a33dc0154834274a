"""Read the leads of EDF and EDF+ files.

Signals without a unit of volts are left out, and leads of a lower rate than others are resampled to
the highest one. (``wfdb`` reads the annotations of EDF+ as a lead, and averages all signals down to
the lowest sampling rate of the file; so ``edfio`` reads the files.)

References:
    Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings",
    Electroencephalogr Clin Neurophysiol 82:391-393; Kemp & Olivan 2003, "European data format
    'plus' (EDF+)", Clin Neurophysiol 114:1755-1761.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.headers import MILLIVOLTS
from nasbench_ecg.signal.resampling import resample

if TYPE_CHECKING:
    from edfio import Edf, EdfSignal

_STILL_RECORDED = "header indicates -1"


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
    signals: NDArray[np.float64]
    notes: tuple[str, ...]


def read_edf(path: Path) -> EdfLeads:
    """Return the leads of an EDF file: its signals in volts, or without a unit.

    Raises:
        ValueError: It is no EDF file, is truncated or interrupted, or has no lead.
    """
    edf = _complete(path)
    leads = [one for one in edf.signals if one.physical_dimension in {*MILLIVOLTS, ""}]
    if not leads:
        raise ValueError("none of its signals is in volts")
    fs = max(float(lead.sampling_frequency) for lead in leads)
    n_samples = max(len(lead.data) for lead in leads)
    signals = np.empty((len(leads), n_samples))
    for row, lead in zip(signals, leads, strict=True):
        own = np.asarray(lead.data, dtype=np.float64)[None]
        row[:] = resample(own, float(lead.sampling_frequency), fs)[0][0, :n_samples]
        row *= MILLIVOLTS.get(lead.physical_dimension, 1.0)
    names = tuple(lead.label for lead in leads)
    return EdfLeads(names, fs, signals, tuple(_notes(edf.signals, leads, fs)))


def _complete(path: Path) -> Edf:
    """Return an EDF file whose data are those that its header states, without gaps."""
    import edfio

    content = path.read_bytes()
    if content[:8].strip() != b"0":
        raise ValueError("it does not begin as an EDF file does")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            edf = edfio.read_edf(content, header_encoding="latin-1")
            lengths = [len(signal.data) for signal in edf.signals]
        except (ArithmeticError, LookupError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
    if faults := [str(one.message) for one in told if _STILL_RECORDED not in str(one.message)]:
        raise ValueError(faults[-1].rstrip("."))
    if not edf.is_continuous:
        raise ValueError("its recording is interrupted (EDF+D)")
    if not all(lengths):
        raise ValueError("it has no samples")
    return edf


def _notes(signals: Sequence[EdfSignal], leads: Sequence[EdfSignal], fs: float) -> list[str]:
    notes = []
    if others := [f"{one.label} ({one.physical_dimension})" for one in signals if one not in leads]:
        notes.append(f"Signals that are not in volts are left out: {', '.join(others)}.")
    if unknown := [lead.label for lead in leads if not lead.physical_dimension]:
        notes.append(f"Leads without a unit are taken as millivolts: {', '.join(unknown)}.")
    if slower := [lead.label for lead in leads if lead.sampling_frequency < fs]:
        notes.append(f"Leads of a lower rate are resampled to {fs:g} Hz: {', '.join(slower)}.")
    return notes
