"""Labels of two clusters as antibodies: y ∈ {−1, 1}ⁿ, and −y the same."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.moves import descend
from nasbench_ecg_immune.objective import Int8s, Margin, relabel
from nasbench_ecg_immune.options import Newcomers
from nasbench_ecg_immune.space import Codes, canonical

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


_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class KWay:
    """The problem of K clusters at once; affinity is 1 − Σ_k J(y_k) / (K·n).

    y_k is 1 in cluster k and −1 elsewhere, so for K = 2 the objective is 2·J(y).

    Attributes:
        margin: The objective of two clusters.
        clusters: K.
        smallest: Fewest points of a cluster, at least one.
        newcomers: What random labels are: each drawn for itself, or the largest of K random
            functions.
    """

    margin: Margin
    clusters: int
    smallest: int
    newcomers: Newcomers = "labels"

    def random(self, rng: np.random.Generator) -> Codes:
        """Return random labels, balanced."""
        if self.newcomers == "labels":
            codes = rng.integers(self.clusters, size=self.margin.n)
        else:
            codes = random_functions(self.margin, self.clusters, rng).argmax(axis=0)
        return self.repair(codes.astype(np.uint8), rng)

    def hypermutate(self, genotype: Codes, rate: float, rng: np.random.Generator) -> Codes:
        """Return labels each of which was drawn anew with probability ``rate``; one at least."""
        n = len(genotype)
        drawn = np.flatnonzero(rng.random(n, dtype=np.float32) < rate)
        codes = genotype.copy()
        codes[drawn] = rng.integers(self.clusters, size=len(drawn), dtype=np.uint8)
        if np.array_equal(codes, genotype):
            i = rng.integers(n)
            codes[i] = (codes[i] + rng.integers(1, self.clusters)) % self.clusters
        return codes

    def repair(self, genotype: Codes, rng: np.random.Generator) -> Codes:
        """Return labels within the bound; what a cluster lacks is taken from the largest."""
        counts = np.bincount(genotype, minlength=self.clusters)
        if counts.min() >= self.smallest:
            return genotype
        codes = genotype.copy()
        for poor in np.flatnonzero(counts < self.smallest):
            while (lack := self.smallest - counts[poor]) > 0:
                rich = int(counts.argmax())
                moved = min(lack, counts[rich] - self.smallest)
                codes[rng.choice(np.flatnonzero(codes == rich), moved, replace=False)] = poor
                counts[rich] -= moved
                counts[poor] += moved
        return codes

    def distances(self, genotypes: Sequence[Codes]) -> NDArray[np.float64]:
        """Return the share of points outside the best matching of clusters, float64 [P, P]."""
        from scipy.optimize import linear_sum_assignment

        members = self._members(np.stack(genotypes), np.dtype(np.float32))
        count, k, n = members.shape
        flat = members.reshape(count * k, n)
        common = (flat @ flat.T).reshape(count, k, count, k)
        result = np.zeros((count, count))
        for i in range(count):
            for j in range(i):
                table = common[i, :, j, :]
                rows, columns = linear_sum_assignment(table, maximize=True)
                result[i, j] = result[j, i] = 1 - table[rows, columns].sum() / n
        return result

    def key(self, genotype: Codes) -> str:
        """Return a digest of the labels with the clusters numbered by first appearance."""
        return blake2b(canonical(genotype).tobytes(), digest_size=16).hexdigest()

    def affinity(self, genotypes: Sequence[Codes]) -> tuple[list[Codes], list[float]]:
        """Return the better of each labelling and its relabelling by the fitted functions."""
        improved: list[Codes] = []
        values: list[float] = []
        rows = max(1, _BLOCK // (self.margin.n * self.clusters))
        for i in range(0, len(genotypes), rows):
            codes, objective = self.improve(np.stack(genotypes[i : i + rows]))
            improved += list(codes)
            values += (1 - objective / (self.clusters * self.margin.n)).tolist()
        return improved, values

    def improve(self, codes: Codes) -> tuple[Codes, NDArray[np.float64]]:
        """Return uint8 [P, n] with every point in the cluster whose function is largest there.

        A row stays as it is where that breaks the balance bound or does not lower the objective.
        The second is Σ_k J(y_k), float64 [P].
        """
        y = self._one_against_rest(codes)
        fitted = self.margin.fitted(y)
        before = self._sum(self.margin.objective(y, fitted))
        moved = fitted.reshape(*codes.shape[:1], self.clusters, -1).argmax(axis=1).astype(np.uint8)
        after = self.objective(moved)
        counts = self._members(moved, np.dtype(bool)).sum(axis=2)
        better = (after < before) & (counts.min(axis=1) >= self.smallest)
        return np.where(better[:, None], moved, codes), np.where(better, after, before)

    def objective(self, codes: Codes) -> NDArray[np.float64]:
        """Return Σ_k J(y_k), float64 [P], of labels uint8 [P, n]."""
        return self._sum(self.margin.objective(self._one_against_rest(codes)))

    def dump(self, genotype: Codes) -> Any:
        """Return base64 text of the labels."""
        return base64.b64encode(genotype.tobytes()).decode("ascii")

    def load(self, data: Any) -> Codes:
        """Read what :meth:`dump` wrote."""
        return np.frombuffer(base64.b64decode(data), np.uint8).copy()

    def _members(self, codes: Codes, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return [P, K, n], one where a point is of a cluster."""
        members: NDArray[np.bool_] = codes[:, None, :] == np.arange(self.clusters)[None, :, None]
        return members.astype(dtype)

    def _one_against_rest(self, codes: Codes) -> NDArray[Any]:
        members = self._members(codes, self.margin.basis.dtype)
        return np.asarray((2 * members - 1).reshape(len(codes) * self.clusters, -1))

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values.reshape(-1, self.clusters).sum(axis=1))


def random_functions(margin: Margin, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return [count, n], functions of equal kind in the first k leading directions of the kernel.

    k is drawn for all of them, log-uniformly; coefficients are normal.
    """
    leading = margin.leading
    most = len(leading)
    k = min(most, int(np.exp(rng.uniform(0, np.log(most + 1)))))
    coefficients = rng.standard_normal((count, k)).astype(leading.dtype)
    return np.asarray(coefficients @ leading[most - k :])
