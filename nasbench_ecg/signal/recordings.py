"""Long recordings without annotations, read in parts: WFDB, CSV and EDF files.

A recording of a day does not have to fit in memory. :func:`open_recording` checks a file, and
:meth:`Recording.read` returns a part of it in millivolts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.edf import read_edf
from nasbench_ecg.signal.headers import (
    INVALID,
    Header,
    length_problems,
    read_header,
    signal_files,
    unit_factor,
)
from nasbench_ecg.signal.records import read_samples
from nasbench_ecg.signal.stored_recording import StoredRecording
from nasbench_ecg.signal.tables import read_csv

Floats = NDArray[np.float64]

_READ_WHOLE = ("8", "61")  # differences, which have no start within; another order of bytes
_ANNOTATIONS = ("atr", "qrs")  # usual extensions of annotation files
_BLOCK = 1_000_000  # samples that are summed at a time for a checksum


class Recording(Protocol):
    """A recording that is read in parts."""

    @property
    def name(self) -> str:
        """Name of the record."""

    @property
    def fs(self) -> float:
        """Sampling rate in hertz."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads."""

    @property
    def n_samples(self) -> int:
        """Length in samples."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the recording, although it can be read."""

    def read(self, channels: Sequence[int], first: int, last: int) -> Floats:
        """Return samples ``first`` to ``last`` (exclusive) of some leads.

        Args:
            channels: Positions of the leads.
            first: First sample.
            last: The sample after the last one.

        Returns:
            float64 [n_channels, last − first], millivolts; NaN where a lead has no signal.
        """


class WfdbRecording:
    """A WFDB record whose signal files are read in parts; attributes as in :class:`Recording`.

    Args:
        header: The header of the record.

    Raises:
        RecordError: A signal file is missing or truncated, or its checksum differs.
    """

    def __init__(self, header: Header) -> None:
        for problem in length_problems(header):
            raise problem
        self._header = header
        self.name: str = header.name
        self.fs: float = header.fs
        self.leads: tuple[str, ...] = header.leads
        self.n_samples: int = header.n_samples
        self.notes: tuple[str, ...] = header.notes
        self._check_sums()

    def read(self, channels: Sequence[int], first: int, last: int) -> Floats:
        """Return a part of some leads, as in :meth:`Recording.read`."""
        digital = self._digital(channels, first, last)
        signals = np.empty(digital.shape)
        for lead, samples, channel in zip(signals, digital, channels, strict=True):
            signal = self._header.signals[channel]
            lead[:] = (samples - signal.baseline) / signal.gain * unit_factor(self._header, channel)
            lead[samples == INVALID.get(signal.fmt)] = np.nan
        return signals

    def _digital(self, channels: Sequence[int], first: int, last: int) -> NDArray[np.int64]:
        import wfdb

        header = self._header
        try:
            record = wfdb.rdrecord(
                str(header.path.with_suffix("")),
                sampfrom=first,
                sampto=last,
                channels=list(channels),
                physical=False,
            )
        except Exception as error:
            raise RecordError(
                f"The signals of record {header.name} cannot be read: {error}.",
                where=str(header.folder / header.signals[0].file),
                fix="Check the file, or convert it to CSV.",
            ) from error
        found: NDArray[np.int64] = record.d_signal.T
        return found

    def _check_sums(self) -> None:
        stated = [signal.checksum for signal in self._header.signals]
        if not any(stated):
            return  # some headers state 0 in place of every checksum
        channels = range(len(stated))
        sums = np.zeros(len(stated), dtype=np.int64)
        for first in range(0, self.n_samples, _BLOCK):
            last = min(first + _BLOCK, self.n_samples)
            sums += self._digital(channels, first, last).sum(axis=1)
        for signal, total in zip(self._header.signals, sums.tolist(), strict=True):
            if signal.checksum is not None and signal.checksum % 65536 != total % 65536:
                raise RecordError(
                    f"Record {self.name} is damaged: lead {signal.name} has checksum "
                    f"{total % 65536}, its header states {signal.checksum % 65536}.",
                    where=str(self._header.folder / signal.file),
                    fix="Restore the file from its source.",
                )


