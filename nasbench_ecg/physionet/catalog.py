"""The PhysioNet databases that can be fetched by name, and how much of one is missing."""

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
"""Typical bytes of a header or an annotation file."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A published set of WFDB records.

    Attributes:
        name: Name at PhysioNet, and of its folder.
        title: Full name.
        version: Version fetched.
        n_records: Number of records.
        size_mb: About how many megabytes (10⁶ bytes) its records take.
        licence: Terms of use, as an SPDX identifier.
        citation: What to cite, beside PhysioNet (Goldberger et al. 2000).
        extensions: File endings fetched for each record, where the record has such a file.
        required: Those endings that every record has.
    """

    name: str
    title: str
    version: str
    n_records: int
    size_mb: float
    licence: str
    citation: str
    extensions: tuple[str, ...] = ("hea", "dat", "atr")
    required: tuple[str, ...] = ("hea", "dat", "atr")

    def url(self, root: str) -> str:
        """Return the address of the database's folder on the server ``root``, without end slash."""
        return f"{root.rstrip('/')}/{self.name}/{self.version}"


_KNOWN = (
    Database(
        name="mitdb",
        title="MIT-BIH Arrhythmia Database",
        version="1.0.0",
        n_records=48,
        size_mb=94,
        licence=_ODC_BY,
        citation="Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. "
        "IEEE Eng in Med and Biol 20(3):45-50, 2001.",
    ),
    Database(
        name="qtdb",
        title="QT Database",
        version="1.0.0",
        n_records=105,
        size_mb=71,
        licence=_ODC_BY,
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
        licence=_ODC_BY,
        citation="Tihonenko V, Khaustov A, Ivanov S, Rivin A, Yakushenko E. St Petersburg INCART "
        "12-lead Arrhythmia Database. PhysioBank, PhysioToolkit, and PhysioNet, 2008.",
    ),
    Database(
        name="svdb",
        title="MIT-BIH Supraventricular Arrhythmia Database",
        version="1.0.0",
        n_records=78,
        size_mb=54,
        licence=_ODC_BY,
        citation="Greenwald SD. Improved detection and classification of arrhythmias in "
        "noise-corrupted electrocardiograms using contextual information. "
        "PhD thesis, Harvard-MIT Division of Health Sciences and Technology, 1990.",
    ),
)
DATABASES: dict[str, Database] = {database.name: database for database in _KNOWN}
"""All databases that :func:`nasbench_ecg.physionet.fetch.fetch` knows, by name."""


def find_database(name: str) -> Database:
    """Return the database called ``name``.

    Raises:
        OptionError: There is none; says which name is near.
    """
    if name not in DATABASES:
        raise OptionError(
            f"There is no database {name!r} to fetch.",
            fix=f"{nearest(name, DATABASES)} 'nasbench-ecg data list' lists them.",
        )
    return DATABASES[name]


@dataclass(frozen=True)
class Plan:
    """What a fetch would transfer.

    Attributes:
        n_files: Number of files.
        n_bytes: About how many bytes; None where the database's size is not known.
    """

    n_files: int
    n_bytes: int | None


def missing_files(requirement: Requirement, folder: Path) -> list[str]:
    """Return the names of the files of ``requirement`` that do not lie in ``folder``."""
    names = (f"{r}.{e}" for r in requirement.records for e in requirement.extensions)
    return [name for name in names if not (folder / name).is_file()]


def plan(
    database: str,
    destination: Path,
    records: Sequence[str],
    extensions: Sequence[str] = ("hea", "dat", "atr"),
) -> Plan:
    """Return how much of ``records`` ``destination`` lacks, without asking a server."""
    requirement = Requirement(database, tuple(records), tuple(extensions))
    missing = missing_files(requirement, destination)
    return Plan(len(missing), estimate_bytes(database, missing))


def estimate_bytes(database: str, files: Sequence[str]) -> int | None:
    """Return about how many bytes ``files`` take; None where the database's size is not known."""
    if database not in DATABASES:
        return None
    known = DATABASES[database]
    n_signals = sum(name.endswith(".dat") for name in files)
    signals = n_signals * known.size_mb * 1e6 / known.n_records
    return round(signals) + (len(files) - n_signals) * _SMALL_FILE


def describe_missing(requirement: Requirement, missing: Sequence[str]) -> str:
    """Return one sentence that says what is missing and how large it is.

    Args:
        requirement: What a dataset needs.
        missing: The files of it that are not here, as :func:`missing_files` names them.
    """
    records = {name.rpartition(".")[0] for name in missing}
    known = DATABASES.get(requirement.database)
    title = f"{requirement.database} ({known.title})" if known else requirement.database
    size = estimate_bytes(requirement.database, missing)
    about = f", about {describe_size(size)}" if size is not None else ""
    return (
        f"{len(records)} of the {len(requirement.records)} records needed of {title} are not here: "
        f"{len(missing)} files{about}."
    )


def describe_size(n_bytes: int) -> str:
    """Return ``n_bytes`` as a user reads it, for example ``94 MB``."""
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


SUMS = "SHA256SUMS.txt"
RECORDS = "RECORDS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](\S.*)")


def read_sums(path: Path) -> dict[str, str]:
    """Return the SHA-256, in lower-case hexadecimal, of each file that ``path`` lists.

    Raises:
        RecordError: A line is not ``<64 hexadecimal digits>  <file>``, or names a file that is
            not below the folder.
    """
    sums = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        where = f"{path}, line {number}"
        if match is None:
            raise RecordError(
                f"This is not a line of checksums: {line[:80]!r}.",
                where=where,
                fix="Is the address that of a PhysioNet database? Delete the file and fetch again.",
            )
        digest, name = match.groups()
        if _leaves_folder(name):
            raise RecordError(
                f"The list of checksums names a file outside the database: {name[:80]!r}.",
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
    """Return the records of the database in ``folder``: as ``RECORDS`` lists them, else by header.

    Raises:
        RecordError: ``RECORDS`` names something that is not a plain record of this folder.
    """
    path = folder / RECORDS
    if not path.is_file():
        return sorted(header.stem for header in folder.glob("*.hea"))
    names = path.read_text(encoding="utf-8", errors="replace").split()
    for name in names:
        if not re.fullmatch(r"[\w-]+", name):
            raise RecordError(f"This is not the name of a record: {name[:80]!r}.", where=str(path))
    return names
