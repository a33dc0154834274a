"""Bring folders of results together, for example those of shards on different machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import StorageError
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_records
from nasbench_ecg.run.store import MADE_LATER, RecordStore, fault_of_files

_MEASURED = ("seconds", "provenance", "error", "suite", "command", "costs")
"""Entries that differ between two executions of one run."""

_COUNTED_COSTS = ("parameters", "macs", "flash_bytes", "ram_bytes")
"""Costs that do not: they follow from the network."""


@dataclass
class Merged:
    """What a merge has done.

    Attributes:
        copied: Records that were copied.
        equal: Records that were there with the same result.
        skipped: Files that are no readable records, with the reason.
    """

    copied: list[RunRecord] = field(default_factory=list)
    equal: list[RunRecord] = field(default_factory=list)
    skipped: list[DamagedRecord] = field(default_factory=list)


def merge_results(folders: Sequence[Path], out: Path) -> Merged:
    """Copy all records of ``folders`` with their files to ``out``.

    A finished record replaces an unfinished one. Of two equal results, one whose folder has all
    files of the other replaces it if it has more, or if those of the other are damaged, as after a
    merge that was killed. All records are compared before any is copied.

    Args:
        folders: Folders of results, as ``--out`` names them.
        out: Folder that receives them.

    Raises:
        StorageError: A folder does not exist, has no results or cannot be written, a file is not
            that of its run, or two records of one run have different results.
    """
    merged = Merged()
    known: dict[tuple[str, str], RunRecord] = {}
    copies: dict[tuple[str, str], Path] = {}
    for record in read_records(out)[0] if out.is_dir() else []:
        known[record.suite, record.run_key] = record
    for folder in folders:
        if not folder.is_dir():
            raise StorageError(
                "There is no such folder of results.", where=str(folder), fix="Check the path."
            )
        records, damaged = read_records(folder)
        if not records and not (folder / "tables").is_dir():
            raise _no_results(folder, damaged)
        merged.skipped += damaged
        for record in records:
            key = record.suite, record.run_key
            before = known.get(key)
            if before is not None and record.status != "ok":
                continue
            if before is not None and before.status == "ok":
                holder = copies.get(key, out)
                _compare(before, record, folder, holder)
                if not _is_better(record, folder, before, holder):
                    merged.equal.append(record)
                    continue
            known[key], copies[key] = record, folder
    for key, folder in copies.items():
        record = known[key]
        RecordStore(out, record.suite).copy(record, _folder_of(record, folder))
        merged.copied.append(record)
    return merged


def _is_better(record: RunRecord, folder: Path, before: RunRecord, holder: Path) -> bool:
    """Tell whether of two equal results the one in ``folder`` has more files, or intact ones."""
    own, others = _files(record, folder), _files(before, holder)
    return own > others or (
        own == others
        and bool(fault_of_files(before, _folder_of(before, holder)))
        and not fault_of_files(record, _folder_of(record, folder))
    )


def _folder_of(record: RunRecord, out: Path) -> Path:
    return RecordStore(out, record.suite).path(record.run_key).with_suffix("")


def _files(record: RunRecord, out: Path) -> set[Path]:
    """Return the paths of the files of a run that are in a folder of results, below its own."""
    folder = _folder_of(record, out)
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in paths if path.parts[0] in {*record.files, *MADE_LATER}}


def _no_results(folder: Path, damaged: Sequence[DamagedRecord]) -> StorageError:
    if damaged:
        return StorageError(
            f"There are no readable run records to merge. Of the first file: {damaged[0].reason}.",
            where=str(damaged[0].path),
            fix="Copy the folder again from where the runs were made, or make the runs again.",
        )
    return StorageError(
        "There are no readable run records and no tables to merge.",
        where=str(folder),
        fix="Name a folder of results, as --out names it for 'nasbench-ecg run'.",
    )


def _compare(before: RunRecord, record: RunRecord, folder: Path, other: Path) -> None:
    a, b = _result(before), _result(record)
    counted = [name for name in _COUNTED_COSTS if name in before.costs and name in record.costs]
    a["costs"], b["costs"] = ([one.costs[name] for name in counted] for one in (before, record))
    if different := [name for name in a if a[name] != b[name]]:
        raise StorageError(
            f"The run {record.run_key} has different results: {', '.join(different)}.",
            where=f"{RecordStore(other, record.suite).path(record.run_key)} and "
            f"{RecordStore(folder, record.suite).path(record.run_key)}",
            fix="Equal keys should give equal results. 'nasbench-ecg show' shows both; remove the "
            "one that is wrong.",
        )


def _result(record: RunRecord) -> dict[str, Any]:
    """Return what two executions of one run have in common."""
    data = record.model_dump(mode="json", exclude=set(_MEASURED))
    data["trajectory"] = [
        {name: value for name, value in point.items() if name != "seconds"}
        for point in data["trajectory"]
    ]
    kept = ("predictions.json",)  # other files hold times
    data["files"] = {name: digest for name, digest in data["files"].items() if name in kept}
    return data
