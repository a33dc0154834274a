"""Recordings from CSV files and tables: a column of millivolts for each lead."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.headers import RATES
from nasbench_ecg.signal.stored_recording import StoredRecording
from nasbench_ecg.signal.units import note_of_unit

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_STRAIGHT = 0.01  # share of its rise by which a column of times may leave a straight line
_TAIL = 65_536  # bytes at the end of a file in which its last line is looked for
_RISING = 0.1  # share of the rows at which a column of times rises at least, also a rounded one
_TIMES = (1, 1e3, 1e6, 1e9)  # seconds, milliseconds, microseconds, nanoseconds
_GAP = 3.0  # longest step of a column of times in its shortest ones


def read_csv(path: Path, fs: float | None) -> StoredRecording:
    """Return the recording of a CSV file; see ``open_recording``.

    Raises:
        OptionError: There is no such file, or no sampling rate.
        RecordError: It is no table of millivolts, or a column of times contradicts the rate.
    """
    import pandas as pd

    if not path.is_file():
        raise OptionError("There is no such file.", where=str(path))
    _check_rate(fs, "A CSV file", where=str(path), fix="State it in hertz with --fs.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more fields than leads
            table = pd.read_csv(path, index_col=False, skip_blank_lines=False)
            heading = pd.read_csv(path, index_col=False, header=None, nrows=1, na_filter=False)
    except (ValueError, pd.errors.ParserWarning) as error:
        if isinstance(error, pd.errors.ParserWarning):
            error = ValueError("its rows have more fields than its heading")
        raise _no_table(str(path), error) from error
    names = [str(name) for name in heading.iloc[0]]
    if len(names) == table.shape[1] and len(set(names)) < len(names):
        table.columns = pd.Index(names)  # which pandas numbers: ECG, ECG.1
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
        raise _no_table(where, _first_text(table) or error) from error
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
    notes += tuple(filter(None, map(note_of_unit, leads, signals)))
    return StoredRecording(name, rate, tuple(leads), signals, notes)


def _check_rate(fs: float | None, what: str, *, where: str, fix: str) -> float:
    """Return a sampling rate; raise OptionError if there is none, or an impossible one."""
    lowest, highest = RATES
    if fs is None:
        raise OptionError(f"{what} does not state its sampling rate.", where=where, fix=fix)
    if not lowest <= fs <= highest:
        raise OptionError(
            f"The sampling rate {fs:g} Hz is not between {lowest:g} and {highest:,.0f} Hz.",
            where=where,
            fix=fix,
        )
    return float(fs)


def _first_text(table: pd.DataFrame) -> ValueError | None:
    """Return an error that names the first value that is no number; None if all are."""
    import pandas as pd

    columns = (table.iloc[:, i] for i in range(table.shape[1]))
    for name, column in zip(table.columns, columns, strict=True):
        numbers = pd.to_numeric(column, errors="coerce")
        if (text := (numbers.isna() & column.notna()).to_numpy()).any():
            row = int(text.argmax())
            return ValueError(
                f"row {row + 1:,} of the column {str(name)!r} has {str(column.iloc[row])!r}"
            )
    return None


def _no_table(where: str, error: Exception) -> RecordError:
    return RecordError(
        f"This is no table of numbers: {str(error).splitlines()[0]}.",
        where=where,
        fix="Write a heading with the names of the leads, and a row of millivolts for each sample: "
        "commas between the fields, points in the numbers, neither units nor dates.",
    )


def _counts_up(signal: Floats, fs: float, where: str) -> bool:
    """Return whether a signal of a second or more counts the samples or the time, and is no lead.

    Raises:
        RecordError: It counts in uneven steps, or at another sampling rate than ``fs``.
    """
    places = np.flatnonzero(np.isfinite(signal))  # a gap may be filled with rows that are empty
    known, rows = signal[places], np.diff(places)
    steps = np.diff(known)
    if len(known) < max(fs, 2) or not (steps >= 0).all() or (steps > 0).mean() < _RISING:
        return False
    beside, rise = steps[rows == 1], float(known[-1] - known[0])
    if not (beside > 0).any():
        return False
    shortest, usual = float(beside[beside > 0].min()), float(beside.mean())
    line = known[0] + rise * (places - places[0]) / (places[-1] - places[0])
    unlike = np.abs(steps - (rows - 1) * usual)
    allowed = _GAP * shortest + _STRAIGHT * (rows - 1) * usual
    if (unlike > allowed).any() or np.abs(known - line).max() > _STRAIGHT * rise:
        at = int(np.argmax(unlike - allowed))
        empty = f", after {rows[at] - 1:,} without a value" if rows[at] > 1 else ""
        raise RecordError(
            f"The samples are not evenly spaced: the column rises by {steps[at]:g} in row "
            f"{places[at + 1] + 1:,}{empty}, and by {np.median(beside):g} in most rows.",
            where=where,
            fix="Give each part without a gap a file of its own, or fill the gap with as many "
            "empty rows as samples are missing. Remove the column if it is no time.",
        )
    step, tolerance = rise / float(places[-1] - places[0]), _STRAIGHT + shortest / rise
    if not any(abs(step / unit - 1) <= tolerance for unit in (1, *(per / fs for per in _TIMES))):
        raise RecordError(
            f"The column rises by {step:g} in each row, but at {fs:g} Hz a sample lasts "
            f"{1 / fs:g} s. If it counts seconds, the rate is {1 / step:g} Hz; if milliseconds, "
            f"{1e3 / step:g} Hz.",
            where=where,
            fix="Give the sampling rate of the file, or remove the column.",
        )
    return True
