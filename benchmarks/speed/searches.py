"""Seconds of searches that are repeated on a table."""

from __future__ import annotations

import time

import numpy as np
from measure import Target

from nasbench_ecg.contracts import Budget
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.tables.find import open_table
from nasbench_ecg.tables.searchers import TableSearches
from nasbench_ecg.tables.simulate import simulate
from nasbench_ecg.tables.table import Table

GOAL = 60.0
"""Seconds for all repetitions of a search on two cores."""

SEARCHES = (("random", 200, 1000), ("regularized-evolution", 100, 500))
"""Strategy, evaluations and repetitions."""


def searches(*, workers: int = 2, share: float = 1.0) -> list[Target]:
    """Time repetitions of two searches on a whole table.

    Args:
        workers: Processes.
        share: Share of the repetitions that is run; the seconds are of this share.
    """
    found = TableSearches(load_registry(), _whole(open_table(*TABLE)))
    targets = []
    for name, evaluations, repetitions in SEARCHES:
        n = max(workers, round(share * repetitions))
        budget = Budget(evaluations=evaluations)
        started = time.perf_counter()
        simulate(
            found.table, found.space, found.builder, found.searcher(name, budget),
            repetitions=n, budget=budget, workers=workers,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        targets.append(
            Target(
                what=f"{n} repetitions of {name} with {evaluations} evaluations on a table",
                target=f"{repetitions} in ≤ {GOAL:.0f} s on two cores",
                seconds={f"{workers} processes": seconds},
                held=None if share < 1 else seconds <= GOAL,
                note="members that are not trained yet have the results of others",
            )
        )
    return targets


TABLE = ("tiny-cells", "mitbih-2lead", "intra-patient")


def _whole(table: Table) -> Table:
    """Return a table in which every member has results, those of a random trained one."""
    trained = np.flatnonzero(table.trained[:, :3].all(axis=1))
    rows = np.random.default_rng(0).choice(trained, table.card.members)
    arrays = dict(table.arrays)
    for name in ("trained", "confusion", "nll", "seconds", "machine"):
        arrays[name] = arrays[name][rows]
    return Table(table.card, arrays)
