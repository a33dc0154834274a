"""The search strategy ``immune``: immune evolution of architectures.

References:
    Zhu et al. 2013, Algorithm 1; the engine is the one of ``iemmc``.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans.
    Evol. Comput. 6(2), for the selection ``nsga2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from deap import tools
from numpy.typing import NDArray

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.history import seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.nsga2 import Member, front, member, table
from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.operators import Antibody, clone_count
from nasbench_ecg_immune.options import ImmuneOptions

Costs = Callable[[Architecture], Mapping[str, float]]

_LOGGED = ("generation", "mean", "std", "diversity", "antibodies")
"""Columns of the engine's logbook that the trajectory keeps."""


class Immune:
    """Evolves architectures of any search space as an immune system evolves antibodies.

    Choose it as an evolution that keeps several good architectures apart: architectures close to a
    better one are suppressed, good ones are cloned and changed a little, and random ones replace
    bad ones.
    """

    def __init__(self, options: ImmuneOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the best validation score seen within ``ctx.budget``.

        With the selection ``nsga2``, the details contain the Pareto front of all evaluations.
        """
        limits = [n for n in (self.options.evaluations, ctx.budget.evaluations) if n is not None]
        if 0 in limits:
            return SearchResult(space.sample(ctx.rng))
        options = self.options.model_copy(update={"evaluations": min(limits, default=None)})
        scores: list[float] = []
        costs = self._costs(task, builder, ctx)
        nondominated: list[Member] = []
        with ctx.progress.track("Evolving", options.evaluations or options.generations) as bar:

            def evaluate(architectures: Sequence[Architecture]) -> list[float]:
                evaluations = ctx.evaluate_many(architectures, self._fidelity())
                found = [evaluation.score for evaluation in evaluations]
                scores.extend(found)
                if options.selection == "nsga2":
                    members = [member(e.architecture, e.score, costs(e.architecture))
                               for e in evaluations if math.isfinite(e.score)]  # fmt: skip
                    nondominated[:] = front([*nondominated, *members])
                bar.advance(len(found) if options.evaluations else 0, F1=max(scores))
                return found

            problem = ArchitectureProblem(space, evaluate, options.largest_step)
            evolution = ImmuneEvolution(problem, options, ctx.rng, clock=lambda: ctx.seconds)
            if options.selection == "nsga2":
                evolution.toolbox.register(
                    "select",
                    nondominated_selection,
                    best=options.parents,
                    size=options.antibodies,
                    factor=options.clone_factor,
                    costs=costs,
                )
            if (saved := ctx.checkpoint.load()) is None:
                evolution.start()
            else:
                evolution.restore(saved["evolution"])
                nondominated[:] = [self._loaded(row) for row in saved["front"]]
            deadline = math.inf if ctx.budget.seconds is None else ctx.budget.seconds

            def on_generation(row: Mapping[str, float]) -> None:
                ctx.log(row["memory_best"], **{name: row[name] for name in _LOGGED})
                bar.advance(0 if options.evaluations else 1)
                if ctx.checkpoint.due():
                    state = {"evolution": evolution.state(), "front": table(nondominated)}
                    ctx.checkpoint.save(state)

            evolution.run(deadline=deadline, on_generation=on_generation)
        memory = [
            {"architecture": antibody.genotype.hash, "score": antibody.affinity}
            for antibody in evolution.memory
            if math.isfinite(antibody.affinity)
        ]
        details = {"generations": evolution.generation, "memory": memory}
        if options.selection == "nsga2":
            details["front"] = table(nondominated)
        return SearchResult(evolution.best.genotype, details)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of the search here; None if they cannot be estimated."""
        if self.options.evaluations is None:
            return None
        plan = [(self.options.evaluations, self._fidelity())]
        limit = SizeLimit({}, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=self.options.batch)

    def _costs(self, task: Task, builder: Builder, ctx: SearchContext) -> Costs:
        @cache
        def costs(arch: Architecture) -> Mapping[str, float]:
            names = self.options.objectives
            return network_costs(arch, task, builder, device=ctx.device, names=names)

        return costs

    def _loaded(self, row: Mapping[str, Any]) -> Member:
        costs: dict[str, float] = {name: row[name] for name in self.options.objectives}
        return member(Architecture.from_dict(row["architecture"]), row["score"], costs)

    def _fidelity(self) -> Fidelity:
        return Fidelity(epochs=self.options.epochs, beats=self.options.beats)


def nondominated_selection(
    population: Sequence[Antibody], best: int, size: int, factor: float, *, costs: Costs
) -> list[tuple[Antibody, int]]:
    """Return the ``best`` antibodies by NSGA-II, each with its number of clones.

    Antibodies are ranked by non-dominated front and, within a front, by crowding distance.

    Source: Deb et al. 2002.
    """
    by_hash = {antibody.genotype.hash: antibody for antibody in population}
    members = [_member(antibody, costs) for antibody in population]
    selected = tools.selNSGA2(members, min(best, len(members)))
    return [
        (by_hash[chosen.architecture.hash], clone_count(rank, size, factor))
        for rank, chosen in enumerate(selected, start=1)
    ]


def _member(antibody: Antibody, costs: Costs) -> Member:
    return member(antibody.genotype, antibody.affinity, costs(antibody.genotype))


@dataclass(frozen=True, eq=False)
class ArchitectureProblem:
    """Architectures as genotypes of the engine; affinity is the validation score.

    Attributes:
        space: The search space.
        evaluate: Returns the scores of a batch of architectures.
        largest_step: Number of mutations that a hypermutation of rate 1 makes.
    """

    space: SearchSpace
    evaluate: Callable[[Sequence[Architecture]], list[float]]
    largest_step: int

    def random(self, rng: np.random.Generator) -> Architecture:
        """Return a random architecture of the space."""
        return self.space.sample(rng)

    def hypermutate(
        self, genotype: Architecture, rate: float, rng: np.random.Generator
    ) -> Architecture:
        """Return the architecture after ``rate`` · ``largest_step`` mutations, at least one."""
        for _ in range(max(1, round(rate * self.largest_step))):
            genotype = self.space.mutate(genotype, rng)
        return genotype

    def repair(self, genotype: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the architecture itself: mutations of a space are always valid."""
        return genotype

    def distances(self, genotypes: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the share of values in which two genotypes differ, float64 [n, n]."""
        values = [dict(_leaves(arch.genotype)) for arch in genotypes]
        result = np.zeros((len(values), len(values)))
        for i, a in enumerate(values):
            for j, b in enumerate(values[:i]):
                paths = a.keys() | b.keys()
                differing = sum(a.get(path, _ABSENT) != b.get(path, _ABSENT) for path in paths)
                result[i, j] = result[j, i] = differing / max(1, len(paths))
        return result

    def key(self, genotype: Architecture) -> str:
        """Return the hash of the architecture."""
        return genotype.hash

    def affinity(
        self, genotypes: Sequence[Architecture]
    ) -> tuple[Sequence[Architecture], list[float]]:
        """Return the architectures and their scores."""
        return genotypes, self.evaluate(genotypes)

    def dump(self, genotype: Architecture) -> Any:
        """Return the architecture as JSON data."""
        return genotype.to_dict()

    def load(self, data: Any) -> Architecture:
        """Return the architecture that :meth:`dump` wrote."""
        return Architecture.from_dict(data)


_ABSENT = object()


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path and the value of every leaf of JSON data."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _leaves(item, (*path, i))
    else:
        yield path, value
