"""The progress of searches as CSV: one line for each point of each curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nasbench_ecg.report.leaderboard.anytime import curves
from nasbench_ecg.report.leaderboard.types import Report
from nasbench_ecg.report.render.csv import as_csv, board_identity

_NAMES = (
    "dataset", "protocol", "profile", "evaluator", "beats", "split",
    "method", "quantity", "effort", "at", "searches", "mean", "quartile_1", "quartile_3",
)  # fmt: skip


def render(report: Report) -> str:
    """Return best score so far and hypervolumes against evaluations and seconds, as fractions."""
    return as_csv(_NAMES, list(_lines(report)))


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    for board in report.leaderboards:
        for curve in curves(report, board):
            for at, mean, low, high in zip(
                curve.points, curve.mean, curve.low, curve.high, strict=True
            ):
                yield {
                    **board_identity(board),
                    "method": curve.method,
                    "quantity": curve.quantity,
                    "effort": curve.effort,
                    "at": at,
                    "searches": curve.searches,
                    "mean": mean,
                    "quartile_1": low,
                    "quartile_3": high,
                }
