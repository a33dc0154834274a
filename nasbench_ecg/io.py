"""Writing files: whole or not at all, as standard JSON, and with errors that say what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import StorageError


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file ``path``, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(data: Any) -> str:
    """Return the SHA-256 of JSON data, which may hold NaN, to tell it from what was written."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        OSError: As :func:`replace_atomically`.
    """
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file that replaces ``path`` when the block succeeds.

    The content is flushed to the disk before the replacement. If the block raises, ``path`` is
    unchanged and the temporary file is removed. Others may read the file as far as the umask of
    this process says. A device or a pipe is written to directly.

    Raises:
        OSError: The folder cannot be written, or there is no space.
    """
    if path.exists() and not path.is_file():  # a device or a pipe, which must not be replaced
        yield path
        return
    temporary = make_beside(path, partial(Path.touch, exist_ok=False))
    try:
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)  # of the process, where a library has made the file anew
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_beside(path: Path, make: Callable[[Path], object]) -> Path:
    """Make a file or folder of a new name, ``.NAME-…``, in the folder of ``path``.

    Unlike those of :mod:`tempfile`, which only their owner can read, it has the permissions that
    the umask of this process leaves.

    Args:
        path: What it is to replace, or to lie beside.
        make: Makes a path, and raises FileExistsError if it is there.

    Raises:
        OSError: The folder cannot be written.
    """
    while True:
        # the start of a long name: that of a file may not have more than 255 bytes
        made = path.with_name(f".{path.name[:48]}-{secrets.token_hex(4)}")
        try:
            make(made)
        except FileExistsError:
            continue
        return made


def check_writable(path: Path, *, option: str = "-o") -> None:
    """Check, before the work whose output it is, that a file can be written; nothing is written.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_errors(path, option=option):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if path.exists() and not path.is_file():  # a device or a pipe
            return
        with tempfile.TemporaryFile(dir=path.parent):
            pass


@contextmanager
def storage_errors(path: Path, *, option: str = "--out", what: str = "Results") -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError that says what to do.

    Args:
        path: What is written, a file or a folder; the error names it.
        option: The option, or environment variable, that chooses another location.
        what: Subject of the sentence "... cannot be written".

    Raises:
        StorageError: There is no space, or ``path`` cannot be written.
    """
    try:
        yield
    except OSError as error:
        number = _number(error)
        if number in (errno.ENOSPC, errno.EDQUOT) or _is_short(error):
            reason = "no space left on the disk"
            fix = f"Free some space, or choose another location with {option}."
        else:
            reason = error.strerror or (os.strerror(number) if number else str(error))
            fix = f"Choose a writable location with {option}."
        message = f"{what} cannot be written: {reason}."
        raise StorageError(message, where=str(path), fix=fix) from error


def _number(error: OSError) -> int | None:
    """Return the number of a system error; safetensors and shutil.copytree keep it in the text."""
    found = re.search(r"(?:os error|code:|\[Errno) (\d+)", str(error))
    return int(found[1]) if error.errno is None and found else error.errno


def _is_short(error: OSError) -> bool:
    """Return whether NumPy wrote less than it should; its error has no number."""
    return error.errno is None and bool(re.match(r"\d+ requested and \d+ written", str(error)))


def to_json(data: Any) -> str:
    """Return indented JSON text with sorted keys.

    Raises:
        ValueError: ``data`` contains NaN or an infinity, which JSON does not have.
    """
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def jsonable(data: Any) -> Any:
    """Return ``data`` as plain JSON data: NumPy values as lists, NaN and infinities as None."""
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: jsonable(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [jsonable(value) for value in data]
    return data
