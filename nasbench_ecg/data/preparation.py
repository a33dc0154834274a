"""From the records of a database to beats: read, denoise, cut, join."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import RecordError
from nasbench_ecg.options import Options
from nasbench_ecg.progress import Progress, Steps
from nasbench_ecg.signal.aami import CLASSES
from nasbench_ecg.signal.denoising import Denoising, denoise
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.signal.windows import Normalisation, Windows, segment

_GENERIC = {"*": "other"}

_MOST_WORKERS = 4  # more wait for the annotations, which are decoded by the interpreter


class RecordsOptions(Options):
    """Which records, leads and annotations a dataset takes. Datasets set their own defaults.

    A subclass that declares a field again, to give it a default, keeps its checks and description.
    """

    records: tuple[str, ...]
    """Names of the records."""

    leads: tuple[str, ...]
    """Leads by name; '#0' is one by its place in the file, '*' the first that no other takes."""

    head: int = Field(3, ge=0)
    """Annotations of any type left out at the start of each record."""

    tail: int = Field(2, ge=0)
    """Annotations of any type left out at the end of each record."""

    @field_validator("records", "leads", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Take ``100,101`` and ``[100, 101]`` from a command line as names too."""
        parts = value.split(",") if isinstance(value, str) else value
        parts = [parts] if isinstance(parts, int) else parts
        return [str(part).strip() for part in parts] if isinstance(parts, list | tuple) else value

    @field_validator("records", "leads")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) < len(names):
            raise ValueError("at least one name is needed, and none twice")
        return names


class WaveformOptions(RecordsOptions):
    """How beats are cut out of records. Datasets subclass it to set their own defaults."""

    before: int
    """Samples of the window before the R peak."""

    after: int
    """Samples of the window after the R peak, which itself is counted in neither."""

    rate: float | None = None
    """Hertz to resample the records to; none: their own rate."""

    denoise: Denoising = "db5"
    """Wavelet denoising: db5, db6 (removes wander too) or none."""

    normalise: Normalisation = "per-beat"
    """z-score of each lead over the window (per-beat) or the record (per-record), or none."""

    @field_validator("before", "after")
    @classmethod
    def _not_negative(cls, number: int) -> int:
        if number < 0:
            raise ValueError("it must not be negative")
        return number

    @field_validator("rate")
    @classmethod
    def _positive(cls, rate: float | None) -> float | None:
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError("it must be a number above 0")
        return rate

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in WaveformOptions.model_fields.items():
            own = cls.model_fields[name]
            own.description = own.description or field.description


@dataclass(frozen=True, eq=False)
class CutBeats:
    """The beats of a database, and what was left out of them.

    Attributes:
        beats: The beats, in the order of the records and in time within each.
        dropped: Number of beats of each class whose window leaves its record.
    """

    beats: Beats
    dropped: dict[str, int]

    def labelled(self) -> dict[str, int]:
        """Return the number of beats of each class, with those dropped."""
        return {name: n + self.dropped[name] for name, n in self.beats.counts().items()}


def cut_beats(
    folder: Path,
    options: WaveformOptions,
    progress: Progress,
    *,
    subject: Callable[[Record], str] = lambda record: record.name,
    classes: Sequence[str] = CLASSES,
    extension: str = "atr",
) -> CutBeats:
    """Read the records in ``folder`` and return their beats; tell how many were dropped.

    Args:
        folder: Folder of the database.
        options: Records, leads, window and processing.
        progress: Where the bar and the notes go.
        subject: Gives the person behind a record.
        classes: AAMI classes wanted.
        extension: Ending of the annotation files.

    Raises:
        RecordError: A record is missing, damaged or lacks a lead, its rate differs from the
            others', or no record holds a beat.
    """
    with progress.track("Reading records", len(options.records)) as steps:
        read = _read_all(folder, options, subject, classes, extension, steps)
    parts = [one.windows for one in read]
    dropped = np.sum([part.dropped for part in parts], axis=0)
    prepared = CutBeats(
        beats=Beats(
            signals=np.concatenate([part.signals for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            record=np.repeat(
                np.arange(len(parts), dtype=np.int32), [len(part.labels) for part in parts]
            ),
            sample=np.concatenate([part.sample for part in parts]),
            classes=tuple(classes),
            records=options.records,
            subjects=tuple(one.subject for one in read),
            leads=_common_leads([one.leads for one in read], options.leads),
            fs=parts[0].fs,
        ),
        dropped={name: int(n) for name, n in zip(classes, dropped, strict=True)},
    )
    _tell_dropped(prepared, progress, folder)
    return prepared


@dataclass(frozen=True, eq=False)
class _Read:
    """What is kept of one record."""

    windows: Windows
    subject: str
    leads: tuple[str, ...]


def _read_all(
    folder: Path,
    options: WaveformOptions,
    subject: Callable[[Record], str],
    classes: Sequence[str],
    extension: str,
    steps: Steps,
) -> list[_Read]:
    """Return what is kept of each record, in the order of the options.

    Threads read the records, one whole record each at a time. Most of the work is done by numpy
    and the wavelets, which let other threads run; unlike processes, threads need no copy of what
    is imported here and may be started next to those of torch and of a progress bar.
    """

    def read(name: str) -> _Read:
        record = read_record(folder, name, options.leads, extension)
        return _Read(_windows(record, options, classes), subject(record), record.leads)

    done: list[_Read] = []
    with ThreadPoolExecutor(_n_workers(), thread_name_prefix="records") as pool:
        try:
            for name, future in [(name, pool.submit(read, name)) for name in options.records]:
                one = future.result()
                if done and one.windows.fs != done[0].windows.fs:
                    raise RecordError(
                        f"Record {name} has {one.windows.fs:g} Hz and the first one "
                        f"{done[0].windows.fs:g} Hz.",
                        where=str(folder),
                        fix="Set the option rate, so that all are resampled to one rate.",
                    )
                done.append(one)
                steps.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _n_workers() -> int:
    return min(os.cpu_count() or 1, _MOST_WORKERS)


def _windows(record: Record, options: WaveformOptions, classes: Sequence[str]) -> Windows:
    return segment(
        replace(record, signals=denoise(record.signals, options.denoise)),
        before=options.before,
        after=options.after,
        head=options.head,
        tail=options.tail,
        classes=classes,
        normalise=options.normalise,
        rate=options.rate,
    )


def _common_leads(found: list[tuple[str, ...]], asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name of each lead where all records agree, and what was asked for elsewhere."""
    names = []
    for own, request in zip(zip(*found, strict=True), asked, strict=True):
        generic = _GENERIC.get(request, request.replace("#", "channel "))
        names.append(own[0] if len(set(own)) == 1 else generic)
    return tuple(names)


def _tell_dropped(prepared: CutBeats, progress: Progress, folder: Path) -> None:
    if not len(prepared.beats):
        raise RecordError(
            "No record holds a beat of a known class whose window lies inside it.",
            where=str(folder),
            fix="Check the annotations, and the options before, after, head and tail.",
        )
    n_dropped = sum(prepared.dropped.values())
    if n_dropped:
        by_class = ", ".join(f"{name} {n:,}" for name, n in prepared.dropped.items() if n)
        verb = "beat was" if n_dropped == 1 else "beats were"
        progress.note(
            f"{n_dropped:,} {verb} dropped because the window leaves the record ({by_class})."
        )
