"""One run of a search for all of its budgets, if a budget only ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.contracts import Budget
from nasbench_ecg.tables.simulate import Simulation, joined, started_before

Run = Callable[[Budget, NDArray[np.int64]], Simulation]
"""Runs the repetitions of these numbers with a budget."""


def run_longest(run: Run, budgets: Sequence[Budget], numbers: NDArray[np.int64]) -> Simulation:
    """Return the repetitions with the largest budget of evaluations and that of seconds.

    A repetition ends when both are used up.
    """
    by_seconds = max((b for b in budgets if b.evaluations is None), key=_seconds, default=None)
    by_count = max(
        (b for b in budgets if b.evaluations is not None), key=_evaluations, default=None
    )
    if by_seconds is None or by_count is None:
        only = by_seconds or by_count
        assert only is not None
        return run(only, numbers)
    done = run(by_seconds, numbers)
    counts = done.steps["repetition"].value_counts().reindex(numbers, fill_value=0).to_numpy()
    short = counts < _evaluations(by_count)
    if not short.any():
        return done
    longer = run(by_count, numbers[short])
    found = done.found.copy()
    found[short] = longer.found
    kept = done.steps[~done.steps["repetition"].isin(numbers[short])]
    return joined(done.label, [kept, longer.steps], found)


def cut(longest: Simulation, budget: Budget) -> Simulation:
    """Return what the repetitions would have been with a smaller budget."""
    steps = longest.steps
    if budget.evaluations is not None:
        inside = steps["evaluation"] <= budget.evaluations
    else:
        inside = started_before(steps, _seconds(budget))
    return Simulation(longest.label, steps[inside].reset_index(drop=True), longest.found)


def _seconds(budget: Budget) -> float:
    return budget.seconds or 0.0


def _evaluations(budget: Budget) -> int:
    return budget.evaluations or 0
