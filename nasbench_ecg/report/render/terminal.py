"""A leaderboard as a table for the terminal: more columns where it is wider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nasbench_ecg.report.footnotes import what_cannot_be_said
from nasbench_ecg.report.leaderboard import RANKED_BY, Leaderboard, Row
from nasbench_ecg.report.pareto import FRONT_MARK, front_letters
from nasbench_ecg.report.published import Published, notes_on
from nasbench_ecg.report.statistics import Summary
from nasbench_ecg.report.text import (
    amount,
    coarse_duration,
    difference,
    milliseconds,
    percent,
    seeds_text,
    value_text,
)

_OVERALL = (("accuracy", "Acc"), ("macro_se", "Se"), ("macro_pp", "+P"))
_BETWEEN_PATIENTS = (
    ("accuracy", "Acc"),
    ("ec57_s_se", "S Se"),
    ("ec57_s_pp", "S +P"),
    ("ec57_v_se", "V Se"),
    ("ec57_v_pp", "V +P"),
)
_LABEL_WIDTH = 22
_GAP = 2


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        heading: Its heading.
        ours: Cell of one of our rows.
        theirs: Cell of a published figure.
    """

    heading: str
    ours: Callable[[Row], Text]
    theirs: Callable[[Published], Text]

    def width(self, board: Leaderboard) -> int:
        """Return the characters that its widest line takes."""
        cells = [*map(self.ours, board.rows), *map(self.theirs, board.published)]
        lines = [line for cell in cells for line in cell.plain.splitlines()]
        return max(map(len, [self.heading, *lines]))


