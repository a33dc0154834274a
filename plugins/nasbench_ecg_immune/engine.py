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
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from deap import base, creator, tools
from numpy.typing import NDArray

from nasbench_ecg_immune.options import EvolutionOptions

G = TypeVar("G")

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


class Problem(Protocol[G]):
    """A problem whose solutions are genotypes of the type ``G``, which are never changed in place.

    The engine knows no more of a problem than this. All methods draw from the generator given.
    """

    def random(self, rng: np.random.Generator) -> G:
        """Return a valid genotype, drawn at random."""

    def hypermutate(self, genotype: G, rate: float, rng: np.random.Generator) -> G:
        """Return a changed copy; ``rate`` in [0, 1] says how much. It may be invalid."""

    def repair(self, genotype: G, rng: np.random.Generator) -> G:
        """Return the genotype itself if it is valid, otherwise a valid one near to it."""

    def distances(self, genotypes: Sequence[G]) -> NDArray[np.float64]:
        """Return float64 [n, n] in [0, 1], zero exactly where two are one solution."""

    def key(self, genotype: G) -> str:
        """Return a text that two genotypes share exactly if they are one solution."""

    def affinity(self, genotypes: Sequence[G]) -> tuple[Sequence[G], Sequence[float]]:
        """Return the genotypes after any local improvement, and their affinities, larger better.

        Fewer than were given may come back: the first ones, where a budget ended.
        """

    def dump(self, genotype: G) -> Any:
        """Return JSON data that :meth:`load` reads back."""

    def load(self, data: Any) -> G:
        """Read what :meth:`dump` wrote."""


class Carrier:
    """What carries a genotype and its key; ``creator`` adds the fitness."""

    fitness: Any

    def __init__(self, genotype: Any, key: str) -> None:
        self.genotype = genotype
        self.key = key

    def __deepcopy__(self, memo: dict[int, Any]) -> Carrier:
        # A hall of fame copies deeply; genotypes are never changed in place, so they are shared.
        copied: Carrier = type(self)(self.genotype, self.key)
        copied.fitness.wvalues = self.fitness.wvalues
        return copied


if not hasattr(creator, "ImmuneAntibody"):
    creator.create("ImmuneAffinity", base.Fitness, weights=(1.0,))
    creator.create("ImmuneAntibody", Carrier, fitness=creator.ImmuneAffinity)


def antibody(genotype: Any, key: str, affinity: float | None = None) -> Carrier:
    """Return an antibody; without an affinity its fitness is not valid yet."""
    made: Carrier = creator.ImmuneAntibody(genotype, key)
    if affinity is not None:
        made.fitness.values = (affinity,)
    return made


def affinity_of(one: Carrier) -> float:
    """Return the affinity of an antibody that has one."""
    return float(one.fitness.values[0])


def same(a: Carrier, b: Carrier) -> bool:
    """Return whether two antibodies are one solution."""
    return a.key == b.key


def copies(rank: int, population: int, factor: float) -> int:
    """Return round(factor · population / rank), at least one; ``rank`` 1 is the best.

    Source: de Castro, Von Zuben 2002, "Learning and optimization using the clonal selection
    principle", IEEE Trans. Evol. Comput. 6(3), equation (2).
    """
    return max(1, round(factor * population / rank))


def clonal_selection(
    population: Sequence[Carrier], best: int, size: int, factor: float
) -> list[tuple[Carrier, int]]:
    """Return the ``best`` antibodies, best first, each with the number of its clones."""
    chosen = tools.selBest(population, best)
    return [(one, copies(rank, size, factor)) for rank, one in enumerate(chosen, start=1)]


def reselect(
    population: Sequence[Carrier], clones: Mapping[str, Sequence[Carrier]]
) -> list[Carrier]:
    """Return the population with each parent replaced by its best clone if that is better.

    Args:
        population: Antibodies with affinities.
        clones: Evaluated clones by the key of their parent.
    """
    return [max((one, *clones.get(one.key, ())), key=lambda a: a.fitness) for one in population]


def suppress(
    affinities: Sequence[float], distances: NDArray[np.float64], threshold: float
) -> list[int]:
    """Return the positions of the antibodies that stay, best first.

    One goes if it is the same as, or closer than ``threshold`` to, a better one that stays; of two
    with one affinity the first is the better.

    Args:
        affinities: n affinities, larger better.
        distances: float64 [n, n].
        threshold: σ; with zero, only the same antibodies go.
    """
    order = np.argsort(-np.asarray(affinities, np.float64), kind="stable")
    near = (distances < threshold) | (distances <= 0)
    stays: list[int] = []
    gone = np.zeros(len(order), dtype=bool)
    for i in order:
        if not gone[i]:
            stays.append(int(i))
            gone |= near[i]
    return stays


Mutation = Literal["inverse", "proportional"]


def normalised(affinities: Sequence[float]) -> list[float]:
    """Return where each affinity lies between the least and the largest, in [0, 1].

    One where all are equal; zero for an affinity that is not finite.
    """
    finite = [value for value in affinities if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high - low
    return [
        0.0 if not math.isfinite(value) else (value - low) / span if span > 0 else 1.0
        for value in affinities
    ]


def hypermutation_rate(share: float, rho: float, mutation: Mutation) -> float:
    """Return the rate of change, in [0, 1], of a clone whose parent's normalised affinity is given.

    ``inverse`` is exp(−ρ·share), the field's standard: the better, the less is changed.
    ``proportional`` is exp(−ρ·(1 − share)), what the paper's words say: the better, the more.

    Source: de Castro, Von Zuben 2002, equation (3), for the exponential.
    """
    return math.exp(-rho * (share if mutation == "inverse" else 1 - share))


def survivors(population: Sequence[Carrier], share: float, size: int) -> list[Carrier]:
    """Return the population, best first, without those that newcomers will replace.

    Args:
        population: Antibodies with affinities.
        share: Share of ``size`` that is replaced; a population that suppression has thinned has
            free places, and only what these fall short by is taken from the worst.
        size: Places in the population.
    """
    return list(tools.selBest(population, max(1, size - round(share * size))))
