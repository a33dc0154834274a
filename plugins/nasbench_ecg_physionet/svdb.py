"""The MIT-BIH Supraventricular Arrhythmia Database.

References:
    Greenwald, "Improved detection and classification of arrhythmias in noise-corrupted
    electrocardiograms using contextual information", PhD thesis, Harvard-MIT Division of Health
    Sciences and Technology, 1990.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from nasbench_ecg.api import Beats, DataSource, Progress, Requirement, WaveformOptions, cut_beats
from nasbench_ecg.signal import Denoising, Rhythm
from nasbench_ecg_physionet.class_counts import count_note

RECORDS = tuple(
    str(number)
    for first, last in ((800, 812), (820, 829), (840, 894))
    for number in range(first, last + 1)
)
"""The 78 records."""

_CLASSES = ("N", "S", "V")  # 23 beats of F and 79 of Q are too few to learn or to score


class Svdb:
    """Beats of the MIT-BIH Supraventricular Arrhythmia Database: 128 Hz, 30 minutes per record.

    Fusion and unclassifiable beats (23 and 79) are left out; intervals between beats include them.
    The headers contain no patient numbers, so each record is treated as a separate subject.

    Args:
        options: Records, leads, window and processing.
    """

    def __init__(self, options: SvdbOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        return [
            Requirement("svdb", self.options.used_records),
            *self.options.noise_requirements,
        ]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; note the class counts.

        Raises:
            RecordError: A record is missing or damaged, or has no such lead.
        """
        cut = cut_beats(
            source.folder("svdb"), self.options, progress, source=source, classes=_CLASSES
        )
        progress.note(count_note(cut.beats, None))
        return cut.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records for this database."""
        return None


class SvdbOptions(WaveformOptions):
    """Two leads, and the window of ``mitbih-2lead`` in seconds: 107 samples at 128 Hz.

    Records are not denoised: at 128 Hz, db5 removes everything above 16 Hz, which is a part of the
    QRS complex.
    """

    records: tuple[str, ...] = RECORDS
    leads: tuple[str, ...] = ("ECG1", "ECG2")
    head: int = Field(0, ge=0)
    tail: int = Field(0, ge=0)
    before: int = 35
    after: int = 71
    denoise: Denoising = "none"


class ContextOptions(SvdbOptions):
    """Two leads from 2 s before to 1 s after the R peak at 120 Hz, to include the rhythm."""

    before: int = 240
    after: int = 119
    rate: float | None = 120.0


class RhythmOptions(ContextOptions):
    """The two leads of ``svdb-2lead-context``, and the rhythm planes of the whole record."""

    rhythm: Rhythm | None = "whole-record"
