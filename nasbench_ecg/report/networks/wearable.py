"""The board "for a wearable": the score of networks against the memory that they need in int8.

A microcontroller has little flash, which holds the weights, and less RAM, which holds the
activations. Both are costs of a run (:mod:`nasbench_ecg.training.int8`). For records that are older
than these costs, the network is built from its architecture; weights are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasbench_ecg.architecture import digest
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.models.load import build_model
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.comparisons import pareto_front
from nasbench_ecg.report.leaderboard.grouping import track_name
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report, Row
from nasbench_ecg.report.measures import COSTS, RANKED_BY
from nasbench_ecg.report.render.html.charts import f1_against_costs
from nasbench_ecg.report.table import Cell, Column, Table, TableRow
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import percent
from nasbench_ecg.training.int8 import Footprint, footprint

_FLASH, _RAM = "flash_bytes", "ram_bytes"
_COLUMNS = (_FLASH, _RAM, "parameters", "macs")

_NOTE = (
    "F1 of the float networks in percent, mean and standard deviation over the runs. Flash: bytes "
    "of weights, biases and scales in int8. RAM: most bytes of activations alive at once in int8, "
    "for one beat. The program itself is in neither. params: trainable parameters. MACs: "
    "multiply-accumulates to classify one beat. Front: no network of this table with as little "
    "flash has a higher F1. Networks that were not searched are references."
)


def with_footprints(records: Sequence[RunRecord], registry: Registry) -> list[RunRecord]:
    """Return the successful runs that have an F1, with the memory of their networks as costs.

    A run whose network cannot be built here keeps its costs.

    Args:
        records: The runs.
        registry: The available components, which build the networks of older records.
    """
    known: dict[str, Footprint | None] = {}
    found = []
    for record in records:
        if record.status != "ok" or RANKED_BY not in record.metrics:
            continue
        if not {_FLASH, _RAM} <= record.costs.keys():
            key = _network(record)
            if key not in known:
                known[key] = _footprint(record, registry)
            if (memory := known[key]) is not None:
                costs = {_FLASH: memory.flash_bytes, _RAM: memory.ram_bytes}
                record = record.model_copy(update={"costs": {**record.costs, **costs}})
        found.append(record)
    return found


def tables(records: Sequence[RunRecord], registry: Registry) -> list[Table]:
    """Return a table for each track, the smallest network first; its chart is F1 against flash.

    Args:
        records: The runs.
        registry: The available components.
    """
    report = build_report(with_footprints(records, registry), "For a wearable", lambda record: None)
    labels = sorted({board.label(row) for board in report.leaderboards for row in board.rows})
    numbers = {label: number for number, label in enumerate(labels)}
    boards = [_table(board, report, numbers) for board in report.leaderboards]
    return [table for table in boards if table.rows]


def _network(record: RunRecord) -> str:
    """Return a digest of what a network is built from."""
    assert record.dataset is not None
    builder = record.components["builder"]
    shape = [len(record.dataset.leads), record.dataset.n_samples, len(record.classes)]
    return digest([record.architecture, builder.name, builder.options, shape])


def _footprint(record: RunRecord, registry: Registry) -> Footprint | None:
    if record.architecture is None or record.dataset is None:
        return None
    try:
        model = build_model(record, registry)
        return footprint(model, len(record.dataset.leads), record.dataset.n_samples)
    except NasbenchError:  # not installed, or another version than that of the run
        return None


def _table(board: Leaderboard, report: Report, numbers: Mapping[str, int]) -> Table:
    rows = [row for row in board.rows if RANKED_BY in row.scores and _FLASH in row.costs]
    rows.sort(key=lambda row: (row.costs[_FLASH], -row.scores[RANKED_BY].mean))
    # the table has every network, so its front does as well
    axis = {_FLASH: "bytes of flash in int8"}
    charts = f1_against_costs(board, numbers, axis, front_of_all=True)
    points = ((row.scores[RANKED_BY].mean, row.costs[_FLASH]) for row in rows)
    front = pareto_front(dict(enumerate(points)))
    columns = (
        Column("method", numeric=False),
        Column("runs", priority=3),
        Column("F1", "F1 of the test part, in percent", best="high"),
        *(
            Column(COSTS[name].heading, COSTS[name].meaning, best="low", priority=i)
            for i, name in enumerate(_COLUMNS)
        ),
        Column("front", "whether no smaller network has a higher F1", numeric=False, priority=1),
        Column("searched", "whether a search found the network", numeric=False, priority=2),
    )
    lines = [
        TableRow(
            (
                Cell(row.strategy, details=tuple(board.details(row))),
                Cell(str(row.scores[RANKED_BY].n), row.scores[RANKED_BY].n),
                _f1(row),
                *(_cost(row, name) for name in _COLUMNS),
                Cell("front" if i in front else ""),
                Cell("yes" if any(r.trajectory for r in report.finished_runs(row)) else "no"),
            ),
            kind="first" if i in front else "",
        )
        for i, row in enumerate(rows)
    ]
    title = f"For a wearable: {track_name(board, report.leaderboards)}"
    chart = replace(charts[0], name=title) if charts else None
    return Table(title, columns, tuple(lines), (), (_NOTE,), chart)


def _f1(row: Row) -> Cell:
    summary = row.scores[RANKED_BY]
    spread = f"± {percent(summary.sd)}" if summary.sd is not None else ""
    return Cell(percent(summary.mean), summary.mean, spread)


def _cost(row: Row, name: str) -> Cell:
    value = row.costs.get(name)
    return Cell() if value is None else Cell(COSTS[name].show(value), value)
