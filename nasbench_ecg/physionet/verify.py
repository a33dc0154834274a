"""Tell all that is wrong with the records of a database on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.physionet.catalog import DATABASES, RECORDS, SUMS, read_sums, record_names
from nasbench_ecg.progress import Progress


@dataclass(frozen=True)
class FileProblem:
    """One thing that is wrong with a database on disk.

    Attributes:
        file: Name of the file, or of the record where no single file is at fault.
        problem: What is wrong with it.
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
    """Yield all that is wrong with the records in ``folder``.

    Files are compared with ``SHA256SUMS.txt`` where the folder has one; then each record is read.

    Args:
        folder: Folder of the database.
        database: Its name. One that is not of :data:`DATABASES` must have .hea, .dat and .atr.
        records: Names of records; None: all that the database lists.
        progress: Where progress is shown.

    Raises:
        RecordError: The list of checksums or of records cannot be used.
    """
    known = DATABASES.get(database)
    endings = known.extensions if known else ("hea", "dat", "atr")
    required = known.required if known else endings
    sums = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
    names = record_names(folder) if records is None else list(records)
    if (folder / RECORDS).is_file():
        yield from _compare(folder / RECORDS, sums)
    if not names:
        yield FileProblem(database, "The folder holds no records.")
    with progress.track(f"Verifying {database}", len(names)) as bar:
        for name in names:
            listed = [ending for ending in endings if f"{name}.{ending}" in sums]
            yield from _verify_record(folder, name, endings, listed or required, sums)
            bar.advance()


def _verify_record(
    folder: Path,
    name: str,
    endings: Sequence[str],
    expected: Sequence[str],
    sums: Mapping[str, str],
) -> Iterator[FileProblem]:
    from nasbench_ecg.signal.records import verify_record

    present = [ending for ending in endings if (folder / f"{name}.{ending}").is_file()]
    for file in (f"{name}.{ending}" for ending in expected if ending not in present):
        yield FileProblem(file, "The file is missing.")
    for ending in present:
        yield from _compare(folder / f"{name}.{ending}", sums)
    if {"hea", "dat"} <= set(present):
        for problem in verify_record(folder, name, present):
            yield FileProblem(name, problem)


def _compare(path: Path, sums: Mapping[str, str]) -> Iterator[FileProblem]:
    from nasbench_ecg.physionet.fetch import sha256

    if path.name not in sums:
        return
    try:
        found = sha256(path)
    except OSError as error:
        yield FileProblem(path.name, f"The file cannot be read: {error.strerror or error}.")
        return
    if found != sums[path.name]:
        yield FileProblem(path.name, f"Its SHA-256 is not the one in {SUMS}.")
