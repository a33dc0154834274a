"""Checks of datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasbench_ecg.contracts import (
    Dataset,
    FitsOnTraining,
    NamesPersons,
    Requirement,
)
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.declarations import fixed_records, requirements_of
from nasbench_ecg.data.protocols import (
    Split,
    open_folds,
    protocol_names,
    protocol_options,
    split,
)
from nasbench_ecg.data.record_options import RecordsOptions
from nasbench_ecg.data.returned_beats import checked
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError, PluginError, ProtocolError, RecordError
from nasbench_ecg.options import KnowsLength
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.testing.another_process import expect_equal_in_another_process
from nasbench_ecg.testing.check import ContractViolation, NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest
from nasbench_ecg.testing.randomness import forbid_global_random, global_seed


@check()
def beats_are_well_formed(component: ComponentUnderTest, seed: int) -> None:
    """Signals are finite, labels and records are in range, and no beat occurs twice."""
    try:  # as a run takes them: other types of numbers are converted
        beats = checked(_beats(component), component.component.name, Silent())
    except (PluginError, RecordError) as error:
        raise ContractViolation(str(error)) from error
    expect(len(beats) > 0, "there are no beats")
    expect(bool(np.isfinite(beats.signals).all()), "signals are not finite")
    expect(beats.n_samples > 0 and beats.fs > 0, f"{beats.n_samples} samples at {beats.fs} Hz")
    options = component.options(_protocol(component))
    if isinstance(options, KnowsLength):
        n = options.n_samples
        expect(beats.n_samples == n, f"{beats.n_samples} samples; its options say {n}")
    _expect_range("labels", beats.labels, beats.n_classes)
    _expect_range("record", beats.record, len(beats.records))
    expect(bool((beats.sample >= 0).all()), "an R peak lies before the start of its record")
    for name in ("classes", "records", "leads"):
        listed = getattr(beats, name)
        expect(len(set(listed)) == len(listed), f"{name} has duplicates: {listed}")
    positions = set(zip(beats.record.tolist(), beats.sample.tolist(), strict=True))
    expect(len(positions) == len(beats), f"{len(beats)} beats are at {len(positions)} positions")
    present = sum(n > 0 for n in beats.counts().values())
    expect(present > 1, "all beats are of one class")


@check()
def every_record_has_a_subject(component: ComponentUnderTest, seed: int) -> None:
    """Each record names its subject, by which protocols keep patients apart."""
    beats = _beats(component)
    n_records, n_subjects = len(beats.records), len(beats.subjects)
    expect(n_records == n_subjects, f"{n_records} records and {n_subjects} subjects")
    missing = [r for r, s in zip(beats.records, beats.subjects, strict=True) if not str(s).strip()]
    expect(not missing, f"records without a subject: {', '.join(missing[:3])}")


@check()
def persons_are_named(component: ComponentUnderTest, seed: int) -> None:
    """persons() names the persons of its own records, each as ``database/name``."""
    dataset, beats = component.create(_protocol(component)), _beats(component)
    if not isinstance(dataset, NamesPersons):
        raise NotApplicable("it names no persons across databases")
    persons = dict(dataset.persons())
    options = component.options(_protocol(component))
    excluded = (options.exclude or ()) if isinstance(options, RecordsOptions) else ()
    unknown = [name for name in persons if name not in (*beats.records, *excluded)]
    expect(not unknown, f"{', '.join(unknown[:3])} are not its records")
    wrong = [p for p in persons.values() if not all(str(p).partition("/"))]
    expect(not wrong, f"{', '.join(map(repr, wrong[:3]))} are not of the form database/name")


@check()
def beats_are_fitted_on_the_training_part(component: ComponentUnderTest, seed: int) -> None:
    """fitted() changes signals only, and depends on the training part alone."""
    dataset, beats = component.create(_protocol(component)), _beats(component)
    if not isinstance(dataset, FitsOnTraining):
        raise NotApplicable("it is not fitted on a training part")
    train = np.arange(0, len(beats), 2)
    found = dataset.fitted(beats, train)
    same = replace(found, signals=beats.signals).fingerprint() == beats.fingerprint()
    expect(same and found.signals.shape == beats.signals.shape, "it changes more than the signals")
    others = beats.signals.copy()
    others[1::2] = others[1::2] * 2 + 1
    again = dataset.fitted(replace(beats, signals=others), train)
    expect(
        np.array_equal(again.signals[train], found.signals[train]),
        "it depends on beats outside the training part",
    )


@check()
def equal_options_give_equal_beats(component: ComponentUnderTest, seed: int) -> None:
    """Loading again gives the same beats, whatever the state of the global generators."""
    first = _beats(component)
    with global_seed(2), forbid_global_random(f"the dataset {component.spec.name!r}"):
        again = _load(component, _protocol(component))
    expect(first.fingerprint() == again.fingerprint(), "the beats differ the second time")
    expect_equal_in_another_process(_fingerprint, component, seed, first.fingerprint())


def _fingerprint(component: ComponentUnderTest, seed: int) -> str:
    return _load(component, _protocol(component)).fingerprint()


@check()
def reads_only_required_databases(component: ComponentUnderTest, seed: int) -> None:
    """Loading opens only the folders of the databases that requires() lists."""
    _beats(component)
    requested = component.cache["requested"]
    required = {r.database for r in _required(component.create(_protocol(component)))}
    expect(requested <= required, f"it also reads {', '.join(sorted(requested - required))}")


@check()
def protocols_split_the_beats(component: ComponentUnderTest, seed: int) -> None:
    """Each declared protocol splits the beats into disjoint parts, with patients kept apart."""
    spec = component.spec
    assert isinstance(spec, DatasetSpec)
    known = protocol_names()
    expect(
        spec.protocol in spec.protocols,
        f"its default {spec.protocol!r} is not one of its protocols",
    )
    unknown = [name for name in spec.protocols if name not in known]
    expect(not unknown, f"there is no protocol {', '.join(unknown)}")
    for protocol in spec.protocols:
        _expect_split(component, protocol)


@check()
def partitions_are_disjoint(component: ComponentUnderTest, seed: int) -> None:
    """Fixed training and test records of a protocol are disjoint and belong to the dataset."""
    dataset, beats = component.create(_protocol(component)), _beats(component)
    fixed = 0
    for protocol in protocol_names():
        partition = fixed_records(dataset, protocol)
        if partition is None:
            continue
        fixed += 1
        expect(set(partition) == {"train", "test"}, f"{protocol}: parts {sorted(partition)}")
        train, test = (set(partition[part]) for part in ("train", "test"))
        expect(not train & test, f"{protocol}: {sorted(train & test)[:3]} are in both parts")
        absent = (train | test) - set(beats.records)
        expect(not absent, f"{protocol}: {sorted(absent)[:3]} are not its records")
    if not fixed:
        raise NotApplicable("it fixes the records of no protocol")


@dataclass
class _Source:
    """The records on this machine, which remembers which databases were requested.

    Attributes:
        inner: The source of the records.
        scratch: Folder for records that a dataset generates.
        requested: Names of the databases requested.
    """

    inner: LocalSource
    scratch: Path
    requested: set[str] = field(default_factory=set)

    def folder(self, database: str) -> Path:
        self.requested.add(database)
        return self.inner.folder(database)

    def made(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _protocol(component: ComponentUnderTest) -> str:
    spec = component.spec
    assert isinstance(spec, DatasetSpec)
    return spec.protocol


def _beats(component: ComponentUnderTest) -> Beats:
    """Return the beats under the default protocol, loaded once."""
    return _load_once(component, _protocol(component))


def _load_once(component: ComponentUnderTest, protocol: str) -> Beats:
    key = component.options(protocol).model_dump_json()
    if key not in component.cache:
        component.cache[key] = _load(component, protocol)
    beats: Beats = component.cache[key]
    return beats


def _load(component: ComponentUnderTest, protocol: str) -> Beats:
    dataset = component.create(protocol)
    local = LocalSource(Path(component.data) if component.data else None)
    for requirement in _required(dataset):
        try:
            local.require(requirement)
        except MissingDataError as error:
            if component.data:
                raise
            raise NotApplicable(f"its records are not on this machine: {error.what}") from error
    with TemporaryDirectory() as scratch:
        source = _Source(local, Path(scratch))
        beats: Any = dataset.load(source, Silent())
    expect(isinstance(beats, Beats), f"load returns a {type(beats).__name__}, not Beats")
    component.cache.setdefault("requested", set()).update(source.requested)
    return beats  # type: ignore[no-any-return]


def _required(dataset: Dataset) -> list[Requirement]:
    return list(requirements_of(dataset))


def _expect_range(name: str, values: Any, limit: int) -> None:
    inside = bool(((values >= 0) & (values < limit)).all())
    expect(inside, f"{name} is outside 0…{limit - 1}")


def _expect_split(component: ComponentUnderTest, protocol: str) -> None:
    dataset, beats = component.create(protocol), _load_once(component, protocol)
    options = protocol_options(protocol)()
    folds = range(open_folds(options))
    for chosen in [options.model_copy(update={"fold": fold}) for fold in folds] or [options]:
        try:
            parts = split(protocol, chosen, beats, dataset)
        except ProtocolError as error:
            raise ContractViolation(f"{protocol}: {error}") from error
        _expect_disjoint(protocol, parts, beats)


def _expect_disjoint(protocol: str, parts: Split, beats: Beats) -> None:
    indices = [parts.train, parts.validation, parts.test]
    together = np.concatenate(indices)
    expect(len(np.unique(together)) == len(together), f"{protocol}: a beat is in two parts")
    if protocol in ("patient-kfold", "inter-patient-strict"):
        of_beat = np.asarray(beats.subjects)[beats.record]
        people = [set(of_beat[index].tolist()) for index in indices]
        shared = (people[0] & people[1]) | (people[0] & people[2]) | (people[1] & people[2])
        expect(not shared, f"{protocol}: {sorted(shared)[:3]} are in two parts")
