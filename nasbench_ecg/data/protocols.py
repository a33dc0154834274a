"""Protocols: which beats train, which validate the search, and which are held back for the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.folds import Index, carve_validation, subject_folds, subject_of_beats
from nasbench_ecg.errors import ProtocolError, nearest
from nasbench_ecg.options import Options


@dataclass(frozen=True, eq=False)
class Split:
    """The three parts of a set of beats.

    Attributes:
        train: int64 [n], ascending indices of the beats that train.
        validation: int64 [n], of those that validate the search.
        test: int64 [n], of those held back until the search is over.
        macro_classes: The classes that macro scores average over.
        fingerprint: SHA-256 over (record name, sample, part) of every beat, the same everywhere.
        notes: What a reader of the scores should know of this split.
    """

    train: Index
    validation: Index
    test: Index
    macro_classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()


class IntraPatientOptions(Options):
    """Options of ``paper``: beats at random, as in the Heart-DARTS paper. It mixes patients."""

    seed: int = Field(default=0, ge=0)
    """Seed of the permutation of the beats."""

    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of all beats that is held back for the test."""

    validation_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the other beats that validates the search."""


class InterPatientOptions(Options):
    """Options of the inter-patient protocols, whose records the dataset fixes."""

    k: int = Field(default=5, ge=2)
    """One in k of the training subjects validates the search."""

    seed: int = Field(default=0, ge=0)
    """Seed of the draw."""


class PatientKFoldOptions(Options):
    """Options of ``patient-kfold``: every subject is in one part only."""

    k: int = Field(default=5, ge=2)
    """Number of folds; of the subjects outside the tested one, one in k validates the search."""

    fold: int = Field(default=0, ge=0)
    """The fold held back for the test, from 0 to k - 1."""

    seed: int = Field(default=0, ge=0)
    """Seed of the dealing."""


def protocol_names() -> tuple[str, ...]:
    """Return the names of all protocols."""
    return tuple(_PROTOCOLS)


def protocol_options(name: str) -> type[Options]:
    """Return the options model of a protocol.

    Raises:
        ProtocolError: There is no such protocol.
    """
    return _known(name)[0]


def split(name: str, options: Options, beats: Beats, dataset: Dataset) -> Split:
    """Split ``beats`` by the protocol ``name``.

    Args:
        name: One of :func:`protocol_names`.
        options: Of the model that :func:`protocol_options` returns for it.
        beats: All beats of the dataset.
        dataset: Asked for its records where the protocol lets the dataset fix them.

    Raises:
        ProtocolError: There is no such protocol, the dataset does not support it, it cannot be
            applied to these beats, or a part would be empty.
    """
    _, make = _known(name)
    train, validation, test = (np.sort(part) for part in make(name, options, beats, dataset))
    parts = {"train": train, "validation": validation, "test": test}
    _check_parts(name, parts)
    return Split(
        train=train,
        validation=validation,
        test=test,
        macro_classes=_macro_classes(name, beats),
        fingerprint=_fingerprint(beats, parts),
        notes=_shared_subjects(name, beats, parts),
    )


def _known(name: str) -> tuple[type[Options], Callable[..., tuple[Index, Index, Index]]]:
    if name not in _PROTOCOLS:
        raise ProtocolError(f"There is no protocol {name!r}.", fix=nearest(name, _PROTOCOLS))
    return _PROTOCOLS[name]


def _by_beat(
    name: str, options: IntraPatientOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    n_test = round(len(beats) * options.test_share)
    order = np.random.default_rng(options.seed).permutation(len(beats))
    training, test = order[: len(beats) - n_test], order[len(beats) - n_test :]
    n_train = len(training) - round(len(training) * options.validation_share)
    return training[:n_train], training[n_train:], test


def _by_fixed_records(
    name: str, options: InterPatientOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    partition = dataset.partition(name)
    if partition is None:
        supported = [n for n in _PROTOCOLS if n not in _FIXED or dataset.partition(n) is not None]
        raise ProtocolError(
            f"The dataset fixes no records for the protocol {name!r}.",
            fix=f"It can be split by {', '.join(supported)}.",
        )
    _check_partition(name, partition, beats)
    training = _of_records(beats, partition["train"])
    train, validation = carve_validation(name, training, beats, options.k, options.seed)
    return train, validation, _of_records(beats, partition["test"])


def _by_subject(
    name: str, options: PatientKFoldOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    if options.fold >= options.k:
        raise ProtocolError(
            f"{name}: there is no fold {options.fold} among {options.k}.",
            where="protocol.fold",
            fix=f"Folds are counted from 0 to {options.k - 1}.",
        )
    everything = np.arange(len(beats))
    test = subject_folds(name, everything, beats, options.k, options.seed)[options.fold]
    rest = np.setdiff1d(everything, test, assume_unique=True)
    train, validation = carve_validation(name, rest, beats, options.k, options.seed)
    return train, validation, test


def _of_records(beats: Beats, names: Sequence[str]) -> Index:
    wanted = np.isin(np.asarray(beats.records), list(names))
    return np.flatnonzero(wanted[beats.record])


def _check_partition(name: str, partition: Mapping[str, Sequence[str]], beats: Beats) -> None:
    both = sorted(set(partition["train"]) & set(partition["test"]))
    if both:
        raise ProtocolError(f"{name}: records {', '.join(both)} stand on both sides.")
    absent = sorted({*partition["train"], *partition["test"]} - set(beats.records))
    if absent:
        raise ProtocolError(
            f"{name}: records {', '.join(absent)} are needed and were not loaded.",
            where="dataset.records",
            fix="Load them too, or choose another protocol.",
        )


def _check_parts(name: str, parts: Mapping[str, Index]) -> None:
    for part, index in parts.items():
        if not len(index):
            raise ProtocolError(
                f"{name}: no beat is left for the {part} part.",
                fix="Load more records, or change the shares or folds of the protocol.",
            )
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) != len(together):
        raise ProtocolError(f"{name}: a beat stands in more than one part.")


def _shared_subjects(name: str, beats: Beats, parts: Mapping[str, Index]) -> tuple[str, ...]:
    """Return notes on subjects in more than one part, where the protocol does not rule them out."""
    if name == "intra-patient":
        return ("Beats of one patient stand in all parts: scores do not tell of new patients.",)
    subjects = np.asarray(sorted(set(beats.subjects)))
    of_beats = subject_of_beats(beats)
    train, validation, test = (set(of_beats[index].tolist()) for index in parts.values())
    shared = {
        "train and validation": train & validation,
        "training and test": (train | validation) & test,
    }
    notes = []
    for parts_named, found in shared.items():
        if not found:
            continue
        named = ", ".join(subjects[sorted(found)])
        if name != "inter-patient" or parts_named == "train and validation":
            raise ProtocolError(f"{name}: subjects {named} stand in {parts_named}.")
        notes.append(
            f"Subject {named} stands in both {parts_named}; inter-patient-strict leaves it out."
        )
    return tuple(notes)


def _macro_classes(name: str, beats: Beats) -> tuple[str, ...]:
    """Return the classes with any beat; between fixed patients Q is scored, but not averaged."""
    left_out = {"Q"} if name in _FIXED else set()
    return tuple(c for c, n in beats.counts().items() if n and c not in left_out)


def _fingerprint(beats: Beats, parts: Mapping[str, Index]) -> str:
    lines = [
        f"{beats.records[record]}\t{sample}\t{part}"
        for part, index in parts.items()
        for record, sample in zip(
            beats.record[index].tolist(), beats.sample[index].tolist(), strict=True
        )
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


_PROTOCOLS: dict[str, tuple[type[Options], Any]] = {
    "intra-patient": (IntraPatientOptions, _by_beat),
    "inter-patient": (InterPatientOptions, _by_fixed_records),
    "inter-patient-strict": (InterPatientOptions, _by_fixed_records),
    "patient-kfold": (PatientKFoldOptions, _by_subject),
}
_FIXED = ("inter-patient", "inter-patient-strict")
