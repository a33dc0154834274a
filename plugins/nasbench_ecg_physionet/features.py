"""MIT-BIH beats as feature vectors: filter, delineate, measure, standardize.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", sections 2.1, 2.2 and 3.1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nasbench_ecg.api import (
    Beats,
    DataSource,
    OptionError,
    Progress,
    RecordError,
    RecordsOptions,
    Requirement,
)
from nasbench_ecg.signal import (
    BEAT_FEATURES,
    CLASSES,
    FEATURES,
    SYMBOLS,
    FeatureTable,
    Record,
    beat_features,
    join_tables,
    read_record,
    standardize,
)
from nasbench_ecg_physionet.class_counts import count_note
from nasbench_ecg_physionet.mitbih import (
    DS1,
    DS2,
    PAPER_RECORDS,
    partition,
    persons,
    published_counts,
    subject_of,
)

_MAX_WORKERS = 4


@dataclass(frozen=True, eq=False)
class MeasuredBeats:
    """Features of the beats of several records, for each lead.

    Attributes:
        tables: One table per lead, with the same rows; missing values are NaN.
        fs: Sampling rate in hertz.
    """

    tables: tuple[FeatureTable, ...]
    fs: float

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether all leads are usable (not flat or saturated), bool [n_beats]."""
        return np.asarray(np.all([table.usable for table in self.tables], axis=0), bool)

    @property
    def missing_share(self) -> float:
        """Share of missing feature values."""
        return float(np.mean([np.isnan(table.values) for table in self.tables]))

    def filled(self) -> MeasuredBeats:
        """Return the beats with missing values replaced by the median of their record."""
        return MeasuredBeats(tuple(table.filled() for table in self.tables), self.fs)

    def take(self, index: NDArray[np.int64]) -> MeasuredBeats:
        """Return the beats at ``index``."""
        return MeasuredBeats(tuple(table.take(index) for table in self.tables), self.fs)

    def standardized(self) -> MeasuredBeats:
        """Return the beats with mean 0 and deviation 1 of each feature, over all beats.

        Raises:
            OptionError: A feature is constant.
        """
        return MeasuredBeats(tuple(table.standardized() for table in self.tables), self.fs)

    def beats(self, options: FeatureOptions, classes: Sequence[str] = CLASSES) -> Beats:
        """Return the beats with their features as signals [n_beats, n_leads, 18 or 9]."""
        n_columns = options.n_samples
        values = [table.values[:, :n_columns] for table in self.tables]
        table = self.tables[0]
        record = {name: index for index, name in enumerate(options.used_records)}
        label = {name: index for index, name in enumerate(classes)}
        return Beats(
            signals=np.stack(values, axis=1).astype(np.float32),
            labels=np.array([label[str(name)] for name in table.label], np.int64),
            record=np.array([record[str(name)] for name in table.record], np.int32),
            sample=table.sample.astype(np.int64),
            classes=tuple(classes),
            records=options.used_records,
            subjects=tuple(subject_of(name) for name in options.used_records),
            leads=options.leads,
            fs=self.fs,
        )


