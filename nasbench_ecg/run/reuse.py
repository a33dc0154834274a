"""Results that another suite has already: the same key is the same run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from nasbench_ecg.run.record import RecordStore, RunRecord
from nasbench_ecg.run.suite import PlannedRun


def take_over(runs: Sequence[PlannedRun], store: RecordStore) -> list[RunRecord]:
    """Copy into a suite the results that other suites in the same folder have of its runs.

    A record is taken over if it is ``ok``, was made under the same profile, which names its track,
    and its JSON artifacts can be read; they come along. Its weights stay where they are.

    Raises:
        StorageError: There is no space, or the folder cannot be written.
    """
    taken = []
    for run in runs:
        for other, record in elsewhere(run, store):
            with suppress(ValueError, OSError):
                artifacts = _artifacts(other, run.key)
                copy = record.model_copy(update={"suite": store.suite})
                store.write(copy, artifacts)
                taken.append(copy)
                break
    return taken


def elsewhere(run: PlannedRun, store: RecordStore) -> Iterator[tuple[RecordStore, RunRecord]]:
    """Yield the results that other suites in the same folder have of a run."""
    if not store.out.is_dir():
        return
    for folder in sorted(store.out.iterdir()):
        if folder.is_dir() and folder.name != store.suite and not folder.name.startswith("."):
            other = RecordStore(store.out, folder.name)
            record = other.read(run.key)
            if record and record.status == "ok" and record.profile == run.config.profile:
                yield other, record


def _artifacts(store: RecordStore, run_key: str) -> dict[str, object]:
    folder = store.path(run_key).with_suffix("")
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
