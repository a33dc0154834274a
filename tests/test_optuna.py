"""Optuna's searches: candidates equal Optuna's own, budgets, size limit, storage, missing extra."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from bit_searches import TASK, Bits, Lookup, Wide, bits, context
from tiny_beats import tiny_beats

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    Condition,
    Integer,
    OptionError,
    PluginError,
    check_values,
    draw_values,
)
from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.errors import DivergedError, NasbenchError
from nasbench_ecg.options import PROFILE_NAMES, resolve
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.testing.fixtures import small_task
from nasbench_ecg.training import network_costs
from nasbench_ecg_blackbox.hyperband import brackets
from nasbench_ecg_blackbox.nsga2 import Nsga2
from nasbench_ecg_blackbox.options import Nsga2Options, RandomSearchOptions
from nasbench_ecg_blackbox.random_search import RandomSearch
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_evaluators.options import TrainOptions
from nasbench_ecg_evaluators.train import Train
from nasbench_ecg_optuna.encoders import Direct, Relaxed
from nasbench_ecg_optuna.options import BohbOptions

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install 'nasbench-ecg[optuna]'")

NAMES = ("tpe", "gp", "cma-es", "nsga-ii", "nsga-iii")
SMALL = {"gp": {"models": 14, "initial": 10}}
WITH_OBJECTIVES = ("tpe", "gp", "nsga-ii", "nsga-iii")


def options_of(name, **options):
    model = load_registry().get("strategy", name).options_model()
    alone = {"objectives": ()} if "objectives" in model.model_fields else {}
    return model(**{"models": 30, "epochs": 1, **alone, **SMALL.get(name, {}), **options})


def search(name, space, *, evaluator=None, seed=0, budget=None, parallel=1, task=TASK, **options):
    """Return the result, the evaluator and the context of a search with ``options``."""
    evaluator = evaluator or Lookup()
    ctx = context(space, evaluator, seed=seed, budget=budget)
    ctx.parallel, ctx.task = parallel, task
    strategy = load_registry().get("strategy", name).create(options_of(name, **options))
    return strategy.search(task, space, Wide(), ctx), evaluator, ctx


# All of them


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_equal_seeds_evaluate_the_same_and_find_the_same(name):
    (a, ea, _), (b, eb, _), (_, ec, _) = (search(name, Bits(10), seed=s) for s in (3, 3, 4))
    assert a.architecture == b.architecture and ea.calls == eb.calls != ec.calls


@pytest.mark.parametrize("name", NAMES)
def test_every_evaluation_is_a_point_of_the_trajectory_and_none_is_repeated(name):
    result, evaluator, ctx = search(name, Bits(6), models=14)
    evaluated = evaluator.architectures
    assert len(evaluated) == len(set(evaluated)) == 14
    assert [point["value"] for point in ctx.trajectory] == [sum(a.genotype) for a in evaluated]
    assert [row["architecture"] for row in result.details["evaluations"]] == [
        arch.hash for arch in evaluated
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_smaller_than_the_search_is_evaluated_as_a_whole(name):
    result, evaluator, _ = search(name, Bits(3), models=30)
    assert len(evaluator.calls) == 8 and result.architecture == bits([1, 1, 1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("evaluations", [0, 1, 5])
def test_a_budget_of_evaluations_is_kept_and_the_best_returned(name, evaluations):
    result, evaluator, _ = search(name, Bits(8), budget=Budget(evaluations=evaluations))
    assert len(evaluator.calls) == evaluations
    best = max((sum(arch.genotype) for arch in evaluator.architectures), default=None)
    assert best in (None, sum(result.architecture.genotype))


@pytest.mark.parametrize("name", NAMES)
def test_a_search_ends_with_the_evaluation_that_uses_up_its_seconds(name):
    _, evaluator, _ = search(name, Bits(8), budget=Budget(seconds=2.5))
    assert len(evaluator.calls) == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_workers_does_not_change_the_search(name):
    alone, one, _ = search(name, Bits(8))
    many, four, _ = search(name, Bits(8), parallel=4)
    assert one.calls == four.calls and alone == many


@pytest.mark.parametrize("name", ["tpe", "gp", "cma-es"])
def test_a_batch_is_proposed_before_any_of_its_scores_is_told(name):
    asked = []
    evaluator = Lookup()
    ctx = context(Bits(10), evaluator)
    ctx.parallel = 4
    real = ctx.evaluate_many
    ctx.evaluate_many = lambda archs, fidelity: asked.append(len(archs)) or real(archs, fidelity)
    strategy = load_registry().get("strategy", name).create(options_of(name, models=12, batch=4))
    strategy.search(TASK, ctx.space, ctx.builder, ctx)
    assert sum(asked) == 12 and max(asked) == 4 and len(asked) <= 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_each_profile_evaluates_as_many_as_random_search_for_as_long(name, profile):
    component = load_registry().get("strategy", name)
    options = resolve(component.options_model(), component=name, profile=profile)
    floor = resolve(RandomSearchOptions, component="random", profile=profile)
    assert (options.epochs, options.beats) == (floor.epochs, floor.beats)
    assert options.models == (6 if profile == "smoke" else floor.samples)


@pytest.mark.parametrize("name", NAMES)
def test_the_estimate_covers_all_evaluations_and_spends_no_budget(name):
    evaluator = Lookup()
    ctx = context(Bits(20), evaluator)
    strategy = load_registry().get("strategy", name).create(options_of(name, models=7, epochs=3))
    assert strategy.estimate(TASK, ctx.space, ctx.builder, ctx) == 21
    assert evaluator.calls == [] and ctx.evaluations == 0


@pytest.mark.parametrize(
    ("name", "options", "turns"),
    [("tpe", {}, 24), ("tpe", {"batch": 3}, 8), ("nsga-ii", {"population": 8}, 3 * 2)],
)
def test_the_estimate_counts_as_at_the_same_time_what_is_proposed_at_once(name, options, turns):
    ctx = context(Bits(10), Lookup())
    ctx.parallel = 4
    strategy = load_registry().get("strategy", name).create(options_of(name, models=24, **options))
    assert strategy.estimate(TASK, ctx.space, ctx.builder, ctx) == turns


# Equal to Optuna's own loop


def optuna_alone(sampler, n, *, bits_of, directions=("maximize",)):
    """Return the bits that Optuna itself tries, in order, without repeats."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tried = []

    def objective(trial):
        values = bits_of(trial)
        tried.append(values)
        costs = [sum(values) + 2] * (len(directions) - 1)
        return [sum(values), *costs]

    optuna.create_study(sampler=sampler, directions=directions).optimize(objective, n_trials=n)
    return list(dict.fromkeys(map(tuple, tried)))


