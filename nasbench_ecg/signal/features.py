"""Beat features: nine intervals and amplitudes of each beat and of the beat before it.

References:
    The IEMMC paper, section 2.2 and Table 1.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError, RecordError, StorageError
from nasbench_ecg.io import replace_atomically, storage_errors
from nasbench_ecg.signal.aami import CLASSES, SymbolMap, labels_of, symbol_map
from nasbench_ecg.signal.delineation import Waves, delineate, flat_mask
from nasbench_ecg.signal.filtering import adaptive_filter
from nasbench_ecg.signal.records import Record

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

BEAT_FEATURES = ("rr_before", "rr_after", "qrs_s", "pr_s", "qt_s", "st_s", "p_mv", "r_mv", "t_mv")
"""Names of the nine features of one beat.

``rr_before`` and ``rr_after`` are intervals between R peaks, divided by the mean interval of the
record. Intervals above 6 s are missing, because they contain beats without annotations
(ventricular flutter). In seconds: ``qrs_s`` from the Q to the S wave, ``pr_s`` from the P to the R
peak, ``qt_s`` from the Q wave to the T peak, ``st_s`` from the S wave to the onset of the T wave.
In millivolts above the baseline: ``p_mv``, ``r_mv``, ``t_mv``.
"""

FEATURES = (*BEAT_FEATURES, *(f"previous_{name}" for name in BEAT_FEATURES))
"""Names of the 18 columns: :data:`BEAT_FEATURES`, and the same of the beat before."""

TABLE_SUFFIXES = (".csv", ".parquet")
"""Suffixes of the files that :meth:`FeatureTable.write` can write."""

_MAX_RR = 6.0  # seconds; the longest pause in MIT-BIH is 5.9 s


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of beats, one row per beat.

    Attributes:
        values: float64 [n_beats, 18], columns as :data:`FEATURES`; NaN where a wave is absent.
        record: Name of the record, [n_beats].
        sample: int64 [n_beats], sample index of the beat as annotated.
        label: AAMI class, [n_beats].
        usable: bool [n_beats], False where the lead is flat, saturated or missing around the beat.
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
        """Return the table with NaN replaced by the median of the record, or else of all records.

        A column without any value becomes 0.
        """
        import pandas as pd

        frame = pd.DataFrame(self.values)
        own = frame.fillna(frame.groupby(self.record).transform("median"))
        values = own.fillna(own.median()).fillna(0.0).to_numpy(dtype=np.float64)
        return replace(self, values=values)

    def standardized(self) -> FeatureTable:
        """Return the table with mean 0 and standard deviation 1 in each column; NaN is kept.

        Raises:
            OptionError: A column is constant or empty.
        """
        return replace(self, values=standardize(self.values, self.values))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table with the columns record, sample, label, usable and the features."""
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

    def write(self, path: Path) -> None:
        """Write the table atomically as CSV or Parquet, by the suffix of ``path``.

        Raises:
            OptionError: As :func:`check_table_path`.
            StorageError: The file cannot be written.
        """
        check_table_path(path)
        frame = self.to_frame()
        with storage_errors(path, what="The table"), replace_atomically(path) as temporary:
            if path.suffix.lower() == ".csv":
                frame.to_csv(temporary, index=False, float_format="%.6g")
            else:
                frame.to_parquet(temporary, index=False)


def standardize(values: Floats, reference: Floats) -> Floats:
    """Return features scaled so that those of ``reference`` have mean 0 and deviation 1.

    Args:
        values: float64 [n_beats, 18], columns as :data:`FEATURES`; NaN is kept.
        reference: float64 [m_beats, 18], features of the beats to measure mean and deviation of.

    Raises:
        OptionError: A column of ``reference`` is constant or empty.
    """
    known = ~np.isnan(reference)
    n_known = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, reference, 0.0).sum(axis=0) / n_known
    deviation = np.sqrt((np.where(known, reference - mean, 0.0) ** 2).sum(axis=0) / n_known)
    constant = np.flatnonzero(deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0))
    if len(constant):
        raise OptionError(
            f"The feature {FEATURES[constant[0]]} is the same in all {len(reference)} beats.",
            fix="Use more beats, or do not standardize the features.",
        )
    scaled: Floats = (values - mean) / deviation
    return scaled


