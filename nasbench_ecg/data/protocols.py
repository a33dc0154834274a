"""Protocols: split beats into a training, a validation and a test part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.declarations import check_partition, fixed_records
from nasbench_ecg.data.folds import Index, split_off_validation, subject_folds, subject_of_beats
from nasbench_ecg.data.persons import with_persons
from nasbench_ecg.errors import ProtocolError, nearest
from nasbench_ecg.options import Options

MACRO_MIN_BEATS = 10
"""Least number of test beats of a class that macro scores average over, unless an option says."""


@dataclass(frozen=True, eq=False)
class Split:
    """The three parts of a set of beats.

    Attributes:
        train: int64 [n], ascending indices of the training beats.
        validation: int64 [n], of the beats that validate candidates during the search.
        test: int64 [n], of the beats that are used only after the search.
        macro_classes: The classes that macro scores average over: those with enough test beats, or
            with any if fewer than two classes have enough. Fewer than two allow no macro scores.
        fingerprint: SHA-256 of (record name, sample, part) of all beats, equal on every machine.
        notes: Remarks about this split that matter for the interpretation of scores.
        folds: int64 [n], the fold of each beat of ``train`` and then of ``validation``, if a search
            scores candidates by cross-validation; else None.
    """

    train: Index
    validation: Index
    test: Index
    macro_classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    folds: Index | None = None


class ProtocolOptions(Options):
    """Options of every protocol."""

    macro_min_beats: int | None = Field(default=None, ge=1)
    """Macro scores leave out classes with fewer test beats than this; null is 10."""


class IntraPatientOptions(ProtocolOptions):
    """Options of ``intra-patient``: a random split of beats, as in the Heart-DARTS paper.

    Beats of one patient are in all parts.
    """

    seed: int = Field(default=0, ge=0)
    """Seed of the permutation of the beats."""

    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the test part in all beats."""

    validation_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the validation part in the other beats."""


class InterPatientOptions(ProtocolOptions):
    """Options of the inter-patient protocols, for which the dataset defines the records."""

    k: int = Field(default=5, ge=2)
    """One in k of the training subjects validates the search."""

    seed: int = Field(default=0, ge=0)
    """Seed of the draw of the validation subjects."""

    validation: Literal["kfold"] | None = None
    """Candidates of a search are scored on the validation subjects (null), or by cross-validation
    over k folds of all training subjects (kfold), which takes k times as long."""


class PatientKFoldOptions(ProtocolOptions):
    """Options of ``patient-kfold``: each subject is in one part only."""

    k: int = Field(default=5, ge=2)
    """Number of folds; outside the test fold, one in k subjects validates the search."""

    fold: int | None = Field(default=None, ge=0)
    """The test fold, from 0 to k - 1; null is all folds, in one run each."""

    seed: int = Field(default=0, ge=0)
    """Seed of the assignment of subjects to folds."""

    @model_validator(mode="after")
    def _fold_exists(self) -> PatientKFoldOptions:
        if self.fold is not None and self.fold >= self.k:
            raise ValueError(
                f"there is no fold {self.fold}: 'protocol.fold' is from 0 to {self.k - 1}, for "
                f"'protocol.k' = {self.k}"
            )
        return self


def protocol_names() -> tuple[str, ...]:
    """Return the names of all protocols."""
    return tuple(_PROTOCOLS)


def protocol_options(name: str) -> type[ProtocolOptions]:
    """Return the options model of a protocol.

    Raises:
        ProtocolError: There is no such protocol.
    """
    return _find_protocol(name)[0]


def open_folds(options: ProtocolOptions) -> int:
    """Return the number of folds that ``options`` leave open: of that many splits, none is chosen.

    0 if the options determine one split.
    """
    return options.k if isinstance(options, PatientKFoldOptions) and options.fold is None else 0


def check_one_split(name: str, options: ProtocolOptions) -> None:
    """Check that the options of the protocol ``name`` determine one split.

    Raises:
        ProtocolError: They leave the fold open.
    """
    if k := open_folds(options):
        raise ProtocolError(
            f"{name}: no fold is chosen, and this needs a single split.",
            where="protocol.fold",
            fix=f"Set protocol.fold to a number from 0 to {k - 1}, for example with "
            "--set protocol.fold=0. 'nasbench-ecg run' and suites run all folds.",
        )


def split(name: str, options: ProtocolOptions, beats: Beats, dataset: Dataset) -> Split:
    """Return the split of ``beats`` by the protocol ``name``.

    Protocols that keep subjects apart keep persons apart, where the dataset names them
    (:class:`~nasbench_ecg.contracts.NamesPersons`).

    Args:
        name: One of :func:`protocol_names`.
        options: An instance of the model that :func:`protocol_options` returns.
        beats: All beats of the dataset.
        dataset: Defines the training and test records of the inter-patient protocols.

    Raises:
        ProtocolError: The protocol is unknown, or the dataset does not support it; its options
            leave the fold open; it cannot be applied to these beats; a part is empty; or all beats
            are of one class.
    """
    _, indices_of = _find_protocol(name)
    check_one_split(name, options)
    beats = with_persons(beats, dataset)
    train, validation, test = (np.sort(part) for part in indices_of(name, options, beats, dataset))
    parts = {"train": train, "validation": validation, "test": test}
    _check_parts(name, parts)
    _check_classes(name, beats)
    macro_classes, macro_notes = _macro_classes(name, options, beats, parts)
    return Split(
        train=train,
        validation=validation,
        test=test,
        macro_classes=macro_classes,
        fingerprint=_fingerprint(beats, parts),
        notes=(*_shared_subject_notes(name, beats, parts), *macro_notes),
        folds=_folds_of_training(name, options, beats, parts),
    )


def _folds_of_training(
    name: str, options: ProtocolOptions, beats: Beats, parts: Mapping[str, Index]
) -> Index | None:
    """Return the fold of each training beat and then of each validation beat; None: no folds."""
    if not isinstance(options, InterPatientOptions) or options.validation is None:
        return None
    training = np.sort(np.concatenate([parts["train"], parts["validation"]]))
    fold_of = np.full(len(beats), -1)
    for number, index in enumerate(subject_folds(name, training, beats, options.k, options.seed)):
        fold_of[index] = number
    return np.concatenate([fold_of[parts["train"]], fold_of[parts["validation"]]])


def _find_protocol(
    name: str,
) -> tuple[type[ProtocolOptions], Callable[..., tuple[Index, Index, Index]]]:
    if name not in _PROTOCOLS:
        raise ProtocolError(f"There is no protocol {name!r}.", fix=nearest(name, _PROTOCOLS))
    return _PROTOCOLS[name]


def _random_beats(
    name: str, options: IntraPatientOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    n_test = round(len(beats) * options.test_share)
    order = np.random.default_rng(options.seed).permutation(len(beats))
    training, test = order[: len(beats) - n_test], order[len(beats) - n_test :]
    n_train = len(training) - round(len(training) * options.validation_share)
    return training[:n_train], training[n_train:], test


def _fixed_records(
    name: str, options: InterPatientOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    partition = fixed_records(dataset, name)
    if partition is None:
        supported = [
            n
            for n in _PROTOCOLS
            if n not in _FIXED_RECORDS or fixed_records(dataset, n) is not None
        ]
        raise ProtocolError(
            f"The dataset does not support the protocol {name!r}.",
            where="protocol",
            fix=f"Use one of {', '.join(supported)}.",
        )
    check_partition(name, partition, beats)
    training = _of_records(beats, partition["train"])
    train, validation = split_off_validation(name, training, beats, options.k, options.seed)
    return train, validation, _of_records(beats, partition["test"])


def _subject_folds(
    name: str, options: PatientKFoldOptions, beats: Beats, dataset: Dataset
) -> tuple[Index, Index, Index]:
    assert options.fold is not None
    everything = np.arange(len(beats))
    test = subject_folds(name, everything, beats, options.k, options.seed)[options.fold]
    rest = np.setdiff1d(everything, test, assume_unique=True)
    train, validation = split_off_validation(name, rest, beats, options.k, options.seed)
    return train, validation, test


def _of_records(beats: Beats, names: Sequence[str]) -> Index:
    chosen = np.isin(np.asarray(beats.records), list(names))
    return np.flatnonzero(chosen[beats.record])


def _check_parts(name: str, parts: Mapping[str, Index]) -> None:
    for part, index in parts.items():
        if not len(index):
            raise ProtocolError(
                f"{name}: the {part} part is empty.",
                fix="Load more records, or change the shares or folds of the protocol.",
            )
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) != len(together):
        raise ProtocolError(f"{name}: a beat is in more than one part.")


def _shared_subject_notes(name: str, beats: Beats, parts: Mapping[str, Index]) -> tuple[str, ...]:
    """Return notes on subjects that are in more than one part.

    Raises:
        ProtocolError: The protocol does not allow it.
    """
    if name == "intra-patient":
        return (
            "All parts contain beats of the same patients: scores do not apply to new patients.",
        )
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
            raise ProtocolError(
                f"{name}: the subjects {named} are in both {parts_named}.",
                fix="Use another protocol, or leave records of these subjects out.",
            )
        notes.append(
            f"Subject {named} is in both {parts_named}; inter-patient-strict leaves it out."
        )
    return tuple(notes)


def _check_classes(name: str, beats: Beats) -> None:
    present = [label for label, n in beats.counts().items() if n]
    if len(present) == 1:
        raise ProtocolError(
            f"{name}: all {len(beats)} beats are of the class {present[0]}: there is nothing to "
            "classify.",
            where="dataset",
            fix="Load records with beats of another class too.",
        )


def _macro_classes(
    name: str, options: ProtocolOptions, beats: Beats, parts: Mapping[str, Index]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes that macro scores average over, and notes on the other classes."""
    counts = {
        part: np.bincount(beats.labels[index], minlength=beats.n_classes).tolist()
        for part, index in parts.items()
    }
    test = dict(zip(beats.classes, counts["test"], strict=True))
    least = options.macro_min_beats or MACRO_MIN_BEATS
    chosen = choose_macro_classes(name, test, options.macro_min_beats)
    rule = f"fewer than {least} test beats (protocol.macro_min_beats)"
    notes = []
    if absent := [c for c, n in beats.counts().items() if n and not test[c]]:
        notes.append(
            f"There are no scores of {', '.join(absent)}: the test part has no such beats."
        )
    if len(chosen) < 2:
        only = chosen[0] if chosen else "no class"
        notes.append(f"The test part has beats of {only} only: there are no macro scores.")
    elif few := ", ".join(f"{c} ({test[c]})" for c in chosen if test[c] < least):
        notes.append(f"Macro scores include classes with {rule}: {few}.")
    excluded = {"Q"} if name in _FIXED_RECORDS else set()
    candidates = [c for c, n in beats.counts().items() if n and c not in excluded]
    if left_out := [f"{c} ({test[c]})" for c in candidates if test[c] and c not in chosen]:
        notes.append(f"Macro scores leave out classes with {rule}: {', '.join(left_out)}.")
    training = [a + b for a, b in zip(counts["train"], counts["validation"], strict=True)]
    if unseen := [c for c, n in zip(beats.classes, training, strict=True) if c in chosen and not n]:
        notes.append(f"The training part has no beats of {', '.join(unseen)}.")
    if np.count_nonzero(counts["validation"]) == 1:
        only = beats.classes[int(np.argmax(counts["validation"]))]
        notes.append(
            f"The validation part has beats of {only} only: a search cannot compare candidates."
        )
    return chosen, tuple(notes)


