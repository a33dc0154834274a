"""No retired phrase or name is left in code, documentation or other text of the repository."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".md", ".toml", ".txt", ".sh", ".html", ".cff", ".yml"}
FOLDERS = ("nasbench_ecg", "plugins", "benchmarks", "docs", "tests", "results", ".ci")
EXCLUDED = {Path(__file__), ROOT / "CHANGELOG.md"}
"""This list, and the history, which names what has changed."""

PHRASES = (
    "On record already",
    "are others now",
    "is to be published and cannot be",
    "Mend it",
    "no rank correlation worth the name",
    "was to be opened a second time",
    "less and less",
    "how much is luck",
    "all that is known of it",
    "narrower than their name says",
    "it owes no comparison",
    "are such as its two CNNs reach",
)
NAMES = (
    "Wish",
    "Chosen",
    "Examination",
    "Departures",
    "Unfinished",
    "blamed",
    "spare_what_is_loaded",
    "r-darts",
    "nasbench-ecg plugins",
    "--profile cpu",
    "--protocol paper",
)


def texts() -> dict[Path, str]:
    """Return the text files of the repository by path, with single spaces between words."""
    paths = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES]
    for folder in FOLDERS:
        paths += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in SUFFIXES or path.parent.name == ".ci"
        ]
    return {path: _joined(path) for path in paths if path.is_file() and path not in EXCLUDED}


def _joined(path: Path) -> str:
    """Return a text without line breaks, comment signs and the quotes between joined strings."""
    text = re.sub(r"[\"']\s*\n\s*f?[\"']", "", path.read_text(encoding="utf-8"))
    return re.sub(r"\s*\\?\n[\s#>]*", " ", text)


TEXTS = texts()


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_retired_phrase_is_left(phrase: str) -> None:
    assert _files_with(re.escape(phrase), re.IGNORECASE) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_retired_name_is_left(name: str) -> None:
    # "Chosen" may begin a sentence.
    ending = r"(?! [a-z])" if name == "Chosen" else ""
    assert _files_with(rf"(?<![\w-]){re.escape(name)}(?![\w-]){ending}") == []


def _files_with(pattern: str, flags: int = 0) -> list[str]:
    compiled = re.compile(pattern, flags)
    return [str(path.relative_to(ROOT)) for path, text in TEXTS.items() if compiled.search(text)]


CODE = sorted(path for path in TEXTS if path.suffix == ".py" and "tests" not in path.parts)
EXPRESSION = re.compile(r"\{[a-z_]\w*(\.\w+)*\(.*?\)(:[^{}]*)?\}")


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_string_without_f_has_a_call_in_braces(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    formatted = {
        id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert id(node) in formatted or not EXPRESSION.search(node.value), node.lineno
