"""Trained weights on other beats: test the network of a run on another dataset or protocol.

Nothing is trained. The beats of the target are cut, filtered, resampled and normalized as those of
the training, its leads and classes are matched with those of the network, and records of persons
that the network has seen are left out. In contrast,
:mod:`~nasbench_ecg.studies.generalize` carries the architecture only and trains it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import digest
from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.persons import persons_of, shared_records
from nasbench_ecg.data.preparation import RecordsOptions, WaveformOptions
from nasbench_ecg.data.protocols import MACRO_MIN_BEATS, ProtocolOptions, protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError
from nasbench_ecg.metrics import class_table, confusion_matrix, scores, without_macro_scores
from nasbench_ecg.models.classifier import BeatClassifier, classifier_of_run
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import searched_persons

FORMAT = 1

_BATCH = 4096
_OF_RECORDS = frozenset(RecordsOptions.model_fields)


@dataclass(frozen=True)
class RecordResult:
    """The result on one record.

    Attributes:
        record: Its name.
        person: Its person across databases.
        confusion: Beats by true class (rows) and predicted class (columns).
        metrics: Scores of its beats, as fractions; none that average over classes.
    """

    record: str
    person: str
    confusion: list[list[int]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class CarriedWeights:
    """The scores of a run's trained network on beats of another dataset or protocol.

    Attributes:
        run_key: The run that trained the network.
        strategy: Its strategy.
        trained_on: Its dataset.
        trained_protocol: Its protocol.
        own_metrics: Scores on its own test part.
        tested_on: The target dataset.
        protocol: Its protocol, whose test part was used; None: all its beats.
        protocol_options: Options of that protocol.
        options: Options of the target dataset.
        fingerprint: SHA-256 of the beats of the target.
        leads: Leads of the target, each with the lead of the training in whose place it stands.
        classes: Names of the classes, in the order of the matrix.
        merged: Classes that count as another one.
        macro_classes: The classes that macro scores average over.
        confusion: Beats by true class (rows) and predicted class (columns).
        metrics: Scores as fractions.
        per_class: Scores of each class.
        records: Results by record, in the order of the dataset.
        shared: Records of persons that the network was trained on.
        shared_beats: Their beats of each class.
        kept_shared: Whether they were tested nevertheless.
        notes: What differs from the training, and what the scores do not show.
    """

    run_key: str
    strategy: str
    trained_on: str
    trained_protocol: str
    own_metrics: dict[str, float]
    tested_on: str
    protocol: str | None
    protocol_options: dict[str, Any]
    options: dict[str, Any]
    fingerprint: str
    leads: dict[str, str]
    classes: list[str]
    merged: dict[str, str]
    macro_classes: list[str]
    confusion: list[list[int]]
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    records: list[RecordResult]
    shared: list[str]
    shared_beats: dict[str, int]
    kept_shared: bool
    notes: list[str]

    def as_data(self) -> dict[str, Any]:
        """Return all fields as JSON data."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def file_name(self) -> str:
        """Name of the file that holds it, in the folder of the run's files."""
        settings = [
            self.options,
            self.protocol,
            self.protocol_options,
            self.merged,
            self.kept_shared,
            self.leads,
        ]
        return f"evaluations/{self.tested_on}-{digest(settings)[:8]}.json"


