"""Location of records: a folder given by the user or the environment, or the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.data.user_datasets import find_user_dataset
from nasbench_ecg.errors import MissingDataError, OptionError, nearest
from nasbench_ecg.io import storage_errors
from nasbench_ecg.physionet.catalog import DATABASES, RECORDS, missing_files, record_names

DATA_VARIABLE = "NASBENCH_ECG_DATA"
"""Environment variable that names a folder of databases, in place of ``--data``."""

CACHE_VARIABLE = "NASBENCH_ECG_CACHE"
"""Environment variable that names the cache folder, in place of the user's default."""


def default_cache() -> Path:
    """Return the cache folder: that of the environment, or the platform's default."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("nasbench-ecg")


class LocalSource:
    """Local databases, each in a folder of its own name (``mitdb``, ``qtdb`` …).

    If ``data`` is given, only that folder is searched. Otherwise the folder of
    ``NASBENCH_ECG_DATA`` is searched first, then the cache, which contains fetched records. The
    records of a dataset that the user added are in the folder of its description.

    Args:
        data: Folder of databases, as given by ``--data``.
        cache: Folder for fetched records, generated records and cut beats; None:
            :func:`default_cache`.
    """

    def __init__(self, data: Path | None = None, cache: Path | None = None) -> None:
        self.data = None if data is None else Path(data).expanduser()
        self.cache = default_cache() if cache is None else Path(cache).expanduser()

    @property
    def beats_cache(self) -> Path:
        """Folder of the cached beats; it may not exist yet."""
        return self.cache / "beats"

    def download_folder(self, database: str) -> Path:
        """Return the folder that ``database`` is fetched into; it may not exist yet."""
        return self.cache / "databases" / database

    def folder(self, database: str) -> Path:
        """Return the folder of the records of ``database``.

        Raises:
            MissingDataError: There is no such folder.
        """
        candidates = self._candidates(database)
        for candidate in candidates:
            if candidate.is_dir():
                return candidate
        raise MissingDataError(
            f"The records of {_described(database)} were not found.",
            database=database,
            where="searched in " + " and ".join(str(c) for c in candidates),
            fix=self._fix(database),
        )

    def missing(self, requirement: Requirement) -> list[str]:
        """Return the names of the missing files of ``requirement``, in its order.

        Raises:
            MissingDataError: The folder that the user gave has no such database, or the folder of
                an added dataset no longer exists.
            OptionError: The database has no such record, by the list in its folder.
        """
        folder: Path | None
        try:
            folder = self.folder(requirement.database)
        except MissingDataError:
            if self.data is not None or find_user_dataset(requirement.database) is not None:
                raise
            folder = None
        missing = missing_files(requirement, folder)
        if missing and folder is not None:
            _check_listed(requirement, missing, folder)
        return missing

    def missing_elsewhere(self, requirement: Requirement) -> bool:
        """Return whether files are missing in a folder other than the download folder."""
        own = self.download_folder(requirement.database)
        try:
            found = self.folder(requirement.database)
        except MissingDataError:
            return False
        return found != own and bool(self.missing(requirement))

    def require(self, requirement: Requirement) -> Path:
        """Return the folder of the database after checking that all required files exist.

        Raises:
            MissingDataError: The folder or one of the files is missing.
        """
        folder = self.folder(requirement.database)
        missing = self.missing(requirement)
        if missing:
            shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
            raise MissingDataError(
                f"{len(missing)} files of {_described(requirement.database)} are missing: {shown}.",
                database=requirement.database,
                where=str(folder),
                fix=self._fix(requirement.database),
            )
        return folder

    def made(self, name: str) -> Path:
        """Return a cache folder for records that a dataset generates; it is created if needed.

        Raises:
            StorageError: The folder cannot be created.
        """
        folder = self.cache / "made" / name
        with storage_errors(folder, option=CACHE_VARIABLE, what="The cache folder"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _candidates(self, database: str) -> list[Path]:
        if (own := find_user_dataset(database)) is not None:
            return [Path(own.folder)]
        if self.data is not None:
            return _inside(self.data, database)
        named = os.environ.get(DATA_VARIABLE)
        from_environment = _inside(Path(named).expanduser(), database) if named else []
        return [*from_environment, self.download_folder(database)]

    def _fix(self, database: str) -> str:
        if find_user_dataset(database) is not None:
            return "Add the dataset again with its new folder: 'nasbench-ecg data add FILE.toml'."
        if database not in DATABASES:
            return (
                f"Give a folder that contains a folder {database!r} with --data DIR or "
                f"{DATA_VARIABLE}."
            )
        fetch = f"'nasbench-ecg data fetch {database}'"
        if self.data is not None:
            return (
                f"Set --data to a folder that contains a folder {database!r}, "
                f"or run {fetch} and leave --data out."
            )
        return (
            f"Fetch them with {fetch}, or give a folder that contains a folder {database!r} "
            f"with --data DIR or {DATA_VARIABLE}."
        )


def _inside(data: Path, database: str) -> list[Path]:
    """Return the folder of ``database`` in ``data``, which may be that folder itself."""
    return [data] if data.name == database else [data / database]


def _check_listed(requirement: Requirement, missing: Sequence[str], folder: Path) -> None:
    """Raise OptionError if the folder's list of records lacks records whose files are missing."""
    if not (folder / RECORDS).is_file():
        return
    listed = record_names(folder)
    absent = {name.rpartition(".")[0] for name in missing}
    if unknown := [name for name in requirement.records if name in absent - {*listed}]:
        raise OptionError(
            f"{requirement.database} has no record {unknown[0]!r}.",
            where=str(folder / RECORDS),
            fix=f"{nearest(unknown[0], listed)} The option dataset.records names the records.",
        )


def _described(database: str) -> str:
    known = DATABASES.get(database)
    return f"{database} ({known.title}, about {known.size_mb:,.0f} MB)" if known else database
