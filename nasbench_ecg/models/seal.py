"""A digest in exported files, whose formats have no checksums of their own."""

from __future__ import annotations

import hashlib
import re

from nasbench_ecg.errors import StorageError

SEAL = "file_sha256"
"""Entry of a file's metadata that holds the SHA-256 of the file, with this digest as zeros."""

OPEN = "0" * 64
"""Value of the entry before :func:`sealed`."""

_ENTRY = re.compile(b'"%b": "(.{64})' % SEAL.encode(), re.DOTALL)  # any bytes: it can be damaged


def sealed(content: bytes) -> bytes:
    """Return the content of a file whose metadata hold :data:`OPEN`, with its digest there."""
    return content.replace(
        _entry(OPEN.encode()), _entry(hashlib.sha256(content).hexdigest().encode())
    )


def check_seal(content: bytes, *, where: str) -> bool:
    """Return whether a file has a digest, which files of older versions lack.

    Args:
        content: The content of the file.
        where: Its path, for the error.

    Raises:
        StorageError: The file has another digest.
    """
    found = _ENTRY.search(content)
    if found is None:
        return False
    whole = content.replace(found[0], _entry(OPEN.encode()))
    if hashlib.sha256(whole).hexdigest().encode() != found[1]:
        raise StorageError(
            "The file is not as 'nasbench-ecg export' wrote it: its SHA-256 differs.",
            where=where,
            fix="It is damaged or was changed: copy it again, or export the run again.",
        )
    return True


def _entry(value: bytes) -> bytes:
    return b'"%b": "%b' % (SEAL.encode(), value)