def categorical_bits(trial):
    return [trial.suggest_categorical(f"bit-{i}", (0, 1)) for i in range(16)]


def relaxed_bits(trial):
    pairs = [[trial.suggest_float(f"bit-{i}={b}", 0, 1) for b in (0, 1)] for i in range(16)]
    return [int(one > zero) for zero, one in pairs]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["tpe", "gp", "cma-es", "nsga-ii"])
def test_the_candidates_are_those_that_optuna_itself_tries(name):
    seed, n = int(np.random.default_rng(5).integers(2**32)), 13
    options = {"tpe": {"initial": 5}, "nsga-ii": {"population": 4}}.get(name, {})
    _, evaluator, _ = search(name, Bits(16), seed=5, models=n, **options)
    samplers = optuna.samplers
    sampler = {
        "tpe": lambda: samplers.TPESampler(seed=seed, n_startup_trials=5),
        "gp": lambda: samplers.GPSampler(seed=seed),
        "cma-es": lambda: samplers.CmaEsSampler(seed=seed),
        "nsga-ii": lambda: samplers.NSGAIISampler(seed=seed, population_size=4),
    }[name]()
    bits_of = relaxed_bits if name == "cma-es" else categorical_bits
    alone = optuna_alone(sampler, n, bits_of=bits_of)
    candidates = [tuple(arch.genotype) for arch in evaluator.architectures]
    assert len(alone) >= 10 and candidates[: len(alone)] == alone


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_cma_es_learns_in_conv_cells_in_the_published_profile_only(profile):
    parameters = ConvCells(ConvCellsOptions()).parameters()
    dimensions = sum(parameter.count for parameter in parameters)
    assert dimensions == 182
    options = load_registry().get("strategy", "cma-es").options_model()
    models = resolve(options, component="cma-es", profile=profile).models
    generation = 4 + int(3 * np.log(dimensions))  # Hansen 2016, table 1
    assert (models > 1 + generation) == (profile == "paper")  # the first one is drawn without


