"""Cache of cut beats: content-addressed, memory-mapped, safe for concurrent processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.source import CACHE_VARIABLE, LocalSource
from nasbench_ecg.errors import ProtocolError, RecordError
from nasbench_ecg.io import storage_errors, write_atomically
from nasbench_ecg.options import Options
from nasbench_ecg.physionet.catalog import SUMS
from nasbench_ecg.physionet.verify import require_published
from nasbench_ecg.progress import Progress

_FORMAT = 1
_ARRAYS = ("signals", "labels", "record", "sample")
_NAMES = ("classes", "records", "subjects", "leads")
_META = "meta.json"
_STALE = 24 * 3600.0  # seconds after which a temporary folder was left by a killed process


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
    options: Options,
    dataset: Dataset,
    source: LocalSource,
    progress: Progress,
) -> LoadedBeats:
    """Return the beats of a dataset, from the cache if they are there.

    The key of a cache entry is the digest of the name, revision and options of the dataset, and of
    the contents of its record files. Null options are left out, as in run keys. Files are compared
    with the published checksums, if they lie beside the records. Notes of the dataset are reported
    in both cases.

    Args:
        name: Name of the dataset.
        revision: Revision of its spec.
        options: The options of ``dataset``.
        dataset: Loads the beats if they are not cached.
        source: Location of records and cache.
        progress: Receives progress and notes.

    Raises:
        MissingDataError: Required files are missing.
        RecordError: A record is damaged, or differs from the published checksums.
        StorageError: The cache cannot be written.
    """
    files = _required_files(dataset, source)
    with storage_errors(source.cache, option=CACHE_VARIABLE, what="Cached beats"):
        source.beats_cache.mkdir(parents=True, exist_ok=True)
        digests = _digests(files, source.cache / "digests.json")
        key = digest(
            {
                "format": _FORMAT,
                "name": name,
                "revision": revision,
                "options": options.model_dump(mode="json", exclude_none=True),
                "files": digests,
            }
        )
    if n_compared := require_published(files, digests):
        progress.note(f"{n_compared:,} record files were compared with {SUMS}: all are equal.")
    entry = source.beats_cache / f"{name}-{key[:24]}"
    cached = _read_entry(entry)
    if cached is not None:
        for note in cached.notes:
            progress.note(note)
        return cached
    loaded = _load(dataset, source, progress)
    with storage_errors(source.cache, option=CACHE_VARIABLE, what="Cached beats"):
        _write_entry(loaded, entry)
    stored = _read_entry(entry)
    return loaded if stored is None else replace(stored, from_cache=False)


def _required_files(dataset: Dataset, source: LocalSource) -> dict[str, Path]:
    """Return the paths of the files that the dataset requires, by ``database/name``."""
    files = {}
    for requirement in dataset.requires():
        folder = source.require(requirement)
        for record in requirement.records:
            for extension in requirement.extensions:
                file_name = f"{record}.{extension}"
                files[f"{requirement.database}/{file_name}"] = folder / file_name
    return files


def _load(dataset: Dataset, source: LocalSource, progress: Progress) -> LoadedBeats:
    recorder = _NoteRecorder(progress)
    beats = dataset.load(source, recorder)
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


def _digests(files: dict[str, Path], memo_path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file; ``memo_path`` stores them by path, size and mtime."""
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


def _write_entry(loaded: LoadedBeats, entry: Path) -> None:
    """Write a cache entry to a temporary folder and rename it; another process may be faster."""
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
            "files": {array: _file_state(temporary, array) for array in _ARRAYS},
        }
        meta = json.loads(canonical_json(meta))
        write_atomically(temporary / _META, canonical_json({**meta, "digest": digest(meta)}))
        if entry.exists() and _read_entry(entry) is None:
            entry.rename(temporary.with_name(f"{temporary.name}-damaged"))
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_name(f"{temporary.name}-damaged"), ignore_errors=True)


def _read_entry(entry: Path) -> LoadedBeats | None:
    """Return the beats of a cache entry; None if it does not exist or is damaged."""
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
        modified = any(_file_state(entry, array) != meta["files"][array] for array in _ARRAYS)
        if modified and beats.fingerprint() != meta["fingerprint"]:
            return None
        return LoadedBeats(beats, meta["fingerprint"], from_cache=True, notes=tuple(meta["notes"]))
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        return None
    except (ProtocolError, RecordError):
        return None


def _file_state(folder: Path, array: str) -> list[int]:
    """Return size and mtime of the file of an array."""
    stat = (folder / f"{array}.npy").stat()
    return [stat.st_size, stat.st_mtime_ns]


def _remove_stale(folder: Path) -> None:
    """Remove the temporary folders of killed processes."""
    for temporary in folder.glob(".tmp-*"):
        with contextlib.suppress(OSError):
            if time.time() - temporary.stat().st_mtime > _STALE:
                shutil.rmtree(temporary, ignore_errors=True)
