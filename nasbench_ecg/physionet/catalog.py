"""Catalog of the PhysioNet databases, and the lists of files and records that they publish."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.errors import OptionError, RecordError, nearest

PHYSIONET = "https://physionet.org/files"
_ODC_BY = "ODC-By-1.0"
_SMALL_FILE = 5_000
"""Typical size in bytes of a header or an annotation file."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A published set of WFDB records.

    Attributes:
        name: Name at PhysioNet, and of its folder.
        title: Full name.
        version: Version that is fetched.
        n_records: Number of records.
        size_mb: Approximate size of the records in megabytes (10⁶ bytes).
        license: License, as an SPDX identifier.
        citation: Publication to cite, in addition to PhysioNet (Goldberger et al. 2000).
        extensions: File extensions to fetch for each record, if the record has such a file.
        required: Extensions that every record has.
    """

    name: str
    title: str
    version: str
    n_records: int
    size_mb: float
    license: str
    citation: str
    extensions: tuple[str, ...] = ("hea", "dat", "atr")
    required: tuple[str, ...] = ("hea", "dat", "atr")

    def url(self, root: str) -> str:
        """Return the URL of the database on the server ``root``, without trailing slash."""
        return f"{root.rstrip('/')}/{self.name}/{self.version}"


_KNOWN = (
    Database(
        name="mitdb",
        title="MIT-BIH Arrhythmia Database",
        version="1.0.0",
        n_records=48,
        size_mb=94,
        license=_ODC_BY,
        citation="Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. "
        "IEEE Eng in Med and Biol 20(3):45-50, 2001.",
    ),
    Database(
        name="qtdb",
        title="QT Database",
        version="1.0.0",
        n_records=105,
        size_mb=71,
        license=_ODC_BY,
        citation="Laguna P, Mark RG, Goldberger A, Moody GB. A database for evaluation of "
        "algorithms for measurement of QT and other waveform intervals in the ECG. "
        "Computers in Cardiology 24:673-676, 1997.",
        extensions=("hea", "dat", "atr", "man", "q1c", "q2c", "qt1", "qt2"),
        required=("hea", "dat"),
    ),
    Database(
        name="incartdb",
        title="St Petersburg INCART 12-lead Arrhythmia Database",
        version="1.0.0",
        n_records=75,
        size_mb=833,
        license=_ODC_BY,
        citation="Tihonenko V, Khaustov A, Ivanov S, Rivin A, Yakushenko E. St Petersburg INCART "
        "12-lead Arrhythmia Database. PhysioBank, PhysioToolkit, and PhysioNet, 2008.",
    ),
    Database(
        name="svdb",
        title="MIT-BIH Supraventricular Arrhythmia Database",
        version="1.0.0",
        n_records=78,
        size_mb=54,
        license=_ODC_BY,
        citation="Greenwald SD. Improved detection and classification of arrhythmias in "
        "noise-corrupted electrocardiograms using contextual information. "
        "PhD thesis, Harvard-MIT Division of Health Sciences and Technology, 1990.",
    ),
    Database(
        name="nstdb",
        title="MIT-BIH Noise Stress Test Database",
        version="1.0.0",
        n_records=15,
        size_mb=29,
        license=_ODC_BY,
        citation="Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. "
        "Computers in Cardiology 11:381-384, 1984.",
        required=("hea", "dat"),
    ),
)
DATABASES: dict[str, Database] = {database.name: database for database in _KNOWN}
"""All databases that can be fetched, by name."""


def find_database(name: str) -> Database:
    """Return the database called ``name``.

    Raises:
        OptionError: There is no such database; the error suggests the nearest name.
    """
    if name not in DATABASES:
        raise OptionError(
            f"There is no database {name!r} that can be fetched.",
            fix=f"{nearest(name, DATABASES)} 'nasbench-ecg data list' lists them.",
        )
    return DATABASES[name]


def missing_files(requirement: Requirement, folder: Path | None) -> list[str]:
    """Return the names of the files of ``requirement`` that ``folder`` does not contain.

    Args:
        requirement: The required records.
        folder: Folder of the database; None if there is none, so that all files are missing.
    """
    names = [f"{r}.{e}" for r in requirement.records for e in requirement.extensions]
    return [name for name in names if folder is None or not (folder / name).is_file()]


def estimate_bytes(database: str, files: Sequence[str]) -> int | None:
    """Return the approximate size of ``files`` in bytes; None for a database without known size."""
    if database not in DATABASES:
        return None
    known = DATABASES[database]
    n_signals = sum(name.endswith(".dat") for name in files)
    signals = n_signals * known.size_mb * 1e6 / known.n_records
    return round(signals) + (len(files) - n_signals) * _SMALL_FILE


def describe_missing(requirement: Requirement, missing: Sequence[str]) -> str:
    """Return one sentence with the number and the size of the missing files.

    Args:
        requirement: The required records.
        missing: The names of the missing files, as returned by :func:`missing_files`.
    """
    records = {name.rpartition(".")[0] for name in missing}
    known = DATABASES.get(requirement.database)
    title = f"{requirement.database} ({known.title})" if known else requirement.database
    size = estimate_bytes(requirement.database, missing)
    about = f", about {describe_size(size)}" if size is not None else ""
    return (
        f"{len(records)} of the {len(requirement.records)} required records of {title} are "
        f"missing: {len(missing)} files{about}."
    )


def describe_size(n_bytes: int) -> str:
    """Return ``n_bytes`` as text, for example ``94 MB``."""
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


SUMS = "SHA256SUMS.txt"
"""File of a database with the SHA-256 of each of its files."""

RECORDS = "RECORDS"
"""File of a database with the names of its records."""

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")  # PhysioNet writes one space, sha256sum two


def read_sums(path: Path) -> dict[str, str]:
    """Return the SHA-256, in lower-case hexadecimal, of each file in the list ``path``.

    Raises:
        RecordError: A line is not ``<64 hexadecimal digits> <file>``, or the path of a file leads
            out of the folder.
    """
    sums = {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        where = f"{path}, line {number}"
        if match is None:
            raise RecordError(
                f"The line is not a checksum and a file name: {line[:80]!r}.",
                where=where,
                fix="Check the URL of the server, delete this file and fetch the database again.",
            )
        digest, name = match.groups()
        if _leaves_folder(name):
            raise RecordError(
                f"The list of checksums contains a file outside the database: {name[:80]!r}.",
                where=where,
                fix="Do not use this copy of the database.",
            )
        sums[name.removeprefix("./")] = digest.lower()
    return sums


def _leaves_folder(name: str) -> bool:
    windows = PureWindowsPath(name)
    return bool(
        PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts
    )


def record_names(folder: Path) -> list[str]:
    """Return the records in ``folder``: those listed in ``RECORDS``, else all header files.

    Records in subfolders are returned if ``RECORDS`` lists them, as ``group/name``.

    Raises:
        RecordError: ``RECORDS`` contains an invalid name; or there is no ``RECORDS``, and headers
            are in subfolders only or end in ``.HEA``.
    """
    path = folder / RECORDS
    if not path.is_file():
        return _names_of_headers(folder)
    names = path.read_text(encoding="utf-8-sig", errors="replace").split()
    for name in names:
        if not re.fullmatch(r"[\w-]+(/[\w-]+)*", name):
            raise RecordError(
                f"The name of a record is not valid: {name[:80]!r}.",
                where=str(path),
                fix="Correct the file: letters, digits, '_' and '-', and '/' after a subfolder.",
            )
    return names


def _names_of_headers(folder: Path) -> list[str]:
    names = sorted(header.stem for header in folder.glob("*.hea"))
    for path in sorted(folder.glob("*.[Hh][Ee][Aa]")):
        if path.stem not in names:
            raise RecordError(
                f"The header {path.name} is not found by WFDB, which requires {path.stem}.hea.",
                where=str(path),
                fix="Rename the file.",
            )
    if not names:
        for header in sorted(folder.glob("*/*.hea")):
            example = header.relative_to(folder).with_suffix("").as_posix()
            raise RecordError(
                "The records are in subfolders.",
                where=str(folder),
                fix=f"List them in a file {RECORDS} in this folder, one a line: {example} …",
            )
    return names
