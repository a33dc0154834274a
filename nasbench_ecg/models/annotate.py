"""Annotate a recording: detect its R peaks, and classify each beat with a trained network.

A recording is read in parts of about half an hour, so that a day fits in memory. R peaks of the
whole recording come first, since rhythm planes may need all of them, then the median beat if the
network gets differences from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.models.classifier import BeatClassifier
from nasbench_ecg.models.recording_parts import (
    FLAT_SECONDS,
    Moments,
    WindowCutter,
    denoised,
    parts_of,
    read_part,
)
from nasbench_ecg.progress import Progress
from nasbench_ecg.signal.median_beat import beats_of_median, median_beat, with_differences
from nasbench_ecg.signal.qrs import SHORTEST_SECONDS, detect_r_peaks
from nasbench_ecg.signal.recordings import Recording, lead_names, match_leads
from nasbench_ecg.signal.rhythm import rhythm_planes
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNCLASSIFIED = "Q"
"""Symbol of a beat that was detected but whose window leaves the recording or has no signal."""

_SAME_BEAT_SECONDS = 0.2
_LEAST_INTERVALS = 5
_USUAL_RATES = (40, 150)
"""Median heart rates in beats a minute that get no note."""


@dataclass(frozen=True, eq=False)
class AnnotatedRecording:
    """The beats of a recording.

    Attributes:
        name: Name of the record.
        fs: Sampling rate in hertz.
        n_samples: Length of the recording.
        leads: Names of the leads that were used.
        samples: int64 [n_beats], R peaks in order of time.
        symbols: [n_beats], the most probable class of each beat; :data:`UNCLASSIFIED` where there
            is none.
        probabilities: float32 [n_beats, n_classes]; NaN for unclassified beats.
        classes: Names of the classes.
        missing: Share of the samples without signal in the worst lead.
        notes: How the recording differs from what the network was trained for.
        gaps: Periods of a second or more in which no lead has a signal, as their first sample and
            the sample after their last one.
    """

    name: str
    fs: float
    n_samples: int
    leads: tuple[str, ...]
    samples: Ints
    symbols: tuple[str, ...]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    missing: float
    notes: tuple[str, ...]
    gaps: tuple[tuple[int, int], ...] = ()

    def __repr__(self) -> str:
        """Return the name, and the number of beats of each class."""
        counts = ", ".join(f"{symbol} {n:,}" for symbol, n in sorted(Counter(self.symbols).items()))
        return f"<AnnotatedRecording {self.name}: {counted(len(self.samples), 'beat')}: {counts}>"

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each beat: sample, second, symbol, and probability of each class."""
        import pandas as pd

        table = pd.DataFrame({"sample": self.samples, "second": self.samples / self.fs})
        table["symbol"] = list(self.symbols)
        for name, column in zip(self.classes, self.probabilities.T, strict=True):
            table[f"p_{name}"] = column
        return table


def annotate(
    recording: Recording,
    classifier: BeatClassifier,
    progress: Progress,
    *,
    leads: Sequence[str] | None = None,
    peaks: Ints | None = None,
) -> AnnotatedRecording:
    """Return the classified beats of a recording.

    Args:
        recording: The recording.
        classifier: The network.
        progress: Shows progress.
        leads: Leads of the recording in place of those that the network was trained on, in their
            order; by default those of the same names, and for others the first that are left.
        peaks: Sample index of each R peak, int64 [n_beats]; by default they are detected. Equal
            ones are one beat.

    Raises:
        OptionError: The recording has too few leads, or not one lead of each given name.
    """
    channels, notes = choose_leads(recording, classifier, leads)
    parts = list(parts_of(recording))
    differences = classifier.options.differences is not None
    with progress.track(f"Annotating {recording.name}", (2 + differences) * len(parts)) as bar:
        found, n_missing, moments = [], np.zeros(len(channels)), Moments(len(channels))
        silent: list[tuple[int, int]] = []
        for part in parts:
            signals, missing = read_part(recording, channels, part)
            core = slice(part.core[0] - part.first, part.core[1] - part.first)
            n_missing += missing[:, core].sum(axis=1)
            silent += _spans(np.asarray(missing[:, core].all(axis=0)), part.core[0])
            if peaks is None:
                given = np.where(missing, np.nan, signals)
                found.append(part.within(detect_r_peaks(given, recording.fs)))
            if classifier.options.normalise == "per-record":
                clean = denoised(signals, recording, classifier)
                moments.add(clean[:, core], missing[:, core])
            bar.advance()
        samples = _without_doubles(np.concatenate(found), recording.fs) if peaks is None else peaks
        samples = np.unique(samples)  # two marks at one place are one beat
        rhythm, used = classifier.options.rhythm, list(classifier.options.plane_index)
        planes = rhythm_planes(samples, rhythm)[:, used].astype(np.float32) if rhythm else None
        align = classifier.options.align_marks if peaks is not None else None
        cutter = WindowCutter(recording, classifier, channels, samples, moments, align)
        median = None
        if differences:
            template = []
            for part in parts:
                template.append(cutter.cut(part, beats_of_median(len(samples)))[1])
                bar.advance()
            median = median_beat(np.concatenate(template))
        probabilities = np.full((len(samples), len(classifier.classes)), np.nan, np.float32)
        for part in parts:
            own, windows = cutter.cut(part, np.arange(len(samples)))
            if median is not None:
                windows = with_differences(windows, median)
            if planes is not None:
                windows = _with_planes(windows, planes[own])
            if len(windows):
                probabilities[own] = classifier.probabilities(windows)
            bar.advance()
    known: NDArray[np.bool_] = np.asarray(np.isfinite(probabilities).all(axis=1))
    symbols = np.full(len(samples), UNCLASSIFIED, dtype=object)
    symbols[known] = np.array(classifier.classes, dtype=object)[probabilities[known].argmax(axis=1)]
    share = float(n_missing.max() / max(recording.n_samples, 1))
    return AnnotatedRecording(
        name=recording.name,
        fs=recording.fs,
        n_samples=recording.n_samples,
        leads=tuple(lead_names(recording)[channel] for channel in channels),
        samples=samples,
        symbols=tuple(symbols),
        probabilities=probabilities,
        classes=classifier.classes,
        missing=share,
        notes=(
            *recording.notes,
            *classifier.notes,
            *notes,
            *_notes_of_signal(recording, classifier, share, known),
            *_notes_of_rate(samples, recording.fs),
        ),
        gaps=_gaps(silent, recording.fs),
    )


