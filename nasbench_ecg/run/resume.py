"""The saved progress of an unfinished run, from which it continues after an interruption."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity
from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import json_sha256, make_beside, storage_errors, write_atomically
from nasbench_ecg.run.warm import CandidateCheckpoints, checkpoint_limit
from nasbench_ecg.training.checkpoint import FileCheckpoint, read_state
from nasbench_ecg.training.seeding import random_state, restore_random_state

_INPUTS = "inputs"
_CANDIDATES = "candidates"


class ResumeFolder:
    """The folder of an unfinished run: a checkpoint a stage, evaluations, results of stages.

    Args:
        folder: Its path; created by the first write.
        interval: Seconds between checkpoints.
    """

    def __init__(self, folder: Path, interval: float = 30.0) -> None:
        self.folder = folder
        self.interval = interval
        self._inputs: dict[str, str] = {}

    def exists(self) -> bool:
        """Return whether an earlier run saved progress here."""
        return os.path.lexists(self.folder)

    def remove(self) -> None:
        """Delete all saved progress at once: a kill leaves no part of it to continue from."""
        if self.folder.is_dir() and not self.folder.is_symlink():
            try:
                aside = make_beside(self.folder, self.folder.rename)
            except OSError:
                aside = self.folder
            shutil.rmtree(aside, ignore_errors=True)
        else:
            with suppress(OSError):
                self.folder.unlink(missing_ok=True)
        for leftover in self.folder.parent.glob(f".{self.folder.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def discard_if_damaged(self) -> list[str]:
        """Delete all saved progress if a part of it is not what was written.

        Damaged lines in the log of evaluations are not counted: see :class:`EvaluationLog`.

        Returns:
            The names of the damaged files, or that of the folder if it is not a folder; empty if
            there are none.
        """
        if not self.folder.is_dir():
            damaged = [self.folder.name] if self.exists() else []
        else:
            self._remove_temporary_files()
            damaged = sorted(path.name for path in self.folder.iterdir() if _is_damaged(path))
        if damaged:
            self.remove()
        return damaged

    def _remove_temporary_files(self) -> None:
        """Remove the files of writes that were killed."""
        for leftover in self.folder.glob(".*-*"):
            if leftover.is_file() or leftover.is_symlink():
                leftover.unlink(missing_ok=True)

    def discard_if_changed(self, inputs: Mapping[str, str]) -> list[str]:
        """Delete progress that was saved with other inputs; save these with what follows.

        Args:
            inputs: Versions of the code and fingerprints of the data, by name. Progress that does
                not state its inputs counts as made with other ones.

        Returns:
            The names of the inputs that differ; empty if the run can continue.
        """
        self._inputs = dict(inputs)
        self._remove_temporary_files()
        before = self.load_result(_INPUTS)
        if before is None:
            before = {} if self._has_progress() else self._inputs
        names = {**before, **self._inputs}
        changed = [name for name in names if before.get(name) != self._inputs.get(name)]
        if changed:
            self.remove()
        return changed

    def _has_progress(self) -> bool:
        return self.folder.is_dir() and any(self.folder.iterdir())

    def evaluation_log(self) -> EvaluationLog:
        """Return the log of the search's evaluations so far."""
        return EvaluationLog(self.folder / "evaluations.jsonl", self._write_inputs)

    def candidates(self) -> CandidateCheckpoints:
        """Return the checkpoints of the search's candidates.

        Raises:
            OptionError: The environment's limit of their size is not a number.
        """
        return CandidateCheckpoints(self.folder / _CANDIDATES, checkpoint_limit())

    def checkpoint(
        self, stage: str, state: Callable[[], Any], restore: Callable[[Any], None]
    ) -> FileCheckpoint:
        """Return the checkpoint of ``stage``.

        Args:
            stage: ``search`` or ``evaluation``.
            state: Returns the state of the context, which is saved with that of the component.
            restore: Restores the state of the context.
        """

        def context_state() -> Any:
            self._write_inputs()
            return state()

        return FileCheckpoint(
            self.folder / f"{stage}.safetensors",
            interval=self.interval,
            extra=context_state,
            restore_extra=restore,
        )

    def save_result(self, stage: str, data: dict[str, Any]) -> None:
        """Save the result of a finished stage, as JSON data, and delete its checkpoint.

        Raises:
            StorageError: It cannot be written.
        """
        self._write_inputs()
        self._write(stage, data)
        (self.folder / f"{stage}.safetensors").unlink(missing_ok=True)

    def load_result(self, stage: str) -> dict[str, Any] | None:
        """Return the saved result of a stage; None if there is none that can be read."""
        return _read_sealed(self._path(stage))

    def _write_inputs(self) -> None:
        """Write the inputs, which must be there before any progress is."""
        if self._inputs and not self._path(_INPUTS).is_file():
            self._write(_INPUTS, self._inputs)

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(name), _sealed(data))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _sealed(data: Mapping[str, Any]) -> str:
    """Return data as one line of JSON, with its SHA-256; NumPy values become lists and numbers."""
    plain = _plain(data)
    return json.dumps({"sha256": json_sha256(plain), "data": plain})


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data as they are read again from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(data, default=lambda value: value.tolist()))
    return plain


