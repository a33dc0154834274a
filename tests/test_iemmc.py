"""Clustering in the harness: labelings as architectures, strategies and their evaluation."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import product

import margin_formulas as formulas
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, RunSearchContext, ValidationContext
from nasbench_ecg_immune.baselines import IterSvr, KMeansClustering, SvmRbf
from nasbench_ecg_immune.bisection import Split, bisect
from nasbench_ecg_immune.clustering import clustered_beats
from nasbench_ecg_immune.evaluator import (
    Clustering,
    ClusteringEvaluator,
    KernelClassifier,
    clustered_metrics,
    contingency_table,
    map_by_assignment,
    map_by_majority,
)
from nasbench_ecg_immune.iemmc import Iemmc
from nasbench_ecg_immune.options import (
    ClusteringEvaluatorOptions,
    ClusteringOptions,
    IemmcOptions,
    IterSvrOptions,
    KMeansOptions,
    LabelingsOptions,
    SvmRbfOptions,
)
from nasbench_ecg_immune.space import (
    Labelings,
    canonical,
    check_balance,
    from_architecture,
    min_cluster_size,
    to_architecture,
)

CLASSES = ("N", "S", "V")
QUICK = {"generations": 3, "antibodies": 20, "parents": 5}


def groups(n, seed=0, classes=CLASSES, d=4, distance=8.0):
    """Return ``n`` beats with one well separated group of feature vectors for each class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(classes)
    centers = distance * np.eye(len(classes), d)
    x = centers[labels] + rng.standard_normal((n, d))
    return Beats(
        signals=x[:, None, :].astype(np.float32),
        labels=labels.astype(np.int64),
        record=np.zeros(n, np.int32),
        sample=np.arange(n, dtype=np.int64),
        classes=classes,
        records=("toy",),
        subjects=("toy",),
        leads=("features",),
        fs=1.0,
    )


def task_of(n=120, **options):
    return Task(groups(n, 1, **options), groups(n // 4, 2, **options), CLASSES)


def space_of(**options):
    return Labelings(LabelingsOptions(**{"clusters": 3, **options}))


def context(task, space=None, seed=0, **options):
    return RunSearchContext(
        task=task,
        space=space or space_of(),
        builder=Clustering(ClusteringOptions()),
        evaluator=ClusteringEvaluator(ClusteringEvaluatorOptions()),
        rng=np.random.default_rng(seed),
        evaluation_seed=0,
        device="cpu",
        progress=Silent(),
        **options,
    )


def search(strategy, task, space=None, seed=0, **options):
    ctx = context(task, space, seed, **options)
    result = strategy.search(task, ctx.space, ctx.builder, ctx)
    ctx.space.validate(result.architecture)
    return result, ctx


def agreement(architecture, task):
    """Return the share of beats that the best matching of clusters and classes gets right."""
    codes = from_architecture(architecture)
    labels = np.concatenate([task.train.labels, task.validation.labels])
    table = contingency_table(codes, labels, architecture.genotype["clusters"], task.n_classes)
    classes = map_by_majority(table)
    return float((classes[codes] == labels).mean())


STRATEGIES = {
    "iemmc": lambda **o: Iemmc(
        IemmcOptions(**{**QUICK, "balance": 0.35, "C": 1.0, "width": 3.0, **o})
    ),
    "itersvr": lambda **o: IterSvr(IterSvrOptions(**{"balance": 0.6, "start": "k-means", **o})),
    "k-means": lambda **o: KMeansClustering(KMeansOptions(**o)),
    "svm-rbf": lambda **o: SvmRbf(SvmRbfOptions(**o)),
}
every_strategy = pytest.mark.parametrize("name", STRATEGIES)


# -- the paper's objective -------------------------------------------------------------------------


@pytest.mark.parametrize("C", [1.0, 100.0])
@pytest.mark.parametrize("name", ["bisection", "direct", "itersvr"])
def test_the_stated_objective_is_that_of_problem_6_of_the_paper(name, C):
    """½‖w‖² + C Σ ξ² is C · J with λ = 1 / 2C; J is computed from the labels by another code."""
    classes = CLASSES if name == "direct" else CLASSES[:2]
    task = Task(groups(40, 1, classes), groups(10, 2, classes), classes)
    space = space_of(clusters=len(classes))
    options = {"C": C, "width": 2.0, "balance": 0.9}
    strategy = (
        IterSvr(IterSvrOptions(**options))
        if name == "itersvr"
        else Iemmc(IemmcOptions(**{**QUICK, **options, "method": name}))
    )
    result, _ = search(strategy, task, space)
    codes = from_architecture(result.architecture)
    x = clustered_beats(task)
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / (2 * 2.0**2))
    of_clusters = [
        formulas.objective(kernel, np.where(codes == k, 1.0, -1.0), 1 / (2 * C))
        for k in range(len(classes))
    ]
    stated = result.details["objective"] if name == "direct" else (
        result.details["splits"][0]["objective"]
    )  # fmt: skip
    assert stated == pytest.approx(np.mean(of_clusters) / len(codes), rel=1e-6)


def test_the_gain_of_a_split_is_what_it_explains_beyond_a_constant():
    # by hand: the mean of the labels is 1/2, so a constant leaves 4 · (1 − 1/4) of the square sum
    assert Split(np.array([1, 1, 1, -1], np.int8), 0.5).gain == 3 - 0.5


# -- labelings as architectures --------------------------------------------------------------------


@given(
    st.integers(2, 256).flatmap(
        lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), min_size=1, max_size=70))
    )
)
@settings(deadline=None)
def test_a_labeling_is_read_back_from_its_json(case):
    clusters, codes = case
    arch = Architecture.from_json(to_architecture(np.array(codes), clusters).to_json())
    read = from_architecture(arch)
    assert (read == canonical(np.array(codes))).all()
    assert [codes.index(c) for c in codes] == [read.tolist().index(c) for c in read]


