"""Dealing subjects into folds, so that no person's beats stand on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import ProtocolError

Index = NDArray[np.int64]
"""Ascending indices of beats, [n]."""

_DRAWS = 1000
_BILLION = 10**9


def carve_validation(
    name: str, index: Index, beats: Beats, k: int, seed: int
) -> tuple[Index, Index]:
    """Return ``index`` without, and only, the beats of the subjects that validate: one in k.

    They are drawn a thousand times, and the draw is taken that holds nearest to 1/k of every class.
    Rare classes stand with few subjects, so each class weighs the same, however few its beats.

    Args:
        name: Name of the protocol, for errors.
        index: The beats to carve.
        beats: All beats.
        k: One subject in k validates, but at least one and never all.
        seed: Seed of the draws.

    Raises:
        ProtocolError: There are fewer than two subjects.
    """
    of_beat, counts = _class_counts(index, beats)
    if len(counts) < 2:
        raise ProtocolError(
            f"{name}: one subject cannot both train and validate.", fix="Load more records."
        )
    n_drawn = max(1, len(counts) // k)
    draws = _permutations(len(counts), seed) < n_drawn
    held = draws.astype(np.int64) @ counts
    drawn = draws[_distance_from_share(held, counts.sum(axis=0), k).argmin()][of_beat]
    return index[~drawn], index[drawn]


def subject_folds(name: str, index: Index, beats: Beats, k: int, seed: int) -> list[Index]:
    """Deal the subjects of the beats at ``index`` into k folds of like class shares.

    As many subjects are dealt to each fold, a thousand times, and the deal is taken whose folds
    hold nearest to 1/k of every class, as for :func:`carve_validation`. scikit-learn's
    StratifiedGroupKFold does not serve: it deals by class counts, and its seed decides ties alone.

    Args:
        name: Name of the protocol, for errors.
        index: The beats to deal.
        beats: All beats.
        k: Number of folds.
        seed: Seed of the deals.

    Raises:
        ProtocolError: There are fewer subjects than folds.
    """
    of_beat, counts = _class_counts(index, beats)
    if len(counts) < k:
        fewer = f", or set protocol.k to {len(counts)} or less" if len(counts) > 1 else ""
        raise ProtocolError(
            f"{name}: {len(counts)} subjects cannot be dealt into {k} folds.",
            where="protocol.k",
            fix=f"Load more records{fewer}.",
        )
    deals = _permutations(len(counts), seed) % k
    held = np.stack([(deals == fold).astype(np.int64) @ counts for fold in range(k)])
    distance = _distance_from_share(held, counts.sum(axis=0), k).sum(axis=0)
    deal = deals[distance.argmin()][of_beat]
    return [index[deal == fold] for fold in range(k)]


def _class_counts(index: Index, beats: Beats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the subject of each beat, [n], and the beats of each, [n_subjects, n_classes]."""
    subjects, of_beat = np.unique(subject_of_beats(beats)[index], return_inverse=True)
    counts = np.zeros((len(subjects), beats.n_classes), dtype=np.int64)
    np.add.at(counts, (of_beat, beats.labels[index]), 1)
    return of_beat, counts


def _permutations(n: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) for _ in range(_DRAWS)])


def _distance_from_share(
    held: NDArray[np.int64], total: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Return Σ |k · held / total − 1| over the classes of ``held`` […, n_classes], in billionths.

    Integers alone, so that equal distances are equal on every machine.
    """
    distance = np.abs(k * held - total) * _BILLION // np.maximum(total, 1)
    summed: NDArray[np.int64] = distance.sum(axis=-1)
    return summed


def subject_of_beats(beats: Beats) -> NDArray[np.int64]:
    """Return the subject behind each beat, [n_beats], as a place among the sorted subjects."""
    _, subject_of_record = np.unique(np.asarray(beats.subjects), return_inverse=True)
    found: NDArray[np.int64] = subject_of_record[beats.record]
    return found
