"""Black-box searches: algorithms, evaluations, budgets and time estimates.

The searches run in the harness's search context, which refuses evaluations beyond the budget, with
an evaluator that returns known scores.
"""

from __future__ import annotations

import math
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
from bit_searches import TASK, Bits, Lookup, Wide, bits, context
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nasbench_ecg.contracts import Budget, Fidelity
from nasbench_ecg.errors import DivergedError, OptionError
from nasbench_ecg.options import PROFILE_NAMES, resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import RunSearchContext
from nasbench_ecg.run.resume import EvaluationLog
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.asha import Asha
from nasbench_ecg_blackbox.evolution import (
    Member,
    RegularizedEvolution,
    add_youngest,
    mutate,
    tournament,
)
from nasbench_ecg_blackbox.halving import SuccessiveHalving, rungs
from nasbench_ecg_blackbox.hyperband import Hyperband, brackets
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.local_search import LocalSearch
from nasbench_ecg_blackbox.nsga2 import Nsga2
from nasbench_ecg_blackbox.options import (
    AshaOptions,
    HyperbandOptions,
    LocalSearchOptions,
    Nsga2Options,
    RandomSearchOptions,
    RegularizedEvolutionOptions,
    SuccessiveHalvingOptions,
)
from nasbench_ecg_blackbox.random_search import RandomSearch
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells

SEARCHES = {
    "random": (RandomSearch, RandomSearchOptions),
    "regularized-evolution": (RegularizedEvolution, RegularizedEvolutionOptions),
    "successive-halving": (SuccessiveHalving, SuccessiveHalvingOptions),
    "nsga2": (Nsga2, Nsga2Options),
    "local-search": (LocalSearch, LocalSearchOptions),
    "hyperband": (Hyperband, HyperbandOptions),
    "asha": (Asha, AshaOptions),
}


def search(name, space, *, evaluator=None, seed=0, budget=None, rng=None, **options):
    """Return the result, the evaluator and the context of a search with ``options``."""
    strategy, model = SEARCHES[name]
    evaluator = evaluator or Lookup()
    ctx = context(space, evaluator, seed=seed, budget=budget, rng=rng)
    return strategy(model(**options)).search(TASK, space, Wide(), ctx), evaluator, ctx


# All of them


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.slow
def test_equal_seeds_evaluate_the_same_and_find_the_same(name):
    (a, ea, _), (b, eb, _), (_, ec, _) = (search(name, Bits(10), seed=s) for s in (3, 3, 4))
    assert a.architecture == b.architecture and ea.calls == eb.calls != ec.calls


@pytest.mark.parametrize("name", SEARCHES)
def test_every_evaluation_is_a_point_of_the_trajectory(name):
    result, evaluator, ctx = search(name, Bits(10))
    assert [point["value"] for point in ctx.trajectory] == [
        sum(arch.genotype) for arch in evaluator.architectures
    ]
    assert [row["architecture"] for row in result.details["evaluations"]] == [
        arch.hash for arch in evaluator.architectures
    ]


@pytest.mark.parametrize("name", SEARCHES)
@settings(max_examples=20, deadline=None)
@given(evaluations=st.integers(0, 30), n_bits=st.integers(1, 8), seed=st.integers(0, 99))
def test_a_budget_of_evaluations_is_kept_and_an_architecture_returned(
    name, evaluations, n_bits, seed
):
    space = Bits(n_bits)
    budget = Budget(evaluations=evaluations)
    result, evaluator, _ = search(name, space, seed=seed, budget=budget)
    space.validate(result.architecture)
    assert len(evaluator.calls) <= evaluations
    if evaluator.calls:
        assert result.architecture in evaluator.architectures


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(("seconds", "evaluations"), [(0, 1), (2.5, 3), (7, 7)])
def test_a_search_ends_with_the_evaluation_that_uses_up_its_seconds(name, seconds, evaluations):
    result, evaluator, _ = search(name, Bits(10), budget=Budget(seconds=seconds))
    assert len(evaluator.calls) == evaluations
    assert sum(result.architecture.genotype) == max(
        sum(arch.genotype) for arch in evaluator.architectures
    )


