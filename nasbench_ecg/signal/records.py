"""Read, summarize and verify WFDB records.

A header states the length and the 16-bit checksum of each signal, so truncated and altered signal
files are detected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import RecordError, raise_first
from nasbench_ecg.signal.aami import CLASSES, SymbolMap, symbol_map
from nasbench_ecg.signal.annotations import annotation_file, read_annotation_file
from nasbench_ecg.signal.delineation import flat_mask
from nasbench_ecg.signal.filtering import bridge
from nasbench_ecg.signal.headers import (
    INVALID,
    Header,
    length_problems,
    read_header,
    restore,
    unit_factor,
)

_FLAT_SECONDS = 1.0  # the longest constant stretch in mitdb, qtdb and svdb lasts 0.78 s

_BIG_ENDIAN = "61"

Digital = list[NDArray[np.int64]]


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
        missing: bool [n_leads, n_samples], True where a lead has no signal: invalid samples, and
            constant stretches of one second or more; None if no sample is missing.
        notes: What a user should know about the record, although it can be read.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signals: NDArray[np.float64]
    symbols: NDArray[np.str_]
    samples: NDArray[np.int64]
    comments: tuple[str, ...]
    missing: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


def read_record(
    folder: Path, name: str, leads: Sequence[str] | None = None, extension: str = "atr"
) -> Record:
    """Return a record after checking that its files are complete and undamaged.

    Invalid samples (gaps in a lead) are interpolated linearly. Annotations with a time resolution
    of their own are converted to the sampling rate of the leads.

    Args:
        folder: Folder of the database.
        name: Name of the record; with its subfolder, if it is in one (``group/name``). It is the
            name of the header file, whatever name the header states.
        leads: The leads to read, in this order. Each is a lead name, ``#0`` (the position in the
            file) or ``*`` (the first lead that no other entry selects). None: all leads of the
            file.
        extension: Extension of the annotation file.

    Raises:
        RecordError: A file is missing, unreadable or truncated, or its checksum differs; the
            record has no such lead, or two of ``leads`` are the same one; the annotations are not
            in order of time.
    """
    header = read_header(folder, name)
    raise_first(length_problems(header))
    digital = _read_digital(header)
    raise_first(_checksum_problems(header, digital))
    chosen = _choose_channels(header, leads)
    annotations = read_annotation_file(header.path, name, extension, header)
    signals, missing = _millivolts(header, digital, chosen)
    return Record(
        name=name,
        fs=header.fs,
        leads=tuple(header.leads[channel] for channel in chosen),
        signals=signals,
        symbols=annotations.symbols,
        samples=annotations.samples,
        comments=header.comments,
        missing=missing if missing.any() else None,
        notes=header.notes,
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
        symbols: Number of annotations with each symbol.
        notes: What a user should know about the record, although it can be read.
    """

    name: str
    leads: tuple[str, ...]
    fs: float
    seconds: float
    beats: Mapping[str, int] | None
    symbols: Mapping[str, int]
    notes: tuple[str, ...]


def summarize_record(
    folder: Path, name: str, extension: str = "atr", symbols: SymbolMap = "aami"
) -> RecordSummary:
    """Return the contents of a record by its header and annotations; signals are not read.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        extension: Extension of the annotation file.
        symbols: Map from annotation symbols to AAMI classes.

    Raises:
        RecordError: The header is missing, or a file cannot be read.
    """
    header = read_header(folder, name)
    beats, notes = None, list(header.notes)
    found: Counter[str] = Counter()
    if annotation_file(header.path, extension).is_file():
        annotations = read_annotation_file(header.path, name, extension, header)
        found.update(annotations.symbols.tolist())
        table = symbol_map(symbols)
        beats = {
            label: sum(n for s, n in found.items() if table.get(s) == label) for label in CLASSES
        }
        if n_behind := int((annotations.samples >= header.n_samples).sum()):
            marks = "1 annotation is" if n_behind == 1 else f"{n_behind:,} annotations are"
            notes.append(f"Record {name}: {marks} at or behind the end.")
    seconds = header.n_samples / header.fs
    return RecordSummary(name, header.leads, header.fs, seconds, beats, found, tuple(notes))


def read_samples(header: Header) -> NDArray[np.float64]:
    """Return all leads of a record in millivolts, float64 [n_leads, n_samples]; NaN where missing.

    Raises:
        RecordError: A signal file is missing, truncated or damaged, or a lead is not in volts.
    """
    raise_first(length_problems(header))
    digital = _read_digital(header)
    raise_first(_checksum_problems(header, digital))
    return np.stack([_lead_in_millivolts(header, i, digital[i]) for i in range(len(digital))])


def check_leads(folder: Path, name: str, leads: Sequence[str]) -> None:
    """Raise an error if the signal files are too short, or ``leads`` cannot be read in millivolts.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        leads: As in :func:`read_record`.

    Raises:
        RecordError: A signal file is missing or truncated; the record has no such lead; a lead has
            another unit than volts.
    """
    header = read_header(folder, name)
    raise_first(length_problems(header))
    for channel in _choose_channels(header, leads):
        unit_factor(header, channel)


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
    header = None
    try:
        header = read_header(folder, name)
        truncated = list(length_problems(header))
        yield from truncated
        if not truncated:
            yield from _checksum_problems(header, _read_digital(header))
    except RecordError as problem:
        yield problem
    for extension in extensions:
        if extension in ("hea", "dat"):
            continue
        try:
            read_annotation_file(folder / f"{name}.hea", name, extension, header)
        except RecordError as problem:
            yield problem


