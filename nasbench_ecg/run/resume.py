"""What a run keeps while it is not finished, so that it can go on where it was stopped."""

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
from nasbench_ecg.training.checkpoint import (
    FileCheckpoint,
    random_state,
    restore_random_state,
)

_STAMP = "stamp"


class Unfinished:
    """The folder of an unfinished run: one checkpoint a stage, a ledger, and finished stages.

    Args:
        folder: Its place; made when first written to.
        interval: Seconds between checkpoints.
    """

    def __init__(self, folder: Path, interval: float = 30.0) -> None:
        self.folder = folder
        self.interval = interval
        self._stamp: dict[str, str] = {}

    def claim(self, stamp: Mapping[str, str]) -> list[str]:
        """Say of what data and code all is that is kept from here on.

        What is there of other data or code is forgotten. Of a folder without a stamp nothing is
        known, and it is taken as it is.

        Returns:
            The names of what differs; empty where one may go on.
        """
        self._stamp = dict(stamp)
        for leftover in self.folder.glob(".*-*"):  # of a write that was killed
            leftover.unlink(missing_ok=True)
        before = self.finished(_STAMP) or self._stamp
        names = {**before, **self._stamp}
        differing = [name for name in names if before.get(name) != self._stamp.get(name)]
        if differing:
            self.remove()
        return differing

    def exists(self) -> bool:
        """Return whether an earlier run left something to go on from."""
        return self.folder.is_dir()

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def ledger(self) -> Ledger:
        """Return the evaluations of the search so far."""
        return Ledger(self.folder / "evaluations.jsonl", self._sign)

    def checkpoint(
        self, stage: str, state: Callable[[], Any], restore: Callable[[Any], None]
    ) -> FileCheckpoint:
        """Return where ``stage`` keeps its state, and the harness that of the context."""

        def kept() -> Any:
            self._sign()
            return state()

        return FileCheckpoint(
            self.folder / f"{stage}.safetensors",
            interval=self.interval,
            extra=kept,
            restore_extra=restore,
        )

    def finish(self, stage: str, data: dict[str, Any]) -> None:
        """Keep the outcome of a stage, as JSON data, and drop its checkpoint.

        Raises:
            StorageError: It cannot be written.
        """
        self._sign()
        self._write(stage, data)
        (self.folder / f"{stage}.safetensors").unlink(missing_ok=True)

    def finished(self, stage: str) -> dict[str, Any] | None:
        """Return the outcome of a stage that was finished earlier; None if it was not."""
        try:
            data: dict[str, Any] = json.loads(self._outcome(stage).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data

    def _sign(self) -> None:
        """Write the stamp, before anything else is."""
        if self._stamp and not self._outcome(_STAMP).is_file():
            self._write(_STAMP, self._stamp)

    def _write(self, stage: str, data: Mapping[str, Any]) -> None:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._outcome(stage), json.dumps(data))

    def _outcome(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"


class Clock:
    """Seconds of a stage, those before a stop included, together with torch's generators."""

    def __init__(self) -> None:
        self.started = monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return monotonic() - self.started

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` takes."""
        return {"seconds": self.seconds, "torch": random_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was called."""
        self.started = monotonic() - state["seconds"]
        restore_random_state(state["torch"])


_KEPT = ("score", "metrics", "seconds", "confusion", "curves")


class Ledger:
    """Evaluations by architecture and fidelity, kept in a file where there is one.

    A search that scores candidates by ``evaluate_many`` alone is resumed by running it again: its
    generator starts anew, and every evaluation that is on the ledger costs nothing.

    Args:
        path: File of one JSON line an evaluation; a last line cut short by a kill is ignored.
        before: Called before the file is written to.
    """

    def __init__(self, path: Path | None = None, before: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._before = before
        self._known: dict[tuple[str, str], Evaluation] = {}
        self._earlier: set[tuple[str, str]] = set()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def find(self, arch: Architecture, fidelity: Fidelity | None) -> Evaluation | None:
        """Return the evaluation of ``arch`` at ``fidelity``; None if there is none yet."""
        return self._known.get((arch.hash, _text(fidelity)))

    def claim(self, arch: Architecture, fidelity: Fidelity | None) -> float:
        """Return the seconds that an evaluation took before a stop: once, and zero elsewhere."""
        key = arch.hash, _text(fidelity)
        if key not in self._earlier:
            return 0.0
        self._earlier.remove(key)
        return self._known[key].seconds

    def add(self, evaluation: Evaluation, fidelity: Fidelity | None) -> None:
        """Keep an evaluation, without its weights and predictions in the file.

        Raises:
            StorageError: The file cannot be written.
        """
        kept = replace(evaluation, state=None, predictions=None)
        self._known[evaluation.architecture.hash, _text(fidelity)] = kept
        if self.path is None:
            return
        self._before()
        line = {
            "architecture": evaluation.architecture.to_dict(),
            "fidelity": _text(fidelity),
            **{name: getattr(evaluation, name) for name in _KEPT},
        }
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(line, default=_plain))
                file.flush()
                os.fsync(file.fileno())

    def _read(self, line: str) -> None:
        try:
            data: dict[str, Any] = json.loads(line)
            arch = Architecture.from_dict(data["architecture"])
            evaluation = Evaluation(architecture=arch, **{name: data[name] for name in _KEPT})
            key = arch.hash, str(data["fidelity"])
        except (ValueError, KeyError, TypeError, OptionError):
            return
        self._known[key] = evaluation
        self._earlier.add(key)


def _plain(value: Any) -> Any:
    """Return a number or an array of numpy's as JSON data."""
    return value.tolist()


def _text(fidelity: Fidelity | None) -> str:
    return json.dumps(None if fidelity is None else asdict(fidelity), sort_keys=True)
