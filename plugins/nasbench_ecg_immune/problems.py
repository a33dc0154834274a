"""Clustering as a problem of the immune engine: antibodies are labels within a balance bound.

:class:`TwoWay` is the paper's problem (6) with the constraint (3): y ∈ {−1, 1}ⁿ, where y and −y are
one solution. :class:`KWay` labels K clusters at once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.local_search import midpoint_scan, single_flip_descent
from nasbench_ecg_immune.objective import Floats, Int8s, Margin
from nasbench_ecg_immune.options import Newcomers
from nasbench_ecg_immune.space import Codes, canonical

_BLOCK = 4_000_000
"""Most labels evaluated at once, which bounds the memory."""

L = TypeVar("L", bound=NDArray[Any])


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Two clusters; affinity is 1 − J(y)/n after a midpoint scan and some single flips.

    Attributes:
        margin: The objective.
        min_size: Fewest points with either label, at least one.
        flips: Most single flips after the scan, if the kernel is exact.
        newcomers: How random labels are drawn: one by one, or as signs of a random function.
    """

    margin: Margin
    min_size: int
    flips: int = 0
    newcomers: Newcomers = "labels"

    def random(self, rng: np.random.Generator) -> Int8s:
        """Return random labels, int8 [n].

        The number of positive labels is uniform within the bound. Which labels are positive is
        uniform, too, or they are those of the largest values of a random function.
        """
        n = self.margin.n
        y = np.full(n, -1, np.int8)
        positive = rng.integers(self.min_size, n - self.min_size + 1)
        if self.newcomers == "labels":
            y[rng.choice(n, positive, replace=False, shuffle=False)] = 1
        else:
            (values,) = random_functions(self.margin, 1, rng)
            y[np.argpartition(values, n - positive)[n - positive :]] = 1
        return y

    def hypermutate(self, genotype: Int8s, rate: float, rng: np.random.Generator) -> Int8s:
        """Return labels, each redrawn with probability ``rate``; at least one changes."""
        # Half of the redrawn labels keep their value.
        flips = np.flatnonzero(rng.random(len(genotype), dtype=np.float32) < rate / 2)
        if not len(flips):
            flips = rng.integers(len(genotype), size=1)
        y = genotype.copy()
        y[flips] *= -1
        return y

    def repair(self, genotype: Int8s, rng: np.random.Generator) -> Int8s:
        """Return labels within the balance bound, changing as few labels as possible at random."""
        n = len(genotype)
        positive = int(np.count_nonzero(genotype > 0))
        for side, count in ((1, positive), (-1, n - positive)):
            if count < self.min_size:
                y = genotype.copy()
                others = np.flatnonzero(y != side)
                y[rng.choice(others, self.min_size - count, replace=False)] = side
                return y
        return genotype

    def distances(self, genotypes: Sequence[Int8s]) -> Floats:
        """Return min(H, n − H)/n with the Hamming distance H, float64 [P, P]."""
        y = np.stack(genotypes).astype(np.float32)
        n = y.shape[1]
        # Whole numbers up to 2²⁴ are exact in float32.
        return np.asarray((n - np.abs(y @ y.T)) / (2 * n), np.float64)

    def key(self, genotype: Int8s) -> str:
        """Return a digest of the labels with the sign that makes the first one positive."""
        return blake2b(np.packbits(genotype == genotype[0]).tobytes(), digest_size=16).hexdigest()

    def affinity(self, genotypes: Sequence[Int8s]) -> tuple[list[Int8s], list[float]]:
        """Return the labels after :meth:`improve`, and 1 − J/n of them."""
        return _affinity(self.improve, genotypes, self.margin.n)

    def improve(self, labels: Int8s) -> tuple[Int8s, Floats]:
        """Return labels, int8 [P, n], after a midpoint scan and flips where these lower J, and J.

        J is float64 [P].
        """
        margin = self.margin
        fitted = margin.fitted(labels)
        before = margin.objective(labels, fitted)
        scanned = midpoint_scan(labels, fitted, self.min_size)
        if not self.flips or margin.smoother is None:
            after = margin.objective(scanned)
        else:
            scanned, fitted = single_flip_descent(margin, scanned, self.min_size, self.flips)
            after = margin.objective(scanned, fitted)
        better = after < before
        return np.where(better[:, None], scanned, labels), np.where(better, after, before)

    def dump(self, genotype: Int8s) -> Any:
        """Return the labels as text."""
        return labels_to_text(genotype)

    def load(self, data: Any) -> Int8s:
        """Return the labels that :meth:`dump` wrote."""
        return labels_from_text(data, self.margin.n)


