"""All that is reported of some runs, put together once, for every format to write down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nasbench_ecg.report.board import Leaderboard, Row
from nasbench_ecg.report.leaderboard import leaderboards
from nasbench_ecg.report.ranks import CriticalDifference
from nasbench_ecg.report.verdicts import across_datasets
from nasbench_ecg.run.record import RunRecord


@dataclass(frozen=True)
class Report:
    """What some runs say.

    Attributes:
        title: Heading.
        boards: One leaderboard a track.
        across: Methods compared over several datasets, by what these share.
        records: The runs by key; of one that is stored twice, the one that counts.
        drawings: Architectures as text, by hash.
    """

    title: str
    boards: tuple[Leaderboard, ...]
    across: Mapping[str, CriticalDifference]
    records: Mapping[str, RunRecord]
    drawings: Mapping[str, str]

    def finished(self, row: Row) -> list[RunRecord]:
        """Return the runs with a result behind a row, by seed."""
        found = [self.records[key] for key in row.run_keys]
        return sorted(
            (record for record in found if record.status == "ok"),
            key=lambda record: (record.search_seed, record.evaluation_seed),
        )


def assemble(
    records: Sequence[RunRecord],
    title: str,
    draw: Callable[[RunRecord], str | None] = lambda record: None,
) -> Report:
    """Return the report of some runs.

    Args:
        records: The runs.
        title: Its heading.
        draw: Returns the architecture that a run found as text, None where it cannot be drawn.
    """
    boards = tuple(leaderboards(records))
    by_key: dict[str, RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.status != "ok", r.run_key, r.suite)):
        by_key.setdefault(record.run_key, record)
    drawings: dict[str, str] = {}
    for record in by_key.values():
        if record.architecture_hash and record.architecture_hash not in drawings:
            drawing = draw(record)
            if drawing:
                drawings[record.architecture_hash] = drawing.rstrip("\n")
    return Report(title, boards, across_datasets(boards), by_key, drawings)
