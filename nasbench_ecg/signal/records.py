"""Read, summarize and verify WFDB records.

A header states the length and the 16-bit checksum of each signal, so truncated and altered signal
files are detected. Annotation files have no checksum: only their end mark and the positions of the
annotations are checked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import RecordError
from nasbench_ecg.signal.aami import CLASSES, SYMBOLS

_MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "nV": 1e-6}

_REPLACE = "Replace it with the published file; 'nasbench-ecg data verify' lists all damage."


@dataclass(frozen=True, eq=False)
class Record:
    """One ECG record with its annotations.

    Attributes:
        name: Name of the record.
        fs: Sampling rate in hertz.
        leads: Names of the leads, in the order of ``signals``.
        signals: float64 [n_leads, n_samples], millivolts.
        symbols: Annotation symbols, [n_annotations], in the order of the file.
        samples: int64 [n_annotations], sample index of each annotation. Some published records
            have annotations at or behind their end.
        comments: Comment lines of the header, without ``#``.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signals: NDArray[np.float64]
    symbols: NDArray[np.str_]
    samples: NDArray[np.int64]
    comments: tuple[str, ...]


def read_record(
    folder: Path, name: str, leads: Sequence[str] | None = None, extension: str = "atr"
) -> Record:
    """Return a record after checking that its files are complete and undamaged.

    Invalid samples (gaps in a lead) are interpolated linearly.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        leads: The leads to read, in this order. Each is a lead name, ``#0`` (the position in the
            file) or ``*`` (the first lead that no other entry selects). None: all leads of the
            file.
        extension: Extension of the annotation file.

    Raises:
        RecordError: A file is missing, unreadable or truncated, or its checksum differs; the
            record has no such lead; an annotation is before the start of the record.
    """
    folder = Path(folder)
    header = _read_header(folder, name)
    _raise_first(_length_problems(header, folder))
    digital = _read_digital(header, folder)
    _raise_first(_checksum_problems(header, digital.e_d_signal, folder))
    chosen = _choose_channels(header, leads, folder)
    symbols, samples = _read_annotations(folder, name, extension)
    _raise_first(_position_problems(samples, folder / f"{name}.{extension}"))
    return Record(
        name=name,
        fs=float(header.fs),
        leads=tuple(header.sig_name[channel] for channel in chosen),
        signals=_millivolts(digital, chosen, folder),
        symbols=symbols,
        samples=samples,
        comments=tuple(comment.strip() for comment in header.comments),
    )


@dataclass(frozen=True)
class RecordSummary:
    """The contents of one record.

    Attributes:
        name: Name of the record.
        leads: Names of the leads, in the order of the file.
        fs: Sampling rate in hertz.
        seconds: Duration.
        beats: Number of annotated beats of each AAMI class; None without an annotation file.
    """

    name: str
    leads: tuple[str, ...]
    fs: float
    seconds: float
    beats: Mapping[str, int] | None


def summarize_record(folder: Path, name: str, extension: str = "atr") -> RecordSummary:
    """Return the contents of a record by its header and annotations; signals are not read.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        extension: Extension of the annotation file.

    Raises:
        RecordError: The header is missing, or a file cannot be read.
    """
    folder = Path(folder)
    header = _read_header(folder, name)
    beats = None
    if (folder / f"{name}.{extension}").is_file():
        symbols, _ = _read_annotations(folder, name, extension)
        counts = Counter(SYMBOLS.get(symbol, "") for symbol in symbols.tolist())
        beats = {label: counts[label] for label in CLASSES}
    fs = float(header.fs)
    return RecordSummary(name, tuple(header.sig_name), fs, header.sig_len / fs, beats)


def verify_record(
    folder: Path, name: str, extensions: Sequence[str] = ("hea", "dat", "atr")
) -> list[str]:
    """Return every problem of a record's files, one line each; empty if there is none.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        extensions: Extensions of the required files; those other than ``hea`` and ``dat`` are read
            as annotations.
    """
    return [str(problem) for problem in _problems(Path(folder), name, extensions)]


