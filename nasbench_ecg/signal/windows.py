"""Cut labeled windows around the R peaks of one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.aami import CLASSES, SymbolMap, labels_of, symbol_map
from nasbench_ecg.signal.median_beat import (
    Differences,
    beats_of_median,
    median_beat,
    with_differences,
)
from nasbench_ecg.signal.records import Record
from nasbench_ecg.signal.resampling import resample
from nasbench_ecg.signal.rhythm import BEAT_SYMBOLS, Rhythm, record_planes

Normalization = Literal["none", "per-beat", "per-record"]
"""``none``: millivolts; the others: z-score of each lead over the window or the whole record.

The mean and the deviation of a record are those of the samples where the lead has a signal.
"""

MAX_MISSING = 0.1
"""Largest share of missing samples in a window: 83 ms of 833 ms, less than a QRS complex."""

F = TypeVar("F", np.float32, np.float64)

FLAT = 1e-6
"""Standard deviation in millivolts of a flat lead: rounding errors, far below any ADC step."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The labeled windows of one record.

    Attributes:
        signals: float32 [n_beats, n_leads, n_samples]; differences from the median beat come
            after the leads of the record, and rhythm planes are the last leads.
        labels: int64 [n_beats], index into the requested classes.
        sample: int64 [n_beats], sample index of the R peak, at the original sampling rate.
        dropped: Number of beats of each class, [n_classes], whose window exceeds the record, or
            that are annotated behind its end.
        missing: Number of other beats of each class, [n_classes], whose window has no signal.
        fs: Sampling rate of ``signals`` in hertz.
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    sample: NDArray[np.int64]
    dropped: tuple[int, ...]
    missing: tuple[int, ...]
    fs: float


def segment(
    record: Record,
    *,
    before: int,
    after: int,
    head: int = 0,
    tail: int = 0,
    classes: Sequence[str] = CLASSES,
    normalise: Normalization = "none",
    rate: float | None = None,
    rhythm: Rhythm | None = None,
    differences: Differences | None = None,
    symbols: SymbolMap | None = None,
    max_missing: float | None = None,
    shift: NDArray[np.int64] | None = None,
) -> Windows:
    """Return the window R−``before`` … R+``after`` (inclusive) of each labeled beat of a record.

    Args:
        record: The record, filtered or not.
        before: Samples before the R peak, at ``rate``; also the index of the R peak in the window.
        after: Samples after the R peak, at ``rate``.
        head: Number of annotations, of any type, to skip at the start.
        tail: Number of annotations, of any type, to skip at the end.
        classes: AAMI classes to keep; other beats are skipped.
        normalise: ``none``, ``per-beat`` or ``per-record``; a flat lead becomes zero.
        rate: Sampling rate in hertz to which the record is first resampled (polyphase,
            anti-aliased); None: its own rate.
        rhythm: Form of the rhythm planes (:func:`rhythm_planes`) to append as constant leads, which
            are neither resampled nor normalized; None: no planes.
        differences: ``median-beat`` appends each lead minus the median beat as a further lead. The
            median is over all beats of the record that have a window, with and without a class,
            normalized like these windows. None: no differences.
        symbols: Map from annotation symbols to classes; None: ``papers``.
        max_missing: Largest share of missing samples of a lead in a window (``Record.missing``);
            other beats are dropped. None: :data:`MAX_MISSING`; 1 keeps all.
        shift: Samples by which each annotation is moved before the window is cut,
            [n_annotations]; ``Windows.sample`` and rhythm planes keep the annotated place.

    Raises:
        OptionError: The record cannot be resampled to ``rate``.
    """
    kept = slice(head, max(len(record.symbols) - tail, head))
    labels = labels_of(record.symbols[kept], classes, symbol_map(symbols))
    is_beat = labels >= 0
    labels, sample = labels[is_beat], record.samples[kept][is_beat]

    signals, ratio = resample(record.signals, record.fs, rate)
    if normalise == "per-record":
        signals = _z_score(signals, _known(record, signals.shape[1], float(ratio)))
    share = MAX_MISSING if max_missing is None else max_missing
    cutter = _Cutter(record, signals, float(ratio), before, after, share, normalise == "per-beat")
    moved = record.samples if shift is None else record.samples + shift
    windows, inside, missing = cutter.cut(sample, moved[kept][is_beat])
    outside = ~(inside | missing)
    if differences is not None:
        beats = np.flatnonzero(np.isin(record.symbols, list(BEAT_SYMBOLS)))
        beats = beats[beats_of_median(len(beats))]
        every, *_ = cutter.cut(record.samples[beats], moved[beats])
        windows = with_differences(windows, median_beat(every))
    if rhythm is not None:
        planes = record_planes(record, rhythm)[kept][is_beat][inside]
        windows = _with_planes(windows, planes)
    dropped, without = (
        np.bincount(labels[left_out], minlength=len(classes)) for left_out in (outside, missing)
    )
    return Windows(
        signals=windows.astype(np.float32, copy=False),
        labels=labels[inside],
        sample=sample[inside],
        dropped=tuple(int(n) for n in dropped),
        missing=tuple(int(n) for n in without),
        fs=float(record.fs if rate is None else rate),
    )


