"""Scores: the paper's published figures, scikit-learn, and hand-computed EC57 cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from nasbench_ecg.metrics import (
    SCORES,
    class_table,
    confusion_matrices,
    confusion_matrix,
    per_class,
    scores,
    scores_of_many,
)

AAMI = ("N", "S", "V", "F", "Q")

ONE_LEAD = np.array(
    [
        [16007, 28, 8, 1, 0],
        [27, 472, 5, 0, 0],
        [15, 1, 1290, 13, 0],
        [14, 0, 6, 120, 0],
        [4, 0, 1, 0, 791],
    ]
)
TWO_LEAD = np.array(
    [
        [16001, 26, 7, 8, 2],
        [27, 476, 1, 0, 0],
        [9, 0, 1304, 6, 0],
        [7, 0, 11, 121, 1],
        [2, 0, 0, 0, 794],
    ]
)

# Lv et al. 2021, Tables IV and V: class: (+P, Se, Spe) in percent.
TABLE_IV = {
    "N": (99.63, 99.77, 97.83),
    "S": (94.21, 93.65, 99.84),
    "V": (98.47, 97.80, 99.89),
    "F": (89.55, 85.71, 99.92),
    "Q": (100.00, 99.37, 100.00),
}
TABLE_V = {
    "N": (99.72, 99.73, 98.37),
    "S": (94.82, 94.44, 99.86),
    "V": (98.56, 98.86, 99.89),
    "F": (89.63, 86.43, 99.92),
    "Q": (99.62, 99.75, 99.98),
}


def percent(value):
    return round(100 * value, 2)


def beats_of(confusion):
    """Return (truth, predicted) of a confusion matrix."""
    rows, columns = np.indices(confusion.shape)
    return np.repeat(rows, confusion.ravel()), np.repeat(columns, confusion.ravel())


confusions = st.integers(2, 6).flatmap(
    lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 30))
)


# -- the paper ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confusion", "published"),
    [
        # Table VI, "Heart-Darts + shortcut": Acc, Se, +P, F1.
        (ONE_LEAD, (99.35, 95.26, 96.37, 95.81)),
        (TWO_LEAD, (99.43, 95.84, 96.47, 96.16)),
    ],
    ids=["1-lead", "2-lead"],
)
def test_the_papers_confusion_matrices_give_its_published_scores(confusion, published):
    got = scores(confusion, AAMI)
    names = ("accuracy", "macro_se", "macro_pp", "f1_of_macro")
    assert tuple(percent(got[name]) for name in names) == published


@pytest.mark.parametrize(
    ("confusion", "table"), [(ONE_LEAD, TABLE_IV), (TWO_LEAD, TABLE_V)], ids=["1-lead", "2-lead"]
)
def test_the_papers_confusion_matrices_give_its_per_class_table(confusion, table):
    got = per_class(confusion, AAMI)
    assert {
        name: (percent(row.pp), percent(row.se), percent(row.spe)) for name, row in got.items()
    } == table
    # The test part of the paper: 16,044 / 504 / 1,319 / 140 / 796 of 18,803.
    assert [row.support for row in got.values()] == [16044, 504, 1319, 140, 796]


def test_the_papers_f1_is_of_the_macros_not_the_macro_of_f1s():
    got = scores(TWO_LEAD, AAMI)
    assert round(100 * got["f1_of_macro"], 3) == 96.156
    assert round(100 * got["macro_f1"], 3) == 96.151


# -- scikit-learn ------------------------------------------------------------------------------


@given(confusions)
@settings(max_examples=80, deadline=None)
def test_scores_equal_those_of_scikit_learn(confusion):
    truth, predicted = beats_of(confusion)
    assume(len(truth))
    k = len(confusion)
    classes = tuple("abcdef"[:k])
    present = [i for i in range(k) if confusion[i].sum()]
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(k), zero_division=0
    )
    got = scores(confusion, classes)
    assert got["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    assert got["macro_se"] == pytest.approx(recall[present].mean())
    assert got["macro_pp"] == pytest.approx(precision[present].mean())
    assert got["macro_f1"] == pytest.approx(f1[present].mean())
    se, pp = recall[present].mean(), precision[present].mean()
    assert got["f1_of_macro"] == pytest.approx(2 * se * pp / (se + pp) if se + pp else 0)

    table = per_class(confusion, classes)
    one_against_rest = sklearn_metrics.multilabel_confusion_matrix(
        truth, predicted, labels=range(k)
    )
    for i, (name, row) in enumerate(table.items()):
        (tn, fp), (fn, tp) = one_against_rest[i]
        assert name == classes[i]
        assert row.support == support[i] == tp + fn
        assert row.se == (pytest.approx(recall[i]) if tp + fn else None)
        assert row.pp == (pytest.approx(precision[i]) if tp + fp else None)
        assert row.spe == (pytest.approx(tn / (tn + fp)) if tn + fp else None)
        assert row.f1 == (pytest.approx(f1[i]) if tp + fp + fn else None)


@given(confusions)
@settings(max_examples=40, deadline=None)
def test_the_confusion_matrix_counts_what_scikit_learn_counts(confusion):
    truth, predicted = beats_of(confusion)
    assume(len(truth))
    k = len(confusion)
    got = confusion_matrix(truth, predicted, k)
    np.testing.assert_array_equal(
        got, sklearn_metrics.confusion_matrix(truth, predicted, labels=range(k))
    )
    assert got.dtype == np.int64


# -- classes that are missing ------------------------------------------------------------------


def test_the_matrices_of_groups_count_what_scikit_learn_counts_in_each() -> None:
    rng = np.random.default_rng(0)
    group, truth, predicted = rng.integers([[7], [5], [5]], size=(3, 500))
    group[group == 3] = 4  # a group without beats
    found = confusion_matrices(group.astype(np.int32), truth, predicted, n_groups=7, n_classes=5)
    for number in range(7):
        own = group == number
        expected = (
            sklearn_metrics.confusion_matrix(truth[own], predicted[own], labels=range(5))
            if own.any()
            else np.zeros((5, 5))
        )
        np.testing.assert_array_equal(found[number], expected)


def test_a_class_absent_from_the_test_part_stays_out_of_the_macros():
    # Three S, six V; no N at all, though one S is called N.
    confusion = np.array([[0, 0, 0], [1, 2, 0], [0, 0, 6]])
    got = scores(confusion, ("N", "S", "V"))
    assert got["macro_se"] == pytest.approx((2 / 3 + 1) / 2)
    assert got["macro_pp"] == pytest.approx(1.0)
    row = per_class(confusion, ("N", "S", "V"))["N"]
    assert (row.support, row.se, row.pp) == (0, None, 0)
    assert class_table(confusion, ("N", "S", "V"))["N"].keys() == {"support", "pp", "spe", "f1"}


def test_a_class_that_is_never_predicted_has_zero_predictivity():
    confusion = np.array([[8, 0], [2, 0]])
    got = scores(confusion, ("N", "S"))
    assert got["macro_pp"] == pytest.approx((8 / 10 + 0) / 2)
    assert got["macro_se"] == pytest.approx(0.5)
    assert got["ec57_s_se"] == 0 and "ec57_s_pp" not in got  # no counted prediction of S
    row = per_class(confusion, ("N", "S"))["S"]
    assert (row.se, row.pp, row.f1) == (0, None, 0)
    assert "pp" not in class_table(confusion, ("N", "S"))["S"]


def test_macro_scores_average_over_the_chosen_classes_but_accuracy_over_all_beats():
    confusion = np.array([[90, 10, 0], [0, 10, 0], [5, 0, 0]])
    got = scores(confusion, ("N", "S", "Q"), macro_classes=("N", "S"))
    assert got["accuracy"] == pytest.approx(100 / 115)
    assert got["macro_se"] == pytest.approx((0.9 + 1) / 2)
    assert got["macro_pp"] == pytest.approx((90 / 95 + 10 / 20) / 2)


def test_scores_without_any_beats_are_zero():
    got = scores(np.zeros((5, 5), np.int64), AAMI)
    assert set(got.values()) == {0.0}
    assert not any(name.startswith("ec57") for name in got)


# -- EC57 gross scores -------------------------------------------------------------------------


def matrix(**cells):
    """Return a 5 × 5 matrix from cells such as NV=3: three N beats called V."""
    confusion = np.zeros((5, 5), np.int64)
    for (truth, predicted), n in ((tuple(key), n) for key, n in cells.items()):
        confusion[AAMI.index(truth), AAMI.index(predicted)] = n
    return confusion


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        # V: TP 8, FN 2; N→V and S→V harm +P, F→V and Q→V do not.
        ({"VV": 8, "VN": 2, "NV": 1, "SV": 1, "FV": 50, "QV": 40},
         {"ec57_v_se": 0.8, "ec57_v_pp": 8 / 10}),
        # S: TP 6, FN 4; N→S, V→S and F→S harm +P, Q→S does not.
        ({"SS": 6, "SV": 4, "NS": 3, "VS": 2, "FS": 1, "QS": 70, "VV": 2},
         {"ec57_s_se": 0.6, "ec57_s_pp": 6 / 12}),
        # Sensitivity counts every error, also V→F and V→Q.
        ({"VV": 5, "VF": 3, "VQ": 2}, {"ec57_v_se": 0.5, "ec57_v_pp": 1.0}),
    ],
)  # fmt: skip
def test_ec57_scores_ignore_the_errors_that_the_standard_excludes(cells, expected):
    got = scores(matrix(**cells), AAMI)
    assert {name: got[name] for name in expected} == pytest.approx(expected)


def test_ec57_scores_are_absent_for_classes_that_were_not_scored():
    assert "ec57_v_se" not in scores(matrix(NN=5, SS=2, NV=1), AAMI)
    assert "ec57_s_se" in scores(matrix(NN=5, SS=2), AAMI)
    assert not any(name.startswith("ec57") for name in scores(np.eye(2, dtype=int), ("a", "b")))


@given(
    confusions=arrays(np.uint32, (3, 2, 4, 4), elements=st.sampled_from([0, 0, 1, 2, 7, 10**5])),
    macro=st.one_of(st.none(), st.sets(st.sampled_from("NSVF")).map(sorted)),
)
def test_the_scores_of_many_matrices_are_those_of_each(confusions, macro):
    many = scores_of_many(confusions, "NSVF", macro)
    assert tuple(many) == SCORES
    for place in np.ndindex(3, 2):
        one = scores(confusions[place].astype(np.int64), "NSVF", macro)
        for name, values in many.items():
            assert values.shape == (3, 2)
            assert values[place] == pytest.approx(one[name], abs=1e-12)
