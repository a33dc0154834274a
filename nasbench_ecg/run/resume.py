"""The saved progress of an unfinished run, from which it continues after an interruption."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity
from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import storage_errors, write_atomically
from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.seeding import random_state, restore_random_state

_INPUTS = "inputs"


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
        return self.folder.is_dir()

    def remove(self) -> None:
        """Delete all saved progress."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def discard_if_changed(self, inputs: Mapping[str, str]) -> list[str]:
        """Delete progress that was saved with other inputs; save these with what follows.

        Args:
            inputs: Versions of the code and fingerprints of the data, by name. Progress that does
                not state its inputs counts as made with other ones.

        Returns:
            The names of the inputs that differ; empty if the run can continue.
        """
        self._inputs = dict(inputs)
        for leftover in self.folder.glob(".*-*"):  # temporary files of a killed process
            leftover.unlink(missing_ok=True)
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
        try:
            data: dict[str, Any] = json.loads(self._path(stage).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data

    def _write_inputs(self) -> None:
        """Write the inputs, which must be there before any progress is."""
        if self._inputs and not self._path(_INPUTS).is_file():
            self._write(_INPUTS, self._inputs)

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(name), json.dumps(data))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


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
        path: File with one JSON line an evaluation; a last line cut short by a kill is ignored.
        before_write: Called before each write to the file.
    """

    def __init__(
        self, path: Path | None = None, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self.path = path
        self._before_write = before_write
        self._known: dict[tuple[str, str], Evaluation] = {}
        self._earlier: set[tuple[str, str]] = set()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

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

    def add(self, evaluation: Evaluation, fidelity: Fidelity | None) -> None:
        """Add an evaluation, without its weights and predictions.

        Raises:
            StorageError: The file cannot be written.
        """
        kept = replace(evaluation, state=None, predictions=None)
        self._known[_key(evaluation.architecture, fidelity)] = kept
        if self.path is None:
            return
        self._before_write()
        line = {
            "architecture": evaluation.architecture.to_dict(),
            "fidelity": _fidelity_key(fidelity),
            **{name: getattr(evaluation, name) for name in _LOGGED},
        }
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(line, default=lambda value: value.tolist()))
                file.flush()
                os.fsync(file.fileno())

    def _read(self, line: str) -> None:
        try:
            data: dict[str, Any] = json.loads(line)
            arch = Architecture.from_dict(data["architecture"])
            evaluation = Evaluation(architecture=arch, **{name: data[name] for name in _LOGGED})
            key = arch.hash, str(data["fidelity"])
        except (ValueError, KeyError, TypeError, OptionError):
            return
        self._known[key] = evaluation
        self._earlier.add(key)


_LOGGED = ("score", "metrics", "seconds", "confusion", "curves")


def _key(arch: Architecture, fidelity: Fidelity | None) -> tuple[str, str]:
    return arch.hash, _fidelity_key(fidelity)


def _fidelity_key(fidelity: Fidelity | None) -> str:
    return json.dumps(None if fidelity is None else asdict(fidelity), sort_keys=True)
