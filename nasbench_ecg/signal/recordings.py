"""Long recordings without annotations, read in parts: WFDB, CSV and EDF files.

A recording of a day does not have to fit in memory. :func:`open_recording` checks a file, and
:meth:`Recording.read` returns a part of it in millivolts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.edf import read_edf
from nasbench_ecg.signal.headers import (
    INVALID,
    Header,
    length_problems,
    read_header,
    unit_factor,
)
from nasbench_ecg.signal.records import read_samples

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_READ_WHOLE = ("8", "61")  # differences, which have no start within; another order of bytes
_BLOCK = 1_000_000  # samples that are summed at a time for a checksum
_STRAIGHT = 0.01  # share of its rise by which a column of times may leave a straight line
_LEAST_MV, _MOST_MV = 0.02, 50.0  # an ECG with its wander is within, one in V or µV is not
_TAIL = 65_536  # bytes at the end of a file in which its last line is looked for
_RISING = 0.1  # share of the rows at which a column of times rises at least, also a rounded one
_GAP = 3.0  # longest step of a column of times in its shortest ones


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


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """A recording in memory; attributes as in :class:`Recording`, and the signals in millivolts."""

    name: str
    fs: float
    leads: tuple[str, ...]
    signals: Floats
    notes: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return int(self.signals.shape[1])

    def read(self, channels: Sequence[int], first: int, last: int) -> Floats:
        """Return a part of some leads, as in :meth:`Recording.read`."""
        return self.signals[list(channels), first:last]


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
        return _read_csv(path, fs)
    if suffix == ".edf":
        return _read_edf(path)
    name = path.stem if suffix in (".hea", ".dat") else path.name
    if not (path.parent / f"{name}.hea").is_file():
        if path.is_file():
            raise OptionError(
                f"A recording cannot be read from {path.suffix or 'a file without extension'!r}.",
                where=str(path),
                fix="Convert it to a CSV file: a heading with the names of the leads, then a row "
                "of millivolts for each sample.",
            )
        raise OptionError(
            "There is no such recording.",
            where=str(path),
            fix="Name a WFDB record (100 or 100.hea), a .csv or an .edf file.",
        )
    header = read_header(path.parent, name)
    simple = all(
        s.per_frame == 1 and not s.skew and s.fmt not in _READ_WHOLE for s in header.signals
    )
    if simple and _states_length(header):
        return WfdbRecording(header)
    signals = read_samples(header)
    return StoredRecording(name, header.fs, header.leads, signals, header.notes)


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


def _read_csv(path: Path, fs: float | None) -> StoredRecording:
    import pandas as pd

    if not path.is_file():
        raise OptionError("There is no such file.", where=str(path))
    _check_rate(fs, "A CSV file", where=str(path), fix="State it in hertz with --fs.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more fields than leads
            table = pd.read_csv(path, index_col=False, skip_blank_lines=False)
    except (ValueError, pd.errors.ParserWarning) as error:
        if isinstance(error, pd.errors.ParserWarning):
            error = ValueError("its rows have more fields than its heading")
        raise _no_table(str(path), error) from error
    if n_blank := _blank_lines_at_end(path):
        table = table.iloc[:-n_blank]
    return recording_of_table(table, fs, name=path.stem, where=str(path))


def _blank_lines_at_end(path: Path) -> int:
    """Return the number of empty lines that end a text file; elsewhere they are missing samples."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL, 0))
        tail = file.read()
    ends = tail[len(tail.rstrip()) :].count(b"\n")
    return max(ends - 1, 0)


