"""The dataset ``synthetic-2lead``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasbench_ecg.api import (
    Beats,
    DataSource,
    OptionError,
    Progress,
    Requirement,
    cut_beats,
)
from nasbench_ecg_synthetic.options import SyntheticOptions
from nasbench_ecg_synthetic.patients import record_names
from nasbench_ecg_synthetic.store import database


class Synthetic:
    """Beats of people who do not exist, recorded as those of the MIT-BIH Arrhythmia Database were.

    Choose it to try things out, to teach and to test: it needs no download, and holds all five
    AAMI classes. Scores on it say nothing about patients.

    Args:
        options: The dataset's options.

    Raises:
        OptionError: The options name a record that there is none of.
    """

    def __init__(self, options: SyntheticOptions) -> None:
        made = record_names(options.patients)
        unknown = [name for name in options.records if name not in made]
        if unknown:
            raise OptionError(
                f"dataset synthetic-2lead has no record {unknown[0]!r}.",
                where="option 'records'",
                fix=f"With {options.patients} patients there are {made[0]} to {made[-1]}.",
            )
        self.options = options.model_copy(update={"records": options.records or made})

    def requires(self) -> Sequence[Requirement]:
        """Return nothing: the records are made here."""
        return ()

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Make the records unless the cache holds them, and read them as any database is read.

        Raises:
            RecordError: A record in the cache was damaged.
            StorageError: The records cannot be written.
        """
        folder = database(self.options, source, progress)
        return cut_beats(folder, self.options, progress).beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return the records of ``inter-patient``: of each kind of patient one here, one there."""
        if protocol != "inter-patient":
            return None
        made = record_names(self.options.patients)
        return {
            "train": [name for name in made[0::2] if name in self.options.records],
            "test": [name for name in made[1::2] if name in self.options.records],
        }
