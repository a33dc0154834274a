"""The page: what its template is filled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from nasbench_ecg.report.columns import Sheet, sheet
from nasbench_ecg.report.leaderboard import Leaderboard, Report, Row
from nasbench_ecg.report.render.html import charts, svg
from nasbench_ecg.report.statistics import SIGNIFICANCE
from nasbench_ecg.report.text import difference
from nasbench_ecg.run.record import RunRecord


@dataclass(frozen=True)
class Matrix:
    """Confusion matrix of a method, summed over its seeds.

    Attributes:
        method: Its name.
        classes: Names of the classes.
        rows: For each true class, number and share within it of each predicted class.
    """

    method: str
    classes: tuple[str, ...]
    rows: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Found:
    """An architecture that a method found."""

    method: str
    seeds: str
    hash: str
    drawing: str


@dataclass(frozen=True)
class Section:
    """All that the page says of one leaderboard."""

    board: Leaderboard
    sheet: Sheet
    methods: tuple[str, ...]
    costs: tuple[charts.Chart, ...]
    course: charts.Chart | None
    matrices: tuple[Matrix, ...]
    found: tuple[Found, ...]


def render(report: Report) -> str:
    """Return the report as one HTML page that loads nothing else."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["points"] = lambda fraction: difference(fraction, 0.0)
    labels = {board.label(row) for board in report.boards for row in board.rows}
    numbers = {label: number for number, label in enumerate(sorted(labels))}
    across = {
        name: (found, Markup(charts.critical_difference(found, numbers)))
        for name, found in report.across.items()
    }
    return environment.get_template("page.html").render(
        title=report.title,
        sections=[_section(report, board, numbers) for board in report.boards],
        across=across,
        choices=_choices(report.boards),
        numbers=numbers,
        symbol=lambda label: Markup(svg.symbol(numbers[label])),
        safe=Markup,
        style=Markup(folder.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(folder.joinpath("page.js").read_text(encoding="utf-8")),
        significance=SIGNIFICANCE,
    )


def _section(report: Report, board: Leaderboard, numbers: Mapping[str, int]) -> Section:
    runs = {board.label(row): report.finished(row) for row in board.rows}
    return Section(
        board=board,
        sheet=sheet(board),
        methods=tuple(board.label(row) for row in board.rows),
        costs=tuple(charts.against_costs(board, numbers)),
        course=charts.course(board, runs, numbers),
        matrices=tuple(filter(None, (_matrix(board, row, report) for row in board.rows))),
        found=tuple(_found(report, runs)),
    )


def _choices(boards: Sequence[Leaderboard]) -> dict[str, list[str]]:
    """Return, by part of a track, the values between which there is a choice."""
    parts = ("dataset", "protocol", "profile", "evaluator")
    values = {part: sorted({getattr(board.track, part) for board in boards}) for part in parts}
    return {part: found for part, found in values.items() if len(found) > 1}


def _matrix(board: Leaderboard, row: Row, report: Report) -> Matrix | None:
    runs = [record for record in report.finished(row) if record.confusion]
    if not runs:
        return None
    classes = tuple(runs[0].classes)
    indices = range(len(classes))
    total = [[sum((r.confusion or [])[i][j] for r in runs) for j in indices] for i in indices]
    rows = tuple(tuple((count, count / (sum(line) or 1)) for count in line) for line in total)
    return Matrix(board.label(row), classes, rows)


def _found(report: Report, runs: Mapping[str, Sequence[RunRecord]]) -> list[Found]:
    """Return the architectures that can be drawn, each once a method."""
    found = []
    for method, records in runs.items():
        by_hash: dict[str, list[int]] = {}
        for record in records:
            name = record.architecture_hash or ""
            if name in report.drawings:
                by_hash.setdefault(name, []).append(record.search_seed)
        for name, seeds in by_hash.items():
            words = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
            found.append(Found(method, words, name, report.drawings[name]))
    return found
