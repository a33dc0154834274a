"""Two databases as one: the training persons of MIT-BIH and those of its Supraventricular sister.

DS1 of de Chazal et al. has 22 persons and 944 beats of S, most of them of two persons. The
Supraventricular database adds 78 persons and 12,198 beats of S. The test part is DS2, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from nasbench_ecg.api import Beats, DataSource, OptionError, Progress, Requirement, cut_beats
from nasbench_ecg_physionet import mitbih, svdb
from nasbench_ecg_physionet.class_counts import count_note

_SVDB_LEADS = ("ECG1", "ECG2")
_SVDB = frozenset(svdb.RECORDS)


class MitBihSvdb:
    """Beats of both databases; records of MIT-BIH Supraventricular are in the training part only.

    Beats of DS1 and DS2 are exactly those of ``mitbih-2lead-rhythm``. No person is known to be in
    both databases; the headers of the second contain no patient numbers, so each record is treated
    as a separate subject. All five AAMI classes are kept, unlike in ``svdb-2lead``.

    Args:
        options: Records of both databases, leads of MIT-BIH, window and processing.
    """

    def __init__(self, options: MitBihSvdbOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        parts = {"mitdb": self._records(svdb=False), "svdb": self._records(svdb=True)}
        return [Requirement(database, names) for database, names in parts.items() if names]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; note the class counts.

        Raises:
            OptionError: The option ``rate`` leaves each database its own.
            RecordError: A record is missing or damaged, or has no such lead.
        """
        parts = []
        for need in self.requires():
            own = self.options.model_copy(update={"records": need.records, "exclude": None})
            if need.database == "svdb":
                own = own.model_copy(update={"leads": _SVDB_LEADS[: len(own.leads)]})
            cut = cut_beats(
                source.folder(need.database),
                own,
                progress,
                subject=lambda record: mitbih.subject_of(record.name),
            )
            progress.note(f"{need.database}: {count_note(cut.beats, None)}")
            parts.append(cut.beats)
        return _joined(parts)

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return DS1 with the other database, and DS2; the strict protocol leaves out 202."""
        parts = mitbih.partition(protocol, self._records(svdb=False))
        if parts is None:
            return None
        return {"train": [*parts["train"], *self._records(svdb=True)], "test": parts["test"]}

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record; 201 and 202 are of one person."""
        names = self.options.records
        of_mitbih = mitbih.persons([name for name in names if name not in _SVDB])
        return {name: of_mitbih.get(name, f"svdb/{name}") for name in names}

    def _records(self, *, svdb: bool) -> tuple[str, ...]:
        return tuple(name for name in self.options.used_records if (name in _SVDB) == svdb)


class MitBihSvdbOptions(mitbih.RhythmOptions):
    """Two leads and rhythm planes of both databases, as ``mitbih-2lead-rhythm``, at 120 Hz.

    Both are denoised at 360 Hz, the rate of MIT-BIH, which keeps what is below 45 Hz.
    """

    PROTOCOLS: ClassVar = {}

    records: tuple[str, ...] = mitbih.DS1 + mitbih.DS2 + svdb.RECORDS
    leads: tuple[str, ...] = Field(("MLII", "*"), max_length=2)
    """Lead names in MIT-BIH; of the other database ECG1, and ECG2 if there are two."""
    head: int = Field(0, ge=0)
    tail: int = Field(0, ge=0)
    denoise_rate: float | None = Field(360.0, gt=0)


def _joined(parts: Sequence[Beats]) -> Beats:
    """Return the beats of all parts, with the names of leads of the first.

    Raises:
        OptionError: They are sampled at several rates.
    """
    first = parts[0]
    if len(rates := {part.fs for part in parts}) > 1:
        raise OptionError(
            f"The databases are sampled at {' and '.join(f'{fs:g}' for fs in sorted(rates))} Hz.",
            where="dataset.rate",
            fix="Set one rate in hertz, for example dataset.rate=120.",
        )
    starts = np.cumsum([0, *(len(part.records) for part in parts[:-1])])
    return replace(
        first,
        signals=np.concatenate([part.signals for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        record=np.concatenate(
            [part.record + start for part, start in zip(parts, starts, strict=True)]
        ).astype(np.int32),
        sample=np.concatenate([part.sample for part in parts]),
        records=tuple(name for part in parts for name in part.records),
        subjects=tuple(name for part in parts for name in part.subjects),
    )
