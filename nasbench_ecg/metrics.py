"""Scores of a heartbeat classifier, computed from its confusion matrix.

References:
    Lv et al. 2021, "Heart-Darts", section V: accuracy, macro Se, macro +P and the harmonic mean of
    the latter two, which the paper calls F1 (``f1_of_macro`` here).

    ANSI/AAMI EC57, and de Chazal et al. 2004 (IEEE Trans. Biomed. Eng. 51(7)): gross scores of S
    and V, in which some false positives do not lower +P.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MACRO_SCORES = ("macro_se", "macro_pp", "f1_of_macro", "macro_f1")
"""Scores that average over classes; they need at least two classes."""

EC57_UNCOUNTED = {"V": ("F", "Q"), "S": ("Q",)}
"""By predicted class, the true classes whose beats are not counted as its false positives."""

EC57_SCORES = frozenset(
    f"ec57_{name.lower()}_{part}" for name in EC57_UNCOUNTED for part in ("se", "pp")
)
"""Names of the scores that :func:`ec57_scores` returns where they are defined."""


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class as fractions; None if the denominator is zero.

    Attributes:
        support: Number of scored beats of this class.
        se: Sensitivity (recall), TP / (TP + FN).
        pp: Positive predictivity (precision), TP / (TP + FP).
        spe: Specificity, TN / (TN + FP).
        f1: Harmonic mean of ``se`` and ``pp``.
    """

    support: int
    se: float | None
    pp: float | None
    spe: float | None
    f1: float | None


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """Return int64 [n_classes, n_classes], rows the true class, columns the predicted one.

    Args:
        truth: Index of the true class of each beat, [n_beats].
        predicted: Index of the predicted class of each beat, [n_beats].
        n_classes: Number of classes.
    """
    matrix: NDArray[np.int64] = confusion_matrices(
        np.zeros(len(truth), np.int64), truth, predicted, n_groups=1, n_classes=n_classes
    )[0]
    return matrix


def confusion_matrices(
    group: NDArray[np.integer[Any]],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    *,
    n_groups: int,
    n_classes: int,
) -> NDArray[np.int64]:
    """Return the confusion matrix of each group of beats, such as those of one record.

    Args:
        group: [n_beats], the group of each beat, from 0 to ``n_groups`` - 1.
        truth: [n_beats], true classes.
        predicted: [n_beats], predicted classes.
        n_groups: Number of groups.
        n_classes: Number of classes.

    Returns:
        int64 [n_groups, n_classes, n_classes], rows the true class, columns the predicted one.
    """
    cell = (group.astype(np.int64) * n_classes + truth) * n_classes + predicted
    flat = np.bincount(cell, minlength=n_groups * n_classes**2)
    return flat.reshape(n_groups, n_classes, n_classes).astype(np.int64)


def per_class(confusion: NDArray[np.int64], classes: Sequence[str]) -> dict[str, ClassScores]:
    """Return the scores of every class.

    Args:
        confusion: [n_classes, n_classes], rows the true class.
        classes: Names of the classes in the matrix's order.
    """
    total = int(confusion.sum())
    scores = {}
    for i, name in enumerate(classes):
        tp = int(confusion[i, i])
        fn = int(confusion[i].sum()) - tp
        fp = int(confusion[:, i].sum()) - tp
        tn = total - tp - fn - fp
        scores[name] = ClassScores(
            support=tp + fn,
            se=_ratio(tp, tp + fn),
            pp=_ratio(tp, tp + fp),
            spe=_ratio(tn, tn + fp),
            f1=_ratio(2 * tp, 2 * tp + fp + fn),
        )
    return scores


def scores(
    confusion: NDArray[np.int64], classes: Sequence[str], macro_classes: Sequence[str] | None = None
) -> dict[str, float]:
    """Return the overall scores of a confusion matrix, as fractions.

    Args:
        confusion: [n_classes, n_classes], rows the true class.
        classes: Names of the classes in the matrix's order.
        macro_classes: The classes that macro scores average over; by default all. A class without
            scored beats is left out; a class that is never predicted has a +P of zero.

    Returns:
        ``accuracy``, ``macro_se``, ``macro_pp``, ``f1_of_macro`` (the paper's F1), ``macro_f1``
        (mean of the classes' F1), and ``ec57_v_se``, ``ec57_v_pp``, ``ec57_s_se``, ``ec57_s_pp``
        where they count a beat: both need a scored beat of the class, a positive predictivity
        also a counted prediction of it.
    """
    table = per_class(confusion, classes)
    averaged = classes if macro_classes is None else macro_classes
    chosen = [table[name] for name in averaged if table[name].support]
    macro_se = float(np.mean([c.se or 0.0 for c in chosen])) if chosen else 0.0
    macro_pp = float(np.mean([c.pp or 0.0 for c in chosen])) if chosen else 0.0
    overall = {
        "accuracy": _ratio(int(np.trace(confusion)), int(confusion.sum())) or 0.0,
        "macro_se": macro_se,
        "macro_pp": macro_pp,
        "f1_of_macro": _harmonic(macro_se, macro_pp),
        "macro_f1": float(np.mean([c.f1 or 0.0 for c in chosen])) if chosen else 0.0,
    }
    return {**overall, **ec57_scores(confusion, classes)}