def evaluate(
    record: RunRecord,
    out: Path,
    on: str,
    *,
    protocol: str | None = None,
    leads: Sequence[str] | None = None,
    merge: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    protocol_overrides: Mapping[str, Any] | None = None,
    keep_shared_persons: bool = False,
    source: LocalSource | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> CarriedWeights:
    """Test the trained network of a run on a dataset, without training.

    Args:
        record: The run.
        out: Folder of all results, in which its weights lie.
        on: Name of the dataset.
        protocol: Test on the test part of this protocol; None: on all beats.
        leads: Leads of the dataset, one for each lead of the network; by default those of equal
            names, else the dataset's own leads in order, else its first channels.
        merge: Classes that count as another one, for example ``{"F": "V"}``; their probabilities
            are added.
        overrides: Further options of the dataset, also in place of those of the training.
        protocol_overrides: Options of the protocol, also in place of those of the run if the run
            has the same protocol.
        keep_shared_persons: Also test on persons that the network was trained on.
        source: Folders of records and of cached beats.
        registry: The available components.
        progress: Shows progress and receives the notes of the dataset.

    Raises:
        OptionError: The run has no network, or its beats or those of the dataset are not cut from
            a signal; leads or classes do not match; or all test records are of persons that the
            network was trained on.
        MissingDataError: Records of the dataset are missing.
        PluginError: The dataset is not installed.
        ProtocolError: The dataset cannot be split by the protocol.
        StorageError: The weights are missing.
    """
    registry = registry or load_registry()
    classifier = classifier_of_run(record, out)
    component = registry.get("dataset", on)
    options, notes = _target_options(record, classifier, component, protocol, leads, overrides)
    dataset = component.create(options)
    loaded = load_beats(
        name=component.name,
        revision=component.spec.revision,
        version=component.version,
        options=options,
        dataset=dataset,
        source=source or LocalSource(),
        progress=progress or Silent(),
    )
    beats = loaded.beats
    protocol_set = _protocol_options(record, protocol, protocol_overrides)
    index, shared = _tested(record, registry, component, dataset, beats, protocol_set)
    kept = index if keep_shared_persons else np.setdiff1d(index, shared)
    if not len(kept):
        raise OptionError(
            f"All test records of {on!r} are of persons on whom the run {record.run_key} was "
            "trained.",
            fix="Choose another dataset or protocol, or keep them with --keep-shared-persons.",
        )
    classes, merged = _classes(classifier.classes, beats.classes, merge or {})
    truth = np.array([classes.index(merged.get(c, c)) for c in beats.classes])[beats.labels]
    predicted = _predict(classifier, beats, kept, classes, merged)
    matrix = confusion_matrix(truth[kept], predicted, len(classes))
    macro, more = _macro_classes(
        record, classes, matrix, {merged.get(c, c) for c in classifier.classes}
    )
    metrics = scores(matrix, classes, macro)
    return CarriedWeights(
        run_key=record.run_key,
        strategy=record.strategy,
        trained_on=record.dataset_name,
        trained_protocol=record.protocol,
        own_metrics=dict(record.metrics),
        tested_on=on,
        protocol=protocol,
        protocol_options=protocol_set[1].model_dump(mode="json") if protocol_set else {},
        options=options.model_dump(mode="json", exclude_none=True),
        fingerprint=loaded.fingerprint,
        leads=dict(zip(options.leads, classifier.leads, strict=True)),
        classes=list(classes),
        merged=merged,
        macro_classes=list(macro),
        confusion=matrix.tolist(),
        metrics=metrics if len(macro) > 1 else without_macro_scores(metrics),
        per_class=class_table(matrix, classes),
        records=_by_record(component, dataset, beats, kept, truth, predicted, classes),
        shared=[beats.records[i] for i in np.unique(beats.record[shared])],
        shared_beats=_counts(truth[shared], classes),
        kept_shared=keep_shared_persons,
        notes=[*notes, *more],
    )


def _target_options(
    record: RunRecord,
    classifier: BeatClassifier,
    component: Component,
    protocol: str | None,
    leads: Sequence[str] | None,
    overrides: Mapping[str, Any] | None,
) -> tuple[WaveformOptions, list[str]]:
    """Return the options of the target dataset: its records, and the beats of the training."""
    model = component.options_model()
    if not issubclass(model, WaveformOptions):
        raise OptionError(
            f"The beats of {component.name!r} are not cut from a signal.",
            fix="Choose a dataset of waveforms.",
        )
    assert isinstance(component.spec, DatasetSpec)
    named = f"dataset {component.name}"
    usual_protocol = protocol or component.spec.protocol
    usual = resolve(model, component=named, protocol=usual_protocol)
    trained = classifier.options
    cut = {
        name: getattr(trained, name)
        for name in WaveformOptions.model_fields
        if name not in _OF_RECORDS
    }
    cut["rate"] = classifier.fs
    cut["denoise_rate"] = None if trained.denoise == "none" else classifier.denoise_rate
    chosen, notes = _leads(record, classifier, component.name, usual.leads, leads)
    given = {"leads": chosen, **cut, **(overrides or {})}
    options = resolve(model, component=named, protocol=usual_protocol, overrides=given)
    if trained.denoise != "none" and classifier.denoise_rate is None:
        notes.append(
            "Records are denoised at their own rate, which may not be that of the training records."
        )
    return options, notes


def _leads(
    record: RunRecord,
    classifier: BeatClassifier,
    on: str,
    own: Sequence[str],
    leads: Sequence[str] | None,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the leads of the target in the order of those of the network, and a note."""
    wanted = tuple(record.components["dataset"].options["leads"])
    if leads is not None:
        if len(leads) != len(wanted):
            raise OptionError(
                f"The network needs {len(wanted)} leads ({', '.join(wanted)}), not {len(leads)}.",
                where="--leads",
                fix=f"Name a lead of {on!r} for each of them, in this order.",
            )
        chosen = tuple(leads)
    elif on == record.dataset_name or set(wanted) <= set(own):
        return wanted, []
    elif len(own) >= len(wanted):
        chosen = tuple(own[: len(wanted)])
    else:
        chosen = tuple(f"#{channel}" for channel in range(len(wanted)))
    if chosen == wanted:
        return chosen, []
    return chosen, [
        f"The network was trained on the leads {', '.join(classifier.leads)}; on {on} it gets "
        f"{', '.join(chosen)}."
    ]


def _protocol_options(
    record: RunRecord, protocol: str | None, overrides: Mapping[str, Any] | None
) -> tuple[str, ProtocolOptions] | None:
    """Return the protocol with its options, which are those of a run of the same protocol."""
    if protocol is None:
        return None
    of_run = record.protocol_options if protocol == record.protocol else {}
    given = {**of_run, **(overrides or {})}
    model = protocol_options(protocol)
    return protocol, resolve(model, component=f"protocol {protocol}", overrides=given)


def _tested(
    record: RunRecord,
    registry: Registry,
    component: Component,
    dataset: Dataset,
    beats: Beats,
    protocol: tuple[str, ProtocolOptions] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the beats to test, and those among them of persons that the network has seen."""
    index = np.arange(len(beats)) if protocol is None else split(*protocol, beats, dataset).test
    persons = persons_of(dataset, component.name, beats.records, beats.subjects)
    shared = shared_records(persons, searched_persons(record, registry))
    of_shared = np.isin(np.asarray(beats.records), shared)[beats.record[index]]
    return index, index[of_shared]


def _classes(
    of_network: Sequence[str], of_target: Sequence[str], merge: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the classes of the confusion matrix, and the classes that count as another one."""
    known = (*of_network, *(name for name in of_target if name not in of_network))
    for name in merge.keys() | set(merge.values()):
        if name not in known:
            raise OptionError(
                f"There is no class {name!r}.",
                where="--merge",
                fix=f"The classes are {', '.join(known)}.",
            )
    merged = {name: target for name, target in merge.items() if name != target}
    if chained := sorted(set(merged) & set(merged.values())):
        raise OptionError(
            f"The class {chained[0]!r} counts as another one, so none can count as it.",
            where="--merge",
            fix="Name the class that remains.",
        )
    return tuple(name for name in known if name not in merged), merged


def _predict(
    classifier: BeatClassifier,
    beats: Beats,
    index: NDArray[np.int64],
    classes: Sequence[str],
    merged: Mapping[str, str],
) -> NDArray[np.int64]:
    """Return the most probable class of each beat, int64 [n]."""
    becomes = np.zeros((len(classifier.classes), len(classes)), np.float32)
    for i, name in enumerate(classifier.classes):
        becomes[i, classes.index(merged.get(name, name))] = 1
    parts = [
        (classifier.probabilities(beats.signals[index[i : i + _BATCH]]) @ becomes).argmax(axis=1)
        for i in range(0, len(index), _BATCH)
    ]
    found: NDArray[np.int64] = np.concatenate(parts).astype(np.int64)
    return found


def _macro_classes(
    record: RunRecord, classes: Sequence[str], matrix: NDArray[np.int64], known: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that macro scores average over, and notes on others.

    Q is left out where the scores of the run itself leave it out.
    """
    n_true = dict(zip(classes, matrix.sum(axis=1).tolist(), strict=True))
    own_q = "Q" in record.classes and "Q" not in record.macro_classes
    chosen = [c for c, n in n_true.items() if n >= MACRO_MIN_BEATS and not (c == "Q" and own_q)]
    notes = []
    left_out = [f"{c} ({n:,})" for c, n in n_true.items() if n and c not in chosen]
    if left_out:
        notes.append(f"Macro scores leave out {', '.join(left_out)} beats.")
    if absent := [c for c, n in n_true.items() if not n]:
        notes.append(f"No tested beat is {' or '.join(absent)}: such predictions are all wrong.")
    if unknown := [f"{c} ({n_true[c]:,})" for c in classes if c not in known and n_true[c]]:
        notes.append(f"The network does not know {', '.join(unknown)}: these beats are all wrong.")
    return tuple(chosen), notes


def _by_record(
    component: Component,
    dataset: Dataset,
    beats: Beats,
    index: NDArray[np.int64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: Sequence[str],
) -> list[RecordResult]:
    persons = persons_of(dataset, component.name, beats.records, beats.subjects)
    of_beat, found = beats.record[index], []
    for i in np.unique(of_beat).tolist():
        own = of_beat == i
        matrix = confusion_matrix(truth[index][own], predicted[own], len(classes))
        name = beats.records[i]
        metrics = without_macro_scores(scores(matrix, classes))
        found.append(RecordResult(name, persons[name], matrix.tolist(), metrics))
    return found


def _counts(labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return {name: n for name, n in zip(classes, counts, strict=True) if n}
