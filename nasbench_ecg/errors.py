"""The few errors that a user can meet. Each says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasbenchError(Exception):
    """Base of all errors that a user can mend.

    Args:
        what: What is wrong, one sentence.
        where: File, record, sample or option concerned; may be empty.
        fix: What to do about it; may be empty.
    """

    title = "Cannot go on"

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
    """A WFDB record is missing, damaged, truncated, or lacks what was asked of it."""

    title = "Problem with a record"


class MissingDataError(RecordError):
    """Records that are needed lie in no known folder; they can be fetched."""

    title = "Records are missing"

    def __init__(self, what: str, *, database: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.database = database


class PluginError(NasbenchError):
    """A component is unknown, or the plugin that provides it is broken."""

    title = "Problem with a plugin"


class OptionError(NasbenchError):
    """An option is unknown, or its value is not allowed."""

    title = "Problem with an option"


class ProtocolError(NasbenchError):
    """A protocol cannot split these beats, or one of its rules was broken."""

    title = "Problem with a protocol"


class StorageError(NasbenchError):
    """A file or folder cannot be written or read."""

    title = "Problem with a file"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known names nearest to ``name``, or all if none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known are: {', '.join(known) or 'none'}."
