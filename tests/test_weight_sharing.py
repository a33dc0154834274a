"""Weight sharing: subnetworks of a supernet, its training, the evaluator and the search."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tiny_runs
import torch
import toy_plugin
from tiny_beats import tiny_beats
from torch.nn.functional import one_hot
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.contracts import Budget, Fidelity, Task
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, RunSearchContext
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet, edge_index, n_edges
from nasbench_ecg_weight_sharing import shared_supernet as shared_supernet_module
from nasbench_ecg_weight_sharing import strategy as strategy_module
from nasbench_ecg_weight_sharing.evaluator import SharedWeights
from nasbench_ecg_weight_sharing.options import RandomWsOptions, SharedWeightsOptions
from nasbench_ecg_weight_sharing.shared_supernet import SharedSupernet, Subnetwork, calibrate
from nasbench_ecg_weight_sharing.strategy import RandomSearchWithSharing

SPACE = ConvCells(ConvCellsOptions(nodes=3))
A, B = (SPACE.sample(np.random.default_rng(seed)) for seed in (1, 2))
TASK = Task(tiny_beats(150, seed=1), tiny_beats(80, seed=2), ("N", "S", "V"))
TINY = {"cells": 3, "channels": 4, "stem_filters": 8, "batch_size": 25, "calibration_beats": 100}
TRAINED = {**TINY, "epochs": 25, "lr": 0.05}


def supernet(dtype=torch.float64):
    torch.manual_seed(0)
    net = SuperNet(
        PlainEdges, operations=SPACE.real_operations, nodes=3, cells=4, channels=4,
        stem_filters=6, n_leads=2, n_classes=3,
    )  # fmt: skip
    return net.to(dtype)


def subnetwork_of(net, arch):
    return Subnetwork(net, Genotype.from_architecture(arch), SPACE.real_operations)


def one_hot_weights(arch):
    """Return mixing weights that are 1 on the architecture's operations and 0 elsewhere."""
    weights = {}
    genotype = Genotype.from_architecture(arch)
    for name, cell in (("normal", genotype.normal), ("reduction", genotype.reduction)):
        rows = torch.zeros(n_edges(3), len(SPACE.real_operations), dtype=torch.float64)
        for i, node in enumerate(cell):
            for edge in node:
                column = torch.tensor(SPACE.real_operations.index(edge.operation))
                rows[edge_index(i, edge.source)] = one_hot(column, rows.shape[1])
        weights[name] = rows
    return weights


def shared_supernet(seed=0, task=TASK, options=None, space=SPACE):
    with seeded(seed):
        return SharedSupernet(
            options or SharedWeightsOptions(**{**TRAINED, "epochs": 2}),
            space,
            task.train,
            np.random.default_rng(seed),
            device="cpu",
        )


def search_context(evaluator=None, *, seed=0, task=TASK, **fields):
    return RunSearchContext(
        task=task, space=SPACE, builder=None, evaluator=evaluator,
        rng=np.random.default_rng(seed), evaluation_seed=seed, device="cpu", progress=Silent(),
        **fields,
    )  # fmt: skip


@pytest.fixture
def trainings(monkeypatch):
    """Return a list that gets one entry for each training of a supernet."""
    started = []
    real = SharedSupernet.train
    monkeypatch.setattr(
        SharedSupernet, "train", lambda self, *a, **k: started.append(1) or real(self, *a, **k)
    )
    return started


# -- a subnetwork ------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", [A, B])
@pytest.mark.parametrize("training", [True, False])
def test_a_subnetwork_is_the_supernet_with_weight_zero_on_all_other_operations(arch, training):
    net = supernet().train(training)
    x = torch.randn(5, 2, 64, dtype=torch.float64)
    expected = net(x, one_hot_weights(arch))
    torch.testing.assert_close(subnetwork_of(net, arch).train(training)(x), expected)


def test_a_subnetwork_costs_a_fraction_of_the_supernet():
    net, x = supernet(torch.float32), torch.randn(2, 2, 64)
    weights = {name: value.float() for name, value in one_hot_weights(A).items()}
    counts = []
    for call in (lambda: net(x, weights), lambda: subnetwork_of(net, A)(x)):
        with FlopCounterMode(display=False) as counter:
            call()
        counts.append(counter.get_total_flops())
    assert counts[1] < counts[0] / 5


def test_a_step_changes_the_weights_of_one_subnetwork_only():
    shared = shared_supernet()
    x, y = shared.beats.signals[:25], shared.beats.labels[:25]
    for _ in range(3):  # so that momentum is not zero
        shared.train_random_subnetwork(x, y)
    before = {name: p.detach().clone() for name, p in shared.net.named_parameters()}
    drawn = shared.space.sample(np.random.default_rng(9))
    shared.rng = np.random.default_rng(9)
    shared.train_random_subnetwork(x, y)
    trained = {id(p) for p in shared.subnetwork(drawn).parameters()}
    for name, p in shared.net.named_parameters():
        changed = not torch.equal(p, before[name])
        assert not changed or id(p) in trained, name
    stem = shared.net.stem[0].weight
    assert not torch.equal(stem, before["stem.0.weight"])


