"""Leaderboards with the records of persons who are elsewhere, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.report.leaderboard import Leaderboard
from nasbench_ecg.report.overlap import Persons
from nasbench_ecg.report.statistics.patients import persons_of
from nasbench_ecg.run.record import RunRecord


def persons_of_board(board: Leaderboard, runs: Mapping[str, RunRecord]) -> frozenset[str]:
    """Return the persons of the beats of a leaderboard, as far as its runs name them."""
    return frozenset[str]().union(*map(persons_of, _runs_of(board, runs)))


def _runs_of(board: Leaderboard, runs: Mapping[str, RunRecord]) -> list[RunRecord]:
    return [runs[key] for row in board.rows for key in row.run_keys if key in runs]


def with_overlaps(
    boards: Sequence[Leaderboard], runs: Mapping[str, RunRecord], registry: Registry | None
) -> tuple[Leaderboard, ...]:
    """Return leaderboards with the records of persons who are elsewhere, too.

    Two leaderboards of one database have all persons in common; their overlap is not stated.

    Args:
        boards: The leaderboards.
        runs: All runs by key.
        registry: The available components, for records that name no persons.
    """
    persons = Persons(runs, registry)
    of_board = [
        [run for run in _runs_of(board, runs) if run.dataset is not None] for board in boards
    ]
    found = []
    for board, own in zip(boards, of_board, strict=True):
        if not own:
            found.append(board)
            continue
        others = {other[0].track[:2]: other[0] for other in of_board if other}
        also_in = [
            persons.overlap(own[0], *track, frozenset(persons.named(other).values()))
            for track, other in sorted(others.items())
            if persons.named(own[0]).keys().isdisjoint(persons.named(other))
        ]
        found.append(
            replace(
                board,
                searched=tuple(persons.with_searches(own)),
                also_in=tuple(overlap for overlap in also_in if overlap.kept),
            )
        )
    return tuple(found)
