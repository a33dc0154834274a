"""What a dataset is, and what it may also do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nasbench_ecg.errors import PluginError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nasbench_ecg.data.beats import Beats
    from nasbench_ecg.progress import Progress


@dataclass(frozen=True)
class Requirement:
    """Records that a dataset needs.

    Attributes:
        database: Name of the PhysioNet database and of its folder, for example ``mitdb``.
        records: Names of the records.
        extensions: Extensions of the files of each record, without the dot, such as ``csv``.

    Raises:
        PluginError: One of them is of another type, such as a text in place of a tuple of texts.
    """

    database: str
    records: tuple[str, ...]
    extensions: tuple[str, ...] = ("hea", "dat", "atr")

    def __post_init__(self) -> None:
        if not isinstance(self.database, str) or not self.database.strip():
            raise PluginError(
                f"A requirement has database={self.database!r}.",
                fix='Give the name of a folder of records: Requirement("mitdb", ("100", "101")).',
            )
        for name in ("records", "extensions"):
            given = getattr(self, name)
            names = () if isinstance(given, str) or not isinstance(given, Iterable) else (*given,)
            if not all(isinstance(one, str) and one for one in names) or (given and not names):
                raise PluginError(
                    f"A requirement of {self.database!r} has {name}={given!r:.60}.",
                    fix='Give a tuple of texts: Requirement("mitdb", ("100", "101")).',
                )
            object.__setattr__(self, name, names)


class DataSource(Protocol):
    """Where datasets find their records."""

    def folder(self, database: str) -> Path:
        """Return the folder that holds the records of ``database``.

        Raises:
            MissingDataError: There is no such folder.
        """

    def made(self, name: str) -> Path:
        """Return a folder of the cache, created if needed, for records that a dataset generates."""


@runtime_checkable
class Dataset(Protocol):
    """Labeled beats, and what protocols need to know about their records."""

    def requires(self) -> Sequence[Requirement]:
        """Return the files that :meth:`load` reads, all of them.

        Cached beats are used again while these files are the same. Beats of a dataset that requires
        none are not cached, unless its spec says that they are generated.
        """

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats; repeatable.

        Args:
            source: Where the folders of databases are, and where generated records belong.
            progress: Shows how far the reading is, and takes notes for the user.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return ``{"train": [record…], "test": [record…]}`` where ``protocol`` fixes the records.

        None if the dataset does not fix the records of this protocol.
        """


@runtime_checkable
class NamesPersons(Protocol):
    """A dataset that names the persons of its records across databases, without reading a record.

    Without this method, each subject is a person of the first database that the dataset requires:
    record 800 of ``svdb`` is ``svdb/800``.

    Example:
        >>> from nasbench_ecg.api import NamesPersons
        >>> class Excerpts:
        ...     def persons(self):
        ...         return {"sel213": "mitdb/213"}
        >>> isinstance(Excerpts(), NamesPersons)
        True
    """

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record whose person is known, as ``database/name``.

        Records that the option ``exclude`` leaves out are listed too. Two records of one person
        have equal values, also records of different datasets. The name is that of the first record
        of the person in the database that recorded it.
        """


@runtime_checkable
class FitsOnTraining(Protocol):
    """A dataset whose beats depend on figures of the training part, for example its mean.

    The figures of all beats would tell a network something about the test part.

    Example:
        >>> from nasbench_ecg.api import FitsOnTraining
        >>> class Features:
        ...     def fitted(self, beats, train):
        ...         return beats
        >>> isinstance(Features(), FitsOnTraining)
        True
    """

    def fitted(self, beats: Beats, train: NDArray[np.int64]) -> Beats:
        """Return all beats, prepared with figures of the training part.

        Called after the split, with the beats that :meth:`Dataset.load` returned. The result
        differs in ``signals`` only, and depends on no other beats than those of the training part
        and on the beat itself.

        Args:
            beats: All beats.
            train: Index of the training beats, int64 [n].

        Raises:
            OptionError: The training part does not allow it.
        """
