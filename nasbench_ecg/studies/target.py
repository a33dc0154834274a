"""Beats on which a trained network is tested: cut as in training, without persons it has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.persons import persons_of, shared_records
from nasbench_ecg.data.protocols import ProtocolOptions, protocol_options, split
from nasbench_ecg.data.record_options import DISTURBANCES, RecordsOptions, WaveformOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.models.classifier import BeatClassifier, Origin
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.downloads import fetch_records
from nasbench_ecg.run.loading import beats_of
from nasbench_ecg.signal.recordings import match_leads

_BATCH = 4096
_WINDOW = ("before", "after", "rate", "rhythm", "planes", "differences")
"""Options by which a beat gets other samples or leads than the network can take."""

_NOT_CARRIED = frozenset((*RecordsOptions.model_fields, *DISTURBANCES))


@dataclass(frozen=True, eq=False)
class Target:
    """A network, and beats to test it on.

    Attributes:
        classifier: The network.
        component: The dataset of the beats.
        options: Its options.
        protocol: The protocol whose test part is tested; None: all beats.
        protocol_options: Its options, as JSON data.
        source: Folders of records and of cached beats.
        beats: All beats of the dataset.
        fingerprint: SHA-256 of these.
        index: The beats to test, int64 [n].
        shared: Beats of persons that the network was trained on, int64 [n]; among ``index`` only
            if they are tested nevertheless.
        kept_shared: Whether they are.
        persons: Person of each record.
        classes: Names of the classes, in the order of the confusion matrix.
        merged: Classes that count as another one.
        truth: The class of each of ``beats``, int64 [n_beats].
        notes: What differs from the training.
        changed: What the caller has set, by name; empty: the test that is usual for the network.
    """

    classifier: BeatClassifier
    component: Component
    options: WaveformOptions
    protocol: str | None
    protocol_options: dict[str, Any]
    source: LocalSource
    beats: Beats
    fingerprint: str
    index: NDArray[np.int64]
    shared: NDArray[np.int64]
    kept_shared: bool
    persons: Mapping[str, str]
    classes: tuple[str, ...]
    merged: dict[str, str]
    truth: NDArray[np.int64]
    notes: tuple[str, ...]
    changed: Mapping[str, Any]

    @property
    def origin(self) -> Origin:
        """The run that trained the network."""
        return origin_of(self.classifier)

    def predict(self, signals: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the most probable class of beats [n, leads, samples], int64 [n].

        Classes that count as another one add their probabilities to it.
        """
        becomes = np.zeros((len(self.classifier.classes), len(self.classes)), np.float32)
        for i, name in enumerate(self.classifier.classes):
            becomes[i, self.classes.index(self.merged.get(name, name))] = 1
        parts = [
            (self.classifier.probabilities(signals[i : i + _BATCH]) @ becomes).argmax(axis=1)
            for i in range(0, len(signals), _BATCH)
        ]
        found: NDArray[np.int64] = np.concatenate(parts).astype(np.int64)
        return found


def origin_of(classifier: BeatClassifier) -> Origin:
    """Return the run that trained a network.

    Raises:
        OptionError: It is not known.
    """
    if classifier.origin is None:
        raise OptionError(
            f"The run that trained {classifier.name} is not known.",
            fix="Use a run, or a file that 'nasbench-ecg export' wrote.",
        )
    return classifier.origin


