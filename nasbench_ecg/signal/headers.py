"""Read the header files of WFDB records.

The ``wfdb`` package skips what it cannot parse and continues with defaults: a rate of ``-360``
becomes 250 Hz and ``µV`` becomes ``V``. This module reads each field strictly, and then requires
that ``wfdb``, which decodes the signals, understands the header in the same way.

References:
    The WFDB Applications Guide, header(5): https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import RecordError
from nasbench_ecg.signal.units import MILLIVOLTS, millivolts_in

BITS = {
    "8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12,
    "310": 32 / 3, "311": 32 / 3,
}  # fmt: skip
"""Bits of a sample in each uncompressed signal format."""

INVALID = {
    "16": -(2**15), "24": -(2**23), "32": -(2**31), "61": -(2**15), "80": -(2**7),
    "160": -(2**15), "212": -(2**11), "310": -(2**9), "311": -(2**9), "508": -(2**7),
    "516": -(2**15), "524": -(2**23),
}  # fmt: skip
"""Digital value of a missing sample in each signal format; format 8 of differences has none."""

RATES = (1.0, 100_000.0)
"""Lowest and highest sampling rate of a recording in hertz."""

_SUMS = "SHA256SUMS.txt"
_TIME = re.compile(r"\d{1,2}(:\d{1,2}){0,2}(\.\d{1,6})?")
_DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{1,4}")
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\((-?\d+)\))?(?:/(\S+))?")


@dataclass(frozen=True)
class SignalLine:
    """The line of one signal in a header.

    Attributes:
        name: Name of the lead; ``#`` and its position if the header has none.
        file: Name of the signal file.
        fmt: Signal format, for example ``212``.
        per_frame: Samples in a frame.
        skew: Frames by which the signal is late in its file.
        offset: Bytes before the first sample of the file.
        gain: Digital units in one physical unit.
        baseline: Digital value of 0 physical units.
        unit: Physical unit.
        checksum: Sum of the samples modulo 65536; None if it is not stated.
    """

    name: str
    file: str
    fmt: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    checksum: int | None


@dataclass(frozen=True)
class Header:
    """The contents of a header file.

    Attributes:
        path: The file.
        name: Name of the record that was asked for.
        stated_name: Name of the record in the header.
        frame_rate: Frames in a second.
        n_frames: Frames in the record.
        signals: The signals, at least one; all have the same number of samples in a frame.
        comments: Comment lines, without ``#``.
    """

    path: Path
    name: str
    stated_name: str
    frame_rate: float
    n_frames: int
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Folder of the header and of the signal files."""
        return self.path.parent

    @property
    def fs(self) -> float:
        """Samples of a lead in a second, in hertz."""
        return self.frame_rate * self.signals[0].per_frame

    @property
    def n_samples(self) -> int:
        """Samples of a lead."""
        return self.n_frames * self.signals[0].per_frame

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads."""
        return tuple(signal.name for signal in self.signals)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, although the record can be read."""
        own = self.path.stem
        if self.stated_name == own:
            return ()
        return (f"The header {own}.hea names the record {self.stated_name!r}; {own!r} is read.",)


def restore(folder: Path) -> str:
    """Return what to do about a damaged file in ``folder``."""
    if any((parent / _SUMS).is_file() for parent in (folder, folder.parent)):
        return "Replace it with the published file; 'nasbench-ecg data verify' lists all damage."
    return (
        "Restore the file from its source, or leave the record out (of a dataset: option exclude)."
    )


def read_header(folder: Path, name: str) -> Header:
    """Return the header of the record ``name``, which may be in a subfolder (``group/name``).

    Raises:
        RecordError: The header is missing, is not a valid WFDB header, or describes a record that
            is not supported: several segments, no signals, or leads of several sampling rates.
    """
    path = Path(folder) / f"{name}.hea"
    if not path.is_file():
        raise _no_header(path, name)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    comments = tuple(line.strip(" \t#") for line in lines if line.startswith("#"))
    lines = [line for line in lines if not line.startswith("#")]
    if not lines:
        raise _invalid(path, name, "it is empty")
    stated_name, n_signals, rate, n_frames = _record_line(lines[0], path, name)
    if len(lines) - 1 != n_signals:
        raise RecordError(
            f"The header of record {name} states {n_signals} leads but describes {len(lines) - 1}.",
            where=str(path),
            fix=restore(path.parent),
        )
    signals = tuple(_signal_line(line, i, path, name) for i, line in enumerate(lines[1:]))
    if len({signal.per_frame for signal in signals}) > 1:
        raise RecordError(
            f"The leads of record {name} have several sampling rates, which is not supported.",
            where=str(path),
            fix="Leave the record out.",
        )
    if n_frames is None:
        n_frames = _length_by_size(signals, path, name)
    header = Header(path, name, stated_name, rate, n_frames, signals, comments)
    _require_agreement(header)
    return header


