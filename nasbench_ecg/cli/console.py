"""Output of all verbs: the two consoles, tables, error panels and progress bars.

Rich chooses colors and width; it honors ``NO_COLOR``, ``FORCE_COLOR`` and ``COLUMNS``.
"""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

from nasbench_ecg.cli.streams import MESSAGES, RESULTS, is_unicode
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.text import duration, escape_unprintable, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table
    from rich.text import Text

    from nasbench_ecg.progress import Steps
    from nasbench_ecg.run.record_files import DamagedRecord

LOG_SECONDS = 60.0
"""Without a terminal, a bar prints a line when none was printed for this many seconds."""

# The two consoles


@cache
def stdout() -> Console:
    """Return the console for results."""
    return _console(file=cast("IO[str]", RESULTS))


@cache
def stderr() -> Console:
    """Return the console for progress, messages and errors; what it cannot write is lost."""
    return _console(file=cast("IO[str]", MESSAGES), stderr=True)


def _console(*, file: IO[str], stderr: bool = False) -> Console:
    """Return a console that shows text as it is: no markup, no emoji codes, no control characters.

    Text comes from records, plugins, headers and options. What a terminal would obey is replaced.
    A plain string keeps its lines, however narrow the terminal, so that a path in it can be copied.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PlainConsole(Console):
        def print(self, *objects: Any, soft_wrap: bool | None = None, **how: Any) -> None:
            plain = all(isinstance(one, str) for one in objects)
            super().print(*objects, soft_wrap=plain if soft_wrap is None else soft_wrap, **how)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:
                    yield segment
                else:
                    yield Segment(printable(segment.text), segment.style)

    return PlainConsole(
        file=file, stderr=stderr, width=_width(), highlight=False, markup=False, emoji=False
    )


def _width() -> int | None:
    """Return a width for ``COLUMNS=0``, which means that it is unknown; else Rich measures it."""
    unknown = os.environ.get("COLUMNS", "").strip("0 ") == "" and "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if unknown else None


# What is printed


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return text made of parts, each a string or a string with its style."""
    from rich.text import Text

    return Text.assemble(*parts)


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the style of all verbs; its first column never wraps."""
    from nasbench_ecg.terminal_table import WordTable

    made = WordTable(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, no_wrap=index == 0, overflow="fold")
    return made


def warn_damaged_records(damaged: Iterable[DamagedRecord]) -> None:
    """Print one line on stderr for each record that could not be read."""
    for item in damaged:
        line = f"Skipped {item.path}: {item.reason}."
        stderr().print(line, style="yellow")


def print_json(data: Any) -> None:
    """Print ``data`` on stdout as indented JSON, without colors or wrapped lines."""
    text = json.dumps(data, indent=2, ensure_ascii=not is_unicode(RESULTS), default=str)
    print_text(escape_unprintable(text))


def print_text(text: str, end: str = "\n") -> None:
    """Print ``text`` on stdout as it is."""
    RESULTS.write(text + end)


def show_error(error: NasbenchError, *, debug: bool = False) -> None:
    """Print one panel on stderr: what happened, where, and what to do.

    Where even the panel has no memory, the error is one line.
    """
    try:
        _show_panel(error, debug=debug)
    except MemoryError:
        MESSAGES.write(f"{error.title}: {error}\n")


def _show_panel(error: NasbenchError, *, debug: bool) -> None:
    from rich.panel import Panel
    from rich.text import Text

    if debug:
        _print_traceback(error)
    text = Text(error.what)
    if error.where:
        text.append(f"\nWhere: {error.where}", style="dim")
    if error.fix:
        text.append(f"\n{error.fix}", style="bold")
    panel = Panel(text, title=error.title, title_align="left", border_style="red")
    stderr().print(panel)


def show_unexpected(error: BaseException, *, debug: bool = False) -> None:
    """Print a panel for an error that no verb expects, such as a bug."""
    from nasbench_ecg.errors import describe_error

    problem = NasbenchError(
        describe_error(error),
        where=" ".join(getattr(error, "__notes__", ())),
        fix="" if debug else "'nasbench-ecg --debug ...' shows the traceback.",
    )
    problem.title = "Unexpected error"
    if debug:
        _print_traceback(error)
    show_error(problem)


def _print_traceback(error: BaseException) -> None:
    lines = traceback.format_exception(error)
    stderr().print("".join(lines))


class RichProgress:
    """Progress bars with elapsed and remaining time.

    A bar opened inside another disappears when it ends; the outermost bars stay. Without a
    terminal, each bar prints one line when it ends, and lines in between if it takes minutes.

    Args:
        console: Console of the bars; by default stderr.

    Example:
        >>> from rich.console import Console
        >>> with RichProgress(Console(force_terminal=False)) as progress:
        ...     with progress.track("searching", 2) as bar:
        ...         bar.advance()
        ...         bar.advance(loss=0.12)
        ...     progress.note("2 epochs done")
        searching  2/2  0.0 s  loss 0.12
        2 epochs done
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or stderr()
        self._bars: Progress | None = None
        self._open = 0
        self._printed = monotonic()

    def __enter__(self) -> RichProgress:
        if self._console.is_terminal and self._bars is None:
            self._bars = _bars(self._console)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar of ``total`` steps, also outside ``with``."""
        if self._open == 0 and self._console.is_terminal and self._bars is None:
            with self, self.track(label, total) as steps:
                yield steps
            return
        self._open += 1
        bars, outermost = self._bars, self._open == 1
        bar = _Bar(label, total, self) if bars is None else _LiveBar(label, total, self, bars)
        try:
            yield bar
        finally:
            self._open -= 1
            bar.close(keep=outermost)

    def note(self, message: str) -> None:
        """Print one line that stays above the bars."""
        self._printed = monotonic()
        self._console.print(message, markup=False, soft_wrap=True)

    def is_due(self) -> bool:
        """Return whether no line was printed for :data:`LOG_SECONDS`."""
        return monotonic() - self._printed >= LOG_SECONDS


class _Bar:
    """A bar that prints one line when it ends, and lines at intervals until then."""

    def __init__(self, label: str, total: int, progress: RichProgress) -> None:
        self.progress = progress
        self.label = label
        self.total = total
        self.done = 0
        self.figures: dict[str, float | str] = {}
        self.started = monotonic()

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self._count(n, figures)
        if self.progress.is_due():
            self._print()

    def close(self, *, keep: bool) -> None:
        self._print()

    def _count(self, n: int, figures: dict[str, float | str]) -> None:
        self.done += n
        self.figures.update(figures)

    def _print(self) -> None:
        parts = [self.label, f"{self.done}/{self.total}", duration(monotonic() - self.started)]
        self.progress.note("  ".join([*parts, *filter(None, [_figures(self.figures)])]))


class _LiveBar(_Bar):
    """A bar on a terminal."""

    def __init__(self, label: str, total: int, progress: RichProgress, bars: Progress) -> None:
        super().__init__(label, total, progress)
        self.bars = bars
        self.task: TaskID = bars.add_task(label, total=total, figures="")

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self._count(n, figures)
        self.bars.update(self.task, advance=n, figures=_figures(self.figures))

    def close(self, *, keep: bool) -> None:
        if keep:
            self.bars.stop_task(self.task)
        else:
            self.bars.remove_task(self.task)


def _bars(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
    )


def _figures(figures: dict[str, float | str]) -> str:
    return "  ".join(
        f"{name.replace('_', ' ')} {value if isinstance(value, str) else format(value, '.4g')}"
        for name, value in figures.items()
    )