def without_macro_scores(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return ``metrics`` without the scores that average over classes, whatever their prefix."""
    return {name: value for name, value in metrics.items() if not name.endswith(MACRO_SCORES)}


def ec57_scores(confusion: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """Return the gross scores of S and V that count a beat, as fractions; see :func:`scores`.

    Args:
        confusion: [n_classes, n_classes], rows the true class.
        classes: Names of the classes in the matrix's order.
    """
    result = {}
    for name, ignored in EC57_UNCOUNTED.items():
        if name not in classes:
            continue
        i = list(classes).index(name)
        tp = int(confusion[i, i])
        fp = sum(
            int(confusion[j, i]) for j, row in enumerate(classes) if j != i and row not in ignored
        )
        if (se := _ratio(tp, int(confusion[i].sum()))) is not None:
            result[f"ec57_{name.lower()}_se"] = se
            if (pp := _ratio(tp, tp + fp)) is not None:
                result[f"ec57_{name.lower()}_pp"] = pp
    return result


def class_table(confusion: NDArray[np.int64], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the per-class scores as plain data for a run record, without undefined ones.

    Args:
        confusion: [n_classes, n_classes], rows the true class.
        classes: Names of the classes in the matrix's order.
    """
    return {
        name: {key: value for key, value in vars(row).items() if value is not None}
        for name, row in per_class(confusion, classes).items()
    }


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


SCORES = ("accuracy", "macro_se", "macro_pp", "f1_of_macro", "macro_f1")
"""The scores that :func:`scores_of_many` returns."""


def scores_of_many(
    confusions: NDArray[np.integer[Any]],
    classes: Sequence[str],
    macro_classes: Sequence[str] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the overall scores of many confusion matrices at once, as :func:`scores` does for one.

    Args:
        confusions: [..., n_classes, n_classes], rows the true class.
        classes: Names of the classes in the matrices' order.
        macro_classes: The classes that macro scores average over; by default all.

    Returns:
        An array [...] for each name in :data:`SCORES`; 0 where a matrix is empty.
    """
    counts = np.asarray(confusions, np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    return {
        name: score_of_counts(name, right, support, predicted, classes, macro_classes)
        for name in SCORES
    }


def score_of_counts(
    name: str,
    right: NDArray[np.float64],
    support: NDArray[np.float64],
    predicted: NDArray[np.float64],
    classes: Sequence[str],
    macro_classes: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return one of :data:`SCORES` of many confusion matrices, from the counts that it depends on.

    Args:
        name: The score.
        right: [..., n_classes], beats of each class that are recognized.
        support: [..., n_classes], true beats of each class.
        predicted: [..., n_classes], beats that are taken for each class.
        classes: Names of the classes.
        macro_classes: The classes that macro scores average over; by default all.

    Returns:
        An array [...]; 0 where there are no beats.

    Raises:
        ValueError: There is no such score.
    """
    averaged = classes if macro_classes is None else macro_classes
    chosen = np.isin(list(classes), list(averaged)) & (support > 0)

    def macro(values: NDArray[np.float64]) -> NDArray[np.float64]:
        kept = values if chosen.all() else values * chosen
        return _ratios(kept.sum(axis=-1), chosen.sum(axis=-1).astype(np.float64))

    match name:
        case "accuracy":
            return _ratios(right.sum(axis=-1), support.sum(axis=-1))
        case "macro_se":
            return macro(_ratios(right, support))
        case "macro_pp":
            return macro(_ratios(right, predicted))
        case "macro_f1":
            return macro(_ratios(2 * right, support + predicted))
        case "f1_of_macro":
            se, pp = macro(_ratios(right, support)), macro(_ratios(right, predicted))
            return _ratios(2 * se * pp, se + pp)
    raise ValueError(f"there is no score {name!r}")


def _ratios(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    if below.size and below.min() > 0:
        return np.asarray(above / below)
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
