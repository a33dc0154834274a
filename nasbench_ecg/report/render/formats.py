"""The formats that leaderboards can be written in, and whether a file holds what it should."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.report.leaderboard import Report

FORMATS = {
    "markdown": "nasbench_ecg.report.render.markdown",
    "csv": "nasbench_ecg.report.render.csv",
    "latex": "nasbench_ecg.report.render.latex",
    "html": "nasbench_ecg.report.render.html.page",
}
"""Module of each format, whose ``render`` takes a report and returns text."""

SUFFIXES = {".md": "markdown", ".csv": "csv", ".tex": "latex", ".html": "html"}
"""Format of a file by the ending of its name."""


def render(report: Report, form: str) -> str:
    """Return a report in the format ``form``; equal reports give equal text."""
    return str(importlib.import_module(FORMATS[form]).render(report))


def format_of(path: Path) -> str:
    """Return the format that the ending of a file's name stands for.

    Raises:
        OptionError: It stands for none.
    """
    form = SUFFIXES.get(path.suffix)
    if form is None:
        raise OptionError(
            f"The format of {path.name!r} cannot be told from its name.",
            fix=f"Its ending must be one of {', '.join(SUFFIXES)}.",
        )
    return form


def check(report: Report, path: Path) -> None:
    """Compare a file with what the report says now, byte for byte.

    Raises:
        OptionError: The format cannot be told from the file's name.
        StorageError: The file cannot be read or differs; the first lines that differ are shown.
    """
    expected = render(report, format_of(path))
    try:
        found = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"It cannot be read: {reason}.", where=str(path), fix="Write it with -o."
        ) from None
    if found == expected:
        return
    lines = difflib.unified_diff(
        found.splitlines(), expected.splitlines(), "the file", "the records", lineterm="", n=0
    )
    shown = [line if len(line) <= 160 else f"{line[:160]} …" for line in lines][:8]
    raise StorageError(
        "\n".join(["It does not say what the records say:", *shown]),
        where=str(path),
        fix="Write it again with -o.",
    )
