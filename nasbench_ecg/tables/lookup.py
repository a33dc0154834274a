"""What a search sees of a table: validation scores and seconds, of one seed or their mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Fidelity
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.requested_searches import Scores
from nasbench_ecg.tables.table import BASE_SEEDS, Table

METRIC = "f1_of_macro"


@dataclass(frozen=True)
class ValidationLookup:
    """The part of a table that a search may see: validation scores and seconds, no test results.

    It has the first three seeds only, so that members with more are not treated otherwise; or one
    in place of them, with the means over those that are trained.

    Attributes:
        place: Returns the row of an architecture.
        trained: Which members are trained with which seeds, [M, S].
        scores: Validation scores, [M, S, E].
        seconds: Processor seconds of training and validation, [M, S, E].
    """

    place: Callable[[Architecture], int]
    trained: NDArray[np.bool_]
    scores: NDArray[np.float64]
    seconds: NDArray[np.float32]

    @classmethod
    def of(cls, table: Table, seen: Scores = "one-seed") -> ValidationLookup:
        """Return the lookup of a table.

        Args:
            table: The table.
            seen: Whether a search sees one training of a member, or the mean over its seeds.
        """
        seeds = slice(BASE_SEEDS)
        trained = table.trained[:, seeds]
        scores = table.values("validation", METRIC)[:, seeds]
        seconds = table.arrays["seconds"][:, seeds]
        if seen == "mean":
            scores, seconds = (_means(values, trained) for values in (scores, seconds))
            trained = np.asarray(trained.any(axis=1, keepdims=True))
        return cls(placing(table), trained, scores, seconds)

    def epoch(self, fidelity: Fidelity | None) -> int:
        """Return after which epoch a fidelity is looked up."""
        epochs = int(self.scores.shape[-1])
        asked = epochs if fidelity is None or fidelity.epochs is None else fidelity.epochs
        return min(asked, epochs)

    def mean_seconds(self, fidelity: Fidelity | None = None) -> float:
        """Return the mean seconds of all trainings with a fidelity, from where it goes on."""
        epoch = self.epoch(fidelity)
        reused = min((fidelity and fidelity.continues) or 0, epoch)
        seconds = self.seconds[..., epoch - 1]
        if reused:
            seconds = seconds - self.seconds[..., reused - 1]
        return float(seconds[self.trained].mean())

    def draw_seeds(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return a random trained seed of each member, [M]; -1 where none is trained."""
        counts = self.trained.sum(axis=1)
        wanted = (rng.random(len(counts)) * counts).astype(np.int64)
        ranks = self.trained.cumsum(axis=1) - 1
        found = (self.trained & (ranks == wanted[:, None])).argmax(axis=1)
        return np.where(counts > 0, found, -1)


def _means(values: NDArray[Any], trained: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the means [M, 1, E] of values [M, S, E] over the trained seeds [M, S]."""
    several = trained[:, :, None]
    sums = np.where(several, values, 0).sum(axis=1, keepdims=True, dtype=np.float64)
    counts = several.sum(axis=1, keepdims=True)
    means: NDArray[Any] = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means.astype(values.dtype)


def placing(table: Table) -> Callable[[Architecture], int]:
    """Return a function that finds the row of a member, and through which no result is reached.

    A method of the table would hand its test results to a search.
    """
    rows = {arch.hash: row for row, arch in enumerate(table.members)}

    def place(arch: Architecture) -> int:
        row = rows.get(arch.hash)
        if row is None:
            raise TableError(
                f"The architecture {arch.hash} is not a member of the table.",
                fix="A space must return canonical forms of its members.",
            )
        return row

    return place
