"""Cache of cut beats: content-addressed, memory-mapped, safe for concurrent processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any, Literal, TypeGuard

import numpy as np

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.code import code_of
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.data.returned_beats import checked, faults_of_beats
from nasbench_ecg.data.source import CACHE_VARIABLE, LocalSource
from nasbench_ecg.errors import ProtocolError, RecordError
from nasbench_ecg.io import make_beside, storage_errors, write_atomically
from nasbench_ecg.options import Options
from nasbench_ecg.physionet.catalog import SUMS
from nasbench_ecg.physionet.verify import require_published
from nasbench_ecg.progress import Progress
from nasbench_ecg.signal.headers import signal_files

_FORMAT = 2
_ARRAYS = ("signals", "labels", "record", "sample")
_SHA256_LENGTH = 64
_NAMES = ("classes", "records", "subjects", "leads")
_META = "meta.json"
_TEMPORARY = "tmp"
_STALE = (
    3600.0  # seconds without a change after which a temporary folder is left by a killed process
)

_verified: set[tuple[Path, str]] = set()
"""Entries, and states of their files, whose content this process has compared with its digest."""


_DAMAGE = (
    OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
    SyntaxError, TokenError, MemoryError, OverflowError, ProtocolError, RecordError,
)  # fmt: skip
"""What reading a damaged entry can raise."""


@dataclass(frozen=True, eq=False)
class LoadedBeats:
    """Beats of a dataset, and how they were obtained.

    Attributes:
        beats: The beats; the signals of cached beats are memory-mapped and read-only.
        fingerprint: :meth:`Beats.fingerprint` of the beats.
        from_cache: Whether the beats were read from the cache.
        notes: Notes that the dataset reported while it loaded the beats.
    """

    beats: Beats
    fingerprint: str
    from_cache: bool
    notes: tuple[str, ...]


def load_beats(
    *,
    name: str,
    revision: int,
    version: str = "",
    options: Options,
    dataset: Dataset,
    source: LocalSource,
    progress: Progress,
    generated: bool = False,
    fresh: bool = False,
) -> LoadedBeats:
    """Return the beats of a dataset, from the cache if they are there.

    The key of a cache entry is the digest of the dataset's name, revision, version and options, of
    the code that makes the beats, and of the contents of the record files. Null options are left
    out, as in run keys. Files are compared with the published checksums, if they lie beside the
    records. The first use of an entry in a process compares its content with its digest; a damaged
    entry is replaced. Notes of the dataset are reported in both cases. Beats of a dataset that
    requires no files are not cached, unless they are ``generated``.

    Args:
        name: Name of the dataset.
        revision: Revision of its spec.
        version: Version of the distribution that provides it.
        options: The options of ``dataset``.
        dataset: Loads the beats if they are not cached.
        source: Location of records and cache.
        progress: Receives progress and notes.
        generated: Whether the beats follow from options and code alone.
        fresh: Load the beats from the records, and replace what is cached.

    Raises:
        MissingDataError: Required files are missing.
        PluginError: The dataset returned what are no valid beats.
        RecordError: A record is damaged, or differs from the published checksums.
        StorageError: The cache cannot be written.
    """
    files = _required_files(dataset, source)
    if not files and not generated:
        return _load(name, dataset, source, progress)
    with storage_errors(source.cache, option=CACHE_VARIABLE, what="Cached beats"):
        source.beats_cache.mkdir(parents=True, exist_ok=True)
        remove_leftovers(source)
        made_of = {
            "format": _FORMAT,
            "name": name,
            "revision": revision,
            "version": version,
            "code": code_of(dataset),
            "options": options.model_dump(mode="json", exclude_none=True),
        }
        memo = source.cache / "digests.json"
        digests = _digests(files, memo)
        entry = _entry(source, made_of, digests)
        cached = _read_entry(entry)
        if cached is None or fresh:  # the files are read: what they contain now counts
            digests = _digests(files, memo, again=True)
            entry = _entry(source, made_of, digests)
            cached = _read_entry(entry)
    if n_compared := require_published(files, digests):
        progress.note(f"{n_compared:,} record files were compared with {SUMS}: all are equal.")
    if cached is not None and not fresh:
        for note in cached.notes:
            progress.note(note)
        return cached
    if cached is None and entry.exists():
        progress.note(f"The cached beats of {name} are damaged: they are made again.")
    loaded = _load(name, dataset, source, progress)
    if cached is not None and cached.fingerprint != loaded.fingerprint:
        progress.note(f"The cached beats of {name} differ from those made now: they are replaced.")
    with storage_errors(source.cache, option=CACHE_VARIABLE, what="Cached beats"):
        _write_entry(loaded, entry)
    stored = _read_entry(entry)
    return loaded if stored is None else replace(stored, from_cache=False)


def _entry(source: LocalSource, made_of: Mapping[str, Any], digests: Mapping[str, str]) -> Path:
    """Return the folder of the cached beats that are made of these files in this way."""
    key = digest({**made_of, "files": dict(digests)})
    return source.beats_cache / f"{made_of['name']}-{key[:24]}"


def _required_files(dataset: Dataset, source: LocalSource) -> dict[str, Path]:
    """Return the paths of the files that the dataset requires, by ``database/name``."""
    files = {}
    for requirement in requirements_of(dataset):
        folder = source.require(requirement)
        for record in requirement.records:
            for extension in requirement.extensions:
                file_name = f"{record}.{extension}"
                files[f"{requirement.database}/{file_name}"] = folder / file_name
            if "hea" in requirement.extensions:
                files |= _signal_files(requirement.database, folder, record)
    return files


def _signal_files(database: str, folder: Path, record: str) -> dict[str, Path]:
    """Return the signal files that the header of a record names, which can have any names."""
    header = folder / f"{record}.hea"
    names = [str(PurePosixPath(record).parent / name) for name in signal_files(header)]
    return {f"{database}/{name}": folder / name for name in names if (folder / name).is_file()}


def _load(name: str, dataset: Dataset, source: LocalSource, progress: Progress) -> LoadedBeats:
    recorder = _NoteRecorder(progress)
    with faults_of_beats(name):
        found = dataset.load(source, recorder)
    beats = checked(found, name, recorder)
    return LoadedBeats(beats, beats.fingerprint(), from_cache=False, notes=tuple(recorder.notes))


class _NoteRecorder:
    """A Progress that forwards all calls and records the notes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.notes: list[str] = []

    def track(self, label: str, total: int) -> Any:
        return self._progress.track(label, total)

    def note(self, message: str) -> None:
        self.notes.append(message)
        self._progress.note(message)


