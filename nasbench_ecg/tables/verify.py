"""Checking a table: some of its trainings are repeated and compared with what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.metrics import scores_of_many
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.clock import trained_on
from nasbench_ecg.tables.table import PARTS, Table
from nasbench_ecg.tables.training import MemberResult

METRIC = "f1_of_macro"

_LIMIT = 5.0
"""Standard deviations of a seed within which a training on another machine must lie."""


@dataclass(frozen=True)
class Repeated:
    """One repeated training.

    Attributes:
        row: The member.
        seed: The seed.
        equal: Whether all confusion matrices are equal.
        same_machine: Whether the table's training was made on a machine as this one.
        difference: Test score now minus that of the table, as a fraction.
        validation_difference: The same of the validation score, which searches see.
        other_costs: Costs of the member that are others than those of the table.
        holds: Whether no cost is another one and, on such a machine, the matrices are equal.
            Elsewhere, where rounding differs: whether both differences are within five standard
            deviations of a seed.
    """

    row: int
    seed: int
    equal: bool
    same_machine: bool
    difference: float
    validation_difference: float
    other_costs: tuple[str, ...]
    holds: bool


def verify(
    table: Table,
    train: Callable[[Architecture, int], MemberResult],
    machine: str,
    *,
    costs: Callable[[Architecture], Mapping[str, float]],
    sample: int,
    seed: int = 0,
) -> Iterator[Repeated]:
    """Repeat a random sample of a table's trainings.

    Args:
        table: The table.
        train: Trains a member with a seed.
        machine: Processor, its instructions, threads and torch version of this machine.
        costs: Returns the costs of a member by name.
        sample: Trainings to repeat; at most all are.
        seed: Seed of the sample.

    Raises:
        TableError: No member is trained; or no member has two seeds, so that trainings of other
            machines cannot be compared.
    """
    table.refuse_untrained()
    trained = np.argwhere(table.trained)
    chosen = np.random.default_rng(seed).permutation(len(trained))[:sample]
    scores = np.stack([table.values(part, METRIC)[:, :, -1] for part in PARTS])
    limits = [_LIMIT * seed_deviation(table, part) for part in PARTS]
    for row, training_seed in trained[chosen].tolist():
        made_by = trained_on(table.card.machines[table.arrays["machine"][row, training_seed]])
        same = made_by == machine
        if not same and np.isnan(limits).any():
            raise TableError(
                "No member has two seeds, so the noise of a seed is not known.",
                where=f"this machine: {machine}",
                fix=f"Repeat trainings on the machine that made them: {made_by}.",
            )
        result = train(table.members[row], training_seed)
        equal = bool((result.confusion == table.arrays["confusion"][row, training_seed]).all())
        now = scores_of_many(result.confusion[-1], table.card.classes, table.card.macro_classes)
        differences = now[METRIC] - scores[:, row, training_seed]
        counted = costs(table.members[row])
        others = (
            name
            for name, values in table.costs().items()
            if name in counted and values[row] != counted[name]
        )
        validation, test = differences.tolist()
        near = bool((np.abs(differences) <= limits).all())
        other_costs = tuple(others)
        holds = not other_costs and (equal if same else near)
        yield Repeated(row, training_seed, equal, same, test, validation, other_costs, holds)


def seed_deviation(table: Table, part: str = "test") -> float:
    """Return the standard deviation of a seed's score, pooled over members, or NaN."""
    scores = table.values(part, METRIC)[:, :, -1]
    counts = np.asarray(table.trained.sum(axis=1))
    several = scores[counts > 1]
    if not len(several):
        return float("nan")
    return float(np.sqrt(np.nanmean(np.nanvar(several, axis=1, ddof=1))))
