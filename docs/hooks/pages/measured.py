"""Pages of results: the committed tables under ``results/``."""

from __future__ import annotations

import re
from pathlib import Path

from nasbench_ecg.report.studies.noise_card import NOTE, noise_rows
from nasbench_ecg.tables.files import load_table
from nasbench_ecg.tables.find import find_tables
from nasbench_ecg.tables.noise import noise_card, track_with_track

_RELATIVE_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?!https?://|#|figures/)[^)]*\)")
_TITLE = re.compile(r"\A# .*\n")
_LEFT_OUT = re.compile(r"best (half|tenth), one seed|^τ of (?!validation|one seed|trainable)")
"""Figures of the noise card that the page leaves to ``table info``."""

_HEADING = re.compile(r"^(?P<marks>#+) ", re.M)


def speed(results: Path) -> str:
    """Return the tables of ``results/speed/*.md``, one for each machine."""
    tables = sorted((results / "speed").glob("*.md"))
    if not tables:
        return "No speed table is committed yet. `python benchmarks/speed` makes one."
    return "\n\n".join(_included(path) for path in tables)


def leaderboards(results: Path) -> str:
    """Return links to the HTML leaderboards, and the text of ``results/README.md``."""
    pages = html_leaderboards(results)
    if not pages:
        return (
            "No leaderboard is committed yet. `nasbench-ecg suite run heart-darts` and "
            "`nasbench-ecg leaderboard --suite heart-darts -o board.html` make one."
        )
    links = [f"[{page.parent.name}]({html_name(page)})" for page in pages]
    text = f"Interactive pages, by suite: {', '.join(links)}."
    readme = results / "README.md"
    if readme.exists():
        text += f"\n\n{_TITLE.sub('', _without_links(readme)).strip()}"
    return text


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
    return _HEADING.sub(lambda found: f"#{found['marks']} ", _without_links(path)).strip()


def _without_links(path: Path) -> str:
    return _RELATIVE_LINK.sub(lambda found: found["text"], path.read_text(encoding="utf-8"))


def noise(results: Path) -> str:
    """Return what the noise cards of all tables say, one column a table."""
    tables = {}
    for one in find_tables(results / "tables"):
        table = load_table(one.folder)
        tables[table.card.track] = table
    cards = {track: dict(noise_rows(noise_card(table))) for track, table in tables.items()}
    rows = [f"| figure | {' | '.join(cards)} |", f"| --- |{' --- |' * len(cards)}"]
    names = dict.fromkeys(name for card in cards.values() for name in card)
    rows += [
        f"| {name} | {' | '.join(card.get(name, '–') for card in cards.values())} |"
        for name in names
        if not _LEFT_OUT.search(name)
    ]
    between = [
        f"Kendall's τ of {a} with {b}: {value:.2f}."
        for (a, b), value in track_with_track(tables).items()
    ]
    return "\n".join([*rows, "", NOTE, "", *between])
