"""Download of PhysioNet databases, with resume and checksums.

Each file is checked against the ``SHA256SUMS.txt`` of its database.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nasbench_ecg.errors import RecordError, nearest
from nasbench_ecg.io import sha256, storage_errors
from nasbench_ecg.physionet.catalog import (
    PHYSIONET,
    RECORDS,
    SUMS,
    Database,
    describe_size,
    find_database,
    read_sums,
)
from nasbench_ecg.progress import Progress

if TYPE_CHECKING:
    import requests

MIRROR = "NASBENCH_ECG_MIRROR"
"""Environment variable with the URL of another server, up to the folder of the databases."""

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
        names = _file_names(known, sums, records, extensions)
        max_bytes = round(_TOLERANCE * known.size_mb * 1e6)
        with progress.track(f"Fetching {database}", len(names)) as bar:

            def count_bytes(n: int) -> None:
                nonlocal n_bytes
                n_bytes += n
                bar.advance(0, MB=round(n_bytes / 1e6, 1))

            connection = replace(connection, on_bytes=count_bytes)
            for name in names:
                path = destination / name
                with _storage_errors(destination):
                    complete = path.is_file() and sha256(path) == sums[name]
                if not complete:
                    fetch_file(connection, f"{url}/{name}", path, sums[name], max_bytes)
                    n_fetched += 1
                bar.advance()
    return FetchResult(destination, n_fetched, len(names) - n_fetched, n_bytes)


def _fetch_sums(connection: Connection, url: str, destination: Path) -> dict[str, str]:
    """Fetch the list of checksums; a damaged list does not replace an existing one."""
    fetched = destination / f"{SUMS}.new"
    fetch_file(connection, f"{url}/{SUMS}", fetched, None, _MAX_SUMS_BYTES)
    sums = read_sums(fetched)
    with _storage_errors(destination):
        fetched.replace(destination / SUMS)
    return sums


@contextmanager
def _locked(destination: Path, progress: Progress) -> Iterator[None]:
    """Create ``destination`` and lock it for this process."""
    import filelock

    lock = filelock.FileLock(destination / _LOCK)
    with _storage_errors(destination):
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
) -> list[str]:
    """Return the names of the files to fetch.

    Raises:
        RecordError: The database has no such record or file.
    """
    headers = (name for name in sums if name.endswith(".hea") and "/" not in name)
    listed = sorted(name.removesuffix(".hea") for name in headers)
    for record in records or ():
        if record not in listed:
            raise RecordError(
                f"{database.name} has no record {record!r}.", fix=nearest(record, listed)
            )
    chosen = list(dict.fromkeys(listed if records is None else records))
    suffixes = database.extensions if extensions is None else extensions
    files = [f"{record}.{suffix}" for record in chosen for suffix in suffixes]
    if records is not None and extensions is not None:
        for name in files:
            if name not in sums:
                raise RecordError(
                    f"{database.name} has no file {name!r}.",
                    fix="Check the name of the record and the extensions of its files.",
                )
    return [name for name in (RECORDS, *files) if name in sums]


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    with storage_errors(folder, option="--to or NASBENCH_ECG_CACHE", what="Records"):
        yield


_CHUNK_BYTES = 1 << 14
_MAX_ATTEMPTS = 5
_MAX_PAUSE = 30.0  # seconds


class _UnavailableError(Exception):
    """The server answered with a temporary error."""


@dataclass(frozen=True)
class Connection:
    """Settings of a connection, and its callbacks.

    Attributes:
        session: HTTP session that is reused for all files.
        timeout: Seconds without data after which an attempt fails.
        backoff: Seconds to wait after the first failed attempt; doubled after each further one.
        on_bytes: Called with the size of each received chunk.
        note: Called with each message for the user.
    """

    session: requests.Session
    timeout: float
    backoff: float
    on_bytes: Callable[[int], None]
    note: Callable[[str], None]


def fetch_file(
    connection: Connection, url: str, path: Path, digest: str | None, max_bytes: int
) -> None:
    """Fetch ``url`` to ``path``, which is created only when the file is complete.

    Partial content is kept in ``<path>.part``, and a later call resumes from it.

    Args:
        connection: Connection to the server.
        url: URL of the file.
        path: Destination.
        digest: SHA-256 of the file in hexadecimal; None if it is not known.
        max_bytes: Size that the file cannot exceed.

    Raises:
        RecordError: The server has no such file, cannot be reached, sent more than ``max_bytes``,
            or sent a file with the wrong checksum twice.
        StorageError: The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with _storage_errors(path.parent):
        for last_attempt in (False, True):
            if digest is None:
                part.unlink(missing_ok=True)
            _transfer(connection, url, part, max_bytes)
            if digest is None or sha256(part) == digest:
                _complete(part, path)
                return
            part.unlink()
            if not last_attempt:
                connection.note(f"{path.name} has the wrong SHA-256; fetching it again.")
    raise RecordError(
        f"{path.name} does not have the published SHA-256 after two transfers.",
        where=url,
        fix=f"The file was changed on the way: try later, or set another server in {MIRROR}.",
    )


