"""The result of annotating a recording: WFDB annotations, a summary, and a strip of beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import replace_atomically, storage_errors
from nasbench_ecg.models.annotate import AnnotatedRecording
from nasbench_ecg.signal.aami import CLASSES
from nasbench_ecg.signal.annotations import END_MARK, check_annotation_extension
from nasbench_ecg.signal.rhythm import BEAT_SYMBOLS
from nasbench_ecg.text import duration

PAUSE_SECONDS = 2.0
"""Longest interval between beats that is no pause."""

RUN_BEATS = 3
"""Fewest consecutive V beats that are a run."""

_SHOWN = 10
_APART_SECONDS = 4.0
_HOUR = 3600.0


@dataclass(frozen=True)
class Summary:
    """What an annotation says of a recording.

    Attributes:
        beats: Number of beats of each class.
        unclassified: Number of beats without a class; they are not among ``beats``.
        hours: Beats of each class in each hour, in order of time.
        heart_rate: Mean heart rate in beats a minute; None without an interval between two beats.
        runs: Runs of V: their start in seconds, and their number of beats. A part without signal
            ends a run.
        pauses: Pauses: their start and their duration in seconds.
        gaps: Parts in which no lead has a signal: their start and their duration in seconds.
            Intervals across them count neither as pauses nor for the heart rate.
    """

    beats: dict[str, int]
    unclassified: int
    hours: tuple[dict[str, int], ...]
    heart_rate: float | None
    runs: tuple[tuple[float, int], ...]
    pauses: tuple[tuple[float, float], ...]
    gaps: tuple[tuple[float, float], ...]


def summarize(found: AnnotatedRecording) -> Summary:
    """Return counts, heart rate, runs of V, and pauses."""
    symbols = np.array(found.symbols, dtype=object)
    known = ~np.isnan(found.probabilities).any(axis=1) if len(symbols) else np.zeros(0, bool)
    seconds = found.samples / found.fs
    n_hours = max(1, int(np.ceil(found.n_samples / found.fs / _HOUR)))
    hour = np.minimum(seconds // _HOUR, n_hours - 1).astype(int)

    def counts(chosen: Any) -> dict[str, int]:
        return {name: int((symbols[chosen & known] == name).sum()) for name in found.classes}

    rr = np.diff(seconds)
    seen = _without_gap(found)
    every = np.ones(len(symbols), bool)
    return Summary(
        beats=counts(every),
        unclassified=int((~known).sum()),
        hours=tuple(counts(hour == h) for h in range(n_hours)),
        heart_rate=float(60 / rr[seen].mean()) if seen.any() else None,
        runs=tuple(_runs(symbols, seconds, seen)),
        pauses=tuple(
            (float(seconds[i]), float(rr[i])) for i in np.flatnonzero(seen & (rr > PAUSE_SECONDS))
        ),
        gaps=tuple((a / found.fs, (b - a) / found.fs) for a, b in found.gaps),
    )


def _without_gap(found: AnnotatedRecording) -> Any:
    """Return whether there is a signal between each beat and the next one, bool [n_beats − 1]."""
    seen = np.ones(max(len(found.samples) - 1, 0), bool)
    for first, last in found.gaps:
        seen &= (found.samples[1:] <= first) | (found.samples[:-1] >= last)
    return seen


def _runs(symbols: Any, seconds: Any, seen: Any) -> Iterator[tuple[float, int]]:
    ends = np.flatnonzero((symbols[1:] != symbols[:-1]) | ~seen) + 1
    for beats in np.split(np.arange(len(symbols)), ends):
        if len(beats) >= RUN_BEATS and symbols[beats[0]] == "V":
            yield float(seconds[beats[0]]), len(beats)


def chosen_beats(found: AnnotatedRecording, n: int) -> list[int]:
    """Return the beats that a strip shows, by position, in order of time.

    First the starts of the longest runs of V and the beats before the longest pauses, then beats of
    every class but the most frequent one, the rarest class first. A recording of one class shows
    beats of that class. Beats less than four seconds apart are shown once.

    Args:
        found: The annotated recording.
        n: Most beats.
    """
    summary, seconds = summarize(found), found.samples / found.fs
    runs = sorted(summary.runs, key=lambda run: -run[1])[: max(n // 4, 1)]
    pauses = sorted(summary.pauses, key=lambda pause: -pause[1])[: max(n // 4, 1)]
    wanted = [int(np.searchsorted(seconds, start)) for start, _ in (*runs, *pauses)]
    symbols = np.array(found.symbols, dtype=object)
    by_class = sorted((count, name) for name, count in summary.beats.items() if count)
    for _, name in by_class[:-1] or by_class:
        own = np.flatnonzero(symbols == name)
        spread = np.linspace(0, len(own) - 1, min(n, len(own))).round().astype(int)
        wanted += own[spread].tolist()
    chosen: list[int] = []
    for beat in wanted:
        apart = all(abs(seconds[beat] - seconds[other]) >= _APART_SECONDS for other in chosen)
        if apart and len(chosen) < n:
            chosen.append(beat)
    return sorted(chosen)


def check_extension(extension: str) -> None:
    """Raise OptionError if annotation files cannot have this extension: WFDB allows letters."""
    if not (extension.isascii() and extension.isalpha()):
        raise OptionError(
            f"The extension {extension!r} of an annotation file has other characters than letters.",
            where="--extension",
            fix="For example --extension ann, without a dot.",
        )
    check_annotation_extension(extension, where="--extension")


def check_classes(classes: Sequence[str]) -> None:
    """Raise OptionError unless each class is the symbol of a beat in WFDB annotation files."""
    if unknown := [name for name in classes if name not in BEAT_SYMBOLS]:
        raise OptionError(
            f"A WFDB annotation file has no beats of the class {unknown[0]!r}.",
            where=f"classes of the network: {', '.join(classes)}",
            fix="Use nasbench_ecg.annotate in Python, whose to_dataframe() has any classes.",
        )


def check_target(path: Path, *, overwrite: bool, sources: Sequence[Path] = ()) -> None:
    """Raise OptionError if writing ``path`` would replace a file that is to be kept.

    Args:
        path: The file to write.
        overwrite: Whether a file that exists may be replaced.
        sources: Files of the recording, which are never replaced.
    """
    if not path.exists():
        return
    if any(source.exists() and path.samefile(source) for source in sources):
        raise OptionError(
            "This is a file of the recording itself, and is not replaced.",
            where=str(path),
            fix="Choose another folder or --extension.",
        )
    if not overwrite:
        raise OptionError(
            "The file exists already.",
            where=str(path),
            fix="Choose another folder or --extension, or replace it with --overwrite.",
        )


def beside(annotations: Path, suffix: str) -> Path:
    """Return the path of the summary (``.md``) or strips of an annotation file.

    They are named after it, so that those of two networks keep theirs.
    """
    stem = annotations.stem if annotations.suffix == ".atr" else annotations.name
    return annotations.with_name(f"{stem}{suffix}")


def remove_beside(annotations: Path) -> None:
    """Remove summary and strips of an annotation file that is about to be replaced."""
    if annotations.exists():
        for suffix in (".md", ".png", ".pdf"):
            beside(annotations, suffix).unlink(missing_ok=True)


def write_annotations(
    found: AnnotatedRecording, folder: Path, extension: str = "atr", *, overwrite: bool = False
) -> Path:
    """Write the beats as a WFDB annotation file; the auxiliary text holds the probabilities.

    A recording without a beat gets a file with the end mark only: it is annotated, and all its
    beats are missed.

    Args:
        found: The annotated recording.
        folder: Existing folder.
        extension: Extension of the file.
        overwrite: Replace a file that exists, and remove its summary and strips.

    Returns:
        Path of the file.

    Raises:
        OptionError: The file exists, or annotation files cannot have this extension or a class.
        StorageError: The file cannot be written.
    """
    import wfdb

    check_extension(extension)
    check_classes(found.classes)
    path = folder / f"{found.name}.{extension}"
    check_target(path, overwrite=overwrite)
    with storage_errors(path, option="-o"), TemporaryDirectory(prefix=".", dir=folder) as scratch:
        made = Path(scratch, f"annotations.{extension}")
        if len(found.samples):
            wfdb.wrann(
                "annotations",
                extension,
                found.samples,
                symbol=list(found.symbols),
                aux_note=_probabilities(found),
                fs=found.fs,
                write_dir=scratch,
            )
        else:  # which wfdb does not write
            made.write_bytes(END_MARK)
        with replace_atomically(path) as temporary:
            temporary.write_bytes(made.read_bytes())
            remove_beside(path)
    return path


def _probabilities(found: AnnotatedRecording) -> list[str]:
    rows = np.round(found.probabilities * 100)
    return [
        ""
        if np.isnan(row[0])
        else " ".join(f"{name}={int(p)}" for name, p in zip(found.classes, row, strict=True))
        for row in rows
    ]


def as_markdown(found: AnnotatedRecording, classifier: str) -> str:
    """Return the summary as Markdown."""
    return "\n".join(_lines(found, summarize(found), classifier)) + "\n"


def _lines(found: AnnotatedRecording, summary: Summary, classifier: str) -> Iterator[str]:
    yield f"# {found.name}"
    yield ""
    yield (
        f"{duration(found.n_samples / found.fs)} at {found.fs:g} Hz, leads "
        f"{', '.join(found.leads)}, annotated by {classifier}."
    )
    for note in found.notes:
        yield ""
        yield f"Note: {note}"
    yield ""
    yield f"| | {' | '.join(found.classes)} |"
    yield f"| --- | {' | '.join('--:' for _ in found.classes)} |"
    yield f"| all | {' | '.join(f'{n:,}' for n in summary.beats.values())} |"
    if len(summary.hours) > 1:
        for hour, counts in enumerate(summary.hours, start=1):
            yield f"| hour {hour} | {' | '.join(f'{n:,}' for n in counts.values())} |"
    yield ""
    if summary.heart_rate is not None:
        yield f"Mean heart rate: {summary.heart_rate:.0f} beats a minute."
        yield ""
    yield from _events(
        f"Runs of {RUN_BEATS} or more V beats",
        [f"{_clock(start)}, {n} beats" for start, n in summary.runs],
    )
    yield from _events(
        f"Pauses of more than {PAUSE_SECONDS:g} s",
        [f"{_clock(start)}, {seconds:.1f} s" for start, seconds in summary.pauses],
    )
    if summary.gaps:
        yield from _events(
            "Parts without signal, across which no pause is told",
            [f"{_clock(start)}, {seconds:.1f} s" for start, seconds in summary.gaps],
        )
    aami = "Classes are those of ANSI/AAMI EC57. " if set(found.classes) <= set(CLASSES) else ""
    yield f"{aami}For research, and not for diagnosis."


def _events(what: str, listed: list[str]) -> Iterator[str]:
    shown = "; ".join(listed[:_SHOWN]) + ("; …" if listed[_SHOWN:] else "")
    yield f"{what}: {len(listed):,}{f' ({shown})' if listed else ''}."
    yield ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{rest:02d}"