def choose_leads(
    recording: Recording, classifier: BeatClassifier, leads: Sequence[str] | None
) -> tuple[list[int], list[str]]:
    """Return the positions of the leads to use, and what differs from the training.

    Raises:
        OptionError: The recording has too few leads, or not one lead of each given name.
    """
    wanted, names = classifier.leads, lead_names(recording)
    if leads is not None:
        chosen = _named_leads(recording, classifier, leads)
    elif len(recording.leads) < len(wanted):
        raise OptionError(
            f"{classifier.name} needs {len(wanted)} leads ({', '.join(wanted)}); the recording has "
            f"{len(recording.leads)}.",
            where=f"recording {recording.name}",
            fix="Choose a network that was trained on fewer leads.",
        )
    else:
        chosen = match_leads(wanted, names)
    used = [recording.leads[channel] for channel in chosen]
    if tuple(used) == tuple(wanted):
        return chosen, []
    return chosen, [
        f"The network was trained on {', '.join(wanted)}; here it gets {', '.join(used)}."
    ]


def _named_leads(
    recording: Recording, classifier: BeatClassifier, leads: Sequence[str]
) -> list[int]:
    """Return the positions of the leads that a user names, by name or as ``#0``."""
    names = lead_names(recording)
    place = {f"#{i}": i for i in range(len(names))} | {name: i for i, name in enumerate(names)}
    problem = ""
    for i, name in enumerate(leads):
        if name not in place:
            several = name in recording.leads
            problem = f"There {'are several leads' if several else 'is no lead'} {name!r}."
        elif place[name] in [place.get(other) for other in leads[:i]]:
            problem = f"The lead {names[place[name]]!r} is named twice."
    if not problem and len(leads) != len(classifier.leads):
        problem = f"{classifier.name} needs {len(classifier.leads)} leads, not {len(leads)}."
    if problem:
        raise OptionError(
            problem,
            where=f"recording {recording.name}, with the leads {', '.join(recording.leads)}",
            fix=f"Name a lead for each of {', '.join(classifier.leads)}, in this order; '#0' is "
            "the first lead of the recording.",
        )
    return [place[name] for name in leads]


def _spans(marks: NDArray[np.bool_], start: int) -> list[tuple[int, int]]:
    """Return the stretches of True as first and last sample (exclusive), counted from ``start``."""
    edges = np.flatnonzero(np.diff(marks.astype(np.int8), prepend=0, append=0)) + start
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _gaps(spans: Sequence[tuple[int, int]], fs: float) -> tuple[tuple[int, int], ...]:
    """Return the spans of a second or more, those that a border of two parts cuts as one."""
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and joined[-1][1] == first:
            first = joined.pop()[0]
        joined.append((first, last))
    return tuple((first, last) for first, last in joined if last - first >= FLAT_SECONDS * fs)


def _with_planes(windows: NDArray[np.float32], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    constant = np.repeat(planes[:, :, None], windows.shape[2], axis=2)
    return np.concatenate([windows, constant], axis=1)


def _without_doubles(samples: Ints, fs: float) -> Ints:
    """Return the R peaks without a second one of the same beat, at the border of two parts."""
    if not len(samples):
        return samples
    kept = np.concatenate([[True], np.diff(samples) > _SAME_BEAT_SECONDS * fs])
    distinct: Ints = samples[kept]
    return distinct


def _notes_of_signal(
    recording: Recording, classifier: BeatClassifier, missing: float, known: NDArray[np.bool_]
) -> list[str]:
    notes = []
    if recording.fs != classifier.fs:
        notes.append(
            f"The recording has {recording.fs:g} Hz; beats are resampled to the "
            f"{classifier.fs:g} Hz of the network."
        )
    if classifier.options.denoise != "none" and classifier.denoise_rate is None:
        notes.append(
            f"The recording is denoised at its own {recording.fs:g} Hz, which may not be the rate "
            "of the training records."
        )
    if missing > 0:
        notes.append(f"{missing:.1%} of a lead has no signal.")
    if len(known) and not known.all():
        notes.append(
            f"Beats without a class: {int((~known).sum()):,} of {len(known):,}. Such a beat is "
            f"written as {UNCLASSIFIED}: its window leaves the recording or has no signal."
        )
    if not len(known):
        short = recording.n_samples < SHORTEST_SECONDS * recording.fs
        least = f" R peaks are detected in recordings of at least {SHORTEST_SECONDS:g} s."
        notes.append(f"No beat was found.{least if short else ''}")
    return notes


def _notes_of_rate(samples: Ints, fs: float) -> list[str]:
    """Return a note if the beats are unusually far apart or close together."""
    if len(samples) <= _LEAST_INTERVALS:
        return []
    rate = 60 * fs / float(np.median(np.diff(samples)))
    if _USUAL_RATES[0] <= rate <= _USUAL_RATES[1]:
        return []
    return [
        f"The median heart rate is {rate:.0f} beats a minute, which is rare: check the beats, and "
        f"that the recording has {fs:g} samples a second."
    ]
