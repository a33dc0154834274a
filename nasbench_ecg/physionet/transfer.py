"""Transfer of one file, with resume, attempts after temporary errors, and a checksum."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nasbench_ecg.errors import RecordError, describe_error
from nasbench_ecg.io import sha256, storage_errors
from nasbench_ecg.physionet.catalog import describe_size

if TYPE_CHECKING:
    import requests

MIRROR = "NASBENCH_ECG_MIRROR"
"""Environment variable with the URL of another server, up to the folder of the databases."""

_CHUNK_BYTES = 1 << 14
_MAX_ATTEMPTS = 5
_MAX_PAUSE = 30.0  # seconds


@contextmanager
def record_storage_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the file system in ``folder`` into a StorageError that names the options."""
    with storage_errors(folder, option="--to or NASBENCH_ECG_CACHE", what="Records"):
        yield


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
    with record_storage_errors(path.parent):
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
            if isinstance(_first_cause(error), ssl.SSLCertVerificationError):  # it stays wrong
                raise RecordError(
                    f"{reason}.",
                    where=url,
                    fix="A proxy may stand between: name its certificate authority in "
                    f"REQUESTS_CA_BUNDLE, or set another server in {MIRROR}.",
                ) from error
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
                f"The file cannot be fetched: {str(error).rstrip('.')}.",
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
    cause = describe_error(_first_cause(error))
    if isinstance(error, requests.exceptions.SSLError):
        return f"{server} gives no secure connection ({cause})"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"The proxy before {server} gives no connection ({cause})"
    return f"{server} cannot be reached ({cause})"


def _first_cause(error: BaseException) -> BaseException:
    """Return the error of the system that requests and urllib3 have wrapped."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
