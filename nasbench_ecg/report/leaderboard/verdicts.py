"""Verdicts of leaderboards: which differences between methods the runs show, and which not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from nasbench_ecg.report.leaderboard.comparisons import RANDOM_SEARCH, effort
from nasbench_ecg.report.leaderboard.grouping import track_name
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.report.statistics.patient_permutation import min_persons_for_significance
from nasbench_ecg.report.statistics.seeds import Comparison
from nasbench_ecg.report.table import Cell, Column, Table, TableRow
from nasbench_ecg.statistics import SIGNIFICANCE, min_pairs_for_significance
from nasbench_ecg.text import counted, difference, p_value

_OVER_SEEDS = (
    "Tests are over seeds, on the test beats of the track: they do not say that a difference "
    "holds for other patients or data. p is corrected for all comparisons of a track (Holm). "
    "Bold: shown at the 5% level."
)
_COLUMNS = "Differences are of the mean score, of F1 in points; runs: paired runs of each method."
_OVER_PERSONS = (
    "The last three columns are of another test: the two methods are exchanged in each test "
    "patient. It says whether a difference of these trained networks holds for other patients of "
    "the same kind, and not whether it holds for other seeds."
)
_NONE_TOLD = "These runs are too few for any verdict, whatever their scores."
_PERSON_COLUMNS = (
    Column("patients", "persons of the test part"),
    Column("p, patients", "p-value of exchanging the methods in each, corrected by Holm"),
    Column("over patients", "whether that difference is shown at the 5% level", numeric=False),
)

Decision = Literal["higher", "lower", "not told apart", "too few runs", "too few persons"]
_SHOWN: frozenset[Decision | None] = frozenset({"higher", "lower"})


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
        n_persons: Number of test persons; None where the methods are not compared over persons.
        p_persons: p-value of the test over persons, corrected likewise.
        over_persons: The decision of that test, for these trained networks on other persons;
            ``too few persons`` if it could show no difference.
        needed_persons: Fewest persons with which it could; None if no number is enough.
    """

    method: str
    against: str
    difference: float
    n: int
    p: float
    needed: int
    decision: Decision
    n_persons: int | None = None
    p_persons: float | None = None
    over_persons: Decision | None = None
    needed_persons: int | None = None


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
        if reference in (found.first, found.second) or found.smallest_p < SIGNIFICANCE
    ]
    return [_verdict(board, found, reference) for found in chosen]


def _reference(board: Leaderboard) -> int:
    random = [
        i
        for i, row in enumerate(board.rows)
        if row.rank is not None and row.strategy == RANDOM_SEARCH
    ]
    return min(random, key=lambda i: effort(board.rows[i]), default=0)


def _verdict(board: Leaderboard, found: Comparison, reference: int) -> Verdict:
    first, second, gain = found.first, found.second, found.difference
    if first == reference:
        first, second, gain = second, first, -gain
    needed = min_pairs_for_significance(len(board.comparisons))
    shown: Decision = "higher" if gain > 0 else "lower"
    untold: Decision = "too few runs" if found.n < needed else "not told apart"
    over_persons: Decision | None = None
    tests = sum(one.n_persons is not None for one in board.comparisons)
    needed_persons = min_persons_for_significance(tests)
    if found.n_persons is not None and found.p_persons_adjusted is not None:
        told = needed_persons is not None and found.n_persons >= needed_persons
        untold_persons: Decision = "not told apart" if told else "too few persons"
        over_persons = shown if found.p_persons_adjusted < SIGNIFICANCE else untold_persons
    return Verdict(
        method=board.label(board.rows[first]),
        against=board.label(board.rows[second]),
        difference=gain,
        n=found.n,
        p=found.p_adjusted,
        needed=needed,
        decision=shown if found.p_adjusted < SIGNIFICANCE else untold,
        n_persons=found.n_persons,
        p_persons=found.p_persons_adjusted,
        over_persons=over_persons,
        needed_persons=needed_persons,
    )


