"""Beats of MIT-BIH as feature vectors: filtered, delineated, measured, standardised.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", sections 2.1, 2.2 and 3.1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
    CLASSES,
    SYMBOLS,
    FeatureTable,
    Record,
    beat_features,
    join_tables,
    read_record,
)
from nasbench_ecg_physionet.mitbih import (
    DS1,
    DS2,
    PAPER_RECORDS,
    partition,
    published_counts,
    subject_of,
)

_MOST_WORKERS = 4


@dataclass(frozen=True, eq=False)
class Measured:
    """The beats of some records, measured in each lead.

    Attributes:
        tables: One a lead, with the same rows; gaps are not filled.
        fs: Sampling rate in hertz.
    """

    tables: tuple[FeatureTable, ...]
    fs: float

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether no lead is flat or saturated around the beat, bool [n_beats]."""
        return np.asarray(np.all([table.usable for table in self.tables], axis=0), bool)

    @property
    def gaps(self) -> float:
        """Share of the features that are missing."""
        return float(np.mean([np.isnan(table.values) for table in self.tables]))

    def filled(self) -> Measured:
        """Return the beats without gaps: each feature's median of the record in their place."""
        return Measured(tuple(table.filled() for table in self.tables), self.fs)

    def take(self, index: NDArray[np.int64]) -> Measured:
        """Return the beats at ``index``."""
        return Measured(tuple(table.take(index) for table in self.tables), self.fs)

    def beats(self, options: FeatureOptions, classes: Sequence[str] = CLASSES) -> Beats:
        """Return the beats with standardised features, signals [n_beats, n_leads, 18].

        Raises:
            OptionError: A feature has one value everywhere.
        """
        values = [table.standardised().values for table in self.tables]
        table = self.tables[0]
        record = {name: index for index, name in enumerate(options.records)}
        label = {name: index for index, name in enumerate(classes)}
        return Beats(
            signals=np.stack(values, axis=1).astype(np.float32),
            labels=np.array([label[str(name)] for name in table.label], np.int64),
            record=np.array([record[str(name)] for name in table.record], np.int32),
            sample=table.sample.astype(np.int64),
            classes=tuple(classes),
            records=options.records,
            subjects=tuple(subject_of(name) for name in options.records),
            leads=options.leads,
            fs=self.fs,
        )


