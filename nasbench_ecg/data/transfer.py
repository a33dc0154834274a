"""One file over HTTP: resumed after a drop, checked against its SHA-256, put in place whole.

Downloads do not go through pooch, which starts a broken transfer from its first byte again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from nasbench_ecg.errors import RecordError, StorageError

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