def verdict_table(boards: Sequence[Leaderboard]) -> Table | None:
    """Return the verdicts of leaderboards as one table; None if no two methods are compared.

    Differences of a track that so few runs cannot show share one row.
    """
    by_board = [(board, verdicts(board)) for board in boards]
    every = [found for _, of_board in by_board for found in of_board]
    if not every:
        return None
    with_persons = any(found.n_persons for found in every)
    columns = (
        Column("track", "dataset, protocol, profile and evaluator", numeric=False),
        Column("method", numeric=False),
        Column("against", numeric=False),
        Column("difference", "difference of the mean score; of F1 in points"),
        Column("runs", "paired runs of each"),
        Column("p", "p-value of a permutation test, corrected by Holm"),
        Column("verdict", "whether the difference is shown at the 5% level", numeric=False),
        *(_PERSON_COLUMNS if with_persons else ()),
    )
    rows = [
        _row(board, track_name(board, boards), group, with_persons)
        for board, of_board in by_board
        for group in _groups(of_board)
    ]
    if with_persons or any(found.decision != "too few runs" for found in every):
        notes = [_OVER_SEEDS, *([_OVER_PERSONS] if with_persons else []), chance_text(boards)]
    else:
        notes = [_NONE_TOLD]
    notes[0] += f" {_COLUMNS}"
    return Table("Verdicts", columns, tuple(rows), footnotes=tuple(notes))


def _groups(found: Sequence[Verdict]) -> list[list[Verdict]]:
    """Return the verdicts one by one, but those that so few runs cannot show together."""
    groups: dict[object, list[Verdict]] = {}
    for i, one in enumerate(found):
        untold = one.decision == "too few runs" and one.n_persons is None
        groups.setdefault((one.against, one.n) if untold else i, []).append(one)
    return list(groups.values())


def _row(board: Leaderboard, track: str, group: Sequence[Verdict], with_persons: bool) -> TableRow:
    first = group[0]
    shown = first.decision in _SHOWN
    cells = [
        Cell(track),
        Cell("; ".join(found.method for found in group)),
        Cell(first.against),
        Cell("; ".join(difference_text(board, found.difference) for found in group)),
        Cell(str(first.n)),
        Cell(p_value(first.p) if len(group) == 1 else "", strong=shown),
        Cell(decision_text(first), strong=shown),
    ]
    if with_persons:
        shown = first.over_persons in _SHOWN
        p = "" if first.p_persons is None else p_value(first.p_persons)
        cells += [
            Cell(str(first.n_persons or "")),
            Cell(p, strong=shown),
            Cell(_over_persons_text(first), strong=shown),
        ]
    return TableRow(tuple(cells))


def difference_text(board: Leaderboard, gain: float) -> str:
    """Return a difference of the score that ranks a leaderboard, of F1 in points."""
    return difference(gain) if board.ranked_by == RANKED_BY else f"{gain:+.4g}"


def decision_text(verdict: Verdict) -> str:
    """Return the decision in words, with the number of runs that would be needed."""
    if verdict.decision == "too few runs":
        return f"cannot be told with fewer than {verdict.needed} runs"
    return verdict.decision


def _over_persons_text(verdict: Verdict) -> str:
    if verdict.over_persons != "too few persons":
        return verdict.over_persons or ""
    if verdict.needed_persons is None:
        return "cannot be told among so many methods"
    return f"cannot be told with fewer than {verdict.needed_persons} patients"


def chance_text(boards: Sequence[Leaderboard]) -> str:
    """Return how many intervals and tests leaderboards have, and how many mislead by chance."""
    rows = [row for board in boards for row in board.rows]
    seeds = sum(row.ranking is not None and row.ranking.interval is not None for row in rows)
    patients = sum(row.patients is not None for row in rows)
    gains = sum(
        row.improvement is not None and row.improvement.interval is not None for row in rows
    )
    tests = sum(len(board.comparisons) for board in boards)
    least_persons = min_persons_for_significance(1) or inf
    of_patients = sum(one.n_persons is not None for board in boards for one in board.comparisons)
    families = sum(bool(board.comparisons) for board in boards)
    able = sum(
        (one.n >= min_pairs_for_significance()) + ((one.n_persons or 0) >= least_persons)
        for board in boards
        for one in board.comparisons
    )
    parts = []
    if seeds or patients:
        parts.append(
            f"{counted(seeds, 'interval')} of a mean over seeds, {patients} over patients: about "
            f"{(seeds + patients) / 20:.2g} of them miss the true mean by chance"
        )
    if gains:
        parts.append(
            f"{counted(gains, 'interval')} of a difference (vs random): about {gains / 20:.2g} "
            "would exclude zero by chance if no method differed"
        )
    if able:
        each = "" if families == 1 else " on each"
        what = counted(tests, "paired test")
        kinds = ""
        if of_patients:
            what += f" over seeds and {of_patients} over patients"
            kinds = " in the tests over seeds, and one in those over patients"
        parts.append(
            f"{what} on {counted(families, 'leaderboard')}: about {able / 20:.2g} "
            f"uncorrected p-values would be below 0.05 by chance; corrected together{each}, "
            f"at most one leaderboard in 20 shows a difference by chance{kinds}"
        )
    return f"{'. '.join(part[0].upper() + part[1:] for part in parts)}." if parts else ""