def signal_files(path: Path) -> tuple[str, ...]:
    """Return the names of the signal files that a header file names; none if it cannot be read.

    The header is not checked, so that its files can be compared with checksums before it is read.
    """
    try:
        lines = path.read_bytes().decode("latin-1").splitlines()
    except OSError:
        return ()
    described = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return tuple(dict.fromkeys(words[0] for words in described[1:]))


def unit_factor(header: Header, channel: int) -> float:
    """Return the millivolts in one physical unit of a channel.

    Raises:
        RecordError: The unit is none of volts, or is ambiguous.
    """
    signal = header.signals[channel]
    factor = millivolts_in(signal.unit)
    if factor is None:
        raise RecordError(
            f"Lead {signal.name} of record {header.name} is in {signal.unit!r}, which is no known "
            "unit of voltage.",
            where=str(header.path),
            fix=f"Known units: {', '.join(MILLIVOLTS)}. Correct the header, choose other leads, "
            "or leave the record out.",
        )
    return factor


def length_problems(header: Header) -> Iterator[RecordError]:
    """Yield a problem for each signal file that is missing or shorter than the header states."""
    for file in dict.fromkeys(signal.file for signal in header.signals):
        signals = [signal for signal in header.signals if signal.file == file]
        path = header.folder / file
        if not path.is_file():
            yield RecordError(
                f"Record {header.name} has no signal file {file}.",
                where=str(path),
                fix=restore(header.folder),
            )
            continue
        formats = sorted({signal.fmt for signal in signals})
        if len(formats) > 1:
            yield RecordError(
                f"The header of record {header.name} states several formats for {file}: "
                f"{', '.join(formats)}.",
                where=str(header.path),
                fix=restore(header.folder),
            )
            continue
        bits = BITS.get(formats[0])
        if bits is None:
            continue
        in_frame = sum(signal.per_frame for signal in signals)
        expected = signals[0].offset + math.ceil(header.n_frames * in_frame * bits / 8)
        found = path.stat().st_size
        if found < expected:
            samples = int((found - signals[0].offset) * 8 / bits / len(signals))
            yield RecordError(
                f"Record {header.name} is truncated: {file} has {found:,} of {expected:,} bytes, "
                f"{max(samples, 0):,} of {header.n_samples:,} samples per lead.",
                where=str(path),
                fix=restore(header.folder),
            )


def _no_header(path: Path, name: str) -> RecordError:
    shouted = [f for f in path.parent.glob("*") if f.name.lower() == path.name.lower()]
    if shouted:
        return RecordError(
            f"The header of record {name} is called {shouted[0].name}; WFDB requires {path.name}.",
            where=str(shouted[0]),
            fix="Rename the file.",
        )
    hint = "" if any(path.parent.glob("*.hea")) else " The folder contains no records."
    return RecordError(
        f"Record {name} has no header file.{hint}",
        where=str(path),
        fix="Check the name of the record, or fetch its database again.",
    )


def _invalid(path: Path, name: str, reason: str) -> RecordError:
    return RecordError(
        f"The header of record {name} cannot be read: {reason}.",
        where=str(path),
        fix=restore(path.parent),
    )


def _record_line(line: str, path: Path, name: str) -> tuple[str, int, float, int | None]:
    """Return the name, the number of signals, the frame rate and the number of frames."""
    stated_name, *fields = line.split()
    if "/" in stated_name:
        raise RecordError(
            f"Record {name} has several segments, which is not supported.",
            where=str(path),
            fix="Use its segments as records, or leave the record out.",
        )
    if not fields or not fields[0].isdecimal():
        raise _invalid(path, name, f"the first line states no number of signals: {line[:60]!r}")
    if not int(fields[0]):
        raise RecordError(
            f"Record {name} has no signals of its own.",
            where=str(path),
            fix="Leave the record out.",
        )
    rate = _rate(fields[1], path, name) if len(fields) > 1 else 250.0  # the default of WFDB
    n_frames = None
    if len(fields) > 2:
        if not fields[2].isdecimal() or not int(fields[2]):
            raise _invalid(path, name, f"the length {fields[2]!r} is not a number of samples")
        n_frames = int(fields[2])
    for field, form, shown in zip(
        fields[3:], (_TIME, _DATE), ("time HH:MM:SS", "date DD/MM/YYYY"), strict=False
    ):
        if not form.fullmatch(field):
            raise _invalid(path, name, f"{field!r} is not a {shown}; correct or remove it")
    return stated_name, int(fields[0]), rate, n_frames


