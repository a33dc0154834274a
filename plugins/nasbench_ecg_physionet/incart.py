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
from nasbench_ecg_physionet.published import compared

RECORDS = tuple(f"I{number:02d}" for number in range(1, 76))
"""The 75 records, cut from the Holter recordings of 32 patients."""

_CLASSES = ("N", "S", "V", "F")  # its six unclassifiable beats are left out, as in the paper
_COUNTS = {"N": 153_350, "S": 1_957, "V": 19_973, "F": 219}
_PATIENT = re.compile(r"\bpatient\s*(\d+)", re.IGNORECASE)


class IncartOptions(WaveformOptions):
    """Leads II and V1 at 257 Hz, 250 samples a beat."""

    records: tuple[str, ...] = RECORDS
    leads: tuple[str, ...] = ("II", "V1")
    before: int = 99
    after: int = 150


class Incart:
    """Beats of the INCART database: 257 Hz, twelve leads, half an hour a record.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: IncartOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("incartdb", self.options.records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records, cut their beats and compare their counts with the published ones.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """
        prepared = cut_beats(
            source.folder("incartdb"), self.options, progress, subject=subject, classes=_CLASSES
        )
        published = sorted(self.options.records) == sorted(RECORDS)
        trimmed = (self.options.head, self.options.tail) == (3, 2)
        progress.note(compared(prepared, _COUNTS if published and trimmed else None))
        unnamed = set(prepared.beats.subjects) & set(self.options.records)
        if unnamed:
            progress.note(
                f"{len(unnamed)} headers name no patient, so each of these records counts as a "
                "person of its own: a split by patient may not hold."
            )
        return prepared.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol fixes the records of this database."""
        return None


def subject(record: Record) -> str:
    """Return the patient that the header's comments number (1 to 32), or else the record's name."""
    for comment in record.comments:
        found = _PATIENT.search(comment)
        if found:
            return f"patient-{int(found.group(1)):02d}"
    return record.name