def test_labelings_that_differ_in_numbering_alone_have_one_hash():
    a, b = np.array([0, 0, 1, 2, 1]), np.array([2, 2, 0, 1, 0])
    assert to_architecture(a, 3).hash == to_architecture(b, 3).hash
    assert to_architecture(a, 3).hash != to_architecture(np.array([0, 0, 1, 2, 2]), 3).hash


def test_94013_beats_of_five_clusters_fit_in_48_kilobytes():
    # Three bits a beat, four characters for three bytes.
    codes = np.arange(94_013) % 5
    text = to_architecture(codes, 5).to_json()
    assert len(text) < 94_013 * 3 / 8 * 4 / 3 + 200
    assert (from_architecture(Architecture.from_json(text)) == codes).all()


GOOD = {"n": 4, "clusters": 2, "labels": "UA=="}  # 0101, and four bits to fill


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "UQ=="}, "after the last label"),
        ({"labels": "UFA="}, "do not take"),
        ({"labels": "oA=="}, "first appearance"),
        ({"labels": "?"}, "base64"),
        ({"labels": 7}, "base64"),
        ({"n": 0}, "integer"),
        ({"n": "4"}, "integer"),
        ({"clusters": 1}, "2…256"),
        ({"clusters": 3, "labels": "Hw=="}, "A label is 3"),
        ({"extra": 1}, "'labels'"),
    ],
)
def test_a_malformed_labeling_is_refused(change, message):
    assert from_architecture(Architecture("labelings", GOOD)).tolist() == [0, 1, 0, 1]
    with pytest.raises(OptionError, match=message):
        from_architecture(Architecture("labelings", {**GOOD, **change}))


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(OptionError, match="conv-cells"):
        space_of().validate(Architecture("conv-cells", GOOD))


