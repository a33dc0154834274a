"""What a dataset declares of its records: which files it reads, and fixed training and test parts.

The methods of a dataset are written by others, so what they return is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasbench_ecg.contracts import Dataset, Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import NasbenchError, PluginError, ProtocolError, describe_error

_PARTS = ("train", "test")


def requirements_of(dataset: Dataset) -> tuple[Requirement, ...]:
    """Return the files that a dataset reads.

    Raises:
        PluginError: Its method ``requires`` fails, or returns something else.
    """
    where = f"{type(dataset).__module__}.{type(dataset).__qualname__}.requires"
    try:
        found = dataset.requires()
        needs = None if isinstance(found, str) else tuple(found)
    except NasbenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"The dataset does not say which records it reads: {describe_error(error)}.",
            where=where,
            fix="Correct 'requires': it returns a list of Requirement, empty if it reads no file.",
        ) from error
    if needs is None or (wrong := [one for one in needs if not isinstance(one, Requirement)]):
        what = repr(found) if needs is None else f"a list with {wrong[0]!r:.60}"
        raise PluginError(
            f"The dataset returns {what} as the records that it reads.",
            where=where,
            fix='Return a list of requirements: [Requirement("mitdb", ("100", "101"))].',
        )
    return needs


def fixed_records(dataset: Dataset, protocol: str) -> dict[str, tuple[str, ...]] | None:
    """Return the names of the training and of the test records; None if the dataset fixes none.

    Raises:
        PluginError: The dataset's method ``partition`` returns something else.
    """
    found: object = dataset.partition(protocol)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise _invalid(dataset, protocol, f"it is of the type {type(found).__name__}")
    if {*found} != {*_PARTS}:
        names = ", ".join(sorted(map(str, found))) or "none"
        raise _invalid(dataset, protocol, f"its parts are {names}")
    records = {}
    for part in _PARTS:
        given = found[part]
        listed = None if isinstance(given, str) or not isinstance(given, Iterable) else (*given,)
        if listed is None:
            raise _invalid(dataset, protocol, f"{part} is {given!r:.60}, which is no list")
        if wrong := [name for name in listed if not isinstance(name, str)]:
            raise _invalid(dataset, protocol, f"{part} has {wrong[0]!r:.60}, which is no name")
        records[part] = listed
    return records


def check_partition(protocol: str, partition: Mapping[str, Sequence[str]], beats: Beats) -> None:
    """Check that fixed records are loaded, and that none is in both parts.

    Raises:
        ProtocolError: They are not, or one is.
    """
    both = sorted(set(partition["train"]) & set(partition["test"]))
    if both:
        raise ProtocolError(
            f"{protocol}: records {', '.join(both)} are in the training and in the test part.",
            fix="Correct the partition of the dataset.",
        )
    absent = sorted({*partition["train"], *partition["test"]} - set(beats.records))
    if absent:
        raise ProtocolError(
            f"{protocol}: the records {', '.join(absent)} are required but not loaded.",
            where="dataset.records",
            fix="Load these records too, or choose another protocol.",
        )


def _invalid(dataset: Dataset, protocol: str, fault: str) -> PluginError:
    return PluginError(
        f"The dataset returned a partition for {protocol!r} that is not valid: {fault}.",
        where=f"{type(dataset).__module__}.{type(dataset).__qualname__}.partition",
        fix='Return {"train": [record, …], "test": [record, …]} with names of records, or None.',
    )
