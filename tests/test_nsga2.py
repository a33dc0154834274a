"""NSGA-II: selection, offspring and the Pareto front that a search returns."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from bit_searches import TASK, Bits, Lookup, Wide, bits, context
from deap import tools
from pydantic import ValidationError
from test_blackbox import search
from tiny_beats import tiny_beats

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.errors import DivergedError
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.nsga2 import Nsga2, breed, front, mating_pool, member
from nasbench_ecg_blackbox.options import Nsga2Options
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_immune.operators import Antibody
from nasbench_ecg_immune.options import ImmuneOptions
from nasbench_ecg_immune.strategy import Immune, nondominated_selection


def members(*points):
    """Return members of (score, cost), or of more costs, each of its own architecture."""
    return [
        member(bits([i]), score, {f"cost{k}": cost for k, cost in enumerate(costs)})
        for i, (score, *costs) in enumerate(points)
    ]


def dominates(a, b):
    """Whether (score, cost…) ``a`` is nowhere worse than ``b`` and somewhere better."""
    better = [a[0] > b[0], *(x < y for x, y in zip(a[1:], b[1:], strict=True))]
    worse = [a[0] < b[0], *(x > y for x, y in zip(a[1:], b[1:], strict=True))]
    return any(better) and not any(worse)


@pytest.mark.parametrize("n_costs", [1, 2, 3])
def test_the_front_contains_the_members_that_none_dominates(n_costs):
    rng = np.random.default_rng(n_costs)
    points = [tuple(row) for row in rng.integers(8, size=(60, 1 + n_costs)).astype(float)]
    expected = [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]
    found = front(members(*points))
    assert sorted(one.architecture.genotype[0] for one in found) == expected
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_a_tournament_is_won_by_dominance_and_then_by_crowding_distance():
    from deap import tools

    population = tools.selNSGA2(members((9, 1), (8, 9), (7, 9), (6, 9)), 4)
    rng = np.random.default_rng(0)
    pools = [mating_pool(population, rng) for _ in range(50)]
    wins = [sum(one.score == s for pool in pools for one in pool) for s in (9, 8, 7, 6)]
    assert wins[0] == 100 and wins[3] == 0  # each enters two tournaments; the best loses none
    crowded = tools.selNSGA2(members((0, 0), (4.9, 4.9), (5, 5), (5.1, 5.1), (10, 10)), 5)
    pools = [mating_pool(crowded, rng) for _ in range(300)]
    wins = [sum(one.score == s for pool in pools for one in pool) for s in (0, 5)]
    assert wins[0] > 2 * wins[1]


def test_deap_is_seeded_from_the_generator_of_the_search_and_pythons_is_restored():
    from deap import tools

    population = tools.selNSGA2(members(*((i, i) for i in range(8))), 8)

    def pool(seed):
        return [one.score for one in mating_pool(population, np.random.default_rng(seed))]

    random.seed(1)
    before = random.getstate()
    first = pool(0)
    assert random.getstate() == before
    random.seed(2)
    assert pool(0) == first != pool(1)


def test_offspring_combine_two_parents_and_have_at_most_one_mutation():
    from deap import tools

    zeros, ones = bits([0] * 12), bits([1] * 12)
    parents = [zeros, ones, zeros, ones]
    population = tools.selNSGA2(
        [
            member(arch, score, {"cost": score})
            for arch, score in zip(parents, range(4), strict=True)
        ],
        4,
    )
    limit = SizeLimit({}, TASK, Wide())

    def offspring(**options):
        rng = np.random.default_rng(0)
        chosen = Nsga2Options(**options)
        return breed(population, 20, Bits(12), rng, options=chosen, limit=limit, known=set())

    mutants = offspring(crossover=0.0, mutation=1.0)
    assert {sum(arch.genotype) for arch in mutants} == {1, 11}
    mixed = offspring(crossover=1.0, mutation=0.0)
    assert len(mixed) == len(set(mixed)) == 20
    assert {2, 6} & {sum(arch.genotype) for arch in mixed}
    known = {arch.hash for arch in mixed}
    rng = np.random.default_rng(0)
    options = Nsga2Options(crossover=1.0, mutation=0.0)
    fresh = breed(population, 20, Bits(12), rng, options=options, limit=limit, known=known)
    assert not known & {arch.hash for arch in fresh}


def test_a_search_ends_when_the_space_is_exhausted():
    result, evaluator, _ = search("nsga2", Bits(3), models=50, population=4)
    assert len(evaluator.calls) == 8
    assert result.architecture.genotype == [1, 1, 1]


def test_the_search_spreads_along_a_front_that_random_search_does_not_reach():
    def score(arch, fidelity):  # good and small do not go together
        return sum(arch.genotype[:10]) - 0.1 * sum(arch.genotype[10:])

    def fronts(name, **options):
        reached = []
        for seed in range(3):
            _, evaluator, _ = search(name, Bits(20), evaluator=Lookup(score), seed=seed, **options)
            points = [(score(a, None), sum(a.genotype)) for a in evaluator.architectures]
            reached.append(points)
        return reached

    def covered(points):
        """Return the area between the points and (-1, 20): their hypervolume."""
        area, best = 0.0, -1.0
        for cost in range(21):
            best = max([best, *(s for s, c in points if c <= cost)])
            area += best + 1
        return area

    evolved = fronts("nsga2", models=120, population=20)
    drawn = fronts("random", samples=120)
    assert min(map(covered, evolved)) > max(map(covered, drawn))


def test_the_details_contain_the_whole_front_with_its_architectures():
    result, evaluator, _ = search("nsga2", Bits(10), models=30, population=8)
    points = [(sum(a.genotype), 2.0 + sum(a.genotype)) for a in evaluator.architectures]
    expected = {p for p in points if not any(dominates(q, p) for q in points)}
    rows = result.details["front"]
    assert {(row["score"], row["parameters"]) for row in rows} == expected
    for row in rows:
        arch = Architecture.from_dict(row["architecture"])
        assert arch in evaluator.architectures and arch.hash == row["hash"]
    assert result.details["objectives"] == ["score", "parameters"]
    assert result.architecture.hash == rows[0]["hash"]


def test_of_equal_scores_it_returns_the_cheapest():
    evaluator = Lookup(lambda arch, _: 1.0)
    result, evaluator, _ = search("nsga2", Bits(10), evaluator=evaluator, models=40, population=8)
    assert sum(result.architecture.genotype) == min(
        sum(arch.genotype) for arch in evaluator.architectures
    )
    assert len(result.details["front"]) >= 1


def test_the_trajectory_contains_the_costs_of_every_candidate():
    _, evaluator, ctx = search("nsga2", Bits(10), models=12, population=4)
    assert [point["parameters"] for point in ctx.trajectory] == [
        2 + sum(arch.genotype) for arch in evaluator.architectures
    ]
    assert [point["generation"] for point in ctx.trajectory] == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("evaluations", [1, 2, 3, 5, 6])
def test_a_budget_that_ends_within_a_generation_still_gives_a_front(evaluations):
    budget = Budget(evaluations=evaluations)
    result, evaluator, _ = search("nsga2", Bits(10), budget=budget, population=4)
    assert len(evaluator.calls) == evaluations
    assert result.architecture in evaluator.architectures


@pytest.mark.parametrize(
    "options",
    [
        {"population": 6},
        {"population": 0},
        {"objectives": ()},
        {"objectives": ("parameters", "parameters")},
        {"objectives": ("beauty",)},
    ],
)
def test_invalid_options_are_refused(options):
    with pytest.raises(ValidationError):
        Nsga2Options(**options)


def test_a_search_can_have_several_costs():
    space = ConvCells(ConvCellsOptions(nodes=1))
    builder = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4))
    task = Task(tiny_beats(4), tiny_beats(4), ("N",))
    ctx = context(space, Lookup(lambda arch, _: int(arch.hash, 16) % 7))
    options = Nsga2Options(objectives=("macs", "parameters"), models=8, population=4)
    result = Nsga2(options).search(task, space, builder, ctx)
    for row in result.details["front"]:
        arch = Architecture.from_dict(row["architecture"])
        names = ["macs", "parameters"]
        costs = network_costs(arch, task, builder, device="cpu", names=names)
        assert {name: row[name] for name in names} == costs


def diverges_if_smallest(arch, fidelity):
    if not any(arch.genotype):
        raise DivergedError("The loss is not finite.")
    return sum(arch.genotype)


def test_a_network_that_diverged_is_not_of_the_front_though_it_is_the_smallest():
    evaluator = Lookup(diverges_if_smallest)
    result, *_ = search("nsga2", Bits(4), evaluator=evaluator)
    assert bits([0] * 4) in evaluator.architectures
    assert {row["score"] for row in result.details["front"]} == {1, 2, 3, 4}


def test_distances_along_a_front_are_numbers_if_a_candidate_diverged():
    some = members((0.9, 9.0), (0.8, 5.0), (0.7, 3.0), (0.6, 2.0), (-math.inf, 1.0))
    assert tools.selNSGA2(some, len(some))[-1].score == -math.inf
    assert not any(math.isnan(one.fitness.crowding_dist) for one in some)


# -- the immune engine with this selection ----------------------------------------------------


def test_immune_selection_clones_the_first_front_and_not_only_the_best_score():
    points = {0: (0.9, 9.0), 1: (0.8, 1.0), 2: (0.85, 9.0), 3: (0.7, 2.0)}
    population = [Antibody(bits([i]), bits([i]).hash, score) for i, (score, _) in points.items()]
    chosen = nondominated_selection(
        population, best=2, size=4, factor=1.0, costs=lambda a: {"cost": points[a.genotype[0]][1]}
    )
    assert {one.genotype.genotype[0] for one, _ in chosen} == {0, 1}
    assert [clones for _, clones in chosen] == [4, 2]  # size over rank


def test_immune_search_by_fronts_returns_a_front_with_smaller_networks():
    def found(**options):
        ctx = context(Bits(16), Lookup(), seed=1)
        given = ImmuneOptions(evaluations=60, antibodies=8, memory=2, parents=4, **options)
        return Immune(given).search(TASK, ctx.space, ctx.builder, ctx)

    assert "front" not in found().details
    result = found(selection="nsga2")
    rows = result.details["front"]
    assert all(row["parameters"] == 2 + row["score"] for row in rows)  # of Wide, one a bit
    assert max(row["score"] for row in rows) == sum(result.architecture.genotype)
    assert len({row["score"] for row in rows}) > 2


def test_the_front_of_an_immune_search_is_that_of_all_evaluations_also_after_a_stop():
    class Kept:
        def __init__(self, *states):
            self.states = list(states)

        def due(self):
            return True

        def save(self, state):
            self.states.append(json.loads(json.dumps(state)))

        def load(self):
            return self.states[-1] if self.states else None

    def found(kept):
        evaluator = Lookup(diverges_if_smallest)
        ctx = context(Bits(8), evaluator, seed=1)
        ctx.checkpoint = kept
        options = ImmuneOptions(
            evaluations=100, antibodies=8, suppression=0.4, selection="nsga2", objectives=("macs",)
        )
        result = Immune(options).search(TASK, ctx.space, ctx.builder, ctx)
        return result, {sum(arch.genotype) for arch in evaluator.architectures}

    # Suppression removes all but a few antibodies, and a larger network of Wide scores better.
    whole, scores = found(kept := Kept())
    assert {row["score"] for row in whole.details["front"]} == scores - {0} == {*range(1, 9)}
    resumed, _ = found(Kept(kept.states[len(kept.states) // 2]))
    assert resumed == whole


def test_immune_search_says_how_long_it_takes():
    ctx = context(Bits(16), Lookup())
    assert (
        Immune(ImmuneOptions(evaluations=30, epochs=2)).estimate(TASK, ctx.space, None, ctx) == 60
    )
    endless = Immune(ImmuneOptions(evaluations=None))
    assert endless.estimate(TASK, ctx.space, None, ctx) is None
