"""What simulated searches found: the incumbent's test score, and the hypervolume of their fronts.

References:
    Zitzler, Thiele 1999, "Multiobjective Evolutionary Algorithms: A Comparative Case Study and the
    Strength Pareto Approach", IEEE Trans. Evol. Comput. 3(4): the hypervolume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.lookup import METRIC
from nasbench_ecg.tables.simulate import Simulation
from nasbench_ecg.tables.table import Table

By = Literal["evaluation", "seconds"]
"""What the progress of a search is measured in."""


def best_so_far(
    simulation: Simulation, table: Table, points: Sequence[float], by: By = "evaluation"
) -> NDArray[np.float64]:
    """Return the test score of the incumbent at some points of a search, [repetitions, points].

    A test score is the mean over the first three seeds of the member, or those of them that are
    trained, in which the luck of one training averages out.

    Args:
        simulation: The searches.
        table: Their table.
        points: Numbers of evaluations, or simulated seconds.
        by: Which of the two. An evaluation counts when it is complete, the first one always.
    """
    return table.mean_test_scores(METRIC)[incumbent_members(simulation, points, by)]


def incumbent_members(
    simulation: Simulation, points: Sequence[float], by: By = "evaluation"
) -> NDArray[np.int64]:
    """Return the row of the incumbent in the table at some points, [repetitions, points].

    The incumbent is the member with the largest validation score so far at any epoch, the first of
    equals. After a search has ended its incumbent stays. The incumbent of a search that evaluates
    nothing is the member that it returns.

    Args:
        simulation: The searches.
        points: Numbers of evaluations, or simulated seconds.
        by: Which of the two. An evaluation counts when it is complete, the first one always.
    """
    found = np.repeat(simulation.found[:, None], len(points), axis=1)
    for repetition, rows in _by_repetition(simulation):
        found[repetition] = _incumbents(rows)[_counted(rows, points, by) - 1]
    return found


def incumbents(simulation: Simulation, table: Table) -> NDArray[np.float64]:
    """Return the test score of the incumbent after each step, one value a row of the steps."""
    test = table.mean_test_scores(METRIC)
    found = [test[_incumbents(rows)] for _, rows in _by_repetition(simulation)]
    return np.concatenate([np.zeros(0), *found])


def hypervolumes(
    simulation: Simulation, table: Table, cost: str, points: Sequence[float], by: By = "evaluation"
) -> NDArray[np.float64]:
    """Return the hypervolume of what was found at some points of a search, [repetitions, points].

    A search hands over the members that no other one of its evaluations dominates in validation
    score, the last one of a member, and cost; one that evaluates nothing, the member that it
    returns. They are judged by their mean test scores: the volume between these points and the
    reference point, as a share of that of all members of the table. Axes are the test score and the
    logarithm of the cost (at least 1); the reference point is the worst of both in the table.

    Args:
        simulation: The searches.
        table: Their table.
        cost: A cost of the table, to be small.
        points: Numbers of evaluations, or simulated seconds.
        by: Which of the two.

    Raises:
        TableError: The table has no such cost.
    """
    costs = table.costs()
    if cost not in costs:
        raise TableError(
            f"The table has no cost {cost!r}.", fix=f"Its costs are: {', '.join(costs)}."
        )
    both = np.column_stack([-table.mean_test_scores(METRIC), np.log(np.maximum(costs[cost], 1))])
    trained = both[table.available]
    reference = trained.max(axis=0)
    indicator = moocore.Hypervolume(ref=reference)
    whole = float(indicator(trained)) or 1.0
    alone = np.array([float(indicator(both[row : row + 1])) for row in simulation.found]) / whole
    found = np.repeat(alone[:, None], len(points), axis=1)
    for repetition, rows in _by_repetition(simulation):
        members, score = rows["member"].to_numpy(), rows["score"].to_numpy()
        for place, count in enumerate(_counted(rows, points, by)):
            last = dict(zip(members[:count].tolist(), score[:count].tolist(), strict=True))
            chosen = np.fromiter(last, np.int64)
            seen = np.column_stack([-np.fromiter(last.values(), np.float64), both[chosen, 1]])
            # weakly: equal in score and cost, two members do not dominate each other
            front = chosen[moocore.is_nondominated(seen, keep_weakly=True)]
            found[repetition, place] = float(indicator(both[front])) / whole
    return found


def _incumbents(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the member with the largest score so far after each step of one repetition."""
    best = np.maximum.accumulate(rows["score"].to_numpy())
    first = np.searchsorted(best, best, side="left")
    return rows["member"].to_numpy()[first]


def _counted(rows: pd.DataFrame, points: Sequence[float], by: By) -> NDArray[np.int64]:
    """Return how many steps are complete at each point, at least one."""
    counts = np.searchsorted(rows[by].to_numpy(), points, side="right")
    return np.maximum(counts, 1)


def _by_repetition(simulation: Simulation) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the steps of each repetition that has steps."""
    steps = simulation.steps
    numbers = steps["repetition"].to_numpy()
    starts = np.searchsorted(numbers, np.arange(simulation.repetitions + 1))
    for repetition in range(simulation.repetitions):
        first, end = starts[repetition], starts[repetition + 1]
        if first < end:
            yield repetition, steps.iloc[first:end]
