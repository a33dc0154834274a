"""Pages of results: the committed tables under ``results/``."""

from __future__ import annotations

import re
from pathlib import Path

_RELATIVE_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?!https?://|#|figures/)[^)]*\)")
_HEADING = re.compile(r"^(?P<marks>#+) ", re.M)


def speed(results: Path) -> str:
    """Return the tables of ``results/speed/*.md``, one for each machine."""
    tables = sorted((results / "speed").glob("*.md"))
    if not tables:
        return "No speed table is committed yet. `python benchmarks/speed` makes one."
    return "\n\n".join(_included(path) for path in tables)


def leaderboards(results: Path) -> str:
    """Return ``results/README.md`` and every ``results/*/leaderboard.md``."""
    parts = []
    readme = results / "README.md"
    if readme.exists():
        parts.append(_included(readme))
    for leaderboard in sorted(results.glob("*/leaderboard.md")):
        text = _included(leaderboard)
        page = leaderboard.with_suffix(".html")
        if page.exists():
            heading, _, rest = text.partition("\n")
            text = f"{heading}\n\n[Interactive page with plots]({html_name(page)})\n{rest}"
        parts.append(text)
    return "\n\n".join(parts) or (
        "No leaderboard is committed yet. `nasbench-ecg suite run heart-darts` and "
        "`nasbench-ecg leaderboard --suite heart-darts -o board.md` make one."
    )


def html_leaderboards(results: Path) -> list[Path]:
    """Return the HTML leaderboards that have a Markdown file beside them."""
    return [
        page for page in sorted(results.glob("*/leaderboard.html"))
        if page.with_suffix(".md").exists()
    ]  # fmt: skip


def figures(results: Path) -> list[Path]:
    """Return the figures that ``results/README.md`` and the first page show."""
    return sorted((results / "figures").glob("*.svg"))


def html_name(leaderboard: Path) -> str:
    """Return the file name of an HTML leaderboard in the site."""
    return f"leaderboard-{leaderboard.parent.name}.html"


def _included(path: Path) -> str:
    """Return a Markdown file with headings one level lower; relative links are to figures only."""
    text = _RELATIVE_LINK.sub(lambda found: found["text"], path.read_text(encoding="utf-8"))
    return _HEADING.sub(lambda found: f"#{found['marks']} ", text).strip()
