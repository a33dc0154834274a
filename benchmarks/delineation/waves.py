"""P and T peaks of our delineation and of NeuroKit2, compared with the expert marks of QT."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import neurokit2
import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.signal.delineation import delineate
from nasbench_ecg.signal.filtering import adaptive_filter
from nasbench_ecg.signal.qrs import detect_qrs
from nasbench_ecg.signal.records import Record, read_record

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Peaks = dict[str, Floats]
TOLERANCE = 150.0  # milliseconds
NEUROKIT = ("dwt", "prominence")
_AROUND = 30.0  # seconds before the first and after the last mark
_QRS_SYMBOLS = list("NBAVQ")


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The marked part of a record: raw and filtered leads, detected beats, and expert marks."""

    fs: float
    raw: Floats
    filtered: Floats
    beats: Ints
    marks: dict[str, Ints]


def table(folder: Path) -> tuple[int, str]:
    """Return the number of records, and a Markdown table of both methods."""
    excerpts = [excerpt(folder, path.stem) for path in sorted(folder.glob("*.q1c"))]
    lines = [
        "| wave | lead | method | marks | detected "
        "| mean error, ms | sd, ms | median absolute error, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    methods = {"ours": ours, "ours, any extremum": ours_unchecked}
    methods |= {f"NeuroKit2 {name}": partial(neurokit, method=name) for name in NEUROKIT}
    for name, method in methods.items():
        start = time.process_time()
        found = [[method(excerpt, lead) for lead in range(2)] for excerpt in excerpts]
        seconds = time.process_time() - start
        for wave in "PT":
            errors = [
                np.stack([peak_errors(e.marks[wave], peaks[wave], e.fs) for peaks in leads])
                for e, leads in zip(excerpts, found, strict=True)
            ]
            first = np.concatenate([error[0] for error in errors])
            nearer = np.concatenate([_smallest(error) for error in errors])
            for lead, error in (("first", first), ("better", nearer)):
                lines.append(f"| {wave} | {lead} | {name} | {_statistics(error)} |")
        additional, unmarked = np.sum(
            [additional_p(e, leads[0]["P"]) for e, leads in zip(excerpts, found, strict=True)],
            axis=0,
        )
        notes.append(
            f"Additional P waves, {name}: {additional} of {unmarked} beats. "
            f"CPU time, {name}: {seconds:.0f} s."
        )
    lines[2:] = sorted(lines[2:], key=lambda line: line.split(" | ")[:2])
    return len(excerpts), "\n".join([*lines, "", *notes])


def ours(excerpt: Excerpt, lead: int) -> Peaks:
    """Return the P and T peaks of our delineation in one lead."""
    found = delineate(excerpt.filtered[lead], excerpt.fs, excerpt.beats)
    return {"P": found.p, "T": found.t}


def ours_unchecked(excerpt: Excerpt, lead: int) -> Peaks:
    """Return the same where the largest extremum before each QRS complex counts as P wave."""
    found = delineate(excerpt.filtered[lead], excerpt.fs, excerpt.beats, check_p=False)
    return {"P": found.p, "T": found.t}


def neurokit(excerpt: Excerpt, lead: int, *, method: str) -> Peaks:
    """Return the P and T peaks of a method of NeuroKit2 for the R peaks of the same beats."""
    r = delineate(excerpt.filtered[lead], excerpt.fs, excerpt.beats).r.astype(np.int64)
    fs = int(excerpt.fs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = neurokit2.ecg_clean(excerpt.raw[lead], sampling_rate=fs)
        _, found = neurokit2.ecg_delineate(clean, r, sampling_rate=fs, method=method)
    return {w: np.asarray(found[f"ECG_{w}_Peaks"], dtype=np.float64) for w in "PT"}


def excerpt(folder: Path, name: str) -> Excerpt:
    """Return the marked part of a record of QT."""
    record: Record = read_record(folder, name, extension="q1c")
    margin = int(_AROUND * record.fs)
    start = max(int(record.samples[0]) - margin, 0)
    raw = record.signals[:, start : int(record.samples[-1]) + margin]
    filtered = adaptive_filter(raw, record.fs)
    symbols, samples = record.symbols, record.samples - start
    return Excerpt(
        fs=record.fs,
        raw=raw,
        filtered=filtered,
        beats=detect_qrs(filtered, record.fs),
        marks={
            "P": samples[symbols == "p"],
            "T": samples[symbols == "t"],
            "QRS": samples[np.isin(symbols, _QRS_SYMBOLS)],
        },
    )


def peak_errors(marks: Ints, found: Floats, fs: float) -> Floats:
    """Return the distance from each mark to the nearest peak, in ms; infinity without peaks."""
    found = np.sort(found[~np.isnan(found)])
    if not len(found):
        return np.full(len(marks), np.inf)
    after = np.clip(np.searchsorted(found, marks), 0, len(found) - 1)
    before = np.maximum(after - 1, 0)
    both = np.stack([found[before] - marks, found[after] - marks])
    return _smallest(both) / fs * 1e3


def _smallest(errors: Floats) -> Floats:
    nearest: Floats = errors[np.abs(errors).argmin(axis=0), np.arange(errors.shape[1])]
    return nearest


def _statistics(errors: Floats) -> str:
    hits = errors[np.abs(errors) <= TOLERANCE]
    share, size = len(hits) / len(errors), float(np.median(np.abs(hits)))
    return f"{len(errors):,} | {share:.2%} | {hits.mean():+.2f} | {hits.std():.2f} | {size:.1f}"


def additional_p(excerpt: Excerpt, found: Floats) -> tuple[int, int]:
    """Return the number of QRS complexes without marked P that get one, and their total number."""
    absent = unmarked(excerpt)
    additional = _preceded(excerpt.marks["QRS"], found, 0.3 * excerpt.fs)
    return int((absent & additional).sum()), int(absent.sum())


def unmarked(excerpt: Excerpt) -> NDArray[np.bool_]:
    """Return which marked QRS complexes have no marked P wave before them."""
    return ~_preceded(excerpt.marks["QRS"], excerpt.marks["P"], 0.35 * excerpt.fs)


def _preceded(qrs: Ints, places: Floats | Ints, samples: float) -> NDArray[np.bool_]:
    ahead = qrs[:, None] - places
    return np.asarray(np.any((ahead > 0) & (ahead < samples), axis=1), dtype=np.bool_)
