"""Fetch a PhysioNet database, and tell whether what lies in a folder is whole.

Every file is checked against the database's own ``SHA256SUMS.txt``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.data.databases import (
    DATABASES,
    PHYSIONET,
    Database,
    Plan,
    describe_missing,
    find_database,
    plan,
)
from nasbench_ecg.data.listing import RECORDS, SUMS, read_sums
from nasbench_ecg.data.verification import FileProblem, verify
from nasbench_ecg.errors import RecordError, nearest
from nasbench_ecg.progress import Progress

if TYPE_CHECKING:
    from nasbench_ecg.data.transfer import Connection

__all__ = [
    "DATABASES",
    "MIRROR",
    "Database",
    "Fetched",
    "FileProblem",
    "Plan",
    "describe_missing",
    "fetch",
    "plan",
    "server",
    "verify",
]

MIRROR = "NASBENCH_ECG_MIRROR"
"""Environment variable: another server, up to the folder that holds the databases' folders."""

_LOCK = ".fetch.lock"


@dataclass(frozen=True)
class Fetched:
    """What :func:`fetch` did.

    Attributes:
        folder: Where the records lie now.
        n_fetched: Files transferred.
        n_kept: Files that were there already, whole.
        n_bytes: Bytes received.
    """

    folder: Path
    n_fetched: int
    n_kept: int
    n_bytes: int


def server() -> str:
    """Return the server that records are fetched from: that of the environment, or PhysioNet."""
    return os.environ.get(MIRROR) or PHYSIONET


def fetch(
    database: str,
    destination: Path,
    *,
    records: Sequence[str] | None = None,
    extensions: Sequence[str] | None = None,
    base_url: str | None = None,
    progress: Progress,
    timeout: float = 30.0,
    backoff: float = 1.0,
) -> Fetched:
    """Fetch the files of ``records`` that ``destination`` does not hold whole.

    A file of another content than the server's is replaced. An interrupted fetch leaves ``.part``
    files, from which the next one goes on. Several processes may fetch into one folder: they take
    turns.

    Args:
        database: One of :data:`DATABASES`.
        destination: Folder of the database, made if needed.
        records: Names of records; None: all.
        extensions: File endings; None: all that the database has of :attr:`Database.extensions`.
        base_url: Server; None: that of :func:`server`.
        progress: Where progress is shown.
        timeout: Seconds of silence after which a try counts as failed.
        backoff: Seconds of pause after the first failed try; doubled after each further one.

    Raises:
        OptionError: ``database`` is unknown.
        RecordError: A file is not there, cannot be fetched, or arrives changed.
        StorageError: ``destination`` cannot be written.
    """
    import requests

    from nasbench_ecg.data.transfer import Connection, fetch_file, sha256, storage_errors

    known = find_database(database)
    url = known.url(base_url or server())
    n_bytes = n_fetched = 0
    with _turn(destination, progress), requests.Session() as session:
        quiet = Connection(session, timeout, backoff, lambda n: None, progress.note)
        sums = _fetch_sums(quiet, url, destination)
        wanted = _wanted(known, sums, records, extensions)
        with progress.track(f"Fetching {database}", len(wanted)) as bar:

            def received(n: int) -> None:
                nonlocal n_bytes
                n_bytes += n
                bar.advance(0, MB=round(n_bytes / 1e6, 1))

            connection = replace(quiet, received=received)
            for name in wanted:
                path = destination / name
                with storage_errors(destination):
                    whole = path.is_file() and sha256(path) == sums[name]
                if not whole:
                    fetch_file(connection, f"{url}/{name}", path, sums[name])
                    n_fetched += 1
                bar.advance()
    return Fetched(destination, n_fetched, len(wanted) - n_fetched, n_bytes)


def _fetch_sums(connection: Connection, url: str, destination: Path) -> dict[str, str]:
    """Fetch the list of checksums; one that cannot be used does not replace one that is there."""
    from nasbench_ecg.data.transfer import fetch_file, storage_errors

    arrived = destination / f"{SUMS}.new"
    fetch_file(connection, f"{url}/{SUMS}", arrived, None)
    sums = read_sums(arrived)
    with storage_errors(destination):
        arrived.replace(destination / SUMS)
    return sums


@contextmanager
def _turn(destination: Path, progress: Progress) -> Iterator[None]:
    """Make ``destination`` and hold it for this process alone."""
    import filelock

    from nasbench_ecg.data.transfer import storage_errors

    lock = filelock.FileLock(destination / _LOCK)
    with storage_errors(destination):
        destination.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            progress.note(f"Waiting for another process that fetches into {destination}.")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _wanted(
    database: Database,
    sums: Mapping[str, str],
    records: Sequence[str] | None,
    extensions: Sequence[str] | None,
) -> list[str]:
    headers = (name for name in sums if name.endswith(".hea") and "/" not in name)
    listed = sorted(name.removesuffix(".hea") for name in headers)
    for record in records or ():
        if record not in listed:
            raise RecordError(
                f"{database.name} has no record {record!r}.", fix=nearest(record, listed)
            )
    chosen = list(dict.fromkeys(listed if records is None else records))
    endings = database.extensions if extensions is None else extensions
    if records is not None and extensions is not None:
        for name in (f"{record}.{ending}" for record in chosen for ending in endings):
            if name not in sums:
                raise RecordError(f"{database.name} has no file {name!r}.")
    files = [f"{record}.{ending}" for record in chosen for ending in endings]
    return [name for name in (RECORDS, *files) if name in sums]
