"""The errors that a user can fix. Each says what happened, where, and what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from textwrap import shorten
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST = 600
"""Characters of an error of other code that are shown."""


class NasbenchError(Exception):
    """Base of all errors that a user can fix.

    Args:
        what: What happened, in one sentence.
        where: The file, record, sample or option; may be empty.
        fix: What to do about it; may be empty.
    """

    title = "Error"

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """Return the message as one line."""
        where = f" ({self.where})" if self.where else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{self.what}{where}{fix}"


class RecordError(NasbenchError):
    """A WFDB record is missing, damaged or truncated, or lacks a lead or annotation."""

    title = "Problem with a record"


class MissingDataError(RecordError):
    """Records are in no known folder, but can be downloaded.

    Args:
        what: What happened, in one sentence.
        database: Name of the database that the records belong to.
        where: The folders that were searched.
        fix: What to do about it.
    """

    title = "Records are missing"

    def __init__(self, what: str, *, database: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.database = database


class PluginError(NasbenchError):
    """A component is unknown, or its plugin is broken."""

    title = "Problem with a component"


class OptionError(NasbenchError):
    """An option is unknown, or its value is not allowed."""

    title = "Problem with an option"


class ProtocolError(NasbenchError):
    """A protocol cannot split a dataset, or a component breaks a rule of the protocol."""

    title = "Problem with a protocol"


class DivergedError(NasbenchError):
    """The loss or the weights of a training are no longer finite, so its network is worthless."""

    title = "Training diverged"


class StorageError(NasbenchError):
    """A file or folder cannot be read or written."""

    title = "Problem with a file"


class OutOfMemoryError(NasbenchError):
    """Memory ran out: that of this machine, or of its GPU."""

    title = "Out of memory"


class ExecutorError(NasbenchError):
    """An executor is missing, its engine refuses a job, or a job runs on an unsuitable machine."""

    title = "Problem with an executor"


class ExecutorBusyError(ExecutorError):
    """The engine of an executor takes no jobs now; it may take them in a minute."""


def raise_first(problems: Iterable[NasbenchError]) -> None:
    """Raise the first of the problems, if there is one."""
    for problem in problems:
        raise problem


def describe_error(error: BaseException) -> str:
    """Return type and message of ``error`` on one line, also if it cannot be shown."""
    try:
        message = shorten(" ".join(str(error).split()).rstrip("."), _LONGEST, placeholder=" ...")
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        message = f"its message cannot be shown, __str__ raises {type(fault).__name__}"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out: that of Python, of the system, or of a device of PyTorch."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (
            isinstance(error, RuntimeError)
            and (
                type(error).__name__ == "OutOfMemoryError"  # of torch, which is not imported here
                or "can't allocate memory" in str(error)  # of torch on processors
            )
        )
    )


def first_invalid(error: ValidationError) -> tuple[str, str]:
    """Return the field of the first fault that pydantic found, and what is wrong with it.

    Returns:
        The field as ``name.0.name``, empty if the fault is not that of one field; and the reason,
        which has no dot at its end.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ").rstrip(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the names similar to ``name``, or all if none is similar."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=3)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known names: {', '.join(known) or 'none'}."