def _read_digital(header: Header) -> Digital:
    """Return the digital samples of each lead, as in the file: the skew is not applied."""
    import wfdb

    formats = {signal.fmt for signal in header.signals}
    if formats == {_BIG_ENDIAN}:
        return _read_big_endian(header)
    if _BIG_ENDIAN in formats:
        raise RecordError(
            f"Record {header.name} has signals of format 61 and of others, which is not supported.",
            where=str(header.path),
            fix="Leave the record out.",
        )
    try:
        record = wfdb.rdrecord(
            str(header.path.with_suffix("")), physical=False, smooth_frames=False, ignore_skew=True
        )
    except Exception as error:
        raise RecordError(
            f"The signals of record {header.name} cannot be read: {error}.",
            where=str(header.folder / header.signals[0].file),
            fix=restore(header.folder),
        ) from error
    digital: Digital = record.e_d_signal
    return digital


def _read_big_endian(header: Header) -> Digital:
    """Return the samples of format 61, which ``wfdb`` 4 documents but fails to convert."""
    digital: dict[int, NDArray[np.int64]] = {}
    for file in {signal.file for signal in header.signals}:
        channels = [i for i, signal in enumerate(header.signals) if signal.file == file]
        widths = [header.signals[i].per_frame for i in channels]
        offset = header.signals[channels[0]].offset
        count = header.n_frames * sum(widths)
        content = np.fromfile(header.folder / file, ">i2", count, offset=offset)
        frames = content.reshape(header.n_frames, sum(widths)).astype(np.int64)
        parts = np.split(frames, np.cumsum(widths)[:-1], axis=1)
        digital.update(zip(channels, (part.ravel() for part in parts), strict=True))
    return [digital[i] for i in range(len(header.signals))]


def _choose_channels(header: Header, leads: Sequence[str] | None) -> list[int]:
    """Return the channel of each of ``leads``, as in :func:`read_record`."""
    names = header.leads
    if leads is None:
        return list(range(len(names)))
    known = {name: index for index, name in enumerate(names) if names.count(name) == 1}
    known.update({f"#{index}": index for index in range(len(names))})
    taken = {known[lead] for lead in leads if lead in known}
    chosen: list[int] = []
    for lead in leads:
        index = known.get(lead)
        if lead == "*":
            index = next((i for i in range(len(names)) if i not in taken), None)
        if index is None:
            several = names.count(lead) > 1
            raise RecordError(
                f"Record {header.name} has {'several leads' if several else 'no lead'} {lead!r}; "
                f"it has {', '.join(names)}.",
                where=str(header.path),
                fix="Choose leads by position: '#0' is the first lead of the file."
                if several
                else "Name others with --leads or the option leads ('#0' is the first lead of a "
                "file), or leave the record out (of a dataset: option exclude).",
            )
        if index in chosen:
            raise RecordError(
                f"Lead {names[index]} of record {header.name} is chosen twice: as "
                f"{leads[chosen.index(index)]!r} and as {lead!r}.",
                where=str(header.path),
                fix="Leave one of them out; '*' is the first lead that no other entry selects.",
            )
        taken.add(index)
        chosen.append(index)
    return chosen


def _millivolts(
    header: Header, digital: Digital, chosen: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the chosen channels in millivolts, with gaps interpolated, and what is missing."""
    signals = np.empty((len(chosen), header.n_samples))
    for lead, channel in zip(signals, chosen, strict=True):
        lead[:] = _lead_in_millivolts(header, channel, digital[channel])
        if np.isnan(lead).all():
            raise RecordError(
                f"Lead {header.leads[channel]} of record {header.name} has no valid sample.",
                where=str(header.path),
                fix="Choose another lead, or leave the record out.",
            )
    missing = np.isnan(signals)
    missing |= flat_mask(signals, header.fs, _FLAT_SECONDS)
    return bridge(signals), missing


def _lead_in_millivolts(
    header: Header, channel: int, samples: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return a lead in millivolts with its skew applied; NaN where it has no valid sample."""
    signal = header.signals[channel]
    late = min(signal.skew * signal.per_frame, len(samples))
    lead = np.full(header.n_samples, np.nan)
    known, digital = lead[: len(samples) - late], samples[late:]
    known[:] = digital
    known -= signal.baseline
    known /= signal.gain
    known[digital == INVALID.get(signal.fmt)] = np.nan
    factor = unit_factor(header, channel)
    if factor != 1:
        lead *= factor
    return lead


def _checksum_problems(header: Header, digital: Digital) -> Iterator[RecordError]:
    """Yield a problem for each lead whose checksum differs from the header."""
    stated = [None if s.checksum is None else s.checksum % 65536 for s in header.signals]
    if not any(stated):
        return  # some headers state 0 in place of every checksum
    for signal, expected, samples in zip(header.signals, stated, digital, strict=True):
        found = int(samples.sum()) % 65536
        if expected is not None and expected != found:
            yield RecordError(
                f"Record {header.name} is damaged: lead {signal.name} has "
                f"checksum {found}, its header states {expected}.",
                where=str(header.folder / signal.file),
                fix=restore(header.folder),
            )
