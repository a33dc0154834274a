"""What the files of a WFDB record must agree on: lengths, checksums and places of annotations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import RecordError

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