@dataclass(frozen=True, eq=False)
class KWay:
    """K clusters at once; affinity is 1 − Σ_k J(y_k) / (K·n) after one relabeling.

    y_k is 1 in cluster k and −1 elsewhere, so for K = 2 the sum is 2·J(y).

    Attributes:
        margin: The objective of two clusters.
        clusters: K.
        min_size: Fewest points of a cluster, at least one.
        newcomers: How random labels are drawn: one by one, or as the largest of K random
            functions.
    """

    margin: Margin
    clusters: int
    min_size: int
    newcomers: Newcomers = "labels"

    def random(self, rng: np.random.Generator) -> Codes:
        """Return random labels within the bound, uint8 [n]."""
        if self.newcomers == "labels":
            codes = rng.integers(self.clusters, size=self.margin.n)
        else:
            codes = random_functions(self.margin, self.clusters, rng).argmax(axis=0)
        return self.repair(codes.astype(np.uint8), rng)

    def hypermutate(self, genotype: Codes, rate: float, rng: np.random.Generator) -> Codes:
        """Return labels, each redrawn with probability ``rate``; at least one changes."""
        n = len(genotype)
        drawn = np.flatnonzero(rng.random(n, dtype=np.float32) < rate)
        codes = genotype.copy()
        codes[drawn] = rng.integers(self.clusters, size=len(drawn), dtype=np.uint8)
        if np.array_equal(codes, genotype):
            i = rng.integers(n)
            codes[i] = (codes[i] + rng.integers(1, self.clusters)) % self.clusters
        return codes

    def repair(self, genotype: Codes, rng: np.random.Generator) -> Codes:
        """Return labels within the bound: a small cluster gets points from the largest one."""
        counts = np.bincount(genotype, minlength=self.clusters)
        if counts.min() >= self.min_size:
            return genotype
        codes = genotype.copy()
        for small in np.flatnonzero(counts < self.min_size):
            while (missing := self.min_size - counts[small]) > 0:
                large = int(counts.argmax())
                moved = min(missing, counts[large] - self.min_size)
                codes[rng.choice(np.flatnonzero(codes == large), moved, replace=False)] = small
                counts[large] -= moved
                counts[small] += moved
        return codes

    def distances(self, genotypes: Sequence[Codes]) -> Floats:
        """Return the share of points that differ under the best matching of clusters, [P, P]."""
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
        """Return the labels after :meth:`improve`, and 1 − Σ_k J(y_k) / (K·n) of them."""
        return _affinity(self.improve, genotypes, self.margin.n * self.clusters)

    def improve(self, codes: Codes) -> tuple[Codes, Floats]:
        """Return labels, uint8 [P, n], after moving every point to the cluster that fits it best.

        That is the cluster whose fitted function is largest at the point. A row is left unchanged
        if the move breaks the balance bound or does not lower the objective. The second value is
        the objective Σ_k J(y_k), float64 [P].
        """
        y = self._one_against_rest(codes)
        fitted = self.margin.fitted(y)
        before = self._sum(self.margin.objective(y, fitted))
        moved = fitted.reshape(*codes.shape[:1], self.clusters, -1).argmax(axis=1).astype(np.uint8)
        after = self.objective(moved)
        counts = self._members(moved, np.dtype(bool)).sum(axis=2)
        better = (after < before) & (counts.min(axis=1) >= self.min_size)
        return np.where(better[:, None], moved, codes), np.where(better, after, before)

    def objective(self, codes: Codes) -> Floats:
        """Return Σ_k J(y_k), float64 [P], of labels uint8 [P, n]."""
        return self._sum(self.margin.objective(self._one_against_rest(codes)))

    def dump(self, genotype: Codes) -> Any:
        """Return the labels as base64 text."""
        return base64.b64encode(genotype.tobytes()).decode("ascii")

    def load(self, data: Any) -> Codes:
        """Return the labels that :meth:`dump` wrote."""
        return np.frombuffer(base64.b64decode(data), np.uint8).copy()

    def _members(self, codes: Codes, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return [P, K, n], one where a point belongs to a cluster."""
        members: NDArray[np.bool_] = codes[:, None, :] == np.arange(self.clusters)[None, :, None]
        return members.astype(dtype)

    def _one_against_rest(self, codes: Codes) -> NDArray[Any]:
        members = self._members(codes, self.margin.basis.dtype)
        return np.asarray((2 * members - 1).reshape(len(codes) * self.clusters, -1))

    def _sum(self, values: Floats) -> Floats:
        return np.asarray(values.reshape(-1, self.clusters).sum(axis=1))


def random_functions(margin: Margin, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return [count, n], random functions in the k leading directions of the kernel.

    k is log-uniform and the same for all of them; the coefficients are normally distributed.
    """
    leading = margin.leading
    most = len(leading)
    k = min(most, int(np.exp(rng.uniform(0, np.log(most + 1)))))
    coefficients = rng.standard_normal((count, k)).astype(leading.dtype)
    return np.asarray(coefficients @ leading[most - k :])


def _affinity(
    improve: Callable[[L], tuple[L, Floats]], genotypes: Sequence[L], largest_objective: int
) -> tuple[list[L], list[float]]:
    """Return improved genotypes and 1 − objective / ``largest_objective``, in blocks of rows."""
    improved: list[L] = []
    affinities: list[float] = []
    rows = max(1, _BLOCK // largest_objective)
    for i in range(0, len(genotypes), rows):
        labels, objective = improve(np.stack(genotypes[i : i + rows]))  # type: ignore[arg-type]
        improved += list(labels)
        affinities += (1 - objective / largest_objective).tolist()
    return improved, affinities


def labels_to_text(labels: Int8s) -> str:
    """Return labels ±1 [n] as base64 text of one bit each."""
    return base64.b64encode(np.packbits(labels > 0).tobytes()).decode("ascii")


def labels_from_text(text: str, n: int) -> Int8s:
    """Return int8 [n], the labels that :func:`labels_to_text` wrote."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=n)
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)