@pytest.mark.parametrize("name", SEARCHES)
def test_nothing_is_evaluated_twice_at_one_fidelity_though_the_space_is_tiny(name):
    result, evaluator, _ = search(name, Bits(2))
    keys = [(arch.hash, fidelity) for arch, fidelity in evaluator.calls]
    assert len(set(keys)) == len(keys)
    assert result.architecture.genotype == [1, 1]


def epochs_spent(name, profile):
    _, model = SEARCHES[name]
    evaluator = Lookup()
    options = resolve(model, component=name, profile=profile).model_dump()
    search(name, Bits(40), evaluator=evaluator, **options)
    return sum(f.epochs - (f.continues or 0) for _, f in evaluator.calls)


def test_the_published_profile_spends_about_the_same_in_every_search():
    for name in SEARCHES:
        assert epochs_spent(name, "paper") == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize("profile", ["standard", "quick"])
def test_each_smaller_profile_spends_the_same_in_every_search(profile):
    assert len({epochs_spent(name, profile) for name in SEARCHES}) == 1


# How long they take


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_the_estimate_covers_all_evaluations_and_spends_no_budget(name, profile):
    strategy, model = SEARCHES[name]
    options = resolve(model, component=name, profile=profile)
    evaluator = Lookup()
    ctx = context(Bits(40), evaluator)
    seconds = strategy(options).estimate(TASK, ctx.space, ctx.builder, ctx)
    assert seconds == epochs_spent(name, profile)  # an epoch takes a second in this estimate
    assert evaluator.calls == [] and ctx.evaluations == 0


@pytest.mark.parametrize("name", SEARCHES)
def test_the_estimate_keeps_to_the_budget(name):
    strategy, model = SEARCHES[name]
    for budget, most in ((Budget(evaluations=2), 2 * 81), (Budget(seconds=5.0), 5)):
        ctx = context(Bits(40), Lookup(), budget=budget)
        assert 0 < strategy(model()).estimate(TASK, ctx.space, ctx.builder, ctx) <= most


@pytest.mark.parametrize("name", SEARCHES)
def test_there_is_no_estimate_where_the_evaluator_offers_none(name):
    strategy, model = SEARCHES[name]
    silent = SimpleNamespace(evaluate=Lookup().evaluate)
    ctx = context(Bits(40), silent)
    assert strategy(model()).estimate(TASK, ctx.space, ctx.builder, ctx) is None


# Several candidates at a time


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("evaluations", [None, 7])
def test_candidates_in_batches_give_the_same_search(name, evaluations):
    def run(parallel):
        strategy, model = SEARCHES[name]
        evaluator = Lookup()
        budget = Budget(evaluations=evaluations)
        ctx = context(Bits(10), evaluator, budget=budget)
        ctx.parallel = parallel
        found = strategy(model()).search(TASK, ctx.space, ctx.builder, ctx)
        return found, evaluator.calls, [point["value"] for point in ctx.trajectory]

    assert run(1) == run(3) == run(200)


def test_random_search_asks_for_as_many_at_once_as_are_evaluated_at_a_time(monkeypatch):
    asked = []
    real = RunSearchContext.evaluate_many
    monkeypatch.setattr(
        RunSearchContext,
        "evaluate_many",
        lambda self, a, f: asked.append(len(a)) or real(self, a, f),
    )
    ctx = context(Bits(10), Lookup())
    ctx.parallel = 4
    RandomSearch(RandomSearchOptions(samples=10)).search(TASK, ctx.space, ctx.builder, ctx)
    assert asked == [4, 4, 2]


@pytest.mark.parametrize("parallel", [1, 3, 8])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_estimate_counts_candidates_at_the_same_time_only_where_a_search_asks_for_several(
    name, parallel, monkeypatch
):
    turns = []
    real = RunSearchContext.evaluate_many

    def evaluate_many(self, architectures, fidelity):
        turns.append((len(architectures), fidelity.epochs - (fidelity.continues or 0)))
        return real(self, architectures, fidelity)

    monkeypatch.setattr(RunSearchContext, "evaluate_many", evaluate_many)
    strategy, model = SEARCHES[name]
    options = resolve(model, component=name, profile="standard")
    ctx = context(Bits(40), Lookup())
    ctx.parallel = parallel
    seconds = strategy(options).estimate(TASK, ctx.space, ctx.builder, ctx)
    strategy(options).search(TASK, ctx.space, ctx.builder, ctx)
    spent = sum(math.ceil(n / parallel) * epochs for n, epochs in turns)
    if name == "local-search":  # its first candidates are asked for at once, which saves at most
        assert spent <= seconds <= spent + 3 * options.initial
    else:
        assert seconds == spent


