"""The windows of one record, as the options of a dataset say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.contracts import DataSource
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.noise import NOISE_DATABASE, Noise, add_noise, read_noise
from nasbench_ecg.signal.qrs import detect_r_peaks
from nasbench_ecg.signal.records import Record
from nasbench_ecg.signal.resampling import denoise_at
from nasbench_ecg.signal.windows import Windows, segment


def noise_of(options: WaveformOptions, source: DataSource | None) -> Noise | None:
    """Return the noise record of the options, if there is one.

    Raises:
        OptionError: There is one, and no ``source`` to read it from.
        RecordError: It is missing or damaged.
    """
    if options.added_noise is None:
        return None
    if source is None:
        raise OptionError(
            "This dataset does not support the option 'added_noise'.",
            fix="Its author has to pass source=... to cut_beats.",
        )
    return read_noise(source.folder(NOISE_DATABASE), options.added_noise)


def windows_of(
    record: Record, options: WaveformOptions, classes: Sequence[str], noise: Noise | None
) -> Windows:
    """Return the windows of a record: noise added, denoised, cut and normalized."""
    if noise is not None:
        assert options.snr is not None
        record = add_noise(record, noise, options.snr)
    windows = segment(
        replace(
            record,
            signals=denoise_at(record.signals, record.fs, options.denoise_rate, options.denoise),
        ),
        before=options.before,
        after=options.after,
        head=options.head,
        tail=options.tail,
        classes=classes,
        normalise=options.normalise,
        rate=options.rate,
        rhythm=options.rhythm,
        differences=options.differences,
        symbols=options.symbols,
        max_missing=options.max_missing,
        shift=_shifts(record, options),
    )
    if options.planes is None:
        return windows
    n_leads = len(record.signals) * (1 if options.differences is None else 2)
    used = [*range(n_leads), *(n_leads + i for i in options.plane_index)]
    return replace(windows, signals=windows.signals[:, used])


def _shifts(record: Record, options: WaveformOptions) -> NDArray[np.int64] | None:
    """Return by how many samples the window of each annotation is moved; None if none is."""
    aligned, random = options.align_marks, options.mark_shift
    if aligned is None and random is None:
        return None
    shift = np.zeros(len(record.samples), dtype=np.int64)
    if aligned is not None:
        shift += to_detected_peaks(record, aligned)
    if random is not None:
        shift += _random_shifts(record, random)
    return shift


def to_detected_peaks(record: Record, milliseconds: float) -> NDArray[np.int64]:
    """Return the shift of each annotation to the nearest detected R peak, in samples.

    It is 0 where no peak is within ``milliseconds``.

    Raises:
        RecordError: A lead has an infinite sample.
    """
    signals = np.asarray(record.signals, dtype=np.float64)
    if record.missing is not None:
        signals = np.where(record.missing, np.nan, signals)
    peaks = detect_r_peaks(signals, record.fs)
    if not len(peaks):
        return np.zeros(len(record.samples), dtype=np.int64)
    after = np.searchsorted(peaks, record.samples).clip(0, len(peaks) - 1)
    before = (after - 1).clip(0)
    shift = np.stack([peaks[before], peaks[after]]) - record.samples
    nearest: NDArray[np.int64] = np.take_along_axis(
        shift, np.abs(shift).argmin(axis=0)[None], axis=0
    )[0]
    return np.where(np.abs(nearest) <= milliseconds / 1e3 * record.fs, nearest, 0)


def _random_shifts(record: Record, milliseconds: float) -> NDArray[np.int64]:
    """Return random shifts of the annotations in samples, the same for a record at each call."""
    rng = np.random.default_rng(crc32(record.name.encode()))
    seconds = rng.uniform(-milliseconds, milliseconds, len(record.samples)) / 1e3
    return np.rint(seconds * record.fs).astype(np.int64)
