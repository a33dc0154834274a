"""What every dataset must do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasbench_ecg.contracts import Dataset, Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.protocols import protocol_names, protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError, ProtocolError
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.testing.fixtures import Subject, shaken, watched
from nasbench_ecg.testing.harness import Broken, Check, NotApplicable, claims, expect

_DTYPES = {"signals": "float32", "labels": "int64", "record": "int32", "sample": "int64"}


@claims()
def its_beats_are_well_formed(subject: Subject, seed: int) -> None:
    """Signals are finite float32, labels and records in range, and no beat stands there twice."""
    beats = _beats(subject)
    expect(len(beats) > 0, "there are no beats")
    for name, dtype in _DTYPES.items():
        found = getattr(beats, name).dtype
        expect(found == dtype, f"{name} is {found}, not {dtype}")
    expect(bool(np.isfinite(beats.signals).all()), "signals hold what is no number")
    expect(beats.n_samples > 0 and beats.fs > 0, f"{beats.n_samples} samples at {beats.fs} Hz")
    _must_lie_within("labels", beats.labels, beats.n_classes)
    _must_lie_within("record", beats.record, len(beats.records))
    expect(bool((beats.sample >= 0).all()), "a beat has its R peak before its record")
    for name in ("classes", "records", "leads"):
        listed = getattr(beats, name)
        expect(len(set(listed)) == len(listed), f"{name} names one twice: {listed}")
    places = set(zip(beats.record.tolist(), beats.sample.tolist(), strict=True))
    expect(len(places) == len(beats), f"{len(beats)} beats stand at {len(places)} places")
    present = sum(n > 0 for n in beats.counts().values())
    expect(present > 1, "all beats are of one class")


@claims()
def every_record_has_its_patient(subject: Subject, seed: int) -> None:
    """Each record names its person, by which protocols keep patients apart."""
    beats = _beats(subject)
    n_records, n_subjects = len(beats.records), len(beats.subjects)
    expect(n_records == n_subjects, f"{n_records} records and {n_subjects} subjects")
    nameless = [r for r, s in zip(beats.records, beats.subjects, strict=True) if not str(s).strip()]
    expect(not nameless, f"records without a subject: {', '.join(nameless[:3])}")


@claims()
def equal_options_give_equal_beats(subject: Subject, seed: int) -> None:
    """Loaded again, the beats are the same, whatever the state of global generators."""
    first = _beats(subject)
    with shaken(2), watched(f"the dataset {subject.spec.name!r}"):
        again = _load(subject, _protocol(subject))
    expect(first.fingerprint() == again.fingerprint(), "the beats are others the second time")


@claims()
def it_reads_only_what_it_requires(subject: Subject, seed: int) -> None:
    """Loading looks into no folder but those of the databases that requires() lists."""
    _beats(subject)
    asked = subject.found["asked"]
    required = {r.database for r in _required(subject.create(_protocol(subject)))}
    expect(asked <= required, f"it also reads {', '.join(sorted(asked - required))}")


@claims()
def it_can_be_split_by_its_protocols(subject: Subject, seed: int) -> None:
    """Each protocol it declares splits its beats into parts that share no beat, nor a patient."""
    spec = subject.spec
    assert isinstance(spec, DatasetSpec)
    known = protocol_names()
    expect(spec.protocol in spec.protocols, f"{spec.protocol!r} is none of its protocols")
    strange = [name for name in spec.protocols if name not in known]
    expect(not strange, f"there is no protocol {', '.join(strange)}")
    for protocol in spec.protocols:
        _must_be_split(subject, protocol)


@claims()
def its_partitions_are_disjoint(subject: Subject, seed: int) -> None:
    """Where it fixes the records of a protocol, none stands on both sides, and all are its own."""
    dataset, beats = subject.create(_protocol(subject)), _beats(subject)
    fixed = 0
    for protocol in protocol_names():
        partition = dataset.partition(protocol)
        if partition is None:
            continue
        fixed += 1
        expect(set(partition) == {"train", "test"}, f"{protocol}: parts {sorted(partition)}")
        train, test = (set(partition[part]) for part in ("train", "test"))
        expect(not train & test, f"{protocol}: {sorted(train & test)[:3]} stand on both sides")
        absent = (train | test) - set(beats.records)
        expect(not absent, f"{protocol}: {sorted(absent)[:3]} are none of its records")
    if not fixed:
        raise NotApplicable("it fixes the records of no protocol")


@dataclass
class _Source:
    """The records of this machine, and which databases were asked for.

    Attributes:
        inner: Where they lie.
        scratch: Folder for records that a dataset makes.
        asked: Names of the databases asked for.
    """

    inner: LocalSource
    scratch: Path
    asked: set[str] = field(default_factory=set)

    def folder(self, database: str) -> Path:
        self.asked.add(database)
        return self.inner.folder(database)

    def made(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _protocol(subject: Subject) -> str:
    spec = subject.spec
    assert isinstance(spec, DatasetSpec)
    return spec.protocol


def _beats(subject: Subject) -> Beats:
    """Return the beats under the dataset's own protocol, loaded once."""
    return _load_once(subject, _protocol(subject))


def _load_once(subject: Subject, protocol: str) -> Beats:
    key = subject.options(protocol).model_dump_json()
    if key not in subject.found:
        subject.found[key] = _load(subject, protocol)
    beats: Beats = subject.found[key]
    return beats


def _load(subject: Subject, protocol: str) -> Beats:
    dataset = subject.create(protocol)
    local = LocalSource()
    for requirement in _required(dataset):
        try:
            local.require(requirement)
        except MissingDataError as error:
            raise NotApplicable(f"needs records that are not here: {error.what}") from error
    with TemporaryDirectory() as scratch:
        source = _Source(local, Path(scratch))
        beats: Any = dataset.load(source, Silent())
    expect(isinstance(beats, Beats), f"load returns a {type(beats).__name__}, no Beats")
    subject.found.setdefault("asked", set()).update(source.asked)
    return beats  # type: ignore[no-any-return]


def _required(dataset: Dataset) -> list[Requirement]:
    return list(dataset.requires())


def _must_lie_within(name: str, values: Any, limit: int) -> None:
    inside = bool(((values >= 0) & (values < limit)).all())
    expect(inside, f"{name} lies outside 0…{limit - 1}")


def _must_be_split(subject: Subject, protocol: str) -> None:
    dataset, beats = subject.create(protocol), _load_once(subject, protocol)
    try:
        parts = split(protocol, protocol_options(protocol)(), beats, dataset)
    except ProtocolError as error:
        raise Broken(f"{protocol}: {error}") from error
    indices = [parts.train, parts.validation, parts.test]
    together = np.concatenate(indices)
    expect(len(np.unique(together)) == len(together), f"{protocol}: a beat stands in two parts")
    if protocol in ("patient-kfold", "inter-patient-strict"):
        of_beat = np.asarray(beats.subjects)[beats.record]
        people = [set(of_beat[index].tolist()) for index in indices]
        shared = (people[0] & people[1]) | (people[0] & people[2]) | (people[1] & people[2])
        expect(not shared, f"{protocol}: {sorted(shared)[:3]} stand in two parts")


CHECKS: tuple[Check, ...] = (
    its_beats_are_well_formed,
    every_record_has_its_patient,
    equal_options_give_equal_beats,
    it_reads_only_what_it_requires,
    it_can_be_split_by_its_protocols,
    its_partitions_are_disjoint,
)
