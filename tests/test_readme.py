"""The leaderboard in the README says what the committed records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
LEADERBOARD = ROOT / "results" / "heart-darts" / "leaderboard.md"
SECTION = "## mitbih-2lead · intra-patient · standard · train"


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a Markdown table by the cell that names the method."""
    found = {}
    for line in text.splitlines():
        cells = [re.sub(r"[`*]| \[.*?\]", "", cell).strip() for cell in line.strip("| ").split("|")]
        names = [cell for cell in cells[:2] if re.match(r"[a-zA-Z]", cell)]
        if names and re.search(r"\d\d\.\d\d", line):
            found[names[-1]] = cells
    return found


METHODS = rows(README.read_text("utf-8").split("| method |")[1].split("\n\n")[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_row_is_that_of_the_committed_leaderboard(method: str) -> None:
    section = LEADERBOARD.read_text("utf-8").split(SECTION)[1].split("\n\n")[1]
    name = method.replace(", published", " (published: Lv 2021, Table VI)")
    committed = rows(section)[name]
    shown = [cell for cell in METHODS[method][1:] if cell]
    assert shown and [cell for cell in shown if cell not in committed] == []


def test_the_readme_shows_several_methods() -> None:
    assert {"darts", "resnet-31", "cnn-9", "Heart-Darts + shortcut, published"} <= METHODS.keys()
