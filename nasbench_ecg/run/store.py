"""The folder of run records: one JSON file a run, written whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING, Any

from nasbench_ecg.errors import StorageError
from nasbench_ecg.io import (
    jsonable,
    make_beside,
    replace_atomically,
    sha256,
    storage_errors,
    to_json,
    write_atomically,
)
from nasbench_ecg.run.locks import RunLock
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import check_results_folder, read_record_file

if TYPE_CHECKING:
    from torch import Tensor

    from nasbench_ecg.run.resume import ResumeFolder

WEIGHTS = "weights.safetensors"
"""File of a run's weights, in the folder beside its record."""

EVALUATIONS = "evaluations"
"""Folder of the tests of a run's network on other beats, in the folder beside its record."""

INT8 = "int8.json"
"""File of what quantization costs a run's network, in the folder beside its record."""

INT8_PROGRAM = "int8-pte.json"
"""The same for its ExecuTorch program, which another library quantizes."""

MADE_LATER = frozenset((EVALUATIONS, INT8, INT8_PROGRAM))
"""What commands add to the folder of a run after it, so that its record does not name it."""

_LEFTOVER = re.compile(r"\.[0-9a-f]{16}(\.json)?-")
_REPLACED = re.compile(r"\.([0-9a-f]{16})-[0-9a-f]{8}-old")
_STALE = 3600.0  # seconds after which a temporary file belongs to a killed process


