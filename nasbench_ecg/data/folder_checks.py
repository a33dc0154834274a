"""What the annotations of a folder of records must hold before it is added as a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.beat_rates import fault_of_beat_rate
from nasbench_ecg.signal.records import RecordSummary


def check_annotated(summaries: Sequence[RecordSummary], folder: Path, extension: str) -> None:
    """Raise RecordError if a record has no annotations, or no annotation of any is a beat."""
    missing = [summary.name for summary in summaries if summary.beats is None]
    if missing:
        raise RecordError(
            f"{len(missing)} records have no annotations: {', '.join(missing[:3])}.",
            where=f"{folder}, files ending in .{extension}",
            fix="List the annotated records in the entry records, or set the extension of the "
            "annotation files in the entry annotations.",
        )
    if not any(n_beats(summary) for summary in summaries):
        raise RecordError(
            "No annotation of these records is a beat.",
            where=f"{folder}, files ending in .{extension}",
            fix="Set the extension of the files with beat annotations in the entry annotations.",
        )


def check_rates(summaries: Sequence[RecordSummary], folder: Path) -> None:
    """Raise RecordError if a record is sampled too slowly to show the shape of a beat."""
    for summary in summaries:
        if fault := fault_of_beat_rate(summary.fs):
            raise RecordError(
                f"The sampling rate of record {summary.name} is too low for beats: {fault}.",
                where=str(folder / f"{summary.name}.hea"),
                fix="Correct the header, or list the other records in the entry records.",
            )


def check_window(
    before: int, after: int, rate: float, summaries: Sequence[RecordSummary], path: Path
) -> None:
    """Raise OptionError if the window around a beat, in samples at ``rate``, fits in no record."""
    seconds, longest = (before + 1 + after) / rate, max(summary.seconds for summary in summaries)
    if seconds > longest:
        raise OptionError(
            f"A window of {before:,} + 1 + {after:,} samples at {rate:g} Hz is longer than every "
            f"record: it lasts {seconds:,.1f} s, and the longest record {longest:,.1f} s.",
            where=f"{path}, entries before and after",
            fix="Shorten the window; both are samples, not milliseconds.",
        )


def n_beats(summary: RecordSummary) -> int:
    """Return the number of annotated beats of a record."""
    return sum((summary.beats or {}).values())


def subjects_with_beats(
    summaries: Sequence[RecordSummary], subjects: Mapping[str, str]
) -> frozenset[str]:
    """Return the subjects that have a beat; a record that is not listed is one of its own."""
    return frozenset(subjects.get(one.name, one.name) for one in summaries if n_beats(one))


def notes_of(summaries: Sequence[RecordSummary]) -> Iterator[str]:
    """Yield what a user should know about the records, although they can be read."""
    for summary in summaries:
        yield from summary.notes
    if none := [summary.name for summary in summaries if not n_beats(summary)]:
        more = f" and {len(none) - 5:,} more" if none[5:] else ""
        yield f"Records without an annotated beat: {', '.join(none[:5])}{more}."
