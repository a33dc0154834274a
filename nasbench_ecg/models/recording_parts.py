"""The parts of a recording, and the windows of its beats, prepared as in training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.data.record_windows import to_detected_peaks
from nasbench_ecg.errors import RecordError
from nasbench_ecg.models.classifier import BeatClassifier
from nasbench_ecg.signal.delineation import flat_mask
from nasbench_ecg.signal.filtering import bridge
from nasbench_ecg.signal.recordings import Recording, lead_names
from nasbench_ecg.signal.records import Record
from nasbench_ecg.signal.resampling import denoise_at
from nasbench_ecg.signal.windows import FLAT, segment

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FLAT_SECONDS = 1.0
"""A lead that is constant for longer has no signal there."""

_PART_SECONDS = 1800.0
"""Half an hour, as the records of training: denoising depends on the length and on the noise."""

_OVERLAP_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """A part of a recording: samples to read, and the core of which it answers for the beats.

    Attributes:
        first: The first sample to read.
        last: The sample after the last one to read.
        core: The first sample of the core, and the one after its last one.
    """

    first: int
    last: int
    core: tuple[int, int]

    def within(self, local: Ints) -> Ints:
        """Return the positions in the recording of those in the core."""
        samples: Ints = local + self.first
        return samples[(samples >= self.core[0]) & (samples < self.core[1])]


def parts_of(recording: Recording) -> Iterator[Part]:
    """Yield the parts of a recording, whose cores follow each other and are of one length."""
    n_samples, overlap = recording.n_samples, round(_OVERLAP_SECONDS * recording.fs)
    n_parts = max(1, round(n_samples / (_PART_SECONDS * recording.fs)))
    borders = [n_samples * i // n_parts for i in range(n_parts + 1)]
    for start, stop in itertools.pairwise(borders):
        yield Part(max(0, start - overlap), min(stop + overlap, n_samples), (start, stop))


def read_part(
    recording: Recording, channels: Sequence[int], part: Part
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the signals with gaps interpolated, and what is missing; an empty lead is zero."""
    signals = recording.read(channels, part.first, part.last)
    if len(infinite := np.argwhere(np.isinf(signals))):
        lead, sample = infinite[0]
        raise RecordError(
            f"The signal is infinite at sample {part.first + sample:,}.",
            where=f"recording {recording.name}, lead {lead_names(recording)[channels[lead]]}",
            fix="Remove these values, or set them to NaN.",
        )
    missing: NDArray[np.bool_] = np.isnan(signals)
    missing |= flat_mask(signals, recording.fs, FLAT_SECONDS)
    empty = np.asarray(np.isnan(signals).all(axis=1))
    signals = np.where(empty[:, None], 0.0, signals)
    return bridge(signals), missing


def denoised(signals: Floats, recording: Recording, classifier: BeatClassifier) -> Floats:
    """Return the signals without noise, as the training records were denoised."""
    rate, method = classifier.denoise_rate, classifier.options.denoise
    return denoise_at(signals, recording.fs, rate, method)


class Moments:
    """Mean and standard deviation of each lead over parts of a recording, where it has a signal."""

    def __init__(self, n_leads: int) -> None:
        self.n, self.total, self.squares = np.zeros((3, n_leads))

    def add(self, signals: Floats, missing: NDArray[np.bool_]) -> None:
        """Add the signals of a part, and what is missing in them, both [n_leads, n_samples]."""
        self.n += (~missing).sum(axis=1)
        self.total += signals.sum(axis=1, where=~missing)
        self.squares += (signals**2).sum(axis=1, where=~missing)

    def z_score(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return windows [n_beats, n_leads, n_samples] normalized by the whole recording."""
        n = np.maximum(self.n, 1)
        mean = self.total / n
        deviation = np.sqrt(np.maximum(self.squares / n - mean**2, 0))
        scale = np.where(deviation > FLAT, deviation, np.inf)
        return ((windows - mean[:, None]) / scale[:, None]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class WindowCutter:
    """Cuts the windows of beats out of parts of a recording.

    Attributes:
        recording: The recording.
        classifier: Says how windows are cut and prepared.
        channels: Positions of the leads.
        samples: Sample index of every R peak.
        moments: Mean and standard deviation of each lead, for ``per-record``.
        align: Milliseconds within which windows are moved to detected R peaks; None moves none.
    """

    recording: Recording
    classifier: BeatClassifier
    channels: Sequence[int]
    samples: Ints
    moments: Moments
    align: float | None

    def cut(self, part: Part, beats: Ints) -> tuple[Ints, NDArray[np.float32]]:
        """Return which of ``beats``, by number, have a window in the part, and their windows."""
        first, last = part.core
        own = beats[(self.samples[beats] >= first) & (self.samples[beats] < last)]
        samples, options = self.samples[own], self.classifier.options
        signals, missing = read_part(self.recording, self.channels, part)
        record = Record(
            name=self.recording.name,
            fs=self.recording.fs,
            leads=self.classifier.leads,
            signals=signals,
            symbols=np.full(len(samples), "N"),
            samples=samples - part.first,
            comments=(),
            missing=missing if missing.any() else None,
        )
        per_record = options.normalise == "per-record"
        cut = segment(
            replace(record, signals=denoised(signals, self.recording, self.classifier)),
            before=options.before,
            after=options.after,
            normalise="none" if per_record else options.normalise,
            rate=self.classifier.fs,
            max_missing=options.max_missing,
            shift=None if self.align is None else to_detected_peaks(record, self.align),
        )
        windows = self.moments.z_score(cut.signals) if per_record else cut.signals
        return own[np.searchsorted(samples, cut.sample + part.first)], windows
