"""Beats that are prepared with figures of the training part, after the split."""

from __future__ import annotations

import numpy as np

from nasbench_ecg.contracts import Dataset, FitsOnTraining
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.folds import Index
from nasbench_ecg.errors import PluginError

_KEPT = ("labels", "record", "sample", "classes", "records", "subjects", "leads", "fs")


def fitted(beats: Beats, dataset: Dataset, train: Index) -> Beats:
    """Return the beats as the dataset prepares them for this training part.

    Unchanged unless the dataset is :class:`~nasbench_ecg.contracts.FitsOnTraining`.

    Args:
        beats: All beats of the dataset.
        dataset: The dataset.
        train: int64 [n], the training beats.

    Raises:
        OptionError: The training part does not allow it.
        PluginError: The dataset changed more than the signals.
    """
    if not isinstance(dataset, FitsOnTraining):
        return beats
    found: object = dataset.fitted(beats, train)
    if not isinstance(found, Beats) or any(
        not np.array_equal(getattr(found, name), getattr(beats, name)) for name in _KEPT
    ):
        raise PluginError(
            f"The dataset of the class {type(dataset).__name__} returns other beats from fitted(): "
            "only their signals may differ.",
            fix="Correct its code; 'nasbench-ecg plugin check' shows all faults of a dataset.",
        )
    return found
