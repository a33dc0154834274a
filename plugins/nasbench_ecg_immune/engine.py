"""Algorithm 1 of Zhu et al. 2013, the immune evolutionary algorithm, for any problem, on DEAP.

A :class:`Problem` says what an antibody encodes; the engine only compares, clones and changes
antibodies. :meth:`ImmuneEvolution.step` is one pass through the loop of the algorithm, with the
steps of :mod:`nasbench_ecg_immune.operators`:

- Step 1, candidate solutions: :meth:`ImmuneEvolution.start`; :func:`suppress` with threshold σ
- Step 2, affinity: :meth:`Problem.affinity`
- Step 3, clonal selection: :func:`clonal_selection`
- Step 4, hypermutation: :func:`hypermutation_rate` and :meth:`Problem.hypermutate`
- Step 5, re-selection: :func:`reselect`
- Step 6, receptor editing: :func:`edit_receptors`
- Step 7, termination: :meth:`ImmuneEvolution.finished`
- Step 8, result: :attr:`ImmuneEvolution.best`

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.2.

    de Castro, Von Zuben 2002, "Learning and optimization using the clonal selection principle",
    IEEE Trans. Evol. Comput. 6(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from deap import base, tools
from numpy.typing import NDArray

from nasbench_ecg_immune.operators import (
    Antibody,
    clonal_selection,
    edit_receptors,
    hypermutation_rate,
    normalize_affinities,
    reselect,
    suppress,
)
from nasbench_ecg_immune.options import EvolutionOptions

G = TypeVar("G")

_ATTEMPTS = 8
"""Random genotypes drawn for a free place; if all were seen before, the place stays free."""


class Problem(Protocol[G]):
    """A problem whose solutions are genotypes of type ``G``, which are never changed in place.

    Methods that take a generator draw from it alone.
    """

    def random(self, rng: np.random.Generator) -> G:
        """Return a valid random genotype."""

    def hypermutate(self, genotype: G, rate: float, rng: np.random.Generator) -> G:
        """Return a changed copy, which may be invalid; ``rate`` in [0, 1] says how much changes."""

    def repair(self, genotype: G, rng: np.random.Generator) -> G:
        """Return the genotype itself if it is valid, otherwise a valid one near to it."""

    def distances(self, genotypes: Sequence[G]) -> NDArray[np.float64]:
        """Return float64 [n, n] in [0, 1]; zero means that two genotypes are one solution."""

    def key(self, genotype: G) -> str:
        """Return a string that two genotypes share exactly if they are one solution."""

    def affinity(self, genotypes: Sequence[G]) -> tuple[Sequence[G], Sequence[float]]:
        """Return the genotypes, improved by local search if there is one, and their affinities.

        A larger affinity is better. When a budget ends, only the first genotypes are returned.
        """

    def dump(self, genotype: G) -> Any:
        """Return the genotype as JSON data."""

    def load(self, data: Any) -> G:
        """Return the genotype that :meth:`dump` wrote."""


class ImmuneEvolution(Generic[G]):
    """Immune evolution of a population of antibodies.

    Choose it where solutions can be changed and compared but not differentiated. No antibody is
    evaluated twice. The same generator gives the same result, also when the run is interrupted
    between two generations and continued with :meth:`state` and :meth:`restore`.

    Attributes:
        population: Current antibodies. New ones have no affinity until the next step.
        memory: The best antibodies found so far, best first (a DEAP hall of fame).
        logbook: Statistics of every generation (a DEAP logbook).
        toolbox: The operators (a DEAP toolbox); register another one to replace it.
        seen: Keys of all genotypes ever drawn or evaluated.
        clock: The clock of deadlines, in seconds.
        generation: Number of finished generations.
        evaluations: Number of antibodies evaluated.
        stalled: Generations since the best antibody was found.
    """

    def __init__(
        self,
        problem: Problem[G],
        options: EvolutionOptions,
        rng: np.random.Generator,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.clock = clock
        self.problem = problem
        self.options = options
        self.rng = rng
        self.population: list[Antibody] = []
        self.memory = tools.HallOfFame(options.memory, similar=lambda a, b: a.key == b.key)
        self.logbook = tools.Logbook()
        self.seen: set[str] = set()
        self.generation = self.evaluations = self.stalled = 0
        self.toolbox = base.Toolbox()
        register, size = self.toolbox.register, options.antibodies
        register("newcomer", problem.random, rng)
        register("evaluate", problem.affinity)
        register("suppress", suppress, threshold=options.suppression)
        cloning = {"best": options.parents, "factor": options.clone_factor}
        register("select", clonal_selection, size=size, **cloning)
        register("rate", hypermutation_rate, rho=options.rho, mutation=options.mutation)
        register("mutate", problem.hypermutate, rng=rng)
        register("repair", problem.repair, rng=rng)
        register("reselect", reselect)
        register("edit_receptors", edit_receptors, share=options.edited_share, size=size)
        self._statistics = tools.Statistics(key=lambda antibody: antibody.affinity)
        for name, function in (("best", np.max), ("mean", np.mean), ("std", np.std)):
            self._statistics.register(name, _over_finite, function)

    def start(self, initial: Sequence[G] = ()) -> None:
        """Step 1, candidate solutions: the valid genotypes ``initial``, and random ones."""
        self.population = [
            self._antibody(genotype) for genotype in initial if self._is_new(genotype)
        ]
        self._fill()

    def run(
        self,
        *,
        deadline: float = math.inf,
        on_generation: Callable[[Mapping[str, float]], None] = lambda row: None,
    ) -> Antibody:
        """Repeat :meth:`step` until an option or the deadline ends the run (Steps 7 and 8).

        Args:
            deadline: Time of :attr:`clock` after which no batch starts, except the first.
            on_generation: Called after each generation with its row of the logbook.

        Returns:
            The best antibody.
        """
        while not self.finished(deadline):
            on_generation(self.step(deadline))
        return self.best

    def step(self, deadline: float = math.inf) -> dict[str, float]:
        """Run one generation and return its row of the logbook."""
        evaluations_before = self.evaluations
        best_before = self.best.affinity if self.memory else -math.inf
        self._compute_affinities(deadline)  # Step 2
        diversity = self._suppress()  # Step 1, here because it compares affinities
        selected = self.toolbox.select(self.population)  # Step 3
        clones = self._hypermutate(selected, deadline)  # Step 4
        self.population = self.toolbox.reselect(self.population, clones)  # Step 5
        self.generation += 1
        self.stalled = 0 if self.best.affinity > best_before else self.stalled + 1
        self.logbook.record(
            generation=self.generation,
            evaluations=self.evaluations,
            evaluated=self.evaluations - evaluations_before,
            antibodies=len(self.population),
            diversity=diversity,
            memory_best=self.best.affinity,
            **self._statistics.compile(self.population),
        )
        self.population = self.toolbox.edit_receptors(self.population)  # Step 6
        self._fill()
        return dict(self.logbook[-1])

    def _fill(self) -> None:
        """Fill the free places of the population with random antibodies not seen before."""
        for _ in range(self.options.antibodies - len(self.population)):
            drawn = (self.toolbox.newcomer() for _ in range(_ATTEMPTS))
            genotype = next(filter(self._is_new, drawn), None)
            if genotype is not None:
                self.population.append(self._antibody(genotype))

    def _is_new(self, genotype: G) -> bool:
        """Return whether a genotype was not seen before, and remember it."""
        key = self.problem.key(genotype)
        is_new = key not in self.seen
        self.seen.add(key)
        return is_new

    def _antibody(self, genotype: G, affinity: float | None = None) -> Antibody:
        return Antibody(genotype, self.problem.key(genotype), affinity)

    def _suppress(self) -> float:
        """Step 1, suppression: join memory and population, thin them; return the mean distance."""
        by_key = {antibody.key: antibody for antibody in (*self.memory, *self.population)}
        pool = list(by_key.values())
        distances = self.problem.distances([antibody.genotype for antibody in pool])
        kept = self.toolbox.suppress([antibody.affinity for antibody in pool], distances)
        kept = kept[: self.options.antibodies]
        self.population = [pool[i] for i in kept]
        n = len(kept)
        return float(distances[np.ix_(kept, kept)].sum() / (n * (n - 1))) if n > 1 else 0.0

    def _compute_affinities(self, deadline: float) -> None:
        """Step 2, affinity: evaluate the new antibodies; those beyond a limit are dropped."""
        known = [antibody for antibody in self.population if antibody.fitness.valid]
        new = [antibody.genotype for antibody in self.population if not antibody.fitness.valid]
        self.population = [*known, *self._evaluate(new, deadline)]

    def _evaluate(self, genotypes: Sequence[G], deadline: float) -> list[Antibody]:
        """Return evaluated antibodies, fewer than given at a limit, and update the memory."""
        if self.options.evaluations is not None:
            genotypes = genotypes[: max(0, self.options.evaluations - self.evaluations)]
        size = self.options.batch or max(1, len(genotypes))
        evaluated: list[Antibody] = []
        for i in range(0, len(genotypes), size):
            if self.evaluations and self.clock() >= deadline:
                break
            batch = genotypes[i : i + size]
            improved, affinities = self.toolbox.evaluate(batch)
            for genotype, affinity in zip(improved, affinities, strict=True):
                score = -math.inf if math.isnan(affinity) else float(affinity)
                evaluated.append(self._antibody(genotype, score))
            self.evaluations += len(improved)
            if len(improved) < len(batch):
                break
        self.seen.update(antibody.key for antibody in evaluated)
        self.memory.update(evaluated)
        return evaluated

    def _hypermutate(
        self, selected: Sequence[tuple[Antibody, int]], deadline: float
    ) -> dict[str, list[Antibody]]:
        """Step 4, hypermutation: change, repair and evaluate clones; return them by parent's key.

        Args:
            selected: The parents, each with its number of clones.
            deadline: As in :meth:`run`.
        """
        keys = [antibody.key for antibody in self.population]
        affinities = normalize_affinities([antibody.affinity for antibody in self.population])
        normalized = dict(zip(keys, affinities, strict=True))
        offspring: list[tuple[str, G]] = []
        for parent, n_clones in selected:
            rate = self.toolbox.rate(normalized[parent.key])
            for _ in range(n_clones):
                clone = self.toolbox.repair(self.toolbox.mutate(parent.genotype, rate))
                if self._is_new(clone):
                    offspring.append((parent.key, clone))
        evaluated = self._evaluate([clone for _, clone in offspring], deadline)
        clones: dict[str, list[Antibody]] = {}
        for (key, _), clone in zip(offspring, evaluated, strict=False):
            clones.setdefault(key, []).append(clone)
        return clones

    def finished(self, deadline: float = math.inf) -> bool:
        """Step 7, termination: return whether a limit is reached after the first generation."""
        options = self.options
        return self.generation > 0 and (
            self.generation >= options.generations
            or (options.evaluations is not None and self.evaluations >= options.evaluations)
            or (options.stagnation is not None and self.stalled >= options.stagnation)
            or self.clock() >= deadline
            or self.logbook[-1]["evaluated"] == 0
        )

    @property
    def best(self) -> Antibody:
        """Step 8, result: the best antibody found so far."""
        antibody: Antibody = self.memory[0]
        return antibody

    def state(self) -> dict[str, Any]:
        """Return everything that changes during a run as JSON data; call it between generations."""
        return {
            "generation": self.generation,
            "evaluations": self.evaluations,
            "stalled": self.stalled,
            "rng": self.rng.bit_generator.state,
            "population": [self._dump(antibody) for antibody in self.population],
            "memory": [self._dump(antibody) for antibody in self.memory],
            "seen": sorted(self.seen),
            "logbook": [dict(row) for row in self.logbook],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned; problem and options must be the same."""
        self.generation = state["generation"]
        self.evaluations = state["evaluations"]
        self.stalled = state["stalled"]
        self.rng.bit_generator.state = state["rng"]
        self.population = [self._load(data) for data in state["population"]]
        self.memory.clear()
        # A hall of fame inserts a new item before its equals, so the worst is inserted first.
        for data in reversed(state["memory"]):
            self.memory.insert(self._load(data))
        self.seen = set(state["seen"])
        self.logbook = tools.Logbook()
        self.logbook.extend(state["logbook"])

    def _dump(self, antibody: Antibody) -> dict[str, Any]:
        # JSON has no infinity: null stands for an antibody that could not be scored.
        data = {"genotype": self.problem.dump(antibody.genotype)}
        if antibody.fitness.valid:
            data["affinity"] = antibody.affinity if math.isfinite(antibody.affinity) else None
        return data

    def _load(self, data: Mapping[str, Any]) -> Antibody:
        genotype = self.problem.load(data["genotype"])
        if "affinity" not in data:
            return self._antibody(genotype)
        return self._antibody(genotype, -math.inf if data["affinity"] is None else data["affinity"])


def _over_finite(function: Callable[..., Any], affinities: Sequence[float]) -> float:
    """Return a statistic of the affinities that are finite; zero if none is."""
    finite = [affinity for affinity in affinities if math.isfinite(affinity)]
    return float(function(finite)) if finite else 0.0
