"""RBF kernels on standardized features: exact for few beats, Nyström of low rank for many.

References:
    Williams, Seeger 2001, "Using the Nyström method to speed up kernel machines", NIPS 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.objective import Floats, Margin, margin_of_features, margin_of_kernel

_SAMPLE = 2000
"""Most points among which the median distance is computed."""

ROWS = 8192
"""Rows of a kernel computed at once."""


def random_subset(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``size`` different indices below n in ascending order."""
    return np.sort(rng.choice(n, size, replace=False))


def squared_distances(x: Floats, z: Floats) -> Floats:
    """Return float64 [len(x), len(z)], the squared Euclidean distances of rows."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(x, z, "sqeuclidean"))


def median_width(x: Floats, rng: np.random.Generator) -> float:
    """Return the median distance between two rows of ``x`` [n, d], or one if that is zero.

    With more than 2,000 rows, the distances of 2,000 random ones are used.
    """
    rows = x[rng.choice(len(x), _SAMPLE, replace=False)] if len(x) > _SAMPLE else x
    squared = squared_distances(rows, rows)[np.triu_indices(len(rows), k=1)]
    median = float(np.sqrt(np.median(squared))) if len(squared) else 0.0
    return median or 1.0


def rbf(x: Floats, z: Floats, width: float) -> Floats:
    """Return float64 [len(x), len(z)], exp(−‖x − z‖² / 2·width²)."""
    return np.asarray(np.exp(squared_distances(x, z) / (-2 * width**2)))


@dataclass(frozen=True, eq=False)
class ExactKernel:
    """A kernel stored as its whole matrix.

    Attributes:
        matrix: float64 [n, n].
    """

    matrix: Floats

    def margin(self, index: NDArray[np.int64], lam: float, *, bias: bool = True) -> Margin:
        """Return the objective over the points at ``index`` alone. O(n³)."""
        return margin_of_kernel(self.matrix[np.ix_(index, index)], lam, bias=bias)

    def gram(self, index: NDArray[np.int64]) -> Floats:
        """Return float64 [len(index), len(index)], the kernel among these points."""
        return self.matrix[np.ix_(index, index)]

    def carry_over(
        self,
        known: NDArray[np.int64],
        labels: NDArray[np.int8],
        rows: NDArray[np.int64],
        lam: float,
    ) -> Floats:
        """Return functions fitted on labels [P, len(known)] without their bias: [P, len(rows)].

        They are evaluated at the points ``rows`` after a fit at the points ``known``.
        """
        regularized = self.gram(known) + lam * np.eye(len(known))
        solved = np.linalg.solve(regularized, np.c_[labels.T, np.ones(len(known))])
        with_bias = solved[:, :-1] - solved[:, -1:] * (solved[:, :-1].sum(0) / solved[:, -1].sum())
        return np.asarray((self.matrix[np.ix_(rows, known)] @ with_bias).T)

    def expand(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], coefficients: Floats
    ) -> Floats:
        """Return Σ_j c_j k(x_i, x_j), float64 [len(rows)], over the points j of ``columns``."""
        return self.matrix[np.ix_(rows, columns)] @ coefficients


@dataclass(frozen=True, eq=False)
class LowRankKernel:
    """A kernel stored as features, whose inner products it is.

    Attributes:
        features: float64 [n, r].
    """

    features: Floats

    def margin(self, index: NDArray[np.int64], lam: float, *, bias: bool = True) -> Margin:
        """Return the objective over the points at ``index`` alone. O(n·r²)."""
        return margin_of_features(self.features[index], lam, bias=bias)

    def gram(self, index: NDArray[np.int64]) -> Floats:
        """Return float64 [len(index), len(index)], the kernel among these points."""
        return self.features[index] @ self.features[index].T

    def carry_over(
        self,
        known: NDArray[np.int64],
        labels: NDArray[np.int8],
        rows: NDArray[np.int64],
        lam: float,
    ) -> Floats:
        """Return functions fitted on labels [P, len(known)] without their bias: [P, len(rows)].

        They are evaluated at the points ``rows`` after a fit at the points ``known``.
        """
        phi = self.features[known]
        phi = phi - phi.mean(axis=0)
        system = phi.T @ phi + lam * np.eye(phi.shape[1])
        weights = np.linalg.solve(system, phi.T @ labels.T.astype(np.float64))
        return np.asarray(np.ascontiguousarray((self.features[rows] @ weights).T))

    def expand(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], coefficients: Floats
    ) -> Floats:
        """Return Σ_j c_j k(x_i, x_j), float64 [len(rows)], over the points j of ``columns``."""
        return self.features[rows] @ (self.features[columns].T @ coefficients)


Kernel = ExactKernel | LowRankKernel


def nystrom(x: Floats, width: float, rank: int, rng: np.random.Generator) -> LowRankKernel:
    """Return the kernel of ``x`` [n, d], approximated from ``rank`` random points of it.

    It is exact among these points; its rank is lower if some of them are equal.

    Source: Williams, Seeger 2001.
    """
    landmarks = x[random_subset(len(x), min(rank, len(x)), rng)]
    s, u = np.linalg.eigh(rbf(landmarks, landmarks, width))
    kept = s > s[-1] * len(s) * np.finfo(float).eps
    projection = u[:, kept] / np.sqrt(s[kept])
    rows = (rbf(x[i : i + ROWS], landmarks, width) for i in range(0, len(x), ROWS))
    return LowRankKernel(np.concatenate([block @ projection for block in rows]))


def kernel_of(
    x: Floats, *, width: float, exact_up_to: int, rank: int, rng: np.random.Generator
) -> Kernel:
    """Return the kernel of ``x`` [n, d]: exact up to ``exact_up_to`` points, Nyström beyond."""
    if len(x) <= exact_up_to:
        return ExactKernel(rbf(x, x, width))
    return nystrom(x, width, rank, rng)
