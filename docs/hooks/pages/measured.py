"""What was measured: the committed tables under ``results/``, where there are any."""

from __future__ import annotations

import re
from pathlib import Path

_RELATIVE_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?!https?://|#)[^)]*\)")
_HEADING = re.compile(r"^(?P<marks>#+) ", re.M)


def speed(results: Path) -> str:
    """Return the tables of ``results/speed/*.md``, one a machine."""
    tables = sorted((results / "speed").glob("*.md"))
    if not tables:
        return "No table of speed is committed yet. `python benchmarks/speed` makes one."
    return "\n\n".join(_included(path) for path in tables)


def leaderboards(results: Path) -> str:
    """Return ``results/README.md`` and every ``results/*/leaderboard.md``."""
    parts = []
    readme = results / "README.md"
    if readme.exists():
        parts.append(_included(readme))
    for board in sorted(results.glob("*/leaderboard.md")):
        text = _included(board)
        page = board.with_suffix(".html")
        if page.exists():
            heading, _, rest = text.partition("\n")
            text = f"{heading}\n\n[As a page with plots]({html_name(page)})\n{rest}"
        parts.append(text)
    return "\n\n".join(parts) or (
        "No leaderboard is committed yet. `nasbench-ecg suite run heart-darts` and "
        "`nasbench-ecg leaderboard --suite heart-darts -o board.md` make one."
    )


def html_boards(results: Path) -> list[Path]:
    """Return the leaderboards that are pages of their own, and have a Markdown form beside them."""
    return [
        page for page in sorted(results.glob("*/leaderboard.html"))
        if page.with_suffix(".md").exists()
    ]  # fmt: skip


def html_name(board: Path) -> str:
    """Return the name that such a page has in the site."""
    return f"leaderboard-{board.parent.name}.html"


def _included(path: Path) -> str:
    """Return a Markdown file as part of a page: headings a level lower, no links to its folder."""
    text = _RELATIVE_LINK.sub(lambda found: found["text"], path.read_text(encoding="utf-8"))
    return _HEADING.sub(lambda found: f"#{found['marks']} ", text).strip()
