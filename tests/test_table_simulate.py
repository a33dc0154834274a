"""Searches on a table: looked-up results, budgets and a simulated clock, and no test results."""

from __future__ import annotations

import gc
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from toy_tables import SPACE, toy_table

from nasbench_ecg.api import SearchResult
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Fidelity, SearchContext
from nasbench_ecg.errors import OptionError, ProtocolError
from nasbench_ecg.options import NoOptions, resolve
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.find import open_table
from nasbench_ecg.tables.kept_repetitions import KeptRepetitions
from nasbench_ecg.tables.lookup import ValidationLookup
from nasbench_ecg.tables.outcome import best_so_far
from nasbench_ecg.tables.requested_searches import RequestedSearch
from nasbench_ecg.tables.searchers import TableSearches
from nasbench_ecg.tables.simulate import (
    Searcher,
    TableSearchContext,
    generators,
    simulate,
    stand_in_task,
)
from nasbench_ecg.tables.space import TableSpace
from nasbench_ecg.tables.table import Table
from nasbench_ecg_blackbox.options import RandomSearchOptions
from nasbench_ecg_blackbox.random_search import RandomSearch
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells

BUILDER = TinyNetwork(NoOptions())
STRATEGIES = [
    component.name
    for component in load_registry().components("strategy")
    if getattr(component.spec, "evaluations_option", None)
]


@pytest.fixture(scope="module")
def table():
    return toy_table()


def context(table, **budget):
    rng, noise = generators("x", 0, 0)
    lookup = ValidationLookup.of(table)
    return TableSearchContext(lookup, rng, lookup.draw_seeds(noise), Budget(**budget))


def repeat(table, searcher, *, repetitions=2, **options):
    options = {"budget": Budget(evaluations=15), **options}
    space = TableSpace(SPACE, table)
    return simulate(table, space, BUILDER, searcher, repetitions=repetitions, **options)


def searcher_of(name, evaluations):
    component = load_registry().get("strategy", name)
    own = {component.spec.evaluations_option: evaluations}
    options = resolve(component.options_model(), component=name, profile="paper", overrides=own)
    return Searcher(name, lambda: component.create(options))


def random_search(samples):
    return Searcher("random", lambda: RandomSearch(RandomSearchOptions(samples=samples)))


def test_seeds_that_few_members_have_change_no_search():
    more = toy_table(seeds=6)
    more.trained[5:, 3:] = False
    own, other = (repeat(one, random_search(15)) for one in (toy_table(), more))
    assert own.steps.equals(other.steps)
    np.testing.assert_array_equal(toy_table().mean_test_scores(), more.mean_test_scores())
    more.trained[:5, :3] = False  # as in one of several shards
    assert not more.available[:5].any() and np.isnan(more.mean_test_scores()[:5]).all()


# -- the context -------------------------------------------------------------------------------


def test_an_evaluation_is_a_validation_result_of_one_seed(table):
    ctx = context(table)
    arch = SPACE.members[9]
    (last,) = ctx.evaluate_many([arch])
    (first,) = ctx.evaluate_many([arch], Fidelity(epochs=1))
    seeds = {table.query(arch, seed=s).value: s for s in range(3)}
    seed = seeds[last.score]
    assert last.seconds == table.query(arch, seed=seed).seconds
    assert first.score == table.query(arch, seed=seed, epoch=1).value
    assert last.metrics == {"f1_of_macro": last.score}
    assert last.confusion is None and last.predictions is None and not last.curves
    assert ctx.seconds == pytest.approx(first.seconds + last.seconds)


def test_without_noise_an_evaluation_is_the_mean_of_the_trained_seeds():
    table = toy_table(untrained=(4,))
    table.trained[9] = [True, False, True]
    lookup = ValidationLookup.of(table, "mean")
    seeds = lookup.draw_seeds(np.random.default_rng(0))
    assert seeds.tolist() == [-1 if row == 4 else 0 for row in range(SPACE.size)]
    ctx = TableSearchContext(lookup, np.random.default_rng(0), seeds, Budget())
    for row, trained in ((3, [0, 1, 2]), (9, [0, 2])):
        arch = SPACE.members[row]
        (found,) = ctx.evaluate_many([arch], Fidelity(epochs=1))
        each = [table.query(arch, epoch=1, seed=seed) for seed in trained]
        assert found.score == pytest.approx(np.mean([one.value for one in each]), rel=1e-12)
        assert found.seconds == pytest.approx(np.mean([one.seconds for one in each]), rel=1e-6)
    with pytest.raises(TableError, match="not trained"):
        ctx.evaluate_many([SPACE.members[4]])