# -- the space -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5, 7])
@pytest.mark.parametrize("clusters", [2, 3])
@pytest.mark.parametrize("balance", [1.0, 0.75, 0.4])
def test_the_size_is_the_number_of_labelings_that_validate(n, clusters, balance):
    space = space_of(beats=n, clusters=clusters, balance=balance)
    valid = set()
    for codes in product(range(clusters), repeat=n):
        arch = to_architecture(np.array(codes), clusters)
        try:
            space.validate(arch)
        except OptionError:
            continue
        valid.add(arch.hash)
    assert space.size == len(valid)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.8, 0.5]))
@settings(max_examples=30, deadline=None)
def test_every_move_stays_within_the_balance(seed, balance):
    rng = np.random.default_rng(seed)
    space = space_of(beats=12, clusters=3, balance=balance)
    a, b = space.sample(rng), space.sample(rng)
    for arch in (a, space.mutate(a, rng), space.crossover(a, b, rng)):
        space.validate(arch)
    assert space.mutate(a, rng) != a
    around = list(space.neighbours(a))
    assert len({arch.hash for arch in around}) == len(around) and a not in around
    assert space.mutate(a, rng) in around
    for arch in around:
        space.validate(arch)


def test_for_two_clusters_the_balance_is_the_papers_bound():
    # −l·n ≤ 1ᵀy ≤ l·n with n = 10, l = 0.3: from 4 against 6 on.
    assert min_cluster_size(10, 0.3) == 4
    space = space_of(clusters=2, balance=0.3)
    space.validate(to_architecture(np.array([0] * 4 + [1] * 6), 2))
    with pytest.raises(OptionError, match="fewer than 4"):
        space.validate(to_architecture(np.array([0] * 3 + [1] * 7), 2))


def test_a_balance_that_no_labeling_keeps_is_refused():
    with pytest.raises(OptionError, match="balance"):
        check_balance(9, 3, 0.2)
    with pytest.raises(OptionError, match="cannot each hold"):
        space_of(beats=10, balance=0.1).sample(np.random.default_rng(0))
    with pytest.raises(OptionError, match="clusters"):
        check_balance(2, 3, 1.0)


@pytest.mark.parametrize(("n", "clusters"), [(1682, 5), (11, 2), (1000, 3), (7, 5), (100, 4)])
def test_the_balance_that_an_error_recommends_is_the_least_that_is_allowed(n, clusters):
    space = space_of(clusters=clusters, beats=n, balance=0.0)
    for refused in (
        lambda: check_balance(n, clusters, 0.0),
        lambda: space.sample(np.random.default_rng(0)),
    ):
        with pytest.raises(OptionError) as caught:
            refused()
        least = float(caught.value.fix.rstrip(".").rpartition(" ")[2])
        assert check_balance(n, clusters, least) == n // clusters
        with pytest.raises(OptionError):
            check_balance(n, clusters, least - 0.002)


# -- bisection -------------------------------------------------------------------------------------


def test_the_cluster_whose_split_gains_most_is_split():
    asked = []

    def split(index, number):
        asked.append((number, index.tolist()))
        labels = np.where(np.arange(len(index)) < len(index) // 2, -1, 1).astype(np.int8)
        # The second half of the first split has the larger gain.
        return Split(labels, 0.0 if 7 in index else 0.9 * len(index))

    result = bisect(8, 3, lambda n: 1, split)
    assert result.codes.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert asked == [(0, list(range(8))), (1, [0, 1, 2, 3]), (2, [4, 5, 6, 7])]


def test_a_cluster_too_small_for_the_bound_is_not_split():
    halves = lambda index, number: Split(  # noqa: E731
        np.where(np.arange(len(index)) < len(index) // 2, -1, 1).astype(np.int8), 0.0
    )
    assert np.bincount(bisect(10, 3, lambda n: 3, halves).codes).tolist() == [5, 5]


# -- the strategies --------------------------------------------------------------------------------


@every_strategy
def test_separate_groups_are_found(name):
    task = task_of()
    result, _ = search(STRATEGIES[name](), task)
    assert agreement(result.architecture, task) == 1
    json.dumps(dict(result.details), allow_nan=False)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "direct", "balance": 0.6},
        {"method": "direct", "start": "k-means"},
        {"start": "k-means"},
        {"exact_up_to": 50, "rank": 40},
        {"exact_up_to": 50, "rank": 40, "evolve_beats": 60},
        {"precision": "float64", "polish": False},
    ],
)
def test_iemmc_finds_separate_groups_with_every_option(options):
    task = task_of()
    options = {"generations": 12, **options}
    assert agreement(search(STRATEGIES["iemmc"](**options), task)[0].architecture, task) == 1


