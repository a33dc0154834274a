"""Trained networks on other beats as tables: trained on → tested on, classes, records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_ecg.report.statistics.seeds import summarize
from nasbench_ecg.report.table import Cell, Column, Table, TableRow, text_table
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.studies.evaluate import CarriedWeights
from nasbench_ecg.studies.stress import StressTest
from nasbench_ecg.text import percent

SCORES = {
    "accuracy": "accuracy", "f1_of_macro": "F1", "macro_se": "macro Se", "macro_pp": "macro +P",
    "ec57_v_se": "V Se", "ec57_v_pp": "V +P", "ec57_s_se": "S Se", "ec57_s_pp": "S +P",
}  # fmt: skip
_OF_RECORDS = ("accuracy", "ec57_v_se", "ec57_v_pp", "ec57_s_se", "ec57_s_pp")

SCORES_NOTE = (
    "F1 is the harmonic mean of macro Se and macro +P, the means of sensitivity and positive "
    "predictivity over the classes. V and S are scored as in EC57: "
    "fusion and unknown beats that are called V, and unknown beats that are called S, are not "
    "counted as errors."
)
_NOTE = (
    "The weights are those of the run: nothing was trained on the dataset that is tested on. "
    f"In percent. {SCORES_NOTE} An empty cell: nothing to score. Scores of two datasets also "
    "differ because their beats do: compare F1 only where the classes are the same."
)

MEANS_NOTE = "Mean and standard deviation over the runs of a method, which differ in their seeds."


@dataclass(frozen=True)
class Method:
    """What tables call the method of a run.

    Attributes:
        label: Its name, with the options that tell it from others.
        trained: What the run trained on: dataset, protocol and profile.
    """

    label: str
    trained: str


Methods = Mapping[int, Method]
"""The method of each test, by ``id()`` of the test, because an own run and a submitted one may have
one key. The tests of a method are shown together."""


def tables(found: Sequence[CarriedWeights], methods: Methods | None = None) -> list[Table]:
    """Return the board, then the classes, the matrix and the records of each evaluation.

    Args:
        found: The evaluations.
        methods: The board has a row for each method, with means over its runs, and nothing follows
            it; None: a row for each run.
    """
    result = [_board(found, methods)]
    for one in found if methods is None else ():
        result += [_class_table(one), _matrix(one), _record_table(one)]
    return result


def as_data(found: Sequence[CarriedWeights]) -> dict[str, Any]:
    """Return the evaluations as JSON data; scores are fractions."""
    return {"evaluations": [one.as_data() for one in found]}


def _board(found: Sequence[CarriedWeights], methods: Methods | None) -> Table:
    differing, runs = _differing(found), told_apart(found, methods)
    own: dict[tuple[str, str, str], dict[str, CarriedWeights]] = {}
    rows: dict[tuple[str, ...], list[CarriedWeights]] = {}
    for one in found:
        key = (_name(one, methods), trained(one, methods), "" if methods else one.run_key)
        own.setdefault(key, {})[one.run_key] = one
        other = "" if methods else one.file_name
        row: tuple[str, ...] = (*key, tested(one), network(one), other, *_details(one, differing))
        rows.setdefault(row, []).append(one)
    lines = []
    for key, by_run in own.items():
        run = runs.get(key[2], ())
        first = [Cell(key[0], details=run), Cell(key[1])]
        first += [Cell("its own test part"), Cell(), _runs(by_run)]
        lines.append((*first, *mean_cells([one.own_metrics for one in by_run.values()])))
        of_network = [(row, tests) for row, tests in rows.items() if row[:3] == key]
        if methods:
            of_network.sort(key=lambda one: (one[0][3], one[0][6:]))
        for row, tests in of_network:
            name = Cell(key[0] if methods else row[4], details=run)
            where = Cell(row[3], details=row[6:])
            n = int(np.sum(tests[0].confusion))
            cells = [name, Cell(key[1]), where, Cell(f"{n:,}", n), _runs(tests)]
            lines.append((*cells, *mean_cells([one.metrics for one in tests])))
    columns = (
        Column("network", numeric=False),
        Column("trained on", numeric=False),
        Column("tested on", numeric=False),
        Column("beats", priority=3),
        Column("runs", "number of trained networks", priority=3),
        *score_columns(),
    )
    if not methods:  # one network a row
        lines = [line[:4] + line[5:] for line in lines]
        columns = columns[:4] + columns[5:]
    notes = list(dict.fromkeys(note for one in found for note in _notes(one, methods)))
    footnotes = (_NOTE, *([MEANS_NOTE] if methods else []), *notes)
    rows_of_table = tuple(TableRow(line) for line in lines)
    return Table("Trained on → tested on", columns, rows_of_table, footnotes=footnotes)


def _runs(tests: Sized) -> Cell:
    return Cell(str(len(tests)), len(tests))


def _differing(found: Sequence[CarriedWeights]) -> set[str]:
    """Return the options in which tests of one run on one dataset differ."""
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in found:
        seen.setdefault((one.run_key, tested(one)), []).append(_settings(one))
    return {
        name
        for settings in seen.values()
        for name in {name for each in settings for name in each}
        if len({str(each.get(name)) for each in settings}) > 1
    }


def _settings(one: CarriedWeights) -> dict[str, Any]:
    merged = ",".join(f"{name}={other}" for name, other in one.merged.items())
    kept = {"keep_shared_persons": True} if one.kept_shared else {}
    return {**one.options, **one.protocol_options, **kept, **({"merge": merged} if merged else {})}


def _details(one: CarriedWeights, differing: set[str]) -> tuple[str, ...]:
    settings = _settings(one)
    return tuple(
        f"{name}={_value(settings[name])}" for name in sorted(differing) if name in settings
    )


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else value_text(value)


def _notes(one: CarriedWeights, methods: Methods | None) -> Iterator[str]:
    where = tested(one) if methods else f"{one.strategy} on {tested(one)}"
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
    return mean_cells([metrics], names)


def mean_cells(
    metrics: Sequence[Mapping[str, float]], names: Sequence[str] | Mapping[str, str] = SCORES
) -> list[Cell]:
    """Return a cell in percent for the mean of each score that all have, with its deviation."""
    cells = []
    for name in names:
        values = [one[name] for one in metrics if name in one]
        if len(values) < len(metrics):
            cells.append(Cell())
            continue
        found = summarize(values)
        spread = "" if found.sd is None else f"± {percent(found.sd)}"
        cells.append(Cell(percent(found.mean), found.mean, spread))
    return cells


def score_columns() -> list[Column]:
    """Return the columns of :data:`SCORES`."""
    return [
        Column(label, best="high", priority=2 if name.startswith("macro") else 1)
        for name, label in SCORES.items()
    ]


def network(one: CarriedWeights | StressTest) -> str:
    """Return the name of the network in tables."""
    return one.file or one.strategy


def told_apart(
    found: Sequence[CarriedWeights], methods: Methods | None
) -> dict[str, tuple[str, ...]]:
    """Return the short key of each run whose row would look like that of another run.

    Args:
        found: The tests.
        methods: As in :func:`tables`; rows of methods have names of their own.
    """
    runs: dict[tuple[str, str], set[str]] = {}
    for one in () if methods else found:
        runs.setdefault((network(one), trained(one)), set()).add(one.run_key)
    return {key: (key[:8],) for keys in runs.values() if len(keys) > 1 for key in keys}


def _name(one: CarriedWeights | StressTest, methods: Methods | None) -> str:
    return methods[id(one)].label if methods else one.strategy


def trained(one: CarriedWeights | StressTest, methods: Methods | None = None) -> str:
    """Return what a network was trained on."""
    if methods:
        return methods[id(one)].trained
    return f"{one.trained_on} · {one.trained_protocol}"


def tested(one: CarriedWeights | StressTest) -> str:
    """Return the dataset and the protocol that a network is tested on."""
    return f"{one.tested_on} · {one.protocol}" if one.protocol else one.tested_on


def _title(one: CarriedWeights) -> str:
    return f"{one.strategy} ({one.file or one.run_key[:8]}), {trained(one)} → {tested(one)}"
