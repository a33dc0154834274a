"""Download of PhysioNet databases, with resume and checksums.

Each file is checked against the ``SHA256SUMS.txt`` of its database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from nasbench_ecg.errors import RecordError, nearest
from nasbench_ecg.io import sha256
from nasbench_ecg.physionet.catalog import (
    PHYSIONET,
    RECORDS,
    SUMS,
    Database,
    find_database,
    read_sums,
)
from nasbench_ecg.physionet.transfer import (
    MIRROR,
    Connection,
    fetch_file,
    record_storage_errors,
)
from nasbench_ecg.progress import Progress

_LOCK = ".fetch.lock"
_TOLERANCE = 1.5
"""A file may have this many times the published size of its whole database."""
_MAX_SUMS_BYTES = 16_000_000


@dataclass(frozen=True)
class FetchResult:
    """Result of :func:`fetch`.

    Attributes:
        folder: Folder of the records.
        n_fetched: Number of files transferred.
        n_present: Number of files that were already complete.
        n_bytes: Bytes received.
    """

    folder: Path
    n_fetched: int
    n_present: int
    n_bytes: int


def server() -> str:
    """Return the URL of the server, without password: that of the environment, or PhysioNet."""
    return split_credentials(_server())[0]


def _server() -> str:
    return os.environ.get(MIRROR) or PHYSIONET


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return ``url`` without user and password, and these; None if it has none.

    A password that contains ``/`` unquoted is found too, so that no message shows a part of it.
    """
    before, separator, after = url.partition("://")
    scheme, rest = (before + separator, after) if separator else ("", url)
    credentials, at, host = rest.rpartition("@")
    if not at:
        return url, None
    host_and_port, slash, _ = credentials.partition("/")
    if slash and re.fullmatch(r"[^:@]*(:\d+)?", host_and_port):  # the @ is part of a path
        return url, None
    user, _, password = credentials.partition(":")
    return f"{scheme}{host}", (unquote(user), unquote(password))


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
) -> FetchResult:
    """Fetch the files of ``records`` that are missing or incomplete in ``destination``.

    A file that differs from the published one is replaced. An interrupted fetch leaves ``.part``
    files, which the next fetch resumes. Only one process at a time fetches into a folder; others
    wait.

    Args:
        database: Name of a database of the catalog.
        destination: Folder of the database; it is created if needed.
        records: Names of records; None: all.
        extensions: File extensions; None: :attr:`Database.extensions`, where they exist.
        base_url: URL of the server; None: that of :func:`server`.
        progress: Receives progress and notes.
        timeout: Seconds without data after which an attempt fails.
        backoff: Seconds to wait after the first failed attempt; doubled after each further one.

    Raises:
        OptionError: ``database`` is unknown.
        RecordError: A file does not exist, cannot be fetched, or has the wrong checksum.
        StorageError: ``destination`` cannot be written.
    """
    import requests

    known = find_database(database)
    root, credentials = split_credentials(base_url or _server())
    url = known.url(root)
    n_bytes = n_fetched = 0
    with _locked(destination, progress), requests.Session() as session:
        if credentials is not None:
            session.auth = credentials
        connection = Connection(session, timeout, backoff, lambda n: None, progress.note)
        sums = _fetch_sums(connection, url, destination)
        names = _file_names(known, sums, records, extensions, where=f"{url}/{SUMS}")
        if records is None and (n := len(_listed_records(sums))) < known.n_records:
            progress.note(f"The server lists {n} of the {known.n_records} records of {database}.")
        max_bytes = round(_TOLERANCE * known.size_mb * 1e6)
        with progress.track(f"Fetching {database}", len(names)) as bar:

            def count_bytes(n: int) -> None:
                nonlocal n_bytes
                n_bytes += n
                bar.advance(0, MB=round(n_bytes / 1e6, 1))

            connection = replace(connection, on_bytes=count_bytes)
            for name in names:
                path = destination / name
                with record_storage_errors(destination):
                    complete = path.is_file() and sha256(path) == sums[name]
                if not complete:
                    fetch_file(connection, f"{url}/{name}", path, sums[name], max_bytes)
                    n_fetched += 1
                bar.advance()
    return FetchResult(destination, n_fetched, len(names) - n_fetched, n_bytes)


def _fetch_sums(connection: Connection, url: str, destination: Path) -> dict[str, str]:
    """Fetch the list of checksums; a damaged or empty list does not replace an existing one."""
    fetched = destination / f"{SUMS}.new"
    fetch_file(connection, f"{url}/{SUMS}", fetched, None, _MAX_SUMS_BYTES)
    sums = read_sums(fetched)
    if not _listed_records(sums):
        raise RecordError(
            "The list of checksums that the server sends names no record.",
            where=f"{url}/{SUMS}",
            fix=f"Try later, or set another server in {MIRROR}.",
        )
    with record_storage_errors(destination):
        fetched.replace(destination / SUMS)
    return sums


@contextmanager
def _locked(destination: Path, progress: Progress) -> Iterator[None]:
    """Create ``destination`` and lock it for this process."""
    import filelock

    lock = filelock.FileLock(destination / _LOCK)
    with record_storage_errors(destination):
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


def _file_names(
    database: Database,
    sums: Mapping[str, str],
    records: Sequence[str] | None,
    extensions: Sequence[str] | None,
    *,
    where: str,
) -> list[str]:
    """Return the names of the files to fetch, which the list of checksums at ``where`` names.

    Raises:
        RecordError: The database has no such record or file.
    """
    listed = _listed_records(sums)
    for record in records or ():
        if record not in listed:
            raise RecordError(
                f"{database.name} has no record {record!r}.",
                where=where,
                fix=nearest(record, listed),
            )
    chosen = list(dict.fromkeys(listed if records is None else records))
    suffixes = database.extensions if extensions is None else extensions
    files = [f"{record}.{suffix}" for record in chosen for suffix in suffixes]
    if records is not None and extensions is not None:
        for name in files:
            if name not in sums:
                raise RecordError(
                    f"{database.name} has no file {name!r}.",
                    where=where,
                    fix="Check the name of the record and the extensions of its files.",
                )
    return [name for name in (RECORDS, *files) if name in sums]


def _listed_records(sums: Mapping[str, str]) -> list[str]:
    headers = (name for name in sums if name.endswith(".hea") and "/" not in name)
    return sorted(name.removesuffix(".hea") for name in headers)
