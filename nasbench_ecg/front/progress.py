"""Progress in Python: bars in a notebook, without widgets, and log messages elsewhere."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from time import monotonic
from typing import Any

from nasbench_ecg.errors import OptionError
from nasbench_ecg.progress import Progress, Silent, Steps
from nasbench_ecg.text import duration, printable

_SECONDS_BETWEEN = 0.2


def progress_of(progress: Progress | None) -> Progress:
    """Return what shows progress.

    Args:
        progress: A progress; None: bars in a notebook, elsewhere notes to the logger.

    Raises:
        OptionError: It is another value: False would count as None.
    """
    if progress is None:
        return python_progress()
    if isinstance(progress, type) or not all(
        callable(getattr(progress, name, None)) for name in ("track", "note")
    ):
        raise OptionError(
            f"progress={progress!r} shows no progress.",
            fix="Leave it out, or give nasbench_ecg.api.Silent() to see nothing.",
        )
    return progress


def python_progress() -> Progress:
    """Return progress bars if this code runs in a notebook, else a progress that logs its notes."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return NotebookProgress() if hasattr(shell, "kernel") else LoggedNotes()


class LoggedNotes(Silent):
    """Notes as messages of the logger ``nasbench_ecg``, at the level INFO; no bars."""

    def note(self, message: str) -> None:
        """Log one line."""
        logging.getLogger("nasbench_ecg").info("%s", printable(message))


class NotebookProgress:
    """Bars below a cell of a notebook; a bar inside another disappears when it ends.

    Args:
        display: Shows HTML and returns a handle with ``update``; by default that of IPython.
    """

    def __init__(self, display: Any = None) -> None:
        self._display = display or _display
        self._open = 0
        self._free: list[Any] = []
        self._noted: set[str] = set()

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar of ``total`` steps."""
        self._open += 1
        bar = _Bar(label, total, self._display, self._free.pop() if self._free else None)
        try:
            yield bar
        finally:
            self._open -= 1
            bar.show(last=True, keep=self._open == 0)
            if self._open:  # the next bar inside takes its place, so that no empty output stays
                self._free.append(bar.handle)
            else:
                self._free.clear()

    def note(self, message: str) -> None:
        """Print one line, unless it was printed before."""
        if message not in self._noted:
            self._noted.add(message)
            print(printable(message))


class _Bar:
    def __init__(self, label: str, total: int, display: Any, handle: Any = None) -> None:
        self.label, self.total, self.done = label, total, 0
        self.figures: dict[str, float | str] = {}
        self.started = self.shown = monotonic()
        if handle is None:
            handle = display(self.html())
        else:
            handle.update(_html(self.html()))
        self.handle = handle

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Report that ``n`` more steps are done."""
        self.done += n
        self.figures.update(figures)
        if monotonic() - self.shown > _SECONDS_BETWEEN:
            self.show()

    def show(self, *, last: bool = False, keep: bool = True) -> None:
        """Show the state of the bar, or nothing if it is not kept."""
        self.shown = monotonic()
        self.handle.update(_html(self.html() if keep or not last else ""))

    def html(self) -> str:
        """Return the bar as HTML."""
        figures = "  ".join(
            f"{name.replace('_', ' ')} {value if isinstance(value, str) else format(value, '.4g')}"
            for name, value in self.figures.items()
        )
        text = (
            f"{self.label}  {self.done}/{self.total}  {duration(monotonic() - self.started)}  "
            f"{figures}"
        )
        return (
            f'<progress value="{self.done}" max="{max(1, self.total)}"></progress> '
            f"<code>{escape(printable(text.strip()))}</code>"
        )


def _html(text: str) -> Any:
    ipython: Any = importlib.import_module("IPython.display")
    return ipython.HTML(text)


def _display(text: str) -> Any:
    ipython: Any = importlib.import_module("IPython.display")
    return ipython.display(_html(text), display_id=True)