def _unsealed(text: str) -> dict[str, Any]:
    """Return the data of a text that :func:`_sealed` returned.

    Raises:
        ValueError: The text is damaged.
    """
    try:
        whole = json.loads(text)
        if not isinstance(whole["data"], dict) or whole["sha256"] != json_sha256(whole["data"]):
            raise ValueError("the data differ from their digest")
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    data: dict[str, Any] = whole["data"]
    return data


def _read_sealed(path: Path) -> dict[str, Any] | None:
    """Return the data in a file; None if it does not exist or is damaged."""
    try:
        return _unsealed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_damaged(path: Path) -> bool:
    """Return whether a file of saved progress is not what was written.

    A damaged checkpoint of a candidate is not counted: the candidate is trained from scratch.
    """
    if path.name == _CANDIDATES:
        return not path.is_dir()
    if not path.is_file():
        return True
    if path.suffix == ".json":
        return _read_sealed(path) is None
    if path.suffix == ".safetensors":
        return read_state(path) is None
    return False


class StageState:
    """The harness's own state of a stage: elapsed seconds and torch's random generators."""

    def __init__(self) -> None:
        self.started = monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far, including those before an interruption."""
        return monotonic() - self.started

    def state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` takes."""
        return {"seconds": self.seconds, "torch": random_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""
        self.started = monotonic() - state["seconds"]
        restore_random_state(state["torch"])


class EvaluationLog:
    """Evaluations by architecture and fidelity, kept in a file if there is one.

    A search that scores candidates only through ``evaluate_many`` is resumed by repeating it: its
    generator starts from the same seed, and logged evaluations are not computed again.

    Args:
        path: File with one JSON line an evaluation; damaged lines, such as a last one cut short by
            a kill, are ignored.
        before_write: Called before each write to the file.

    Attributes:
        n_damaged: Number of damaged lines that were ignored.
    """

    def __init__(
        self, path: Path | None = None, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self.path = path
        self.n_damaged = 0
        self._before_write = before_write
        self._known: dict[tuple[str, str], Evaluation] = {}
        self._earlier: set[tuple[str, str]] = set()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line and not self._read(line):
                    self.n_damaged += 1

    def find(self, arch: Architecture, fidelity: Fidelity | None) -> Evaluation | None:
        """Return the evaluation of ``arch`` at ``fidelity``; None if there is none yet."""
        return self._known.get(_key(arch, fidelity))

    def take_earlier_seconds(self, arch: Architecture, fidelity: Fidelity | None) -> float:
        """Return the seconds of an evaluation that an earlier process made.

        Zero for other evaluations, and from the second call on, so that seconds count once.
        """
        key = _key(arch, fidelity)
        if key not in self._earlier:
            return 0.0
        self._earlier.remove(key)
        return self._known[key].seconds

    @property
    def n_logged(self) -> int:
        """Number of evaluations in the log."""
        return len(self._known)

    def count_seconds_of(self, n: int) -> None:
        """Count the seconds of the first ``n`` evaluations: a checkpoint made after them has."""
        self._earlier.difference_update(list(self._known)[:n])

    @property
    def n_not_repeated(self) -> int:
        """Number of evaluations of an earlier process that this one has not repeated so far."""
        return len(self._earlier)

    def add(self, evaluation: Evaluation, fidelity: Fidelity | None) -> None:
        """Add an evaluation, as the file holds it: without its weights and predictions.

        Raises:
            StorageError: The file cannot be written.
        """
        arch = evaluation.architecture
        values = _plain({name: getattr(evaluation, name) for name in _LOGGED})
        self._known[_key(arch, fidelity)] = Evaluation(architecture=arch, **values)
        if self.path is None:
            return
        self._before_write()
        line = {"architecture": arch.to_dict(), "fidelity": _fidelity_key(fidelity), **values}
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + _sealed(line))
                file.flush()
                os.fsync(file.fileno())

    def _read(self, line: str) -> bool:
        """Read a line of the file; return whether it is whole."""
        try:
            data = _unsealed(line)
            arch = Architecture.from_dict(data["architecture"])
            evaluation = Evaluation(
                architecture=arch, **{name: data[name] for name in _LOGGED if name in data}
            )
            key = arch.hash, str(data["fidelity"])
        except (ValueError, LookupError, TypeError, OptionError):
            return False
        self._known[key] = evaluation
        self._earlier.add(key)
        return True


_LOGGED = ("score", "metrics", "seconds", "confusion", "curves", "epochs_reused")


def _key(arch: Architecture, fidelity: Fidelity | None) -> tuple[str, str]:
    return arch.hash, _fidelity_key(fidelity)


def _fidelity_key(fidelity: Fidelity | None) -> str:
    return json.dumps(None if fidelity is None else fidelity.as_dict(), sort_keys=True)
