"""Beat-by-beat comparisons as tables: scores of each record, gross and average; all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nasbench_ecg.ec57.comparison import LABELS, MISSING, SHUT_DOWN, Comparison
from nasbench_ecg.ec57.scores import Ec57Scores, average, gross, scores_of_pairs
from nasbench_ecg.report.table import Cell, Column, Table, TableRow, text_table
from nasbench_ecg.signal.aami import CLASSES
from nasbench_ecg.text import percent

_SCORES = {
    "qrs_se": "QRS Se", "qrs_pp": "QRS +P",
    "v_se": "V Se", "v_pp": "V +P", "v_fpr": "V FPR",
    "s_se": "S Se", "s_pp": "S +P", "s_fpr": "S FPR",
}  # fmt: skip

_NOTE = (
    "In percent. Se: sensitivity, +P: positive predictivity, FPR: false positive rate. Fusion and "
    "unknown beats that the test calls V, and unknown beats that it calls S, are not counted as "
    "errors. Gross: all beats together. Average: mean over the records that have the score. An "
    "empty cell: nothing to count."
)


def tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """Return the table of scores, and the table of all pairs."""
    return [_score_table(comparisons), _pair_table(comparisons)]


def as_data(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the comparisons as JSON data; scores are fractions, None where nothing was counted."""
    return {
        "labels": list(LABELS),
        "records": [
            {
                "record": one.record,
                "pairs": one.counts.tolist(),
                "shutdown_seconds": one.shutdown_seconds,
                **asdict(scores_of_pairs(one.counts)),
            }
            for one in comparisons
        ],
        "gross": asdict(gross(comparisons)),
        "average": asdict(average(comparisons)),
    }


def _score_table(comparisons: Sequence[Comparison]) -> Table:
    rows = [_row(one.record, scores_of_pairs(one.counts), _beats(one)) for one in comparisons]
    if len(comparisons) > 1:
        every = [sum(counts) for counts in zip(*map(_beats, comparisons), strict=True)]
        rows.append(_row("gross", gross(comparisons), every))
        rows.append(_row("average", average(comparisons)))
    columns = (
        Column("record", numeric=False),
        *(Column(name, priority=3) for name in ("beats", "V", "S")),
        *(Column(name, priority=2 if key.endswith("fpr") else 1) for key, name in _SCORES.items()),
    )
    table_rows = tuple(TableRow(tuple(row)) for row in rows)
    return Table("EC57 scores", columns, table_rows, footnotes=(_NOTE,))


def _row(name: str, scores: Ec57Scores, beats: Sequence[int] = ()) -> list[Cell]:
    counts = [Cell(f"{n:,}", n) for n in beats] or [Cell()] * 3
    values = [getattr(scores, key) for key in _SCORES]
    return [
        Cell(name),
        *counts,
        *(Cell() if value is None else Cell(percent(value), value) for value in values),
    ]


def _beats(comparison: Comparison) -> list[int]:
    """Return the beats of the reference: all, V, and S."""
    rows = comparison.counts.sum(axis=1)
    chosen = [rows[LABELS.index(name)] for name in ("V", "S")]
    return [int(rows[: len(CLASSES)].sum()), *map(int, chosen)]


def _pair_table(comparisons: Sequence[Comparison]) -> Table:
    counts = np.sum([one.counts for one in comparisons], axis=0)
    rows = [
        [Cell(label), *(Cell(f"{n:,}", n) for n in row)]
        for label, row in zip(LABELS, counts.tolist(), strict=True)
    ]
    seconds = sum(one.shutdown_seconds for one in comparisons)
    return text_table(
        "Pairs of beats",
        ["reference \\ test", *LABELS],
        rows,
        [
            f"Rows: the reference, columns: the test. {MISSING}: no beat. {SHUT_DOWN}: no beat "
            "because that annotation marks both signals as unreadable; the test does for "
            f"{seconds:.0f} s."
        ],
    )
