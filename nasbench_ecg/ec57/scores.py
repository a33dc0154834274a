"""Sensitivity, positive predictivity and false positive rate of compared annotations.

References:
    ANSI/AAMI EC57:1998, sections 4.3.3 (each record) and 4.3.4 (gross and average statistics).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.ec57.comparison import LABELS, Comparison
from nasbench_ecg.metrics import EC57_UNCOUNTED
from nasbench_ecg.signal.aami import CLASSES

_N_CLASSES = len(CLASSES)


@dataclass(frozen=True)
class Ec57Scores:
    """The scores of a comparison as fractions; None where nothing was counted.

    Attributes:
        qrs_se: Sensitivity of the detection of QRS complexes.
        qrs_pp: Its positive predictivity.
        v_se: Sensitivity of the class V (VEB).
        v_pp: Its positive predictivity; fusion and unknown beats called V are not counted.
        v_fpr: False positive rate of V, likewise.
        s_se: Sensitivity of the class S (SVEB).
        s_pp: Its positive predictivity; unknown beats called S are not counted.
        s_fpr: False positive rate of S, likewise.
    """

    qrs_se: float | None
    qrs_pp: float | None
    v_se: float | None
    v_pp: float | None
    v_fpr: float | None
    s_se: float | None
    s_pp: float | None
    s_fpr: float | None


NAMES = tuple(field.name for field in fields(Ec57Scores))
"""The names of the scores."""


def scores_of_pairs(counts: NDArray[np.int64]) -> Ec57Scores:
    """Return the scores of pairs.

    Args:
        counts: [7, 7] pairs by label of reference and test, see
            :class:`~nasbench_ecg.ec57.comparison.Comparison`.
    """
    detected = int(counts[:_N_CLASSES, :_N_CLASSES].sum())
    missed = int(counts[:_N_CLASSES, _N_CLASSES:].sum())
    extra = int(counts[_N_CLASSES:, :_N_CLASSES].sum())
    v, s = _of_class(counts, "V"), _of_class(counts, "S")
    return Ec57Scores(
        _ratio(detected, detected + missed), _ratio(detected, detected + extra), *v, *s
    )


def gross(comparisons: Sequence[Comparison]) -> Ec57Scores:
    """Return the scores of the summed pairs: each beat has the same weight."""
    return scores_of_pairs(np.sum([one.counts for one in comparisons], axis=0))


def average(comparisons: Sequence[Comparison]) -> Ec57Scores:
    """Return the mean of each score over the records that have it: equal weight for each record."""
    scores = [scores_of_pairs(one.counts) for one in comparisons]
    means = []
    for name in NAMES:
        known = [value for one in scores if (value := getattr(one, name)) is not None]
        means.append(float(np.mean(known)) if known else None)
    return Ec57Scores(*means)


def _of_class(
    counts: NDArray[np.int64], name: str
) -> tuple[float | None, float | None, float | None]:
    """Return Se, +P and the false positive rate of V or S."""
    i = LABELS.index(name)
    others = [j for j, row in enumerate(LABELS) if j != i]
    tp = int(counts[i, i])
    fp = sum(int(counts[j, i]) for j in others if LABELS[j] not in EC57_UNCOUNTED[name])
    tn = sum(int(counts[j, k]) for j in others for k in range(_N_CLASSES) if k != i)
    return _ratio(tp, int(counts[i].sum())), _ratio(tp, tp + fp), _ratio(fp, fp + tn)


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
