"""Beats of single MIT-BIH records as feature vectors: normal beats and all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nasbench_ecg.api import Beats, DataSource, OptionError, Progress, Requirement
from nasbench_ecg.signal import FeatureTable
from nasbench_ecg_physionet.class_counts import count_note
from nasbench_ecg_physionet.features import FeatureOptions, MeasuredBeats, measure_records
from nasbench_ecg_physionet.mitbih import persons

CLASSES = ("N", "other")
"""AAMI's N, and S, V, F and Q together."""


class IemmcRecords:
    """The same numbers of normal and of other beats of each of several MIT-BIH records.

    It is for clustering within one record, which is one person: ``space.within=record``. Beats on a
    flat or saturated lead are not sampled. Missing values are replaced by the median over all beats
    of the record.

    Args:
        options: Records, number of beats of both classes, and the seed of the sample.
    """

    def __init__(self, options: IemmcRecordsOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.used_records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Return the features of a random sample of the beats of each record.

        Raises:
            RecordError: A record is missing or damaged, has no such lead, or is too short.
            OptionError: A record has too few normal or too few other beats.
        """
        options = self.options
        measured = measure_records(source.folder("mitdb"), options, progress)
        chosen = _sample(measured, options)
        tables = tuple(_two_classes(table) for table in measured.filled().tables)
        sample = MeasuredBeats(tables, measured.fs).take(chosen).standardized()
        beats = sample.beats(options, CLASSES)
        progress.note(count_note(beats, None))
        return beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records."""
        return None

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record, as ``mitbih-2lead`` does."""
        return persons(self.options.records)


def _two_classes(table: FeatureTable) -> FeatureTable:
    return replace(table, label=np.where(table.label == "N", *CLASSES))


def _sample(measured: MeasuredBeats, options: IemmcRecordsOptions) -> NDArray[np.int64]:
    """Return ascending indices of the beats drawn from each record.

    Raises:
        OptionError: A record has too few usable beats of a class.
    """
    rng, usable = np.random.default_rng(options.seed), measured.usable
    table = measured.tables[0]
    chosen = []
    for name in options.used_records:
        own = (table.record == name) & usable
        for label, wanted in zip(CLASSES, (options.normal, options.other), strict=True):
            candidates = np.flatnonzero(own & ((table.label == "N") == (label == "N")))
            if len(candidates) < wanted:
                raise OptionError(
                    f"Record {name} has {len(candidates):,} usable beats of class {label}, but "
                    f"{wanted:,} are requested.",
                    where="dataset.normal" if label == "N" else "dataset.other",
                    fix="Request fewer beats, or leave the record out of dataset.records.",
                )
            chosen.append(rng.choice(candidates, wanted, replace=False))
    return np.sort(np.concatenate(chosen))


class IemmcRecordsOptions(FeatureOptions):
    """240 beats of each record of MIT-BIH that has 144 normal and 96 other ones in lead MLII.

    Three in five are normal, so a balance bound of 0.2 or more allows the true classes. A sample
    with another share, for example 216 and 24, shows how much a method gains by a bound that fits.
    """

    records: tuple[str, ...] = (
        "106", "116", "118", "119", "200", "201", "203", "207", "208", "209", "210", "213", "214",
        "215", "217", "221", "222", "223", "228", "232", "233",
    )  # fmt: skip
    """Names of the records."""

    normal: int = Field(144, ge=1)
    """Number of beats of AAMI class N of each record."""

    other: int = Field(96, ge=1)
    """Number of beats of the AAMI classes S, V, F and Q of each record."""

    seed: int = Field(0, ge=0)
    """Seed of the random sample of beats."""

    head: int = Field(0, ge=0)
    """Number of annotations, of any type, to skip at the start of each record."""

    tail: int = Field(0, ge=0)
    """Number of annotations, of any type, to skip at the end of each record."""