def test_a_model_of_the_scores_finds_more_than_random_search():
    n = 25

    def reached(seed):
        found, *_ = search("tpe", Bits(12), seed=seed, models=n, initial=8)
        ctx = context(Bits(12), Lookup(), seed=seed)
        strategy = RandomSearch(RandomSearchOptions(samples=n))
        drawn = strategy.search(TASK, ctx.space, ctx.builder, ctx)
        return sum(found.architecture.genotype), sum(drawn.architecture.genotype)

    modeled, drawn = np.array([reached(seed) for seed in range(6)]).T
    assert modeled.mean() > drawn.mean() + 1


# Conditional parameters

SHAPE = (
    Categorical("kind", ("conv", "pool", "skip")),
    Integer("width", 3, 9, Condition("kind", ("conv", "pool"))),
    Categorical("groups", (1, 2), Condition("kind", ("conv",))),
)
"""7 · 2 + 7 + 1 = 22 architectures."""


class Shapes:
    name, size = "shapes", 22

    def sample(self, rng):
        return self.decode(draw_values(SHAPE, rng))

    def validate(self, arch):
        check_values(SHAPE, arch.genotype)

    def parameters(self):
        return SHAPE

    def encode(self, arch):
        return arch.genotype

    def decode(self, values):
        return Architecture(self.name, check_values(SHAPE, values))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_conditional_parameters_are_searched_and_all_of_a_small_space_is_found(name):
    def score(arch, _):
        return arch.genotype.get("width", 0) + (arch.genotype.get("groups") == 2)

    result, evaluator, _ = search(name, Shapes(), evaluator=Lookup(score), models=22)
    assert len(evaluator.calls) == 22
    assert result.architecture.genotype == {"kind": "conv", "width": 9, "groups": 2}


@pytest.mark.parametrize("encoder", [Direct(), Relaxed()])
def test_a_trial_with_fixed_parameters_suggests_their_values(encoder):
    study = optuna.create_study()
    wanted = [
        {"kind": "skip"},
        *({"kind": "pool", "width": width} for width in (3, 9)),
        *({"kind": "conv", "width": w, "groups": g} for w, g in product((4, 8), (1, 2))),
    ]
    for values in wanted:
        study.enqueue_trial(encoder.fixed(SHAPE, values))
        assert encoder.suggest(study.ask(), SHAPE) == values


# The largest network that is allowed


