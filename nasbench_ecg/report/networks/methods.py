"""The method of each run whose network was tested on other beats."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.report.leaderboard.folds import fold_of
from nasbench_ecg.report.leaderboard.grouping import by_method, data_of, seed_of, what_differs
from nasbench_ecg.report.leaderboard.types import Leaderboard, RunId
from nasbench_ecg.report.networks.evaluation import Method
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import origin_of


def tested_methods(records: Sequence[RunRecord]) -> Iterator[tuple[RunRecord, Method, Hashable]]:
    """Yield each run with its method, and with what it has in common with a copy of it.

    A copy is a record of the same run in another suite, or a run with the same options and seeds:
    leaderboards count the two once.
    """
    by_id = _methods(leaderboards(records))
    by_content: dict[Hashable, Method] = {}
    for record in records:
        if method := by_id.get(_id(record)):
            by_content.setdefault(_content(record), method)
    for record in records:
        content = _content(record)
        method = by_id.get(_id(record)) or by_content.get(content)
        yield record, method or Method(record.strategy, " · ".join(record.track[:3])), content


def _id(record: RunRecord) -> RunId:
    return record.run_key, record.submitted_by


def _content(record: RunRecord) -> Hashable:
    """Return what makes two records one result of a leaderboard: data, method and seeds."""
    (method,) = by_method([record])
    return (
        record.track,
        data_of(record),
        method,
        (origin_of(record) or {}).get("run_key"),
        seed_of(record),
        fold_of(record),
    )


def _methods(boards: Sequence[Leaderboard]) -> dict[RunId, Method]:
    """Return the method of each run of leaderboards.

    Leaderboards of one dataset, protocol and profile differ in options, evaluator, beats, split or
    classes. Their networks were trained on other data, so they are told apart.
    """
    found: dict[RunId, Method] = {}
    for board in boards:
        trained = " · ".join(_track(board))
        alike = [other for other in boards if _track(other) == _track(board)]
        if details := what_differs(board, alike):
            trained = f"{trained} ({', '.join(details)})"
        for row in board.rows:
            found |= dict.fromkeys(row.run_ids, Method(board.label(row), trained))
    return found


def _track(board: Leaderboard) -> tuple[str, str, str]:
    return board.track.dataset, board.track.protocol, board.track.profile