@pytest.mark.parametrize("name", ["iemmc", "itersvr", "k-means"])
def test_clustering_never_uses_labels(name):
    task = task_of()
    shuffled = np.random.default_rng(0).permutation
    blind = replace(
        task,
        train=replace(task.train, labels=shuffled(task.train.labels)),
        validation=replace(task.validation, labels=shuffled(task.validation.labels)),
    )
    first, second = (search(STRATEGIES[name](), t)[0] for t in (task, blind))
    assert first.architecture == second.architecture


@every_strategy
def test_the_same_seed_gives_the_same_labeling(name):
    task = task_of(distance=2.0)
    first, second = (search(STRATEGIES[name](), task, seed=3)[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["itersvr", "svm-rbf"])
def test_support_vectors_draw_nothing_from_the_global_generator(name):
    before = np.random.get_state()[1].tolist(), np.random.get_state()[2]
    search(STRATEGIES[name](), task_of(distance=2.0))
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2]) == before


def test_an_odd_number_of_evolved_beats_can_be_halved():
    task = Task(groups(96, 1, CLASSES[:2]), groups(24, 2, CLASSES[:2]), CLASSES[:2])
    strategy = STRATEGIES["iemmc"](evolve_beats=31, balance=0.0)
    result, _ = search(strategy, task, space_of(clusters=2))
    assert result.details["cluster_sizes"] == [60, 60]


def test_every_split_and_every_cluster_made_directly_keeps_the_balance():
    task = task_of(distance=0.0)
    result, _ = search(STRATEGIES["iemmc"](balance=0.7), task)
    for split in result.details["splits"]:
        assert split["smaller_side"] >= 0.15 * split["beats"]
    direct, _ = search(STRATEGIES["iemmc"](balance=0.7, method="direct"), task)
    # (1 − 0.7)/2 of 150 beats.
    assert min(direct.details["cluster_sizes"]) >= 23


def test_the_tighter_bound_of_the_space_holds():
    result, _ = search(STRATEGIES["iemmc"](balance=0.9), task_of(), space_of(balance=0.6))
    assert min(result.details["cluster_sizes"]) >= 30


def test_the_objective_against_the_generation_is_logged():
    result, ctx = search(STRATEGIES["iemmc"](), task_of())
    first = [row for row in ctx.trajectory if row["split"] == 0]
    assert [row["generation"] for row in first] == [1, 2, 3]
    objectives = [row["objective"] for row in first]
    assert objectives == sorted(objectives, reverse=True)
    # The polish may lower it further.
    assert result.details["splits"][0]["objective"] <= objectives[-1] + 1e-5
    assert ctx.evaluations == 0


def test_a_budget_of_no_seconds_still_gives_a_labeling():
    task = task_of()
    result, _ = search(STRATEGIES["iemmc"](), task, budget=Budget(seconds=0.0))
    assert all(e["generations"] == 1 for e in result.details["evolutions"])
    result, _ = search(STRATEGIES["itersvr"](), task, budget=Budget(seconds=0.0))
    assert set(result.details["rounds"]) == {1}


@every_strategy
def test_fewer_beats_than_clusters_are_refused(name):
    with pytest.raises(OptionError, match="too few for 200 clusters"):
        search(STRATEGIES[name](), task_of(), space_of(clusters=200))


@every_strategy
def test_fewer_clusters_than_classes_are_refused(name):
    with pytest.raises(OptionError, match="3 classes"):
        search(STRATEGIES[name](), task_of(), space_of(clusters=2))


