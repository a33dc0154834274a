"""The St.-Petersburg INCART 12-lead Arrhythmia Database.

References:
    Tihonenko, Khaustov, Ivanov, Rivin & Yakushenko, "St Petersburg INCART 12-lead Arrhythmia
    Database" (version 1.0.0), PhysioNet, 2008, doi:10.13026/C2V88N.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nasbench_ecg.api import Beats, DataSource, Progress, Requirement, WaveformOptions, cut_beats
from nasbench_ecg.signal import Record
from nasbench_ecg_physionet.class_counts import count_note

RECORDS = tuple(f"I{number:02d}" for number in range(1, 76))
"""The 75 records, from the Holter recordings of 32 patients."""

_CLASSES = ("N", "S", "V", "F")  # without its six unclassifiable beats, as in the paper
_COUNTS = {"N": 153_350, "S": 1_957, "V": 19_973, "F": 219}
_PATIENT = re.compile(r"\bpatient\s*(\d+)", re.IGNORECASE)


class IncartOptions(WaveformOptions):
    """Leads II and V1, 250 samples at 257 Hz."""

    records: tuple[str, ...] = RECORDS
    leads: tuple[str, ...] = ("II", "V1")
    before: int = 99
    after: int = 150


class Incart:
    """Beats of the INCART database: 257 Hz, 12 leads, 30 minutes per record.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: IncartOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [
            Requirement("incartdb", self.options.used_records),
            *self.options.noise_requirements,
        ]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; note whether the class counts are as published.

        Raises:
            RecordError: A record is missing or damaged, or has no such lead.
        """
        cut = cut_beats(
            source.folder("incartdb"),
            self.options,
            progress,
            source=source,
            subject=subject,
            classes=_CLASSES,
        )
        published = sorted(self.options.used_records) == sorted(RECORDS)
        trimmed = (self.options.head, self.options.tail) == (3, 2)
        counts = _COUNTS if published and trimmed else None
        progress.note(count_note(cut.beats, counts, cut.dropped))
        unnamed = set(cut.beats.subjects) & set(self.options.used_records)
        if unnamed:
            progress.note(
                f"{len(unnamed)} headers contain no patient number; each of these records is "
                "treated as a separate subject, so a patient may be in several parts of a split."
            )
        return cut.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records for this database."""
        return None


def subject(record: Record) -> str:
    """Return the patient number (1 to 32) of the header comments, else the name of the record."""
    for comment in record.comments:
        found = _PATIENT.search(comment)
        if found:
            return f"patient-{int(found.group(1)):02d}"
    return record.name
