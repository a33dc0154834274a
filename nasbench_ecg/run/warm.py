"""Checkpoints of candidates, from which a search continues their training at a higher fidelity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Fidelity
from nasbench_ecg.errors import OptionError
from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg.training.seeding import random_state, restore_random_state

LIMIT = "NASBENCH_ECG_CHECKPOINT_MB"
"""Environment variable: most megabytes that the checkpoints of one search may take."""

DEFAULT_MEGABYTES = 1024.0


@dataclass
class CandidateCheckpoint:
    """The state that the training of one candidate starts from, and the one that it leaves.

    Attributes:
        start: File of the state that it continues from; None: from scratch.
        end: File that its last state is saved to; None: it is trained to the end.
        loaded: Whether it did continue from ``start``.
    """

    start: Path | None
    end: Path | None
    loaded: bool = False

    def due(self) -> bool:
        """Return False: only the last state is saved."""
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        """Store ``state`` with that of torch's generators."""
        if self.end is not None:
            FileCheckpoint(self.end, extra=random_state).save(state)

    def load(self) -> dict[str, Any] | None:
        """Return the state to continue from; None if there is none, or if it is damaged."""
        if self.start is None:
            return None
        state = FileCheckpoint(self.start, restore_extra=restore_random_state).load()
        self.loaded = state is not None
        return state


@dataclass
class CandidateCheckpoints:
    """The folder with the checkpoints of a search's candidates, of limited size.

    If they take more than ``max_bytes``, those of the fewest epochs are removed first, the oldest
    of equals: they are the cheapest to make again. A candidate whose checkpoint was removed is
    trained from scratch, with the same result.

    Attributes:
        folder: The folder; created by the first checkpoint.
        max_bytes: Most bytes of all files.
        removed: Checkpoints removed for want of space.
    """

    folder: Path
    max_bytes: float
    removed: int = 0

    def of(
        self, arch: Architecture, fidelity: Fidelity | None, fold: int = 0
    ) -> CandidateCheckpoint:
        """Return the checkpoint of a candidate at a fidelity, on a fold of a cross-validation."""
        if fidelity is None or not fidelity.epochs or not fidelity.schedule_epochs:
            return CandidateCheckpoint(None, None)
        start = fidelity.continues
        return CandidateCheckpoint(
            start=None if start is None else self._path(arch, fidelity, start, fold),
            end=self._path(arch, fidelity, fidelity.epochs, fold)
            if fidelity.epochs < fidelity.schedule_epochs
            else None,
        )

    def settle(self, arch: Architecture, fidelity: Fidelity | None) -> int:
        """Remove what is no longer needed once an evaluation is stored, and keep the size limit.

        Returns:
            Number of checkpoints removed for want of space.
        """
        if fidelity is None or fidelity.schedule_epochs is None or not self.folder.is_dir():
            return 0
        if fidelity.continues is not None:
            done = self._path(arch, fidelity, fidelity.continues).name
            for path in self.folder.glob(f"{done.partition('-')[0]}*-{done.partition('-')[2]}"):
                path.unlink(missing_ok=True)
        files = sorted(
            (int(path.stem.rpartition("-")[2]), path.stat().st_mtime_ns, path)
            for path in self.folder.glob("*-*.safetensors")
        )
        excess = sum(path.stat().st_size for *_, path in files) - self.max_bytes
        removed = 0
        for *_, path in files:
            if excess <= 0:
                break
            excess -= path.stat().st_size
            path.unlink(missing_ok=True)
            removed += 1
        self.removed += removed
        return removed

    def _path(self, arch: Architecture, fidelity: Fidelity, epochs: int, fold: int = 0) -> Path:
        beats = "all" if fidelity.beats is None else fidelity.beats
        of_fold = f".{fold}" if fold else ""
        name = f"{arch.hash}{of_fold}-{beats}-{fidelity.schedule_epochs}-{epochs}"
        return self.folder / f"{name}.safetensors"


def checkpoint_limit() -> float:
    """Return the most bytes of a search's checkpoints, as the environment says.

    Raises:
        OptionError: The environment's value is not a positive number.
    """
    named = os.environ.get(LIMIT, "")
    try:
        megabytes = float(named or DEFAULT_MEGABYTES)
        if not megabytes >= 0:
            raise ValueError
    except ValueError:
        raise OptionError(
            f"{named!r} is not a number of megabytes.",
            where=LIMIT,
            fix=f"Set it to a number such as {DEFAULT_MEGABYTES:g}, or unset it.",
        ) from None
    return megabytes * 1e6