@pytest.mark.parametrize("batch", [1, 5])
def test_the_estimate_of_asha_counts_a_batch_as_that_many_workers(batch):
    ctx = context(Bits(40), Lookup())
    ctx.parallel = 5
    options = AshaOptions(total_epochs=100, batch=batch)
    assert Asha(options).estimate(TASK, ctx.space, ctx.builder, ctx) == 100 / batch


@pytest.mark.parametrize("name", ["random", "regularized-evolution"])
def test_earlier_seconds_count_as_at_the_same_time_only_where_they_were(name, tmp_path):
    strategy, model = SEARCHES[name]
    for _ in range(2):  # the second search reads the evaluations of the first: each took a second
        ctx = context(Bits(40), Lookup())
        ctx.parallel, ctx.evaluation_log = 4, EvaluationLog(tmp_path / "evaluations.jsonl")
        options = resolve(model, component=name, profile="standard")
        strategy(options).search(TASK, ctx.space, ctx.builder, ctx)
    turns = {"random": 20 / 4, "regularized-evolution": 20}[name]
    assert turns <= ctx.seconds < turns + 10  # and the little that this search takes


def test_candidates_at_the_same_time_spend_the_seconds_of_one():
    ctx = context(Bits(10), Lookup(), budget=Budget(seconds=2.5))
    ctx.parallel = 4
    RandomSearch(RandomSearchOptions(samples=100)).search(TASK, ctx.space, ctx.builder, ctx)
    assert ctx.evaluations == 3 * 4  # an evaluation takes one second


# The largest network that is allowed


@pytest.mark.parametrize("name", SEARCHES)
def test_a_network_above_the_limit_is_never_evaluated_and_costs_no_evaluation(name):
    limited, evaluator, _ = search(name, Bits(8), max_parameters=5)
    assert max(sum(arch.genotype) for arch in evaluator.architectures) == 3  # and two more
    assert sum(limited.architecture.genotype) == 3
    free, others, _ = search(name, Bits(8))
    assert sum(free.architecture.genotype) > 3
    small = sum(sum(int(b) for b in f"{i:08b}") <= 3 for i in range(256))  # 1 + 8 + 28 + 56
    if name not in ("successive-halving", "hyperband", "asha"):
        assert 0.9 * small < len(evaluator.calls) <= small
        assert len(others.calls) == 100


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["max_macs", "max_flash", "max_ram"])
def test_multiply_accumulates_flash_and_ram_are_limited_as_parameters_are(limit):
    space = Bits(8)
    rng = np.random.default_rng(0)
    names = {"max_macs": "macs", "max_flash": "flash_bytes", "max_ram": "ram_bytes"}

    def cost(arch):
        return network_costs(arch, TASK, Wide(), device="cpu", names=[names[limit]])[names[limit]]

    middle = int(np.median([cost(space.sample(rng)) for _ in range(20)]))
    _, evaluator, _ = search("random", space, samples=12, **{limit: middle})
    assert len(evaluator.architectures) == 12
    assert all(cost(arch) <= middle for arch in evaluator.architectures)
    if limit != "max_macs":  # a network without ones has a single multiplication
        with pytest.raises(OptionError, match=rf"strategy\.{limit}"):
            search("random", Bits(40), samples=2, **{limit: 1})


def test_one_random_architecture_below_the_limit_is_the_first_that_is():
    rng, space = np.random.default_rng(0), Bits(12)
    drawn = [space.sample(rng) for _ in range(200)]
    first = next(arch for arch in drawn if sum(arch.genotype) + 2 <= 5)
    assert drawn[0] != first
    result, evaluator, _ = search("random", Bits(12), samples=1, max_parameters=5)
    assert result.architecture == first and evaluator.calls == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_limit_that_no_random_network_keeps_is_met_by_mutations(name, few_draws):
    # one in 2⁴⁰ / 821 has two ones or fewer, and parameters are the ones and two more
    result, evaluator, _ = search(name, Bits(40), max_parameters=4)
    assert sum(result.architecture.genotype) == 2
    ones = {arch.hash: sum(arch.genotype) for arch in evaluator.architectures}
    assert len(ones) >= 8 and max(ones.values()) == 2
    assert result.details["before_mutations"]["within_limits"] == 0
    again, other, _ = search(name, Bits(40), max_parameters=4)
    assert again == result and other.calls == evaluator.calls


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self):
        self.lines = []

    def note(self, message):
        self.lines.append(message)


