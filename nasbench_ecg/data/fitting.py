"""Beats that are prepared with figures of the training part, after the split."""

from __future__ import annotations

from nasbench_ecg.contracts import Dataset, FitsOnTraining
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.folds import Index


def fitted(beats: Beats, dataset: Dataset, train: Index) -> Beats:
    """Return the beats as the dataset prepares them for this training part.

    Unchanged unless the dataset is :class:`~nasbench_ecg.contracts.FitsOnTraining`.

    Args:
        beats: All beats of the dataset.
        dataset: The dataset.
        train: int64 [n], the training beats.

    Raises:
        OptionError: The training part does not allow it.
    """
    return dataset.fitted(beats, train) if isinstance(dataset, FitsOnTraining) else beats
