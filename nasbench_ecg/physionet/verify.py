"""Verification of a database on disk: checksums, and the contents of each record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.physionet.catalog import (
    DATABASES,
    RECORDS,
    SUMS,
    read_sums,
    record_names,
    sha256,
)
from nasbench_ecg.progress import Progress


@dataclass(frozen=True)
class FileProblem:
    """One problem of a database on disk.

    Attributes:
        file: Name of the file, or of the record if the problem is not that of one file.
        problem: Description of the problem.
    """

    file: str
    problem: str


def verify(
    folder: Path,
    database: str,
    *,
    records: Sequence[str] | None = None,
    progress: Progress,
) -> Iterator[FileProblem]:
    """Yield every problem of the records in ``folder``.

    Files are compared with ``SHA256SUMS.txt``, if the folder has one; then each record is read.

    Args:
        folder: Folder of the database.
        database: Name of the database. A database that is not in the catalog must have .hea, .dat
            and .atr files.
        records: Names of records; None: all records of the database.
        progress: Receives progress.

    Raises:
        RecordError: The list of checksums or of records is damaged.
    """
    known = DATABASES.get(database)
    extensions = known.extensions if known else ("hea", "dat", "atr")
    required = known.required if known else extensions
    sums = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
    names = record_names(folder) if records is None else list(records)
    if (folder / RECORDS).is_file():
        yield from _compare(folder / RECORDS, sums)
    if not names:
        yield FileProblem(database, "The folder contains no records.")
    with progress.track(f"Verifying {database}", len(names)) as bar:
        for name in names:
            listed = [extension for extension in extensions if f"{name}.{extension}" in sums]
            yield from _verify_record(folder, name, extensions, listed or required, sums)
            bar.advance()


def _verify_record(
    folder: Path,
    name: str,
    extensions: Sequence[str],
    required: Sequence[str],
    sums: Mapping[str, str],
) -> Iterator[FileProblem]:
    from nasbench_ecg.signal.records import verify_record

    present = [one for one in extensions if (folder / f"{name}.{one}").is_file()]
    for extension in required:
        if extension not in present:
            yield FileProblem(f"{name}.{extension}", "The file is missing.")
    for extension in present:
        yield from _compare(folder / f"{name}.{extension}", sums)
    if {"hea", "dat"} <= set(present):
        for problem in verify_record(folder, name, present):
            yield FileProblem(name, problem)


def _compare(path: Path, sums: Mapping[str, str]) -> Iterator[FileProblem]:
    """Yield a problem if the checksum of a listed file differs."""
    if path.name not in sums:
        return
    try:
        found = sha256(path)
    except OSError as error:
        yield FileProblem(path.name, f"The file cannot be read: {error.strerror or error}.")
        return
    if found != sums[path.name]:
        yield FileProblem(path.name, f"Its SHA-256 differs from {SUMS}.")
