"""The immune evolutionary algorithm, for any problem: Algorithm 1 on DEAP.

References:
    Zhu et al. 2013, Algorithm 1.

    de Castro, Von Zuben 2002, "Learning and optimization using the clonal selection principle",
    IEEE Trans. Evol. Comput. 6(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Generic

import numpy as np
from deap import base, tools

from nasbench_ecg_immune.antibody import Carrier, G, Problem, affinity_of, antibody, same
from nasbench_ecg_immune.editing import survivors
from nasbench_ecg_immune.hypermutation import hypermutation_rate, normalised
from nasbench_ecg_immune.options import EvolutionOptions
from nasbench_ecg_immune.selection import clonal_selection, reselect
from nasbench_ecg_immune.suppression import suppress

_DRAWS = 8
"""Draws for a newcomer that was not seen before, until its place is left free."""


class ImmuneEvolution(Generic[G]):
    """Immune evolution of a population of antibodies.

    Choose it where solutions can be changed and compared but not differentiated. No antibody is
    evaluated twice. The same generator gives the same run; :meth:`state` and :meth:`restore`
    between two generations do not change how it ends.

    Attributes:
        population: Antibodies; those that came in last have no affinity yet.
        memory: The best antibodies ever, best first (a DEAP hall of fame).
        logbook: Figures of every generation (a DEAP logbook).
        toolbox: The operators (a DEAP toolbox); another one can be registered before the start.
        generation: Generations that are over.
        evaluations: Antibodies evaluated.
        stalled: Generations since the best antibody was found.
    """

    def __init__(
        self, problem: Problem[G], options: EvolutionOptions, rng: np.random.Generator
    ) -> None:
        self.problem = problem
        self.options = options
        self.rng = rng
        self.population: list[Carrier] = []
        self.memory = tools.HallOfFame(options.memory, similar=same)
        self.logbook = tools.Logbook()
        self.seen: set[str] = set()
        self.generation = self.evaluations = self.stalled = 0
        self.toolbox = _toolbox(problem, options, rng)
        self._statistics = _statistics()

    @property
    def best(self) -> Carrier:
        """The best antibody so far."""
        found: Carrier = self.memory[0]
        return found

    def start(self, given: Sequence[G] = ()) -> None:
        """Fill the population: with the valid genotypes ``given``, the rest at random."""
        for genotype in given:
            self._admit(genotype)
        self._fill()

    def run(
        self,
        *,
        deadline: float = math.inf,
        after: Callable[[Mapping[str, float]], None] = lambda figures: None,
    ) -> Carrier:
        """Let generations pass until one of the options, or the deadline, ends the run.

        Args:
            deadline: Reading of the monotonic clock after which no batch begins. The first batch
                is evaluated always.
            after: Called after each generation with its row of the logbook.

        Returns:
            The best antibody.
        """
        while not self.finished(deadline):
            after(self.step(deadline))
        return self.best

    def finished(self, deadline: float = math.inf) -> bool:
        """Return whether one of the limits is reached."""
        options = self.options
        if self.generation == 0:
            return False
        return (
            self.generation >= options.generations
            or (options.evaluations is not None and self.evaluations >= options.evaluations)
            or (options.stagnation is not None and self.stalled >= options.stagnation)
            or monotonic() >= deadline
            or bool(self.logbook and self.logbook[-1]["evaluated"] == 0)
        )

    def step(self, deadline: float = math.inf) -> dict[str, float]:
        """Let one generation pass and return its row of the logbook."""
        before = self.evaluations
        best_before = affinity_of(self.best) if self.memory else -math.inf
        self._evaluate_newcomers(deadline)
        diversity = self._suppress()
        clones = self._mature(deadline)
        self.population = self.toolbox.reselect(self.population, clones)
        self.generation += 1
        self.stalled = 0 if affinity_of(self.best) > best_before else self.stalled + 1
        self.logbook.record(
            generation=self.generation,
            evaluations=self.evaluations,
            evaluated=self.evaluations - before,
            antibodies=len(self.population),
            diversity=diversity,
            memory_best=affinity_of(self.best),
            **self._statistics.compile(self.population),
        )
        self.population = self.toolbox.survivors(self.population)
        self._fill()
        row: dict[str, float] = dict(self.logbook[-1])
        return row

    def _evaluate_newcomers(self, deadline: float) -> None:
        newcomers = [one for one in self.population if not one.fitness.valid]
        known = [one for one in self.population if one.fitness.valid]
        evaluated = self._evaluate([one.genotype for one in newcomers], deadline)
        self.population = [*known, *evaluated]
        self.memory.update(evaluated)

    def _suppress(self) -> float:
        """Join memory and population, and thin them; return the mean distance of those left."""
        known = {one.key: one for one in (*self.memory, *self.population)}
        pool = list(known.values())
        distances = self.problem.distances([one.genotype for one in pool])
        stays = self.toolbox.suppress([affinity_of(one) for one in pool], distances)
        stays = stays[: self.options.antibodies]
        self.population = [pool[i] for i in stays]
        n = len(stays)
        return float(distances[np.ix_(stays, stays)].sum() / (n * (n - 1))) if n > 1 else 0.0

    def _mature(self, deadline: float) -> dict[str, list[Carrier]]:
        """Clone the best, change the clones and evaluate them; return them by parent."""
        affinities = [affinity_of(one) for one in self.population]
        keys = [one.key for one in self.population]
        shares = dict(zip(keys, normalised(affinities), strict=True))
        offspring: list[G] = []
        parents: list[str] = []
        for parent, n_clones in self.toolbox.select(self.population):
            rate = self.toolbox.rate(shares[parent.key])
            for _ in range(n_clones):
                clone = self.toolbox.repair(self.toolbox.mutate(parent.genotype, rate))
                if self._unseen(clone):
                    offspring.append(clone)
                    parents.append(parent.key)
        evaluated = self._evaluate(offspring, deadline)
        self.memory.update(evaluated)
        clones: dict[str, list[Carrier]] = {}
        for key, clone in zip(parents, evaluated, strict=False):
            clones.setdefault(key, []).append(clone)
        return clones

    def _evaluate(self, genotypes: Sequence[G], deadline: float) -> list[Carrier]:
        """Return antibodies with affinities, fewer than given where a limit is reached."""
        limit = self.options.evaluations
        room = len(genotypes) if limit is None else max(0, limit - self.evaluations)
        genotypes = genotypes[:room]
        size = self.options.batch or max(1, len(genotypes))
        done: list[Carrier] = []
        for i in range(0, len(genotypes), size):
            if self.evaluations and monotonic() >= deadline:
                break
            batch = genotypes[i : i + size]
            matured, affinities = self.toolbox.evaluate(batch)
            for genotype, affinity in zip(matured, affinities, strict=True):
                key = self.problem.key(genotype)
                self.seen.add(key)
                done.append(
                    antibody(genotype, key, -math.inf if math.isnan(affinity) else float(affinity))
                )
            self.evaluations += len(matured)
            if len(matured) < len(batch):
                break
        return done

    def _unseen(self, genotype: G) -> str | None:
        """Return the key of a genotype that is new, and note that it was seen; else None."""
        key = self.problem.key(genotype)
        if key in self.seen:
            return None
        self.seen.add(key)
        return key

    def _admit(self, genotype: G) -> bool:
        if key := self._unseen(genotype):
            self.population.append(antibody(genotype, key))
        return bool(key)

    def _fill(self) -> None:
        for _ in range(self.options.antibodies - len(self.population)):
            any(self._admit(self.toolbox.newcomer()) for _ in range(_DRAWS))

    def state(self) -> dict[str, Any]:
        """Return all that changes during a run as JSON data, between two generations."""
        return {
            "generation": self.generation,
            "evaluations": self.evaluations,
            "stalled": self.stalled,
            "rng": self.rng.bit_generator.state,
            "population": [self._dump(one) for one in self.population],
            "memory": [self._dump(one) for one in self.memory],
            "seen": sorted(self.seen),
            "logbook": [dict(row) for row in self.logbook],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state` was taken; problem and options must be the same."""
        self.generation = state["generation"]
        self.evaluations = state["evaluations"]
        self.stalled = state["stalled"]
        self.rng.bit_generator.state = state["rng"]
        self.population = [self._load(data) for data in state["population"]]
        self.memory.clear()
        # A hall of fame puts a new item before its equals, so the worst goes in first.
        for data in reversed(state["memory"]):
            self.memory.insert(self._load(data))
        self.seen = set(state["seen"])
        self.logbook = tools.Logbook()
        for row in state["logbook"]:
            self.logbook.record(**row)

    def _dump(self, one: Carrier) -> dict[str, Any]:
        # JSON knows no infinity: None stands for an antibody that could not be scored.
        data = {"genotype": self.problem.dump(one.genotype)}
        if one.fitness.valid:
            affinity = affinity_of(one)
            data["affinity"] = affinity if math.isfinite(affinity) else None
        return data

    def _load(self, data: Mapping[str, Any]) -> Carrier:
        genotype = self.problem.load(data["genotype"])
        key = self.problem.key(genotype)
        if "affinity" not in data:
            return antibody(genotype, key)
        affinity = data["affinity"]
        return antibody(genotype, key, -math.inf if affinity is None else affinity)


def _toolbox(
    problem: Problem[Any], options: EvolutionOptions, rng: np.random.Generator
) -> base.Toolbox:
    toolbox = base.Toolbox()
    toolbox.register("newcomer", problem.random, rng)
    toolbox.register("evaluate", problem.affinity)
    toolbox.register("suppress", suppress, threshold=options.suppression)
    toolbox.register(
        "select",
        clonal_selection,
        best=options.parents,
        size=options.antibodies,
        factor=options.clone_factor,
    )
    toolbox.register("rate", hypermutation_rate, rho=options.rho, mutation=options.mutation)
    toolbox.register("mutate", problem.hypermutate, rng=rng)
    toolbox.register("repair", problem.repair, rng=rng)
    toolbox.register("reselect", reselect)
    toolbox.register("survivors", survivors, share=options.edited_share, size=options.antibodies)
    return toolbox


def _statistics() -> tools.Statistics:
    statistics = tools.Statistics(key=affinity_of)
    for name, function in (("best", np.max), ("mean", np.mean), ("std", np.std)):
        statistics.register(name, _of_finite, function)
    return statistics


def _of_finite(function: Callable[..., Any], values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(function(finite)) if finite else 0.0