@pytest.mark.slow
def test_below_a_limit_that_few_networks_keep_the_space_is_searched_whole():
    # 1 + 14 of 2¹⁴ networks
    notes = Notes()
    limit = SizeLimit({"parameters": 3}, TASK, Wide(), notes)
    found = limit.sample_distinct(Bits(14), np.random.default_rng(0), 100)
    assert len(found) == 15 == len({arch.hash for arch in found})
    within, drawn = (
        limit.details["before_mutations"][k] for k in ("within_limits", "architectures")
    )
    assert within < 15 and drawn >= 2000
    assert notes.lines[-2].startswith(f"{within or 'None'} of {drawn:,} architectures")
    few = SizeLimit({"parameters": 3}, TASK, Wide())
    assert few.sample_distinct(Bits(14), np.random.default_rng(0), 9) == found[:9]


@pytest.mark.parametrize("ones", [0, 1])
def test_in_a_space_that_was_seen_whole_no_mutations_are_tried(ones):
    notes = Notes()
    limit = SizeLimit({"parameters": ones + 2}, TASK, Wide(), notes)
    found = limit.sample_distinct(Bits(6), np.random.default_rng(0), 50)
    assert len(found) == (1 if ones == 0 else 7)
    found_few = "1 architecture" if ones == 0 else "7 architectures"
    assert notes.lines == [f"No more than {found_few} within strategy.max_parameters found."]
    assert limit.details == {}
    with pytest.raises(OptionError, match="The nearest of 64 that were tried has 2 "):
        SizeLimit({"parameters": 1}, TASK, Wide()).sample_distinct(
            Bits(6), np.random.default_rng(0), 5
        )


def test_an_estimate_below_a_tight_limit_looks_at_few_networks():
    limit = SizeLimit({"parameters": 4}, TASK, Wide())
    space, rng = Bits(40), np.random.default_rng(0)
    two = limit.for_estimate(space, rng, 2)
    assert len(two) == 2 and len(limit._excesses) == 20
    assert [sum(a.genotype) for a in two] == sorted(
        limit.limits["parameters"] - 2 + over["parameters"] for over in limit._excesses.values()
    )[:2]
    free = SizeLimit({}, TASK, Wide()).for_estimate(space, np.random.default_rng(0), 1)
    assert free == [space.sample(np.random.default_rng(0))]


@pytest.mark.parametrize("name", SEARCHES)
def test_a_limit_below_every_network_is_an_error_with_a_fix(name, few_draws):
    with pytest.raises(
        OptionError, match=r"1 or fewer trainable .* has 2 trainable .*Allow more"
    ) as found:
        search(name, Bits(40), max_parameters=1)
    assert "builder." not in str(found.value), "the space may have another builder than cells have"


# Random search


def test_random_search_returns_the_best_of_what_it_drew():
    result, evaluator, _ = search("random", Bits(12), samples=30)
    assert len(evaluator.calls) == 30
    assert sum(result.architecture.genotype) == max(
        sum(a.genotype) for a in evaluator.architectures
    )


def test_one_random_architecture_is_returned_without_any_evaluation():
    result, evaluator, ctx = search("random", Bits(12), samples=1)
    assert evaluator.calls == [] and ctx.trajectory == []
    assert result.architecture == Bits(12).sample(np.random.default_rng(0))


def test_one_random_architecture_is_uniform_over_the_space():
    rng, space, n = np.random.default_rng(7), Bits(3), 4000
    drawn = [search("random", space, rng=rng, samples=1)[0].architecture for _ in range(n)]
    counts = np.array([drawn.count(bits([i >> 2, i >> 1 & 1, i & 1])) for i in range(8)])
    chi_square = ((counts - n / 8) ** 2 / (n / 8)).sum()
    assert counts.sum() == n and chi_square < 24.3  # 0.999 quantile, 7 degrees of freedom


