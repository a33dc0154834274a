"""Figures of signals: the beats of a dataset, and parts of an annotated recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plot.style import COLORS, STYLE, axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_ecg.front.loading import SplitBeats
    from nasbench_ecg.models.annotate import AnnotatedRecording
    from nasbench_ecg.signal.recordings import Recording


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
    with axes_of(ax) as axes:
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
    with rc_context(cast("Any", STYLE)):
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
