"""The one place where beats become feature vectors.

Beats arrive as [n, n_leads, n_samples]. A dataset of features hands them out as [n, 1, n_features];
plain waveforms are flattened to n_leads · n_samples numbers. Every feature is standardised over the
beats that are clustered, so units do not matter. Missing values (NaN) and features that do not vary
are refused: the dataset has to replace or leave them out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Beats, OptionError, Task, join

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of every feature.

    Attributes:
        mean: float64 [d].
        scale: float64 [d], positive.
    """

    mean: Floats
    scale: Floats

    def apply(self, beats: Beats) -> Floats:
        """Return float64 [n, d], the standardised features of ``beats``."""
        return (vectors(beats) - self.mean) / self.scale


def vectors(beats: Beats) -> Floats:
    """Return float64 [n, n_leads · n_samples], the features of ``beats`` as they are.

    Raises:
        OptionError: A feature is not a number somewhere.
    """
    x = beats.signals.reshape(len(beats), -1).astype(np.float64)
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise OptionError(
            f"{int(bad.any(axis=1).sum())} of {len(x)} beats have features that are no numbers.",
            where=f"feature {column + 1} of the beat at sample {int(beats.sample[row])} of record "
            f"{beats.records[beats.record[row]]}",
            fix="Leave such beats out of the dataset, or replace what is missing.",
        )
    return x


def standardisation(beats: Beats) -> Standardisation:
    """Return the means and deviations over ``beats``.

    Raises:
        OptionError: A feature is not a number somewhere, or has one value everywhere.
    """
    x = vectors(beats)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    constant = np.flatnonzero(scale <= 1e-12 * np.maximum(1, np.abs(mean)))
    if len(constant):
        raise OptionError(
            f"{len(constant)} of {len(scale)} features are the same in all beats.",
            where=f"feature {constant[0] + 1} is {mean[constant[0]]:g} everywhere",
            fix="Leave constant features out of the dataset, or take more beats.",
        )
    return Standardisation(mean, scale)


def clustered_beats(task: Task) -> Floats:
    """Return float64 [n, d], the standardised features of all beats a strategy may see.

    The training part comes first, then the validation part: the order of a labelling.

    Raises:
        OptionError: As :func:`standardisation`.
    """
    both = join([task.train, task.validation])
    return standardisation(both).apply(both)