def test_random_search_hands_its_fidelity_to_the_evaluator():
    _, evaluator, _ = search("random", Bits(6), samples=2, epochs=None, beats=700)
    assert {fidelity for _, fidelity in evaluator.calls} == {Fidelity(epochs=None, beats=700)}


# Regularized evolution


def test_the_oldest_member_is_removed_and_not_the_worst():
    population = deque(Member(bits([i]), score) for i, score in enumerate([9.0, 1.0, 5.0]))
    add_youngest(population, Member(bits([3]), 0.0), size=3)
    assert [member.score for member in population] == [1.0, 5.0, 0.0]


def test_the_best_member_has_no_more_children_once_it_is_the_oldest():
    first = Bits(30).sample(np.random.default_rng(0))
    evaluator = Lookup(lambda arch, _: 100 if arch == first else -sum(arch.genotype))
    space = Bits(30)
    result, *_ = search(
        "regularized-evolution", space, evaluator=evaluator, models=30, population=4, sample=60
    )
    assert result.architecture == first
    assert space.parents[0] == first and first not in space.parents[1:]


def test_a_tournament_returns_the_best_of_those_drawn():
    population = deque(Member(bits([i]), float(i)) for i in range(5))
    rng = np.random.default_rng(0)
    winners = [tournament(population, 2, rng).score for _ in range(4000)]
    shares = np.bincount(np.array(winners, dtype=int), minlength=5) / len(winners)
    best_of_two = (np.arange(1, 6) ** 2 - np.arange(5) ** 2) / 25  # drawn with replacement
    np.testing.assert_allclose(shares, best_of_two, atol=0.03)


def test_evolution_begins_at_random_and_goes_on_by_mutations_of_the_living():
    space = Bits(30)
    _, evaluator, _ = search("regularized-evolution", space, models=60, population=15)
    rng = np.random.default_rng(0)
    first = [Bits(30).sample(rng) for _ in range(15)]
    assert evaluator.architectures[:15] == first
    history = first + space.children
    for i, parent in enumerate(space.parents):
        assert parent in history[i : i + 15]


def test_a_child_that_is_known_costs_nothing_and_takes_no_other_childs_place():
    space = Bits(4)
    _, evaluator, _ = search("regularized-evolution", space, models=12, population=3, sample=3)
    assert len(evaluator.calls) == len(set(evaluator.architectures)) == 12
    assert len(space.children) > 12 - 3


@pytest.mark.parametrize(("by", "share"), [("kind", 1 / 2), ("neighbor", 128 / 152)])
def test_evolution_draws_the_kind_of_a_mutation_first(by, share):
    """An architecture of the paper's space has 128 neighbors by operation, 24 by source.

    Real et al. 2019 mutate an operation and a hidden state equally often.
    """
    space, rng = ConvCells(ConvCellsOptions()), np.random.default_rng(0)
    arch, n = space.sample(rng), 2000
    mutants = [mutate(arch, space, rng, by) for _ in range(n)]
    operations = sum(_operations_changed(arch, mutant) for mutant in mutants)
    assert abs(operations / n - share) < 4 * math.sqrt(share * (1 - share) / n)


def _operations_changed(a, b):
    """Return whether the sources of all edges are equal."""
    cells = [
        [sorted(e.source for e in node) for cell in (g.normal, g.reduction) for node in cell]
        for g in (Genotype.from_architecture(a), Genotype.from_architecture(b))
    ]
    return cells[0] == cells[1]


def test_evolution_climbs_where_random_search_only_draws():
    def reached(name, seed, **options):
        result, *_ = search(name, Bits(30), seed=seed, **options)
        return sum(result.architecture.genotype)

    evolved = [reached("regularized-evolution", seed, models=150) for seed in range(5)]
    drawn = [reached("random", seed, samples=150) for seed in range(5)]
    assert min(evolved) > max(drawn)


# Successive halving


def test_the_rungs_are_a_bracket_of_hyperband():
    plan = [(r.candidates, r.fidelity.epochs) for r in rungs(SuccessiveHalvingOptions(), 81)]
    assert plan == [(81, 3), (27, 9), (9, 27), (3, 81)]


