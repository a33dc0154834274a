r"""The maximum-margin objective with square loss: kernel ridge regression on the labels themselves.

For labels y ∈ {−1, 1}ⁿ, J(y) = min_{f,b} ‖y − f − b‖² + λ‖f‖²_K, λ = 1/(2C). The fitted values are
f + b = S y with a symmetric smoother S, and J(y) = yᵀ(I − S)y = n − yᵀSy. With K = V diag(s) Vᵀ,
S = V diag(s/(s + λ)) Vᵀ without a bias; with one, K is centred first and 11ᵀ/n is added. So
S = B Bᵀ for one matrix B, and a whole population costs one matrix product.

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

LEADING = 32
"""Most leading directions. Eight and a hundred make antibodies of about the same worth."""

_NEGLIGIBLE = 1e-14
"""Directions whose share of a fitted value is below this are left out."""


@dataclass(frozen=True, eq=False)
class Margin:
    """The objective over n points.

    Attributes:
        basis: [n, r], the matrix B whose B Bᵀ is the smoother; float32 or float64, which is also
            the precision of all that is computed with it. Its columns are orthogonal, those of
            little share first.
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
        """B Bᵀ [n, n] where multiplying with it is cheaper than with B twice, otherwise None."""
        n, r = self.basis.shape
        return self.basis @ self.basis.T if n < 2 * r else None

    def astype(self, dtype: str) -> Margin:
        """Return the same objective in another precision, ``float32`` or ``float64``."""
        return Margin(self.basis.astype(dtype, copy=False), self.bias)

    @cached_property
    def leading(self) -> NDArray[Any]:
        """The directions in which functions cost least, but the constant: [≤ LEADING, n]."""
        end = self.basis.shape[1] - self.bias
        return np.ascontiguousarray(self.basis[:, max(0, end - LEADING) : end].T)

    def fitted(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return f + b at every point, [P, n], for each row of ``labels`` [P, n]."""
        y = labels.astype(self.basis.dtype, copy=False)
        if self.smoother is not None:
            return np.asarray(y @ self.smoother)
        return np.asarray((y @ self.basis) @ self.basis.T)

    def objective(self, labels: NDArray[Any], fitted: NDArray[Any] | None = None) -> Floats:
        """Return J, float64 [P], of each row of ``labels`` ±1 [P, n]; their fitted values help."""
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

    def change_by_flipping(self, y: NDArray[Any], flips: NDArray[np.int64]) -> float:
        """Return J(y with the labels at ``flips`` changed) − J(y), in O(|flips|·r) after B Bᵀ y.

        −4 Σ y_i g_i + 4 Σ y_i y_j A_ij over ``flips``, with A = I − B Bᵀ and g = A y.
        """
        rows = self.basis[flips]
        signs = y[flips].astype(self.basis.dtype)
        g = signs - rows @ (y.astype(self.basis.dtype) @ self.basis)
        moved = signs @ rows
        return float(-4 * signs @ g + 4 * (signs @ signs - moved @ moved))


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
    """Append the constant direction of length one, in which a bias fits without a penalty."""
    n = len(basis)
    return np.concatenate([basis, np.full((n, 1), 1 / np.sqrt(n))], axis=1)


Int8s = NDArray[np.int8]

_CANDIDATES = 8192
"""Thresholds of a row that are tried at once."""


def best_thresholds(values: NDArray[Any], smallest: int) -> NDArray[Any]:
    """Return −b, [P], of the least Σ(y_i − f_i − b)² for each row f of ``values`` [P, n].

    Only thresholds between two different values that leave ``smallest`` (≥ 1) points or more on
    either side are candidates. With more than 8,192 of them, every q-th is tried first, and then
    all around the best of those. NaN where a row has none.
    """
    n = values.shape[1]
    f = np.sort(values, axis=1)
    below = np.cumsum(f, axis=1, dtype=np.float64)
    first, last = smallest, n - smallest
    stride = 1 + (last - first) // _CANDIDATES
    t = np.arange(first, last + 1, stride)
    b, cost = _costs(f[:, t[0] - 1 : t[-1] : stride], f[:, t[0] : t[-1] + 1 : stride],
                     below[:, t[0] - 1 : t[-1] : stride], below[:, -1:], t, n)  # fmt: skip
    best = cost.argmin(axis=1)[:, None]
    if stride > 1:
        around = np.clip(t[best] + np.arange(-stride, stride + 1), first, last)
        low, sums = (np.take_along_axis(x, around - 1, axis=1) for x in (f, below))
        high = np.take_along_axis(f, around, axis=1)
        b, cost = _costs(low, high, sums, below[:, -1:], around, n)
        best = cost.argmin(axis=1)[:, None]
    b, cost = (np.take_along_axis(x, best, axis=1)[:, 0] for x in (b, cost))
    return np.where(np.isfinite(cost), -b, np.nan)


def _costs(
    low: NDArray[Any], high: NDArray[Any], sums: NDArray[np.float64],
    total: NDArray[np.float64], t: NDArray[np.int64], n: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Return b and the cost, up to what no candidate changes, of ``t`` points below −b: [P, T].

    Between ``low`` and ``high`` lies the threshold, ``sums`` is Σf of the points below it and
    ``total`` that of all n. The cost is infinite where no threshold is possible.
    """
    b = np.add(low, high, dtype=np.float64)
    b *= -0.5
    # n·b² − 2(total − 2·sums) − 2b(n − 2t) + 2b·total
    cost = n * b
    cost += 2 * total - 2 * n + 4 * t
    cost *= b
    cost += 4 * sums
    cost -= 2 * total
    cost[low >= high] = np.inf
    return b, cost


def relabel(labels: Int8s, values: NDArray[Any], smallest: int) -> Int8s:
    """Return sign(f + b) with the best b, int8 [P, n]; a row without a candidate stays as it is."""
    thresholds = best_thresholds(values, smallest)[:, None]
    found = 2 * (values > thresholds).view(np.int8) - np.int8(1)
    return np.where(np.isnan(thresholds), labels, found)


def best_threshold_of_absolute_loss(values: NDArray[np.float64], smallest: int) -> float:
    """Return −b of the least Σ|y_i − f_i − b| for decision values f, float64 [n].

    Candidates as in :func:`best_thresholds`; NaN if there is none.
    """
    n = len(values)
    f = np.sort(values)
    t = np.arange(smallest, n - smallest + 1)
    t = t[f[t - 1] < f[t]]
    if not len(t):
        return float("nan")
    b = -(f[t - 1] + f[t]) / 2
    below = np.concatenate([[0.0], np.cumsum(f)])

    def shifted(start: NDArray[np.int64], end: NDArray[np.int64], goal: int) -> Any:
        """Σ (f + b − goal) over the sorted positions from ``start`` to ``end``."""
        return below[end] - below[start] + (end - start) * (b - goal)

    upper = np.searchsorted(f, 1 - b)
    lower = np.searchsorted(f, -1 - b)
    zero, all_of = np.zeros_like(t), np.full_like(t, n)
    cost = shifted(upper, all_of, 1) - shifted(t, upper, 1)
    cost += shifted(lower, t, -1) - shifted(zero, lower, -1)
    return float(-b[cost.argmin()])
