"""Candidates scored by cross-validation over folds of persons, against loops by hand."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from test_warm_starts import ARCH, OTHER, SPACE, rung
from tiny_beats import tiny_beats
from wfdb_files import real_database

from nasbench_ecg.api import NoOptions
from nasbench_ecg.contracts import Budget, Evaluation, Fidelity, Task
from nasbench_ecg.data.folds import subject_of_beats
from nasbench_ecg.data.protocols import InterPatientOptions, protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import DivergedError, ProtocolError
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.contexts import RunSearchContext, ValidationContext
from nasbench_ecg.run.cross_validation import cross_validated, fold_task, n_folds
from nasbench_ecg.run.parallel import Workers
from nasbench_ecg.run.prepare import prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.resume import ResumeFolder
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.engine import predict
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_evaluators.options import TrainOptions
from nasbench_ecg_evaluators.train import Train
from nasbench_ecg_physionet.mitbih import DS1, MitBih, TwoLeadOptions
from nasbench_ecg_tiny.network import TinyNetwork

TRAIN, VALIDATION = tiny_beats(70, seed=1), tiny_beats(50, seed=2)
FOLDS = np.random.default_rng(0).integers(3, size=120)
TASK = Task(TRAIN, VALIDATION, ("N", "S", "V"), FOLDS)


def context(task=TASK, folder=None, **changes):
    ctx = RunSearchContext(
        task=task,
        space=SPACE,
        builder=TinyNetwork(NoOptions()),
        evaluator=Train(TrainOptions(batch_size=16, lr=0.1)),
        rng=np.random.default_rng(0),
        evaluation_seed=3,
        device="cpu",
        progress=Silent(),
        **changes,
    )
    if folder is not None:
        saved = ResumeFolder(folder)
        ctx.candidates, ctx.evaluation_log = saved.candidates(), saved.evaluation_log()
    return ctx


def by_hand(fidelity):
    """Return labels and predictions of all beats, each scored by a network that has not seen it."""
    signals = np.concatenate([TRAIN.signals, VALIDATION.signals])
    labels = np.concatenate([TRAIN.labels, VALIDATION.labels])
    predicted = np.zeros(120, int)
    for fold in range(3):
        rest, own = (
            replace(
                tiny_beats(1), signals=signals[index], labels=labels[index],
                record=np.zeros(len(index), np.int32), sample=np.arange(len(index)),
            )
            for index in (np.flatnonzero(fold != FOLDS), np.flatnonzero(fold == FOLDS))
        )  # fmt: skip
        task = Task(rest, own, ("N", "S", "V"))
        with seeded(3):
            evaluation = Train(TrainOptions(batch_size=16, lr=0.1)).evaluate(
                ARCH, task, TinyNetwork(NoOptions()),
                ValidationContext(task, "cpu", Silent(), fidelity),
            )  # fmt: skip
            model = TinyNetwork(NoOptions()).build(ARCH, n_leads=2, n_samples=64, n_classes=3)
            model.load_state_dict(evaluation.state)
        predicted[fold == FOLDS] = predict(model, own, device="cpu").argmax(1)
    return labels, predicted


def test_every_beat_is_scored_once_by_a_network_trained_on_the_other_folds():
    (got,) = context().evaluate_many([ARCH], Fidelity(2))
    labels, predicted = by_hand(Fidelity(2))
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels, predicted), 1)
    assert got.confusion == expected.tolist()
    assert got.metrics["accuracy"] == pytest.approx((labels == predicted).mean())
    assert got.metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert got.score == got.metrics["f1_of_macro"]


def test_the_folds_of_a_task_divide_its_beats():
    seen = []
    for fold in range(n_folds(TASK)):
        task = fold_task(TASK, fold)
        assert len(task.train) + len(task.validation) == 120 and n_folds(task) == 1
        seen += task.validation.sample.tolist()
        assert len(task.validation) == (fold == FOLDS).sum()
    assert sorted(seen) == sorted([*TRAIN.sample.tolist(), *VALIDATION.sample.tolist()])


def test_all_trainings_are_counted_and_an_evaluation_is_one():
    ctx = context(budget=Budget(evaluations=2))
    ctx.evaluate_many([ARCH, OTHER], Fidelity(2))
    assert (ctx.epochs_trained, ctx.evaluations) == (2 * 3 * 2, 2)
    plain = context(replace(TASK, validation_folds=None))
    seconds = [c.seconds_per_evaluation(ARCH, Fidelity(2)) for c in (context(), plain)]
    assert seconds[0] > 1.5 * seconds[1]
    with pytest.raises(ProtocolError):
        ctx.evaluate_many([ARCH], Fidelity(3))


def test_a_training_of_each_fold_goes_on_from_its_own_state(tmp_path):
    warm, cold = context(folder=tmp_path), context()
    for epochs, continues in ((1, None), (2, 1), (6, 2)):
        (going_on,) = warm.evaluate_many([ARCH], rung(epochs, continues))
        (from_scratch,) = cold.evaluate_many([ARCH], rung(epochs, continues))
        assert going_on.confusion == from_scratch.confusion
        assert going_on.metrics == from_scratch.metrics
        assert going_on.epochs_reused == 3 * (continues or 0)
        left = sorted(path.stem.rpartition("-")[2] for path in tmp_path.glob("candidates/*"))
        assert left == ([str(epochs)] * 3 if epochs < 6 else [])
    assert (warm.epochs_trained, warm.epochs_reused) == (3 * 6, 3 * 3)


def test_a_candidate_that_diverges_in_one_fold_is_the_worst():
    class Diverges(Train):
        def evaluate(self, arch, task, builder, ctx):
            if len(task.validation) == (FOLDS == 2).sum():
                raise DivergedError("The training diverged.")
            return super().evaluate(arch, task, builder, ctx)

    ctx = context()
    ctx.evaluator = Diverges(TrainOptions(batch_size=16))
    (got,) = ctx.evaluate_many([ARCH], Fidelity(1))
    assert got.score == -math.inf and got.metrics == {}


def test_without_a_confusion_matrix_scores_are_means():
    def evaluate(task, fold):
        return Evaluation(ARCH, float(fold), {"ms": 2.0 * fold}, seconds=1.0)

    got = cross_validated(TASK, evaluate)
    assert (got.score, got.metrics, got.seconds) == (1.0, {"ms": 2.0}, 3.0)


@pytest.mark.parametrize("elsewhere", [{"accuracy": 0.5}, {}])
def test_a_score_that_equals_a_metric_in_one_fold_by_chance_is_not_that_metric(elsewhere):
    own = {0: 0.75, 1: 0.25, 2: 0.5}

    def evaluate(task, fold):
        right = np.diag(np.bincount(task.validation.labels, minlength=5))
        metrics = {"accuracy": 0.75} if fold == 0 else elsewhere
        return Evaluation(
            ARCH, own[fold], {**metrics, "own": own[fold]}, seconds=0.0, confusion=right.tolist()
        )

    found = cross_validated(TASK, evaluate)
    assert found.score == found.metrics["own"] == 0.5


@pytest.mark.slow
def test_workers_give_the_evaluations_of_this_process():
    registry = load_registry()
    config = configure(
        registry,
        RunRequest(
            "random", "synthetic-2lead", protocol="inter-patient", space="tiny-cells", device="cpu",
            overrides={"evaluator": {"batch_size": 16, "lr": 0.1}},
        ),
    )  # fmt: skip
    workers = Workers(
        2, task=TASK, builder=config.builder, evaluator=config.evaluator, device="cpu", seed=3
    )
    with closing(workers):
        found = list(workers.evaluate([ARCH, OTHER], Fidelity(1), Silent()))
    torch.set_num_threads(1)
    expected = context().evaluate_many([ARCH, OTHER], Fidelity(1))
    assert [one.confusion for one in found] == [one.confusion for one in expected]


# -- the protocol ------------------------------------------------------------------------------


def test_the_option_is_null_and_not_in_run_keys_by_default():
    assert "validation" not in InterPatientOptions().model_dump(exclude_none=True)


def test_folds_of_ds1_keep_persons_together_and_leave_the_split_as_it_is(tmp_path):
    options = resolve(
        TwoLeadOptions, component="dataset", protocol="inter-patient",
        overrides={"before": 0, "after": 0, "denoise": "none"},
    )  # fmt: skip
    dataset = MitBih(options)
    beats = dataset.load(LocalSource(real_database("mitdb").parent, tmp_path), Silent())
    plain, folded = (
        split("inter-patient", protocol_options("inter-patient")(**own), beats, dataset)
        for own in ({}, {"validation": "kfold"})
    )
    assert plain.folds is None and plain.fingerprint == folded.fingerprint
    training = np.concatenate([folded.train, folded.validation])
    assert len(folded.folds) == len(training)
    assert {beats.records[i] for i in set(beats.record[training])} == set(DS1)
    person = subject_of_beats(beats)[training]
    for one in set(person):
        assert len(set(folded.folds[person == one])) == 1
    assert sorted(len(set(person[folded.folds == fold])) for fold in range(5)) == [4, 4, 4, 5, 5]
    for name in ("S", "V"):
        index = beats.labels[training] == beats.classes.index(name)
        assert (np.bincount(folded.folds[index], minlength=5) > 0).all()


@pytest.mark.slow
def test_a_search_with_folds_trains_its_result_on_all_training_persons(tmp_path: Path) -> None:
    def record_of(**protocol):
        request = RunRequest(
            "random", "synthetic-2lead", protocol="inter-patient", profile="smoke",
            space="tiny-cells", device="cpu",
            overrides={"protocol": protocol, "strategy": {"samples": 2}},
        )  # fmt: skip
        config = configure(load_registry(), request)
        prepared = prepare_run(
            config, source=LocalSource(cache=tmp_path / "cache"), progress=Silent(), suite="runs"
        )
        return execute(prepared, RecordStore(tmp_path / str(len(protocol))))

    plain, folded = record_of(), record_of(validation="kfold", k=3)
    assert plain.run_key != folded.run_key
    assert folded.epochs["trained"] == 3 * plain.epochs["trained"]
    assert folded.status == "ok" and folded.confusion is not None
    assert np.sum(folded.confusion) == np.sum(plain.confusion)
