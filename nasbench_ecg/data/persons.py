"""Persons across databases: the same person may have records in several of them.

The QT Database, for example, contains excerpts of MIT-BIH records. A network trained on MIT-BIH has
seen these persons. A dataset names the persons of its records
(:class:`~nasbench_ecg.contracts.NamesPersons`), as ``mitdb/213``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nasbench_ecg.contracts import Dataset, NamesPersons
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.signal.noise import NOISE_DATABASE


def persons_of(
    dataset: Dataset, name: str, records: Sequence[str], subjects: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the person of each record, as ``database/name``.

    A record of which the dataset names no person is of the person that it names for another record
    of the same subject, if there is one.

    Args:
        dataset: The dataset.
        name: Its name, which stands for the database if it requires none.
        records: Names of records.
        subjects: The subject of each of ``records``, where the beats are loaded; by default each
            record is a subject of its own.
    """
    databases = (need.database for need in requirements_of(dataset))
    database = next((found for found in databases if found != NOISE_DATABASE), name)
    stated = dataset.persons() if isinstance(dataset, NamesPersons) else {}
    subject_of = dict(zip(records, subjects or records, strict=True))
    return stated_persons(stated, subject_of, database)


def stated_persons(
    stated: Mapping[str, str], subject_of: Mapping[str, str], database: str
) -> dict[str, str]:
    """Return the person of each record of ``subject_of``, which holds its subject.

    Args:
        stated: The person of some records.
        subject_of: The subject of each record.
        database: Where subjects are persons of whom ``stated`` has no record.
    """
    of_subject: dict[str, str] = {}
    for record in sorted(stated.keys() & subject_of, reverse=True):
        of_subject[subject_of[record]] = stated[record]
    return {
        record: stated.get(record, of_subject.get(subject, f"{database}/{subject}"))
        for record, subject in subject_of.items()
    }


def with_persons(beats: Beats, dataset: Dataset) -> Beats:
    """Return the same beats, with one subject for all records of a person.

    Records of one subject, or of one person that the dataset names, get the first of their subjects
    in alphabetical order.
    """
    if not isinstance(dataset, NamesPersons):
        return beats
    stated = dataset.persons()
    of_person: dict[str, set[str]] = {}
    for record, subject in zip(beats.records, beats.subjects, strict=True):
        if record in stated:
            of_person.setdefault(stated[record], set()).add(subject)
    first = {subject: min(group) for group in _joined(of_person.values()) for subject in group}
    subjects = tuple(first.get(subject, subject) for subject in beats.subjects)
    return beats if subjects == beats.subjects else replace(beats, subjects=subjects)


def shared_records(persons: Mapping[str, str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the records whose person is among ``others``, in the order of ``persons``."""
    known = set(others)
    return tuple(record for record, person in persons.items() if person in known)


def _joined(groups: Iterable[set[str]]) -> list[set[str]]:
    """Return the groups, those with a common member united."""
    of_member: dict[str, set[str]] = {}
    for group in groups:
        united = group.union(*(of_member.get(member, ()) for member in group))
        of_member.update(dict.fromkeys(united, united))
    return list({id(group): group for group in of_member.values()}.values())
