"""Verdicts of leaderboards: which differences between methods the runs show, and which not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nasbench_ecg.report.analysis import RANDOM_SEARCH
from nasbench_ecg.report.leaderboard import RANKED_BY, Leaderboard
from nasbench_ecg.report.statistics import Comparison, min_pairs_for_significance
from nasbench_ecg.report.table import Cell, Column, Table, TableRow
from nasbench_ecg.statistics import SIGNIFICANCE
from nasbench_ecg.text import difference

Decision = Literal["higher", "lower", "not told apart", "too few runs"]


@dataclass(frozen=True)
class Verdict:
    """What the runs say about the difference of two methods of a leaderboard.

    Attributes:
        method: The method.
        against: The method that it is compared with.
        difference: Mean score of ``method`` minus that of ``against``.
        n: Number of paired runs.
        p: p-value of the permutation test, corrected for all comparisons of the leaderboard.
        needed: Fewest paired runs with which a difference can be shown on this leaderboard.
        decision: ``higher`` or ``lower`` if the difference is shown, ``not told apart`` if it is
            not, ``too few runs`` if no difference could be.
    """

    method: str
    against: str
    difference: float
    n: int
    p: float
    needed: int
    decision: Decision


def verdicts(board: Leaderboard) -> list[Verdict]:
    """Return the verdicts of a leaderboard: against its reference, and all differences shown.

    The reference is the row of random architectures whose search evaluated the fewest candidates;
    without one, the first row.
    """
    if not board.comparisons:
        return []
    reference = _reference(board)
    chosen = [
        found
        for found in board.comparisons
        if reference in (found.first, found.second) or found.p_adjusted < SIGNIFICANCE
    ]
    return [_verdict(board, found, reference) for found in chosen]


def _reference(board: Leaderboard) -> int:
    random = [
        i
        for i, row in enumerate(board.rows)
        if row.rank is not None and row.strategy == RANDOM_SEARCH
    ]
    return min(random, key=lambda i: board.rows[i].evaluations or 0.0, default=0)


def _verdict(board: Leaderboard, found: Comparison, reference: int) -> Verdict:
    first, second, gain = found.first, found.second, found.difference
    if first == reference:
        first, second, gain = second, first, -gain
    needed = min_pairs_for_significance(len(board.comparisons))
    decision: Decision = "higher" if gain > 0 else "lower"
    if found.p_adjusted >= SIGNIFICANCE:
        decision = "too few runs" if found.n < needed else "not told apart"
    return Verdict(
        method=board.label(board.rows[first]),
        against=board.label(board.rows[second]),
        difference=gain,
        n=found.n,
        p=found.p_adjusted,
        needed=needed,
        decision=decision,
    )


def verdict_table(boards: Sequence[Leaderboard]) -> Table | None:
    """Return the verdicts of leaderboards as one table; None if no two methods are compared."""
    columns = (
        Column("track", "dataset, protocol, profile and evaluator", numeric=False),
        Column("method", numeric=False),
        Column("against", numeric=False),
        Column("difference", "difference of the mean score; of F1 in points"),
        Column("runs", "paired runs of each"),
        Column("p", "p-value of an exact permutation test, corrected by Holm"),
        Column("verdict", "whether the difference is shown at the 5% level", numeric=False),
    )
    rows = []
    for board in boards:
        for found in verdicts(board):
            gain = found.difference
            texts = (
                str(board.track),
                found.method,
                found.against,
                difference(gain) if board.ranked_by == RANKED_BY else f"{gain:+.4g}",
                str(found.n),
                f"{found.p:.3f}",
                decision_text(found),
            )
            shown = found.decision in ("higher", "lower")
            rows.append(TableRow(tuple(map(Cell, texts)), "significant" if shown else ""))
    if not rows:
        return None
    notes = [
        "Tests are over seeds, on the test beats of the track: they do not say that a difference "
        "holds for other patients or data. p is corrected for all comparisons of a track (Holm).",
        chance_text(boards),
    ]
    return Table("Verdicts", columns, tuple(rows), footnotes=tuple(notes))


def decision_text(verdict: Verdict) -> str:
    """Return the decision in words, with the number of runs that would be needed."""
    if verdict.decision == "too few runs":
        return f"cannot be told with fewer than {verdict.needed} runs"
    return verdict.decision


def chance_text(boards: Sequence[Leaderboard]) -> str:
    """Return how many intervals and tests leaderboards have, and how many mislead by chance."""
    rows = [row for board in boards for row in board.rows]
    seeds = sum(row.ranking is not None and row.ranking.interval is not None for row in rows)
    patients = sum(row.patients is not None for row in rows)
    gains = sum(
        row.improvement is not None and row.improvement.interval is not None for row in rows
    )
    tests = sum(len(board.comparisons) for board in boards)
    families = sum(bool(board.comparisons) for board in boards)
    parts = []
    if seeds or patients:
        parts.append(
            f"{_count(seeds, 'interval')} of a mean over seeds, {patients} over patients: about "
            f"{(seeds + patients) / 20:.2g} of them miss the true mean by chance"
        )
    if gains:
        parts.append(
            f"{_count(gains, 'interval')} of a difference (vs random): about {gains / 20:.2g} "
            "would exclude zero by chance if no method differed"
        )
    if tests:
        each = "" if families == 1 else " on each"
        parts.append(
            f"{_count(tests, 'paired test')} on {_count(families, 'leaderboard')}: about "
            f"{tests / 20:.2g} uncorrected p-values would be below 0.05 by chance; corrected "
            f"together{each}, at most one leaderboard in 20 shows a difference by chance"
        )
    return f"{'. '.join(part[0].upper() + part[1:] for part in parts)}." if parts else ""


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