@pytest.mark.parametrize("name", NAMES)
def test_a_network_above_the_limit_is_never_evaluated_and_costs_no_evaluation(name):
    result, evaluator, _ = search(name, Bits(8), max_parameters=5, models=14)
    assert max(sum(arch.genotype) for arch in evaluator.architectures) == 3  # and two more
    assert len(evaluator.calls) == 14 and sum(result.architecture.genotype) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_limit_that_no_random_network_keeps_is_met_by_mutations(name):
    result, evaluator, _ = search(name, Bits(24), max_parameters=4, models=5)
    assert sum(result.architecture.genotype) <= 2
    assert len({a.hash for a in evaluator.architectures}) == 5
    assert all(sum(a.genotype) <= 2 for a in evaluator.architectures)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_below_every_network_is_an_error_with_a_fix(name):
    with pytest.raises(OptionError, match="with 1 or fewer trainable parameters"):
        search(name, Bits(8), max_parameters=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limit", ["max_macs", "max_flash"])
@pytest.mark.slow
def test_operations_and_bytes_are_limited_as_parameters_are(name, limit):
    cost = {"max_macs": "macs", "max_flash": "flash_bytes"}[limit]

    def costs_of(ones):
        arch = bits([1] * ones + [0] * (8 - ones))
        return network_costs(arch, TASK, Wide(), device="cpu", names=[cost])[cost]

    most = int(costs_of(3))
    assert costs_of(2) < most < costs_of(4)
    _, evaluator, _ = search(name, Bits(8), models=12, **{limit: most})
    assert len(evaluator.calls) == 12
    assert max(sum(arch.genotype) for arch in evaluator.architectures) <= 3


# Several objectives


class Crossed(Lookup):
    """Scores by the ones in the first half: those in the second half only cost parameters."""

    def evaluate(self, arch, task, builder, ctx):
        self.score = lambda a, _: sum(a.genotype[: len(a.genotype) // 2])
        return super().evaluate(arch, task, builder, ctx)


@pytest.mark.parametrize("name", WITH_OBJECTIVES)
def test_the_front_holds_what_no_evaluation_dominates_and_its_best_score_is_returned(name):
    costs = {"objectives": ("parameters",)}
    result, evaluator, _ = search(name, Bits(8), evaluator=Crossed(), **costs)
    points = {a.hash: (sum(a.genotype[:4]), sum(a.genotype) + 2) for a in evaluator.architectures}
    expected = {
        key
        for key, (score, cost) in points.items()
        if not any((s >= score and c <= cost and (s, c) != (score, cost)) for s, c in
                   points.values())
    }  # fmt: skip
    front = result.details["front"]
    assert result.details["objectives"] == ["score", "parameters"]
    assert {row["hash"] for row in front} == expected
    assert all((row["score"], row["parameters"]) == points[row["hash"]] for row in front)
    assert result.architecture.hash == front[0]["hash"]
    assert front[0]["score"] == max(score for score, _ in points.values())


def test_the_front_has_the_form_of_nsga2s():
    ours, *_ = search("nsga-ii", Bits(8), evaluator=Crossed(), objectives=("parameters",))
    ctx = context(Bits(8), Crossed())
    theirs = Nsga2(Nsga2Options(models=20, population=4)).search(TASK, ctx.space, Wide(), ctx)
    assert set(ours.details) == set(theirs.details)
    assert set(ours.details["front"][0]) == set(theirs.details["front"][0])


def test_the_front_holds_no_network_that_diverged():
    def score(arch, fidelity):
        if not any(arch.genotype):
            raise DivergedError("The loss is not finite.")
        return sum(arch.genotype)

    evaluator = Lookup(score)
    result, *_ = search("tpe", Bits(4), evaluator=evaluator, objectives=("parameters",))
    assert bits([0] * 4) in evaluator.architectures
    assert {row["score"] for row in result.details["front"]} == {1, 2, 3, 4}


@pytest.mark.parametrize("name", WITH_OBJECTIVES)
def test_objectives_must_differ(name):
    with pytest.raises(ValueError, match="objectives must differ"):
        options_of(name, objectives=("macs", "macs"))


# The study in a database


@pytest.fixture
def task():
    return small_task()


@pytest.mark.slow
def test_the_study_can_be_opened_and_an_equal_search_replaces_it(task, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    kept = {"storage": url, "task": task, "models": 8, "initial": 3}
    result, evaluator, _ = search("tpe", Bits(6), **kept)
    (name,) = optuna.get_all_study_names(url)
    assert name.startswith("tpe-bits-")
    study = optuna.load_study(study_name=name, storage=url)
    told = {t.user_attrs["architecture"]: t.value for t in study.trials}
    assert told == {a.hash: float(sum(a.genotype)) for a in evaluator.architectures}
    assert study.best_trial.user_attrs["genotype"] == result.architecture.genotype
    again, *_ = search("tpe", Bits(6), **kept)
    assert again == result and optuna.get_all_study_names(url) == [name]
    search("tpe", Bits(6), seed=1, **kept)
    assert len(optuna.get_all_study_names(url)) == 2


def test_searches_of_two_runs_have_studies_of_their_own(task, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    for key in ("one", "two", "one"):  # such as runs that differ in the builder alone
        ctx = context(Bits(6), Lookup())
        ctx.task, ctx.key = task, key
        strategy = load_registry().get("strategy", "tpe")
        options = options_of("tpe", storage=url, models=4, initial=3)
        strategy.create(options).search(task, ctx.space, Wide(), ctx)
    assert len(optuna.get_all_study_names(url)) == 2


@pytest.mark.slow
def test_a_rejected_network_counts_as_the_worst_also_if_a_candidate_diverged(task, tmp_path):
    evaluator = Lookup()

    def score(arch, fidelity):
        if len(evaluator.calls) == 2:
            raise DivergedError("The loss is not finite.")
        return sum(arch.genotype)

    evaluator.score = score
    url = f"sqlite:///{tmp_path / 'study.db'}"
    kept = {"storage": url, "task": task, "models": 14, "initial": 4, "max_parameters": 5}
    search("gp", Bits(6), evaluator=evaluator, **kept)
    (name,) = optuna.get_all_study_names(url)
    trials = optuna.load_study(study_name=name, storage=url).trials
    rejected = [t for t in trials if t.user_attrs.get("rejected")]
    # Without a score for them, the sampler proposed such networks hundreds of times.
    assert 0 < len(rejected) < 30
    assert {t.state.name for t in rejected} == {"COMPLETE"}


def test_no_trial_of_a_finished_search_is_left_running(task, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    kept = {"storage": url, "task": task, "models": 24, "initial": 2, "batch": 4}
    budget = Budget(evaluations=6)  # it ends within the second rung
    search("tpe", Bits(6), seed=6, budget=budget, epochs=9, prune_after=1, **kept)
    (name,) = optuna.get_all_study_names(url)
    trials = optuna.load_study(study_name=name, storage=url).trials
    assert {t.state.name for t in trials} == {"FAIL"}


def test_a_search_with_a_database_is_the_same_as_one_without(task, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    _, kept, _ = search("tpe", Bits(10), storage=url, task=task, models=12)
    _, free, _ = search("tpe", Bits(10), task=task, models=12)
    assert kept.architectures == free.architectures


def test_the_storage_is_no_part_of_the_run_key():
    registry = load_registry()
    kept = RunRequest("tpe", "synthetic-2lead", overrides={"strategy": {"storage": "sqlite:///a"}})
    config = configure(registry, kept)
    assert config.key() == configure(registry, RunRequest("tpe", "synthetic-2lead")).key()
    assert config.strategy.options.storage == "sqlite:///a"


@pytest.mark.parametrize("url", ["study.db", "nosuchdb://x", "sqlite:////no/such/folder/study.db"])
def test_a_storage_that_cannot_be_opened_is_an_error_that_names_the_option(url, task):
    with pytest.raises(OptionError, match=r"cannot be opened.*strategy.storage.*sqlite:///"):
        search("tpe", Bits(6), storage=url, task=task)


# Where it does not run


def test_a_space_without_parameters_is_refused_before_any_record_is_read():
    request = RunRequest("tpe", "synthetic-2lead", space="labelings", device="cpu")
    with pytest.raises(OptionError, match="'tpe' searches spaces with parameters, and the space"):
        configure(load_registry(), request)


@pytest.mark.slow
def test_the_plugin_and_its_options_load_without_optuna():
    code = (
        "import sys; sys.modules['optuna'] = None; sys.modules['cmaes'] = None\n"
        "from nasbench_ecg.plugin.registry import load_registry\n"
        f"for name in {NAMES}:\n"
        "    component = load_registry().get('strategy', name)\n"
        "    component.options_model(); component.verify()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", ["optuna", "cmaes"])
def test_a_missing_extra_is_one_error_that_names_it(name, missing, monkeypatch):
    from nasbench_ecg_optuna import studies

    real = studies.find_spec
    monkeypatch.setattr(studies, "find_spec", lambda name: None if name == missing else real(name))
    component = load_registry().get("strategy", name)
    with pytest.raises(PluginError) as caught:
        component.create(component.options_model()())
    assert isinstance(caught.value, NasbenchError)
    assert f"needs the package {missing}" in str(caught.value)
    assert "pip install 'nasbench-ecg[optuna]'" in str(caught.value)


# Pruning


def test_candidates_below_the_median_are_stopped_and_others_go_on():
    # A score that no model can learn, so that half of the later candidates are below the median.
    evaluator = Lookup(lambda arch, fidelity: int(arch.hash[:4], 16) + fidelity.epochs)
    options = {"epochs": 9, "prune_after": 1, "models": 24, "initial": 6}
    result, *_ = search("tpe", Bits(10), evaluator=evaluator, **options)
    reached = {}
    for arch, fidelity in evaluator.calls:
        assert (fidelity.schedule_epochs, fidelity.continues) == (9, reached.get(arch.hash))
        reached[arch.hash] = fidelity.epochs
    epochs = list(reached.values())
    assert len(epochs) == 24 and epochs.count(9) >= 6 and epochs.count(1) > 3
    stopped = [int(a.hash[:4], 16) for a, _ in evaluator.calls if reached[a.hash] == 1]
    assert max(stopped) < int(result.architecture.hash[:4], 16)
    again, *_ = search("tpe", Bits(10), evaluator=Lookup(evaluator.score), **options)
    assert again == result and reached[result.architecture.hash] == 9


def test_a_search_that_stops_candidates_ends_where_the_space_has_no_more():
    evaluator = Lookup(lambda arch, fidelity: int(arch.hash[:4], 16) + fidelity.epochs)
    search("tpe", Bits(3), evaluator=evaluator, epochs=9, prune_after=1, models=20, initial=2)
    assert len({arch.hash for arch in evaluator.architectures}) == 8
    assert {f.epochs for _, f in evaluator.calls} == {1, 3, 9} and len(evaluator.calls) < 24


@pytest.mark.parametrize("options", [{"prune_after": 9}, {"objectives": ("macs",)}])
def test_pruning_needs_more_epochs_and_one_objective(options):
    with pytest.raises(ValueError, match="prune_after"):
        options_of("tpe", **{"epochs": 9, "prune_after": 1, **options})


# BOHB


def bohb(space, evaluator=None, *, seed=0, budget=None, **options):
    evaluator = evaluator or Lookup()
    ctx = context(space, evaluator, seed=seed, budget=budget)
    strategy = load_registry().get("strategy", "bohb").create(BohbOptions(**options))
    return strategy.search(TASK, space, Wide(), ctx), evaluator


def test_bohb_runs_the_brackets_of_hyperband_and_repeats_itself():
    (a, ea), (b, eb) = (bohb(Bits(20), eta=3, max_epochs=9) for _ in range(2))
    assert a == b and ea.calls == eb.calls
    epochs = [fidelity.epochs for _, fidelity in ea.calls]
    assert epochs == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3
    assert {fidelity.schedule_epochs for _, fidelity in ea.calls} == {9}


def test_bohb_proposes_better_candidates_than_hyperband_draws():
    def first_rungs(fraction):
        _, evaluator = bohb(
            Bits(12), eta=3, max_epochs=9, rounds=4, initial=9, random_fraction=fraction
        )
        late = evaluator.calls[len(evaluator.calls) // 2 :]
        return np.mean([sum(arch.genotype) for arch, f in late if f.continues is None])

    assert first_rungs(0.0) > first_rungs(1.0) + 2


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_bohb_has_enough_scores_for_a_model_of_conv_cells_in_the_published_profile_only(profile):
    options = resolve(BohbOptions, component="bohb", profile=profile)
    scores = Counter()
    for bracket in (brackets(options) * options.rounds)[:-1]:  # none is proposed after the last one
        for rung in bracket:
            scores[rung.fidelity.epochs] += rung.candidates
    needed = len(ConvCells(ConvCellsOptions()).parameters()) + 1
    assert needed == 23
    assert (max(scores.values()) >= needed) == (profile == "paper")


def test_bohb_keeps_its_limits_and_budget():
    _, evaluator = bohb(Bits(8), eta=3, max_epochs=9, rounds=3, initial=6, max_parameters=6)
    assert all(sum(arch.genotype) + 2 <= 6 for arch in evaluator.architectures)
    _, evaluator = bohb(Bits(8), budget=Budget(evaluations=11))
    assert len(evaluator.calls) == 11


def test_bohb_ends_a_bracket_of_random_candidates_where_the_space_has_no_more():
    options = {"eta": 3, "max_epochs": 9, "initial": 2}
    _, evaluator = bohb(Bits(2), random_fraction=1.0, **options)
    assert len({arch.hash for arch in evaluator.architectures}) == 4


# The space of the documentation


def test_the_space_of_the_documentation_is_searched_as_it_is():
    page = (Path(__file__).parents[1] / "docs" / "howto" / "space-and-builder.md").read_text()
    code = re.search(r"```python title[^\n]*\n(.*?)```", page, re.DOTALL)[1]
    plugin = {}
    exec(code, plugin)
    beats = tiny_beats(60, n_leads=2, n_samples=64, classes=("N", "S"))
    task = Task(beats, beats, ("N", "S"))
    ctx = context(plugin["LittleNets"](None), Train(TrainOptions()))
    ctx.task, ctx.builder = task, plugin["LittleBuilder"](None)
    strategy = load_registry().get("strategy", "tpe").create(options_of("tpe", models=6))
    result = strategy.search(task, ctx.space, ctx.builder, ctx)
    assert ctx.evaluations == 6
    ctx.space.validate(result.architecture)


# Killed and started again


@pytest.mark.slow
def test_a_killed_search_ends_as_if_it_had_not_been_killed(tmp_path):
    script = tmp_path / "searching.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from nasbench_ecg.plugin.registry import load_registry\n"
        "from nasbench_ecg.testing.fixtures import component_under_test\n"
        "from nasbench_ecg.testing.searching import HashEvaluator, run_search\n"
        "folder, last = Path(sys.argv[1]), int(sys.argv[2])\n"
        "real = HashEvaluator.evaluate\n"
        "def evaluate(self, *args):\n"
        "    if len(self.evaluated) == last:\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "    return real(self, *args)\n"
        "HashEvaluator.evaluate = evaluate\n"
        "options = {'strategy': {'models': 12, 'initial': 4}}\n"
        "component = component_under_test(load_registry(), 'strategy', 'tpe', options)\n"
        "found = run_search(component, folder=folder)\n"
        "print(len(found.evaluated), found.to_json())\n"
    )

    def run(folder: str, last: int) -> subprocess.CompletedProcess[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, str(script), str(tmp_path / folder), str(last)],
            capture_output=True, text=True, env=dict(os.environ), cwd=Path(__file__).parent,
        )  # fmt: skip

    whole = run("whole", 99)
    assert whole.returncode == 0, whole.stderr
    assert run("killed", 7).returncode == -signal.SIGKILL
    resumed = run("killed", 99)
    assert resumed.returncode == 0, resumed.stderr
    new, outcome = resumed.stdout.split(" ", 1)
    assert int(new) == 12 - 7 and outcome == whole.stdout.split(" ", 1)[1]
