"""Clustering within records: each record has clusters of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from time import monotonic

import numpy as np
import pytest
from test_iemmc import STRATEGIES, context, evaluate, every_strategy, groups, search, space_of

from nasbench_ecg.api import join
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg_immune.iemmc import Iemmc
from nasbench_ecg_immune.space import from_architecture, to_architecture

CLASSES = ("N", "other")
RECORDS = ("a", "b", "c")


def patients(n, seed):
    """Return ``n`` beats of each of three records; what is normal in one is not in the next."""
    parts = []
    for number in range(len(RECORDS)):
        own = groups(n, seed + number, classes=CLASSES)
        signals = own.signals.copy()
        if number % 2:
            signals[:, 0, :2] = signals[:, 0, 1::-1]
        signals[:, 0, 3] = 7.0 if number == 2 else signals[:, 0, 3]  # constant in one record
        parts.append(replace(
            own, signals=signals, record=np.full(n, number, np.int32), records=RECORDS,
            subjects=RECORDS,
        ))  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(RECORDS) * n)
    beats: Beats = join(parts).take(order)
    return beats


@pytest.fixture(scope="module")
def task():
    return Task(patients(40, 1), patients(10, 10), CLASSES)


SPACE = {"clusters": 2, "within": "record"}


def of(name, **options):
    usual = {"share": 0.6} if name == "svm-rbf" else {}
    usual |= {"balance": 0.35} if name in ("iemmc", "itersvr") else {}
    return STRATEGIES[name](**{**usual, **options})


@every_strategy
def test_each_record_is_clustered_on_its_own(name, task):
    result, _ = search(of(name), task, space_of(**SPACE))
    assert result.architecture.genotype["within"] == "record"
    assert list(result.details["records"]) == list(RECORDS)
    json.dumps(dict(result.details), allow_nan=False)
    test = patients(20, 30)
    evaluation = evaluate(result.architecture, task, test)
    assert evaluation.metrics["clustered_accuracy"] == 1 and evaluation.score == 1
    assert evaluation.predictions == test.labels.tolist()
    assert evaluation.metrics["clustered_accuracy_b"] == 1


def test_all_records_together_have_no_two_such_clusters(task):
    # What is normal differs between the records.
    arch = search(of("k-means"), task, space_of(clusters=2))[0].architecture
    assert evaluate(arch, task, patients(20, 30)).metrics["clustered_accuracy"] < 0.8


def test_means_over_records_are_those_of_the_records(task):
    codes = np.concatenate([task.train.labels, task.validation.labels]).astype(np.uint8)
    wrong = np.flatnonzero(task.train.record == 0)[:5]
    codes[wrong] = 1 - codes[wrong]
    arch = to_architecture(codes, 2, "record")
    metrics = evaluate(arch, task, patients(20, 30)).metrics
    assert metrics["clustered_accuracy_a"] == pytest.approx(45 / 50)
    assert metrics["clustered_accuracy_of_records"] == pytest.approx((45 / 50 + 1 + 1) / 3)
    assert metrics["clustered_accuracy"] == pytest.approx(145 / 150)
    assert metrics["accuracy_of_records"] <= 1


def test_a_record_without_clusters_is_named(task):
    arch = search(of("k-means"), task, space_of(**SPACE))[0].architecture
    test = patients(20, 30)
    other = replace(test, records=("a", "b", "c", "new"), subjects=("a", "b", "c", "new"),
                    record=np.full(len(test), 3, np.int32))  # fmt: skip
    with pytest.raises(OptionError, match="Record new has no clustered beats"):
        evaluate(arch, task, other)


def test_a_search_that_was_stopped_continues_with_the_next_record(task):
    class Saved:
        state = None

        def due(self):
            return True

        def save(self, state):
            self.state = json.loads(json.dumps(state))

        def load(self):
            return self.state

    whole, _ = search(of("k-means"), task, space_of(**SPACE))
    saved = Saved()
    saved.state = {"records": [
        {"codes": [0] * 50, "details": {"cluster_sizes": [50]}},
    ]}  # fmt: skip
    ctx = context(task, space_of(**SPACE))
    ctx.checkpoint = saved
    result = of("k-means").search(task, ctx.space, ctx.builder, ctx)
    codes = from_architecture(result.architecture)
    record = np.concatenate([task.train.record, task.validation.record])
    assert not codes[record == 0].any()
    assert len(saved.state["records"]) == 3
    # The separation of record c is so clear that every seed finds it.
    sizes = [found.details["records"]["c"]["cluster_sizes"] for found in (result, whole)]
    assert sizes[0] == sizes[1] == [25, 25]


def test_a_search_that_was_stopped_has_the_seconds_left_and_not_all_of_them(task, monkeypatch):
    class Saved:
        def due(self):
            return False

        def load(self):
            ctx.started -= 8.0  # as the harness restores the seconds of a run
            return {"records": []}

    deadlines = []
    cluster = Iemmc._cluster
    monkeypatch.setattr(
        Iemmc,
        "_cluster",
        lambda self, points, *rest: (
            deadlines.append(points.deadline) or cluster(self, points, *rest)
        ),
    )
    ctx = context(task, space_of(**SPACE), budget=Budget(seconds=10.0))
    ctx.checkpoint = Saved()
    started = monotonic()
    of("iemmc").search(task, ctx.space, ctx.builder, ctx)
    assert len(deadlines) == 3
    assert max(deadlines) < started + 4


def test_a_labeling_of_all_beats_is_not_one_of_single_records():
    arch = to_architecture(np.array([0, 1, 0, 1]), 2)
    assert "within" not in arch.genotype
    with pytest.raises(OptionError, match="on its own"):
        space_of(**SPACE).validate(arch)
    with pytest.raises(OptionError, match="on its own"):
        space_of(clusters=2).validate(to_architecture(np.array([0, 1, 0, 1]), 2, "record"))
    with pytest.raises(OptionError, match="'within': 'record'"):
        from_architecture(Architecture("labelings", {**arch.genotype, "within": "lead"}))


@every_strategy
def test_a_record_with_too_few_beats_is_named(name, task):
    few = np.concatenate(
        [np.flatnonzero(task.train.record < 2), [int(np.argmax(task.train.record))]]
    )
    validation = np.flatnonzero(task.validation.record < 2)
    small = Task(task.train.take(few), task.validation.take(validation), CLASSES)
    with pytest.raises(OptionError, match="1 beats are too few") as error:
        search(of(name), small, space_of(**SPACE))
    assert error.value.where == "record c"
