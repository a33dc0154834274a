"""The MIT-BIH Arrhythmia Database.

References:
    Moody & Mark, "The impact of the MIT-BIH Arrhythmia Database", IEEE Eng. in Med. and Biol.
    20(3), 2001. De Chazal, O'Dwyer & Reilly, "Automatic classification of heartbeats using ECG
    morphology and heartbeat interval features", IEEE Trans. Biomed. Eng. 51(7), 2004 (DS1, DS2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasbench_ecg.api import (
    Beats,
    DataSource,
    Progress,
    Record,
    Requirement,
    WaveformOptions,
    prepare,
)
from nasbench_ecg_physionet.mitbih_options import DS1, DS2, PAPER_RECORDS
from nasbench_ecg_physionet.published import compared

_PAPER_COUNTS = {"N": 79_508, "S": 2_696, "V": 7_129, "F": 793, "Q": 3_887}
_DE_CHAZAL_COUNTS = {"N": 90_125, "S": 2_781, "V": 7_009, "F": 803, "Q": 15}
_SAME_SUBJECT = {"202": "201"}  # both were cut from one tape, as the header of 202 says


class MitBih:
    """Beats of the MIT-BIH Arrhythmia Database: 360 Hz, two leads, half an hour a record.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: WaveformOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [Requirement("mitdb", self.options.records)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records, cut their beats and compare their counts with the published ones.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """
        prepared = prepare(source.folder("mitdb"), self.options, progress, subject=_subject)
        progress.note(compared(prepared, self._published()))
        return prepared.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return de Chazal's DS1 and DS2; the strict protocol leaves 202 out, as 201 is in DS1."""
        return partition(protocol, self.options.records)

    def _published(self) -> Mapping[str, int] | None:
        return published_counts(self.options.records, (self.options.head, self.options.tail))


def partition(protocol: str, records: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    """Return which of ``records`` train and which test, None where the protocol fixes none."""
    if protocol not in ("inter-patient", "inter-patient-strict"):
        return None
    left_out = _SAME_SUBJECT if protocol == "inter-patient-strict" else {}
    loaded = set(records)
    return {
        "train": [name for name in DS1 if name in loaded],
        "test": [name for name in DS2 if name in loaded and name not in left_out],
    }


def published_counts(records: Sequence[str], trimmed: tuple[int, int]) -> Mapping[str, int] | None:
    """Return the published beats of each class, None where nothing is published.

    Args:
        records: Names of the records.
        trimmed: Annotations left out at the start and at the end of each record.
    """
    if sorted(records) == sorted(PAPER_RECORDS) and trimmed == (3, 2):
        return _PAPER_COUNTS
    if sorted(records) == sorted(DS1 + DS2) and trimmed == (0, 0):
        return _DE_CHAZAL_COUNTS
    return None


def subject_of(name: str) -> str:
    """Return the person behind a record: 201 and 202 are one."""
    return _SAME_SUBJECT.get(name, name)


def _subject(record: Record) -> str:
    return subject_of(record.name)
