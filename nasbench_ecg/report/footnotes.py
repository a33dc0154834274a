"""What a reader must know to read a leaderboard rightly, in sentences."""

from __future__ import annotations

from nasbench_ecg.report.leaderboard import RANKED_BY, Leaderboard
from nasbench_ecg.report.pareto import FRONT_MEANING
from nasbench_ecg.report.published import notes_on
from nasbench_ecg.report.statistics import (
    FEWEST_FOR_INTERVAL,
    CriticalDifference,
    fewest_pairs_to_tell,
)
from nasbench_ecg.report.text import seeds_text


def notes(board: Leaderboard) -> list[str]:
    """Return what a reader must know to read a board rightly, one sentence or two each."""
    said = []
    if board.seeds and any(RANKED_BY in row.scores for row in board.rows):
        said.append(
            f"Percentages over {seeds_text(board.seeds)}: mean ± standard deviation "
            "[95% bootstrap interval of the mean]. "
            "F1 is the harmonic mean of macro Se and macro +P."
        )
        said += what_cannot_be_said(len(board.seeds))
    if any(row.improvement for row in board.rows):
        said.append(
            "vs random: relative improvement of mean F1 over random draws from the same space that "
            "were trained by the same recipe (of several, the row that evaluated the fewest "
            "candidates), with its 95% bootstrap interval."
        )
    if any(row.fronts for row in board.rows):
        said.append(f"front: {FRONT_MEANING[0].lower()}{FRONT_MEANING[1:]}.")
    if any(row.missing for row in board.rows):
        said.append("A method that lacks seeds that others have is not ranked.")
    said += notes_on(row.strategy for row in board.rows)
    if board.others:
        others = "another board" if board.others == 1 else f"{board.others} other boards"
        said.append(
            f"Not to be compared with {others} of this track, whose beats or split differ; here "
            f"beats {board.dataset_fingerprint[:8]}, split {board.split_fingerprint[:8]}."
        )
    return said


def what_cannot_be_said(n_seeds: int) -> list[str]:
    """Return what so few seeds do not allow to be said, as sentences."""
    if n_seeds < FEWEST_FOR_INTERVAL:
        return [f"Fewer than {FEWEST_FOR_INTERVAL} seeds give no interval: ranks may be luck."]
    if n_seeds < fewest_pairs_to_tell():
        return [
            f"With {n_seeds} seeds intervals are narrower than their name says, and no paired test "
            f"can reach the 5% level (its least p is {2 / 2**n_seeds:.2g}): small differences "
            "here are not shown to be real."
        ]
    return []


def across_text(found: CriticalDifference) -> str:
    """Return what the tests over several datasets say, in sentences."""
    groups = [", ".join(found.methods[first : last + 1]) for first, last in found.groups]
    parts = [
        f"Over {', '.join(found.datasets)}.",
        f"Friedman's test: p = {found.p:.3f}.",
        f"Average ranks differ at the 5% level from {found.difference:.2f} on (Nemenyi).",
        f"Not told apart: {'; '.join(groups)}." if groups else "",
        found.left_out_text(),
    ]
    return " ".join(filter(None, parts))
