"""Run records read from files: each whole and consistent, or named as damaged."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nasbench_ecg.errors import StorageError
from nasbench_ecg.io import to_json
from nasbench_ecg.run.record import SCHEMA_VERSION, RunRecord
from nasbench_ecg.run.validation import check_json, check_record, describe_invalid

_RECORD_NAME = re.compile(r"[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class DamagedRecord:
    """A file that is not a readable run record."""

    path: Path
    reason: str


def read_record_file(path: Path) -> RunRecord | DamagedRecord:
    """Return the record in a file, or why the file is damaged; never raises.

    A record is read only if every command can show it: see :mod:`nasbench_ecg.run.validation`.
    """
    try:
        record = _parse(path.read_text(encoding="utf-8"))
        if path.stem != record.run_key:
            reason = f"run_key is {record.run_key}, which is not the name of the file"
            return DamagedRecord(path=path, reason=reason)
        return record
    except OSError as error:
        return DamagedRecord(path=path, reason=error.strerror or str(error))
    except json.JSONDecodeError as error:
        return DamagedRecord(path=path, reason=f"not JSON: {error}")
    except ValidationError as error:
        return DamagedRecord(path=path, reason=describe_invalid(error))
    except (ValueError, RecursionError) as error:
        return DamagedRecord(path=path, reason=str(error).splitlines()[0])


def fault_of_record(record: RunRecord) -> str:
    """Return why ``record`` could not be read from a file; "" if it could."""
    try:
        _parse(to_json(record.model_dump(mode="json")).encode().decode())
    except ValidationError as error:
        return describe_invalid(error)
    except (ValueError, TypeError, RecursionError) as error:
        return str(error).splitlines()[0]
    return ""


def _parse(text: str) -> RunRecord:
    """Return the record that a JSON text describes.

    Raises:
        ValueError: The text is no such record.
    """
    data = json.loads(text, parse_constant=_refuse_constant)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version!r:.40}, not {SCHEMA_VERSION}")
    check_json(data)
    record = RunRecord.model_validate(data)
    check_record(record)
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"not JSON: {name} is not a number of JSON")


def read_records(
    out: Path, suite: str | None = None, prefix: str = ""
) -> tuple[list[RunRecord], list[DamagedRecord]]:
    """Return the records of one suite or of all, in the order of their paths, and damaged files.

    Args:
        out: Folder of results. Its folder ``speed`` is not a suite: it holds the output of
            ``benchmarks/speed``.
        suite: The suite; by default all.
        prefix: The first characters of the run keys.

    Raises:
        StorageError: ``out`` is the folder of one suite.
    """
    found = [_in_its_folder(path) for path in _record_files(out, suite, prefix)]
    return (
        [item for item in found if isinstance(item, RunRecord)],
        [item for item in found if isinstance(item, DamagedRecord)],
    )


def _in_its_folder(path: Path) -> RunRecord | DamagedRecord:
    """Return the record in a file, as one of the suite whose folder it lies in."""
    record = read_record_file(path)
    if isinstance(record, RunRecord):
        record.suite = path.parent.name
    return record


def check_results_folder(out: Path) -> None:
    """Check that a folder is not that of one suite, which is easily named in place of it.

    Raises:
        StorageError: It holds run records itself, and not in the folders of suites.
    """
    if any(_RECORD_NAME.fullmatch(path.name) for path in Path(out).glob("*.json")):
        folder = Path(out).resolve()
        raise StorageError(
            "This is the folder of one suite, not one of results.",
            where=str(out),
            fix=f"Name the folder {folder.parent}; the suite is {folder.name!r}.",
        )


def _record_files(out: Path, suite: str | None = None, prefix: str = "") -> list[Path]:
    """Return the files of records.

    Raises:
        StorageError: ``out`` is the folder of one suite.
    """
    check_results_folder(out)
    paths = Path(out).glob(f"{suite}/*.json" if suite else "*/*.json")
    return sorted(
        path for path in paths if path.stem.startswith(prefix) and path.parent.name != "speed"
    )


def record_path(out: Path, prefix: str) -> Path:
    """Return the file of the record whose run key starts with ``prefix``, damaged or not.

    If several suites have the run, a successful one is returned.

    Raises:
        StorageError: There is none, there is more than one, or ``out`` is the folder of one suite.
    """
    found = _record_files(out, prefix=prefix)
    if len({path.stem for path in found}) != 1:
        key = find_record(out, prefix).run_key
        found = [path for path in found if path.stem == key]
    return min(found, key=lambda path: getattr(read_record_file(path), "status", "") != "ok")


def find_record(out: Path, prefix: str) -> RunRecord:
    """Return the record whose run key starts with ``prefix``.

    If several suites have a record of the run, a successful one is returned.

    Raises:
        StorageError: There is none, its file is damaged, there is more than one, or ``out`` is
            the folder of one suite.
    """
    found, damaged = read_records(out, prefix=prefix)
    if len({r.run_key for r in found}) == 1:
        return min(found, key=lambda record: record.status != "ok")
    if found:
        keys = sorted({r.run_key for r in found})
        raise StorageError(
            f"{len(keys)} run keys start with {prefix!r}.",
            where=str(out),
            fix=f"Give more characters of the key: {', '.join(keys[:5])}.",
        )
    if damaged:
        raise StorageError(
            f"The record of the run {prefix!r} is damaged: {damaged[0].reason}.",
            where=str(damaged[0].path),
            fix="Run it again: the damaged record is then replaced.",
        )
    raise StorageError(
        f"There is no run {prefix!r}.",
        where=str(out),
        fix="'nasbench-ecg show' lists the runs; --out names another folder.",
    )
