"""Stress tests as tables, and as curves of the score against the disturbance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasbench_ecg.report.networks.evaluation import (
    MEANS_NOTE,
    SCORES_NOTE,
    Methods,
    mean_cells,
    network,
    score_columns,
    tested,
    trained,
)
from nasbench_ecg.report.render.html import svg
from nasbench_ecg.report.table import Cell, Chart, Column, Table, TableRow
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.studies.stress import MARK_SHIFT, StressLevel, StressTest

_NAMES = {
    "bw": "baseline wander",
    "em": "electrode motion",
    "ma": "muscle artifact",
    MARK_SHIFT: "shifted R marks",
}
_F1 = "f1_of_macro"

_NOISE_NOTE = (
    f"In percent. {SCORES_NOTE} Noise of the MIT-BIH Noise Stress Test Database is added to the "
    "records as its program nst does: after five minutes, two minutes with and two without noise "
    "alternate. The scores are those of the beats in the segments with noise, at each "
    "signal-to-noise ratio and without noise. Beats are cut at the annotated R peaks: a detector "
    "would lose more."
)
_CHART_NOTE = "Dashed: the score without the disturbance."
_SHIFT_NOTE = (
    f"In percent. {SCORES_NOTE} The window of each beat is moved by a random time, at most that "
    "of the row in either direction. The scores are those of all tested beats."
)


def tables(found: Sequence[StressTest], methods: Methods | None = None) -> list[Table]:
    """Return a table for each disturbance, with a row for each network and level.

    Its chart shows F1 against the level, one curve for each network; accuracy takes the place of F1
    where a test has none.

    Args:
        found: The stress tests.
        methods: Rows and curves are means over the runs of a method; None: over one run each.
    """
    curves = _curves(found, methods)
    numbers = {label: i for i, label in enumerate(dict.fromkeys(one.label for one in curves))}
    result = []
    for name in dict.fromkeys(one.disturbance for one in curves):
        own = [one for one in curves if one.disturbance == name]
        table = _table(name, own, means=methods is not None)
        result.append(replace(table, chart=_chart(name, own, numbers)))
    return result


def as_data(found: Sequence[StressTest]) -> dict[str, Any]:
    """Return the stress tests as JSON data; scores are fractions."""
    return {"stress_tests": [one.as_data() for one in found]}


@dataclass(frozen=True)
class _Curve:
    """The stress tests of one disturbance that a curve shows: of one run, or of a method's runs."""

    disturbance: str
    network: Cell
    trained: str
    label: str
    tests: tuple[StressTest, ...]

    @property
    def tested(self) -> str:
        return _tested(self.tests[0])

    def levels(self) -> list[tuple[float | None, list[StressLevel]]]:
        """Return each level that all tests have, with its scores in each of them."""
        by_test = [{part.level: part for part in one.levels} for one in self.tests]
        common = [level for level in by_test[0] if all(level in other for other in by_test)]
        return [(level, [parts[level] for parts in by_test]) for level in common]

    def points(self, metric: str) -> list[tuple[float | None, float]]:
        """Return each level with the mean of a score in percent."""
        return [
            (level, 100 * float(np.mean([part.metrics[metric] for part in parts])))
            for level, parts in self.levels()
        ]

    def has(self, metric: str) -> bool:
        """Return whether all levels have a score."""
        return all(metric in part.metrics for _, parts in self.levels() for part in parts)


def _curves(found: Sequence[StressTest], methods: Methods | None) -> list[_Curve]:
    groups: dict[tuple[str, Cell, str, str], list[StressTest]] = {}
    for one in found:
        where = trained(one, methods)
        if methods is None:
            name = Cell(network(one), details=(one.run_key[:8],))
            label = f"{name.label} on {_tested(one)}"
        else:
            name = Cell(methods[id(one)].label)
            label = f"{name.text}, {where}, on {_tested(one)}"
        groups.setdefault((one.disturbance, name, where, label), []).append(one)
    return [_Curve(*key, tuple(tests)) for key, tests in groups.items()]


def _tested(one: StressTest) -> str:
    """Return what a network was tested on, with what was set for this test."""
    changed = ", ".join(
        f"{name}={value_text(value)}" for name, value in sorted(one.changed.items())
    )
    return f"{tested(one)} ({changed})" if changed else tested(one)


def _table(name: str, curves: Sequence[_Curve], *, means: bool) -> Table:
    rows = []
    for one in curves:
        for level, parts in one.levels():
            n = int(np.sum(parts[0].confusion))
            cells = [one.network, Cell(one.trained), Cell(one.tested), _level_cell(name, level)]
            runs = [Cell(str(len(parts)), len(parts))] if means else []
            scores = mean_cells([part.metrics for part in parts])
            rows.append(TableRow((*cells, Cell(f"{n:,}", n), *runs, *scores)))
    columns = (
        Column("network", numeric=False),
        Column("trained on", numeric=False, priority=3),
        Column("tested on", numeric=False, priority=3),
        Column("shift" if name == MARK_SHIFT else "SNR"),
        Column("beats", priority=3),
        *([Column("runs", "number of trained networks", priority=3)] if means else []),
        *score_columns(),
    )
    notes = [_SHIFT_NOTE if name == MARK_SHIFT else _NOISE_NOTE, *([MEANS_NOTE] if means else [])]
    notes += dict.fromkeys(
        f"{one.tested if means else f'{one.network.label} on {one.tested}'}: {note}"
        for one in curves
        for test in one.tests
        for note in test.notes
    )
    return Table(_title(name), columns, tuple(rows), footnotes=tuple(notes))


def _level_cell(name: str, level: float | None) -> Cell:
    if level is None:
        return Cell("none" if name == MARK_SHIFT else "no noise")
    unit = "±{:g} ms" if name == MARK_SHIFT else "{:g} dB"
    return Cell(unit.format(level).replace("-", "−"), level)


def _title(name: str) -> str:
    return f"Stress test: {_NAMES[name]}" + ("" if name == MARK_SHIFT else f" ({name})")


def _chart(name: str, curves: Sequence[_Curve], numbers: Mapping[str, int]) -> Chart:
    metric = _F1 if all(one.has(_F1) for one in curves) else "accuracy"
    shown = "F1" if metric == _F1 else "accuracy"
    lines = [
        sorted((level, value) for level, value in one.points(metric) if level is not None)
        for one in curves
    ]
    clean = [next(value for level, value in one.points(metric) if level is None) for one in curves]
    against = "largest shift of the R marks, ms" if name == MARK_SHIFT else "SNR, dB"
    x = svg.horizontal(against, [at for line in lines for at, _ in line])
    y = svg.vertical(f"{shown}, %", [*clean, *(value for line in lines for _, value in line)])
    marks = []
    for one, line, undisturbed in zip(curves, lines, clean, strict=True):
        places = [(x.place(at), y.place(value)) for at, value in line]
        number, level = numbers[one.label], y.place(undisturbed)
        marks.append(svg.line(number, [(x.start, level), (x.end, level)], "undisturbed", one.label))
        marks.append(svg.line(number, places, "curve", one.label))
        marks += [svg.mark(number, *place, one.label) for place in places]
    drawn = svg.plot(x, y, marks, description=f"{shown} against {against}; dashed: undisturbed")
    methods = tuple(one.label for one in curves)
    of_methods = tuple(numbers[label] for label in methods)
    return Chart(_title(name), drawn, methods, of_methods, _CHART_NOTE)
