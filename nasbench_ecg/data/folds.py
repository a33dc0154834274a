"""Subject-wise folds: all beats of a subject are in the same part of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import ProtocolError

Index = NDArray[np.int64]
"""Ascending indices of beats, [n]."""

_N_DRAWS = 1000
_BILLION = 10**9


def split_off_validation(
    name: str, index: Index, beats: Beats, k: int, seed: int
) -> tuple[Index, Index]:
    """Return the training beats and the validation beats of ``index``; one subject in k validates.

    The validation subjects are drawn 1000 times. The best draw has the class shares nearest to 1/k.
    All classes have equal weight, because only few subjects have beats of a rare class.

    Args:
        name: Name of the protocol, for errors.
        index: The beats to split.
        beats: All beats.
        k: One subject in k validates, but at least one and not all.
        seed: Seed of the draws.

    Raises:
        ProtocolError: There are fewer than two subjects.
    """
    of_beat, counts = _class_counts(index, beats)
    if len(counts) < 2:
        raise ProtocolError(
            f"{name}: training and validation need at least two subjects.",
            where="dataset.records",
            fix="Load more records.",
        )
    n_drawn = max(1, len(counts) // k)
    draws = _permutations(len(counts), seed) < n_drawn
    drawn_counts = draws.astype(np.int64) @ counts
    drawn = draws[_distance_from_share(drawn_counts, counts.sum(axis=0), k).argmin()][of_beat]
    return index[~drawn], index[drawn]


def subject_folds(name: str, index: Index, beats: Beats, k: int, seed: int) -> list[Index]:
    """Return k subject-wise folds of the beats at ``index`` with similar class shares.

    The subjects are assigned 1000 times to folds of equal numbers of subjects. The best assignment
    has the class shares nearest to 1/k, as in :func:`split_off_validation`. The
    StratifiedGroupKFold of scikit-learn is not used: it assigns by class counts, so its seed only
    decides ties.

    Args:
        name: Name of the protocol, for errors.
        index: The beats to split.
        beats: All beats.
        k: Number of folds.
        seed: Seed of the assignments.

    Raises:
        ProtocolError: There are fewer subjects than folds.
    """
    of_beat, counts = _class_counts(index, beats)
    if len(counts) < k:
        fewer = f", or set protocol.k to {len(counts)} or less" if len(counts) > 2 else ""
        raise ProtocolError(
            f"{name}: {k} folds need at least {k} subjects, but there are {len(counts)}.",
            where="protocol.k",
            fix=f"Load more records{fewer}.",
        )
    assignments = _permutations(len(counts), seed) % k
    fold_counts = np.stack([(assignments == fold).astype(np.int64) @ counts for fold in range(k)])
    distance = _distance_from_share(fold_counts, counts.sum(axis=0), k).sum(axis=0)
    fold_of_beat = assignments[distance.argmin()][of_beat]
    return [index[fold_of_beat == fold] for fold in range(k)]


def _class_counts(index: Index, beats: Beats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the subject of each beat, [n], and the class counts, [n_subjects, n_classes]."""
    subjects, of_beat = np.unique(subject_of_beats(beats)[index], return_inverse=True)
    counts = np.zeros((len(subjects), beats.n_classes), dtype=np.int64)
    np.add.at(counts, (of_beat, beats.labels[index]), 1)
    return of_beat, counts


def _permutations(n: int, seed: int) -> NDArray[np.int64]:
    """Return random permutations of 0 … n - 1, [1000, n]."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) for _ in range(_N_DRAWS)])


def _distance_from_share(
    counts: NDArray[np.int64], total: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Return Σ |k · counts / total − 1| over the classes, the last axis, in billionths.

    The arithmetic is integer only, so that ties are the same on every machine.
    """
    distance = np.abs(k * counts - total) * _BILLION // np.maximum(total, 1)
    summed: NDArray[np.int64] = distance.sum(axis=-1)
    return summed


def subject_of_beats(beats: Beats) -> NDArray[np.int64]:
    """Return the subject of each beat, int64 [n_beats], as an index into the sorted subjects."""
    _, subject_of_record = np.unique(np.asarray(beats.subjects), return_inverse=True)
    found: NDArray[np.int64] = subject_of_record[beats.record]
    return found
