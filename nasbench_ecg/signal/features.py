"""Eighteen numbers a beat: nine of intervals and amplitudes, for it and for the beat before it.

References:
    The IEMMC paper, section 2.2 and Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.aami import CLASSES, labels_of
from nasbench_ecg.signal.adaptive import adaptive_filter
from nasbench_ecg.signal.delineation import Waves, delineate, faulty
from nasbench_ecg.signal.records import Record

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_NINE = ("rr_before", "rr_after", "qrs_s", "pr_s", "qt_s", "st_s", "p_mv", "r_mv", "t_mv")
FEATURES = (*_NINE, *(f"previous_{name}" for name in _NINE))
"""Names of the features, in the order of the columns.

``rr_before`` and ``rr_after`` are intervals between R peaks as shares of the record's mean; of more
than 6 s they are missing, as beats between were not annotated (ventricular flutter). In seconds:
``qrs_s`` from the Q to the S wave, ``pr_s`` from the P to the R peak, ``qt_s`` from the Q wave to
the T peak, ``st_s`` from the S wave to the onset of the T wave. In millivolts from the baseline:
``p_mv``, ``r_mv``, ``t_mv``. ``previous_`` marks those of the beat before.
"""

_LONGEST_RR = 6.0  # seconds; the longest pause in MIT-BIH is of 5.9 s


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One row a beat.

    Attributes:
        values: float64 [n_beats, 18], columns as :data:`FEATURES`; NaN where a wave is not there.
        record: Name of the record, [n_beats].
        sample: int64 [n_beats], sample index of the beat as annotated.
        label: AAMI class, [n_beats].
        usable: bool [n_beats], False where the lead is flat or saturated around the beat.
    """

    values: Floats
    record: NDArray[np.str_]
    sample: NDArray[np.int64]
    label: NDArray[np.str_]
    usable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> FeatureTable:
        """Return the rows at ``index``."""
        return FeatureTable(
            values=self.values[index],
            record=self.record[index],
            sample=self.sample[index],
            label=self.label[index],
            usable=self.usable[index],
        )

    def filled(self) -> FeatureTable:
        """Return the table without NaN: the record's median in its place, else that of all.

        A column that is NaN everywhere becomes 0.
        """
        import pandas as pd

        frame = pd.DataFrame(self.values)
        own = frame.fillna(frame.groupby(self.record).transform("median"))
        values = own.fillna(own.median()).fillna(0.0).to_numpy(dtype=np.float64)
        return replace(self, values=values)

    def standardised(self) -> FeatureTable:
        """Return the table with mean 0 and deviation 1 in each column; NaN stays.

        Raises:
            OptionError: A column has one value everywhere, or none.
        """
        known = ~np.isnan(self.values)
        n_known = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, self.values, 0.0).sum(axis=0) / n_known
        centred = self.values - mean
        deviation = np.sqrt((np.where(known, centred, 0.0) ** 2).sum(axis=0) / n_known)
        constant = np.flatnonzero(deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0))
        if len(constant):
            raise OptionError(
                f"The feature {FEATURES[constant[0]]} is the same in all {len(self)} beats.",
                fix="Take more beats, or leave the standardisation out.",
            )
        return replace(self, values=centred / deviation)

    def to_frame(self) -> pd.DataFrame:
        """Return a table of pandas: record, sample, label, usable, and the 18 features."""
        import pandas as pd

        keys = pd.DataFrame(
            {
                "record": self.record.astype(object),
                "sample": self.sample,
                "label": self.label.astype(object),
                "usable": self.usable,
            }
        )
        return pd.concat([keys, pd.DataFrame(self.values, columns=list(FEATURES))], axis=1)


def beat_features(
    record: Record, *, lead: int = 0, classes: Sequence[str] = CLASSES
) -> FeatureTable:
    """Return the features of every annotated beat of a record: filter, delineate, measure.

    Args:
        record: The record as read, with its annotations.
        lead: Index into ``record.leads``.
        classes: AAMI classes that count as beats.

    Raises:
        RecordError: The record is too short for the wavelet levels.
        OptionError: It has no such lead, or its rate is too low.
    """
    if not 0 <= lead < len(record.leads):
        raise OptionError(
            f"Record {record.name} has no lead number {lead}; it has {', '.join(record.leads)}."
        )
    labels = labels_of(record.symbols, classes)
    beats = record.samples[labels >= 0]
    chosen = record.signals[lead : lead + 1]
    try:
        filtered = adaptive_filter(chosen, record.fs)[0]
    except RecordError as error:
        where = f"record {record.name}, {error.where}"
        raise RecordError(error.what, where=where, fix=error.fix) from error
    waves = delineate(filtered, record.fs, beats, fault=faulty(chosen, record.fs)[0])
    nine = measure(filtered, record.fs, waves)
    before = np.full_like(nine, np.nan)
    before[1:] = nine[:-1]
    names = np.asarray(classes, dtype=np.str_)
    return FeatureTable(
        values=np.concatenate([nine, before], axis=1),
        record=np.full(len(beats), record.name),
        sample=beats,
        label=names[labels[labels >= 0]],
        usable=waves.usable,
    )


def measure(lead: Floats, fs: float, waves: Waves) -> Floats:
    """Return the nine features of each beat, float64 [n_beats, 9], the first of :data:`FEATURES`.

    Args:
        lead: float64 [n_samples], millivolts, filtered.
        fs: Sampling rate in hertz.
        waves: The waves of its beats.
    """
    n_beats = len(waves.r)
    interval = np.full(n_beats + 1, np.nan)
    if n_beats > 1:
        interval[1:-1] = np.diff(waves.r) / fs
    interval[interval > _LONGEST_RR] = np.nan
    known = interval[~np.isnan(interval)]
    usual = known.mean() if len(known) and known.mean() > 0 else np.nan
    columns = [
        interval[:-1] / usual,
        interval[1:] / usual,
        (waves.s - waves.q) / fs,
        (waves.r - waves.p) / fs,
        (waves.t - waves.q) / fs,
        (waves.t_onset - waves.s) / fs,
        *(_at(lead, place) - waves.baseline for place in (waves.p, waves.r, waves.t)),
    ]
    return np.stack(columns, axis=1)


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Return the rows of all ``tables``, one after another."""
    return FeatureTable(
        values=np.concatenate([np.empty((0, len(FEATURES))), *(t.values for t in tables)]),
        record=np.concatenate([np.empty(0, dtype=np.str_), *(t.record for t in tables)]),
        sample=np.concatenate([np.empty(0, dtype=np.int64), *(t.sample for t in tables)]),
        label=np.concatenate([np.empty(0, dtype=np.str_), *(t.label for t in tables)]),
        usable=np.concatenate([np.empty(0, dtype=np.bool_), *(t.usable for t in tables)]),
    )


def _at(lead: Floats, place: Floats) -> Floats:
    there = ~np.isnan(place)
    values = np.full(len(place), np.nan)
    values[there] = lead[place[there].astype(np.int64)]
    return values
