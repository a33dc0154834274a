"""The QT Database.

References:
    Laguna, Mark, Goldberger & Moody, "A database for evaluation of algorithms for measurement of
    QT and other waveform intervals in the ECG", Computers in Cardiology 24, 1997.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nasbench_ecg.api import Beats, DataSource, Progress, Requirement, WaveformOptions, cut_beats
from nasbench_ecg_physionet.class_counts import count_note

RECORDS = (
    "sel100", "sel102", "sel103", "sel104", "sel114", "sel116", "sel117", "sel123", "sel14046",
    "sel14157", "sel14172", "sel15814", "sel16265", "sel16272", "sel16273", "sel16420",
    "sel16483", "sel16539", "sel16773", "sel16786", "sel16795", "sel17152", "sel17453",
    "sel213", "sel221", "sel223", "sel230", "sel231", "sel232", "sel233", "sel301", "sel302",
    "sel306", "sel307", "sel308", "sel310", "sel803", "sel808", "sel811", "sel820", "sel821",
    "sel840", "sel847", "sel853", "sel871", "sel872", "sel873", "sel883", "sel891", "sele0104",
    "sele0106", "sele0107", "sele0110", "sele0111", "sele0112", "sele0114", "sele0116",
    "sele0121", "sele0122", "sele0124", "sele0126", "sele0129", "sele0133", "sele0136",
    "sele0166", "sele0170", "sele0203", "sele0210", "sele0211", "sele0303", "sele0405",
    "sele0406", "sele0409", "sele0411", "sele0509", "sele0603", "sele0604", "sele0606",
    "sele0607", "sele0609", "sele0612", "sele0704",
)  # fmt: skip
"""The 82 records with beat annotations; the 23 records of sudden death have none."""

_DATABASES = (
    (r"sel([12]\d\d)", "mitdb"),
    (r"sel(3\d\d)", "stdb"),
    (r"sel(8\d\d)", "svdb"),
    (r"sel(1[45]\d{3})", "ltdb"),
    (r"sel(16\d{3}|17453)", "nsrdb"),
    (r"sel(e\d{4})", "edb"),
)
"""Pattern of a record's name, with the record that it is an excerpt of, and the database of that.

The headers of the records say the same ("Produced by xform from record 213"), but not the database;
three headers name a record ``mqt2`` of no database.
"""

_SAME_PERSON = {"e0122": "e0121", "e0126": "e0124"}
"""Records of the European ST-T Database with equal headers: age, sex, diagnoses, recorder."""

_COUNTS = {"N": 81_022, "S": 1_485, "V": 1_691, "F": 251, "Q": 2_146}


class QtOptions(WaveformOptions):
    """The first channel, which is not the same lead in all records; 220 samples at 250 Hz."""

    records: tuple[str, ...] = RECORDS
    leads: tuple[str, ...] = ("#0",)
    before: int = 99
    after: int = 120


class Qt:
    """Beats of the QT Database: 250 Hz, two leads, 15 minutes per record.

    The records are excerpts of other databases: 15 of ``mitdb``, 13 of ``svdb``. :meth:`persons`
    names the persons in those. The headers contain no patient numbers, so each record is treated as
    a separate person, except for sele0121 and sele0122, and sele0124 and sele0126, whose headers
    are equal.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: QtOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [
            Requirement("qtdb", self.options.used_records),
            *self.options.noise_requirements,
        ]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; note whether the class counts are as published.

        Raises:
            RecordError: A record is missing or damaged, or has no such lead.
        """
        cut = cut_beats(source.folder("qtdb"), self.options, progress, source=source)
        published = sorted(self.options.used_records) == sorted(RECORDS)
        trimmed = (self.options.head, self.options.tail) == (3, 2)
        counts = _COUNTS if published and trimmed else None
        progress.note(count_note(cut.beats, counts, cut.dropped))
        return cut.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records for this database."""
        return None

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record in the database that it is an excerpt of."""
        return {name: person(name) for name in self.options.records}


def person(name: str) -> str:
    """Return the person of a record, for example ``mitdb/213`` for ``sel213``."""
    for pattern, database in _DATABASES:
        if found := re.fullmatch(pattern, name):
            source = found.group(1)
            return f"{database}/{_SAME_PERSON.get(source, source)}"
    return f"qtdb/{name}"
