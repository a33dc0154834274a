"""How long work tells a user where it stands, without knowing how that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Steps(Protocol):
    """A bar in progress."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Say that ``n`` more steps are done; ``figures`` (a loss, a score) are shown beside."""


class Progress(Protocol):
    """Where progress is shown: a terminal, a log, nowhere."""

    def track(self, label: str, total: int) -> AbstractContextManager[Steps]:
        """Return a context manager that opens a bar of ``total`` steps."""

    def note(self, message: str) -> None:
        """Show one line that stays."""


class _Ignored:
    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Do nothing."""


class Silent:
    """Shows nothing."""

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar that is not shown."""
        yield _Ignored()

    def note(self, message: str) -> None:
        """Do nothing."""