def test_without_noise_a_search_of_all_members_always_finds_the_same(table):
    size = SPACE.size
    budget = Budget(evaluations=size)
    noisy, exact = (
        repeat(table, random_search(size), repetitions=12, budget=budget, scores=scores)
        for scores in ("one-seed", "mean")
    )
    mean = table.values("validation", "f1_of_macro")[:, :, -1].mean(axis=1)
    assert set(exact.found.tolist()) == {int(mean.argmax())}
    assert len(set(noisy.found.tolist())) > 1
    # the draws of a repetition are the same: only what is seen differs
    assert noisy.steps["member"].equals(exact.steps["member"])


def test_kept_repetitions_with_and_without_noise_are_not_mistaken(table, tmp_path):
    search, budget = RequestedSearch("random", 4), Budget(evaluations=SPACE.size)
    kept = KeptRepetitions(tmp_path)
    steps = [
        TableSearches(load_registry(), table, scores=scores).repeat(search, [budget], kept=kept)
        for scores in ("one-seed", "mean", "one-seed")
    ]
    one, mean, again = (found[budget].steps for found in steps)
    assert one.equals(again) and not one.equals(mean)


def test_more_epochs_than_the_table_has_are_its_last_and_beats_are_ignored(table):
    ctx = context(table)
    known, again = (
        ctx.evaluate_many([SPACE.members[0]], fidelity)[0]
        for fidelity in (None, Fidelity(epochs=50, beats=10))
    )
    assert again == known
    assert ctx.seconds == known.seconds  # repeated: no second training
    assert ctx.evaluations == len(ctx.steps) == 2


def test_a_training_that_goes_on_takes_the_seconds_that_it_adds(table):
    going_on = Fidelity(epochs=2, schedule_epochs=2, continues=1)
    ctx, arch = context(table), SPACE.members[3]
    first, second = table.arrays["seconds"][3, ctx.seeds[3]].tolist()
    (short,) = ctx.evaluate_many([arch], Fidelity(epochs=1, schedule_epochs=2))
    assert (short.seconds, short.epochs_reused) == (first, 0)
    (longer,) = ctx.evaluate_many([arch], going_on)
    assert longer.seconds == pytest.approx(second - first) and longer.epochs_reused == 1
    assert ctx.seconds == pytest.approx(second)
    (from_scratch,) = context(table).evaluate_many([arch], going_on)  # it was not stopped before
    assert (from_scratch.seconds, from_scratch.epochs_reused) == (second, 0)
    assert from_scratch.score == longer.score == table.query(arch, seed=ctx.seeds[3]).value
    by_epoch = table.arrays["seconds"].mean(axis=(0, 1))
    expected = pytest.approx(by_epoch[1] - by_epoch[0], rel=1e-5)
    assert ctx.seconds_per_evaluation(arch, going_on) == expected


@pytest.mark.parametrize("name", ["epochs", "beats", "schedule_epochs", "continues"])
def test_a_fidelity_without_epochs_or_beats_is_refused(name):
    with pytest.raises(OptionError, match=f"{name}=0"):
        Fidelity(**{name: 0})


def test_all_seeds_are_drawn_and_only_trained_ones():
    table = toy_table()
    table.trained[:, 1] = False
    arch, seen = SPACE.members[4], set()
    for repetition in range(40):
        rng, noise = generators("x", 0, repetition)
        lookup = ValidationLookup.of(table)
        ctx = TableSearchContext(lookup, rng, lookup.draw_seeds(noise), Budget())
        seen.add(ctx.evaluate_many([arch])[0].score)
    assert seen == {table.query(arch, seed=seed).value for seed in (0, 2)}


def test_a_budget_of_evaluations_is_kept(table):
    ctx = context(table, evaluations=3)
    with pytest.raises(ProtocolError, match="budget of 3 evaluations"):
        ctx.evaluate_many(SPACE.members[:5])
    assert ctx.evaluations == 3
    with pytest.raises(ProtocolError):
        ctx.evaluate_many(SPACE.members[:1])


def test_a_member_that_is_missing_is_an_error():
    ctx = context(toy_table(untrained=[3]))
    with pytest.raises(TableError, match="not trained"):
        ctx.evaluate_many([SPACE.members[3]])
    with pytest.raises(TableError, match="not a member"):
        ctx.evaluate_many([Architecture("tiny-cells", {"edges": []})])