def open_recording(path: Path, fs: float | None = None) -> Recording:
    """Open a recording: a WFDB record (``100``, ``100.hea`` or ``100.dat``), a CSV or an EDF file.

    A CSV file has a heading with the names of the leads, and a row of millivolts for each sample;
    an empty field is a missing sample. A column that counts the samples or the seconds is no lead,
    but has to agree with ``fs``.

    Args:
        path: The file; the extension of a WFDB record may be left out.
        fs: Sampling rate of a CSV file in hertz, which it cannot state itself.

    Raises:
        OptionError: There is no such file, or a CSV file without ``fs``.
        RecordError: The file cannot be read, or is damaged.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_csv(path, fs)
    if suffix == ".edf":
        return read_edf(path)
    name = _record_name(path)
    if not (path.parent / f"{name}.hea").is_file():
        raise _no_recording(path)
    header = read_header(path.parent, name)
    simple = all(
        s.per_frame == 1 and not s.skew and s.fmt not in _READ_WHOLE for s in header.signals
    )
    if simple and _states_length(header):
        return WfdbRecording(header)
    signals = read_samples(header)
    return StoredRecording(name, header.fs, header.leads, signals, header.notes)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that :func:`open_recording` reads: one, or a header and its signal files."""
    if path.suffix.lower() in (".csv", ".edf"):
        return (path,)
    header = path.parent / f"{_record_name(path)}.hea"
    return (header, *(header.parent / name for name in signal_files(header)))


def check_seconds(recording: Recording, seconds: Sequence[float]) -> None:
    """Raise OptionError if one of ``seconds`` is outside of the recording."""
    length = recording.n_samples / recording.fs
    if outside := [at for at in seconds if not 0 <= at <= length]:
        raise OptionError(
            f"There is no second {outside[0]:g}.",
            where=f"recording {recording.name}, of {length:g} s",
        )


def lead_names(recording: Recording) -> tuple[str, ...]:
    """Return distinct names of the leads: ``#0`` (the position) for a name that several have."""
    names = recording.leads
    return tuple(n if names.count(n) == 1 else f"#{i}" for i, n in enumerate(names))


def match_leads(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the position in ``names`` of each wanted lead: of its name, else the next free one.

    Args:
        wanted: Names of leads; a name that stands twice matches none.
        names: Distinct names of leads, at least as many.
    """
    named = {n: names.index(n) for n in wanted if n in names and wanted.count(n) == 1}
    free = (place for place in range(len(names)) if place not in named.values())
    return [named[name] if name in named else next(free) for name in wanted]


def _states_length(header: Header) -> bool:
    """Return whether a header states the length, without which ``wfdb`` reads no parts."""
    import wfdb

    return wfdb.rdheader(str(header.path.with_suffix(""))).sig_len is not None


def _record_name(path: Path) -> str:
    return path.stem if path.suffix.lower() in (".hea", ".dat") else path.name


def _no_recording(path: Path) -> OptionError:
    """Return why a path that is no CSV or EDF file, and has no header, is no recording."""
    extension = path.suffix.removeprefix(".")
    if not path.is_file():
        return OptionError(
            "There is no such recording.",
            where=str(path),
            fix="Name a WFDB record (100 or 100.hea), a .csv or an .edf file.",
        )
    if path.suffix.lower() == ".dat":
        return OptionError(
            f"The WFDB record has no header file {path.stem}.hea.",
            where=str(path),
            fix="Put the header beside the signals: it states leads, units and sampling rate.",
        )
    if path.with_suffix(".hea").is_file():
        return OptionError(
            f"{path.name} is a file beside the record {path.stem}, and no recording.",
            where=str(path),
            fix=f"Name the record, {path.stem}; if this is an annotation file, --peaks {extension} "
            "takes the R peaks from it.",
        )
    if extension in _ANNOTATIONS:
        return OptionError(
            "An annotation file has no signals.",
            where=str(path),
            fix="Put header and signals of its record beside it, and name the record.",
        )
    return OptionError(
        f"A recording cannot be read from {path.suffix or 'a file without extension'!r}.",
        where=str(path),
        fix="Convert it to a CSV file: a heading with the names of the leads, then a row of "
        "millivolts for each sample.",
    )
