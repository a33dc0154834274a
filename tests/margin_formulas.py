"""The maximum-margin objective by its definition, as an oracle: linear systems, O(n³) each.

The spectral forms of :mod:`nasbench_ecg_immune.objective` are tested against it.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def objective_without_bias(kernel: Floats, y: Floats, lam: float) -> float:
    """Return min_f ‖y − f‖² + λ‖f‖² with f = K c, c = (K + λI)⁻¹ y."""
    c = np.linalg.solve(kernel + lam * np.eye(len(y)), y)
    residual = y - kernel @ c
    return float(residual @ residual + lam * c @ kernel @ c)


def bias_and_coefficients(kernel: Floats, y: Floats, lam: float) -> tuple[float, Floats]:
    """Return b* = 1ᵀAy / 1ᵀA1 with A = λ(K + λI)⁻¹, and c = (K + λI)⁻¹ (y − b*)."""
    regularized = kernel + lam * np.eye(len(y))
    a_one = np.linalg.solve(regularized, np.ones(len(y)))
    b = float(a_one @ y / a_one.sum())
    return b, np.asarray(np.linalg.solve(regularized, y - b))


def objective(kernel: Floats, y: Floats, lam: float) -> float:
    """Return J(y) = min_{f,b} ‖y − f − b‖² + λ‖f‖²."""
    b, c = bias_and_coefficients(kernel, y, lam)
    residual = y - kernel @ c - b
    return float(residual @ residual + lam * c @ kernel @ c)


def quadratic_form(kernel: Floats, lam: float) -> Floats:
    """Return A_b = A − A11ᵀA / 1ᵀA1, A = λ(K + λI)⁻¹, with which J(y) = yᵀ A_b y."""
    a = lam * np.linalg.inv(kernel + lam * np.eye(len(kernel)))
    a_one = a.sum(axis=1)
    return np.asarray(a - np.outer(a_one, a_one) / a_one.sum())


def best_by_enumeration(quadratic: Floats, min_size: int) -> tuple[float, Floats]:
    """Return the smallest yᵀAy over all labels within the bound, and its labels.

    Args:
        quadratic: A, float64 [n, n] with n ≤ 20; A·1 need not be zero.
        min_size: Fewest points with either label.
    """
    n = len(quadratic)
    # y and −y are one labeling, so the first label is fixed.
    labels = np.array([(1, *rest) for rest in product((-1, 1), repeat=n - 1)], np.float64)
    positive = (labels > 0).sum(axis=1)
    labels = labels[(positive >= min_size) & (positive <= n - min_size)]
    values = np.einsum("pi,ij,pj->p", labels, quadratic, labels, optimize=True)
    best = int(values.argmin())
    return float(values[best]), labels[best]
