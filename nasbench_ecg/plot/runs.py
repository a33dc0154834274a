"""Figures of runs: scores against costs, progress, confusion matrices and found cells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.front.results import LeaderboardTables, Runs, leaderboard, one_run, records_of
from nasbench_ecg.plot.style import COLORS, LINES, MARKERS, WIDTH, axes_of, axes_with_legend
from nasbench_ecg.report.leaderboard.anytime import EFFORTS, Effort, best_curve
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.measures import COSTS
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_against_cost(
    boards: LeaderboardTables | Runs,
    cost: str = "parameters",
    *,
    track: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean score of each method of a leaderboard against a cost, with its seeds' spread.

    Args:
        boards: What ``nb.leaderboard`` returns, or the runs themselves.
        cost: ``parameters``, ``macs``, ``latency_1_ms``, ``latency_256_ms`` or ``peak_memory_mb``.
        track: Which leaderboard, from 0.
        ax: Axes to draw on.

    Raises:
        OptionError: There is no such leaderboard, or no method has the cost.
    """
    boards = boards if isinstance(boards, LeaderboardTables) else leaderboard(boards)
    if not 0 <= track < len(boards):
        raise OptionError(f"There are {len(boards)} leaderboards, and none of number {track}.")
    board = boards.boards[track]
    rows = [row for row in board.rows if row.ranking is not None and cost in row.costs]
    if not rows:
        known = sorted({name for row in board.rows for name in row.costs})
        raise OptionError(
            f"No method of {board.track} has the cost {cost!r}.", fix=nearest(cost, known)
        )
    factor = 100 if board.score_name == "F1" else 1
    with axes_with_legend(ax, [board.label(row) for row in rows]) as axes:
        for i, row in enumerate(rows):
            assert row.ranking is not None
            axes.errorbar(
                row.costs[cost],
                factor * row.ranking.mean,
                yerr=factor * (row.ranking.sd or 0.0),
                fmt=MARKERS[(i + i // len(COLORS)) % len(MARKERS)],
                color=COLORS[i % len(COLORS)],
                capsize=2,
                label=board.label(row),
            )
        if all(row.costs[cost] > 0 for row in rows):
            axes.set_xscale("log")
        axes.set_xlabel(COSTS[cost].meaning if cost in COSTS else cost)
        axes.set_ylabel("F1, %" if board.score_name == "F1" else "score")
        return axes


def anytime(
    runs: Runs | Iterable[RunRecord], against: Effort = "evaluations", *, ax: Axes | None = None
) -> Axes:
    """Draw the best validation score so far of searches: mean and quartiles over their seeds.

    Each method of a leaderboard has a curve of its own, also if only its options differ.

    Args:
        runs: Runs of one track.
        against: ``evaluations`` or ``seconds`` of the search.
        ax: Axes to draw on.

    Raises:
        OptionError: No run has a trajectory, or the runs are of several tracks.
    """
    if against not in EFFORTS:
        raise OptionError(f"There is no {against!r}.", fix="Give 'evaluations' or 'seconds'.")
    records = records_of(runs)
    if len(tracks := {record.track for record in records}) > 1:
        raise OptionError(
            f"These runs are of {len(tracks)} tracks, whose scores cannot be compared.",
            fix="Choose runs of one dataset, protocol, profile and evaluator.",
        )
    report = build_report(records, "")
    found = [
        best_curve(board.label(row), report.finished_runs(row), against)
        for board in report.leaderboards
        for row in board.rows
    ]
    curves = [curve for curve in found if curve is not None]
    if not curves:
        raise OptionError(
            f"No run has a trajectory against {against}.", fix="Give runs of searches."
        )
    with axes_with_legend(ax, [curve.method for curve in curves]) as axes:
        for i, curve in enumerate(curves):
            color, turn = COLORS[i % len(COLORS)], i // len(COLORS)
            axes.step(
                curve.points, curve.mean, where="post", color=color, label=curve.method,
                linestyle=LINES[turn % len(LINES)],
            )  # fmt: skip
            axes.fill_between(
                curve.points, curve.low, curve.high, step="post", color=color, alpha=0.2,
                linewidth=0,
            )  # fmt: skip
        axes.set_xlabel(f"{against} of the search")
        axes.set_ylabel("best validation score so far")
        return axes


def confusion(
    runs: Runs | RunRecord | Iterable[RunRecord] | str,
    *,
    out: Path | str = DEFAULT_OUT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the confusion matrix of some runs, summed: beats, and their share of the true class.

    Args:
        runs: Runs on one dataset under one protocol, or the first characters of a run key.
        out: Folder of results, for a key.
        ax: Axes to draw on.

    Raises:
        OptionError: No run has a confusion matrix, or their classes, datasets or protocols differ.
    """
    given = [one_run(runs, out)[0]] if isinstance(runs, str) else records_of(runs)
    records = [record for record in given if record.confusion is not None]
    if len({tuple(record.classes) for record in records}) != 1:
        raise OptionError("These runs have no confusion matrices of the same classes.")
    tracks = sorted({f"{one.dataset_name} {one.protocol}" for one in records})
    if len(tracks) > 1:
        raise OptionError(
            f"These runs are of several datasets or protocols: {', '.join(tracks)}.",
            fix="Draw those of each on their own.",
        )
    total = np.sum([np.asarray(record.confusion) for record in records], axis=0)
    share = total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    classes = records[0].classes
    with axes_of(ax, height=0.95) as axes:
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i in range(len(classes)):
            for j in range(len(classes)):
                axes.text(
                    j, i, f"{total[i, j]}\n{100 * share[i, j]:.1f}%", ha="center", va="center",
                    fontsize=6, color="white" if share[i, j] > 0.5 else "black",
                )  # fmt: skip
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        return axes


def cell(run: Any, out: Path | str = DEFAULT_OUT, *, ax: Axes | None = None) -> Axes:
    """Draw the architecture that a run found, as its search space draws it.

    Args:
        run: A table of one run, a row of a table, a record, or the start of a run key.
        out: Folder of results, for a record or a key.
        ax: Axes to draw on.

    Raises:
        OptionError: The run found none, or its search space cannot draw it.
    """
    from nasbench_ecg.models.draw import draw
    from nasbench_ecg.plugin.registry import load_registry

    record, _ = one_run(run, out)
    drawing = draw(record, load_registry())
    if not drawing:
        raise OptionError(f"The architecture of the run {record.run_key} cannot be drawn.")
    lines = drawing.rstrip("\n").splitlines()
    with axes_of(ax, height=max(0.3, 0.036 * len(lines))) as axes:
        axes.axis("off")
        size = 330 * WIDTH / 3.4 / max(60, *map(len, lines))
        axes.text(
            0, 1, "\n".join(lines), family="DejaVu Sans Mono", fontsize=size, va="top",
            transform=axes.transAxes,
        )  # fmt: skip
        return axes
