"""Cut the beats of a database: read its records, denoise them, cut windows around R peaks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from nasbench_ecg.contracts import DataSource, Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.record_windows import noise_of, windows_of
from nasbench_ecg.errors import RecordError
from nasbench_ecg.options import Options
from nasbench_ecg.progress import Progress, Steps
from nasbench_ecg.signal.aami import CLASSES, SymbolMap, describe_symbols, symbol_map
from nasbench_ecg.signal.filtering import Denoising
from nasbench_ecg.signal.noise import NOISE_DATABASE, Noise, NoiseName
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.signal.rhythm import PLANES, Rhythm
from nasbench_ecg.signal.windows import Normalization, Windows

DISTURBANCES = ("added_noise", "snr", "mark_shift")
"""Options that disturb the beats, to test or to train a network with them."""

_MAX_WORKERS = 4  # more threads do not help: annotations are decoded in pure Python


class RecordsOptions(Options):
    """Options for records, leads and annotations. Datasets define the defaults in a subclass.

    A field that a subclass redefines, to give it a default, keeps its validators and description.
    """

    records: tuple[str, ...]
    """Names of the records."""

    leads: tuple[str, ...]
    """Lead names; '#0' is the position in the file, '*' the first lead not selected otherwise."""

    head: int = Field(3, ge=0)
    """Number of annotations, of any type, to skip at the start of each record."""

    tail: int = Field(2, ge=0)
    """Number of annotations, of any type, to skip at the end of each record."""

    exclude: tuple[str, ...] | None = None
    """Names of records to leave out."""

    @property
    def used_records(self) -> tuple[str, ...]:
        """Names of the records without the excluded ones."""
        return tuple(name for name in self.records if name not in (self.exclude or ()))

    @field_validator("records", "leads", "exclude", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        """Also accept ``100,101`` and ``[100, 101]`` from a command line."""
        parts = value.split(",") if isinstance(value, str) else value
        parts = [parts] if isinstance(parts, int) else parts
        return [str(part).strip() for part in parts] if isinstance(parts, list | tuple) else value

    @field_validator("records", "leads")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) < len(names):
            raise ValueError("give at least one name, and no name twice")
        return names

    @model_validator(mode="after")
    def _excluded_are_records(self) -> Self:
        if self.exclude and self.records:
            unknown = [name for name in self.exclude if name not in self.records]
            if unknown:
                raise ValueError(f"exclude: there is no record {unknown[0]!r}")
            if not self.used_records:
                raise ValueError("exclude leaves no record")
        return self


class WaveformOptions(RecordsOptions):
    """Options for cutting beats out of records. Datasets define the defaults in a subclass."""

    before: int
    """Samples of the window before the R peak."""

    after: int
    """Samples of the window after the R peak; the R peak itself is one more sample."""

    rate: float | None = None
    """Sampling rate in hertz to resample the records to; none keeps their own rate."""

    denoise: Denoising = "db5"
    """Wavelet denoising: db5, db6 (also removes baseline wander) or none."""

    denoise_rate: float | None = Field(None, gt=0)
    """Sampling rate in hertz at which records are denoised; null is their own."""

    normalise: Normalization = "per-beat"
    """z-score of each lead over the window (per-beat) or the record (per-record), or none."""

    rhythm: Rhythm | None = None
    """Constant extra leads of RR intervals: whole-record, causal (without look-ahead) or none."""

    planes: tuple[int, ...] | None = None
    """Numbers of the rhythm planes to keep, from 1 in the order of their table; null keeps all."""

    max_missing: float | None = Field(None, ge=0, le=1)
    """Largest share of a window without signal; beats above it are dropped. None: 0.1."""

    symbols: SymbolMap | None = None
    """AAMI classes of the annotation symbols: of the papers, also none, or of all beats (aami)."""

    align_marks: float | None = Field(None, gt=0)
    """Move each R mark to the detected R peak within so many milliseconds; null leaves it."""

    added_noise: NoiseName | None = None
    """Recorded noise to add (bw, em, ma), in every other two minutes after the first five."""

    snr: float | None = None
    """Signal-to-noise ratio of the added noise in dB."""

    mark_shift: float | None = Field(None, gt=0)
    """Move the window of each beat by a random time of at most this many milliseconds."""

    @property
    def undisturbed(self) -> Self:
        """The same options without added noise and without shifted marks."""
        return self.model_copy(update=dict.fromkeys(DISTURBANCES))

    @property
    def noise_requirements(self) -> tuple[Requirement, ...]:
        """The noise record, if noise is added: a part of what the dataset requires."""
        noise = self.added_noise
        return () if noise is None else (Requirement(NOISE_DATABASE, (noise,), ("hea", "dat")),)

    @property
    def n_samples(self) -> int:
        """Samples of a window."""
        return self.before + 1 + self.after

    @property
    def plane_index(self) -> tuple[int, ...]:
        """Position of each plane that is used among those of the option ``rhythm``."""
        if self.rhythm is None:
            return ()
        numbers = self.planes or range(1, len(PLANES[self.rhythm]) + 1)
        return tuple(number - 1 for number in numbers)

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the rhythm planes that are used."""
        return tuple(PLANES[self.rhythm][i] for i in self.plane_index) if self.rhythm else ()

    @field_validator("planes", mode="before")
    @classmethod
    def _split_numbers(cls, value: Any) -> Any:
        """Also accept ``1,4`` and ``1`` from a command line."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",")]
        return [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _planes_exist(self) -> Self:
        if self.planes is None:
            return self
        if self.rhythm is None:
            raise ValueError("planes needs the option rhythm")
        n = len(PLANES[self.rhythm])
        wrong = [number for number in self.planes if not 1 <= number <= n]
        if wrong or not self.planes or list(self.planes) != sorted(set(self.planes)):
            raise ValueError(f"planes are ascending numbers from 1 to {n}, not {self.planes}")
        return self

    @field_validator("before", "after")
    @classmethod
    def _not_negative(cls, number: int) -> int:
        if number < 0:
            raise ValueError("must be 0 or more")
        return number

    @model_validator(mode="after")
    def _noise_with_ratio(self) -> Self:
        if (self.added_noise is None) != (self.snr is None):
            raise ValueError("give added_noise and snr together")
        return self

    @field_validator("rate")
    @classmethod
    def _positive(cls, rate: float | None) -> float | None:
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError("must be a finite number above 0")
        return rate

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in WaveformOptions.model_fields.items():
            own = cls.model_fields[name]
            own.description = own.description or field.description


@dataclass(frozen=True, eq=False)
class CutBeats:
    """The beats of a database, and the number of dropped beats.

    Attributes:
        beats: The beats, in the order of the records and of time.
        dropped: Number of beats of each class whose window exceeds the record, or that are
            annotated behind its end, or whose window has no signal.
    """

    beats: Beats
    dropped: dict[str, int]


def cut_beats(
    folder: Path,
    options: WaveformOptions,
    progress: Progress,
    *,
    subject: Callable[[Record], str] = lambda record: record.name,
    classes: Sequence[str] = CLASSES,
    extension: str = "atr",
    source: DataSource | None = None,
) -> CutBeats:
    """Read the records in ``folder`` and return their beats; note the number of dropped beats.

    Args:
        folder: Folder of the database.
        options: Records, leads, window and processing.
        progress: Receives progress and notes.
        subject: Returns the subject of a record.
        classes: AAMI classes to keep.
        extension: Extension of the annotation files.
        source: Where noise records are, for the option ``added_noise``.

    Raises:
        OptionError: Noise is to be added, and there is no ``source``.
        RecordError: A record is missing, damaged or has no such lead; the sampling rates differ;
            or no record has a beat.
    """
    names = options.used_records
    noise = noise_of(options, source)
    with progress.track("Reading records", len(names)) as steps:
        cut = _cut_records(folder, options, subject, classes, extension, noise, steps)
    parts = [one.windows for one in cut]
    outside, missing = (
        dict(zip(classes, np.sum(counts, axis=0).tolist(), strict=True))
        for counts in ([part.dropped for part in parts], [part.missing for part in parts])
    )
    result = CutBeats(
        beats=Beats(
            signals=np.concatenate([part.signals for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            record=np.repeat(
                np.arange(len(parts), dtype=np.int32), [len(part.labels) for part in parts]
            ),
            sample=np.concatenate([part.sample for part in parts]),
            classes=tuple(classes),
            records=names,
            subjects=tuple(one.subject for one in cut),
            leads=(
                *_common_leads([one.leads for one in cut], options.leads),
                *options.plane_names,
            ),
            fs=parts[0].fs,
        ),
        dropped={name: outside[name] + missing[name] for name in classes},
    )
    if not len(result.beats):
        raise RecordError(
            "No record has a beat of a known class with its whole window inside the record "
            f"({sum(outside.values()):,} windows exceed it, {sum(missing.values()):,} have no "
            "signal).",
            where=str(folder),
            fix="Check the annotations, and the options before, after, head, tail and max_missing.",
        )
    _note_dropped("exceeds the record", outside, progress)
    _note_dropped("has no signal (option max_missing)", missing, progress)
    _note_annotations(cut, symbol_map(options.symbols), classes, progress)
    return result


@dataclass(frozen=True, eq=False)
class _CutRecord:
    """The windows of one record, with its subject and the names of its leads."""

    windows: Windows
    subject: str
    leads: tuple[str, ...]
    symbols: Counter[str]
    n_skipped: int
    n_behind: int
    notes: tuple[str, ...]


def _cut_records(
    folder: Path,
    options: WaveformOptions,
    subject: Callable[[Record], str],
    classes: Sequence[str],
    extension: str,
    noise: Noise | None,
    steps: Steps,
) -> list[_CutRecord]:
    """Return the windows of each record, in the order of the options.

    Each thread processes one record at a time. Threads are sufficient because NumPy and
    PyWavelets release the GIL for most of the work; processes would have to import everything
    again and may not be forked beside the threads of torch.
    """

    def read_and_cut(name: str) -> _CutRecord:
        record = read_record(folder, name, options.leads, extension)
        kept = record.symbols[options.head : max(len(record.symbols) - options.tail, options.head)]
        return _CutRecord(
            windows_of(record, options, classes, noise),
            subject(record),
            record.leads,
            Counter(kept.tolist()),
            len(record.symbols) - len(kept),
            int((record.samples >= record.signals.shape[1]).sum()),
            record.notes,
        )

    done: list[_CutRecord] = []
    with ThreadPoolExecutor(_n_workers(), thread_name_prefix="records") as pool:
        try:
            futures = [pool.submit(read_and_cut, name) for name in options.used_records]
            for name, future in zip(options.used_records, futures, strict=True):
                one = future.result()
                if done and one.windows.fs != done[0].windows.fs:
                    raise RecordError(
                        f"The sampling rates differ: record {name} has {one.windows.fs:g} Hz, "
                        f"the first record {done[0].windows.fs:g} Hz.",
                        where=str(folder),
                        fix="Set the option rate, to resample all records to one rate.",
                    )
                done.append(one)
                steps.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _n_workers() -> int:
    return min(os.cpu_count() or 1, _MAX_WORKERS)


def _common_leads(found: list[tuple[str, ...]], requested: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name of each lead if it is the same in all records, else a generic name."""
    names = []
    for own, request in zip(zip(*found, strict=True), requested, strict=True):
        generic = "other" if request == "*" else request.replace("#", "channel ")
        names.append(own[0] if len(set(own)) == 1 else generic)
    return tuple(names)


def _note_dropped(reason: str, dropped: dict[str, int], progress: Progress) -> None:
    n_dropped = sum(dropped.values())
    if n_dropped:
        by_class = ", ".join(f"{name} {n:,}" for name, n in dropped.items() if n)
        verb = "beat was" if n_dropped == 1 else "beats were"
        progress.note(f"{n_dropped:,} {verb} dropped because the window {reason} ({by_class}).")


def _note_annotations(
    cut: Sequence[_CutRecord], table: Mapping[str, str], classes: Sequence[str], progress: Progress
) -> None:
    """Note the number of annotations of each symbol, so that none is left out unnoticed."""
    for note in (note for one in cut for note in one.notes):
        progress.note(note)
    counts = sum((one.symbols for one in cut), Counter[str]())
    used = {symbol: name for symbol, name in table.items() if name in classes}
    n_skipped, n_behind = sum(one.n_skipped for one in cut), sum(one.n_behind for one in cut)
    skipped = f"; skipped by head and tail: {n_skipped:,}" if n_skipped else ""
    behind = f"; at or behind the end of a record: {n_behind:,}" if n_behind else ""
    progress.note(f"Annotations: {describe_symbols(counts, used)}{skipped}{behind}.")