class MitBihFeatures:
    """All beats of the MIT-BIH Arrhythmia Database, 18 standardised features of each in a lead.

    A wave that is not there leaves a gap, which the record's median fills; so does a lead that is
    flat or saturated, since no beat is left out.

    Args:
        options: Records and leads.
    """

    def __init__(self, options: MitBihFeaturesOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Measure all beats and compare their counts with the published ones.

        Raises:
            RecordError: A record is missing or damaged, lacks a lead, or is too short.
        """
        measured = measure_records(source.folder("mitdb"), self.options, progress)
        beats = measured.filled().beats(self.options)
        progress.note(_counted(beats, measured, self._published()))
        return beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return de Chazal's records, as for ``mitbih-2lead``."""
        return partition(protocol, self.options.records)

    def _published(self) -> Mapping[str, int] | None:
        options = self.options
        return published_counts(options.records, (options.head, options.tail))


class IemmcBeats:
    """1,682 beats of seven MIT-BIH records, 18 standardised features each.

    Beats on a flat or saturated lead are not drawn. Gaps are filled by the median over all beats
    of the record, drawn or not.

    Args:
        options: Records, beats of each class, and the seed of their draw.
    """

    def __init__(self, options: IemmcBeatsOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Measure the beats of the records and draw as many of each class as are wanted.

        Raises:
            RecordError: A record is missing or damaged, lacks a lead, or is too short.
            OptionError: The records hold too few beats of a class.
        """
        measured = measure_records(source.folder("mitdb"), self.options, progress)
        chosen = draw(measured, self.options.counts, self.options.seed)
        beats = measured.filled().take(chosen).beats(self.options, tuple(self.options.counts))
        progress.note(_counted(beats, measured.take(chosen), None))
        return beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol fixes the records."""
        return None


def measure_records(folder: Path, options: FeatureOptions, progress: Progress) -> Measured:
    """Return the features of the records' beats, in the order of the options and in time.

    Raises:
        RecordError: A record is missing or damaged, lacks a lead, is too short, or differs from
            the others in its rate; or no record holds a beat.
    """

    def measured(name: str) -> tuple[float, list[FeatureTable]]:
        record = read_record(folder, name, options.leads)
        kept = _kept(record, options.head, options.tail)
        lead_numbers = range(len(options.leads))
        return record.fs, [beat_features(record, lead=i).take(kept) for i in lead_numbers]

    found: list[tuple[float, list[FeatureTable]]] = []
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    with (
        progress.track("Measuring beats", len(options.records)) as steps,
        ThreadPoolExecutor(workers, thread_name_prefix="records") as pool,
    ):
        try:
            for one in pool.map(measured, options.records):
                found.append(one)
                steps.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rates = sorted({fs for fs, _ in found})
    if len(rates) > 1:
        raise RecordError(
            f"The records differ in their rates: {', '.join(f'{fs:g}' for fs in rates)} Hz.",
            where=str(folder),
            fix="Leave some of them out.",
        )
    tables = tuple(join_tables(own) for own in zip(*(own for _, own in found), strict=True))
    if not len(tables[0]):
        raise RecordError(
            "No record holds a beat of a known class.",
            where=str(folder),
            fix="Check the annotations, and the options head and tail.",
        )
    return Measured(tables, rates[0])


def draw(measured: Measured, counts: Mapping[str, int], seed: int) -> NDArray[np.int64]:
    """Return ascending indices of usable beats, ``counts`` of each class drawn uniformly.

    Raises:
        OptionError: There are too few of a class.
    """
    rng, label, usable = np.random.default_rng(seed), measured.tables[0].label, measured.usable
    chosen = []
    for name, wanted in counts.items():
        there = np.flatnonzero((label == name) & usable)
        if len(there) < wanted:
            raise OptionError(
                f"The records hold {len(there):,} usable beats of class {name}, not {wanted:,}.",
                where="dataset.counts",
                fix="Ask for fewer, or name other records in dataset.records.",
            )
        chosen.append(rng.choice(there, wanted, replace=False))
    return np.sort(np.concatenate(chosen))


def _kept(record: Record, head: int, tail: int) -> NDArray[np.int64]:
    """Return which rows of a record's features are left without its first and last annotations."""
    n = len(record.symbols)
    beats = np.flatnonzero([str(symbol) in SYMBOLS for symbol in record.symbols])
    return np.flatnonzero((beats >= head) & (beats < max(n - tail, head)))


def _counted(beats: Beats, measured: Measured, published: Mapping[str, int] | None) -> str:
    """Return a line about the classes, and about what was not measured."""
    counts = beats.counts()
    listed = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    agree = ""
    if published is not None:
        same = all(counts.get(name, 0) == n for name, n in published.items())
        agree = f"; class counts {'equal' if same else 'differ from'} the published ones"
    bad = int((~measured.usable).sum())
    return (
        f"{len(beats):,} beats ({listed}){agree}; {measured.gaps:.1%} of their features are "
        f"missing and were filled by medians; {bad:,} beats lie on a flat or saturated lead."
    )


_INTER_PATIENT: dict[str, Any] = {"records": DS1 + DS2, "head": 0, "tail": 0}


class FeatureOptions(RecordsOptions):
    """Which beats are measured, in which leads."""

    leads: tuple[str, ...] = ("MLII",)
    """Leads by name, each of which gives 18 features; '#0' is one by its place in the file."""


class MitBihFeaturesOptions(FeatureOptions):
    """The beats of ``mitbih-2lead``, lead MLII."""

    PROTOCOLS: ClassVar = {
        "inter-patient": _INTER_PATIENT,
        "inter-patient-strict": _INTER_PATIENT,
    }

    records: tuple[str, ...] = PAPER_RECORDS
    """Names of the records."""


class IemmcBeatsOptions(FeatureOptions):
    """The 1,682 beats of seven records on which IEMMC was tried.

    The paper's table of records and counts is not to be had, so the defaults are ours. The records
    were chosen for what they hold, before anything was clustered: all five classes, both bundle
    branch blocks, and most classes in more than one person. N is nearly half of the beats, as the
    paper says that it has most.
    """

    records: tuple[str, ...] = ("106", "109", "118", "208", "209", "213", "217")
    """Names of the records; the paper has seven, and does not name them any more."""

    counts: dict[str, int] = Field({"N": 800, "S": 240, "V": 330, "F": 112, "Q": 200})
    """Beats of each AAMI class; the paper has 1,682 in all."""

    seed: int = Field(0, ge=0)
    """Seed of the draw of these beats from all that the records hold."""

    head: int = Field(0, ge=0)
    """Annotations of any type left out at the start of each record."""

    tail: int = Field(0, ge=0)
    """Annotations of any type left out at the end of each record."""

    @field_validator("counts")
    @classmethod
    def _of_known_classes(cls, counts: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(counts) - set(CLASSES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of the classes {', '.join(CLASSES)}")
        if not counts or min(counts.values()) < 1:
            raise ValueError("every class that is named needs a beat or more")
        return {name: counts[name] for name in CLASSES if name in counts}
