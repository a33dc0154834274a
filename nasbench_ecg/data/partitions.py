"""The training and test records that a dataset fixes for a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import PluginError, ProtocolError

_PARTS = ("train", "test")


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
