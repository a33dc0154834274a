"""The search strategy ``immune``: immune evolution of architectures.

References:
    Zhu et al. 2013, Algorithm 1, whose engine it shares with ``iemmc``.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans.
    Evol. Comput. 6(2), for the selection ``nsga2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from time import monotonic
from typing import Any

from deap import tools

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Evaluation,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.costs import network_costs
from nasbench_ecg_blackbox.duration import seconds_of_search
from nasbench_ecg_blackbox.limit import SizeLimit
from nasbench_ecg_blackbox.nsga2 import front, member, table
from nasbench_ecg_immune.antibody import Carrier, affinity_of
from nasbench_ecg_immune.architectures import Architectures
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.options import ImmuneOptions
from nasbench_ecg_immune.selection import copies

Costs = Callable[[Architecture], Mapping[str, float]]


class Immune:
    """Evolves architectures of any search space as an immune system evolves antibodies.

    Choose it as an evolution that keeps several good architectures apart: nearly equal ones are
    suppressed, good ones are cloned and changed a little, bad ones make room for random ones.
    """

    def __init__(self, options: ImmuneOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the best validation score seen within ``ctx.budget``."""
        allowed, seconds = _allowed(self.options, ctx), ctx.budget.seconds
        if not allowed:
            return SearchResult(space.sample(ctx.rng))
        options = self.options.model_copy(
            update={"evaluations": None if math.isinf(allowed) else allowed}
        )
        scored: list[Evaluation] = []
        with ctx.progress.track("Evolving", options.evaluations or options.generations) as bar:

            def evaluate(architectures: Sequence[Architecture]) -> list[Evaluation]:
                found = ctx.evaluate_many(architectures, self._fidelity())
                scored.extend(found)
                best = max(evaluation.score for evaluation in scored)
                bar.advance(len(found) if options.evaluations else 0, F1=best)
                return found

            problem = Architectures(space, evaluate, self.options.largest_step)
            evolution = ImmuneEvolution(problem, options, ctx.rng)
            costs = self._costs(task, builder, ctx)
            if options.selection == "nsga2":
                select = partial(nondominated_selection, costs=costs)
                evolution.toolbox.register(
                    "select",
                    select,
                    best=options.parents,
                    size=options.antibodies,
                    factor=options.clone_factor,
                )
            if (saved := ctx.checkpoint.load()) is None:
                evolution.start()
            else:
                evolution.restore(saved["evolution"])
            deadline = math.inf if seconds is None else monotonic() + seconds - ctx.seconds

            def after(figures: Mapping[str, float]) -> None:
                ctx.log(figures["memory_best"], **_worth_keeping(figures))
                bar.advance(0 if options.evaluations else 1)
                if ctx.checkpoint.due():
                    ctx.checkpoint.save({"evolution": evolution.state()})

            evolution.run(deadline=deadline, after=after)
        memory = [
            {"architecture": one.genotype.hash, "score": affinity_of(one)}
            for one in evolution.memory
            if math.isfinite(affinity_of(one))
        ]
        details = {"generations": evolution.generation, "memory": memory}
        if options.selection == "nsga2":
            details["front"] = _front([*evolution.memory, *evolution.population], costs)
        return SearchResult(evolution.best.genotype, details)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that the search will take here; None if nobody can say."""
        if self.options.evaluations is None:
            return None
        plan = [(self.options.evaluations, self._fidelity())]
        return seconds_of_search(plan, space, ctx, SizeLimit(None, task, builder))

    def _costs(self, task: Task, builder: Builder, ctx: SearchContext) -> Costs:
        @cache
        def costs(arch: Architecture) -> Mapping[str, float]:
            names = self.options.objectives
            return network_costs(arch, task, builder, device=ctx.device, names=names)

        return costs

    def _fidelity(self) -> Fidelity:
        return Fidelity(epochs=self.options.epochs, beats=self.options.beats)


def nondominated_selection(
    population: Sequence[Carrier], best: int, size: int, factor: float, *, costs: Costs
) -> list[tuple[Carrier, int]]:
    """Return the ``best`` antibodies by NSGA-II, each with the number of its clones.

    The front that nothing dominates comes first; of a front, the antibodies in the least crowded
    places.
    """
    by_hash = {one.genotype.hash: one for one in population}
    members = [member(one.genotype, affinity_of(one), costs(one.genotype)) for one in population]
    chosen = tools.selNSGA2(members, min(best, len(members)))
    return [
        (by_hash[one.architecture.hash], copies(rank, size, factor))
        for rank, one in enumerate(chosen, start=1)
    ]


def _front(antibodies: Sequence[Carrier], costs: Costs) -> list[dict[str, Any]]:
    """Return those that none of the antibodies dominates, as JSON data."""
    known = {
        one.key: member(one.genotype, affinity_of(one), costs(one.genotype))
        for one in antibodies
        if one.fitness.valid and math.isfinite(affinity_of(one))
    }
    return table(front(list(known.values())))


def _allowed(options: ImmuneOptions, ctx: SearchContext) -> float:
    """Return the most evaluations under the options and the budget; infinite without either."""
    limits = (options.evaluations, ctx.budget.evaluations)
    return min((limit for limit in limits if limit is not None), default=math.inf)


def _worth_keeping(figures: Mapping[str, float]) -> dict[str, float]:
    names = ("generation", "mean", "std", "diversity", "antibodies")
    return {name: figures[name] for name in names}
