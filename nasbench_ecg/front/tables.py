"""The table as users open it from Python: ``nasbench_ecg.table("tiny-cells", "mitbih-2lead")``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.arguments import folder_of, name_of, positive_number, whole_number
from nasbench_ecg.contracts import Canonicalizes
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.tables.find import DEFAULT, open_table
from nasbench_ecg.tables.requested_searches import (
    COSTS,
    EVALUATIONS,
    RequestedSearch,
    check_scores,
    parse_search,
)
from nasbench_ecg.tables.table import Result, Seed, Table

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_ecg.front.searches import ComparedSearches


def table(
    space: str, dataset: str, protocol: str | None = None, *, tables: Path | str = DEFAULT
) -> OpenTable:
    """Return the table of a space and track, of the folder ``tables`` or an installed package.

    Args:
        space: Name of the search space, for example ``tiny-cells``.
        dataset: Name of the dataset.
        protocol: Name of the protocol; by default that of the dataset.
        tables: Folder of tables that you build.

    Raises:
        OptionError: A name is no text, or ``tables`` no path.
        TableError: There is no such table, or it is damaged.
        PluginError: There is no such dataset.
    """
    names = {"space": space, "dataset": dataset}
    if protocol is not None:
        names["protocol"] = protocol
    for name, value in names.items():
        name_of(name, value)
    folder = folder_of("tables", tables)
    registry = load_registry()
    protocol = protocol_of(dataset, protocol, registry)
    return OpenTable(registry, open_table(space, dataset, protocol, folder))


class OpenTable:
    """A table to query and to repeat searches on. Queries need no PyTorch."""

    def __init__(self, registry: Registry, data: Table) -> None:
        self._registry = registry
        self.data = data
        """Its card and arrays."""

    def __repr__(self) -> str:
        """Return what the table holds."""
        card = self.data.card
        return (
            f"<OpenTable {card.space.name} on {card.dataset.name}, {card.protocol}: "
            f"{card.members:,} members, {self.data.complete:.0%} trained>"
        )

    def query(
        self,
        arch: Architecture,
        *,
        epoch: int | None = None,
        seed: Seed = "mean",
        metric: str = "f1_of_macro",
    ) -> Result:
        """Return a validation result of a member in any of its forms; see ``Table.query``."""
        member = canonical_of(self._registry, self.data, arch)
        return self.data.query(member, epoch=epoch, seed=seed, metric=metric)

    def test(
        self, arch: Architecture, *, seed: Seed = "mean", metric: str = "f1_of_macro"
    ) -> Result:
        """Return the test result of a member, for use after a search; see ``Table.test``."""
        member = canonical_of(self._registry, self.data, arch)
        return self.data.test(member, seed=seed, metric=metric)

    def noise(self, metric: str = "f1_of_macro") -> dict[str, Any]:
        """Return the noise card: what differences the table can show."""
        from nasbench_ecg.tables.noise import noise_card

        return noise_card(self.data, metric)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each training and epoch, with scores and costs."""
        from nasbench_ecg.tables.export import to_frame

        return to_frame(self.data)

    def simulate(
        self,
        strategy: str,
        *,
        budget_evaluations: int | None = None,
        budget_seconds: float | None = None,
        repetitions: int = 500,
        scores: str = "one-seed",
        seed: int = 0,
        workers: int = 1,
        **options: Any,
    ) -> pd.DataFrame:
        """Repeat a search on the table.

        Args:
            strategy: Name of the strategy.
            budget_evaluations: Evaluations of each repetition.
            budget_seconds: Simulated seconds of each repetition; one of the two must be given.
            repetitions: How often the search is repeated.
            scores: What a search sees of a member: ``one-seed``, one of its trainings, or ``mean``,
                the mean over its first three seeds.
            seed: Seed of all repetitions.
            workers: Processes.
            options: Options of the strategy.

        Returns:
            One row for each evaluation: ``repetition``, ``evaluation``, ``seconds``, ``member``,
            ``epoch``, ``score`` (validation, as the search saw it), and ``incumbent_test``, the
            mean test score of the member with the best validation score so far. The last
            evaluation starts before ``budget_seconds`` and may end after them.

        Raises:
            OptionError: No budget is given, a number is not allowed, or an option is not known.
        """
        from nasbench_ecg.contracts import Budget
        from nasbench_ecg.tables.outcome import incumbents
        from nasbench_ecg.tables.searchers import TableSearches

        if (budget_evaluations is None) == (budget_seconds is None):
            raise OptionError(
                "A simulation needs one budget.", fix="Give budget_evaluations or budget_seconds."
            )
        if budget_evaluations is not None:
            evaluations = whole_number("budget_evaluations", budget_evaluations, least=1)
            budget = Budget(evaluations=evaluations)
        else:
            budget = Budget(seconds=positive_number("budget_seconds", budget_seconds))
        repetitions = whole_number("repetitions", repetitions, least=1)
        seed = whole_number("seed", seed, least=0)
        workers = whole_number("workers", workers, least=1)
        strategy = name_of("strategy", strategy)
        seen = check_scores(name_of("scores", scores))
        searches = TableSearches(self._registry, self.data, options, seen)
        search = RequestedSearch(strategy, repetitions)
        searches.check([search])
        done = searches.repeat(search, [budget], seed=seed, workers=workers)[budget]
        return done.steps.assign(incumbent_test=incumbents(done, self.data))

    def compare(
        self,
        *strategies: str,
        budget_evaluations: int | Sequence[int] = EVALUATIONS,
        budget_seconds: float | Sequence[float] = (),
        costs: str | Sequence[str] = COSTS,
        repetitions: int = 500,
        scores: str = "one-seed",
        seed: int = 0,
        workers: int = 1,
    ) -> ComparedSearches:
        """Repeat searches on the table with every budget, and compare them with random search.

        Args:
            strategies: Names of strategies, also of one that ``nb.register`` has made known. As on
                the command line, ``gp:30:50`` sets repetitions and the largest budget of one, and
                ``regularized-evolution@population=10`` an option.
            budget_evaluations: Budgets in evaluations.
            budget_seconds: Budgets in simulated seconds.
            costs: Costs of the hypervolumes.
            repetitions: How often each search is repeated with each budget.
            scores: What a search sees of a member: ``one-seed``, one of its trainings, or ``mean``,
                the mean over its first three seeds.
            seed: Seed of all repetitions.
            workers: Processes.

        Returns:
            The comparison. ``print`` shows the verdicts; its methods make data frames and reports
            of it, and ``nb.plot.regret`` a figure.

        Raises:
            OptionError: No budget is given, a number is not allowed, or an option, a cost or a
                search is not possible.
            PluginError: There is no such strategy.
        """
        from nasbench_ecg.contracts import Budget
        from nasbench_ecg.front.searches import ComparedSearches
        from nasbench_ecg.tables.compare_searches import compare_searches
        from nasbench_ecg.tables.searchers import TableSearches

        repetitions = whole_number("repetitions", repetitions, least=2)
        budgets = [
            Budget(evaluations=whole_number("budget_evaluations", number, least=1))
            for number in _listed(budget_evaluations)
        ]
        budgets += [
            Budget(seconds=positive_number("budget_seconds", number))
            for number in _listed(budget_seconds)
        ]
        if not budgets:
            raise OptionError(
                "A comparison needs a budget.", fix="Give budget_evaluations or budget_seconds."
            )
        compared, _ = compare_searches(
            TableSearches(
                self._registry, self.data, scores=check_scores(name_of("scores", scores))
            ),
            [parse_search(name_of("strategy", name), repetitions) for name in strategies],
            budgets,
            [name_of("costs", cost) for cost in _listed(costs)],
            repetitions=repetitions,
            seed=whole_number("seed", seed, least=0),
            workers=whole_number("workers", workers, least=1),
        )
        return ComparedSearches(compared, self.data)


def _listed(values: Any) -> Sequence[Any]:
    """Return values in a list, also a single one."""
    return list(values) if isinstance(values, list | tuple | range) else [values]


def protocol_of(dataset: str, protocol: str | None, registry: Registry | None = None) -> str:
    """Return the protocol, by default that of the dataset.

    Raises:
        PluginError: There is no such dataset.
    """
    if protocol is not None:
        return protocol
    spec = (registry or load_registry()).get("dataset", dataset).spec
    return str(getattr(spec, "protocol", ""))


def canonical_of(registry: Registry, data: Table, arch: Architecture) -> Architecture:
    """Return the member that an architecture is.

    Raises:
        NasbenchError: It is not of the table's space.
    """
    described = data.card.space
    if not isinstance(arch, Architecture) or arch.space != described.name:
        data.place(arch)  # raises
    component = registry.get("search-space", described.name)
    space = component.create(component.options_model()(**described.options))
    space.validate(arch)
    return space.canonical(arch) if isinstance(space, Canonicalizes) else arch
