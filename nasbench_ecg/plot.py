"""The standard figures, on matplotlib, in the size and style of a paper.

Each function draws on ``ax``, or on a new figure of one column's width, and returns the axes;
``ax.figure.savefig("figure.pdf")`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.front.results import LeaderboardTables, Runs, leaderboard, one_run, records_of
from nasbench_ecg.report.leaderboard.anytime import EFFORTS, Effort, best_curve
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.measures import COSTS
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_ecg.front.loading import SplitBeats
    from nasbench_ecg.models.annotate import AnnotatedRecording
    from nasbench_ecg.signal.recordings import Recording

__all__ = ["anytime", "beats", "cell", "confusion", "score_against_cost", "strips"]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colors that are distinct with all common kinds of color blindness (Okabe and Ito 2008)."""

_MARKERS = "osD^vPX"
_LINES = ("-", "--", ":", "-.")
_WIDTH = 3.4  # inches: one column of a two-column paper
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
}


@contextmanager
def _axes(ax: Axes | None, height: float = 0.75) -> Iterator[Axes]:
    import matplotlib
    import matplotlib.pyplot as plt

    with plt.rc_context(cast("Any", _STYLE)):
        if ax is None:
            _, ax = plt.subplots(figsize=(_WIDTH, _WIDTH * height), layout="constrained", dpi=150)
        interactive = matplotlib.is_interactive()
        yield ax
    # The backend of a notebook turns this on when it makes its first figure.
    matplotlib.interactive(interactive)


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
    with _axes(ax) as axes:
        for i, row in enumerate(rows):
            assert row.ranking is not None
            axes.errorbar(
                row.costs[cost],
                factor * row.ranking.mean,
                yerr=factor * (row.ranking.sd or 0.0),
                fmt=_MARKERS[(i + i // len(COLORS)) % len(_MARKERS)],
                color=COLORS[i % len(COLORS)],
                capsize=2,
                label=board.label(row),
            )
        if all(row.costs[cost] > 0 for row in rows):
            axes.set_xscale("log")
        axes.set_xlabel(COSTS[cost].meaning if cost in COSTS else cost)
        axes.set_ylabel("F1, %" if board.score_name == "F1" else "score")
        axes.legend()
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
    with _axes(ax) as axes:
        for i, curve in enumerate(curves):
            color, turn = COLORS[i % len(COLORS)], i // len(COLORS)
            axes.step(
                curve.points, curve.mean, where="post", color=color, label=curve.method,
                linestyle=_LINES[turn % len(_LINES)],
            )  # fmt: skip
            axes.fill_between(
                curve.points, curve.low, curve.high, step="post", color=color, alpha=0.2,
                linewidth=0,
            )  # fmt: skip
        axes.set_xlabel(f"{against} of the search")
        axes.set_ylabel("best validation score so far")
        axes.legend()
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
    with _axes(ax, height=0.95) as axes:
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
    with _axes(ax, height=max(0.3, 0.036 * len(lines))) as axes:
        axes.axis("off")
        size = 330 * _WIDTH / 3.4 / max(60, *map(len, lines))
        axes.text(
            0, 1, "\n".join(lines), family="DejaVu Sans Mono", fontsize=size, va="top",
            transform=axes.transAxes,
        )  # fmt: skip
        return axes


def beats(data: SplitBeats | Beats, lead: int = 0, *, ax: Axes | None = None) -> Axes:
    """Draw the beats of each class in one lead: the median beat and its quartiles.

    Args:
        data: What ``nb.load_dataset`` returns, or beats.
        lead: Which lead, from 0.
        ax: Axes to draw on.

    Raises:
        OptionError: There is no such lead.
    """
    found = data if isinstance(data, Beats) else data.beats
    if not 0 <= lead < found.n_leads:
        raise OptionError(f"There is no lead {lead}.", fix=f"The leads: {', '.join(found.leads)}.")
    milliseconds = 1000 * np.arange(found.n_samples) / found.fs
    with _axes(ax) as axes:
        for i, name in enumerate(found.classes):
            chosen = np.flatnonzero(found.labels == i)
            if not len(chosen):
                continue
            signals = np.asarray(found.signals[chosen, lead], np.float64)
            low, middle, high = np.quantile(signals, [0.25, 0.5, 0.75], axis=0)
            color = COLORS[i % len(COLORS)]
            axes.plot(milliseconds, middle, color=color, label=f"{name} ({len(chosen)})")
            axes.fill_between(milliseconds, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set_xlabel("time, ms")
        axes.set_ylabel(f"{found.leads[lead]}, as prepared")
        axes.legend(title="class (beats)")
        return axes


STRIP_SECONDS = 8.0
"""Length of a strip."""

_STRIPS = 8
_STRIP_SIZE = (7.2, 1.5)  # inches, of one strip with one lead
_LEAD_INCHES = 0.9  # more for each further lead


def strips(
    recording: Recording | pd.DataFrame | Path | str,
    found: AnnotatedRecording,
    seconds: Sequence[float] | None = None,
) -> Figure:
    """Draw parts of an annotated recording: the leads, and the class of each beat.

    Args:
        recording: The recording, as :func:`nasbench_ecg.annotate` takes it.
        found: Its beats, as :func:`nasbench_ecg.annotate` returns them.
        seconds: Where the middle of each part is; None: eight parts with the longest runs of V, the
            longest pauses, and beats of the rarer classes.

    Raises:
        OptionError: There is no such recording, a part is outside of it, or there is none.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from nasbench_ecg.report.networks.annotation import chosen_beats
    from nasbench_ecg.signal.recordings import check_seconds, open_recording
    from nasbench_ecg.signal.tables import recording_of_table

    if isinstance(recording, pd.DataFrame):
        recording = recording_of_table(recording, found.fs)
    if isinstance(recording, (str, Path)):
        recording = open_recording(Path(recording), found.fs)
    chosen = seconds is None
    if seconds is None:
        seconds = [float(found.samples[i] / found.fs) for i in chosen_beats(found, _STRIPS)]
    check_seconds(recording, seconds)
    if not len(seconds):
        raise OptionError(f"There is nothing to draw of {recording.name}.")
    width, height = _STRIP_SIZE
    size = (width, len(seconds) * (height + _LEAD_INCHES * (len(found.leads) - 1)))
    with rc_context(cast("Any", _STYLE)):
        figure = Figure(figsize=size, layout="constrained", dpi=150)
        rows = figure.subplots(len(seconds), 1, squeeze=False)[:, 0]
        for axes, at in zip(rows, seconds, strict=True):
            _strip(axes, recording, found, at)
        bold = "; bold: the beat that the strip was chosen for" if chosen else ""
        figure.suptitle(f"{recording.name}: {', '.join(found.leads)}{bold}", fontsize=8)
        return figure


def _strip(axes: Axes, recording: Recording, found: AnnotatedRecording, at: float) -> None:
    """Draw the part of a recording around a second, its leads one below the other, to one scale."""
    from nasbench_ecg.signal.recordings import lead_names

    fs, length = recording.fs, recording.n_samples
    first = max(0, min(round((at - STRIP_SECONDS / 2) * fs), length - round(STRIP_SECONDS * fs)))
    last = min(length, first + round(STRIP_SECONDS * fs))
    channels = [lead_names(recording).index(name) for name in found.leads]
    signals = recording.read(channels, first, last)
    signals = signals - np.nan_to_num(np.nanmedian(signals, axis=1, keepdims=True))
    reach = np.nan_to_num(np.nanmax(np.abs(signals), axis=1))
    below = np.concatenate([[0.0], np.cumsum(reach[:-1] + reach[1:])])
    time = np.arange(first, last) / fs
    for lead, offset in zip(signals, below, strict=True):
        axes.plot(time, lead - offset, color="black", linewidth=0.6)
    inside = np.flatnonzero((found.samples >= first) & (found.samples < last))
    names = list(found.classes)
    for i in inside:
        symbol, second = found.symbols[i], found.samples[i] / fs
        color = COLORS[names.index(symbol) % len(COLORS)] if symbol in names else "gray"
        chosen = abs(second - at) < 0.5 / fs
        axes.axvline(second, color=color, linewidth=1.0 if chosen else 0.4, alpha=0.6)
        axes.annotate(
            symbol, (second, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom",
            color=color, fontsize=7, fontweight="bold" if chosen else "normal",
        )  # fmt: skip
    end = max(last, first + 1) / fs
    axes.set_xlim(first / fs, end)
    axes.set_xlabel("seconds")
    axes.set_yticks(-below, found.leads)
    axes.tick_params("y", length=0)
    bar, middle = end + 0.01 * (end - first / fs), -below[-1] / 2
    axes.plot([bar] * 2, [middle - 0.5, middle + 0.5], color="black", linewidth=1.5, clip_on=False)
    axes.text(bar, middle, " 1 mV", ha="left", va="center", fontsize=7)
    axes.grid(axis="x", linewidth=0.2)
