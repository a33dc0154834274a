"""CutBeats beats on disk: content-addressed, memory-mapped, safe with several processes at once."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.source import CACHE_VARIABLE, LocalSource
from nasbench_ecg.errors import ProtocolError, StorageError
from nasbench_ecg.io import write_atomically
from nasbench_ecg.options import Options
from nasbench_ecg.progress import Progress

_FORMAT = 1
_ARRAYS = ("signals", "labels", "record", "sample")
_NAMES = ("classes", "records", "subjects", "leads")
_META = "meta.json"
_STALE = 24 * 3600.0  # seconds after which a temporary folder belongs to a killed process


@dataclass(frozen=True, eq=False)
class LoadedBeats:
    """Beats of a dataset, and where they come from.

    Attributes:
        beats: The beats; their signals are memory-mapped and read-only where they are cached.
        fingerprint: :meth:`Beats.fingerprint` of them.
        from_cache: They had been prepared before.
        notes: What the dataset told while it prepared them.
    """

    beats: Beats
    fingerprint: str
    from_cache: bool
    notes: tuple[str, ...]


def load_beats(
    *,
    name: str,
    revision: int,
    options: Options,
    dataset: Dataset,
    source: LocalSource,
    progress: Progress,
    use_cache: bool = True,
) -> LoadedBeats:
    """Return the beats of a dataset, prepared now or taken from the cache.

    They are found again under the digest of the dataset's name, revision, options and of the
    contents of its record files. Notes of the dataset are told in both cases.

    Args:
        name: Name of the dataset.
        revision: Revision of its spec.
        options: The options that ``dataset`` was made with.
        dataset: Asked for its beats where they are not cached.
        source: Where records and cache lie.
        progress: Where bars and notes go.
        use_cache: False: prepare them anew, and store nothing.

    Raises:
        MissingDataError: Files that the dataset requires are missing.
        RecordError: A record is damaged.
        StorageError: The cache cannot be written.
    """
    files = _required_files(dataset, source)
    if not use_cache:
        return _prepare(dataset, source, progress)
    with _told_plainly(source.cache):
        source.beats_cache.mkdir(parents=True, exist_ok=True)
        key = digest(
            {
                "format": _FORMAT,
                "name": name,
                "revision": revision,
                "options": options.model_dump(mode="json"),
                "files": _digests(files, source.cache / "digests.json"),
            }
        )
    entry = source.beats_cache / f"{name}-{key[:24]}"
    found = _open(entry)
    if found is not None:
        for note in found.notes:
            progress.note(note)
        return found
    loaded = _prepare(dataset, source, progress)
    with _told_plainly(source.cache):
        _store(loaded, entry)
    stored = _open(entry)
    return loaded if stored is None else replace(stored, from_cache=False)


def _required_files(dataset: Dataset, source: LocalSource) -> dict[str, Path]:
    """Return the files that the dataset requires, by ``database/name``."""
    files = {}
    for requirement in dataset.requires():
        folder = source.require(requirement)
        for record in requirement.records:
            for extension in requirement.extensions:
                file_name = f"{record}.{extension}"
                files[f"{requirement.database}/{file_name}"] = folder / file_name
    return files


def _prepare(dataset: Dataset, source: LocalSource, progress: Progress) -> LoadedBeats:
    heard = _Listening(progress)
    beats = dataset.load(source, heard)
    return LoadedBeats(beats, beats.fingerprint(), from_cache=False, notes=tuple(heard.notes))


class _Listening:
    """Passes everything on, and keeps the notes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.notes: list[str] = []

    def track(self, label: str, total: int) -> Any:
        return self._progress.track(label, total)

    def note(self, message: str) -> None:
        self.notes.append(message)
        self._progress.note(message)


def _digests(files: dict[str, Path], memo_path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, remembered by its path, size and time of change."""
    try:
        memo = json.loads(memo_path.read_text())
    except (OSError, ValueError):
        memo = {}
    memo = memo if isinstance(memo, dict) else {}
    digests, changed = {}, False
    for name, path in files.items():
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        known = memo.get(str(path.resolve()))
        if not isinstance(known, dict) or known.get("state") != state:
            with path.open("rb") as file:
                known = {"state": state, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            memo[str(path.resolve())] = known
            changed = True
        digests[name] = known["sha256"]
    if changed:
        write_atomically(memo_path, canonical_json(memo))
    return digests


def _store(loaded: LoadedBeats, entry: Path) -> None:
    """Write an entry beside its place and move it there whole; another process may be first."""
    _remove_stale(entry.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=entry.parent))
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
            "files": {array: _state(temporary, array) for array in _ARRAYS},
        }
        meta = json.loads(canonical_json(meta))
        write_atomically(temporary / _META, canonical_json({**meta, "digest": digest(meta)}))
        if entry.exists() and _open(entry) is None:
            entry.rename(temporary.with_name(f"{temporary.name}-damaged"))
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_name(f"{temporary.name}-damaged"), ignore_errors=True)


def _open(entry: Path) -> LoadedBeats | None:
    """Return the beats of an entry; None where there is none, or it is damaged."""
    try:
        meta = json.loads((entry / _META).read_text())
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
        touched = any(_state(entry, array) != meta["files"][array] for array in _ARRAYS)
        if touched and beats.fingerprint() != meta["fingerprint"]:
            return None
        return LoadedBeats(beats, meta["fingerprint"], from_cache=True, notes=tuple(meta["notes"]))
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ProtocolError):
        return None


def _state(folder: Path, array: str) -> list[int]:
    stat = (folder / f"{array}.npy").stat()
    return [stat.st_size, stat.st_mtime_ns]


def _remove_stale(folder: Path) -> None:
    for temporary in folder.glob(".tmp-*"):
        with contextlib.suppress(OSError):
            if time.time() - temporary.stat().st_mtime > _STALE:
                shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _told_plainly(cache: Path) -> Iterator[None]:
    """Turn the system's errors about files into ours."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            "There is no space left for prepared beats."
            if full
            else f"CutBeats beats cannot be stored: {error.strerror or error}.",
            where=str(error.filename or cache),
            fix=f"{'Free some space' if full else 'Make the folder writable'}, "
            f"or name another cache folder in {CACHE_VARIABLE}.",
        ) from error
