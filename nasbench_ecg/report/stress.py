"""Stress tests as tables, and as curves of the score against the disturbance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nasbench_ecg.report.evaluation import network, score_cells, score_columns, tested
from nasbench_ecg.report.render.html import svg
from nasbench_ecg.report.table import Cell, Chart, Column, Table, TableRow
from nasbench_ecg.studies.stress import MARK_SHIFT, StressTest

_NAMES = {
    "bw": "baseline wander",
    "em": "electrode motion",
    "ma": "muscle artifact",
    MARK_SHIFT: "shifted R marks",
}
_F1 = "f1_of_macro"

_NOISE_NOTE = (
    "In percent. Noise of the MIT-BIH Noise Stress Test Database is added to the records as its "
    "program nst does: after five minutes, two minutes with and two without noise alternate. The "
    "scores are those of the beats in the segments with noise, at each signal-to-noise ratio and "
    "without noise. Beats are cut at the annotated R peaks: a detector would lose more."
)
_SHIFT_NOTE = (
    "In percent. The window of each beat is moved by a random time, at most that of the row in "
    "either direction. The scores are those of all tested beats."
)


def tables(found: Sequence[StressTest]) -> list[Table]:
    """Return a table for each disturbance, with a row for each network and level.

    Its chart shows F1 against the level, one curve for each network; accuracy takes the place of F1
    where a test has none.
    """
    numbers = {label: i for i, label in enumerate(dict.fromkeys(map(_label, found)))}
    return [
        replace(_table(name, tests), chart=_chart(name, tests, numbers))
        for name, tests in _by_disturbance(found).items()
    ]


def as_data(found: Sequence[StressTest]) -> dict[str, Any]:
    """Return the stress tests as JSON data; scores are fractions."""
    return {"stress_tests": [one.as_data() for one in found]}


def _by_disturbance(found: Sequence[StressTest]) -> dict[str, list[StressTest]]:
    names = dict.fromkeys(one.disturbance for one in found)
    return {name: [one for one in found if one.disturbance == name] for name in names}


def _table(name: str, tests: Sequence[StressTest]) -> Table:
    rows = []
    for one in tests:
        for level in one.levels:
            n = int(np.sum(level.confusion))
            cells = [Cell(network(one)), Cell(tested(one)), _level_cell(name, level.level)]
            rows.append(TableRow((*cells, Cell(f"{n:,}", n), *score_cells(level.metrics))))
    columns = (
        Column("network", numeric=False),
        Column("tested on", numeric=False, priority=3),
        Column("shift" if name == MARK_SHIFT else "SNR"),
        Column("beats", priority=3),
        *score_columns(),
    )
    notes = [_SHIFT_NOTE if name == MARK_SHIFT else _NOISE_NOTE]
    notes += dict.fromkeys(
        f"{network(one)} on {tested(one)}: {note}" for one in tests for note in one.notes
    )
    return Table(_title(name), columns, tuple(rows), footnotes=tuple(notes))


def _level_cell(name: str, level: float | None) -> Cell:
    if level is None:
        return Cell("none" if name == MARK_SHIFT else "no noise")
    unit = "±{:g} ms" if name == MARK_SHIFT else "{:g} dB"
    return Cell(unit.format(level).replace("-", "−"), level)


def _title(name: str) -> str:
    return f"Stress test: {_NAMES[name]}" + ("" if name == MARK_SHIFT else f" ({name})")


def _label(one: StressTest) -> str:
    return f"{network(one)} ({one.run_key[:8]}) on {tested(one)}"


def _chart(name: str, tests: Sequence[StressTest], numbers: Mapping[str, int]) -> Chart:
    metric = _F1 if all(_F1 in one.levels[0].metrics for one in tests) else "accuracy"
    shown = "F1" if metric == _F1 else "accuracy"
    curves = [
        sorted((lv.level, 100 * lv.metrics[metric]) for lv in one.levels if lv.level is not None)
        for one in tests
    ]
    clean = [100 * one.levels[0].metrics[metric] for one in tests]
    against = "largest shift of the R marks, ms" if name == MARK_SHIFT else "SNR, dB"
    x = svg.horizontal(against, [at for curve in curves for at, _ in curve])
    y = svg.vertical(f"{shown}, %", [*clean, *(value for curve in curves for _, value in curve)])
    marks = []
    for one, curve, undisturbed in zip(tests, curves, clean, strict=True):
        label, places = _label(one), [(x.place(at), y.place(value)) for at, value in curve]
        number, level = numbers[label], y.place(undisturbed)
        marks.append(svg.line(number, [(x.start, level), (x.end, level)], "undisturbed", label))
        marks.append(svg.line(number, places, "curve", label))
        marks += [svg.mark(number, *place, label) for place in places]
    drawn = svg.plot(x, y, marks, description=f"{shown} against {against}; dashed: undisturbed")
    methods = tuple(dict.fromkeys(map(_label, tests)))
    return Chart(_title(name), drawn, methods, tuple(numbers[label] for label in methods))