def load_target(
    classifier: BeatClassifier,
    on: str | None = None,
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
) -> Target:
    """Return the beats of a dataset on which a trained network can be tested.

    Args:
        classifier: The network.
        on: Name of the dataset; None: the test part of the run itself, with all its options.
        protocol: Test on the test part of this protocol; None: on all beats.
        leads: Leads of the dataset, one for each lead of the network; by default those of equal
            names, else the dataset's own leads in order, else its first channels.
        merge: Classes that count as another one, for example ``{"F": "V"}``.
        overrides: Further options of the dataset, also in place of those of the training.
        protocol_overrides: Options of the protocol, also in place of those of the run if the run
            has the same protocol.
        keep_shared_persons: Also test on persons that the network was trained on; always so for
            the test part of the run itself.
        source: Folders of records and of cached beats.
        registry: The available components.
        progress: Shows progress and receives the notes of the dataset.

    Raises:
        OptionError: The beats of the dataset are not cut from a signal; leads or classes do not
            match; all test records are of persons that the network was trained on; or options of a
            protocol are given without one.
        MissingDataError: Records of the dataset are missing and cannot be downloaded.
        PluginError: The dataset is not installed.
        ProtocolError: The dataset cannot be split by the protocol.
    """
    registry, source, origin = (
        registry or load_registry(),
        source or LocalSource(),
        origin_of(classifier),
    )
    given = dict(overrides or {})
    if leads is not None and "leads" in given:
        raise OptionError(
            "The leads are named twice.", where="--set dataset.leads", fix="Use --leads only."
        )
    asked_to_keep = keep_shared_persons
    if on is None:
        protocol = protocol or origin.protocol
        keep_shared_persons = keep_shared_persons or protocol == origin.protocol
        known = {name: value for name, value in origin.options.items() if value is not None}
        if leads is not None:
            known.pop("leads")
        given = {**known, **given}
    component = registry.get("dataset", on or origin.dataset)
    options, notes = _target_options(classifier, component, protocol, leads, given)
    protocol_set = _protocol_options(origin, protocol, protocol_overrides)
    dataset = component.create(options)
    progress = progress or Silent()
    fetch_records([dataset], source, progress)
    loaded = beats_of(component, options, dataset, source, progress)
    beats = loaded.beats
    persons = persons_of(dataset, component.name, beats.records, beats.subjects)
    index, shared = _tested(origin, registry, persons, dataset, beats, protocol_set)
    kept = index if keep_shared_persons else np.setdiff1d(index, shared)
    if not len(kept):
        raise OptionError(
            f"All test records of {component.name!r} are of persons on whom {classifier.name} was "
            "trained.",
            fix="Choose another dataset or protocol, or keep them with --keep-shared-persons.",
        )
    if not origin.records:
        notes.append(
            "The file does not name the records of the training: persons may be in both. Export "
            "it again."
        )
    classes, merged = _classes(classifier.classes, beats.classes, merge or {})
    truth = np.array([classes.index(merged.get(c, c)) for c in beats.classes])[beats.labels]
    of_protocol = protocol_set[1].model_dump(mode="json") if protocol_set else {}
    of_dataset = options.model_dump(mode="json")
    set_by_name = [*(overrides or {}), *(["leads"] if leads is not None else [])]
    return Target(
        classifier=classifier,
        component=component,
        options=options,
        protocol=protocol,
        protocol_options=of_protocol,
        source=source,
        beats=beats,
        fingerprint=loaded.fingerprint,
        index=kept,
        shared=shared,
        kept_shared=keep_shared_persons,
        persons=persons,
        classes=classes,
        merged=merged,
        truth=truth,
        notes=(*classifier.notes, *notes),
        changed={
            **{name: of_dataset[name] for name in set_by_name},
            **{f"protocol.{name}": of_protocol[name] for name in protocol_overrides or {}},
            **({"merge": merged} if merged else {}),
            **({"keep_shared_persons": True} if asked_to_keep else {}),
        },
    )


def _target_options(
    classifier: BeatClassifier,
    component: Component,
    protocol: str | None,
    leads: Sequence[str] | None,
    given: Mapping[str, Any],
) -> tuple[WaveformOptions, list[str]]:
    """Return the options of the target dataset: its records, and the beats of the training."""
    model = component.options_model()
    if not issubclass(model, WaveformOptions):
        raise OptionError(
            f"The dataset {component.name!r} does not say how its beats are cut from a signal.",
            fix="Choose a dataset whose options are WaveformOptions.",
        )
    assert isinstance(component.spec, DatasetSpec)
    named = f"dataset {component.name}"
    usual_protocol = protocol or component.spec.protocol
    usual = resolve(model, component=named, protocol=usual_protocol)
    trained = classifier.options
    cut = {
        name: getattr(trained, name)
        for name in WaveformOptions.model_fields
        if name not in _NOT_CARRIED
    }
    cut["rate"] = classifier.fs
    cut["denoise_rate"] = None if trained.denoise == "none" else classifier.denoise_rate
    chosen = _leads(classifier, component.name, usual.leads, leads)
    overrides = {"leads": chosen, **cut, **given}
    options = resolve(model, component=named, protocol=usual_protocol, overrides=overrides)
    _check_leads(classifier, component.name, options.leads)
    _check_window(classifier, options)
    notes = []
    if options.leads != tuple(origin_of(classifier).options["leads"]):
        notes.append(
            f"The network was trained on the leads {_names(classifier.leads)}; on "
            f"{component.name} it gets {_names(options.leads)}."
        )
    if trained.denoise != "none" and classifier.denoise_rate is None:
        notes.append(
            "Records are denoised at their own rate, which may not be that of the training records."
        )
    return options, notes


