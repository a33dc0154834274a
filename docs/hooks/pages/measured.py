"""Pages of results: the committed tables under ``results/``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasbench_ecg.tables.files import load_table
from nasbench_ecg.tables.find import find_tables
from nasbench_ecg.tables.noise import noise_card, track_with_track

_RELATIVE_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?!https?://|#|figures/)[^)]*\)")
_TITLE = re.compile(r"\A# .*\n")
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
    cards = {track: noise_card(table) for track, table in tables.items()}
    rows = [f"| figure | {' | '.join(cards)} |", f"| --- |{' --- |' * len(cards)}"]
    for name, value in _NOISE.items():
        rows.append(f"| {name} | {' | '.join(value(card) for card in cards.values())} |")
    between = [
        f"Kendall's τ of {a} with {b}: {value:.2f}."
        for (a, b), value in track_with_track(tables).items()
    ]
    return "\n".join([*rows, "", *between])


def _correlation(part: str, seeds: str) -> Callable[[dict[str, Any]], str]:
    return lambda card: _number(card["intraclass_correlation"][part][seeds])


def _interval(figure: str) -> Callable[[dict[str, Any]], str]:
    def text(card: dict[str, Any]) -> str:
        bounds = card[figure]["all"]["three_seeds_interval"]
        return "–" if bounds is None else " to ".join(_number(bound) for bound in bounds)

    return text


def _number(value: float | None, factor: float = 1, digits: int = 2) -> str:
    return "–" if value is None else f"{factor * value:.{digits}f}".replace("-", "−")


def _more(card: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> str:
    more = card["with_more_seeds"]
    return "–" if more is None else text(more)


_NOISE: dict[str, Callable[[dict[str, Any]], str]] = {
    "members with three seeds": lambda card: f"{card['members']:,} of {card['of']:,}",
    "published": lambda card: "yes" if card["published"] else "no",
    "test F1, best and median": lambda card: " and ".join(
        _number(card["test"][name], 100) for name in ("best", "median")
    ),
    "sd of a seed, points": lambda card: _number(card["test"]["sd_of_a_seed"], 100),
    "… of its effect on all members": lambda card: _number(
        card["test"]["sd_common_to_all_members"], 100
    ),
    "… at equal seeds": lambda card: _number(card["test"]["sd_at_equal_seeds"], 100),
    "intraclass correlation, all, one seed": _correlation("all", "one_seed"),
    "intraclass correlation, all, three seeds": _correlation("all", "three_seeds"),
    "… its 95% interval at these seeds": _interval("intraclass_correlation"),
    "intraclass consistency, all, three seeds": lambda card: _number(
        card["intraclass_consistency"]["all"]["three_seeds"]
    ),
    "… its 95% interval at any seeds": _interval("intraclass_consistency"),
    "intraclass correlation, best half, three seeds": _correlation("best_half", "three_seeds"),
    "intraclass correlation, best tenth, three seeds": _correlation("best_tenth", "three_seeds"),
    "members with more seeds, and seeds": lambda card: _more(
        card, lambda more: f"{more['members']:,}, {more['seeds']}"
    ),
    "… sd of a seed, points": lambda card: _more(
        card, lambda more: _number(more["sd_of_a_seed"], 100)
    ),
    "… τ of the first three seeds with the others": lambda card: _more(
        card, lambda more: _number(more["kendall_tau"])
    ),
    "τ of validation with test": lambda card: _number(card["kendall_tau"]["validation_with_test"]),
    "τ of one seed with another": lambda card: _number(card["kendall_tau"]["seed_with_seed"]),
    "τ of the first epoch with test": lambda card: _number(
        card["kendall_tau"]["epoch_with_last"].get("1")
    ),
    "τ of parameters with test": lambda card: _number(
        card["kendall_tau"].get("parameters_with_test")
    ),
    "regret of the validation winner, points": lambda card: _number(
        card["regret_of_validation_winner"], 100
    ),
    "not told from the best": lambda card: f"{card['not_told_from_best']:,}",
}
