r"""The maximum-margin objective with square loss: kernel ridge regression of the labels.

For labels y ∈ {−1, 1}ⁿ, J(y) = min_{f,b} ‖y − f − b‖² + λ‖f‖²_K, λ = 1/(2C). The fitted values are
f + b = S y with a symmetric smoother S, and J(y) = yᵀ(I − S)y = n − yᵀSy. With K = V diag(s) Vᵀ,
S = V diag(s/(s + λ)) Vᵀ without a bias; with one, K is centered first and 11ᵀ/n is added. So
S = B Bᵀ for a matrix B, and one matrix product evaluates a whole population.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", equations (5) to (7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Int8s = NDArray[np.int8]

LEADING = 32
"""Number of leading directions. Eight and a hundred give antibodies of about the same quality."""

_NEGLIGIBLE = 1e-14
"""Directions that contribute a smaller share than this to a fitted value are dropped."""


@dataclass(frozen=True, eq=False)
class Margin:
    """The objective over n points.

    Attributes:
        basis: B [n, r], whose B Bᵀ is the smoother; float32 or float64, which sets the precision
            of all results. Its columns are orthogonal, in ascending order of their share.
        bias: Whether the last column is the constant direction.
    """

    basis: NDArray[Any]
    bias: bool = True

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.basis)

    @cached_property
    def smoother(self) -> NDArray[Any] | None:
        """B Bᵀ [n, n] if multiplying by it is cheaper than multiplying by B twice, else None."""
        n, r = self.basis.shape
        return self.basis @ self.basis.T if n < 2 * r else None

    def astype(self, dtype: str) -> Margin:
        """Return the same objective in another precision, ``float32`` or ``float64``."""
        return Margin(self.basis.astype(dtype, copy=False), self.bias)

    @cached_property
    def leading(self) -> NDArray[Any]:
        """The directions with the smallest penalty except the constant one, [≤ LEADING, n]."""
        end = self.basis.shape[1] - self.bias
        return np.ascontiguousarray(self.basis[:, max(0, end - LEADING) : end].T)

    def fitted(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return f + b at every point, [P, n], for each row of ``labels`` [P, n]."""
        y = labels.astype(self.basis.dtype, copy=False)
        if self.smoother is not None:
            return np.asarray(y @ self.smoother)
        return np.asarray((y @ self.basis) @ self.basis.T)

    def objective(self, labels: NDArray[Any], fitted: NDArray[Any] | None = None) -> Floats:
        """Return J, float64 [P], of each row of ``labels`` ±1 [P, n].

        If their fitted values [P, n] are known, passing them saves time.
        """
        y = labels.astype(self.basis.dtype, copy=False)
        if fitted is None and self.smoother is not None:
            fitted = y @ self.smoother
        if fitted is not None:
            explained = np.einsum("pn,pn->p", y, fitted)
        else:
            projected = y @ self.basis
            explained = np.einsum("pr,pr->p", projected, projected)
        return np.asarray(self.n - explained, np.float64)

    def columns(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Return [len(index), n], columns of B Bᵀ."""
        if self.smoother is not None:
            return np.asarray(self.smoother[index])
        return np.asarray(self.basis[index] @ self.basis.T)

    @cached_property
    def curvature(self) -> NDArray[Any]:
        """Return the diagonal of I − B Bᵀ, [n]."""
        return np.asarray(1 - np.einsum("nr,nr->n", self.basis, self.basis))


def margin_of_kernel(kernel: Floats, lam: float, *, bias: bool = True) -> Margin:
    """Return the objective of a kernel matrix [n, n]. O(n³)."""
    n = len(kernel)
    if bias:
        means = kernel.mean(axis=0)
        kernel = kernel - means[None, :] - means[:, None] + means.mean()
    s, v = np.linalg.eigh(kernel)
    share = np.clip(s, 0, None) / (np.clip(s, 0, None) + lam)
    kept = share > _NEGLIGIBLE
    basis = v[:, kept] * np.sqrt(share[kept])
    return Margin(_with_constant(basis) if bias else basis.reshape(n, -1), bias)


def margin_of_features(features: Floats, lam: float, *, bias: bool = True) -> Margin:
    """Return the objective of the kernel ``features`` [n, r] times its transpose. O(n·r²)."""
    if bias:
        features = features - features.mean(axis=0)
    s, v = np.linalg.eigh(features.T @ features)
    s = np.clip(s, 0, None)
    kept = s > _NEGLIGIBLE * (s + lam)
    basis = features @ (v[:, kept] / np.sqrt(s[kept] + lam))
    return Margin(_with_constant(basis) if bias else basis, bias)


def _with_constant(basis: Floats) -> Floats:
    """Append the constant unit vector, along which a bias fits without a penalty."""
    n = len(basis)
    return np.concatenate([basis, np.full((n, 1), 1 / np.sqrt(n))], axis=1)
