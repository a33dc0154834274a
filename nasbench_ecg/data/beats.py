"""Labeled heartbeats: the value that every dataset returns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import ProtocolError, RecordError


@dataclass(frozen=True, eq=False)
class Beats:
    """Heartbeats cut from ECG records, one window per beat.

    Attributes:
        signals: float32 [n_beats, n_leads, n_samples], finite; millivolts unless normalized. Rhythm
            planes are logarithms, constant over the window.
        labels: int64 [n_beats], index into ``classes``.
        record: int32 [n_beats], index into ``records``.
        sample: int64 [n_beats], sample index of the R peak in its record, at the original rate.
        classes: Names of the classes, in the order of the confusion matrix.
        records: Names of the records.
        subjects: Identifier of the subject of each record, one for each of ``records``.
        leads: Names of the leads, in the order of ``signals``; differences from the median beat and
            rhythm planes (:mod:`nasbench_ecg.signal.added_leads`) are the last ones.
        fs: Sampling rate of ``signals`` in hertz.

    Raises:
        ProtocolError: A field is no array of numbers, the shapes of the fields do not match, or an
            index is out of range.
        RecordError: A signal contains NaN or infinity; the error names record, beat and lead.
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    record: NDArray[np.int32]
    sample: NDArray[np.int64]
    classes: tuple[str, ...]
    records: tuple[str, ...]
    subjects: tuple[str, ...]
    leads: tuple[str, ...]
    fs: float

    def __repr__(self) -> str:
        """Return the number of beats of each class, and what a beat is."""
        counts = ", ".join(f"{name} {n:,}" for name, n in self.counts().items())
        samples = self.signals.shape[2]
        return (
            f"<Beats: {counts}; leads {', '.join(self.leads)}; {samples} samples at {self.fs:g} Hz>"
        )

    def __post_init__(self) -> None:
        for name in ("signals", "labels", "record", "sample"):
            self._check_type(name)
        for name in ("classes", "records", "subjects", "leads"):
            names: object = getattr(self, name)
            if not isinstance(names, Sequence | np.ndarray):
                raise ProtocolError(
                    f"{name} is of the type {type(names).__name__}, but must be a tuple of names.",
                    fix="The subjects may be the records: each is then a person of its own."
                    if name == "subjects"
                    else "",
                )
        n = len(self.signals)
        if self.signals.ndim != 3 or self.signals.shape[1] != len(self.leads):
            raise ProtocolError(
                f"signals of shape {self.signals.shape} do not match {len(self.leads)} leads.",
                fix="signals must be [n_beats, n_leads, n_samples].",
            )
        for name in ("labels", "record", "sample"):
            if getattr(self, name).shape != (n,):
                raise ProtocolError(
                    f"{name} has shape {getattr(self, name).shape}, but there are {n} beats.",
                    fix=f"{name} must be [n_beats].",
                )
        if len(self.subjects) != len(self.records):
            raise ProtocolError(
                f"There are {len(self.records)} records but {len(self.subjects)} subjects.",
                fix="Give one subject for each record.",
            )
        for name, limit in (("labels", len(self.classes)), ("record", len(self.records))):
            values = getattr(self, name)
            if n and (values.min() < 0 or values.max() >= limit):
                raise ProtocolError(f"{name} must be between 0 and {limit - 1}.")
        self._check_finite()

    def _check_type(self, name: str) -> None:
        """Raise ProtocolError if a field is no array, or has numbers of another kind."""
        values: object = getattr(self, name)
        if not isinstance(values, np.ndarray):
            raise ProtocolError(
                f"{name} is of the type {type(values).__name__}, but must be a NumPy array.",
                fix=f"Pass np.asarray({name}).",
            )
        if isinstance(values, np.ma.MaskedArray):
            if np.ma.is_masked(values):
                raise ProtocolError(
                    f"{name} is an array with masked values, which the beats cannot hold.",
                    fix="Leave these beats out, or fill in what is masked.",
                )
            object.__setattr__(self, name, values.data)
        kinds, said = ("iuf", "numbers") if name == "signals" else ("iu", "whole numbers")
        if values.dtype.kind not in kinds:
            raise ProtocolError(
                f"{name} has values of the type {values.dtype}, but must have {said}.",
                fix="Labels and records are positions in classes and records, from 0."
                if name in ("labels", "record")
                else "",
            )

    def _check_finite(self) -> None:
        """Raise RecordError if a sample is NaN or infinite."""
        if not self.signals.size:
            return
        if np.isfinite(self.signals.min()) and np.isfinite(self.signals.max()):
            return
        finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(self.signals), axis=2)
        beat, lead = np.argwhere(~finite)[0].tolist()
        n = int(np.count_nonzero(~finite.all(axis=1)))
        raise RecordError(
            f"{n} of {len(self)} beats contain NaN or infinity.",
            where=f"first: record {self.records[self.record[beat]]}, beat {beat} with its R peak "
            f"at sample {self.sample[beat]}, lead {self.leads[lead]}",
            fix="Leave these beats out, or interpolate the missing samples before the beats are "
            "cut.",
        )

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def n_leads(self) -> int:
        """Number of leads."""
        return len(self.leads)

    @property
    def n_samples(self) -> int:
        """Samples per window."""
        return int(self.signals.shape[2])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def counts(self) -> dict[str, int]:
        """Return the number of beats of each class."""
        counts = np.bincount(self.labels, minlength=self.n_classes)
        return {name: int(n) for name, n in zip(self.classes, counts, strict=True)}

    def counts_by_record(self) -> dict[str, dict[str, int]]:
        """Return the number of beats of each class in each record, without zeros."""
        counts = np.zeros((len(self.records), self.n_classes), np.int64)
        np.add.at(counts, (self.record, self.labels), 1)
        return {
            record: {name: n for name, n in zip(self.classes, row, strict=True) if n}
            for record, row in zip(self.records, counts.tolist(), strict=True)
        }

    def take(self, index: NDArray[np.int64]) -> Beats:
        """Return a copy with the beats at ``index`` (int64 [n]), in that order."""
        return replace(
            self,
            signals=np.ascontiguousarray(self.signals[index]),
            labels=self.labels[index],
            record=self.record[index],
            sample=self.sample[index],
        )

    def part(self, start: int, stop: int) -> Beats:
        """Return the beats from ``start`` to before ``stop`` in the same memory."""
        chosen = slice(start, stop)
        return replace(
            self,
            signals=self.signals[chosen],
            labels=self.labels[chosen],
            record=self.record[chosen],
            sample=self.sample[chosen],
        )

    def read_only(self) -> Beats:
        """Return the same beats in arrays that numpy refuses to write to; nothing is copied."""
        return replace(
            self,
            signals=_read_only(self.signals),
            labels=_read_only(self.labels),
            record=_read_only(self.record),
            sample=_read_only(self.sample),
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of all fields, in hexadecimal."""
        names = repr((self.classes, self.records, self.subjects, self.leads, float(self.fs)))
        digest = hashlib.sha256(names.encode())
        for array in (self.signals, self.labels, self.record, self.sample):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def join(parts: Sequence[Beats]) -> Beats:
    """Return the beats of all ``parts`` of one dataset, concatenated in order.

    Consecutive parts of the same memory, as :meth:`Beats.part` returns them, are not copied.
    """
    first = parts[0]
    return replace(
        first,
        signals=_concatenated([part.signals for part in parts]),
        labels=_concatenated([part.labels for part in parts]),
        record=_concatenated([part.record for part in parts]),
        sample=_concatenated([part.sample for part in parts]),
    )


def _concatenated(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    filled = [array for array in arrays if len(array)]
    if not filled or not all(map(_follows, filled[1:], filled)):
        return np.concatenate(arrays)
    shape = (sum(map(len, filled)), *filled[0].shape[1:])
    writeable = all(array.flags.writeable for array in filled)
    return np.lib.stride_tricks.as_strided(filled[0], shape, writeable=writeable)


def _follows(array: NDArray[Any], before: NDArray[Any]) -> bool:
    """Return whether ``array`` starts where ``before`` ends, in the memory of one array."""
    return (
        array.base is not None
        and array.base is before.base
        and array.flags.c_contiguous
        and before.flags.c_contiguous
        and array.dtype == before.dtype
        and array.shape[1:] == before.shape[1:]
        and array.ctypes.data == before.ctypes.data + before.nbytes
    )