def _problems(folder: Path, name: str, extensions: Sequence[str]) -> Iterator[RecordError]:
    try:
        header = _read_header(folder, name)
        truncated = list(_length_problems(header, folder))
        yield from truncated
        if not truncated:
            signals = _read_digital(header, folder).e_d_signal
            yield from _checksum_problems(header, signals, folder)
    except RecordError as problem:
        yield problem
    for extension in extensions:
        if extension in ("hea", "dat"):
            continue
        try:
            _, samples = _read_annotations(folder, name, extension)
        except RecordError as problem:
            yield problem
        else:
            yield from _position_problems(samples, folder / f"{name}.{extension}")


def _raise_first(problems: Iterator[RecordError]) -> None:
    for problem in problems:
        raise problem


def _read_header(folder: Path, name: str) -> Any:
    import wfdb

    path = folder / f"{name}.hea"
    if not path.is_file():
        hint = "" if any(folder.glob("*.hea")) else " The folder contains no records."
        raise RecordError(
            f"Record {name} has no header file.{hint}",
            where=str(path),
            fix="Check the name of the record, or fetch its database again.",
        )
    try:
        header = wfdb.rdheader(str(folder / name))
    except Exception as error:  # wfdb raises many types for damaged files
        raise RecordError(
            f"The header of record {name} cannot be read: {error}.", where=str(path), fix=_REPLACE
        ) from error
    if not header.n_sig or not isinstance(header, wfdb.Record):
        raise RecordError(
            f"Record {name} has no signals of its own: it is empty or multi-segment.",
            where=str(path),
            fix="Leave the record out.",
        )
    described = len(header.sig_name or ())
    if described != header.n_sig:
        raise RecordError(
            f"The header of record {name} states {header.n_sig} leads but describes {described}.",
            where=str(path),
            fix=_REPLACE,
        )
    if max(header.samps_per_frame) > 1:
        raise RecordError(
            f"The leads of record {name} have several sampling rates, which is not supported.",
            where=str(path),
            fix="Leave the record out.",
        )
    return header


def _read_digital(header: Any, folder: Path) -> Any:
    """Return the wfdb record with digital samples, one array per lead in ``e_d_signal``."""
    import wfdb

    name = str(folder / header.record_name)
    try:
        return wfdb.rdrecord(name, physical=False, smooth_frames=False)
    except Exception as error:
        raise RecordError(
            f"The signals of record {header.record_name} cannot be read: {error}.",
            where=str(folder / header.file_name[0]),
            fix=_REPLACE,
        ) from error


def _choose_channels(header: Any, leads: Sequence[str] | None, folder: Path) -> list[int]:
    """Return the channel of each of ``leads``, as in :func:`read_record`."""
    names = list(header.sig_name)
    if leads is None:
        return list(range(len(names)))
    by_name = {name: index for index, name in reversed(list(enumerate(names)))}
    by_place = {f"#{index}": index for index in range(len(names))}
    known = {**by_place, **by_name}
    taken = {known[lead] for lead in leads if lead in known}
    chosen = []
    for lead in leads:
        index = known.get(lead)
        if lead == "*":
            index = next((i for i in range(len(names)) if i not in taken), None)
        if index is None:
            raise RecordError(
                f"Record {header.record_name} has no lead {lead!r}; it has {', '.join(names)}.",
                where=str(folder / f"{header.record_name}.hea"),
                fix="Choose one of these leads, or leave the record out.",
            )
        taken.add(index)
        chosen.append(index)
    return chosen