def test_each_rung_keeps_the_best_and_trains_them_longer():
    options = {"candidates": 16, "eta": 4, "min_epochs": 2, "max_epochs": 32}
    beats = {"min_beats": 100, "max_beats": 300}
    _, evaluator, _ = search("successive-halving", Bits(12), **options, **beats)
    by_rung = {}
    for arch, fidelity in evaluator.calls:
        by_rung.setdefault(fidelity, []).append(arch)
    assert [(f, len(archs)) for f, archs in by_rung.items()] == [
        (Fidelity(epochs=2, beats=100), 16),
        (Fidelity(epochs=8, beats=300), 4),
    ]
    first, second = ([sum(a.genotype) for a in archs] for archs in by_rung.values())
    assert second == sorted(first, reverse=True)[:4]


def test_the_last_rung_decides_and_not_an_earlier_score():
    def score(arch, fidelity):
        late = fidelity.epochs == 4
        return arch.genotype[0] - late * 2 * sum(arch.genotype[1:])

    evaluator = Lookup(score)
    options = {"candidates": 8, "eta": 2, "min_epochs": 1, "max_epochs": 4}
    result, *_ = search("successive-halving", Bits(8), evaluator=evaluator, **options)
    last = [arch for arch, fidelity in evaluator.calls if fidelity.epochs == 4]
    assert len(last) == 2
    assert result.architecture == max(last, key=lambda arch: score(arch, Fidelity(epochs=4)))


def test_halving_stops_at_the_greatest_fidelity_or_at_one_candidate():
    capped = SuccessiveHalvingOptions(eta=2, min_epochs=1, max_epochs=2)
    assert [rung.candidates for rung in rungs(capped, 16)] == [16, 8]
    assert [rung.candidates for rung in rungs(SuccessiveHalvingOptions(eta=2), 7)] == [7, 3]
    assert rungs(SuccessiveHalvingOptions(), 1) == []


def test_a_budget_of_evaluations_is_shared_out_over_all_rungs():
    _, evaluator, _ = search(
        "successive-halving", Bits(12), budget=Budget(evaluations=40), eta=3, candidates=81
    )
    by_epochs = [fidelity.epochs for _, fidelity in evaluator.calls]
    assert [by_epochs.count(epochs) for epochs in (3, 9, 27)] == [28, 9, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"min_epochs": 5, "max_epochs": 4},
        {"min_beats": 5, "max_beats": 4},
        {"min_beats": 100},
        {"max_beats": 100},
        {"eta": 1},
        {"max_parameters": 0},
    ],
)
def test_invalid_ranges_are_refused(options):
    with pytest.raises(ValidationError):
        SuccessiveHalvingOptions(**options)


# Hyperband