@dataclass(frozen=True, eq=False)
class _Cutter:
    """Cuts the windows of a record, and normalizes them one by one if ``per_beat``."""

    record: Record
    signals: NDArray[np.float64]
    ratio: float
    before: int
    after: int
    max_missing: float
    per_beat: bool

    def cut(
        self, sample: NDArray[np.int64], at: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the windows of some beats, which beats have one, and which lack a signal for it.

        Args:
            sample: Where the beats are annotated, [n_beats].
            at: Where their windows are, [n_beats].
        """
        peak = np.rint(at * self.ratio).astype(np.int64)
        inside = (peak >= self.before) & (peak + self.after < self.signals.shape[1])
        inside &= sample < self.record.signals.shape[1]
        missing = inside & (
            _missing_share(self.record, at, self.before / self.ratio, self.after / self.ratio)
            > self.max_missing
        )
        inside = inside & ~missing
        windows = _cut(self.signals, peak[inside] - self.before, self.before + 1 + self.after)
        return (_z_score(windows) if self.per_beat else windows), inside, missing


def _missing_share(
    record: Record, sample: NDArray[np.int64], before: float, after: float
) -> NDArray[np.float64]:
    """Return the share of missing samples in the worst lead of each window, [n_beats]."""
    if record.missing is None:
        return np.zeros(len(sample))
    n_missing = np.pad(record.missing.cumsum(axis=1), ((0, 0), (1, 0)))
    n_samples = record.missing.shape[1]
    first = np.clip(np.rint(sample - before), 0, n_samples - 1).astype(np.int64)
    last = np.clip(np.rint(sample + after) + 1, first + 1, n_samples).astype(np.int64)
    share: NDArray[np.float64] = (n_missing[:, last] - n_missing[:, first]) / (last - first)
    worst: NDArray[np.float64] = share.max(axis=0)
    return worst


def _known(record: Record, n_samples: int, ratio: float) -> NDArray[np.bool_] | Literal[True]:
    """Return where each lead has a signal, [n_leads, n_samples], at ``ratio`` of its own rate.

    True: everywhere. A lead without any signal counts as a whole.
    """
    if record.missing is None:
        return True
    place = np.rint(np.arange(n_samples) / ratio).astype(np.int64)
    known = ~record.missing[:, place.clip(0, record.missing.shape[1] - 1)]
    return known | ~known.any(axis=1, keepdims=True)


def _cut(
    signals: NDArray[np.float64], starts: NDArray[np.int64], width: int
) -> NDArray[np.float32]:
    """Return windows [n_beats, n_leads, width] that start at ``starts``."""
    if signals.shape[1] < width:
        return np.empty((0, len(signals), width), dtype=np.float32)
    every = np.lib.stride_tricks.sliding_window_view(signals.astype(np.float32), width, axis=1)
    return np.ascontiguousarray(every[:, starts].transpose(1, 0, 2))


def _with_planes(windows: NDArray[np.float32], planes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return windows [n_beats, n_leads, width] with planes [n_beats, n_planes] as further leads."""
    constant = np.repeat(planes[:, :, None].astype(np.float32), windows.shape[2], axis=2)
    return np.concatenate([windows, constant], axis=1)


def _z_score(values: NDArray[F], known: NDArray[np.bool_] | Literal[True] = True) -> NDArray[F]:
    """Return values with the mean 0 and the deviation 1 of the ``known`` ones, on the last axis."""
    values = values - values.mean(axis=-1, keepdims=True, where=known)
    deviation = values.std(axis=-1, keepdims=True, where=known)
    values /= np.where(deviation > FLAT, deviation, np.inf)
    return values