def recording_of_table(
    table: pd.DataFrame, fs: float | None, *, name: str = "table", where: str = "the table"
) -> StoredRecording:
    """Return the recording of a table with a column of millivolts for each lead.

    Args:
        table: The table; a missing value is a missing sample. A column that counts the samples or
            the seconds is left out.
        fs: Sampling rate in hertz.
        name: Name of the recording.
        where: Where the table is, for errors.

    Raises:
        OptionError: There is no sampling rate.
        RecordError: The table has no leads, or other values than numbers. A column of times has
            gaps, or is of another sampling rate.
    """
    import pandas as pd

    rate = _check_rate(fs, "A table", where=where, fix="State it in hertz: fs=360.")
    try:
        values = table.astype(np.float64)
        if pd.to_numeric(table.columns.to_series(), errors="coerce").notna().any():
            raise ValueError("its heading has a number in place of the name of a lead")
        if table.empty:
            raise ValueError("it has no samples")
    except (TypeError, ValueError) as error:
        raise _no_table(where, error) from error
    leads, signals = [str(name).strip() for name in table.columns], values.to_numpy().T.copy()
    counted = [
        _counts_up(signal, rate, f"the column {lead!r} of {where}")
        for lead, signal in zip(leads, signals, strict=True)
    ]
    if all(counted):
        raise RecordError(
            "There is no lead: the values only count the samples or the seconds.",
            where=where,
            fix="Add a column for each lead, in millivolts.",
        )
    notes = tuple(
        f"The column {name!r} counts the samples or the seconds, and is not taken as a lead."
        for name, counts in zip(leads, counted, strict=True)
        if counts
    )
    kept = [i for i, counts in enumerate(counted) if not counts]
    leads, signals = [leads[i] for i in kept], signals[kept]
    notes += tuple(filter(None, map(_note_of_unit, leads, signals)))
    return StoredRecording(name, rate, tuple(leads), signals, notes)


def _note_of_unit(lead: str, signal: Floats) -> str | None:
    """Return a note on a lead whose values are hardly millivolts; None for a usual or flat one."""
    known = signal[np.isfinite(signal)]
    low, high = np.percentile(known, [1, 99]) if len(known) else (0.0, 0.0)
    if low == high or _LEAST_MV < high - low < _MOST_MV:
        return None
    return (
        f"98% of the values of lead {lead!r} are between {low:.3g} and {high:.3g}, which are "
        "hardly millivolts: divide microvolts by 1,000, multiply volts by 1,000."
    )


def _check_rate(fs: float | None, what: str, *, where: str, fix: str) -> float:
    """Return a sampling rate; raise OptionError if there is none."""
    if fs is None or not 0 < fs < math.inf:
        raise OptionError(f"{what} does not state its sampling rate.", where=where, fix=fix)
    return float(fs)


def _no_table(where: str, error: Exception) -> RecordError:
    return RecordError(
        f"This is no table of numbers: {str(error).splitlines()[0]}.",
        where=where,
        fix="Write a heading with the names of the leads, and a row of millivolts for each sample.",
    )


def _counts_up(signal: Floats, fs: float, where: str) -> bool:
    """Return whether a signal of a second or more counts the samples or the time, and is no lead.

    Raises:
        RecordError: It counts in uneven steps, or at another sampling rate than ``fs``.
    """
    steps = np.diff(signal)
    if len(signal) < max(fs, 2) or not (steps >= 0).all() or (steps > 0).mean() < _RISING:
        return False
    shortest, rise = float(steps[steps > 0].min()), float(signal[-1] - signal[0])
    line = np.linspace(signal[0], signal[-1], len(signal))
    if steps.max() > _GAP * shortest or np.abs(signal - line).max() > _STRAIGHT * rise:
        at = int(np.argmax(steps))
        raise RecordError(
            f"The samples are not evenly spaced: the column rises by {steps[at]:g} in row "
            f"{at + 2:,}, and by {np.median(steps):g} in most rows.",
            where=where,
            fix="Give each part without a gap a file of its own, or fill the gap with rows whose "
            "fields are empty. Remove the column if it is no time.",
        )
    step, tolerance = rise / len(steps), _STRAIGHT + shortest / rise
    if not any(abs(step / known - 1) <= tolerance for known in (1, 1 / fs, 1e3 / fs, 1e6 / fs)):
        raise RecordError(
            f"The column rises by {step:g} in each row, but at {fs:g} Hz a sample lasts "
            f"{1 / fs:g} s. If it counts seconds, the rate is {1 / step:g} Hz; if milliseconds, "
            f"{1e3 / step:g} Hz.",
            where=where,
            fix="Give the sampling rate of the file, or remove the column.",
        )
    return True


def _read_edf(path: Path) -> StoredRecording:
    if not path.is_file():
        raise OptionError("There is no such file.", where=str(path))
    try:
        found = read_edf(path)
    except (OSError, ValueError) as error:
        raise RecordError(
            f"The EDF file cannot be read: {error}.",
            where=str(path),
            fix="Export the leads as CSV, in millivolts.",
        ) from error
    return StoredRecording(path.stem, found.fs, found.names, found.signals, found.notes)