def _rate(field: str, path: Path, name: str) -> float:
    text = field.partition("/")[0]
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise RecordError(
            f"The header of record {name} states a sampling rate of {text} Hz, which is not "
            f"between {lowest:g} and {highest:,.0f} Hz.",
            where=str(path),
            fix="Correct the header, or leave the record out.",
        )
    return rate


def _signal_line(line: str, position: int, path: Path, name: str) -> SignalLine:
    file, *rest = line.split(maxsplit=1)
    tokens = rest[0].split() if rest else []
    form = _FORMAT.fullmatch(tokens[0]) if tokens else None
    if form is None:
        raise _invalid(path, name, f"signal {position} has no valid format: {line[:60]!r}")
    fmt, per_frame, skew, offset = form.groups()
    remaining = rest[0].split(maxsplit=1)[1:]
    scale: re.Match[str] | None = None
    if len(tokens) > 1:
        scale = _GAIN.fullmatch(tokens[1])
        if scale is None:
            raise _invalid(path, name, f"signal {position} has no valid gain: {tokens[1][:40]!r}")
        remaining = remaining[0].split(maxsplit=1)[1:]
    numbers: list[int] = []  # resolution, zero, first value, checksum, block size
    while remaining and len(numbers) < 5:
        first, *after = remaining[0].split(maxsplit=1)
        if not re.fullmatch(r"-?\d+", first):
            break
        numbers.append(int(first))
        remaining = after
    gain, baseline, unit = scale.groups() if scale else (None, None, None)
    zero = numbers[1] if len(numbers) > 1 else 0
    return SignalLine(
        name=remaining[0].strip() if remaining else f"#{position}",
        file=file,
        fmt=fmt,
        per_frame=int(per_frame or 1) or 1,
        skew=int(skew or 0),
        offset=int(offset or 0),
        gain=float(gain or 0) or 200.0,  # 0 is uncalibrated: WFDB uses 200
        baseline=zero if baseline is None else int(baseline),
        unit=unit or "mV",
        checksum=numbers[3] if len(numbers) > 3 else None,
    )


def _length_by_size(signals: Sequence[SignalLine], path: Path, name: str) -> int:
    """Return the number of frames that the first signal file contains."""
    first = signals[0]
    bits, file = BITS.get(first.fmt), path.parent / first.file
    if bits is None or not file.is_file():
        reason = "has no signal file" if bits else "states no length for its compressed signals in"
        raise RecordError(
            f"Record {name} {reason} {first.file}.", where=str(file), fix=restore(path.parent)
        )
    in_frame = sum(signal.per_frame for signal in signals if signal.file == first.file)
    n_frames = int((file.stat().st_size - first.offset) * 8 / bits / in_frame)
    if n_frames < 1:
        raise RecordError(
            f"Record {name} is empty: {first.file} contains no samples.",
            where=str(file),
            fix=restore(path.parent),
        )
    return n_frames


def _require_agreement(header: Header) -> None:
    """Raise a RecordError if ``wfdb`` understands a field of the header in another way."""
    import wfdb

    try:
        other = wfdb.rdheader(str(header.path.with_suffix("")))
    except Exception as error:  # wfdb raises many types for damaged files
        raise _invalid(header.path, header.name, str(error)) from error
    for field, own, wfdb_own in _fields(header, other):
        if own != wfdb_own:
            raise _invalid(
                header.path, header.name, f"its {field} is ambiguous: {own} or {wfdb_own}"
            )


def _fields(header: Header, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name of each field that decoding needs, its value here and that of ``wfdb``."""
    yield "number of signals", len(header.signals), other.n_sig
    yield "sampling rate", header.frame_rate, float(other.fs)
    yield "length", header.n_frames, other.sig_len or header.n_frames
    for i, signal in enumerate(header.signals):
        yield "signal file", signal.file, other.file_name[i]
        yield "format", signal.fmt, other.fmt[i]
        yield "number of samples in a frame", signal.per_frame, other.samps_per_frame[i] or 1
        yield "skew", signal.skew, other.skew[i] or 0
        yield "byte offset", signal.offset, other.byte_offset[i] or 0
