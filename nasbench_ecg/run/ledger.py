"""What was evaluated during a search, so that nothing is evaluated twice, not even after a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity
from nasbench_ecg.errors import OptionError
from nasbench_ecg.run.files import told

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
        with told(self.path):
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