class MitBihFeatures:
    """All beats of the MIT-BIH Arrhythmia Database, 18 features per beat and lead.

    Features are standardized with mean and deviation of the training part, after the split.

    No beat is left out: features of absent waves, and of flat or saturated leads, are replaced by
    the median of the record.

    Args:
        options: Records and leads.
    """

    def __init__(self, options: MitBihFeaturesOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.used_records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Return the features of all beats, in their units; note the class counts.

        Raises:
            RecordError: A record is missing or damaged, has no such lead, or is too short.
        """
        options = self.options
        measured = measure_records(source.folder("mitdb"), options, progress)
        beats = measured.filled().beats(options)
        published = published_counts(options.used_records, (options.head, options.tail))
        progress.note(_summary(beats, measured, published))
        return beats

    def fitted(self, beats: Beats, train: NDArray[np.int64]) -> Beats:
        """Return the beats with features standardized over those of the training part.

        Raises:
            OptionError: A feature is the same in all training beats.
        """
        values = beats.signals.astype(np.float64)
        scaled = [
            standardize(values[:, lead], values[train, lead]) for lead in range(beats.n_leads)
        ]
        return replace(beats, signals=np.stack(scaled, axis=1).astype(np.float32))

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return the records of de Chazal et al., as ``mitbih-2lead`` does."""
        return partition(protocol, self.options.used_records)

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record, as ``mitbih-2lead`` does."""
        return persons(self.options.records)


class IemmcBeats:
    """1,682 beats of seven MIT-BIH records, 18 standardized features each.

    Beats on a flat or saturated lead are not sampled. Missing values are replaced by the median
    over all beats of the record.

    Args:
        options: Records, number of beats of each class, and the seed of the sample.
    """

    def __init__(self, options: IemmcBeatsOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.used_records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Return the features of a stratified random sample of the beats.

        Raises:
            RecordError: A record is missing or damaged, has no such lead, or is too short.
            OptionError: The records have too few beats of a class.
        """
        measured = measure_records(source.folder("mitdb"), self.options, progress)
        chosen = sample_beats(measured, self.options.counts, self.options.seed)
        beats = (
            measured.filled()
            .take(chosen)
            .standardized()
            .beats(self.options, tuple(self.options.counts))
        )
        progress.note(_summary(beats, measured.take(chosen), None))
        return beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records."""
        return None

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record, as ``mitbih-2lead`` does."""
        return persons(self.options.records)


def measure_records(folder: Path, options: FeatureOptions, progress: Progress) -> MeasuredBeats:
    """Return the features of all beats, in the order of the records and of time.

    Raises:
        RecordError: A record is missing or damaged, has no such lead, or is too short; the
            sampling rates differ; or no record has a beat.
    """

    def measure(name: str) -> tuple[float, list[FeatureTable]]:
        record = read_record(folder, name, options.leads)
        kept = _rows_between(record, options.head, options.tail)
        tables = [
            beat_features(record, lead=lead, check_p=options.absent_p == "missing")
            for lead in range(len(options.leads))
        ]
        if options.normalize == "record":
            tables = [_divided_by_mean(table) for table in tables]
        return record.fs, [table.take(kept) for table in tables]

    found: list[tuple[float, list[FeatureTable]]] = []
    workers = min(os.cpu_count() or 1, _MAX_WORKERS)
    with (
        progress.track("Measuring beats", len(options.used_records)) as steps,
        ThreadPoolExecutor(workers, thread_name_prefix="records") as pool,
    ):
        try:
            for one in pool.map(measure, options.used_records):
                found.append(one)
                steps.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rates = sorted({fs for fs, _ in found})
    if len(rates) > 1:
        raise RecordError(
            f"The sampling rates differ: {', '.join(f'{fs:g}' for fs in rates)} Hz.",
            where=str(folder),
            fix="Use only records of one sampling rate.",
        )
    tables = tuple(join_tables(own) for own in zip(*(own for _, own in found), strict=True))
    if not len(tables[0]):
        raise RecordError(
            "No record has a beat of a known class.",
            where=str(folder),
            fix="Check the annotations, and the options head and tail.",
        )
    return MeasuredBeats(tables, rates[0])


def sample_beats(
    measured: MeasuredBeats, counts: Mapping[str, int], seed: int
) -> NDArray[np.int64]:
    """Return ascending indices of a random sample of usable beats with ``counts`` of each class.

    Raises:
        OptionError: A class has too few usable beats.
    """
    rng, label, usable = np.random.default_rng(seed), measured.tables[0].label, measured.usable
    chosen = []
    for name, wanted in counts.items():
        candidates = np.flatnonzero((label == name) & usable)
        if len(candidates) < wanted:
            raise OptionError(
                f"The records have {len(candidates):,} usable beats of class {name}, but "
                f"{wanted:,} are requested.",
                where="dataset.counts",
                fix="Request fewer beats, or choose other records in dataset.records.",
            )
        chosen.append(rng.choice(candidates, wanted, replace=False))
    return np.sort(np.concatenate(chosen))


def _divided_by_mean(table: FeatureTable) -> FeatureTable:
    """Return the features of one record, each divided by its mean absolute value there."""
    size = np.abs(table.values)
    known = ~np.isnan(size)
    mean = np.where(known, size, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return replace(table, values=table.values / np.where(mean > 0, mean, 1.0))


def _rows_between(record: Record, head: int, tail: int) -> NDArray[np.int64]:
    """Return the rows of the beats without the first ``head`` and the last ``tail`` annotations."""
    n = len(record.symbols)
    inside = record.samples < record.signals.shape[1]
    beats = np.flatnonzero(np.isin(record.symbols, list(SYMBOLS)) & inside)
    return np.flatnonzero((beats >= head) & (beats < max(n - tail, head)))


def _summary(beats: Beats, measured: MeasuredBeats, published: Mapping[str, int] | None) -> str:
    """Return a note about the class counts and the missing features."""
    n_flat = int((~measured.usable).sum())
    return (
        f"{count_note(beats, published)} {measured.missing_share:.1%} of the feature values are "
        f"missing and were replaced by medians; {n_flat:,} beats are on a flat or saturated lead."
    )


_INTER_PATIENT: dict[str, Any] = {"records": DS1 + DS2, "head": 0, "tail": 0}


class FeatureOptions(RecordsOptions):
    """Options for the beats and leads to measure."""

    leads: tuple[str, ...] = ("MLII",)
    """Lead names, with 18 features for each lead; '#0' is the position in the file."""

    normalize: Literal["record"] | None = None
    """``record`` divides each of the nine features by its mean absolute value in the record: the
    paper calls all nine normalized, but does not say by what. null: the RR intervals alone, by the
    mean interval of the record."""

    features: Literal["nine"] | None = None
    """``nine``: the features of the beat alone. null: 18, with those of the beat before."""

    absent_p: Literal["missing"] | None = None
    """``missing``: where a beat has no P wave, its two features are missing, and replaced by the
    median of the record. null: the largest extremum before the QRS complex is always measured."""

    @property
    def n_samples(self) -> int:
        """Features of a beat, which take the place of its samples."""
        return len(BEAT_FEATURES if self.features == "nine" else FEATURES)


class MitBihFeaturesOptions(FeatureOptions):
    """The beats of ``mitbih-2lead``, lead MLII."""

    PROTOCOLS: ClassVar = {
        "inter-patient": _INTER_PATIENT,
        "inter-patient-strict": _INTER_PATIENT,
    }

    records: tuple[str, ...] = PAPER_RECORDS
    """Names of the records."""


class IemmcBeatsOptions(FeatureOptions):
    """1,682 beats of seven records, as in the experiment of the IEMMC paper.

    The paper's table of records and counts is not available, so the defaults are our choice, made
    before any clustering: the records contain all five classes and both bundle branch blocks, and
    most classes come from more than one subject. Nearly half of the beats are N, because the paper
    states that N is the largest class.
    """

    records: tuple[str, ...] = ("106", "109", "118", "208", "209", "213", "217")
    """Names of the records; the paper has seven, but their names are not available."""

    counts: dict[str, int] = Field({"N": 800, "S": 240, "V": 330, "F": 112, "Q": 200})
    """Number of beats of each AAMI class; the paper has 1,682 in total."""

    seed: int = Field(0, ge=0)
    """Seed of the random sample of beats."""

    head: int = Field(0, ge=0)
    """Number of annotations, of any type, to skip at the start of each record."""

    tail: int = Field(0, ge=0)
    """Number of annotations, of any type, to skip at the end of each record."""

    @field_validator("counts")
    @classmethod
    def _check_classes(cls, counts: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(counts) - set(CLASSES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of the classes {', '.join(CLASSES)}")
        if not counts or min(counts.values()) < 1:
            raise ValueError("each listed class needs at least one beat")
        return {name: counts[name] for name in CLASSES if name in counts}