def leaderboard_table(board: Leaderboard, *, width: int) -> RenderableType:
    """Return a leaderboard for a terminal of ``width`` columns, 80 or more."""
    columns, hidden = _columns(board, width)
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold"
    )
    table.add_column("", justify="right", no_wrap=True, width=_place_width(board))
    table.add_column("strategy", width=_LABEL_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    several_devices = len({row.device for row in board.rows}) > 1
    for row in board.rows:
        style = "bold" if row.rank == 1 else ""
        place = Text(_place(row), style=style)
        label = _label(row, several_devices=several_devices)
        table.add_row(place, label, *(column.ours(row) for column in columns))
    if board.published:
        table.add_section()
        table.add_row("", _published_heading(board.published))
    for figure in board.published:
        label = Text(figure.label, style="italic")
        table.add_row("", label, *(column.theirs(figure) for column in columns))
    return Group(_title(board), Text(""), table, *_notes(board, hidden))


def _columns(board: Leaderboard, width: int) -> tuple[list[_Column], int]:
    """Return as many columns as fit, in the order of their worth, and the number of the others."""
    shown = [_Column("n", lambda row: Text(str(len(row.seeds))), _blank), *_score_columns(board)]
    left = width - _place_width(board) - _LABEL_WIDTH - 2 * _GAP
    left -= sum(column.width(board) + _GAP for column in shown)
    extra = _extra_columns(board)
    for index, column in enumerate(extra):
        left -= column.width(board) + _GAP
        if left < 0:
            return shown, len(extra) - index
        shown.append(column)
    return shown, 0


def _place(row: Row) -> str:
    return f"{FRONT_MARK if row.fronts else ''}{row.rank or '–'}"


def _place_width(board: Leaderboard) -> int:
    return max(2, *(len(_place(row)) for row in board.rows))


def _score_columns(board: Leaderboard) -> list[_Column]:
    if not any(RANKED_BY in row.scores for row in board.rows):
        return _own_scores(board)
    between_patients = board.track.protocol.startswith("inter-patient")
    scores = _BETWEEN_PATIENTS if between_patients else _OVERALL
    f1 = _Column("F1", _f1, lambda figure: _theirs(figure, RANKED_BY))
    return [f1, *(_score_column(name, heading) for name, heading in scores)]


def _extra_columns(board: Leaderboard) -> list[_Column]:
    columns = [
        _Column("vs publ.", _against_published, _blank),
        _Column("vs random", _over_random, _blank),
        _cost_column("params", "parameters", amount),
        _seconds_column("search", "search"),
        _seconds_column("train", "evaluation"),
        _cost_column("MACs", "macs", amount),
        _cost_column("latency", "latency_1_ms", milliseconds),
        _Column("front", lambda row: Text(front_letters(row)), _blank),
        _Column("rank", _rank_interval, _blank),
        _Column("F1 range", _range, _blank),
    ]
    return [column for column in columns if any(column.ours(row).plain for row in board.rows)]


def _own_scores(board: Leaderboard) -> list[_Column]:
    """Return columns for an evaluator that has scores of its own."""
    names = sorted({name for row in board.rows for name in row.scores})
    return [_Column(name, partial(_plain_score, name=name), _blank) for name in names[:3]]


def _score_column(name: str, heading: str) -> _Column:
    return _Column(heading, lambda row: _score(row, name), lambda f: _theirs(f, name))


def _cost_column(heading: str, name: str, show: Callable[[float], str]) -> _Column:
    return _Column(heading, lambda row: _shown(row.costs.get(name), show), _blank)


def _seconds_column(heading: str, name: str) -> _Column:
    return _Column(heading, lambda row: _shown(row.seconds.get(name), coarse_duration), _blank)


def _blank(_: object) -> Text:
    return Text("")


def _shown(value: float | None, show: Callable[[float], str]) -> Text:
    return Text("" if value is None else show(value))


def _score(row: Row, name: str) -> Text:
    summary = row.scores.get(name)
    if summary is None:
        return Text("")
    return _under(percent(summary.mean), _spread(summary))


def _f1(row: Row) -> Text:
    summary = row.scores.get(RANKED_BY)
    if summary is None:
        return Text("")
    spread = _spread(summary)
    mean = Text(percent(summary.mean), style="bold")
    if spread:
        mean.append(f" {spread}", style="not bold dim")
    if summary.interval:
        low, high = map(percent, summary.interval)
        mean.append(f"\n{low}–{high}", style="not bold dim")
    return mean


def _spread(summary: Summary) -> str:
    if summary.sd is None:
        return ""
    return f"±{100 * summary.sd:.{1 if summary.sd > 0.0999 else 2}f}"


def _under(above: str, below: str) -> Text:
    text = Text(above)
    return text.append(f"\n{below}", style="dim") if below else text


def _range(row: Row) -> Text:
    summary = row.scores.get(RANKED_BY)
    if summary is None or summary.n < 2:
        return Text("")
    return Text(f"{percent(summary.worst)}–{percent(summary.best)}")


def _plain_score(row: Row, name: str) -> Text:
    summary = row.scores.get(name)
    if summary is None:
        return Text("")
    return _under(f"{summary.mean:.4g}", "" if summary.sd is None else f"±{summary.sd:.2g}")


def _theirs(figure: Published, name: str) -> Text:
    score = figure.scores.get(name)
    return Text("" if score is None else percent(score), style="italic")


def _against_published(row: Row) -> Text:
    theirs = row.published.scores.get(RANKED_BY) if row.published else None
    if theirs is None or RANKED_BY not in row.scores:
        return Text("")
    return Text(difference(row.scores[RANKED_BY].mean, theirs))


def _over_random(row: Row) -> Text:
    gain = row.improvement
    if gain is None:
        return Text("")
    interval = gain.interval and " to ".join(difference(end, 0.0) for end in gain.interval)
    return _under(f"{difference(gain.relative, 0.0)} %", interval or "")


def _rank_interval(row: Row) -> Text:
    if row.rank_interval is None:
        return Text("")
    low, high = row.rank_interval
    return Text(str(low) if low == high else f"{low}–{high}")


def _label(row: Row, *, several_devices: bool) -> Text:
    text = Text(row.strategy, style="bold" if row.rank == 1 else "")
    options = (f"{name.partition('.')[2]}={value_text(v)}" for name, v in row.options.items())
    details = [row.builder, *options]
    if several_devices:
        details.append(f"on {row.device}")
    for detail in details:
        text.append(f"\n{detail}", style="not bold dim")
    if row.missing:
        text.append(f"\nincomplete: no {seeds_text(row.missing)}", style="not bold yellow")
    for status, count in row.unfinished.items():
        text.append(f"\n{count} {status}", style="not bold red")
    return text


def _published_heading(published: Sequence[Published]) -> Text:
    cites = {figure.cite for figure in published}
    return Text(f"published, {cites.pop()}" if len(cites) == 1 else "published", style="dim")


def _title(board: Leaderboard) -> Text:
    text = Text(str(board.track), style="bold")
    for name, value in board.options.items():
        text.append(f"  {name}={value_text(value)}", style="not bold cyan")
    return text


def _notes(board: Leaderboard, hidden: int) -> list[Text]:
    notes = []
    summaries = [row.scores[RANKED_BY] for row in board.rows if RANKED_BY in row.scores]
    if summaries:
        several = any(summary.n > 1 for summary in summaries)
        interval = any(summary.interval for summary in summaries)
        notes.append(
            f"Percentages{', mean ± sd' if several else ''}; {seeds_text(board.seeds)}. "
            "F1 is the harmonic mean of macro Se and macro +P"
            + ("; below it, a 95% bootstrap interval of the mean." if interval else ".")
        )
        notes += what_cannot_be_said(len(board.seeds)) if interval else []
    if hidden:
        columns = "column needs" if hidden == 1 else "columns need"
        notes.append(f"{hidden} more {columns} a wider terminal.")
    if any(row.fronts for row in board.rows):
        notes.append(
            f"{FRONT_MARK} No ranked method has a higher F1 at no more Parameters, MACs or Latency."
        )
    notes += notes_on(row.strategy for row in board.rows)
    if board.others:
        others = "another board" if board.others == 1 else f"{board.others} other boards"
        notes.append(
            f"Not to be compared with {others} of this track, whose beats or split differ; "
            f"here beats {board.dataset_fingerprint[:8]}, split {board.split_fingerprint[:8]}."
        )
    return [Text(""), *(Text(note, style="dim") for note in notes)] if notes else []
