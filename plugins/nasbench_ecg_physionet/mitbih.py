"""The MIT-BIH Arrhythmia Database.

References:
    Moody & Mark, "The impact of the MIT-BIH Arrhythmia Database", IEEE Eng. in Med. and Biol.
    20(3), 2001. De Chazal, O'Dwyer & Reilly, "Automatic classification of heartbeats using ECG
    morphology and heartbeat interval features", IEEE Trans. Biomed. Eng. 51(7), 2004 (DS1, DS2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nasbench_ecg.api import Beats, DataSource, Progress, Requirement, WaveformOptions, cut_beats
from nasbench_ecg.signal import Record, Rhythm
from nasbench_ecg_physionet.class_counts import count_note

_PAPER_COUNTS = {"N": 79_508, "S": 2_696, "V": 7_129, "F": 793, "Q": 3_887}
_DE_CHAZAL_COUNTS = {"N": 90_125, "S": 2_781, "V": 7_009, "F": 803, "Q": 15}
_SAME_SUBJECT = {"202": "201"}  # from the same tape, according to the header of 202


class MitBih:
    """Beats of the MIT-BIH Arrhythmia Database: 360 Hz, two leads, 30 minutes per record.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: WaveformOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [
            Requirement("mitdb", self.options.used_records),
            *self.options.noise_requirements,
        ]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; note whether the class counts are as published.

        Raises:
            RecordError: A record is missing or damaged, or has no such lead.
        """
        cut = cut_beats(
            source.folder("mitdb"), self.options, progress, source=source, subject=_subject
        )
        published = published_counts(
            self.options.used_records, (self.options.head, self.options.tail)
        )
        progress.note(count_note(cut.beats, published, cut.dropped))
        return cut.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return DS1 and DS2 of de Chazal et al.; the strict protocol leaves out 202."""
        return partition(protocol, self.options.used_records)

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record; 201 and 202 are of one person."""
        return persons(self.options.records)


def partition(protocol: str, records: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    """Return the training and the test records; None if the protocol has no fixed records.

    ``inter-patient-strict`` leaves out 202, because 201, of the same subject, is in DS1.
    """
    if protocol not in ("inter-patient", "inter-patient-strict"):
        return None
    left_out = _SAME_SUBJECT if protocol == "inter-patient-strict" else {}
    loaded = set(records)
    return {
        "train": [name for name in DS1 if name in loaded],
        "test": [name for name in DS2 if name in loaded and name not in left_out],
    }


def published_counts(records: Sequence[str], trimmed: tuple[int, int]) -> Mapping[str, int] | None:
    """Return the published class counts; None if none are published for these records.

    Args:
        records: Names of the records.
        trimmed: Number of annotations skipped at the start and at the end of each record.
    """
    if sorted(records) == sorted(PAPER_RECORDS) and trimmed == (3, 2):
        return _PAPER_COUNTS
    if sorted(records) == sorted(DS1 + DS2) and trimmed == (0, 0):
        return _DE_CHAZAL_COUNTS
    return None


def subject_of(name: str) -> str:
    """Return the subject of a record: 201 and 202 have the same subject."""
    return _SAME_SUBJECT.get(name, name)


def persons(records: Sequence[str]) -> Mapping[str, str]:
    """Return the person of each record across databases, for example ``mitdb/213``."""
    return {name: f"mitdb/{subject_of(name)}" for name in records}


def _subject(record: Record) -> str:
    return subject_of(record.name)


PAPER_RECORDS = (
    "101", "105", "106", "107", "108", "109", "111", "112", "113", "115", "116", "118", "119",
    "121", "122", "200", "201", "202", "203", "205", "207", "208", "209", "210", "212", "213",
    "214", "215", "217", "219", "220", "221", "222", "223", "228", "230", "231", "232", "233",
    "234",
)  # fmt: skip
"""The 40 records whose leads are MLII and V1."""

DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122", "124", "201",
    "203", "205", "207", "208", "209", "215", "220", "223", "230",
)  # fmt: skip
"""Training records of de Chazal et al. 2004."""

DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210", "212", "213",
    "214", "219", "221", "222", "228", "231", "232", "233", "234",
)  # fmt: skip
"""Test records of de Chazal et al. 2004."""

_INTER_PATIENT: dict[str, Any] = {"records": DS1 + DS2, "head": 0, "tail": 0}


def _protocols(leads: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    changed = {**_INTER_PATIENT, "leads": leads}
    return {"inter-patient": changed, "inter-patient-strict": changed}


class OneLeadOptions(WaveformOptions):
    """One lead: V1 as in the paper; MLII for inter-patient, where six records have no V1."""

    PROTOCOLS: ClassVar = _protocols(("MLII",))

    records: tuple[str, ...] = PAPER_RECORDS
    leads: tuple[str, ...] = ("V1",)
    before: int = 99
    after: int = 200


class TwoLeadOptions(WaveformOptions):
    """Two leads: MLII and V1 as in the paper; MLII and the other lead for inter-patient."""

    PROTOCOLS: ClassVar = _protocols(("MLII", "*"))

    records: tuple[str, ...] = PAPER_RECORDS
    leads: tuple[str, ...] = ("MLII", "V1")
    before: int = 99
    after: int = 200


class ContextOptions(TwoLeadOptions):
    """Two leads from 2 s before to 1 s after the R peak at 120 Hz, to include the rhythm."""

    before: int = 240
    after: int = 119
    rate: float | None = 120.0


class RhythmOptions(ContextOptions):
    """The two leads of ``mitbih-2lead-context``, and the rhythm planes of the whole record."""

    rhythm: Rhythm | None = "whole-record"
