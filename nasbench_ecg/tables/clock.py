"""Seconds of a table's own processor, for the trainings that another processor or a GPU did.

The simulated clock of a search counts the seconds that one training takes on one processor, that
of the table's first trainings. A stack of networks has no such seconds, and another processor has
others. They are predicted from the trainings that were measured: the time of a network is the sum
of the times of its layers, which are proportional to the work of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor, nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Task
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.files import load_table
from nasbench_ecg.tables.find import find_tables
from nasbench_ecg.tables.table import Table
from nasbench_ecg.tables.training import MemberResult
from nasbench_ecg.training.costs import build_network
from nasbench_ecg.training.seeding import seeded

_FEWEST = 100
"""Measured members from which a table has a model of its own."""
_FEWEST_TO_SCALE = 5
"""Measured members that the model of another table, or its seconds, are scaled with."""

Work = Mapping[str, float]
"""Work of a network by kind of layer."""


def layer_work(arch: Architecture, builder: Builder, task: Task) -> dict[str, float]:
    """Return the work of a network's layers by kind, which includes kernel and output channels.

    It is the number of input channels of a convolution times the samples that it puts out; the
    samples that go in for other layers; and one for the network.
    """
    with seeded(0):
        model = build_network(arch, task, builder).eval()
    work: dict[str, float] = {"network": 1.0}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv1d):
            kind = f"conv {module.kernel_size[0]}/{module.stride[0]} {module.out_channels}"
            kind += " depthwise" * (module.groups > 1)
            amount = module.in_channels // module.groups * output.shape[-1]
        else:
            kind = f"{type(module).__name__} {inputs[0].shape[1]}"
            amount = inputs[0].shape[-1]
        work[kind] = work.get(kind, 0.0) + amount

    hooks = [
        module.register_forward_hook(watch)
        for module in model.modules()
        if not list(module.children())
    ]
    with torch.inference_mode():
        model(torch.zeros(1, task.n_leads, task.n_samples))
    for hook in hooks:
        hook.remove()
    return work


@dataclass(frozen=True)
class Clock:
    """Predicts the processor seconds of a member's training.

    Attributes:
        kinds: Kinds of layers.
        seconds: Seconds of one unit of work of each kind.
        shares: Share of the seconds at the end of each epoch.
        members: Number of measured members that it was fitted on.
        error: Median relative error of a member that was left out of the fit.
        processor: The machine whose seconds it predicts.
    """

    kinds: tuple[str, ...]
    seconds: NDArray[np.float64]
    shares: NDArray[np.float64]
    members: int
    error: float
    processor: str

    def predict(self, work: Sequence[Work]) -> NDArray[np.float32]:
        """Return the seconds until the end of each epoch, [networks, E]."""
        total = _matrix(work, self.kinds) @ self.seconds
        return (total[:, None] * self.shares).astype(np.float32)


def fit_clock(table: Table, builder: Builder, task: Task, reference: Table | None = None) -> Clock:
    """Fit the clock of a table on its trainings that were measured on a processor.

    Args:
        table: The table.
        builder: Makes the networks.
        task: The beats of the table, for the sizes of the networks.
        reference: A table of the same space with more measured members. If ``table`` has few, the
            clock is that of the reference, scaled by one factor to the members of ``table``.

    Raises:
        TableError: Too few trainings were measured.
    """
    rows, seconds, shares, processor = _measured(table)
    own = [layer_work(table.members[row], builder, task) for row in rows]
    if len(rows) >= _FEWEST or reference is None:
        if len(rows) < _FEWEST:
            raise _too_few(table, len(rows), _FEWEST)
        kinds = tuple(sorted({kind for work in own for kind in work}))
        matrix = _matrix(own, kinds)
        fitted, error = _fit(matrix, seconds), _left_out(matrix, seconds)
        return Clock(kinds, fitted, shares, len(rows), error, processor)
    if len(rows) < _FEWEST_TO_SCALE:
        raise _too_few(table, len(rows), _FEWEST_TO_SCALE)
    at, reference_seconds, _, _ = _measured(reference)
    works = [layer_work(reference.members[row], builder, task) for row in at]
    if len(at) < _FEWEST:
        raise _too_few(reference, len(at), _FEWEST)
    kinds = tuple(sorted({kind for work in [*works, *own] for kind in work}))
    fitted = _fit(_matrix(works, kinds), reference_seconds)
    ratio = seconds / (_matrix(own, kinds) @ fitted)
    scale = float(np.median(ratio))
    error = float(np.median(np.abs(ratio / scale - 1)))
    return Clock(kinds, fitted * scale, shares, len(rows), error, processor)


def most_measured(space: str, tables: Path) -> Table | None:
    """Return the table of a space in which the most members were measured, if there is one.

    Raises:
        TableError: A table is damaged.
    """
    found = [load_table(one.folder) for one in find_tables(tables) if one.space == space]
    return max(found, key=lambda table: len(_measured(table)[0]), default=None)


def clock_of_other_processor(
    table: Table, machine: str, builder: Builder, task: Task, reference: Table | None = None
) -> Clock | None:
    """Return the clock of a table whose seconds are not those of this machine.

    Args:
        table: The table.
        machine: Processor, threads and torch version of this machine.
        builder: Makes the networks.
        task: The beats of the table, for the sizes of the networks.
        reference: As in :func:`fit_clock`.

    Returns:
        None if the table's seconds are those of this machine, or too few were measured for a clock.
    """
    if own_processor(table) in (None, machine):
        return None
    try:
        return fit_clock(table, builder, task, reference)
    except TableError:
        return None


def timed_by(
    clock: Clock, train: Callable[[Architecture, int], MemberResult], builder: Builder, task: Task
) -> Callable[[Architecture, int], MemberResult]:
    """Return ``train`` with the seconds of ``clock`` in place of those that it takes here."""

    def timed(arch: Architecture, seed: int) -> MemberResult:
        (seconds,) = clock.predict([layer_work(arch, builder, task)])
        return replace(train(arch, seed), seconds=seconds)

    return timed


_PREDICTED = "; seconds predicted for "


def with_seconds_of(machine: str, processor: str) -> str:
    """Return the name of a machine whose trainings have the seconds of another processor."""
    return f"{machine}{_PREDICTED}{processor}"


def trained_on(machine: str) -> str:
    """Return the machine of a card without whose seconds its trainings have."""
    return machine.partition(_PREDICTED)[0]


def is_measured(machine: str) -> bool:
    """Tell whether the seconds of a machine's trainings were measured on it."""
    return _PREDICTED not in machine