def check_table_path(path: Path) -> None:
    """Raise an error if :meth:`FeatureTable.write` cannot write to ``path``.

    Raises:
        OptionError: The suffix is none of :data:`TABLE_SUFFIXES`, or pyarrow is not installed.
        StorageError: The folder does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise OptionError(
            f"A table cannot be written as {path.suffix or 'a file without suffix'!r}.",
            where=str(path),
            fix=f"Choose a file name that ends in {' or '.join(TABLE_SUFFIXES)}.",
        )
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise OptionError(
            "Parquet files need pyarrow, which is not installed.",
            where=str(path),
            fix="Install it with pip install 'nasbench-ecg[parquet]', or choose a .csv file.",
        )
    if not path.parent.is_dir():
        raise StorageError(
            "The folder of the output file does not exist.",
            where=str(path.parent),
            fix="Create it first.",
        )


def beat_features(
    record: Record,
    *,
    lead: int = 0,
    classes: Sequence[str] = CLASSES,
    symbols: SymbolMap | None = None,
    check_p: bool = False,
) -> FeatureTable:
    """Return the features of all annotated beats of a record: filter, delineate, measure.

    Beats that are annotated at or behind the end of the record have no row.

    Args:
        record: The unfiltered record with its annotations.
        lead: Index into ``record.leads``.
        classes: AAMI classes that count as beats.
        symbols: Map from annotation symbols to classes; None: ``papers``.
        check_p: Whether features of P waves are missing where :func:`delineate` finds none; if
            False, every beat with an extremum before its QRS complex has a P wave.

    Raises:
        RecordError: The record is too short for the wavelet levels.
        OptionError: The record has no such lead, or its sampling rate is too low.
    """
    if not 0 <= lead < len(record.leads):
        raise OptionError(
            f"Record {record.name} has no lead number {lead}; it has {', '.join(record.leads)}.",
            fix=f"Use a number from 0 to {len(record.leads) - 1}.",
        )
    inside = record.samples < record.signals.shape[1]
    labels = labels_of(record.symbols[inside], classes, symbol_map(symbols))
    beats = record.samples[inside][labels >= 0]
    chosen = record.signals[lead : lead + 1]
    try:
        filtered = adaptive_filter(chosen, record.fs)[0]
    except RecordError as error:
        where = f"record {record.name}, {error.where}"
        raise RecordError(error.what, where=where, fix=error.fix) from error
    flat = flat_mask(chosen, record.fs)[0]
    if record.missing is not None:
        flat |= record.missing[lead]
    waves = delineate(filtered, record.fs, beats, flat=flat, check_p=check_p)
    own = measure(filtered, record.fs, waves)
    previous = np.full_like(own, np.nan)
    previous[1:] = own[:-1]
    names = np.asarray(classes, dtype=np.str_)
    return FeatureTable(
        values=np.concatenate([own, previous], axis=1),
        record=np.full(len(beats), record.name),
        sample=beats,
        label=names[labels[labels >= 0]],
        usable=waves.usable,
    )


def measure(lead: Floats, fs: float, waves: Waves) -> Floats:
    """Return the :data:`BEAT_FEATURES` of each beat, float64 [n_beats, 9].

    Args:
        lead: float64 [n_samples], millivolts, filtered.
        fs: Sampling rate in hertz.
        waves: The waves of its beats.
    """
    n_beats = len(waves.r)
    interval = np.full(n_beats + 1, np.nan)
    if n_beats > 1:
        interval[1:-1] = np.diff(waves.r) / fs
    interval[interval > _MAX_RR] = np.nan
    known = interval[~np.isnan(interval)]
    mean = known.mean() if len(known) and known.mean() > 0 else np.nan
    columns = [
        interval[:-1] / mean,
        interval[1:] / mean,
        (waves.s - waves.q) / fs,
        (waves.r - waves.p) / fs,
        (waves.t - waves.q) / fs,
        (waves.t_onset - waves.s) / fs,
        *(_values_at(lead, position) - waves.baseline for position in (waves.p, waves.r, waves.t)),
    ]
    return np.stack(columns, axis=1)


def _values_at(lead: Floats, position: Floats) -> Floats:
    """Return the value of the lead at each position, NaN where the position is NaN."""
    present = ~np.isnan(position)
    values = np.full(len(position), np.nan)
    values[present] = lead[position[present].astype(np.int64)]
    return values


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Return one table with the rows of all ``tables``, in order."""
    return FeatureTable(
        values=np.concatenate([np.empty((0, len(FEATURES))), *(t.values for t in tables)]),
        record=np.concatenate([np.empty(0, dtype=np.str_), *(t.record for t in tables)]),
        sample=np.concatenate([np.empty(0, dtype=np.int64), *(t.sample for t in tables)]),
        label=np.concatenate([np.empty(0, dtype=np.str_), *(t.label for t in tables)]),
        usable=np.concatenate([np.empty(0, dtype=np.bool_), *(t.usable for t in tables)]),
    )