# -- calibration -------------------------------------------------------------------------------


def test_calibrated_statistics_are_the_mean_over_batches():
    net = supernet()
    batches = [torch.randn(20, 2, 64, dtype=torch.float64) for _ in range(3)]
    subnetwork = subnetwork_of(net, A)
    calibrate(subnetwork, batches)
    out = [net.stem[0](x.unsqueeze(2)) for x in batches]
    mean = torch.stack([o.mean(dim=(0, 2, 3)) for o in out]).mean(0)
    variance = torch.stack([o.var(dim=(0, 2, 3)) for o in out]).mean(0)
    torch.testing.assert_close(net.stem[1].running_mean, mean)
    torch.testing.assert_close(net.stem[1].running_var, variance)
    assert not subnetwork.training


def test_no_beat_counts_for_more_than_others_in_the_calibration(monkeypatch):
    sizes = []
    monkeypatch.setattr(shared_supernet_module, "_CALIBRATION_BATCH", 33)
    monkeypatch.setattr(
        shared_supernet_module, "calibrate", lambda net, batches: sizes.extend(map(len, batches))
    )
    shared_supernet().predict(A, TASK.validation)
    assert sizes == [25, 25, 25, 25]  # and not 33, 33, 33 and 1, each with the same weight


def test_predictions_do_not_depend_on_earlier_ones():
    shared = shared_supernet()
    shared.train(Silent())
    alone = shared.predict(A, TASK.validation)
    shared.predict(B, TASK.validation)
    np.testing.assert_array_equal(shared.predict(A, TASK.validation), alone)


# -- the beats of an epoch ---------------------------------------------------------------------


@pytest.mark.parametrize(("beats", "n"), [(90, 90), (5000, 150), (None, 150)])
def test_an_epoch_has_each_beat_at_most_once(beats, n):
    shared = shared_supernet(options=SharedWeightsOptions(**TINY, beats=beats))
    assert len(shared.order) == len(set(shared.order.tolist())) == n


def test_an_epoch_of_fewer_beats_than_a_batch_has_one_step():
    shared = shared_supernet(options=SharedWeightsOptions(**TINY, beats=10, epochs=2))
    before = {name: value.clone() for name, value in shared.net.state_dict().items()}
    figures = []
    shared.train(Silent(), after_epoch=figures.append)
    assert shared.steps_per_epoch == 1 and all(math.isfinite(one["loss"]) for one in figures)
    after = shared.net.state_dict()
    assert any(not torch.equal(after[name], value) for name, value in before.items())


# -- the evaluator -----------------------------------------------------------------------------


@pytest.mark.slow
def test_one_training_scores_many_architectures_above_chance(trainings):
    evaluator = SharedWeights(SharedWeightsOptions(**TRAINED))
    ctx = search_context(evaluator)
    rng = np.random.default_rng(5)
    archs = [SPACE.sample(rng) for _ in range(4)]
    found = ctx.evaluate_many(archs, Fidelity(epochs=1)) + ctx.evaluate_many([A])
    assert trainings == [1]
    assert [one.architecture for one in found] == [*archs, A]
    assert np.mean([one.score for one in found]) > 0.6  # three classes: chance is 0.33


def test_scores_depend_on_the_seed_and_not_on_the_order():
    def scores(seed, archs):
        evaluator = SharedWeights(SharedWeightsOptions(**{**TINY, "epochs": 3}))
        done = search_context(evaluator, seed=seed).evaluate_many(archs)
        return {one.architecture: one.confusion for one in done}

    first = scores(0, [A, B])
    assert scores(0, [B, A]) == first
    assert scores(1, [A, B]) != first


def test_other_beats_or_another_seed_train_again(trainings):
    evaluator = SharedWeights(SharedWeightsOptions(**{**TINY, "epochs": 1}))
    other = Task(tiny_beats(100, seed=7), TASK.validation, TASK.macro_classes)
    for ctx in (
        search_context(evaluator),
        search_context(evaluator, seed=1),
        search_context(evaluator, task=other),
    ):
        ctx.evaluate_many([A, B])
    assert len(trainings) == 3


def test_each_fold_of_a_cross_validation_trains_once_for_all_candidates(trainings):
    folds = np.arange(len(TASK.train) + len(TASK.validation)) % 3
    task = Task(TASK.train, TASK.validation, TASK.macro_classes, folds)
    options = SharedWeightsOptions(**{**TINY, "epochs": 1})
    found = search_context(SharedWeights(options), task=task).evaluate_many([A, B])
    assert len(trainings) == 3
    alone = search_context(SharedWeights(options), task=task).evaluate_many([B])
    assert found[1].confusion == alone[0].confusion


