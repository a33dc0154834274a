"""Searches repeated on a table with several budgets, and compared with random search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.tables.compare import compare
from nasbench_ecg.tables.comparison import SearchComparison
from nasbench_ecg.tables.kept_repetitions import KeptRepetitions
from nasbench_ecg.tables.requested_searches import RequestedSearch, refuse_repeated
from nasbench_ecg.tables.searchers import TableSearches
from nasbench_ecg.tables.simulate import Simulation

Simulations = Mapping[Budget, Mapping[str, Simulation]]
"""Repeated searches by their budget and label."""


def compare_searches(
    searches: TableSearches,
    asked: Sequence[RequestedSearch],
    budgets: Sequence[Budget],
    costs: Sequence[str],
    *,
    repetitions: int,
    seed: int = 0,
    workers: int = 1,
    kept: KeptRepetitions | None = None,
    progress: Progress | None = None,
) -> tuple[SearchComparison, Simulations]:
    """Repeat searches with every budget, and compare them with random search.

    All that can be wrong is checked before the first search runs.

    Args:
        searches: The table, and what all searches share.
        asked: The searches; random search is added if it is not among them.
        budgets: What each repetition may spend.
        costs: Costs of the hypervolumes.
        repetitions: Repetitions of random search.
        seed: Seed of all repetitions.
        workers: Processes.
        kept: Where repetitions are kept and read from.
        progress: Where progress is shown.

    Raises:
        OptionError: A search is asked for twice, has no such option or no budget; random search
            lacks a budget of another; or the table has no such cost.
        PluginError: There is no such strategy.
    """
    refuse_repeated(asked)
    baseline = searches.registry.strategies("random-search")[0].name
    wanted = {one.label: one for one in [RequestedSearch(baseline, repetitions), *asked]}
    searches.check(list(wanted.values()))
    known = searches.table.costs()
    for cost in costs:
        if cost not in known:
            raise OptionError(f"The table has no cost {cost!r}.", fix=nearest(cost, known))
    found: dict[Budget, dict[str, Simulation]] = {budget: {} for budget in budgets}
    budgets = list(found)
    for search in wanted.values():
        own = searches.budgets_of(search, budgets)
        if search.label == baseline and len(own) < len(budgets):
            raise OptionError(
                f"The others are compared with {baseline} at every budget.",
                fix=f"Leave out the largest budget of {baseline}: {baseline}:{search.repetitions}.",
            )
    with (progress or Silent()).track("Simulating", len(wanted)) as bar:
        for search in wanted.values():
            repeated = searches.repeat(search, budgets, seed=seed, workers=workers, kept=kept)
            for budget, one_search in repeated.items():
                found[budget][search.label] = one_search
            bar.advance()
    compared = replace(
        compare(searches.table, found, baseline, costs),
        settings=tuple(map(searches.settings, wanted.values())),
        seed=seed,
        scores=searches.scores,
    )
    return compared, found
