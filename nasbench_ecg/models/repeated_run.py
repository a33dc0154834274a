"""Compare a repeated run with the record of the first."""

from __future__ import annotations

import math
from pathlib import Path

from nasbench_ecg.run.key import key_of_record
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file

_REPEATED = ("evaluations", "value", "best")
"""What a repeated search gives again at each point of its trajectory."""

_ROUNDS_ALIKE = {
    "code": "version of the code",
    "torch": "version of PyTorch",
    "cpu": "processor",
    "instructions": "set of instructions",
    "threads": "number of threads",
    "gpu": "GPU",
}
"""What must be equal for a repeated run to be equal, by its name in the provenance."""


def other_machine(record: RunRecord, again: RunRecord) -> str:
    """Return in which code and machine, by which sums are rounded, a repeated run differs."""
    before, now = {"code": None, **record.provenance}, again.provenance
    return " and ".join(
        f"another {name}"
        for key, name in _ROUNDS_ALIKE.items()
        if before.get(key, now.get(key)) != now.get(key)
    )


def other_scores(record: RunRecord, again: RunRecord, name: str) -> str | None:
    """Return which metric of a repeated run differs, and by how much.

    A score that is undefined in the repeated run may be 0 in the record, as in older ones.

    Args:
        record: The record of the first run.
        again: That of the repeated run.
        name: The metric that is named if it is among several that differ.

    Returns:
        A clause; None if nothing differs.
    """
    metrics, now = record.metrics, again.metrics
    names = {n for n in metrics if n in now or metrics[n] != 0 or "ec57_" not in n} | now.keys()
    changed = sorted(n for n in names if metrics.get(n) != now.get(n))
    if not changed:
        return None
    name = name if name in changed else changed[0]
    if name not in metrics or name not in now:
        return f"{name} is only in the {'repeated run' if name in now else 'record'}"
    return f"{name} is {_unequal(now[name], metrics[name])}"


def other_search(record: RunRecord, again: RunRecord) -> str | None:
    """Return how the search of a repeated run differs: its architecture or its trajectory.

    Args:
        record: The record of the first run.
        again: That of the repeated run.

    Returns:
        A clause; None if nothing differs.
    """
    if record.architecture != again.architecture:
        return "the architecture is another one"
    for i, (point, found) in enumerate(zip(record.trajectory, again.trajectory, strict=False)):
        for part in _REPEATED:
            if point.get(part) != found.get(part):
                texts = _unequal(found.get(part, math.nan), point.get(part, math.nan))
                return f"trajectory[{i}].{part} is {texts}"
    points = len(again.trajectory), len(record.trajectory)
    if points[0] != points[1]:
        return f"the number of points in the trajectory is {points[0]}, not {points[1]}"
    return None


def _unequal(found: float, stored: float) -> str:
    """Return two unequal numbers with as many decimals as tell them apart."""
    texts = ((f"{found:.{d}f}", f"{stored:.{d}f}") for d in range(4, 400))
    now, before = next(pair for pair in texts if pair[0] != pair[1])
    return f"{now}, not {before}"


def spread_of_seeds(path: Path, record: RunRecord, name: str, repeated: float) -> float | None:
    """Return the range of a metric over the other seeds of a method and the repeated run.

    The value of the record itself is left out: a wrong one would widen the range until it passes.

    Args:
        path: The record file, beside which those of the other seeds lie.
        record: The record.
        name: The metric.
        repeated: Its value in the repeated run.

    Returns:
        None without another seed.
    """
    own, values = _without_seeds(record), [repeated]
    for file in path.parent.glob("*.json"):
        other = read_record_file(file)
        if isinstance(other, DamagedRecord) or other.run_key == record.run_key:
            continue
        if other.status == "ok" and name in other.metrics and _without_seeds(other) == own:
            values.append(other.metrics[name])
    return max(values) - min(values) if len(values) > 1 else None


def _without_seeds(record: RunRecord) -> str:
    """Return a key that is equal for runs that differ in nothing but their seeds."""
    return key_of_record(record.model_copy(update={"search_seed": 0, "evaluation_seed": 0}))