def test_after_a_search_it_trains_on_train_and_validation_and_scores_the_test_part():
    evaluator = SharedWeights(SharedWeightsOptions(**{**TINY, "epochs": 1}))
    test = tiny_beats(60, seed=3)
    ctx = FinalTestContext(TASK, test, "cpu", Silent())
    with seeded(0):
        done = evaluator.evaluate(A, TASK, None, ctx)
    assert len(done.predictions) == len(test)
    assert len(evaluator._trained[-1].beats) == len(TASK.train) + len(TASK.validation)


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        (Architecture("fixed", {"name": "cnn-9"}), "no supernet of the search space 'fixed'"),
        (A, "'conv-[0-9]+' is not an operation|'max-pool-[35]' is not an operation"),
    ],
)
def test_an_architecture_outside_the_supernet_is_refused(arch, said, trainings):
    options = SharedWeightsOptions(**TINY, operations=("none", "skip"))
    with pytest.raises(OptionError, match=said):
        search_context(SharedWeights(options), seed=0).evaluator.evaluate(
            arch, TASK, None, FinalTestContext(TASK, TASK.train, "cpu", Silent())
        )
    assert trainings == []


def test_correlate_accepts_it_as_an_evaluator(monkeypatch, tmp_path, trainings):
    toy_plugin.install(monkeypatch, tmp_path)
    words = ["correlate", "shared-weights", "--dataset", "toy-2lead", "--samples", "4"]
    words += ["--against", "parameters", "--profile", "smoke", "--device", "cpu", "--json"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["correlations"]
    assert (found["evaluator"], found["against"], found["n"]) == ("shared-weights", "parameters", 4)
    assert trainings == [1]


# -- the search --------------------------------------------------------------------------------


def search(seed=0, budget=None, **options):
    given = {**TINY, "epochs": 3, "candidates": 12, "screening_beats": 30, "finalists": 4}
    ctx = search_context(seed=seed, budget=budget or Budget())
    with seeded(seed):
        strategy = RandomSearchWithSharing(RandomWsOptions(**{**given, **options}))
        return strategy.search(TASK, SPACE, None, ctx), ctx


def test_the_search_returns_the_finalist_with_the_best_score_on_all_validation_beats():
    result, ctx = search()
    SPACE.validate(result.architecture)
    finalists = result.details["finalists"]
    assert (len(finalists), result.details["candidates"]) == (4, 12)
    best = max(finalists, key=lambda one: one["score"])
    assert best["architecture"] == result.architecture.hash
    assert [one["screened"] for one in finalists] == sorted(
        (one["screened"] for one in finalists), reverse=True
    )
    values = [point["value"] for point in ctx.trajectory if "value" in point]
    assert values == [one["score"] for one in finalists]
    assert [point["epoch"] for point in ctx.trajectory if "epoch" in point] == [1, 2, 3]


@pytest.mark.slow
def test_equal_seeds_give_equal_results_and_others_differ():
    (a, _), (b, _), (c, _) = search(3), search(3), search(4)
    assert a == b
    assert a.details != c.details


def test_the_finalist_has_the_best_score(monkeypatch):
    def score(supernet, arch, beats, task):
        return int(arch.hash, 16) / 16**16

    monkeypatch.setattr(strategy_module, "_f1", score)
    result, _ = search(candidates=40, finalists=1)
    rng = np.random.default_rng(0)
    drawn = [SPACE.sample(rng) for _ in range(3 * 6 + 40)][-40:]  # 6 steps in each of 3 epochs
    assert result.architecture.hash == max(arch.hash for arch in drawn)


def test_a_budget_of_zero_seconds_still_gives_an_architecture():
    result, _ = search(budget=Budget(seconds=0.0))
    SPACE.validate(result.architecture)
    assert result.details["epochs"] == 0


def test_the_search_refuses_a_space_without_a_supernet():
    strategy = RandomSearchWithSharing(RandomWsOptions())
    other = load_registry().get("search-space", "fixed").create(None)
    with pytest.raises(OptionError, match="no supernet of the search space 'fixed'"):
        strategy.search(TASK, other, None, search_context())


def test_the_estimate_is_a_positive_number_of_seconds():
    with seeded(0):
        options = RandomWsOptions(**TINY, epochs=2, candidates=2)
        seconds = RandomSearchWithSharing(options).estimate(TASK, SPACE, None, search_context())
    assert seconds > 0


@pytest.mark.slow
@pytest.mark.usefixtures("outside")
def test_a_search_stopped_at_any_step_gives_the_same_result(tmp_path, beats_cache):
    options = {**TINY, "epochs": 2, "candidates": 6, "screening_beats": 20, "finalists": 2}
    config = tiny_runs.tiny_config("random-ws", set={"strategy": options})

    def run(folder, progress=None):
        ready = tiny_runs.prepared_run(config, beats_cache, progress)
        return execute(ready, RecordStore(tmp_path / folder), checkpoint_seconds=0)

    whole = run("whole")
    for steps in (2, 3, 4, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            run("parts", tiny_runs.Stopped(steps))
    assert tiny_runs.result(run("parts")) == tiny_runs.result(whole)