def clocked_by(machine: str) -> str:
    """Return the processor whose seconds the trainings of a machine of a card have."""
    return machine.partition(_PREDICTED)[2] or machine


def clocks(table: Table) -> list[str]:
    """Return the processors whose seconds a table holds: one, unless seconds are mixed."""
    used = np.unique(table.arrays["machine"][table.trained]).tolist()
    return list(dict.fromkeys(clocked_by(table.card.machines[i]) for i in used))


def seconds_ratio(table: Table, other: Table, processor: str) -> float | None:
    """Return how long the table's own processor takes in seconds of a processor of another table.

    It is the median over members that both have measured; None with fewer than five.
    """
    rows, seconds, _, _ = _measured(table)
    number = [i for i, name in enumerate(other.card.machines) if name == processor]
    there = other.trained & np.isin(other.arrays["machine"], number)
    ratios = [
        own / float(other.arrays["seconds"][row, there[row], -1].mean())
        for row, own in zip(rows, seconds.tolist(), strict=True)
        if there[row].any()
    ]
    return float(np.median(ratios)) if len(ratios) >= _FEWEST_TO_SCALE else None


def own_processor(table: Table) -> str | None:
    """Return the machine whose seconds a table holds: the first that measured any."""
    used = np.unique(table.arrays["machine"][table.trained]).tolist()
    measured = [name for i in used if is_measured(name := table.card.machines[i])]
    return measured[0] if measured else None


def _measured(
    table: Table,
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64], str]:
    """Return the rows that the table's processor trained, their seconds, and the epochs' shares."""
    machines = table.card.machines
    processor = own_processor(table)
    number = -1 if processor is None else machines.index(processor)
    measured = table.trained & (table.arrays["machine"] == number)
    rows = np.flatnonzero(measured.any(axis=1))
    by_epoch = np.array(
        [table.arrays["seconds"][row, measured[row]].mean(axis=0) for row in rows], np.float64
    ).reshape(len(rows), table.card.recipe.epochs)
    total = by_epoch[:, -1]
    shares = np.median(by_epoch / total[:, None], axis=0) if len(rows) else total
    return rows.tolist(), total, shares, processor or ""


def _matrix(work: Sequence[Work], kinds: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[one.get(kind, 0.0) for kind in kinds] for one in work])


def _fit(matrix: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds of one unit of work, at least zero, with the least relative errors."""
    return np.asarray(nnls(matrix / seconds[:, None], np.ones(len(seconds)))[0])


def _left_out(matrix: NDArray[np.float64], seconds: NDArray[np.float64]) -> float:
    """Return the median relative error in cross-validation over ten parts."""
    errors: list[Any] = []
    for part in range(10):
        test = np.arange(len(seconds)) % 10 == part
        fitted = _fit(matrix[~test], seconds[~test])
        errors.extend(np.abs(matrix[test] @ fitted / seconds[test] - 1))
    return float(np.median(errors))


def _too_few(table: Table, found: int, needed: int) -> TableError:
    return TableError(
        f"The seconds of {found} members were measured, which is too few to predict the others.",
        where=f"table of {table.card.space.name}, {table.card.track}",
        fix=f"Train {needed} members on a CPU first: 'nasbench-ecg table build' without --device.",
    )