class RecordStore:
    """The folder that holds run records, ``<out>/<suite>/<run_key>.json``.

    Args:
        out: Folder of all results.
        suite: Name of the suite, and of the folder within.
    """

    def __init__(self, out: Path, suite: str = "runs") -> None:
        self.out = Path(out)
        self.suite = suite

    @property
    def folder(self) -> Path:
        """Folder of this suite."""
        return self.out / self.suite

    def path(self, run_key: str) -> Path:
        """Return the path of a record; the folder of that name beside it holds the run's files."""
        return self.folder / f"{run_key}.json"

    def resume_folder(self, run_key: str, interval: float = 30.0) -> ResumeFolder:
        """Return the saved progress of a run; ``interval`` is the seconds between checkpoints."""
        from nasbench_ecg.run.resume import ResumeFolder  # it needs torch, and records do not

        return ResumeFolder(self.folder / ".unfinished" / run_key, interval)

    def lock(self, run_key: str) -> RunLock:
        """Return the lock of a run, which the process that executes it holds."""
        return RunLock(self.folder / ".unfinished" / f"{run_key}.lock")

    def check_writable(self) -> None:
        """Check that the folder can be written, without creating it.

        Raises:
            StorageError: It cannot be written, or the results are those of one suite.
        """
        check_results_folder(self.out)
        nearest = self.folder
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        with storage_errors(self.folder), tempfile.TemporaryFile(dir=nearest):
            pass

    def write(
        self,
        record: RunRecord,
        files: Mapping[str, Any] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Path:
        """Store a record and the run's files, replacing those of an earlier run of the same key.

        What commands have added to the earlier run is kept if the weights are the same.

        Args:
            record: The record.
            files: JSON data by file name, stored in the folder beside the record.
            weights: Weights by parameter name, stored there as safetensors.

        Raises:
            StorageError: There is no space, the folder cannot be written, or weights are of a kind
                that safetensors does not store.
        """
        path = self.path(record.run_key)
        with storage_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(record.run_key)
            if files or weights:
                digests = self._write_artifacts(path.with_suffix(""), files or {}, weights or {})
                record.files = digests
            write_atomically(path, to_json(record.model_dump(mode="json")))
        return path

    def copy(self, record: RunRecord, files: Path, *, weights: bool = True) -> Path:
        """Store a record that lies elsewhere, with copies of the run's files.

        Args:
            record: The record.
            files: Folder of the run's files there, with those that commands added later.
            weights: Whether the weights are copied, and the tests of the network on other beats.

        Raises:
            StorageError: A file is not that of the record or cannot be read, there is no space, or
                the folder cannot be written.
        """
        if fault := fault_of_files(record, files):
            raise StorageError(
                f"The files of the run {record.run_key} cannot be copied: {fault}",
                where=str(files),
                fix="'nasbench-ecg verify' shows all checks. Remove the file, or make the run "
                "again.",
            )
        path = self.path(record.run_key)
        with storage_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(record.run_key)
            if files.is_dir():
                ignored = None if weights else shutil.ignore_patterns(WEIGHTS, EVALUATIONS)
                with new_folder(path.with_suffix("")) as temporary:
                    shutil.copytree(files, temporary, ignore=ignored, dirs_exist_ok=True)
            write_atomically(path, to_json(record.model_dump(mode="json")))
        return path

    def made_later(self, run_key: str) -> set[str]:
        """Return the names of what commands have added to the folder of a run."""
        folder = self.path(run_key).with_suffix("")
        return {name for name in MADE_LATER if (folder / name).exists()}

    def add_artifact(self, run_key: str, name: str, data: Any) -> None:
        """Write one more file beside the record of a run.

        Args:
            run_key: Key of the run.
            name: Name of the file, which replaces one of the same name.
            data: JSON data.

        Raises:
            StorageError: The file cannot be written.
        """
        path = self.path(run_key).with_suffix("") / name
        with storage_errors(path, option="--out"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, to_json(jsonable(data)))

    def _write_artifacts(
        self, folder: Path, files: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> dict[str, str]:
        """Write the files of a run and return their SHA-256 by name."""
        with new_folder(folder) as temporary:
            for name, data in files.items():
                text = json.dumps(jsonable(data), sort_keys=True, allow_nan=False)
                write_atomically(temporary / name, text + "\n")
            if weights:
                from safetensors import SafetensorError
                from safetensors.torch import save_file

                try:
                    # layers may share weights, and safetensors refuses tensors that share memory
                    separate = {
                        name: value.resolve_conj().contiguous().clone()
                        for name, value in weights.items()
                    }
                    with replace_atomically(temporary / WEIGHTS) as part:
                        save_file(separate, part)
                except SafetensorError as error:
                    raise OSError(str(error)) from error
                except (RuntimeError, ValueError, KeyError) as error:
                    raise StorageError(
                        f"The weights cannot be stored: {type(error).__name__}: "
                        f"{str(error).strip().rstrip('.')}.",
                        where=str(folder / WEIGHTS),
                        fix="Dense tensors of types that safetensors knows can be stored.",
                    ) from error
            digests = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            _keep_made_later(folder, temporary, digests.get(WEIGHTS))
            return digests

    def _remove_leftovers(self, run_key: str) -> None:
        """Remove temporary files of killed processes: all of this run, old ones of other runs.

        A folder that a process was about to replace when it was killed gets its name back.
        """
        unfinished = self.resume_folder(run_key).folder.parent
        for path in [*self.folder.glob(".*-*"), *unfinished.glob(".*-*")]:
            own = path.name.startswith((f".{run_key}-", f".{run_key}.json-"))
            if _LEFTOVER.match(path.name) and (own or _age(path) > _STALE):
                if self._is_kept(path, own=own):
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)  # another process may remove it too

    def _is_kept(self, path: Path, *, own: bool) -> bool:
        """Return whether a leftover is the only copy of a run's files; give it its name back.

        While another process executes the run, it stays where it is.
        """
        found = _REPLACED.fullmatch(path.name)
        if found is None or not path.is_dir():
            return False
        folder = self.path(found[1]).with_suffix("")
        if folder.exists():
            return False
        if own or self.lock(found[1]).holder() is None:
            with suppress(OSError):
                path.rename(folder)
        return True

    def read(self, run_key: str) -> RunRecord | None:
        """Return the record of ``run_key``; None if there is none that can be read."""
        record = read_record_file(self.path(run_key))
        return record if isinstance(record, RunRecord) else None


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``folder`` when the block succeeds.

    If it cannot take the place of ``folder``, or Ctrl-C comes in between, ``folder`` is as before.
    """
    temporary = make_beside(folder, Path.mkdir)
    mode = S_IMODE(temporary.stat().st_mode)
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        yield temporary
        temporary.chmod(mode)  # shutil.copytree gives it that of its source
        try:
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def weights_path(record: RunRecord, out: Path) -> Path:
    """Return the file of a run's weights in a folder of results, where it lies or should lie.

    A result that a suite has copied from another one leaves its weights there.
    """
    own = RecordStore(out, record.suite).path(record.run_key).with_suffix("") / WEIGHTS
    if own.is_file() or (digest := record.files.get(WEIGHTS)) is None:
        return own
    others = sorted(out.glob(f"[!.]*/{record.run_key}/{WEIGHTS}"))
    return next((path for path in others if sha256(path) == digest), own)


def _keep_made_later(folder: Path, new: Path, weights: str | None) -> None:
    """Copy what commands have added to ``folder`` into ``new``, if the weights are the same."""
    old = folder / WEIGHTS
    if weights is None or not old.is_file() or sha256(old) != weights:
        return
    for name in MADE_LATER:
        if (found := folder / name).is_dir():
            shutil.copytree(found, new / name)
        elif found.is_file():
            shutil.copy2(found, new / name)


def fault_of_files(record: RunRecord, folder: Path) -> str:
    """Return why the files in a folder are not those of a run, one sentence; "" if they are.

    Files may be missing. Files of a record that is older than their digests are not compared.
    """
    if not record.files or not folder.is_dir():
        return ""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:  # such as of a folder that another process is replacing
        return f"{folder.name} cannot be read: {error.strerror}."
    for path in paths:
        if path.name in MADE_LATER:
            continue
        if path.name not in record.files:
            return f"The record does not name the file {path.name}."
        try:
            changed = sha256(path) != record.files[path.name]
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror}."
        if changed:
            return f"{path.name} is not the file of this run: its SHA-256 differs."
    return ""


def _age(path: Path) -> float:
    """Return the seconds since a file changed; zero if another process has removed it."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
