"""Reports and tables as Markdown, CSV, LaTeX or HTML.

Each format has a module with ``render``, which writes a report of leaderboards, and
``render_tables``, which writes any tables. Leaderboards for the terminal are in
:mod:`nasbench_ecg.report.render.terminal`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import OptionError, StorageError, nearest
from nasbench_ecg.report.leaderboard.types import Report
from nasbench_ecg.report.table import Table
from nasbench_ecg.text import printable

FORMATS = ("markdown", "csv", "latex", "html")
"""The formats; each is the name of a module of this package."""

SUFFIXES = {".md": "markdown", ".csv": "csv", ".tex": "latex", ".html": "html"}
"""Format of a file by the suffix of its name."""


REPORT_SUFFIXES = (*SUFFIXES, ".svg")
"""Suffixes of files that hold a report: a format, or ``.svg`` for its figure."""


def render(report: Report, form: str) -> str:
    """Return a report in the format ``form``; equal reports give equal text.

    Names and notes come from records and plugins. Each format shows them as text, and control
    characters as ``?``.

    Raises:
        OptionError: There is no such format.
    """
    return printable(_module(form, (*FORMATS, "anytime", "svg")).render(report))


def render_tables(tables: Sequence[Table], title: str, form: str) -> str:
    """Return tables under a title in the format ``form``.

    Raises:
        OptionError: There is no such format.
    """
    return printable(_module(form, FORMATS).render_tables(tables, title))


def _module(form: str, forms: Sequence[str]) -> Any:
    """Return the module of a format, which is one of ``forms``."""
    if form not in forms:
        raise OptionError(f"There is no format {form!r}.", fix=nearest(form, forms))
    return importlib.import_module(f"{__name__}.{form}")


def format_of(path: Path, suffixes: Sequence[str] = tuple(SUFFIXES)) -> str:
    """Return the format of a file by the suffix of its name.

    Args:
        path: The file.
        suffixes: The suffixes that are allowed; one that :data:`SUFFIXES` does not have stands for
            the format of the same name.

    Raises:
        OptionError: The suffix is not allowed.
    """
    if path.suffix not in suffixes:
        raise OptionError(
            f"Cannot tell the format of {path.name!r} from its name.",
            fix=f"Use one of the suffixes {', '.join(suffixes)}.",
        )
    return SUFFIXES.get(path.suffix, path.suffix[1:])


def check(report: Report, path: Path) -> None:
    """Compare a file with the report, byte for byte.

    Raises:
        OptionError: The format cannot be told from the file's name.
        StorageError: The file cannot be read, or it differs; the message shows where.
    """
    check_text(render(report, format_of(path, REPORT_SUFFIXES)), path)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The file cannot be read: {reason}.", where=str(path), fix="Write it with -o."
        ) from None


def check_text(expected: str, path: Path) -> None:
    """Compare a file with the text that it must hold, byte for byte.

    Raises:
        StorageError: The file cannot be read, or it differs; the message shows where.
    """
    found = read_text(path)
    if found == expected:
        return
    lines = difflib.unified_diff(
        found.splitlines(), expected.splitlines(), "the file", "the records", lineterm="", n=0
    )
    shown = [line if len(line) <= 160 else f"{line[:160]} …" for line in lines][:8]
    raise StorageError(
        "\n".join(["The file differs from the run records:", *shown]),
        where=str(path),
        fix="Check it with the options that it was written with, or write it again with -o.",
    )
