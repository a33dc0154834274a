"""A recording in memory, as CSV and EDF files and some WFDB records are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """A recording in memory.

    Attributes:
        name: Name of the record.
        fs: Sampling rate in hertz.
        leads: Names of the leads.
        signals: float64 [n_leads, n_samples], millivolts; NaN where a lead has no signal.
        notes: What a user should know about the recording, although it can be read.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signals: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return int(self.signals.shape[1])

    def read(self, channels: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        """Return samples ``first`` to ``last`` (exclusive) of some leads, by their positions."""
        return self.signals[list(channels), first:last]
