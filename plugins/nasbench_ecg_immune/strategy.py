"""The search strategy ``immune``: immune evolution of architectures.

References:
    Zhu et al. 2013, Algorithm 1, whose engine it shares with ``iemmc``.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans.
    Evol. Comput. 6(2), for the selection ``nsga2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from time import monotonic
from typing import Any

import numpy as np
from deap import tools
from numpy.typing import NDArray

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
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.history import SizeLimit, seconds_of_search
from nasbench_ecg_blackbox.nsga2 import front, member, table
from nasbench_ecg_immune.engine import Carrier, ImmuneEvolution, affinity_of, copies
from nasbench_ecg_immune.options import ImmuneOptions

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


@dataclass(frozen=True, eq=False)
class Architectures:
    """The problem of finding an architecture; affinity is its validation score.

    Attributes:
        space: Where the architectures are from.
        evaluate: Scores a batch of architectures.
        largest_step: Mutations of the space that a hypermutation of rate 1 makes.
    """

    space: SearchSpace
    evaluate: Callable[[Sequence[Architecture]], list[Evaluation]]
    largest_step: int

    def random(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn architecture."""
        return self.space.sample(rng)

    def hypermutate(
        self, genotype: Architecture, rate: float, rng: np.random.Generator
    ) -> Architecture:
        """Return an architecture ``rate`` · ``largest_step`` mutations away, one at least."""
        for _ in range(max(1, round(rate * self.largest_step))):
            genotype = self.space.mutate(genotype, rng)
        return genotype

    def repair(self, genotype: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the architecture itself: the moves of a space stay inside it."""
        return genotype

    def distances(self, genotypes: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the share of parts that two architectures do not have in common, [n, n]."""
        parts = [dict(_parts(arch.genotype)) for arch in genotypes]
        result = np.zeros((len(parts), len(parts)))
        for i, a in enumerate(parts):
            for j, b in enumerate(parts[:i]):
                differing = sum(a.get(k, _ABSENT) != b.get(k, _ABSENT) for k in a.keys() | b.keys())
                result[i, j] = result[j, i] = differing / max(1, len(a.keys() | b.keys()))
        return result

    def key(self, genotype: Architecture) -> str:
        """Return the hash of the architecture."""
        return genotype.hash

    def affinity(
        self, genotypes: Sequence[Architecture]
    ) -> tuple[Sequence[Architecture], list[float]]:
        """Return the architectures and their scores."""
        return genotypes, [evaluation.score for evaluation in self.evaluate(genotypes)]

    def dump(self, genotype: Architecture) -> Any:
        """Return plain data of the architecture."""
        return genotype.to_dict()

    def load(self, data: Any) -> Architecture:
        """Read what :meth:`dump` wrote."""
        return Architecture.from_dict(data)


_ABSENT = object()


def _parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every leaf of JSON data with the path to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(item, (*path, name))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _parts(item, (*path, i))
    else:
        yield path, value
