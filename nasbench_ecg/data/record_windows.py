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
        symbols=options.symbols,
        max_missing=options.max_missing,
        shift=None if options.mark_shift is None else _shifts(record, options.mark_shift),
    )
    if options.planes is None:
        return windows
    n_leads = len(record.signals)
    used = [*range(n_leads), *(n_leads + i for i in options.plane_index)]
    return replace(windows, signals=windows.signals[:, used])


def _shifts(record: Record, milliseconds: float) -> NDArray[np.int64]:
    """Return random shifts of the annotations in samples, the same for a record at each call."""
    rng = np.random.default_rng(crc32(record.name.encode()))
    seconds = rng.uniform(-milliseconds, milliseconds, len(record.samples)) / 1e3
    return np.rint(seconds * record.fs).astype(np.int64)