def test_the_context_is_a_search_context(table):
    ctx = context(table)
    names = {name for name in dir(SearchContext) if not name.startswith("_")}
    names |= set(SearchContext.__annotations__)
    assert all(hasattr(ctx, name) for name in names)
    mean = table.arrays["seconds"][:, :, -1].mean()
    assert ctx.seconds_per_evaluation(SPACE.members[0]) == pytest.approx(mean)
    ctx.log(0.5, loss=1.0)


def reachable(start):
    """Return all objects that ``start`` refers to, through closures and the objects of methods.

    Modules are left out: through them, every object of the process is reached.
    """
    found, queue = {}, [start]
    while queue:
        one = queue.pop()
        if id(one) in found or isinstance(one, type):
            continue
        found[id(one)] = one
        if isinstance(one, FunctionType):
            queue += [cell.cell_contents for cell in one.__closure__ or ()]
            queue += [one.__defaults__, one.__kwdefaults__]
        elif isinstance(one, np.ndarray):  # the garbage collector does not know its base
            queue += [one.base]
        elif type(one).__name__ not in ("module", "builtin_function_or_method"):
            queue += gc.get_referents(one)
    return list(found.values())


class Recorder:
    """Keeps what a search receives."""

    def search(self, task, space, builder, ctx):
        self.given = {"task": task, "space": space, "builder": builder, "ctx": ctx}
        ctx.evaluate_many([space.sample(ctx.rng)])
        return SearchResult(space.sample(ctx.rng))


@pytest.mark.parametrize("untrained", [(), (3, 4)])
def test_no_test_result_can_be_reached_from_what_a_search_receives(untrained):
    table, recorder = toy_table(untrained=untrained), Recorder()
    searches = TableSearches(load_registry(), table)
    test, validation = table.values("test"), table.values("validation")
    simulate(
        table, searches.space, searches.builder, Searcher("recorder", lambda: recorder),
        repetitions=1, budget=Budget(evaluations=1),
    )  # fmt: skip
    found = {name: reachable(one) for name, one in recorder.given.items()}
    for objects in found.values():
        arrays = [one for one in objects if isinstance(one, np.ndarray)]
        assert not any(one is test or one.base is test for one in arrays)
        assert not any(np.shares_memory(one, table.arrays["confusion"]) for one in arrays)
        assert not any(isinstance(one, Table) for one in objects)
    assert any(one is validation for one in found["ctx"])
    assert any(one is table.arrays["cost_parameters"] for one in found["builder"])


# -- strategies, unchanged ---------------------------------------------------------------------


def test_random_search_is_that_of_a_loop_over_the_arrays(table):
    simulation = repeat(table, random_search(10), repetitions=3, budget=Budget(), seed=5)
    scores, seconds = table.values("validation"), table.arrays["seconds"]
    rows, found = [], []
    for repetition in range(3):
        rng, noise = generators("random", 5, repetition)
        drawn = []
        while len(drawn) < 10:
            row = int(rng.integers(SPACE.size))
            if row not in drawn:
                drawn.append(row)
        seeds = [int(u * 3) for u in noise.random(SPACE.size)[drawn]]
        seen = [scores[row, seed, -1] for row, seed in zip(drawn, seeds, strict=True)]
        took = np.cumsum(
            [seconds[r, s, -1].astype(float) for r, s in zip(drawn, seeds, strict=True)]
        )
        rows += [(repetition, i + 1, took[i], drawn[i], 2, seen[i]) for i in range(len(drawn))]
        found.append(drawn[int(np.argmax(seen))])
    np.testing.assert_allclose(simulation.steps.to_numpy(dtype=float), np.array(rows, dtype=float))
    assert simulation.found.tolist() == found


