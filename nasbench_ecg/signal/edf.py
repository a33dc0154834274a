"""Read the ECG leads of EDF and EDF+ files.

Leads in volts come first, then signals without a unit; others are left out. Leads of another rate
are resampled to the highest one of those in volts. (``wfdb`` reads the annotations of EDF+ as a
lead, and averages all signals down to the lowest sampling rate of the file; so ``edfio`` reads the
files.)

References:
    Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings",
    Electroencephalogr Clin Neurophysiol 82:391-393; Kemp & Olivan 2003, "European data format
    'plus' (EDF+)", Clin Neurophysiol 114:1755-1761; its standard texts for labels:
    https://www.edfplus.info/specs/edftexts.html
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.resampling import resample
from nasbench_ecg.signal.stored_recording import StoredRecording
from nasbench_ecg.signal.units import MILLIVOLTS, millivolts_in, note_of_unit

if TYPE_CHECKING:
    from edfio import Edf, EdfSignal

_STILL_RECORDED = "header indicates -1"

_ECG = re.compile(r"E[CK]G\s+(?=[a-z])", re.IGNORECASE)
"""The type before the name of a lead, as in ``ECG V1``; not in ``ECG 1``, which names none."""

_OTHER = re.compile(
    r"(EEG|EOG|ERG|EMG|MEG|MCG|EP|Temp(erature)?|Resp(iration)?|S[ap]O2|Light|Sound|Event|Status|"
    r"Marker|Trigger|Acc(el(erometer)?)?|Gyro(scope)?|Batt(ery)?|HRV?|PPG|Pleth[a-z]*)(?![a-z])",
    re.IGNORECASE,
)
"""Types of signals other than ECG at the start of a label."""


def read_edf(path: Path) -> StoredRecording:
    """Return the ECG leads of an EDF file, named without the type in ``ECG V1``.

    Raises:
        OptionError: There is no such file.
        RecordError: It is no EDF file, is truncated or interrupted, or has no lead.
    """
    if not path.is_file():
        raise OptionError("There is no such file.", where=str(path))
    try:
        return _recording(path)
    except (OSError, ValueError) as error:
        raise RecordError(
            f"The EDF file cannot be read: {error}.",
            where=str(path),
            fix="Export the leads as CSV, in millivolts.",
        ) from error


def _recording(path: Path) -> StoredRecording:
    found = _complete(path).signals
    ecg = [one for one in found if not _OTHER.match(one.label)]
    in_volts = [one for one in ecg if millivolts_in(one.physical_dimension) is not None]
    leads = [*in_volts, *(one for one in ecg if not one.physical_dimension)]
    if not leads:
        raise ValueError(
            f"it has no ECG lead in a known unit of voltage ({', '.join(MILLIVOLTS)}): its signals "
            f"are {_listed(found)}"
        )
    fs = max(float(lead.sampling_frequency) for lead in in_volts or leads)
    n_samples = max(len(lead.data) for lead in leads if lead.sampling_frequency == fs)
    signals = np.empty((len(leads), n_samples))
    for row, lead in zip(signals, leads, strict=True):
        own = np.asarray(lead.data, dtype=np.float64)[None]
        row[:] = resample(own, float(lead.sampling_frequency), fs)[0][0, :n_samples]
        row *= millivolts_in(lead.physical_dimension) or 1.0
    names = _names([lead.label for lead in leads])
    notes = [*_notes(found, leads, fs), *filter(None, map(note_of_unit, names, signals))]
    return StoredRecording(path.stem, fs, names, signals, tuple(notes))


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels without the type that EDF+ puts before a lead, if they stay distinct."""
    names = tuple(_ECG.sub("", label, count=1) for label in labels)
    return names if len(set(names)) == len(set(labels)) else tuple(labels)


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


def _notes(signals: Sequence[EdfSignal], leads: Sequence[EdfSignal], fs: float) -> Iterator[str]:
    if others := [one for one in signals if one not in leads]:
        yield (
            "Signals in no known unit of voltage, or of another type than ECG, are left out: "
            f"{_listed(others)}."
        )
    if unknown := [lead.label for lead in leads if not lead.physical_dimension]:
        last = ", and come after the others" if len(unknown) < len(leads) else ""
        yield f"Leads without a unit are taken as millivolts{last}: {', '.join(unknown)}."
    if resampled := [lead.label for lead in leads if lead.sampling_frequency != fs]:
        yield f"Leads of another rate are resampled to {fs:g} Hz: {', '.join(resampled)}."


def _listed(signals: Sequence[EdfSignal]) -> str:
    return ", ".join(f"{one.label} ({one.physical_dimension or 'no unit'})" for one in signals)