def test_the_brackets_are_those_of_the_papers_example():
    plan = brackets(HyperbandOptions(eta=3, max_epochs=81))
    counts = [[(rung.candidates, rung.fidelity.epochs) for rung in bracket] for bracket in plan]
    assert counts == [  # algorithm 1 for R = 81, η = 3
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


@pytest.mark.parametrize(("model", "cold", "warm"), [
    (SuccessiveHalvingOptions, 972, 729), (HyperbandOptions, 1122, 998),
])  # fmt: skip
def test_the_epochs_of_the_published_profile_are_those_that_its_options_state(model, cold, warm):
    halving = model is SuccessiveHalvingOptions
    for options, total in ((model(warm=False), cold), (model(warm=True), warm)):
        plan = [rungs(options, options.candidates)] if halving else brackets(options)
        trained = sum(
            rung.candidates * (rung.fidelity.epochs - (rung.fidelity.continues or 0))
            for bracket in plan
            for rung in bracket
        )
        assert trained == total
        assert f"{total:,} " in " ".join(model.__doc__.split())


def test_every_bracket_of_hyperband_keeps_the_best_of_its_own_candidates():
    _, evaluator, ctx = search("hyperband", Bits(30), eta=3, max_epochs=9)
    first = [(sum(a.genotype), f.epochs) for a, f in evaluator.calls[: 9 + 3 + 1]]
    scores = sorted((score for score, epochs in first if epochs == 1), reverse=True)
    assert [score for score, epochs in first if epochs == 3] == scores[:3]
    assert [score for score, epochs in first if epochs == 9] == scores[:1]
    assert [point["bracket"] for point in ctx.trajectory] == [0] * 13 + [1] * 6 + [2] * 3


@pytest.mark.parametrize("name", ["hyperband", "asha"])
def test_the_longest_training_decides_and_not_a_shorter_one(name):
    evaluator = Lookup(lambda arch, fidelity: sum(arch.genotype) / fidelity.epochs)
    result, *_ = search(name, Bits(12), evaluator=evaluator)
    longest = max(fidelity.epochs for _, fidelity in evaluator.calls)
    last = [arch for arch, fidelity in evaluator.calls if fidelity.epochs == longest]
    assert last and result.architecture == max(last, key=lambda arch: sum(arch.genotype))


@pytest.mark.parametrize("name", ["hyperband", "asha"])
def test_the_longest_training_decides_where_shorter_ones_rank_the_other_way(name):
    options = {"eta": 2, "max_epochs": 4, **({"total_epochs": 60} if name == "asha" else {})}

    def score(arch, fidelity):
        return (100 - sum(arch.genotype)) if fidelity.epochs == 4 else sum(arch.genotype)

    evaluator = Lookup(score)
    result, *_ = search(name, Bits(20), evaluator=evaluator, **options)
    last = [arch for arch, fidelity in evaluator.calls if fidelity.epochs == 4]
    assert result.architecture == min(last, key=lambda arch: sum(arch.genotype))
    assert len({sum(arch.genotype) for arch in last}) > 1


@pytest.mark.parametrize("name", ["successive-halving", "hyperband", "asha"])
def test_an_architecture_whose_longest_training_diverges_is_not_the_result(name):
    def score(arch, fidelity):
        if fidelity.epochs == 4:
            raise DivergedError("The training diverged: loss not finite.")
        return sum(arch.genotype)

    evaluator = Lookup(score)
    options = {
        "successive-halving": {"candidates": 8, "eta": 2, "min_epochs": 1, "max_epochs": 4},
        "hyperband": {"eta": 2, "max_epochs": 4},
        "asha": {"eta": 2, "max_epochs": 4, "total_epochs": 40},
    }[name]
    result, *_ = search(name, Bits(20), evaluator=evaluator, **options)
    diverged = [arch for arch, fidelity in evaluator.calls if fidelity.epochs == 4]
    longest = [arch for arch, fidelity in evaluator.calls if fidelity.epochs == 2]
    left = [sum(arch.genotype) for arch in longest if arch not in diverged]
    assert diverged and sum(result.architecture.genotype) == max(left)
    assert result.architecture not in diverged


# ASHA


def test_asha_promotes_as_soon_as_a_candidate_is_among_the_best_of_its_rung():
    options = {"eta": 2, "min_epochs": 1, "max_epochs": 4, "total_epochs": 12, "warm": False}
    _, evaluator, _ = search("asha", Bits(30), **options)
    # Two at 1 epoch allow a promotion; two at 2 epochs allow one to 4.
    assert [f.epochs for _, f in evaluator.calls] == [1, 1, 2, 1, 1, 2, 4]


def test_asha_promotes_the_best_and_trains_none_twice_at_one_rung():
    _, evaluator, _ = search("asha", Bits(30), eta=4, total_epochs=300, warm=False)
    seen = {}
    for arch, fidelity in evaluator.calls:
        if fidelity.epochs > 1:
            below = seen[fidelity.epochs // 4]
            better = sum(sum(other.genotype) > sum(arch.genotype) for other in below)
            assert arch in below and better < len(below) // 4
        assert arch not in seen.setdefault(fidelity.epochs, [])
        seen[fidelity.epochs].append(arch)
    assert sum(f.epochs for _, f in evaluator.calls) == 300


def test_asha_promotes_no_candidate_whose_training_diverged():
    def score(arch, fidelity):
        if sum(arch.genotype) < 17:
            raise DivergedError("The training diverged.", where="epoch 1", fix="")
        return sum(arch.genotype)

    options = {"eta": 2, "max_epochs": 4, "total_epochs": 60}
    _, evaluator, _ = search("asha", Bits(30), evaluator=Lookup(score), **options)
    promoted = [sum(arch.genotype) for arch, fidelity in evaluator.calls if fidelity.epochs > 1]
    assert min(promoted) >= 17 > min(sum(arch.genotype) for arch in evaluator.architectures)


def test_a_batch_of_asha_is_chosen_before_its_scores_are_known():
    options = {"eta": 2, "max_epochs": 4, "total_epochs": 12, "warm": False}
    _, evaluator, _ = search("asha", Bits(30), batch=4, **options)
    assert [f.epochs for _, f in evaluator.calls][:6] == [1, 1, 1, 1, 2, 2]


def test_asha_asks_for_a_batch_of_one_rung_at_once_and_finds_the_same(monkeypatch):
    def run(parallel):
        ctx = context(Bits(30), Lookup())
        ctx.parallel = parallel
        asked, real = [], ctx.evaluate_many
        ctx.evaluate_many = lambda a, f: asked.append(len(a)) or real(a, f)
        options = AshaOptions(eta=2, max_epochs=4, total_epochs=60, batch=4)
        return Asha(options).search(TASK, ctx.space, ctx.builder, ctx), asked

    (alone, ones), (together, asked) = run(1), run(4)
    assert alone == together and set(ones) == {1}
    assert asked[0] == 4 and sum(asked) == len(ones) > len(asked)


# Warm starts


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("successive-halving", {"candidates": 27, "min_epochs": 1, "max_epochs": 9, "warm": True}),
        ("hyperband", {"eta": 3, "max_epochs": 9}),
        ("asha", {"eta": 3, "max_epochs": 9, "total_epochs": 60}),
    ],
)
def test_every_rung_goes_on_from_the_one_before_it_with_one_schedule(name, options):
    _, evaluator, _ = search(name, Bits(30), **options)
    trained, spent = {}, 0
    for arch, fidelity in evaluator.calls:
        assert fidelity.schedule_epochs == 9
        assert fidelity.continues is None or fidelity.continues == trained[arch.hash]
        trained[arch.hash] = fidelity.epochs
        spent += fidelity.epochs - (fidelity.continues or 0)
    assert max(trained.values()) == 9 and len(set(trained.values())) == 3
    if name == "asha":
        assert spent == 60


