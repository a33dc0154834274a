"""Reading WFDB records, with everything checked that their files allow to check.

A header states the length and the 16-bit checksum of every signal, so a truncated or altered
signal file is found. Annotation files carry no checksum: only what they point at is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import RecordError

_MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "nV": 1e-6}


@dataclass(frozen=True, eq=False)
class Record:
    """One ECG record with its annotations.

    Attributes:
        name: Name of the record.
        fs: Sampling rate in hertz.
        leads: Names of the leads, in the order of ``signals``.
        signals: float64 [n_leads, n_samples], millivolts.
        symbols: Annotation symbols, [n_annotations], in the order of the file.
        samples: int64 [n_annotations], sample index of each annotation.
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
    """Read a record whose signals and annotations are whole.

    Invalid samples (a gap in a lead) are bridged linearly.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        leads: The leads wanted, in order, each by its name, as ``#0`` by its place in the file, or
            as ``*``, the first one that no other entry takes. None: all, in the file's order.
        extension: Ending of the annotation file.

    Raises:
        RecordError: A file is missing, unreadable, truncated or does not hold its checksum; the
            record lacks a lead; an annotation lies outside the record.
    """
    folder = Path(folder)
    header = _read_header(folder, name)
    _raise_first(length_problems(header, folder))
    digital = _read_digital(header, folder)
    _raise_first(checksum_problems(header, digital.e_d_signal, folder))
    chosen = _choose(header, leads, folder)
    symbols, samples = _read_annotations(folder, name, extension)
    n_samples = len(digital.e_d_signal[0])
    _raise_first(position_problems(samples, n_samples, folder / f"{name}.{extension}"))
    return Record(
        name=name,
        fs=float(header.fs),
        leads=tuple(header.sig_name[channel] for channel in chosen),
        signals=_millivolts(digital, chosen, folder),
        symbols=symbols,
        samples=samples,
        comments=tuple(comment.strip() for comment in header.comments),
    )


def verify_record(
    folder: Path, name: str, extensions: Sequence[str] = ("hea", "dat", "atr")
) -> list[str]:
    """Return all that is wrong with a record's files, one line each; empty if they are whole.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        extensions: Endings of the files that it must have; those other than ``hea`` and ``dat``
            are read as annotations.
    """
    folder = Path(folder)
    return [str(problem) for problem in _problems(folder, name, extensions)]


def _problems(folder: Path, name: str, extensions: Sequence[str]) -> Iterator[RecordError]:
    n_samples = None
    try:
        header = _read_header(folder, name)
        n_samples = header.sig_len
        truncated = list(length_problems(header, folder))
        yield from truncated
        if not truncated:
            signals = _read_digital(header, folder).e_d_signal
            n_samples = len(signals[0])
            yield from checksum_problems(header, signals, folder)
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
            if n_samples:
                yield from position_problems(samples, n_samples, folder / f"{name}.{extension}")


def _raise_first(problems: Iterator[RecordError]) -> None:
    for problem in problems:
        raise problem


def _read_header(folder: Path, name: str) -> Any:
    import wfdb

    path = folder / f"{name}.hea"
    if not path.is_file():
        there = "" if any(folder.glob("*.hea")) else " The folder holds no record at all."
        raise RecordError(
            f"Record {name} has no header file.{there}",
            where=str(path),
            fix="Check the name of the record, or fetch its database again.",
        )
    try:
        header = wfdb.rdheader(str(folder / name))
    except Exception as error:  # wfdb has no base class for what a damaged header makes it raise
        raise RecordError(
            f"The header of record {name} cannot be read: {error}.", where=str(path), fix=REPLACE
        ) from error
    if not header.n_sig or not isinstance(header, wfdb.Record):
        raise RecordError(
            f"Record {name} has no signals of its own: it is empty or made of segments.",
            where=str(path),
        )
    described = len(header.sig_name or ())
    if described != header.n_sig:
        raise RecordError(
            f"The header of record {name} states {header.n_sig} leads and describes {described}.",
            where=str(path),
            fix=REPLACE,
        )
    if max(header.samps_per_frame) > 1:
        raise RecordError(
            f"The leads of record {name} are sampled at several rates, which is not supported.",
            where=str(path),
        )
    return header


def _read_digital(header: Any, folder: Path) -> Any:
    """Return the record with one array of samples a lead, each in one piece, ``e_d_signal``."""
    import wfdb

    name = str(folder / header.record_name)
    try:
        return wfdb.rdrecord(name, physical=False, smooth_frames=False)
    except Exception as error:  # as for headers
        raise RecordError(
            f"The signals of record {header.record_name} cannot be read: {error}.",
            where=str(folder / header.file_name[0]),
            fix=REPLACE,
        ) from error


