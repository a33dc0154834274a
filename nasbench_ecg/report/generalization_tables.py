"""The generalisation report as tables: the matrix, the scores, the classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nasbench_ecg.report.generalization import SCORES, Column, Generalization, Method, Result
from nasbench_ecg.report.leaderboard import RANKED_BY
from nasbench_ecg.report.published import Published, figures
from nasbench_ecg.report.statistics import Summary
from nasbench_ecg.report.table import Grid
from nasbench_ecg.report.text import amount, difference, percent, value_text

_HEADINGS = {"accuracy": "Acc", "macro_se": "Se", "macro_pp": "+P", RANKED_BY: "F1"}
_MATRIX_NOTE = (
    "F1 (harmonic mean of macro Se and macro +P) in percent, mean ± standard deviation over runs, "
    "or that of a single run; in brackets, in points, how it differs from the dataset's own best: "
    "of the methods run there directly, with as many runs as any, the one with the highest F1."
)


def tables(report: Generalization) -> list[Grid]:
    """Return the matrix of all datasets, then scores and classes of each dataset."""
    labels = _labels(report.methods)
    grids = [_matrix(report, labels)]
    for column in report.columns:
        grids += [_scores(column, labels), *_classes(column, labels)]
    return grids


def _labels(methods: Sequence[Method]) -> dict[Method, str]:
    """Return a name for each method: the plainest that no other has."""
    labels = {}
    for method in methods:
        names = [method.label]
        rivals = [m for m in methods if m.label == method.label]
        if len({rival.builder for rival in rivals}) > 1:
            names.append(method.builder)
        rivals = [rival for rival in rivals if rival.builder == method.builder]
        if len({rival.device for rival in rivals}) > 1:
            names.append(f"on {method.device}")
        rivals = [rival for rival in rivals if rival.device == method.device]
        labels[method] = ", ".join([*names, *_telling(method, rivals)])
    return labels


def _telling(method: Method, rivals: Sequence[Method]) -> list[str]:
    """Return the options that tell a method from others of its name."""
    options = json.loads(method.options)
    others = [json.loads(rival.options) for rival in rivals]
    return [
        f"{name.partition('.')[2]}={value_text(value)}"
        for name, value in sorted(options.items())
        if any(other.get(name) != value for other in others)
    ]


def _heading(column: Column, columns: Sequence[Column]) -> str:
    """Return the dataset's name, with as much of its track as tells it from the others."""
    track = column.track
    same = [other.track for other in columns if other.track.dataset == track.dataset]
    names = [track.dataset]
    names += [
        getattr(track, field)
        for field in ("protocol", "profile", "evaluator")
        if len({getattr(other, field) for other in same}) > 1
    ]
    if sum(other == track for other in same) > 1:
        names.append(f"beats {column.beats[:6]}, split {column.split[:6]}")
    return " · ".join(names)


def _matrix(report: Generalization, labels: dict[Method, str]) -> Grid:
    headings = [_heading(column, report.columns) for column in report.columns]
    rows = []
    for method in report.methods:
        home = report.home.get(method)
        cells = [_matrix_cell(column.results.get(method)) for column in report.columns]
        rows.append((labels[method], _spread(home) if home else "", *cells))
    best = tuple(
        f"Own best of {heading}: {labels[column.own_best]}, "
        f"{percent(column.results[column.own_best].f1)} "
        f"({_runs(len(column.results[column.own_best].run_keys))})."
        for heading, column in zip(headings, report.columns, strict=True)
        if column.own_best is not None
    )
    return Grid(
        "Generalisation",
        ("method", "where found", *headings),
        tuple(rows),
        (_MATRIX_NOTE, *best),
    )


def _runs(n: int) -> str:
    return "one run" if n == 1 else f"{n} runs"


def _matrix_cell(result: Result | None) -> str:
    if result is None:
        return ""
    text = _spread(result.scores[RANKED_BY])
    return text if result.drop is None else f"{text} ({difference(-result.drop, 0.0)})"


def _spread(summary: Summary) -> str:
    mean = percent(summary.mean)
    return mean if summary.sd is None else f"{mean} ± {100 * summary.sd:.2f}"


def _scores(column: Column, labels: dict[Method, str]) -> Grid:
    """Return the scores of one dataset, each method followed by its published figure.

    Published figures that none of our methods stands for come last.
    """
    rows = []
    others = figures(column.track.dataset, column.track.protocol)
    for method, result in column.results.items():
        runs = str(len(result.run_keys))
        size = "" if result.parameters is None else amount(result.parameters)
        shown = (_spread(result.scores[name]) if name in result.scores else "" for name in SCORES)
        rows.append((labels[method], runs, size, *shown))
        if result.published:
            rows.append(_published_row(result.published))
            others = [figure for figure in others if figure != result.published]
    rows += map(_published_row, others)
    return Grid(
        f"{column.track}",
        ("method", "runs", "params", *_HEADINGS.values()),
        tuple(rows),
    )


def _published_row(figure: Published) -> tuple[str, ...]:
    shown = (percent(figure.scores[name]) if name in figure.scores else "" for name in SCORES)
    return (f"  published: {figure.label} ({figure.citation})", "", "", *shown)


def _classes(column: Column, labels: dict[Method, str]) -> Iterator[Grid]:
    """Yield how each class differs from the own best; nothing where there is none."""
    if column.own_best is None:
        return
    best = column.results[column.own_best]
    names = [name for name in column.classes if name in best.classes]
    if not names:
        return
    rows = [
        (
            f"{labels[column.own_best]} (own best)",
            *(
                percent(row["f1"]) if "f1" in row else ""
                for row in (best.classes[name] for name in names)
            ),
        )
    ]
    for method, result in column.results.items():
        if result.class_differences:
            cells = (_class_cell(result.class_differences.get(name, {})) for name in names)
            rows.append((labels[method], *cells))
    yield Grid(
        f"{column.track}: F1 of each class, and differences from the own best in points",
        ("method", *names),
        tuple(rows),
    )


def _class_cell(differences: Mapping[str, float]) -> str:
    return difference(differences["f1"], 0.0) if "f1" in differences else ""


def as_data(report: Generalization) -> dict[str, Any]:
    """Return the report as JSON data."""
    labels = _labels(report.methods)
    return {
        "methods": [
            {"label": labels[method], **asdict(method), "options": json.loads(method.options)}
            for method in report.methods
        ],
        "where_found": {labels[m]: asdict(summary) for m, summary in report.home.items()},
        "datasets": [
            {
                "track": asdict(column.track),
                "beats": column.beats,
                "split": column.split,
                "own_best": labels[column.own_best] if column.own_best else None,
                "results": {labels[m]: asdict(result) for m, result in column.results.items()},
            }
            for column in report.columns
        ],
    }
