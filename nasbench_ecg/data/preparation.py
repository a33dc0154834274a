"""Cut the beats of a database: read its records, denoise them, cut windows around R peaks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_ecg.contracts import DataSource
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.data.record_windows import noise_of, windows_of
from nasbench_ecg.errors import RecordError
from nasbench_ecg.progress import Progress, Steps
from nasbench_ecg.signal.aami import CLASSES, describe_symbols, symbol_map
from nasbench_ecg.signal.added_leads import difference_names
from nasbench_ecg.signal.noise import Noise
from nasbench_ecg.signal.records import Record, read_record
from nasbench_ecg.signal.windows import Windows

_MAX_WORKERS = 4  # more threads do not help: annotations are decoded in pure Python
_LEAST_DENOISED = 200.0  # hertz; an eighth of it is left, and QRS complexes have up to 25 Hz
_UNANNOTATED = 30.0  # seconds; published records of mitdb, svdb and qtdb have less than two


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
    leads = _common_leads([one.leads for one in cut], options.leads)
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
                *leads,
                *(difference_names(leads) if options.differences else ()),
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
    _note_denoising(options, min(one.fs for one in cut), progress)
    return result


@dataclass(frozen=True, eq=False)
class _CutRecord:
    """The windows of one record, with its subject and the names of its leads."""

    windows: Windows
    subject: str
    leads: tuple[str, ...]
    fs: float
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
            record.fs,
            Counter(kept.tolist()),
            len(record.symbols) - len(kept),
            int((record.samples >= record.signals.shape[1]).sum()),
            (*record.notes, *_unannotated_end(record)),
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


def _unannotated_end(record: Record) -> Iterator[str]:
    """Yield a note if the annotations end long before the signals, as in a truncated file."""
    last = int(record.samples[-1]) if len(record.samples) else 0
    without = (record.signals.shape[1] - last) / record.fs
    if without > _UNANNOTATED:
        yield (
            f"Record {record.name} has no annotation in its last {without:,.0f} s: its annotation "
            "file may be truncated."
        )


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


def _note_denoising(options: WaveformOptions, fs: float, progress: Progress) -> None:
    """Note if the wavelet filter removes a part of the QRS complexes."""
    rate = options.denoise_rate or fs
    if options.denoise != "none" and rate < _LEAST_DENOISED:
        progress.note(
            f"Denoising at {rate:g} Hz removes everything above {rate / 8:g} Hz, a part of the QRS "
            "complexes: set the option denoise to none, or denoise_rate to 360."
        )