def test_some_strategies_say_how_many_architectures_they_evaluate():
    assert {"random", "regularized-evolution"} <= set(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_runs_on_a_table_within_its_budget(table, name):
    simulation = repeat(table, searcher_of(name, 15), repetitions=2)
    steps = simulation.steps
    assert set(steps["repetition"]) == {0, 1}
    assert steps["evaluation"].max() <= 15
    assert (simulation.found < SPACE.size).all()
    for _, rows in steps.groupby("repetition"):
        total, seen = 0.0, set()
        for row in rows.itertuples():
            arch = SPACE.members[row.member]
            known = [table.query(arch, seed=seed, epoch=row.epoch) for seed in range(3)]
            took = [one.seconds for one in known if one.value == row.score]
            if (row.member, row.epoch) in seen:
                took = [0.0]
            seen.add((row.member, row.epoch))
            assert any(row.seconds - total == pytest.approx(seconds) for seconds in took)
            total = row.seconds


@pytest.mark.parametrize("name", ["random", "regularized-evolution"])
def test_a_budget_of_seconds_ends_a_search_by_the_simulated_clock(table, name):
    simulation = repeat(table, searcher_of(name, 60), budget=Budget(seconds=10.0))
    for _, rows in simulation.steps.groupby("repetition"):
        seconds = rows["seconds"].to_numpy()
        assert seconds[-1] >= 10.0 > seconds[-2]


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_evaluation_starts_after_a_budget_of_seconds(table, name):
    searches = TableSearches(load_registry(), table)
    budget = Budget(seconds=30.0)
    done = searches.repeat(RequestedSearch(name, 4), [budget])[budget].steps
    for _, rows in done.groupby("repetition"):
        assert (rows["seconds"].iloc[:-1] < 30.0).all()


def test_immune_evolution_ends_by_the_simulated_clock(table):
    searches = TableSearches(load_registry(), table)
    strategy = searches.searcher("immune", Budget(seconds=30.0)).create()
    ctx = context(table, seconds=30.0)
    task = stand_in_task(table)
    strategy.search(task, searches.space, searches.builder, ctx)
    batches = [i for i, step in enumerate(ctx.steps) if step[3] >= 30.0]
    assert len(batches) <= strategy.options.antibodies


class IgnoresTime:
    def search(self, task, space, builder, ctx):
        ctx.evaluate_many(SPACE.members[:9])
        return SearchResult(SPACE.members[0])


def test_evaluations_after_a_budget_of_seconds_do_not_count(table):
    done = repeat(table, Searcher("s", IgnoresTime), budget=Budget(seconds=5.0))
    for _, rows in done.steps.groupby("repetition"):
        assert rows["seconds"].iloc[-1] >= 5.0 > rows["seconds"].iloc[-2]


ANYTIME = [
    component.name
    for component in load_registry().components("strategy")
    if getattr(component.spec, "anytime", False)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ANYTIME)
def test_one_run_for_all_budgets_is_a_run_for_each(table, name):
    pytest.importorskip("optuna", reason="needs optuna: pip install 'nasbench-ecg[optuna]'")
    searches = TableSearches(load_registry(), table)
    search = RequestedSearch(name, repetitions=3)
    budgets = [Budget(evaluations=n) for n in (5, 14, 16)] + [Budget(seconds=s) for s in (9, 31)]
    together = searches.repeat(search, budgets)
    assert list(together) == budgets
    for budget in budgets:
        alone = searches.repeat(search, [budget])[budget]
        assert together[budget].steps.equals(alone.steps)


def test_repetitions_do_not_depend_on_the_number_of_processes(table):
    component = load_registry().get("strategy", "random")
    options = resolve(component.options_model(), component="random", overrides={"samples": 6})
    searcher = Searcher("random", Create(component, options))
    one, two = (repeat(table, searcher, repetitions=5, workers=n) for n in (1, 2))
    assert one.steps.equals(two.steps)
    assert one.found.tolist() == two.found.tolist()


@dataclass
class Create:
    component: object
    options: object

    def __call__(self):
        return RandomSearch(self.options)


def test_repetitions_and_searches_and_seeds_are_independent(table):
    def first(label, seed, repetition):
        return generators(label, seed, repetition)[0].integers(2**60)

    drawn = {first(*case) for case in [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("b", 0, 0)]}
    assert len(drawn) == 4
    assert first("a", 0, 1) == first("a", 0, 1)
    search, noise = generators("a", 0, 0)
    assert search.integers(2**60) != noise.integers(2**60)
    same = (generators(label, 0, 0)[1].integers(2**60) for label in ("a", "b"))
    assert next(same) == next(same)  # repetitions of two searches are pairs


def test_a_search_does_not_depend_on_test_results(table):
    other = toy_table()
    other.arrays["confusion"][:, :, :, 1] = 1
    for name in ("regularized-evolution", "nsga2"):
        one, two = (repeat(t, searcher_of(name, 15)).steps for t in (table, other))
        assert one.equals(two)


def test_a_strategy_that_exceeds_its_budget_is_refused(table):
    with pytest.raises(ProtocolError, match="budget of 5"):
        repeat(table, Searcher("greedy", Greedy), budget=Budget(evaluations=5))


class Greedy:
    def search(self, task, space, builder, ctx):
        ctx.evaluate_many([space.sample(ctx.rng) for _ in range(9)])
        raise AssertionError


def test_the_stand_in_task_has_the_shape_of_the_beats_and_none_of_them(table):
    task = stand_in_task(table)
    assert (task.n_leads, task.n_samples, task.n_classes) == (2, 64, 3)
    assert len(task.train) == len(task.validation) == 0


# -- incumbents --------------------------------------------------------------------------------


@dataclass
class Scripted:
    """Evaluates given members in a given order."""

    rows: list[int] = field(default_factory=list)

    def search(self, task, space, builder, ctx):
        archs = [SPACE.members[row] for row in self.rows]
        if archs:
            ctx.evaluate_many(archs)
        return SearchResult(archs[0] if archs else SPACE.members[8])


def test_the_incumbent_is_the_first_of_the_best_by_validation():
    table = toy_table(noise=1)  # rows 2i and 2i + 1 have one score
    simulation = repeat(table, Searcher("s", lambda: Scripted([10, 3, 20, 21, 5])))
    test = table.mean_test_scores()
    curves = best_so_far(simulation, table, range(1, 8))
    assert curves.shape == (2, 7)
    expected = test[[10, 10, 20, 20, 20, 20, 20]]
    np.testing.assert_array_equal(curves, [expected, expected])
    np.testing.assert_array_equal(best_so_far(simulation, table, [1, 2]), curves[:, :2])
    ends = simulation.steps["seconds"][:5].to_numpy()
    by_seconds = best_so_far(simulation, table, [0, *(ends + 1e-9)], "seconds")
    np.testing.assert_array_equal(by_seconds[0], expected[[0, 0, 1, 2, 3, 4]])


def test_the_incumbent_of_a_search_that_evaluates_nothing_is_its_result():
    table = toy_table(noise=1)
    simulation = repeat(table, Searcher("s", Scripted), repetitions=3)
    assert (best_so_far(simulation, table, [1, 4]) == table.mean_test_scores()[8]).all()


@pytest.mark.parametrize("damage", [None, b"", b"PK", lambda whole: whole[:-30]])
def test_kept_repetitions_without_steps_are_read_and_damaged_ones_run_again(
    table, tmp_path, damage
):
    def run(numbers):
        runs.append(len(numbers))
        return repeat(table, Searcher("s", Scripted), repetitions=numbers)

    runs, kept = [], KeptRepetitions(tmp_path)
    first = kept.repeat({"search": "s"}, 30, run)
    if damage is not None:
        (file, _) = sorted(tmp_path.iterdir())
        file.write_bytes(damage(file.read_bytes()) if callable(damage) else damage)
    again = kept.repeat({"search": "s"}, 30, run)
    assert len(runs) == 2 + (damage is not None)
    assert again.found.tolist() == first.found.tolist() == [8] * 30
    assert (again.steps.dtypes == first.steps.dtypes).all() and not len(again.steps)


# -- the space of a partial table --------------------------------------------------------------


def partial_space(untrained):
    table = toy_table(untrained=untrained)
    return TableSpace(SPACE, table), {
        SPACE.members[row] for row in range(SPACE.size) if row not in untrained
    }


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_partial_table_yields_only_trained_members(share):
    rng = np.random.default_rng(0)
    untrained = set(rng.permutation(SPACE.size)[: round(share * SPACE.size)].tolist())
    space, trained = partial_space(untrained)
    assert space.size == len(trained)
    assert set(space.members) == trained
    for _ in range(60):
        a, b = space.sample(rng), space.sample(rng)
        made = [a, b, space.mutate(a, rng), space.crossover(a, b, rng), *space.neighbours(a)]
        assert set(made) <= trained
        assert made[2] != a
        for arch in made:
            space.validate(arch)
        near = set(SPACE.neighbours(a)) & trained
        assert set(space.neighbours(a)) == near
        assert not near or made[2] in near
    for row in list(untrained)[:3]:
        with pytest.raises(OptionError, match="not trained"):
            space.validate(SPACE.members[row])


def test_a_partial_table_is_searched_without_asking_for_other_members():
    table = toy_table(untrained=range(0, SPACE.size, 2))
    for name in ("regularized-evolution", "nsga2"):
        simulation = repeat(table, searcher_of(name, 15))
        assert (simulation.steps["member"] % 2 == 1).all()
        assert (simulation.found % 2 == 1).all()
        assert np.isfinite(best_so_far(simulation, table, [1, 15])).all()


def test_a_whole_table_has_the_moves_of_its_space():
    space, _ = partial_space(())
    arch = SPACE.members[12]
    for move in ("mutate", "sample"):
        arguments = (arch,) if move == "mutate" else ()
        ours, theirs = (
            [getattr(one, move)(*arguments, np.random.default_rng(i)) for i in range(20)]
            for one in (space, SPACE)
        )
        assert ours == theirs


def test_a_table_of_one_trained_member_and_of_none():
    space, (only,) = partial_space(range(1, SPACE.size))
    rng = np.random.default_rng(0)
    assert space.sample(rng) == only
    with pytest.raises(OptionError, match="single member"):
        space.mutate(only, rng)
    with pytest.raises(TableError, match="No member"):
        partial_space(range(SPACE.size))


def test_a_table_that_has_only_seeds_that_no_search_sees_is_refused():
    table = toy_table(seeds=5)
    table.trained[:, :3] = False
    with pytest.raises(TableError, match=r"No member .* seeds 0 to 2"):
        TableSpace(SPACE, table)


def test_budgets_in_seconds_of_fast_networks_differ():
    table = toy_table()
    table.arrays["seconds"] *= 0.001
    searches = TableSearches(load_registry(), table)
    seconds = [searches.budget_in_seconds(n).seconds for n in range(1, 200)]
    assert seconds == sorted(set(seconds))
    mean = ValidationLookup.of(table).mean_seconds()
    np.testing.assert_allclose(seconds, mean * np.arange(1, 200), rtol=1e-3)


# -- budgets in seconds ------------------------------------------------------------------------


def test_a_strategy_that_plans_ahead_plans_for_its_budget(table):
    """Successive halving has finished its last rung; cut short, it would be in its first one."""
    searches = TableSearches(load_registry(), table)
    for budget in (searches.budget_in_seconds(16), Budget(evaluations=16)):
        done = repeat(
            table, searches.searcher("successive-halving", budget), budget=budget, repetitions=4
        )
        last = done.steps.groupby("repetition")["epoch"].last()
        assert set(last) == {2}
        assert set(done.steps["epoch"]) == {1, 2}
    spent = repeat(table, searches.searcher("random", budget), budget=budget, repetitions=4)
    assert (spent.steps.groupby("repetition").size() == 16).all()


@pytest.mark.parametrize("name", ["random", "hyperband", "asha", "local-search"])
def test_every_search_uses_up_a_budget_of_seconds(table, name):
    searches = TableSearches(load_registry(), table)
    budget = searches.budget_in_seconds(12)
    done = repeat(table, searches.searcher(name, budget), budget=budget, repetitions=5)
    ends = done.steps.groupby("repetition")["seconds"].last()
    assert (ends >= budget.seconds).all()


def test_random_search_evaluates_within_less_than_the_mean_seconds(table):
    """With one sample it would evaluate none, which is for runs that train what it returns."""
    mean = ValidationLookup.of(table).mean_seconds()
    budget = Budget(seconds=0.9 * mean)
    searches = TableSearches(load_registry(), table)
    found = searches.repeat(RequestedSearch("random", 5), [budget])[budget]
    assert set(found.steps["repetition"]) == set(range(5))


def test_values_of_parameters_give_other_first_candidates_than_members():
    # The numbers of the page on tables, by going through all values.
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "table.md").read_text("utf-8")
    table = open_table("tiny-cells", "mitbih-2lead", "intra-patient", Path("none"))
    space = TinyCells(TinyCellsOptions(**table.card.space.options))
    named = [parameter.name for parameter in space.parameters()]
    choices = [parameter.choices for parameter in space.parameters()]
    counts = Counter(
        table.place(space.decode(dict(zip(named, values, strict=True))))
        for values in itertools.product(*choices)
    )
    assert counts.total() == 3072 and len(counts) == table.card.members == 1935
    scores = table.mean_test_scores()
    of_values = sum(n * scores[row] for row, n in counts.items()) / counts.total()
    said = re.search(
        r"has (\d+) to (\d+), .* a mean test F1 of ([\d.]+), and values one of ([\d.]+)\.",
        " ".join(page.split()),
    )
    assert said is not None
    forms = str(min(counts.values())), str(max(counts.values()))
    assert said.groups() == (*forms, f"{100 * scores.mean():.1f}", f"{100 * of_values:.1f}")
