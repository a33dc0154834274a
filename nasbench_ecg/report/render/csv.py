"""Leaderboards as one CSV table for other programs: fractions, seconds and counts, not rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.report.leaderboard import Leaderboard, Report, Row, Track
from nasbench_ecg.report.published import Published

_DIGITS = 10
_FIRST = (
    "dataset", "protocol", "profile", "evaluator", "beats", "split",
    "kind", "rank", "rank_low", "rank_high", "method", "strategy", "space", "builder", "device",
    "options", "seeds", "source",
)  # fmt: skip


def render(report: Report) -> str:
    """Return the report as CSV, a line for each row; what was not measured is empty."""
    lines = [line for board in report.boards for line in _board(board)]
    names = dict.fromkeys([*_FIRST, *sorted({name for line in lines for name in line})])
    out = io.StringIO()
    writer = csv.DictWriter(out, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _board(board: Leaderboard) -> list[dict[str, Any]]:
    place = _track(board.track)
    place |= {"beats": board.dataset_fingerprint, "split": board.split_fingerprint}
    ours = [{**place, **_ours(board, row)} for row in board.rows]
    return [*ours, *({**_track(board.track), **_theirs(figure)} for figure in board.published)]


def _track(track: Track) -> dict[str, Any]:
    return {
        "dataset": track.dataset,
        "protocol": track.protocol,
        "profile": track.profile,
        "evaluator": track.evaluator,
    }


def _ours(board: Leaderboard, row: Row) -> dict[str, Any]:
    low, high = row.rank_interval or (None, None)
    line: dict[str, Any] = {
        "kind": "unranked" if row.rank is None else "ranked",
        "rank": row.rank,
        "rank_low": low,
        "rank_high": high,
        "method": board.label(row),
        "strategy": row.strategy,
        "space": row.space,
        "builder": row.builder,
        "device": row.device,
        "options": canonical_json(dict(row.options)),
        "seeds": " ".join(f"{search}/{final}" for search, final in row.seeds),
        "evaluations": _rounded(row.evaluations),
        "front": " ".join(row.fronts),
    }
    for name, summary in row.scores.items():
        ends = summary.interval or (None, None)
        figures = {"mean": summary.mean, "sd": summary.sd, "low": ends[0], "high": ends[1]}
        line |= {f"{name}_{what}": _rounded(value) for what, value in figures.items()}
    line |= _named("cost", row.costs) | _named("seconds", row.seconds)
    if gain := row.improvement:
        ends = gain.interval or (None, None)
        figures = {"mean": gain.relative, "low": ends[0], "high": ends[1]}
        line |= {f"over_random_{what}": _rounded(value) for what, value in figures.items()}
    return line


def _theirs(figure: Published) -> dict[str, Any]:
    return {
        "kind": "published",
        "method": figure.label,
        "source": figure.citation,
        **{f"{name}_mean": _rounded(value) for name, value in figure.scores.items()},
    }


def _named(prefix: str, figures: Mapping[str, float]) -> dict[str, float | None]:
    return {f"{prefix}_{name}": _rounded(value) for name, value in figures.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