def _read_annotations(
    folder: Path, name: str, extension: str
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    import wfdb

    path = folder / f"{name}.{extension}"
    if not path.is_file():
        raise RecordError(
            f"Record {name} has no annotation file {path.name}.", where=str(path), fix=_REPLACE
        )
    try:
        annotation = wfdb.rdann(str(folder / name), extension)
    except Exception as error:
        raise RecordError(
            f"The annotations of record {name} cannot be read: {error}.",
            where=str(path),
            fix=_REPLACE,
        ) from error
    _raise_first(_end_mark_problems(path))
    return np.asarray(annotation.symbol, dtype=np.str_), annotation.sample.astype(np.int64)


def _millivolts(digital: Any, chosen: list[int], folder: Path) -> NDArray[np.float64]:
    """Return the chosen channels in millivolts, with gaps interpolated."""
    physical = digital.dac(expanded=True)
    signals = np.stack([physical[channel] for channel in chosen])
    for lead, channel in zip(signals, chosen, strict=True):
        where = str(folder / f"{digital.record_name}.hea")
        name, unit = digital.sig_name[channel], digital.units[channel]
        if unit not in _MILLIVOLTS:
            raise RecordError(
                f"Lead {name} of record {digital.record_name} is in {unit!r}, not in volts.",
                where=where,
                fix="Choose another lead, or leave the record out.",
            )
        lead *= _MILLIVOLTS[unit]
        invalid = np.isnan(lead)
        if invalid.all():
            raise RecordError(
                f"Lead {name} of record {digital.record_name} has no valid sample.",
                where=where,
                fix="Choose another lead, or leave the record out.",
            )
        if invalid.any():
            valid = np.flatnonzero(~invalid)
            lead[invalid] = np.interp(np.flatnonzero(invalid), valid, lead[valid])
    return signals


_BITS = {
    "8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12,
    "310": 32 / 3, "311": 32 / 3,
}  # fmt: skip


def _length_problems(header: Any, folder: Path) -> Iterator[RecordError]:
    """Yield a problem for each signal file that is missing or shorter than the header states."""
    for file_name in dict.fromkeys(header.file_name):
        channels = [i for i, own in enumerate(header.file_name) if own == file_name]
        path = folder / file_name
        if not path.is_file():
            yield RecordError(
                f"Record {header.record_name} has no signal file {file_name}.",
                where=str(path),
                fix=_REPLACE,
            )
            continue
        formats = sorted({header.fmt[channel] for channel in channels})
        if len(formats) > 1:
            yield RecordError(
                f"The header of record {header.record_name} states several formats for "
                f"{file_name}: {', '.join(formats)}.",
                where=str(folder / f"{header.record_name}.hea"),
                fix=_REPLACE,
            )
            continue
        bits = _BITS.get(formats[0])
        if bits is None or not header.sig_len:
            continue
        offset = header.byte_offset[channels[0]] or 0
        expected = offset + math.ceil(header.sig_len * len(channels) * bits / 8)
        found = path.stat().st_size
        if found < expected:
            samples = int((found - offset) * 8 / bits / len(channels))
            yield RecordError(
                f"Record {header.record_name} is truncated: {file_name} has {found:,} of "
                f"{expected:,} bytes, {max(samples, 0):,} of {header.sig_len:,} samples per lead.",
                where=str(path),
                fix=_REPLACE,
            )


def _checksum_problems(
    header: Any, signals: Sequence[NDArray[np.int64]], folder: Path
) -> Iterator[RecordError]:
    """Yield a problem for each lead, [n_samples], whose checksum differs from the header."""
    stated = [None if value is None else value % 65536 for value in header.checksum]
    if not any(stated):
        return  # some headers, for example those of INCART, state 0 in place of every checksum
    computed = [int(lead.sum()) % 65536 for lead in signals]
    for channel, (expected, found) in enumerate(zip(stated, computed, strict=True)):
        if expected is not None and expected != found:
            yield RecordError(
                f"Record {header.record_name} is damaged: lead {header.sig_name[channel]} has "
                f"checksum {found}, its header states {expected}.",
                where=str(folder / header.file_name[channel]),
                fix=_REPLACE,
            )


def _end_mark_problems(path: Path) -> Iterator[RecordError]:
    """Yield a problem if an annotation file does not end with two zero bytes."""
    if path.read_bytes()[-2:] != b"\0\0":
        yield RecordError(
            f"The annotations in {path.name} are truncated: the end mark is missing.",
            where=str(path),
            fix=_REPLACE,
        )


def _position_problems(samples: NDArray[np.int64], path: Path) -> Iterator[RecordError]:
    """Yield a problem if any of the annotated ``samples`` is before the start of the record.

    Annotations at or behind the end are no problem: published records have them.
    """
    outside = np.flatnonzero(samples < 0)
    if len(outside):
        first = int(outside[0])
        yield RecordError(
            f"{len(outside)} annotations are before the start of the record; the first is "
            f"annotation {first} at sample {samples[first]:,}.",
            where=str(path),
            fix=_REPLACE,
        )
