"""Verification of a database on disk: checksums, and the contents of each record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nasbench_ecg.errors import RecordError
from nasbench_ecg.io import sha256
from nasbench_ecg.physionet.catalog import (
    DATABASES,
    RECORDS,
    SUMS,
    read_sums,
    record_names,
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
    annotations: str = "atr",
    progress: Progress,
) -> Iterator[FileProblem]:
    """Yield every problem of the records in ``folder``.

    Files are compared with ``SHA256SUMS.txt``, if the folder has one; then each record is read.

    Args:
        folder: Folder of the database.
        database: Name of the database.
        records: Names of records; None: all records of the database.
        annotations: Extension of the annotation files of a database that is not in the catalog.
        progress: Receives progress.

    Raises:
        RecordError: The list of checksums or of records is damaged.
    """
    known = DATABASES.get(database)
    # Headers may refer to signal files of any name, so only the catalog requires .dat.
    extensions = known.extensions if known else ("hea", "dat", annotations)
    required = known.required if known else ("hea", annotations)
    sums = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
    names = record_names(folder) if records is None else list(records)
    if (folder / RECORDS).is_file():
        yield from _compare(folder, RECORDS, sums)
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
    from nasbench_ecg.signal.headers import signal_files
    from nasbench_ecg.signal.records import verify_record

    present = [one for one in extensions if (folder / f"{name}.{one}").is_file()]
    for extension in required:
        if extension not in present:
            yield FileProblem(f"{name}.{extension}", "The file is missing.")
    for extension in present:
        yield from _compare(folder, f"{name}.{extension}", sums)
    for file in signal_files(folder / f"{name}.hea"):
        path = str(PurePosixPath(name).parent / file)
        if path != f"{name}.dat":
            yield from _compare(folder, path, sums)
    if "hea" in present and ("dat" in present or "dat" not in required):
        for problem in verify_record(folder, name, present):
            yield FileProblem(name, problem)


def _compare(folder: Path, name: str, sums: Mapping[str, str]) -> Iterator[FileProblem]:
    """Yield a problem if the checksum of a listed file differs."""
    if name not in sums:
        return
    try:
        found = sha256(folder / name)
    except OSError as error:
        yield FileProblem(name, f"The file cannot be read: {error.strerror or error}.")
        return
    if found != sums[name]:
        yield FileProblem(name, f"Its SHA-256 differs from {SUMS}.")


def require_published(files: Mapping[str, Path], digests: Mapping[str, str]) -> int:
    """Compare files with the ``SHA256SUMS.txt`` of their databases, where there is one.

    Args:
        files: Path of each file, by ``database/name``; the name may contain a subfolder.
        digests: SHA-256 of each file, by the same keys.

    Returns:
        The number of files that were compared.

    Raises:
        RecordError: A file differs; the list of checksums is damaged.
    """
    sums: dict[Path, dict[str, str]] = {}
    n_compared = 0
    for key, path in files.items():
        name = key.partition("/")[2]
        folder = path.parents[name.count("/")]
        if folder not in sums:
            sums[folder] = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
        expected = sums[folder].get(name)
        if expected is None:
            continue
        n_compared += 1
        if digests[key] != expected:
            raise RecordError(
                f"The file {name} is not the published one: its SHA-256 differs from {SUMS}.",
                where=str(path),
                fix="Replace it with the published file, or leave the record out with the option "
                f"exclude. If the change is intended, correct or remove {SUMS}.",
            )
    return n_compared
