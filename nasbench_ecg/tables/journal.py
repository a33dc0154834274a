"""Journals of a table: trainings that are not yet in its arrays, one JSON line each."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasbench_ecg.io import json_sha256, storage_errors
from nasbench_ecg.tables.training import MemberResult

Training = tuple[int, int]
"""Row of a member, and a seed."""


_SEAL = "sha256"
_ENTRIES = frozenset(("member", "seed", "machine", "confusion", "nll", "seconds"))


def read_journal(path: Path) -> dict[Training, dict[str, Any]]:
    """Return the trainings in a shard's journal.

    A line that a kill cut short, or that is not what was written, is ignored. Lines of versions
    that wrote no digests are taken as they are. There are none if there is no file: another process
    may just have packed it.
    """
    found: dict[Training, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for text in lines:
        try:
            line = json.loads(text)
            sealed = line.pop(_SEAL, None)
            if line.keys() == _ENTRIES and sealed in (None, json_sha256(line)):
                found[line["member"], line["seed"]] = line
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
    return found


def journal_line(row: int, seed: int, machine: str, result: MemberResult) -> dict[str, Any]:
    """Return the line of a training in a journal, with its digest."""
    line = {
        "member": row,
        "seed": seed,
        "machine": machine,
        "confusion": result.confusion.tolist(),
        "nll": result.nll.astype(float).tolist(),
        "seconds": result.seconds.astype(float).tolist(),
    }
    return {**line, _SEAL: json_sha256(line)}


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one training to a journal and flush it to the disk."""
    append_lines(path, [line])


def append_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Append trainings to a journal and flush them to the disk."""
    with (
        storage_errors(path, option="--tables", what="The table"),
        path.open("a", encoding="utf-8") as file,
    ):
        file.write("".join("\n" + json.dumps(line) for line in lines))
        file.flush()
        os.fsync(file.fileno())
