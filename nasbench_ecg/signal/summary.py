"""What the records of a database hold: leads, rate, duration, beats of each AAMI class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.errors import RecordError


@dataclass(frozen=True)
class RecordSummary:
    """What one record holds.

    Attributes:
        name: Name of the record.
        leads: Names of the leads, in the order of the file.
        fs: Sampling rate in hertz.
        seconds: Duration.
        beats: Annotated beats of each AAMI class; None where the record has no annotations.
    """

    name: str
    leads: tuple[str, ...]
    fs: float
    seconds: float
    beats: Mapping[str, int] | None


def summarise(folder: Path, name: str, extension: str = "atr") -> RecordSummary:
    """Return what the header and the annotations of a record say; its signals are not read.

    Args:
        folder: Folder of the database.
        name: Name of the record.
        extension: Ending of the annotation file.

    Raises:
        RecordError: The header is missing, or a file cannot be read.
    """
    import wfdb

    path = str(folder / name)
    try:
        header = wfdb.rdheader(path)
        annotated = (folder / f"{name}.{extension}").is_file()
        beats = _count(wfdb.rdann(path, extension).symbol) if annotated else None
    except Exception as error:  # wfdb has no base class for what a damaged file makes it raise
        raise RecordError(
            f"Record {name} cannot be read: {error}.",
            where=str(folder),
            fix="'nasbench-ecg data verify' lists all damage.",
        ) from error
    fs = float(header.fs)
    return RecordSummary(name, tuple(header.sig_name), fs, header.sig_len / fs, beats)


def _count(symbols: Sequence[str]) -> dict[str, int]:
    from collections import Counter

    from nasbench_ecg.signal.aami import CLASSES, SYMBOLS

    counted = Counter(SYMBOLS.get(symbol, "") for symbol in symbols)
    return {name: counted[name] for name in CLASSES}