def _leads(
    classifier: BeatClassifier, on: str, own: Sequence[str], leads: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the leads of the target in the order of those of the network."""
    origin = origin_of(classifier)
    wanted = tuple(origin.options["leads"])
    if leads is not None:
        return tuple(leads)
    if on == origin.dataset or set(wanted) <= set(own):
        return wanted
    if len(own) >= len(wanted):
        return tuple(own[i] for i in match_leads(wanted, own))
    return tuple(f"#{channel}" for channel in range(len(wanted)))


def _check_leads(classifier: BeatClassifier, on: str, leads: Sequence[str]) -> None:
    """Raise OptionError unless there is a lead for each one of the network."""
    wanted = tuple(origin_of(classifier).options["leads"])
    if len(leads) != len(wanted):
        raise OptionError(
            f"The network needs {len(wanted)} leads ({_names(wanted)}), not {len(leads)}.",
            where="--leads",
            fix=f"Name a lead of {on!r} for each of them, in this order.",
        )


def _check_window(classifier: BeatClassifier, options: WaveformOptions) -> None:
    """Raise OptionError if beats would be of another length or have other added leads."""
    trained = classifier.options.model_copy(update={"rate": classifier.fs})
    for name in _WINDOW:
        own, other = getattr(trained, name), getattr(options, name)
        if name == "planes":
            own, other = trained.plane_index, options.plane_index
        if own != other:
            raise OptionError(
                f"{classifier.name} was trained with another value of {name}, and cannot be tested "
                "on such beats.",
                where=f"dataset.{name}",
                fix="Leave this option out, or train a network with it.",
            )


def _names(leads: Sequence[str]) -> str:
    """Return leads for a sentence: ``*`` is the lead of a record that no other one names."""
    return ", ".join("the other lead" if lead == "*" else lead for lead in leads)


def _protocol_options(
    origin: Origin, protocol: str | None, overrides: Mapping[str, Any] | None
) -> tuple[str, ProtocolOptions] | None:
    """Return the protocol with its options, which are those of a run of the same protocol."""
    if protocol is None:
        if overrides:
            raise OptionError(
                f"The option {next(iter(overrides))!r} needs a protocol: all beats are tested.",
                fix="Name the protocol, for example inter-patient.",
            )
        return None
    of_run = origin.protocol_options if protocol == origin.protocol else {}
    given = {**of_run, **(overrides or {})}
    model = protocol_options(protocol)
    return protocol, resolve(model, component=f"protocol {protocol}", overrides=given)


def _tested(
    origin: Origin,
    registry: Registry,
    persons: Mapping[str, str],
    dataset: Dataset,
    beats: Beats,
    protocol: tuple[str, ProtocolOptions] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the beats to test, and those among them of persons that the network has seen."""
    index = np.arange(len(beats)) if protocol is None else split(*protocol, beats, dataset).test
    shared = shared_records(persons, _trained_persons(origin, registry))
    of_shared = np.isin(np.asarray(beats.records), shared)[beats.record[index]]
    return index, index[of_shared]


def _trained_persons(origin: Origin, registry: Registry) -> set[str]:
    """Return the persons of the training and validation part of the run."""
    if set(origin.persons) >= set(origin.records):
        return {*origin.persons.values()}
    try:  # records and files that are older than the names of persons
        component = registry.get("dataset", origin.dataset)
        dataset = component.create(component.options_model()(**origin.options))
        found = persons_of(dataset, component.name, origin.records)
    except (PluginError, ValidationError):
        found = {name: f"{origin.dataset}/{name}" for name in origin.records}
    return {*found.values()}


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
