"""The interface by which long work reports its progress, independent of how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Steps(Protocol):
    """An open progress bar."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Report that ``n`` more steps are done, and show ``figures`` such as a loss or a score."""


class Progress(Protocol):
    """Shows progress on a terminal, in a log, or nowhere."""

    def track(self, label: str, total: int) -> AbstractContextManager[Steps]:
        """Return a context manager that opens a bar of ``total`` steps and closes it."""

    def note(self, message: str) -> None:
        """Show one line of text."""


class _Ignored:
    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Do nothing."""


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Return a context manager that opens no bar."""
        yield _Ignored()

    def note(self, message: str) -> None:
        """Do nothing."""