def choose_macro_classes(
    name: str, test: Mapping[str, int], least: int | None = None
) -> tuple[str, ...]:
    """Return the classes that macro scores average over.

    Q is never among them in the inter-patient protocols. A score of a class with few test beats
    depends on chance, and it would weigh as much as that of a class with thousands.

    Args:
        name: Name of the protocol.
        test: Number of test beats of each class.
        least: Smallest number of test beats of a class; None is :data:`MACRO_MIN_BEATS`. If fewer
            than two classes have that many, all that have any are returned.
    """
    excluded = {"Q"} if name in _FIXED_RECORDS else set()
    candidates = {label: n for label, n in test.items() if n and label not in excluded}
    enough = [label for label, n in candidates.items() if n >= (least or MACRO_MIN_BEATS)]
    return tuple(enough if len(enough) >= 2 else candidates)


def _fingerprint(beats: Beats, parts: Mapping[str, Index]) -> str:
    lines = [
        f"{beats.records[record]}\t{sample}\t{part}"
        for part, index in parts.items()
        for record, sample in zip(
            beats.record[index].tolist(), beats.sample[index].tolist(), strict=True
        )
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


_PROTOCOLS: dict[str, tuple[type[ProtocolOptions], Any]] = {
    "intra-patient": (IntraPatientOptions, _random_beats),
    "inter-patient": (InterPatientOptions, _fixed_records),
    "inter-patient-strict": (InterPatientOptions, _fixed_records),
    "patient-kfold": (PatientKFoldOptions, _subject_folds),
}
_FIXED_RECORDS = ("inter-patient", "inter-patient-strict")

SEARCH_OPTIONS = frozenset({"validation"})
"""Options that say how a search validates its candidates. Parts of a split do not depend on them,
so they tell methods apart, and not data."""