def _choose(header: Any, leads: Sequence[str] | None, folder: Path) -> list[int]:
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
                fix="Choose among these leads, or leave the record out.",
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
            f"Record {name} has no annotation file {path.name}.", where=str(path), fix=REPLACE
        )
    try:
        annotation = wfdb.rdann(str(folder / name), extension)
    except Exception as error:  # as for headers
        raise RecordError(
            f"The annotations of record {name} cannot be read: {error}.",
            where=str(path),
            fix=REPLACE,
        ) from error
    _raise_first(ending_problems(path))
    return np.asarray(annotation.symbol, dtype=np.str_), annotation.sample.astype(np.int64)


def _millivolts(digital: Any, chosen: list[int], folder: Path) -> NDArray[np.float64]:
    physical = digital.dac(expanded=True)
    signals = np.stack([physical[channel] for channel in chosen])
    for lead, channel in zip(signals, chosen, strict=True):
        where = str(folder / f"{digital.record_name}.hea")
        name, unit = digital.sig_name[channel], digital.units[channel]
        if unit not in _MILLIVOLTS:
            raise RecordError(
                f"Lead {name} of record {digital.record_name} is in {unit!r}, not in volts.",
                where=where,
            )
        lead *= _MILLIVOLTS[unit]
        invalid = np.isnan(lead)
        if invalid.all():
            raise RecordError(
                f"Lead {name} of record {digital.record_name} has no valid sample.", where=where
            )
        if invalid.any():
            valid = np.flatnonzero(~invalid)
            lead[invalid] = np.interp(np.flatnonzero(invalid), valid, lead[valid])
    return signals


REPLACE = "Replace the file by the published one; 'nasbench-ecg data verify' lists all damage."
"""What to do about a damaged file."""

_BITS = {
    "8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12,
    "310": 32 / 3, "311": 32 / 3,
}  # fmt: skip


def length_problems(header: Any, folder: Path) -> Iterator[RecordError]:
    """Yield a problem for each signal file that is missing or shorter than its header states."""
    for file_name in dict.fromkeys(header.file_name):
        channels = [i for i, own in enumerate(header.file_name) if own == file_name]
        path = folder / file_name
        if not path.is_file():
            yield RecordError(
                f"Record {header.record_name} lacks its signal file {file_name}.",
                where=str(path),
                fix=REPLACE,
            )
            continue
        formats = sorted({header.fmt[channel] for channel in channels})
        if len(formats) > 1:
            yield RecordError(
                f"The header of record {header.record_name} gives {file_name} several formats: "
                f"{', '.join(formats)}.",
                where=str(folder / f"{header.record_name}.hea"),
                fix=REPLACE,
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
                f"Record {header.record_name} is truncated: {file_name} holds {found:,} of "
                f"{expected:,} bytes, {max(samples, 0):,} of {header.sig_len:,} samples a lead.",
                where=str(path),
                fix=REPLACE,
            )


def checksum_problems(
    header: Any, signals: Sequence[NDArray[np.int64]], folder: Path
) -> Iterator[RecordError]:
    """Yield a problem for each lead, [n_samples], whose sum is not what the header states."""
    stated = [None if value is None else value % 65536 for value in header.checksum]
    if not any(stated):
        return  # headers written without checksums state 0 for every lead, as those of INCART do
    computed = [int(lead.sum()) % 65536 for lead in signals]
    for channel, (wanted, found) in enumerate(zip(stated, computed, strict=True)):
        if wanted is not None and wanted != found:
            yield RecordError(
                f"Record {header.record_name} is damaged: lead {header.sig_name[channel]} has "
                f"checksum {found}, its header states {wanted}.",
                where=str(folder / header.file_name[channel]),
                fix=REPLACE,
            )


def ending_problems(path: Path) -> Iterator[RecordError]:
    """Yield a problem if an annotation file lacks the two zero bytes that close it."""
    if path.read_bytes()[-2:] != b"\0\0":
        yield RecordError(
            f"The annotations in {path.name} are truncated: the mark of their end is missing.",
            where=str(path),
            fix=REPLACE,
        )


def position_problems(
    samples: NDArray[np.int64], n_samples: int, path: Path
) -> Iterator[RecordError]:
    """Yield a problem if any of the annotated ``samples`` lies outside the record."""
    outside = np.flatnonzero((samples < 0) | (samples >= n_samples))
    if len(outside):
        first = int(outside[0])
        yield RecordError(
            f"{len(outside)} annotations lie outside the record, the first of them annotation "
            f"{first} at sample {samples[first]:,}; the record has {n_samples:,} samples.",
            where=str(path),
            fix=REPLACE,
        )
