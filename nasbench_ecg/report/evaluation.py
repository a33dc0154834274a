"""Trained networks on other beats as tables: trained on → tested on, classes, records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_ecg.report.table import Cell, Column, Table, TableRow, text_table
from nasbench_ecg.studies.evaluate import CarriedWeights
from nasbench_ecg.studies.stress import StressTest
from nasbench_ecg.text import percent

SCORES = {
    "accuracy": "accuracy", "f1_of_macro": "F1", "macro_se": "macro Se", "macro_pp": "macro +P",
    "ec57_v_se": "V Se", "ec57_v_pp": "V +P", "ec57_s_se": "S Se", "ec57_s_pp": "S +P",
}  # fmt: skip
_OF_RECORDS = ("accuracy", "ec57_v_se", "ec57_v_pp", "ec57_s_se", "ec57_s_pp")

_NOTE = (
    "The weights are those of the run: nothing was trained on the dataset that is tested on. "
    "In percent. F1 is the harmonic mean of macro Se and macro +P. V and S are scored as in EC57: "
    "fusion and unknown beats that are called V, and unknown beats that are called S, are not "
    "counted as errors. An empty cell: nothing to score. Scores of two datasets also differ "
    "because their beats do: compare F1 only where the classes are the same."
)


def tables(found: Sequence[CarriedWeights]) -> list[Table]:
    """Return the board, then the classes, the matrix and the records of each evaluation."""
    result = [_board(found)]
    for one in found:
        result += [_class_table(one), _matrix(one), _record_table(one)]
    return result


def as_data(found: Sequence[CarriedWeights]) -> dict[str, Any]:
    """Return the evaluations as JSON data; scores are fractions."""
    return {"evaluations": [one.as_data() for one in found]}


def _board(found: Sequence[CarriedWeights]) -> Table:
    rows: dict[str, TableRow] = {}
    for one in found:
        own = [Cell(one.strategy), Cell(_trained(one)), Cell("its own test part"), Cell()]
        rows.setdefault(one.run_key, TableRow((*own, *score_cells(one.own_metrics))))
        n = int(np.sum(one.confusion))
        cells = [Cell(network(one)), Cell(_trained(one)), Cell(tested(one)), Cell(f"{n:,}", n)]
        key = f"{one.run_key} {one.file} {one.file_name}"
        rows[key] = TableRow((*cells, *score_cells(one.metrics)))
    columns = (
        Column("network", numeric=False),
        Column("trained on", numeric=False),
        Column("tested on", numeric=False),
        Column("beats", priority=3),
        *score_columns(),
    )
    notes = list(dict.fromkeys(note for one in found for note in _notes(one)))
    return Table("Trained on → tested on", columns, tuple(rows.values()), footnotes=(_NOTE, *notes))


def _notes(one: CarriedWeights) -> Iterator[str]:
    where = f"{one.strategy} on {tested(one)}"
    if one.shared:
        beats = ", ".join(f"{name} {n:,}" for name, n in one.shared_beats.items())
        done = "are tested nevertheless" if one.kept_shared else "are left out"
        noun = "record" if len(one.shared) == 1 else "records"
        yield (
            f"{where}: {len(one.shared)} {noun} of persons that the network was trained on {done} "
            f"({', '.join(one.shared)}; beats: {beats})."
        )
    else:
        yield f"{where}: no person that the network was trained on is known to be tested."
    if one.merged:
        counted = ", ".join(f"{name} as {other}" for name, other in one.merged.items())
        yield f"{where}: counted are {counted}."
    for note in one.notes:
        yield f"{where}: {note}"


def _class_table(one: CarriedWeights) -> Table:
    rows: list[list[Cell | str]] = [
        [
            name,
            f"{row['support']:,.0f}",
            *(percent(row[key]) if key in row else "" for key in ("se", "pp", "spe", "f1")),
        ]
        for name, row in one.per_class.items()
    ]
    macro = f"Macro scores average over {', '.join(one.macro_classes)}."
    headings = ["class", "beats", "Se", "+P", "Spe", "F1"]
    return text_table(f"Classes: {_title(one)}", headings, rows, [macro])


def _matrix(one: CarriedWeights) -> Table:
    rows: list[list[Cell | str]] = [
        [name, *(Cell(f"{n:,}", n) for n in row)]
        for name, row in zip(one.classes, one.confusion, strict=True)
    ]
    return text_table(f"Confusion matrix: {_title(one)}", ["true \\ predicted", *one.classes], rows)


def _record_table(one: CarriedWeights) -> Table:
    shown = [name for name in one.classes if name in one.macro_classes]
    rows = []
    for record in one.records:
        true = dict(zip(one.classes, np.sum(record.confusion, axis=1).tolist(), strict=True))
        counts = [sum(true.values()), *(true[name] for name in shown)]
        cells = [
            Cell(record.record),
            Cell(record.person),
            *(Cell(f"{n:,}", n) for n in counts),
            *score_cells(record.metrics, _OF_RECORDS),
        ]
        rows.append(TableRow(tuple(cells)))
    columns = (
        Column("record", numeric=False),
        Column("person", numeric=False, priority=4),
        Column("beats", priority=2),
        *(Column(name, f"beats of {name}", priority=3) for name in shown),
        *(Column(SCORES[name], best="high", priority=1) for name in _OF_RECORDS),
    )
    return Table(f"Records: {_title(one)}", columns, tuple(rows))


def score_cells(
    metrics: Mapping[str, float], names: Sequence[str] | Mapping[str, str] = SCORES
) -> list[Cell]:
    """Return a cell in percent for each score; empty where there is none."""
    values = [metrics.get(name) for name in names]
    return [Cell() if value is None else Cell(percent(value), value) for value in values]


def score_columns() -> list[Column]:
    """Return the columns of :data:`SCORES`."""
    return [
        Column(label, best="high", priority=2 if name.startswith("macro") else 1)
        for name, label in SCORES.items()
    ]


def network(one: CarriedWeights | StressTest) -> str:
    """Return the name of the network in tables."""
    return one.file or one.strategy


def _trained(one: CarriedWeights | StressTest) -> str:
    return f"{one.trained_on} · {one.trained_protocol}"


def tested(one: CarriedWeights | StressTest) -> str:
    """Return the dataset and the protocol that a network is tested on."""
    return f"{one.tested_on} · {one.protocol}" if one.protocol else one.tested_on


def _title(one: CarriedWeights) -> str:
    return f"{one.strategy} ({one.file or one.run_key[:8]}), {_trained(one)} → {tested(one)}"
