"""Read WFDB annotation files.

They have no checksum: only their end mark and the order of the annotations are checked.

References:
    The WFDB Applications Guide, annot(5): https://physionet.org/physiotools/wag/annot-5.htm
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError, raise_first
from nasbench_ecg.signal.headers import Header, restore

_SKIP, _AUX = 59, 63  # words that are followed by an interval of four bytes, or by a text


END_MARK = b"\0\0"
"""Last bytes of an annotation file."""

_OF_OTHERS = frozenset({"hea", "dat", "mat", "csv", "edf", "md", "png", "pdf"})
"""Extensions of recordings, and of summaries and strips."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """The annotations of a record, in the order of the file.

    Attributes:
        symbols: Annotation symbols, [n_annotations].
        samples: int64 [n_annotations], sample index of each.
        subtypes: int64 [n_annotations]; for noise marks the state of each signal.
    """

    symbols: NDArray[np.str_]
    samples: NDArray[np.int64]
    subtypes: NDArray[np.int64]


def read_annotations(folder: Path, header: Header, extension: str = "atr") -> Annotations:
    """Return the annotations of a record, at the sampling rate of its leads.

    Args:
        folder: Folder of the annotation file, which may be another one than that of the header.
        header: Header of the record.
        extension: Extension of the annotation file.

    Raises:
        OptionError: Annotation files do not have this extension.
        RecordError: The file is missing or unreadable, or its annotations are not in order of
            time.
    """
    path = Path(folder) / f"{header.name}.hea"
    return read_annotation_file(path, header.name, extension, header)


def check_annotation_extension(extension: str, *, where: str) -> None:
    """Raise OptionError if annotation files do not have this extension.

    Args:
        extension: The extension.
        where: What has it, for the error.
    """
    if not re.fullmatch(r"[\w-]+", extension):
        raise OptionError(
            f"{extension!r} is not an extension of annotation files.",
            where=where,
            fix="Give it without its dot, for example atr.",
        )
    if extension.lower() in _OF_OTHERS:
        raise OptionError(
            f"A file that ends in .{extension} is no annotation file.",
            where=where,
            fix="Name another extension, for example atr.",
        )


def annotation_file(header_path: Path, extension: str) -> Path:
    """Return the annotation file of a header.

    Raises:
        OptionError: Annotation files do not have this extension.
    """
    check_annotation_extension(extension, where=str(header_path))
    return header_path.with_suffix(f".{extension}")


def read_annotation_file(
    header_path: Path, name: str, extension: str, header: Header | None
) -> Annotations:
    """Return the annotations of a record whose header may be unreadable.

    Args:
        header_path: Path of the header.
        name: Name of the record.
        extension: Extension of the annotation file.
        header: The header; None: the samples are those of the file.

    Raises:
        RecordError: As :func:`read_annotations`.
    """
    import wfdb

    path = annotation_file(header_path, extension)
    if not path.is_file():
        raise RecordError(
            f"Record {name} has no annotation file {path.name}.",
            where=str(path),
            fix=_others(path) or restore(path.parent),
        )
    content = path.read_bytes()
    if len(content) % 2:
        raise RecordError(
            f"The annotations in {path.name} are truncated or of another format: the file has "
            f"{len(content):,} bytes, and each annotation an even number.",
            where=str(path),
            fix=restore(path.parent),
        )
    try:
        annotation = wfdb.rdann(str(path.with_suffix("")), extension)
    except Exception as error:
        raise RecordError(
            f"The annotations of record {name} cannot be read: {error}.",
            where=str(path),
            fix=restore(path.parent),
        ) from error
    raise_first(_end_mark_problems(path, content))
    samples = annotation.sample.astype(np.int64)
    raise_first(_order_problems(samples, path))
    if header is not None:
        resolution = annotation.fs if b"## time resolution" in content else None
        samples = _at_sampling_rate(samples, resolution, header, path)
    return Annotations(
        symbols=np.asarray(annotation.symbol, dtype=np.str_),
        samples=samples,
        subtypes=np.asarray(annotation.subtype, dtype=np.int64),
    )


def _others(missing: Path) -> str:
    """Return a sentence on the other annotation files of a record; empty if there is none."""
    beside = [path for path in missing.parent.glob("*.*") if path.stem == missing.stem]
    found = sorted(
        path.suffix
        for path in beside
        if path.suffix[1:].lower() not in _OF_OTHERS
        and path.is_file()
        and path.read_bytes()[-2:] == END_MARK
    )
    return f"Its annotation files end in {', '.join(found)}." if found else ""


def _at_sampling_rate(
    samples: NDArray[np.int64], resolution: float | None, header: Header, path: Path
) -> NDArray[np.int64]:
    """Return annotated positions as samples of the leads.

    Args:
        samples: int64 [n_annotations], in units of the annotation file.
        resolution: Units per second that the annotation file states; None: it states none.
        header: The header of the record.
        path: The annotation file.

    Raises:
        RecordError: The unit of the positions is not clear.
    """
    if not len(samples):
        return samples
    if resolution is None and header.fs != header.frame_rate:
        raise RecordError(
            f"Record {header.name} has {header.signals[0].per_frame} samples in a frame, and its "
            "annotations state no time resolution, so they may count samples or frames.",
            where=str(path),
            fix="Write the annotations with their time resolution (wfdb.wrann, argument fs), or "
            "leave the record out.",
        )
    if resolution is not None and not resolution > 0:
        raise RecordError(
            f"The time resolution of the annotations of record {header.name} is {resolution:g} Hz.",
            where=str(path),
            fix=restore(path.parent),
        )
    if resolution is None or resolution == header.fs:
        return samples
    scaled: NDArray[np.int64] = np.rint(samples * header.fs / resolution).astype(np.int64)
    return scaled


def _end_mark_problems(path: Path, content: bytes) -> Iterator[RecordError]:
    """Yield a problem if the end mark, two zero bytes, is missing or not at the end of the file.

    ``wfdb`` reads on behind it, so that later annotations get earlier times.
    """
    if content[-2:] != END_MARK:
        yield RecordError(
            f"The annotations in {path.name} are truncated: the end mark is missing.",
            where=str(path),
            fix=restore(path.parent),
        )
    elif (end := _end_mark(content)) != len(content) - 2:
        yield RecordError(
            f"The annotations in {path.name} are damaged: their end mark is at byte {end:,} of "
            f"{len(content):,}.",
            where=str(path),
            fix=restore(path.parent),
        )


def _end_mark(content: bytes) -> int:
    """Return the position of the end mark: the first zero word that is no payload of another."""
    at = 0
    while at + 1 < len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        if not word:
            return at
        kind, value = word >> 10, word & 0x3FF
        at += 2
        if kind == _SKIP:
            at += 4
        elif kind == _AUX:
            at += value + value % 2
    return len(content) - 2


def _order_problems(samples: NDArray[np.int64], path: Path) -> Iterator[RecordError]:
    """Yield a problem if annotations go backwards in time, or start before the record.

    Annotations at or behind the end are no problem: published records have them.
    """
    steps = np.diff(samples, prepend=0)
    if (steps < 0).any():
        first = int(np.argmax(steps < 0))
        previous = (
            f"the one before it is at {samples[first - 1]:,}" if first else "before the start"
        )
        yield RecordError(
            f"The annotations in {path.name} are not in order: annotation {first} is at sample "
            f"{samples[first]:,}, {previous}.",
            where=str(path),
            fix=restore(path.parent),
        )