@pytest.mark.parametrize("name", ["iemmc", "itersvr"])
def test_an_impossible_balance_is_refused(name):
    with pytest.raises(OptionError, match="balance of at least"):
        search(STRATEGIES[name](), task_of(), space_of(balance=0.1))
    with pytest.raises(OptionError, match="balance of at least"):
        # 151 beats have no two halves.
        search(STRATEGIES[name](balance=0.0), Task(groups(121), groups(30), CLASSES))
    with pytest.raises(OptionError, match="balance of at least"):
        search(STRATEGIES["iemmc"](balance=0.1, method="direct"), task_of())


@every_strategy
def test_a_constant_feature_is_refused(name):
    task = task_of()
    parts = []
    for beats in (task.train, task.validation):
        signals = beats.signals.copy()
        signals[:, 0, 2] = 1.5
        parts.append(replace(beats, signals=signals))
    with pytest.raises(OptionError, match="constant") as error:
        search(STRATEGIES[name](), Task(*parts, CLASSES))
    assert "feature 3" in error.value.where and error.value.fix


@every_strategy
def test_a_space_without_labelings_is_refused(name):
    class Other:
        name = "conv-cells"

    task = task_of()
    with pytest.raises(OptionError, match="conv-cells"):
        STRATEGIES[name]().search(task, Other(), None, context(task))


def test_the_supervised_svm_needs_two_classes():
    task = task_of(classes=("N",))
    with pytest.raises(OptionError, match="one class"):
        search(STRATEGIES["svm-rbf"](), task, space_of(clusters=2))


def test_features_are_standardized_over_all_clustered_beats():
    x = clustered_beats(task_of())
    assert x.shape == (150, 4)
    assert x.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-9)
    assert x.std(axis=0) == pytest.approx(np.ones(4))


# -- from clusters to classes ----------------------------------------------------------------------


def test_majority_and_assignment_by_hand():
    table = np.array([[9, 1, 0], [5, 4, 0], [0, 0, 0]])
    # The empty cluster gets the most frequent class.
    assert map_by_majority(table).tolist() == [0, 0, 0]
    # One to one: 9 + 4 + 0 agree.
    assert map_by_assignment(table).tolist() == [0, 1, 2]
    assert contingency_table(np.array([0, 0, 1], np.uint8), np.array([1, 1, 0]), 2, 2).tolist() == [
        [0, 2],
        [1, 0],
    ]


def test_the_scores_of_clustered_beats_by_hand():
    table = np.array([[9, 1, 0], [5, 4, 0], [0, 0, 6]])
    metrics = clustered_metrics(table, task_of())
    assert metrics["clusters"] == 3
    assert metrics["clustered_accuracy"] == pytest.approx((9 + 5 + 6) / 25)
    assert metrics["assigned_accuracy"] == pytest.approx((9 + 4 + 6) / 25)
    assert metrics["clustered_se_n"] == 1 and metrics["clustered_se_s"] == 0
    assert metrics["assigned_se_s"] == pytest.approx(4 / 5)
    assert metrics["assigned_spe_n"] == pytest.approx(10 / 11)
    # Five beats of S are mapped to N, which is wrong for both classes.
    assert [metrics[f"clustered_acc_{name}"] for name in "nsv"] == pytest.approx([0.8, 0.8, 1])


def test_more_clusters_than_classes_are_not_assigned_one_to_one():
    table = np.array([[9, 1, 0], [5, 4, 0], [0, 0, 6], [0, 1, 0]])
    assert not [name for name in clustered_metrics(table, task_of()) if "assigned" in name]


def evaluate(arch, task, test=None, **options):
    evaluator = ClusteringEvaluator(ClusteringEvaluatorOptions())
    builder = Clustering(ClusteringOptions(**options))
    if test is None:
        return evaluator.evaluate(arch, task, builder, ValidationContext(task, "cpu", Silent()))
    return evaluator.evaluate(arch, task, builder, FinalTestContext(task, test, "cpu", Silent()))


