"""Check the beats that a dataset returns, before anything is computed with them.

A fault that is found later, in a training or when the run record is written, would be attributed to
another component.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import PluginError, ProtocolError
from nasbench_ecg.progress import Progress
from nasbench_ecg.text import is_name

_OF_LABELS = (np.dtype(np.int64), np.dtype(np.uint8))
"""Types of labels that PyTorch takes. ``record`` and ``sample`` may have any integers: a conversion
would change the fingerprints that run records hold."""


@contextmanager
def faults_of_beats(dataset: str) -> Iterator[None]:
    """If the block, in which a dataset loads its beats, makes no valid Beats, name the dataset.

    Raises:
        PluginError: A field of the beats is not valid.
    """
    try:
        yield
    except ProtocolError as error:
        raise _invalid(dataset, error.what.rstrip("."), error.fix) from error


def checked(found: object, dataset: str, progress: Progress) -> Beats:
    """Return the beats of a dataset with types that networks take; note beats at one place.

    Args:
        found: What the dataset returned.
        dataset: Its name.
        progress: Receives the note.

    Raises:
        PluginError: They cannot be used.
        RecordError: A signal is too large for float32.
    """
    if not isinstance(found, Beats):
        raise _invalid(dataset, f"'load' returns {type(found).__name__}, not Beats")
    for name in ("classes", "records", "leads"):
        names = getattr(found, name)
        if wrong := [one for one in names if not is_name(one)]:
            raise _invalid(dataset, f"{name} has {wrong[0]!r}, which is no name")
    for name in ("classes", "records"):  # scores are counted by these names
        counts = Counter(getattr(found, name))
        if twice := [one for one, n in counts.items() if n > 1]:
            raise _invalid(dataset, f"{name} has {twice[0]!r} twice")
    if None in found.subjects:
        record = found.records[found.subjects.index(None)]
        raise _invalid(dataset, f"the record {record!r} has no subject")
    if 0 in found.signals.shape[1:]:
        shape = found.signals.shape
        raise _invalid(dataset, f"signals has the shape {shape}, without leads or samples")
    if not _is_rate(found.fs):
        raise _invalid(dataset, f"fs is {found.fs}, which is no sampling rate")
    beats = replace(
        found,
        signals=_of_type(found.signals, np.dtype(np.float32)),
        labels=found.labels if found.labels.dtype in _OF_LABELS else found.labels.astype(np.int64),
        fs=float(found.fs),
    )
    if n := _n_at_one_place(beats):
        progress.note(
            f"{n:,} beats are at the same sample of a record as another beat: a split at random "
            "can put copies of one beat into the training and the test part."
        )
    for first, second in _copied_records(beats):
        progress.note(
            f"The records {first} and {second} have the same beats: they are copies, and every "
            "split can put one into the training part and one into the test part."
        )
    return beats


def _is_rate(value: object) -> bool:
    try:
        return np.ndim(value) == 0 and 0 < float(value) < math.inf  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _invalid(dataset: str, fault: str, fix: str = "") -> PluginError:
    return PluginError(
        f"The dataset {dataset!r} returned beats that are not valid: {fault}.",
        fix=f"{fix or 'Correct its code.'} 'nasbench-ecg plugin check {dataset}' shows all faults.",
    )


def _of_type(values: NDArray[np.float32], wanted: np.dtype[np.float32]) -> NDArray[np.float32]:
    if values.dtype == wanted:
        return values
    with np.errstate(over="ignore"):  # Beats refuses what becomes infinite
        return values.astype(wanted)


def _copied_records(beats: Beats) -> Iterator[tuple[str, str]]:
    """Yield pairs of records with equal beats: the first of its kind, and a copy."""
    known: dict[bytes, list[NDArray[np.intp]]] = {}
    order = np.argsort(beats.record, kind="stable")
    borders = np.searchsorted(beats.record[order], np.arange(len(beats.records) + 1))
    for i, (first, last) in enumerate(pairwise(borders.tolist())):
        own = order[first:last]
        if not len(own):
            continue
        alike = known.setdefault(beats.sample[own].tobytes() + beats.labels[own].tobytes(), [])
        for other in alike:
            if np.array_equal(beats.signals[own], beats.signals[other]):
                yield beats.records[beats.record[other[0]]], beats.records[i]
                break
        else:
            alike.append(own)


def _n_at_one_place(beats: Beats) -> int:
    """Return how many beats are at the place of an earlier one."""
    order = np.lexsort((beats.sample, beats.record))
    record, sample = beats.record[order], beats.sample[order]
    return int(((record[1:] == record[:-1]) & (sample[1:] == sample[:-1])).sum())
