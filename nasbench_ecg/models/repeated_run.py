"""Compare a repeated run with the record of the first."""

from __future__ import annotations

from pathlib import Path

from nasbench_ecg.run.key import key_of_record
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import DamagedRecord, read_record_file


def difference(record: RunRecord, again: RunRecord, name: str) -> str:
    """Return what differs in a repeated run: a metric, preferably ``name``, or the architecture."""
    metrics, now = record.metrics, again.metrics
    changed = sorted({n for n in (*metrics, *now) if metrics.get(n) != now.get(n)})
    if not changed:
        return "the architecture is another one, with equal scores"
    name = name if name in changed else changed[0]
    if name not in metrics or name not in now:
        return f"{name} is only in the {'repeated run' if name in now else 'record'}"
    texts = ((f"{now[name]:.{d}f}", f"{metrics[name]:.{d}f}") for d in range(4, 400))
    found, stored = next(pair for pair in texts if pair[0] != pair[1])
    return f"{name} is {found}, not {stored}"


def spread_of_seeds(path: Path, record: RunRecord, name: str) -> float | None:
    """Return the range of a metric over the seeds of a method; None with fewer than two.

    Args:
        path: The record file, beside which those of the other seeds lie.
        record: The record.
        name: The metric.
    """
    own, values = _without_seeds(record), []
    for file in path.parent.glob("*.json"):
        other = read_record_file(file)
        if isinstance(other, DamagedRecord) or _without_seeds(other) != own:
            continue
        if other.status == "ok" and name in other.metrics:
            values.append(other.metrics[name])
    return max(values) - min(values) if len(values) > 1 else None


def _without_seeds(record: RunRecord) -> str:
    """Return a key that is equal for runs that differ in nothing but their seeds."""
    return key_of_record(record.model_copy(update={"search_seed": 0, "evaluation_seed": 0}))
