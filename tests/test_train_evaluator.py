"""The evaluator `train` in the contexts of the harness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score
from tiny_beats import tiny_beats

from nasbench_ecg.contracts import Budget, Fidelity, Task
from nasbench_ecg.data.beats import join
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, RunSearchContext, ValidationContext
from nasbench_ecg.training.engine import predict
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_evaluators import train as train_module
from nasbench_ecg_evaluators.options import TrainOptions
from nasbench_ecg_evaluators.train import Train

SPACE = ConvCells(ConvCellsOptions(nodes=2))
ARCH = SPACE.sample(np.random.default_rng(3))
BUILDER = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4))
TASK = Task(tiny_beats(90, seed=1), tiny_beats(50, seed=2), ("N", "S", "V"))
TEST = tiny_beats(60, seed=3)
SIZE = {"n_leads": 2, "n_samples": 64, "n_classes": 3}


def final_test(task=TASK, test=TEST, **options):
    return FinalTestContext(task, test, "cpu", Silent(), **options)


def evaluate(ctx=None, *, seed=0, task=TASK, arch=ARCH, **options):
    ctx = ctx or final_test(task)
    with seeded(seed):
        return Train(TrainOptions(**{"epochs": 2, "batch_size": 20, **options})).evaluate(
            arch, task, BUILDER, ctx
        )


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(epochs=6, lr=0.1)


@pytest.fixture
def fitted(monkeypatch):
    """Return the list of (beats, recipe) that evaluations fit on from here."""
    seen = []

    def watched(model, beats, recipe, **options):
        seen.append((beats, recipe))
        return real(model, beats, recipe, **options)

    real = train_module.fit
    monkeypatch.setattr(train_module, "fit", watched)
    return seen


def test_opening_the_test_part_twice_is_a_protocol_error():
    ctx = final_test()
    evaluate(ctx, epochs=1)
    assert ctx.opened
    with pytest.raises(ProtocolError, match="requested twice"):
        evaluate(ctx, epochs=1)


def test_the_final_network_is_fitted_on_train_with_validation_and_never_on_test(fitted):
    evaluate(epochs=1)
    [(beats, _)] = fitted
    assert beats.fingerprint() == join([TASK.train, TASK.validation]).fingerprint()
    assert not set(map(bytes, beats.signals)) & set(map(bytes, TEST.signals))


def test_a_candidate_is_fitted_on_train_and_scored_on_validation(fitted):
    got = evaluate(ValidationContext(TASK, "cpu", Silent()), epochs=1)
    [(beats, _)] = fitted
    assert beats.fingerprint() == TASK.train.fingerprint()
    assert len(got.predictions) == len(TASK.validation)


def test_the_labels_of_the_test_part_change_the_scores_alone():
    other = tiny_beats(60, seed=3)
    other.labels[:] = (other.labels + 1) % 3
    a, b = evaluate(epochs=1), evaluate(final_test(test=other), epochs=1)
    assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)
    assert a.predictions == b.predictions
    assert a.confusion != b.confusion


def test_the_last_epoch_is_scored_whatever_the_best_one_was(evaluation):
    model = BUILDER.build(ARCH, **SIZE)
    model.load_state_dict(evaluation.state)
    predicted = predict(model, TEST, device="cpu").argmax(1)
    assert evaluation.predictions == predicted.tolist()
    assert len(evaluation.curves["loss"]) == 6


def test_scores_are_scikit_learns_of_the_predictions(evaluation):
    truth, predicted = TEST.labels, evaluation.predictions
    assert evaluation.metrics["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert evaluation.metrics["macro_se"] == pytest.approx(
        recall_score(truth, predicted, average="macro")
    )
    assert evaluation.score == evaluation.metrics["f1_of_macro"]
    confusion = np.array(evaluation.confusion)
    assert confusion.sum() == len(TEST)
    assert confusion.sum(1).tolist() == np.bincount(truth, minlength=3).tolist()
    assert evaluation.architecture == ARCH
    assert evaluation.seconds > 0


def test_separable_classes_are_learned(evaluation):
    assert evaluation.curves["loss"][-1] < 0.7 * evaluation.curves["loss"][0]
    assert evaluation.metrics["accuracy"] > 0.6


def test_macro_scores_exclude_the_classes_that_the_protocol_excludes(evaluation):
    narrow = Task(TASK.train, TASK.validation, ("N", "S"))
    got = evaluate(final_test(narrow), task=narrow, epochs=6, lr=0.1)
    confusion = np.array(got.confusion)
    assert got.confusion == evaluation.confusion
    assert got.metrics["macro_se"] == pytest.approx(
        (confusion.diagonal() / confusion.sum(1))[:2].mean()
    )


def test_one_seed_gives_one_evaluation_and_another_seed_another():
    a, b, c = evaluate(seed=4), evaluate(seed=4), evaluate(seed=5)
    assert a.curves == b.curves
    assert a.metrics == b.metrics
    assert a.predictions == b.predictions
    assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)
    assert a.curves != c.curves


def test_an_evaluation_leaves_the_global_generator_to_the_harness():
    torch.manual_seed(8)
    before = torch.get_rng_state()
    evaluate(epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("fidelity", "epochs", "beats"),
    [
        (None, 3, 90),
        (Fidelity(), 3, 90),
        (Fidelity(epochs=1), 1, 90),
        (Fidelity(beats=25), 3, 25),
        (Fidelity(epochs=2, beats=25), 2, 25),
        (Fidelity(beats=10_000), 3, 90),
    ],
)
def test_fidelity_overrides_epochs_and_beats(fitted, fidelity, epochs, beats):
    got = evaluate(ValidationContext(TASK, "cpu", Silent(), fidelity), epochs=3)
    [(fit_on, recipe)] = fitted
    assert recipe.epochs == epochs == len(got.curves["loss"])
    assert len(fit_on) == beats


def test_fewer_beats_are_drawn_at_random_and_repeatably(fitted):
    for seed in (0, 0, 1):
        evaluate(seed=seed, epochs=1, beats=30)
    first, again, other = (beats for beats, _ in fitted)
    assert len(first) == 30
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    whole = set(map(bytes, join([TASK.train, TASK.validation]).signals))
    drawn = set(map(bytes, first.signals))
    assert len(drawn) == 30
    assert drawn <= whole


def test_every_option_reaches_the_recipe(fitted):
    options = {
        "epochs": 1, "batch_size": 33, "lr": 0.2, "lr_min": 0.1, "momentum": 0.5,
        "weight_decay": 0.01, "grad_clip": 1.5, "precision": "bf16",
    }  # fmt: skip
    evaluate(**options)
    [(_, recipe)] = fitted
    assert options.items() <= vars(recipe).items()


def test_the_options_defaults_are_the_papers():
    options = TrainOptions()
    assert (options.epochs, options.batch_size, options.lr, options.lr_min) == (
        100,
        256,
        0.025,
        0.001,
    )
    assert (options.momentum, options.weight_decay, options.grad_clip) == (0.9, 3e-4, 5.0)
    assert options.beats is None


def test_the_state_loads_back_into_a_built_network(evaluation):
    model = BUILDER.build(ARCH, **SIZE)
    assert set(evaluation.state) == set(model.state_dict())
    assert all(value.device.type == "cpu" for value in evaluation.state.values())
    model.load_state_dict(evaluation.state, strict=True)


def test_a_search_scores_candidates_on_validation_within_its_budget():
    ctx = RunSearchContext(
        task=TASK,
        space=SPACE,
        builder=BUILDER,
        evaluator=Train(TrainOptions(epochs=1, batch_size=20)),
        rng=np.random.default_rng(0),
        evaluation_seed=0,
        device="cpu",
        progress=Silent(),
        budget=Budget(evaluations=2),
    )
    other = SPACE.mutate(ARCH, ctx.rng)
    a, b = ctx.evaluate_many([ARCH, other], Fidelity(beats=40))
    assert (a.architecture, b.architecture) == (ARCH, other)
    assert np.sum(a.confusion) == len(TASK.validation) and a.predictions is None
    with pytest.raises(ProtocolError, match="budget of 2 evaluations"):
        ctx.evaluate_many([ARCH])


def test_the_estimate_opens_no_part():
    ctx = final_test()
    with seeded(0):
        seconds = Train(TrainOptions(epochs=2, batch_size=20)).estimate(ARCH, TASK, BUILDER, ctx)
    assert seconds > 0
    assert not ctx.opened
