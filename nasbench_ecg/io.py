"""Files of results: JSON that any reader takes, and what is said if they cannot be written."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import StorageError


def readable_json(data: Any) -> str:
    """Return JSON text for people and for version control: indented, sorted, never NaN."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def finite(data: Any) -> Any:
    """Return JSON data, numpy's included, with None in place of numbers that JSON does not have."""
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return data


@contextmanager
def told(path: Path, option: str = "--out") -> Iterator[None]:
    """Turn the system's errors about files into ours.

    Args:
        path: What is written.
        option: The option that names another place.

    Raises:
        StorageError: There is no space, or a file below ``path`` cannot be written.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            "There is no space left for results."
            if full
            else f"Results cannot be written: {error.strerror or error}.",
            where=str(path if option == "-o" else error.filename or path),
            fix=f"Free some space, or name another folder with {option}."
            if full
            else f"Name a writable folder with {option}.",
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path``, which takes its place once the block ends well.

    What the block wrote is on the disk before that; if it raises, ``path`` is as it was.

    Raises:
        OSError: The folder cannot be written, or there is no space.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        OSError: As :func:`replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
