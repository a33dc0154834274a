"""Where records lie: a folder that the user names, one named by the environment, or the cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.data import user_datasets as added
from nasbench_ecg.errors import MissingDataError, StorageError

DATA_VARIABLE = "NASBENCH_ECG_DATA"
"""Environment variable that names a folder of databases, used where ``--data`` is not given."""

CACHE_VARIABLE = "NASBENCH_ECG_CACHE"
"""Environment variable that names the cache folder, used instead of the user's."""


def default_cache() -> Path:
    """Return the cache folder: that of the environment, or the platform's for this user."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("nasbench-ecg")


class LocalSource:
    """Finds databases on this machine, each in a folder of its own name (``mitdb``, ``qtdb`` …).

    A folder given as ``data`` is the only one looked into. Without it the folder of
    ``NASBENCH_ECG_DATA`` comes first, and the cache, where fetched records lie, second. Records of
    a dataset that the user added lie where its description says, and nowhere else.

    Args:
        data: Folder of databases, as of ``--data``.
        cache: Folder for fetched, made and prepared data; None: :func:`default_cache`.
    """

    def __init__(self, data: Path | None = None, cache: Path | None = None) -> None:
        self.data = None if data is None else Path(data).expanduser()
        self.cache = default_cache() if cache is None else Path(cache).expanduser()

    @property
    def beats_cache(self) -> Path:
        """Folder of prepared beats; it need not exist yet."""
        return self.cache / "beats"

    def download_folder(self, database: str) -> Path:
        """Return the folder that ``database`` is fetched into; it need not exist yet."""
        return self.cache / "databases" / database

    def folder(self, database: str) -> Path:
        """Return the folder that holds the records of ``database``.

        Raises:
            MissingDataError: There is no such folder.
        """
        candidates = self._candidates(database)
        for candidate in candidates:
            if candidate.is_dir():
                return candidate
        raise MissingDataError(
            f"The records of {_described(database)} are not here.",
            database=database,
            where="looked into " + " and ".join(str(c) for c in candidates),
            fix=self._fix(database),
        )

    def missing(self, requirement: Requirement) -> list[str]:
        """Return the names of the files that ``requirement`` lacks here, in its order.

        Raises:
            MissingDataError: The user named a folder of records and it lacks the database, or
                added the dataset and its folder is gone.
        """
        names = [
            f"{record}.{extension}"
            for record in requirement.records
            for extension in requirement.extensions
        ]
        try:
            folder = self.folder(requirement.database)
        except MissingDataError:
            if self.data is not None or added.find(requirement.database) is not None:
                raise
            return names
        return [name for name in names if not (folder / name).is_file()]

    def missing_elsewhere(self, requirement: Requirement) -> bool:
        """Return whether a folder of the user's, into which nothing is fetched, lacks files."""
        own = self.download_folder(requirement.database)
        try:
            found = self.folder(requirement.database)
        except MissingDataError:
            return False
        return found != own and bool(self.missing(requirement))

    def require(self, requirement: Requirement) -> Path:
        """Return the folder of ``requirement``'s database, all of whose files are there.

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
        """Return a folder of the cache for records that a dataset makes itself, created if needed.

        Raises:
            StorageError: The folder cannot be created.
        """
        folder = self.cache / "made" / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The cache folder cannot be created: {error.strerror or error}.",
                where=str(folder),
                fix=f"Name a writable folder in {CACHE_VARIABLE}.",
            ) from error
        return folder

    def _candidates(self, database: str) -> list[Path]:
        if (own := added.find(database)) is not None:
            return [Path(own.folder)]
        if self.data is not None:
            return _inside(self.data, database)
        named = os.environ.get(DATA_VARIABLE)
        from_environment = _inside(Path(named).expanduser(), database) if named else []
        return [*from_environment, self.download_folder(database)]

    def _fix(self, database: str) -> str:
        if added.find(database) is not None:
            return "State where they lie now, by 'nasbench-ecg data add FILE.toml'."
        fetch = f"'nasbench-ecg data fetch {database}'"
        if self.data is not None:
            return (
                f"Give --data the folder that holds a folder {database!r}, "
                f"or leave --data out after {fetch}."
            )
        return (
            f"Fetch them with {fetch}, or name the folder that holds a folder {database!r} "
            f"by --data DIR or {DATA_VARIABLE}."
        )


def _inside(data: Path, database: str) -> list[Path]:
    """Return where ``database`` may lie in ``data``; the user may name its own folder too."""
    return [data] if data.name == database else [data / database]


def _described(database: str) -> str:
    from nasbench_ecg.physionet.catalog import DATABASES

    known = DATABASES.get(database)
    return f"{database} ({known.title}, about {known.size_mb:,.0f} MB)" if known else database