def _complete(part: Path, path: Path) -> None:
    """Flush a complete part file and rename it."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _transfer(connection: Connection, url: str, part: Path, max_bytes: int) -> None:
    """Append the missing bytes to ``part``; give up after five failed attempts without progress."""
    import requests

    temporary_errors = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        _UnavailableError,
    )
    failures, received = 0, _size(part)
    while True:
        try:
            _request(connection, url, part, max_bytes)
            return
        except temporary_errors as error:
            if _size(part) > received:
                failures, received = 0, _size(part)
            failures += 1
            reason = _reason(error, url, connection.timeout)
            if failures == _MAX_ATTEMPTS:
                raise RecordError(
                    f"{reason} after {_MAX_ATTEMPTS} attempts.",
                    where=url,
                    fix="Check the network, and repeat the command to resume the download.",
                ) from error
            connection.note(f"{reason}; trying again.")
            time.sleep(min(connection.backoff * 2 ** (failures - 1), _MAX_PAUSE))
        except requests.RequestException as error:
            raise RecordError(
                f"The file cannot be fetched: {error}.",
                where=url,
                fix=f"Check the URL; {MIRROR}, if set, must be an http or https URL.",
            ) from error


def _request(connection: Connection, url: str, part: Path, max_bytes: int) -> None:
    """Request the bytes that follow ``part`` and append them.

    Raises:
        RecordError: The server states or sends more than ``max_bytes``; ``part`` is removed.
    """
    import requests

    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with connection.session.get(
        url, headers=headers, stream=True, timeout=connection.timeout
    ) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the server has no further bytes; the caller checks the checksum
        _check_status(response, url)
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        size = have if resumed else 0
        stated = response.headers.get("Content-Length", "")
        if size + (int(stated) if stated.isdecimal() else 0) > max_bytes:
            raise _too_large(url, part, max_bytes)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(url, part, max_bytes)
                file.write(chunk)
                connection.on_bytes(len(chunk))


def _too_large(url: str, part: Path, max_bytes: int) -> RecordError:
    """Remove ``part``, and return the error of a file that is too large."""
    part.unlink(missing_ok=True)
    name = url.rpartition("/")[2]
    return RecordError(
        f"The server sends more than {describe_size(max_bytes)} for {name}, which is more than its "
        "whole database has.",
        where=url,
        fix=f"Set another server in {MIRROR}.",
    )


def _check_status(response: requests.Response, url: str) -> None:
    """Raise an error unless the status of the response is OK."""
    import requests

    status = response.status_code
    if status >= 500 or status in (requests.codes.too_many_requests, requests.codes.timeout):
        raise _UnavailableError(f"{status} {response.reason}")
    if status in (requests.codes.not_found, requests.codes.gone):
        raise RecordError(
            f"The server has no such file: {url.rpartition('/')[2]}.",
            where=url,
            fix="Check the name of the record; a mirror may not have all files of PhysioNet.",
        )
    if status >= 400:
        raise RecordError(
            f"The server refused the request: {status} {response.reason}.",
            where=url,
            fix=f"Set another server in {MIRROR}.",
        )


def _reason(error: Exception, url: str, timeout: float) -> str:
    """Return the reason of a failed attempt, for messages."""
    import requests

    server = urlsplit(url).netloc
    if isinstance(error, _UnavailableError):
        return f"{server} is unavailable ({error})"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"{server} sent no data for {timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{server} closed the connection"
    return f"{server} cannot be reached"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
