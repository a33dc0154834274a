"""Repetitions of searches kept in a folder, so that a long report can be interrupted."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_ecg.architecture import digest
from nasbench_ecg.io import replace_atomically, storage_errors
from nasbench_ecg.tables.simulate import STEP_TYPES, Simulation

_BLOCK = 25
"""Repetitions in a file: what an interruption loses at most."""

_DAMAGED = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises; its repetitions are run again."""


class KeptRepetitions:
    """A folder with the repetitions of searches, in blocks.

    A file holds one block. Its name is a digest of all that determines the repetitions: table,
    strategy, options, budget and seed. It does not know the code of the strategies: use another
    folder after a change of it.

    Args:
        folder: The folder; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repeat(
        self,
        identity: Mapping[str, Any],
        repetitions: int,
        run: Callable[[NDArray[np.int64]], Simulation],
    ) -> Simulation:
        """Return the repetitions of a search, of which only missing and damaged blocks are run.

        Args:
            identity: What determines them, as JSON data.
            repetitions: How many.
            run: Runs the repetitions of these numbers.

        Raises:
            StorageError: A file cannot be written.
        """
        name = digest(identity)[:16]
        blocks = [
            self._block(self.folder / f"{name}-{first}.npz", first, run)
            for first in range(0, repetitions, _BLOCK)
        ]
        steps = pd.concat([steps for steps, _ in blocks], ignore_index=True)
        found = np.concatenate([found for _, found in blocks])[:repetitions]
        return Simulation(str(identity["search"]), steps[steps["repetition"] < repetitions], found)

    def _block(
        self, path: Path, first: int, run: Callable[[NDArray[np.int64]], Simulation]
    ) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        if path.exists():
            with suppress(*_DAMAGED):
                return _read(path)
        done = run(np.arange(first, first + _BLOCK))
        arrays: dict[str, Any] = {name: done.steps[name].to_numpy() for name in STEP_TYPES}
        with storage_errors(self.folder, option="--keep", what="The repetitions"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replace_atomically(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, found=done.found, **arrays)
        return done.steps, done.found


def _read(path: Path) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    with np.load(path, allow_pickle=False) as kept:
        steps = pd.DataFrame({name: kept[name] for name in STEP_TYPES})
        found: NDArray[np.int64] = kept["found"]
    if len(found) != _BLOCK:
        raise ValueError
    return steps, found
