"""Fetch a PhysioNet database, and tell whether what lies in a folder is whole.

Every file is checked against the database's own ``SHA256SUMS.txt``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import requests

from nasbench_ecg.errors import RecordError, StorageError, nearest
from nasbench_ecg.physionet.catalog import (
    DATABASES,
    PHYSIONET,
    RECORDS,
    SUMS,
    Database,
    Plan,
    describe_missing,
    find_database,
    plan,
    read_sums,
)
from nasbench_ecg.physionet.verify import FileProblem, verify
from nasbench_ecg.progress import Progress

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


_CHUNK = 1 << 14
_TRIES = 5
_LONGEST_PAUSE = 30.0


class _UnavailableError(Exception):
    """The server answered that it cannot serve now."""


_TRANSIENT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    _UnavailableError,
)


@dataclass(frozen=True)
class Connection:
    """How to reach a server, and whom to tell.

    Attributes:
        session: Connection kept open between files.
        timeout: Seconds of silence after which a try counts as failed.
        backoff: Seconds of pause after the first failure; doubled after each further one.
        received: Called with the number of bytes of every chunk.
        note: Called with a line that a user should read.
    """

    session: requests.Session
    timeout: float
    backoff: float
    received: Callable[[int], None]
    note: Callable[[str], None]


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file ``path`` in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(connection: Connection, url: str, path: Path, digest: str | None) -> None:
    """Fetch ``url`` to ``path``, which appears only when it is whole.

    What arrives is kept in ``<path>.part`` until then; a later call goes on from there.

    Args:
        connection: How to reach the server.
        url: Address of the file.
        path: Where it goes.
        digest: Its SHA-256 in hexadecimal; None where it is not known.

    Raises:
        RecordError: The server lacks the file, cannot be reached, or twice sent other bytes.
        StorageError: The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with storage_errors(path.parent):
        for last in (False, True):
            if digest is None:
                part.unlink(missing_ok=True)
            _transfer(connection, url, part)
            if digest is None or sha256(part) == digest:
                _put_in_place(part, path)
                return
            part.unlink()
            if not last:
                connection.note(f"{path.name} has not the published SHA-256; fetching it again.")
    raise RecordError(
        f"{path.name} does not have the SHA-256 that its database publishes, after two transfers.",
        where=url,
        fix="The server or something on the way changes it: try later, or another mirror "
        "(NASBENCH_ECG_MIRROR).",
    )


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of writing into ``folder`` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                "There is no space left on the disk.",
                where=str(folder),
                fix="Make room, or choose another folder; what was fetched so far is kept.",
            ) from error
        raise StorageError(
            f"Records cannot be stored here: {error.strerror or error}.",
            where=str(folder),
            fix="Choose a folder that you may write to.",
        ) from error


def _put_in_place(part: Path, path: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _transfer(connection: Connection, url: str, part: Path) -> None:
    """Append to ``part`` what it lacks; gives up after ``_TRIES`` failures without a new byte."""
    failures, furthest = 0, _size(part)
    while True:
        try:
            _request(connection, url, part)
            return
        except _TRANSIENT as error:
            if _size(part) > furthest:
                failures, furthest = 0, _size(part)
            failures += 1
            reason = _reason(error, url, connection.timeout)
            if failures == _TRIES:
                raise RecordError(
                    f"{reason} after {_TRIES} tries.",
                    where=url,
                    fix="Check the network and run the same command again: it goes on from here.",
                ) from error
            connection.note(f"{reason}; trying again.")
            time.sleep(min(connection.backoff * 2 ** (failures - 1), _LONGEST_PAUSE))
        except requests.RequestException as error:
            raise RecordError(
                f"The file cannot be fetched: {error}.",
                where=url,
                fix="Is NASBENCH_ECG_MIRROR, if set, an http or https address?",
            ) from error


def _request(connection: Connection, url: str, part: Path) -> None:
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with connection.session.get(
        url, headers=headers, stream=True, timeout=connection.timeout
    ) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing follows what is here: the checksum tells whether that is the file
        _check_status(response, url)
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                connection.received(len(chunk))


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status >= 500 or status in (requests.codes.too_many_requests, requests.codes.timeout):
        raise _UnavailableError(f"{status} {response.reason}")
    if status in (requests.codes.not_found, requests.codes.gone):
        raise RecordError(
            f"The server has no such file: {url.rpartition('/')[2]}.",
            where=url,
            fix="Check the record's name; a mirror may lack files that PhysioNet has.",
        )
    if status >= 400:
        raise RecordError(
            f"The server refuses the file: {status} {response.reason}.",
            where=url,
            fix="Try another mirror (NASBENCH_ECG_MIRROR).",
        )


def _reason(error: Exception, url: str, timeout: float) -> str:
    server = urlsplit(url).netloc
    if isinstance(error, _UnavailableError):
        return f"{server} cannot serve now ({error})"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"{server} was silent for {timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{server} dropped the connection"
    return f"{server} cannot be reached"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