def test_asha_pays_for_a_promotion_what_it_trains_further():
    options = {"eta": 2, "min_epochs": 1, "max_epochs": 4, "total_epochs": 8}
    _, evaluator, _ = search("asha", Bits(30), **options)
    # Costs: 1, 1, 1, 1, 1, 1, 2
    assert [f.epochs for _, f in evaluator.calls] == [1, 1, 2, 1, 1, 2, 4]


def test_halving_trains_from_scratch_unless_it_is_asked_to_start_warm():
    _, evaluator, _ = search("successive-halving", Bits(30))
    assert all(f.schedule_epochs is None is f.continues for _, f in evaluator.calls)
    options = SuccessiveHalvingOptions().model_dump(exclude_none=True)
    assert "warm" not in options  # the keys of earlier records stay


def test_a_warm_start_with_more_beats_in_each_rung_is_refused():
    with pytest.raises(ValidationError, match="equal beats"):
        SuccessiveHalvingOptions(warm=True, min_beats=100, max_beats=200)


# Local search


def test_local_search_climbs_to_the_only_optimum_one_bit_at_a_time():
    result, evaluator, _ = search("local-search", Bits(12), models=400, initial=1)
    assert result.architecture == bits([1] * 12)
    assert result.details["optima"] == [bits([1] * 12).hash]
    current = evaluator.architectures[0]
    for arch in evaluator.architectures:
        if sum(arch.genotype) > sum(current.genotype):
            changed = sum(a != b for a, b in zip(arch.genotype, current.genotype, strict=True))
            assert changed == 1
            current = arch


def test_local_search_restarts_at_an_optimum_and_reports_it():
    def trap(arch, _):
        ones = sum(arch.genotype)
        return 10 if ones == len(arch.genotype) else -ones  # all zeros are a local optimum

    evaluator = Lookup(trap)
    result, *_ = search("local-search", Bits(6), evaluator=evaluator, models=64, initial=1)
    assert bits([0] * 6).hash in result.details["optima"]
    assert result.architecture == bits([1] * 6)


def test_local_search_starts_at_the_best_of_the_initial_candidates():
    _, evaluator, _ = search("local-search", Bits(20), models=9, initial=8)
    *drawn, next_one = evaluator.architectures
    best = max(drawn, key=lambda arch: sum(arch.genotype))
    assert sum(a != b for a, b in zip(best.genotype, next_one.genotype, strict=True)) == 1
