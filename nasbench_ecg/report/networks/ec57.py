"""Beat-by-beat comparisons as tables: scores of each record, gross and average; all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
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


def tables(
    comparisons: Sequence[Comparison], *, detection: bool = True, notes: Sequence[str] = ()
) -> list[Table]:
    """Return the table of scores, and the table of all pairs.

    Args:
        comparisons: The comparisons.
        detection: Whether the beats were detected, so that this is scored too.
        notes: Further footnotes.
    """
    shown = {key: name for key, name in _SCORES.items() if detection or not key.startswith("qrs")}
    scores = _score_table(comparisons, shown)
    return [
        replace(scores, footnotes=(*scores.footnotes, *notes)),
        _pair_table(comparisons, LABELS if detection else CLASSES),
    ]


def as_data(comparisons: Sequence[Comparison], *, detection: bool = True) -> dict[str, Any]:
    """Return the comparisons as JSON data; scores are fractions, None where nothing was counted.

    Args:
        comparisons: The comparisons.
        detection: Whether the beats were detected, so that this is scored too.
    """

    def scores(found: Ec57Scores) -> dict[str, float | None]:
        return {k: v for k, v in asdict(found).items() if detection or not k.startswith("qrs")}

    return {
        "labels": list(LABELS),
        "records": [
            {
                "record": one.record,
                "pairs": one.counts.tolist(),
                "shutdown_seconds": one.shutdown_seconds,
                **scores(scores_of_pairs(one.counts)),
            }
            for one in comparisons
        ],
        "gross": scores(gross(comparisons)),
        "average": scores(average(comparisons)),
    }


def _score_table(comparisons: Sequence[Comparison], shown: Mapping[str, str]) -> Table:
    rows = [
        _row(one.record, scores_of_pairs(one.counts), shown, _beats(one)) for one in comparisons
    ]
    if len(comparisons) > 1:
        every = [sum(counts) for counts in zip(*map(_beats, comparisons), strict=True)]
        rows.append(_row("gross", gross(comparisons), shown, every))
        rows.append(_row("average", average(comparisons), shown))
    columns = (
        Column("record", numeric=False),
        *(Column(name, priority=3) for name in ("beats", "V", "S")),
        *(Column(name, priority=2 if key.endswith("fpr") else 1) for key, name in shown.items()),
    )
    table_rows = tuple(TableRow(tuple(row)) for row in rows)
    return Table("EC57 scores", columns, table_rows, footnotes=(_NOTE,))


def _row(
    name: str, scores: Ec57Scores, shown: Mapping[str, str], beats: Sequence[int] = ()
) -> list[Cell]:
    counts = [Cell(f"{n:,}", n) for n in beats] or [Cell()] * 3
    values = [getattr(scores, key) for key in shown]
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


def _pair_table(comparisons: Sequence[Comparison], labels: Sequence[str]) -> Table:
    n = len(labels)
    counts = np.sum([one.counts for one in comparisons], axis=0)[:n, :n]
    rows = [
        [Cell(label), *(Cell(f"{n:,}", n) for n in row)]
        for label, row in zip(labels, counts.tolist(), strict=True)
    ]
    seconds = sum(one.shutdown_seconds for one in comparisons)
    return text_table(
        "Pairs of beats",
        ["reference \\ test", *labels],
        rows,
        []
        if SHUT_DOWN not in labels
        else [
            f"Rows: the reference, columns: the test. {MISSING}: no beat. {SHUT_DOWN}: no beat "
            "because that annotation marks both signals as unreadable; the test does for "
            f"{seconds:.0f} s."
        ],
    )
