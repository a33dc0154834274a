"""From clusters to classes; here, and nowhere before, the labels of the beats are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def contingency(codes: NDArray[Any], labels: Ints, clusters: int, classes: int) -> Ints:
    """Return int64 [clusters, classes], the beats of each class in each cluster."""
    table = np.zeros((clusters, classes), np.int64)
    np.add.at(table, (codes, labels), 1)
    return table


def by_majority(table: Ints) -> Ints:
    """Return int64 [clusters], the most frequent class of each; several may share a class.

    An empty cluster goes to the most frequent class of all.
    """
    chosen: Ints = table.argmax(axis=1)
    chosen[table.sum(axis=1) == 0] = table.sum(axis=0).argmax()
    return chosen


def by_assignment(table: Ints) -> Ints:
    """Return int64 [clusters], each another class, so that most beats agree (Hungarian method).

    ``table`` must be square.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    chosen = np.empty(len(table), np.int64)
    chosen[rows] = columns
    return chosen
