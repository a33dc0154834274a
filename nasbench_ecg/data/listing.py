"""What a database's own folder lists: its records, and the SHA-256 of its files."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from nasbench_ecg.errors import RecordError

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
