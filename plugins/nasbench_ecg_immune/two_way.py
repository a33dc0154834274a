"""Labels of two clusters as antibodies: y ∈ {−1, 1}ⁿ, and −y the same."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.descent import descend
from nasbench_ecg_immune.margin import Margin
from nasbench_ecg_immune.newcomers import random_functions
from nasbench_ecg_immune.options import Newcomers
from nasbench_ecg_immune.scan import Int8s, relabel

_BLOCK = 4_000_000
"""Labels that are scored at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class TwoWay:
    """The problem of two clusters; affinity is 1 − J(y)/n, after one midpoint scan and some flips.

    Attributes:
        margin: The objective.
        smallest: Fewest points with either label, at least one.
        flips: Most single flips that follow the scan, where the kernel is exact.
        newcomers: What random labels are: each drawn for itself, or signs of a random function.
    """

    margin: Margin
    smallest: int
    flips: int = 0
    newcomers: Newcomers = "labels"

    def random(self, rng: np.random.Generator) -> Int8s:
        """Return labels with any allowed number of positive ones, drawn uniformly.

        Which ones are positive is drawn uniformly, too, or they are the largest values of a random
        function.
        """
        n = self.margin.n
        y = np.full(n, -1, np.int8)
        positive = rng.integers(self.smallest, n - self.smallest + 1)
        if self.newcomers == "labels":
            y[rng.choice(n, positive, replace=False, shuffle=False)] = 1
        else:
            (values,) = random_functions(self.margin, 1, rng)
            y[np.argpartition(values, n - positive)[n - positive :]] = 1
        return y

    def hypermutate(self, genotype: Int8s, rate: float, rng: np.random.Generator) -> Int8s:
        """Return labels each of which was drawn anew with probability ``rate``; one at least."""
        # A label drawn anew stays as it was half the time.
        flips = np.flatnonzero(rng.random(len(genotype), dtype=np.float32) < rate / 2)
        if not len(flips):
            flips = rng.integers(len(genotype), size=1)
        y = genotype.copy()
        y[flips] *= -1
        return y

    def repair(self, genotype: Int8s, rng: np.random.Generator) -> Int8s:
        """Return labels within the balance bound, as few as possible changed, drawn at random."""
        n = len(genotype)
        positive = int(np.count_nonzero(genotype > 0))
        for side, count in ((1, positive), (-1, n - positive)):
            if count < self.smallest:
                y = genotype.copy()
                others = np.flatnonzero(y != side)
                y[rng.choice(others, self.smallest - count, replace=False)] = side
                return y
        return genotype

    def distances(self, genotypes: Sequence[Int8s]) -> NDArray[np.float64]:
        """Return min(H, n − H)/n with the Hamming distance H, float64 [P, P]."""
        y = np.stack(genotypes).astype(np.float32)
        n = y.shape[1]
        # Whole numbers up to 2²⁴ are exact in float32.
        return np.asarray((n - np.abs(y @ y.T)) / (2 * n), np.float64)

    def key(self, genotype: Int8s) -> str:
        """Return a digest of the labels, the first taken as positive."""
        return blake2b(np.packbits(genotype == genotype[0]).tobytes(), digest_size=16).hexdigest()

    def affinity(self, genotypes: Sequence[Int8s]) -> tuple[list[Int8s], list[float]]:
        """Return the better of each labelling and its midpoint scan, and 1 − J/n of it."""
        improved: list[Int8s] = []
        values: list[float] = []
        rows = max(1, _BLOCK // self.margin.n)
        for i in range(0, len(genotypes), rows):
            labels, objective = self.improve(np.stack(genotypes[i : i + rows]))
            improved += list(labels)
            values += (1 - objective / self.margin.n).tolist()
        return improved, values

    def improve(self, labels: Int8s) -> tuple[Int8s, NDArray[np.float64]]:
        """Return int8 [P, n] after a midpoint scan where it helps, and J, float64 [P]."""
        margin = self.margin
        fitted = margin.fitted(labels)
        before = margin.objective(labels, fitted)
        scanned = relabel(labels, fitted, self.smallest)
        if not self.flips or margin.smoother is None:
            after = margin.objective(scanned)
        else:
            scanned, fitted = descend(margin, scanned, self.smallest, self.flips)
            after = margin.objective(scanned, fitted)
        better = after < before
        return np.where(better[:, None], scanned, labels), np.where(better, after, before)

    def dump(self, genotype: Int8s) -> Any:
        """Return base64 text of the labels' bits."""
        return base64.b64encode(np.packbits(genotype > 0).tobytes()).decode("ascii")

    def load(self, data: Any) -> Int8s:
        """Read what :meth:`dump` wrote."""
        bits = np.unpackbits(np.frombuffer(base64.b64decode(data), np.uint8), count=self.margin.n)
        return (2 * bits.astype(np.int8) - 1).astype(np.int8)