def _digests(files: dict[str, Path], memo_path: Path, *, again: bool = False) -> dict[str, str]:
    """Return the SHA-256 of each file; ``memo_path`` stores them by path, size and mtime.

    ``again`` computes them anew: a bit that the disk lost changes neither size nor mtime.
    """
    try:
        memo = json.loads(memo_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        memo = {}
    memo = memo if isinstance(memo, dict) else {}
    digests, changed = {}, False
    for name, path in files.items():
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        known = memo.get(str(path.resolve()))
        if again or not _is_memo(known) or known["state"] != state:
            with path.open("rb") as file:
                known = {"state": state, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            changed |= memo.get(str(path.resolve())) != known
            memo[str(path.resolve())] = known
        digests[name] = known["sha256"]
    if changed:
        write_atomically(memo_path, canonical_json(memo))
    return digests


def _is_memo(known: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a value of the file of digests has the form that :func:`_digests` writes."""
    return (
        isinstance(known, dict)
        and set(known) == {"state", "sha256"}
        and isinstance(known["sha256"], str)
        and len(known["sha256"]) == _SHA256_LENGTH
    )


def _write_entry(loaded: LoadedBeats, entry: Path) -> None:
    """Write a cache entry to a temporary folder and rename it; another process may be faster."""
    temporary = make_beside(entry.with_name(_TEMPORARY), Path.mkdir)
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        for array in _ARRAYS:
            with (temporary / f"{array}.npy").open("wb") as file:
                np.save(file, getattr(loaded.beats, array), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        meta = {
            "fingerprint": loaded.fingerprint,
            "notes": loaded.notes,
            "fs": loaded.beats.fs,
            **{name: getattr(loaded.beats, name) for name in _NAMES},
        }
        meta = json.loads(canonical_json(meta))
        write_atomically(temporary / _META, canonical_json({**meta, "digest": digest(meta)}))
        if entry.exists() and not _holds(entry, loaded.fingerprint):
            with contextlib.suppress(FileNotFoundError):  # another process replaces it too
                entry.rename(old)
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove(old)


def _holds(entry: Path, fingerprint: str) -> bool:
    """Return whether an entry is whole and has these beats."""
    found = _read_entry(entry)
    return found is not None and found.fingerprint == fingerprint


def _read_entry(entry: Path) -> LoadedBeats | None:
    """Return the beats of a cache entry; None if it does not exist or is damaged."""
    try:
        meta = json.loads((entry / _META).read_text(encoding="utf-8"))
        if meta.pop("digest") != digest(meta):
            return None
        beats = Beats(
            signals=np.load(entry / "signals.npy", mmap_mode="r", allow_pickle=False),
            labels=np.load(entry / "labels.npy", allow_pickle=False),
            record=np.load(entry / "record.npy", allow_pickle=False),
            sample=np.load(entry / "sample.npy", allow_pickle=False),
            classes=tuple(meta["classes"]),
            records=tuple(meta["records"]),
            subjects=tuple(meta["subjects"]),
            leads=tuple(meta["leads"]),
            fs=meta["fs"],
        )
        states = canonical_json([meta["fingerprint"], *(_file_state(entry, a) for a in _ARRAYS)])
        if (entry, states) not in _verified:
            if beats.fingerprint() != meta["fingerprint"]:
                return None
            _verified.add((entry, states))
        return LoadedBeats(beats, meta["fingerprint"], from_cache=True, notes=tuple(meta["notes"]))
    except _DAMAGE:
        return None


def _file_state(folder: Path, array: str) -> list[int]:
    """Return size and mtime of the file of an array."""
    stat = (folder / f"{array}.npy").stat()
    return [stat.st_size, stat.st_mtime_ns]


def remove_leftovers(source: LocalSource) -> None:
    """Remove temporary files and folders in the cache that killed processes have left."""
    patterns = (f"beats/.{_TEMPORARY}-*", "made/*/.unfinished-*", ".digests.json-*")
    for leftover in chain.from_iterable(map(source.cache.glob, patterns)):
        with contextlib.suppress(OSError):
            if time.time() - _last_change(leftover) > _STALE:
                _remove(leftover)


def _last_change(path: Path) -> float:
    """Return the time of the last change of a file, or of a folder and the files in it."""
    return max(found.stat().st_mtime for found in (path, *path.glob("*")))


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class CacheEntry:
    """A part of the cache that is made again when it is needed.

    Attributes:
        kind: ``beats``, which are cut from records, or ``records``, which a dataset generated.
        dataset: Name of the dataset.
        path: Its folder.
        n_beats: Number of beats; None for generated records, and for damaged beats.
        n_bytes: Size of its files.
        made: Time of its last change, in seconds since 1970.
        damaged: Whether the content differs from its digest; always False for generated records,
            which the dataset checks when it reads them.
    """

    kind: Literal["beats", "records"]
    dataset: str
    path: Path
    n_beats: int | None
    n_bytes: int
    made: float
    damaged: bool = False


def cache_entries(source: LocalSource) -> list[CacheEntry]:
    """Return cached beats and generated records, in the order of kind and name.

    The content of cached beats is compared with its digest. Downloaded records are not listed.
    """
    return [
        *map(_beats_entry, _folders(source.beats_cache)),
        *(
            CacheEntry("records", made.name, path, None, _n_bytes(path), path.stat().st_mtime)
            for made in _folders(source.cache / "made")
            for path in _folders(made)
        ),
    ]


def _beats_entry(path: Path) -> CacheEntry:
    found = _read_entry(path)
    return CacheEntry(
        kind="beats",
        dataset=path.name.rpartition("-")[0],
        path=path,
        n_beats=None if found is None else len(found.beats),
        n_bytes=_n_bytes(path),
        made=path.stat().st_mtime,
        damaged=found is None,
    )


def remove_entries(entries: Iterable[CacheEntry]) -> None:
    """Delete parts of the cache. A process that uses one keeps its beats until it ends.

    Raises:
        StorageError: One cannot be deleted.
    """
    for entry in entries:
        with storage_errors(entry.path, option=CACHE_VARIABLE, what="The cache"):
            shutil.rmtree(entry.path)


def _folders(parent: Path) -> list[Path]:
    """Return the folders in ``parent``, without hidden ones."""
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def _n_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