def test_new_beats_go_to_the_cluster_of_their_class():
    task, test = task_of(), groups(60, 3)
    arch = search(STRATEGIES["k-means"](), task)[0].architecture
    evaluation = evaluate(arch, task, test, landmarks=30)
    assert evaluation.score == 1 and evaluation.metrics["clustered_accuracy"] == 1
    assert evaluation.predictions == test.labels.tolist()


def test_a_labeling_is_scored_on_the_validation_part_during_a_search():
    task = task_of()
    arch = search(STRATEGIES["k-means"](), task)[0].architecture
    evaluation = evaluate(arch, task)
    assert len(evaluation.predictions) == len(task.validation) and evaluation.score == 1


def test_the_stored_weights_predict_the_same():
    task, test = task_of(), groups(60, 3)
    arch = search(STRATEGIES["k-means"](), task)[0].architecture
    evaluation = evaluate(arch, task, test)
    model = Clustering(ClusteringOptions()).build(arch, n_leads=1, n_samples=4, n_classes=3)
    assert isinstance(model, KernelClassifier)
    model.load_state_dict(evaluation.state)
    logits = model(torch.from_numpy(test.signals))
    assert logits.shape == (60, 3)
    assert logits.argmax(1).tolist() == evaluation.predictions


def test_a_class_without_a_cluster_is_never_predicted():
    task, test = task_of(), groups(60, 3)
    n = len(task.train) + len(task.validation)
    labels = np.concatenate([task.train.labels, task.validation.labels])
    arch = to_architecture(np.minimum(labels, 1), 3)
    evaluation = evaluate(arch, task, test)
    assert len(from_architecture(arch)) == n
    assert len(set(evaluation.predictions)) == 2


def test_a_labeling_of_another_number_of_beats_is_refused():
    with pytest.raises(OptionError, match="have 150"):
        evaluate(to_architecture(np.arange(20) % 3, 3), task_of())


# -- real beats ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paced_and_normal():
    """Waveforms of the normal beats of one record and the paced beats of another."""
    where = os.environ.get("NASBENCH_ECG_DATA")
    if not where:
        pytest.skip("NASBENCH_ECG_DATA does not name a folder of real records")
    wfdb = pytest.importorskip("wfdb")
    signals, labels = [], []
    for record, symbol, label in (("101", "N", 0), ("107", "/", 1)):
        path = f"{where}/mitdb/{record}"
        signal = wfdb.rdrecord(path, channels=[0], sampto=72_000).p_signal[:, 0]
        marks = wfdb.rdann(path, "atr", sampto=71_500)
        beats = [s for s, m in zip(marks.sample, marks.symbol, strict=True) if m == symbol]
        signals += [signal[s - 99 : s + 201] for s in beats if s > 100]
        labels += [label] * (len(signals) - len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    n = len(order)
    return Beats(
        signals=np.array(signals, np.float32)[order, None],
        labels=np.array(labels, np.int64)[order],
        record=np.zeros(n, np.int32),
        sample=np.arange(n, dtype=np.int64),
        classes=("N", "Q"),
        records=("101 and 107",),
        subjects=("two",),
        leads=("MLII",),
        fs=360.0,
    )


def test_paced_and_normal_beats_are_separated_without_labels(paced_and_normal):
    beats = paced_and_normal
    n = len(beats)
    parts = [
        beats.take(np.arange(*r)) for r in ((0, n // 2), (n // 2, 3 * n // 4), (3 * n // 4, n))
    ]
    task = Task(parts[0], parts[1], beats.classes)
    space = space_of(clusters=2)
    strategy = Iemmc(IemmcOptions(**QUICK, balance=0.3, C=1.0))
    arch = search(strategy, task, space)[0].architecture
    assert agreement(arch, task) > 0.99
    assert evaluate(arch, task, parts[2]).metrics["accuracy"] > 0.99
