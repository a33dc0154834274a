"""The immune engine on problems with a known optimum: its operators and whole runs."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from deap import tools
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.operators import (
    Antibody,
    clonal_selection,
    clone_count,
    edit_receptors,
    hypermutation_rate,
    normalize_affinities,
    reselect,
    suppress,
)
from nasbench_ecg_immune.options import EvolutionOptions

N_BITS = 20


class OneMax:
    """Bit strings; affinity is the share of ones. Records the genotypes that were evaluated."""

    def __init__(self, n=N_BITS):
        self.n = n
        self.evaluated = []

    def random(self, rng):
        return "".join(rng.choice(["0", "1"], size=self.n))

    def hypermutate(self, genotype, rate, rng):
        flipped = rng.random(self.n) < max(rate, 1 / self.n)
        pairs = zip(genotype, flipped, strict=True)
        return "".join(str(1 - int(g)) if f else g for g, f in pairs)

    def repair(self, genotype, rng):
        return genotype if "1" in genotype else "1" + genotype[1:]

    def distances(self, genotypes):
        bits = np.array([[int(c) for c in g] for g in genotypes])
        return np.abs(bits[:, None] - bits[None]).mean(axis=2)

    def key(self, genotype):
        return genotype

    def affinity(self, genotypes):
        self.evaluated += genotypes
        return genotypes, [g.count("1") / self.n for g in genotypes]

    def dump(self, genotype):
        return genotype

    def load(self, data):
        return data


SMALL = EvolutionOptions(
    antibodies=12, memory=3, parents=4, suppression=0.06, rho=4.0, generations=12
)


def evolution(options=SMALL, seed=0, problem=None):
    engine = ImmuneEvolution(problem or OneMax(), options, np.random.default_rng(seed))
    engine.start()
    return engine


def population(*affinities):
    return [Antibody(i, str(i), a) for i, a in enumerate(affinities)]


# -- the operators ---------------------------------------------------------------------------------


def test_the_best_are_cloned_most():
    # round(β·N/rank) with β·N = 10 by hand.
    assert [clone_count(rank, 20, 0.5) for rank in (1, 2, 3, 4, 6, 20)] == [10, 5, 3, 2, 2, 1]
    chosen = clonal_selection(population(0.1, 0.9, 0.5, 0.7), 3, size=4, factor=1.0)
    assert [(one.genotype, n) for one, n in chosen] == [(1, 4), (3, 2), (2, 1)]


def test_by_default_clones_of_better_antibodies_change_less():
    rates = [hypermutation_rate(f, 4.0, "inverse") for f in (0, 0.25, 0.5, 1)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1 and rates[-1] == pytest.approx(math.exp(-4))


def test_in_the_papers_wording_clones_of_better_antibodies_change_more():
    rates = [
        hypermutation_rate(normalized, 4.0, "proportional") for normalized in (0, 0.25, 0.5, 1)
    ]
    assert rates == sorted(rates)
    assert rates[-1] == 1 and rates[0] == pytest.approx(math.exp(-4))


def test_affinities_are_normalized_over_the_population():
    assert normalize_affinities([2, 4, 3]) == [0, 1, 0.5]
    assert normalize_affinities([5, 5]) == [1, 1]
    assert normalize_affinities([1, 2, -math.inf]) == [0, 1, 0]
    assert normalize_affinities([-math.inf]) == [0]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0, 0.5), st.integers(0, 99))
def test_suppression_keeps_the_best_and_no_two_that_are_close(affinities, threshold, seed):
    points = np.random.default_rng(seed).random(len(affinities))
    distances = np.abs(points[:, None] - points)
    stays = suppress(affinities, distances, threshold)
    assert affinities[stays[0]] == max(affinities)
    assert all(distances[i, j] >= threshold for i in stays for j in stays if i != j)
    for gone in set(range(len(affinities))) - set(stays):
        assert any(
            distances[gone, i] < threshold and affinities[i] >= affinities[gone] for i in stays
        )


def test_a_clone_replaces_its_parent_only_if_it_is_better():
    parents = population(0.5, 0.8)
    clones = {"0": [Antibody(7, "7", 0.6), Antibody(8, "8", 0.7)], "1": [Antibody(9, "9", 0.8)]}
    assert [one.genotype for one in reselect(parents, clones)] == [8, 1]


def test_receptor_editing_removes_the_worst_share():
    left = edit_receptors(population(0.3, 0.9, 0.1, 0.5, 0.7), share=0.4, size=5)
    assert [one.affinity for one in left] == [0.9, 0.7, 0.5]
    # Suppression has left four of ten places free; for 60%, only two of six are removed.
    assert len(edit_receptors(population(*np.arange(6) / 10), share=0.6, size=10)) == 4


# -- a run -----------------------------------------------------------------------------------------


def test_the_optimum_is_found():
    assert evolution(SMALL.model_copy(update={"generations": 60})).run().genotype == "1" * N_BITS


def test_memory_never_gets_worse_and_holds_each_antibody_once():
    engine = evolution()
    before = [-math.inf] * SMALL.memory
    for _ in range(10):
        engine.step()
        now = [one.affinity for one in engine.memory]
        assert all(a >= b for a, b in zip(now, before, strict=False))
        assert len({one.key for one in engine.memory}) == len(engine.memory)
        before = now
    assert max(g.count("1") for g in engine.problem.evaluated) / N_BITS == before[0]


def test_no_antibody_is_evaluated_twice():
    engine = evolution()
    engine.run()
    assert len(set(engine.problem.evaluated)) == len(engine.problem.evaluated)
    assert len(engine.problem.evaluated) == engine.evaluations


def test_offspring_are_repaired():
    engine = evolution()
    engine.run()
    drawn = set(engine.problem.evaluated[: SMALL.antibodies])
    assert all("1" in g for g in set(engine.problem.evaluated) - drawn)


def test_newcomers_enter_in_every_generation():
    engine = evolution()
    for _ in range(3):
        engine.step()
        fresh = [one for one in engine.population if not one.fitness.valid]
        assert len(fresh) >= round(SMALL.edited_share * SMALL.antibodies)
        assert len(engine.population) == SMALL.antibodies


def test_suppression_keeps_the_population_apart():
    engine = evolution(SMALL.model_copy(update={"suppression": 0.3}))
    engine._compute_affinities(math.inf)
    engine._suppress()
    d = engine.problem.distances([one.genotype for one in engine.population])
    assert d[np.triu_indices(len(d), 1)].min() >= 0.3


def test_the_same_seed_gives_the_same_run_without_global_generators():
    random.seed(5)
    np.random.seed(5)
    states = random.getstate(), np.random.get_state()[1].tolist()
    first, second = evolution(seed=3), evolution(seed=3)
    first.run()
    random.random()
    np.random.seed(6)
    second.run()
    assert first.problem.evaluated == second.problem.evaluated
    assert first.logbook == second.logbook
    np.random.seed(5)
    random.seed(5)
    evolution().run()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_a_run_resumed_from_json_ends_like_an_uninterrupted_one(stop):
    whole = evolution(seed=1)
    whole.run()
    first = evolution(seed=1)
    for _ in range(stop):
        first.step()
    saved = json.loads(json.dumps(first.state(), allow_nan=False))
    resumed = ImmuneEvolution(OneMax(), SMALL, np.random.default_rng(99))
    resumed.restore(saved)
    resumed.run()
    assert resumed.state() == whole.state()
    assert first.problem.evaluated + resumed.problem.evaluated == whole.problem.evaluated


@pytest.mark.parametrize("limit", [1, 5, 12, 13, 30])
def test_no_more_antibodies_are_evaluated_than_allowed(limit):
    engine = evolution(SMALL.model_copy(update={"evaluations": limit}))
    engine.run()
    assert len(engine.problem.evaluated) == engine.evaluations == limit


def test_a_run_ends_after_generations_without_a_better_antibody():
    options = SMALL.model_copy(update={"stagnation": 3, "generations": 1000})
    engine = evolution(options)
    engine.run()
    best = engine.logbook.select("memory_best")
    assert engine.stalled == 3
    assert best[-4] == best[-1] and (len(best) < 5 or best[-5] < best[-1])


def test_a_run_ends_when_the_space_is_exhausted():
    engine = evolution(SMALL.model_copy(update={"generations": 10_000}), problem=OneMax(3))
    engine.run()
    assert engine.generation < 10_000
    assert set(engine.problem.evaluated) >= {f"{i:03b}" for i in range(1, 8)}


def test_after_the_deadline_one_batch_is_still_evaluated():
    engine = evolution(SMALL.model_copy(update={"batch": 4}))
    best = engine.run(deadline=0.0)
    assert engine.evaluations == 4
    assert best.genotype in engine.problem.evaluated[:4]


def test_antibodies_that_cannot_be_scored_are_the_worst():
    class Holes(OneMax):
        def affinity(self, genotypes):
            _, values = super().affinity(genotypes)
            return genotypes, [math.nan if v < 0.5 else v for v in values]

    engine = evolution(problem=Holes())
    assert engine.run().affinity >= 0.5
    json.dumps(engine.state(), allow_nan=False)


def test_initial_genotypes_are_members_of_the_first_population():
    engine = ImmuneEvolution(OneMax(), SMALL, np.random.default_rng(0))
    engine.start(["1" * N_BITS])
    engine.step()
    assert engine.best.genotype == "1" * N_BITS


def test_memory_and_statistics_are_deaps_containers():
    engine = evolution()
    engine.run()
    assert isinstance(engine.memory, tools.HallOfFame)
    assert isinstance(engine.logbook, tools.Logbook)
    best, mean, diversity = engine.logbook.select("best", "mean", "diversity")
    assert all(a >= b for a, b in zip(best, mean, strict=True))
    assert all(0 <= d <= 1 for d in diversity)
    assert engine.logbook.select("generation") == list(range(1, SMALL.generations + 1))


def test_an_operator_can_be_replaced_in_the_toolbox():
    engine = evolution()
    engine.toolbox.register("mutate", lambda genotype, rate: "1" * N_BITS)
    engine.step()
    assert engine.best.genotype == "1" * N_BITS
