"""Stdout for results and stderr for messages, whatever components print and encodings lack."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any

_apart: list[IO[str] | None] = []
"""While a verb is executed: stdout, None if it was closed before the start. Otherwise empty."""

_SIMILAR = {"─━−–—": "-", "│": "|", "╭╮╰╯┬┴┼├┤": "+", "·…": ".", "→": ">", "≥": ">", "≤": "<"}
"""ASCII characters for those that an encoding lacks; others become a question mark."""

_ASCII = str.maketrans({char: ascii for chars, ascii in _SIMILAR.items() for char in chars})


class _Stream:
    """What is a stream of Python at the time when it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    @staticmethod
    def _stream() -> IO[str]:
        raise NotImplementedError


class _Results(_Stream):
    """Stdout, in a verb too, where ``sys.stdout`` is stderr."""

    def write(self, text: str) -> int:
        return self._stream().write(text)

    @staticmethod
    def _stream() -> IO[str]:
        stream = _apart[-1] if _apart else sys.stdout
        # Rich replaces sys.stdout too while a bar is shown.
        stream = getattr(stream, "rich_proxied_file", stream)
        return StringIO() if stream is None else stream  # None: it was closed before the start


class _Messages(_Stream):
    """``sys.stderr``, without errors: a full disk under a log file does not end a run."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream().flush()

    @staticmethod
    def _stream() -> IO[str]:
        # Rich replaces sys.stderr by a proxy of the console while a bar is shown.
        stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        return StringIO() if stream is None else stream  # None: it was closed before the start


RESULTS, MESSAGES = _Results(), _Messages()
"""The streams of the two consoles."""


@contextmanager
def results_apart() -> Iterator[None]:
    """Let ``sys.stdout`` be stderr in the block, for what components print, and keep RESULTS."""
    _apart.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _apart.pop()


def keep_stdout() -> None:
    """Keep stdout to ``sys.stdout``; descriptor 1, as of a C library, is stderr from now on.

    What such a library has in its buffer is written when the process ends, so this is not undone.
    """
    stream = sys.stdout
    if not isinstance(stream, TextIOWrapper):  # it was closed before the start
        return
    with suppress(OSError, ValueError):
        stream.flush()
        kept = os.dup(1)
        try:
            os.dup2(2, 1)
        except OSError:  # stderr was closed
            os.close(kept)
            return
        sys.stdout = os.fdopen(kept, "w", encoding=stream.encoding, errors=stream.errors)


def prepare_streams() -> None:
    """Let stdout and stderr replace what their encoding lacks, and keep their order in one file."""
    codecs.register_error("nasbench_ecg", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)
            if not is_unicode(stream):
                stream.reconfigure(errors="nasbench_ecg")


def is_unicode(stream: Any) -> bool:
    """Return whether a stream takes all characters."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Return similar ASCII characters, one for each that cannot be encoded, or ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    similar = error.object[error.start : error.end].translate(_ASCII)
    return "".join(c if c.isascii() else "?" for c in similar), error.end


def stdout_fails() -> bool:
    """Return whether stdout cannot be written; if it can, end its line."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def close_streams() -> OSError | None:
    """Write out stdout and stderr; return the error of stdout, if it cannot be written.

    A stream that cannot be written is replaced by the null device, so that the interpreter ends
    without a second error.
    """
    failed = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as null:
                os.dup2(null.fileno(), stream.fileno())
                stream.flush()
            if stream is sys.stdout and isinstance(error, OSError):
                failed = error
    return failed
