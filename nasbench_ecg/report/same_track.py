"""What tells leaderboards of one track apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasbench_ecg.architecture import digest
from nasbench_ecg.options import short_names
from nasbench_ecg.report.leaderboard import Leaderboard
from nasbench_ecg.report.methods import differing
from nasbench_ecg.run.option_text import value_text


def track_name(board: Leaderboard, boards: Sequence[Leaderboard]) -> str:
    """Return the track of a leaderboard, with what tells it from others of that track."""
    details = what_differs(board, [other for other in boards if other.track == board.track])
    return f"{board.track} ({', '.join(details)})" if details else str(board.track)


def what_differs(board: Leaderboard, alike: Sequence[Leaderboard]) -> list[str]:
    """Return what tells a leaderboard from the others of ``alike``, which it is one of."""
    settings, own = [_settings(other) for other in alike], _settings(board)
    names = sorted(differing(settings))
    short = short_names(names)
    details = [f"{short[name]}={value_text(own[name])}" for name in names if name in own]
    if settings.count(own) > 1:
        data = [board.dataset_fingerprint, board.split_fingerprint, list(board.macro_classes)]
        details.append(f"beats {digest(data)[:4]}")
    return details


def _settings(board: Leaderboard) -> dict[str, Any]:
    return {**board.options, "track.evaluator": board.track.evaluator}
