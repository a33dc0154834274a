"""Each beat is in one part of a split; each subject too, for the protocols that promise it."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_files import real_database

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.folds import split_off_validation, subject_folds
from nasbench_ecg.data.protocols import (
    InterPatientOptions,
    IntraPatientOptions,
    PatientKFoldOptions,
    protocol_names,
    protocol_options,
    split,
)
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.metrics import scores
from nasbench_ecg_physionet.mitbih import PAPER_RECORDS

CLASSES = ("N", "S", "V", "F", "Q")


def beats_of(n_by_record, *, subjects=None, classes=CLASSES, seed=0):
    """Return beats of the given number in each record; most are of the first class."""
    record = np.repeat(np.arange(len(n_by_record)), list(n_by_record.values()))
    n = len(record)
    shares = np.array([0.8, 0.08, 0.07, 0.03, 0.02])[: len(classes)]
    labels = np.random.default_rng(seed).choice(len(classes), n, p=shares / shares.sum())
    return Beats(
        signals=np.zeros((n, 1, 4), np.float32),
        labels=labels.astype(np.int64),
        record=record.astype(np.int32),
        sample=np.concatenate([100 * np.arange(m, dtype=np.int64) for m in n_by_record.values()]),
        classes=classes,
        records=tuple(n_by_record),
        subjects=tuple(subjects or n_by_record),
        leads=("MLII",),
        fs=360.0,
    )


class FixedRecords:
    def __init__(self, train=(), test=()):
        self.fixed = {"train": list(train), "test": list(test)}

    def partition(self, protocol):
        return self.fixed if protocol.startswith("inter-patient") and self.fixed["train"] else None


NO_FIXED_RECORDS = FixedRecords()
TEN = {f"r{i}": 100 for i in range(10)}


def subjects_in(beats, index):
    return {beats.subjects[r] for r in beats.record[index]}


def one_split(name, **options):
    """Return options of a protocol that choose one split."""
    fold = {"fold": 0} if name == "patient-kfold" else {}
    return protocol_options(name)(**fold, **options)


def test_the_four_protocols_and_their_options():
    assert protocol_names() == (
        "intra-patient",
        "inter-patient",
        "inter-patient-strict",
        "patient-kfold",
    )
    assert protocol_options("intra-patient") is IntraPatientOptions
    assert protocol_options("inter-patient-strict") is InterPatientOptions


def test_error_for_an_unknown_protocol_suggests_the_nearest():
    with pytest.raises(ProtocolError) as error:
        protocol_options("interpatient")
    assert "'inter-patient'" in error.value.fix


@pytest.mark.parametrize(
    ("n", "n_training", "n_train"),
    [
        (1003, 802, 642),  # 1003 · 0.2 = 200.6 and 802 · 0.2 = 160.4, each rounded
        (1004, 803, 642),  # 1004 · 0.2 = 200.8 and 803 · 0.2 = 160.6
    ],
)
def test_intra_patient_cuts_one_seeded_permutation(n, n_training, n_train):
    beats = beats_of({"a": 700, "b": n - 700})
    made = split("intra-patient", IntraPatientOptions(seed=5), beats, NO_FIXED_RECORDS)
    order = np.random.default_rng(5).permutation(n)
    assert made.train.tolist() == sorted(order[:n_train])
    assert made.validation.tolist() == sorted(order[n_train:n_training])
    assert made.test.tolist() == sorted(order[n_training:])


def test_intra_patient_part_sizes_are_those_of_the_paper():
    beats = beats_of({"a": 94_013})
    made = split("intra-patient", IntraPatientOptions(), beats, NO_FIXED_RECORDS)
    assert (len(made.train), len(made.validation), len(made.test)) == (60_168, 15_042, 18_803)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(5, 60), min_size=6, max_size=14),
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["intra-patient", "patient-kfold", "inter-patient"]),
)
def test_every_beat_is_in_exactly_one_part(sizes, seed, name):
    beats = beats_of({f"r{i}": n for i, n in enumerate(sizes)})
    names = list(beats.records)
    dataset = FixedRecords(names[:4], names[4:])
    made = split(name, one_split(name, seed=seed), beats, dataset)
    together = np.concatenate([made.train, made.validation, made.test])
    assert np.sort(together).tolist() == list(range(len(beats)))
    for part in (made.train, made.validation, made.test):
        assert part.dtype == np.int64 and len(part) and (np.diff(part) > 0).all()


@settings(max_examples=25, deadline=None)
@given(
    persons=st.lists(st.integers(0, 7), min_size=12, max_size=20).filter(lambda p: len(set(p)) > 5),
    seed=st.integers(0, 1000),
    fold=st.integers(0, 4),
)
def test_patient_kfold_puts_every_subject_in_one_part(persons, seed, fold):
    names = {f"r{i}": 30 for i in range(len(persons))}
    beats = beats_of(names, subjects=[f"p{p}" for p in persons])
    options = PatientKFoldOptions(seed=seed, fold=fold)
    made = split("patient-kfold", options, beats, NO_FIXED_RECORDS)
    parts = [subjects_in(beats, part) for part in (made.train, made.validation, made.test)]
    assert sum(len(part) for part in parts) == len(set(persons)) == len(set.union(*parts))


def test_the_folds_of_patient_kfold_test_every_beat_once():
    beats = beats_of(TEN)
    tests = [
        split("patient-kfold", PatientKFoldOptions(fold=fold), beats, NO_FIXED_RECORDS).test
        for fold in range(5)
    ]
    assert np.sort(np.concatenate(tests)).tolist() == list(range(len(beats)))


def test_inter_patient_tests_the_records_of_the_partition():
    beats = beats_of(TEN)
    dataset = FixedRecords(["r1", "r3", "r5", "r6", "r8"], ["r0", "r2"])
    made = split("inter-patient", InterPatientOptions(macro_min_beats=1), beats, dataset)
    assert subjects_in(beats, made.test) == {"r0", "r2"}
    assert len(subjects_in(beats, made.validation)) == 1
    training = subjects_in(beats, made.train) | subjects_in(beats, made.validation)
    assert training == {"r1", "r3", "r5", "r6", "r8"}
    assert made.macro_classes == ("N", "S", "V", "F")


def test_validation_has_beats_of_every_class_even_of_classes_of_few_subjects():
    beats = beats_of({f"r{i}": 100 for i in range(12)})
    rare = np.where(beats.record < 6, beats.labels, 0)  # the others have only the first class
    beats = Beats(**{**vars(beats), "labels": rare})
    names = list(beats.records)
    made = split(
        "inter-patient", InterPatientOptions(k=3), beats, FixedRecords(names[:9], names[9:])
    )
    held = np.bincount(beats.labels[made.validation], minlength=5)
    learned = np.bincount(beats.labels[made.train], minlength=5)
    assert (held > 0).all() and (learned > 0).all()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_subject_in_both_parts_is_noted_by_inter_patient_and_rejected_by_strict(part):
    names = {f"r{i}": 60 for i in range(8)}
    dataset = FixedRecords([f"r{i}" for i in range(6)], ["r6", "r7"])
    apart = split("inter-patient", InterPatientOptions(), beats_of(names), dataset)
    shared = min(subjects_in(beats_of(names), getattr(apart, part)))
    beats = beats_of(names, subjects=[*list(names)[:6], shared, "r7"])
    made = split("inter-patient", InterPatientOptions(), beats, dataset)
    assert shared in subjects_in(beats, getattr(made, part))
    assert any(f"Subject {shared} is in both training and test" in note for note in made.notes)
    with pytest.raises(ProtocolError, match=f"subjects {shared} are in both training and test"):
        split("inter-patient-strict", InterPatientOptions(), beats, dataset)


def test_records_of_one_subject_are_never_split_between_train_and_validation():
    names = {f"r{i}": 40 for i in range(12)}
    beats = beats_of(names, subjects=[f"p{i // 2}" for i in range(12)])
    dataset = FixedRecords([f"r{i}" for i in range(10)], ["r10", "r11"])
    for seed in range(5):
        made = split("inter-patient", InterPatientOptions(seed=seed), beats, dataset)
        assert not subjects_in(beats, made.train) & subjects_in(beats, made.validation)


def test_macro_classes_are_those_that_have_beats():
    beats = beats_of(TEN)
    without_fusion = Beats(
        **{**vars(beats), "labels": np.where(beats.labels == 3, 0, beats.labels)}
    )
    options = IntraPatientOptions(macro_min_beats=1)
    made = split("intra-patient", options, without_fusion, NO_FIXED_RECORDS)
    assert made.macro_classes == ("N", "S", "V", "Q")


def counted(beats, index):
    """Return the number of beats of each class, counted one by one."""
    return Counter(beats.classes[beats.labels[i]] for i in index)


@pytest.mark.parametrize("least", [None, 1, 2, 5, 10, 40])
@pytest.mark.parametrize("name", ["intra-patient", "patient-kfold"])
@pytest.mark.parametrize("seed", range(4))
def test_macro_scores_leave_out_classes_with_few_test_beats_and_say_so(name, least, seed):
    beats = beats_of({f"r{i}": 60 for i in range(10)}, seed=seed)
    options = one_split(name, seed=seed, macro_min_beats=least)
    made = split(name, options, beats, NO_FIXED_RECORDS)
    test = counted(beats, made.test)
    expected = tuple(c for c in CLASSES if test[c] >= (least or 10))
    if len(expected) < 2:
        expected = tuple(c for c in CLASSES if test[c])
    assert made.macro_classes == expected
    told = " ".join(n for n in made.notes if n.startswith("Macro scores"))
    few = {c for c in CLASSES if 0 < test[c] < (least or 10)}
    assert {c for c in CLASSES if f"{c} ({test[c]})" in told} == few


def test_one_test_beat_of_a_class_does_not_change_the_macro_scores():
    confusion = np.diag([100, 20, 30, 0, 0])
    with_one_q = confusion.copy()
    with_one_q[4, 0] = 1  # one beat of Q, missed
    macro = ("N", "S", "V")
    assert scores(with_one_q, CLASSES, macro)["macro_se"] == 1.0
    assert scores(with_one_q, CLASSES)["macro_se"] == 0.75
    assert scores(confusion, CLASSES, ())["macro_se"] == 0.0


def distance_from_share(beats, subjects, k):
    """Return Σ |k · share − 1| over the classes, exactly; share is that of some subjects."""
    by_record = beats.counts_by_record()
    distance = Fraction(0)
    for name, total in beats.counts().items():
        own = sum(by_record[subject].get(name, 0) for subject in subjects)
        distance += abs(k * Fraction(own, total) - 1)
    return distance


@pytest.mark.parametrize(("n_subjects", "k"), [(11, 4), (22, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_the_validation_subjects_are_the_best_of_a_thousand_draws(n_subjects, k, seed):
    """The best draw, found with exact fractions and one draw after another."""
    beats = beats_of({f"r{i:02}": 20 + 7 * i for i in range(n_subjects)}, seed=seed)
    rng, best = np.random.default_rng(seed), None
    for _ in range(1000):
        order = rng.permutation(n_subjects)
        drawn = {f"r{i:02}" for i in range(n_subjects) if order[i] < n_subjects // k}
        distance = distance_from_share(beats, drawn, k)
        if best is None or distance < best[0]:
            best = distance, drawn
    everything = np.arange(len(beats))
    train, validation = split_off_validation("p", everything, beats, k, seed)
    assert subjects_in(beats, validation) == best[1]
    assert subjects_in(beats, train) == set(beats.subjects) - best[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_folds_are_the_best_of_a_thousand_assignments(seed):
    """The best assignment, found with exact fractions and one assignment after another."""
    n_subjects, k = 13, 3
    beats = beats_of({f"r{i:02}": 20 + 7 * i for i in range(n_subjects)}, seed=seed)
    rng, best = np.random.default_rng(seed), None
    for _ in range(1000):
        order = rng.permutation(n_subjects)
        folds = [
            {f"r{i:02}" for i in range(n_subjects) if order[i] % k == fold} for fold in range(k)
        ]
        distance = sum(distance_from_share(beats, fold, k) for fold in folds)
        if best is None or distance < best[0]:
            best = distance, folds
    found = subject_folds("p", np.arange(len(beats)), beats, k, seed)
    assert [subjects_in(beats, fold) for fold in found] == best[1]


def with_labels(beats, labels):
    return Beats(**{**vars(beats), "labels": labels.astype(np.int64)})


@pytest.mark.parametrize("name", ["intra-patient", "patient-kfold"])
def test_beats_of_a_single_class_are_refused(name):
    beats = beats_of(TEN)
    with pytest.raises(ProtocolError, match="all 1000 beats are of the class V"):
        split(name, one_split(name), with_labels(beats, 0 * beats.labels + 2), FixedRecords())


def test_a_test_part_of_a_single_class_has_one_macro_class_and_a_note():
    beats = beats_of({f"r{i}": 50 for i in range(5)})
    v_in_one = np.where(beats.record == 4, np.arange(len(beats)) % 2 * 2, 0)
    beats = with_labels(beats, v_in_one)
    found = set()
    for fold in range(5):
        made = split("patient-kfold", PatientKFoldOptions(fold=fold), beats, NO_FIXED_RECORDS)
        held = subjects_in(beats, made.test)
        found |= held
        if held == {"r4"}:
            assert made.macro_classes == ("N", "V")
            assert "The training part has no beats of V." in made.notes
        else:
            assert made.macro_classes == ("N",)
            assert "There are no scores of V: the test part has no such beats." in made.notes
            assert "The test part has beats of N only: there are no macro scores." in made.notes
    assert found == set(beats.records)


def test_fingerprint_is_the_digest_of_records_samples_and_parts():
    beats = beats_of({"b": 3, "a": 3})
    made = split(
        "intra-patient",
        IntraPatientOptions(test_share=0.34, validation_share=0.5),
        beats,
        NO_FIXED_RECORDS,
    )
    lines = [
        f"{beats.records[beats.record[i]]}\t{beats.sample[i]}\t{part}"
        for part in ("train", "validation", "test")
        for i in getattr(made, part)
    ]
    assert made.fingerprint == hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def test_equal_seeds_give_equal_splits_and_another_seed_another():
    beats = beats_of(TEN)
    for name in ("intra-patient", "patient-kfold"):
        first, again, other = (
            split(name, one_split(name, seed=seed), beats, NO_FIXED_RECORDS) for seed in (1, 1, 2)
        )
        assert first.fingerprint == again.fingerprint != other.fingerprint
        np.testing.assert_array_equal(first.test, again.test)


def test_error_for_an_unsupported_protocol_lists_the_supported_ones():
    with pytest.raises(ProtocolError, match="does not support the protocol 'inter-patient'") as e:
        split("inter-patient", InterPatientOptions(), beats_of(TEN), NO_FIXED_RECORDS)
    assert e.value.fix == "Use one of intra-patient, patient-kfold."


@pytest.mark.parametrize(
    ("name", "options", "sizes", "dataset", "message"),
    [
        (
            "intra-patient",
            IntraPatientOptions(),
            {"a": 2},
            NO_FIXED_RECORDS,
            "the validation part is empty",
        ),
        (
            "patient-kfold",
            PatientKFoldOptions(k=11, fold=0),
            TEN,
            NO_FIXED_RECORDS,
            "but there are 10",
        ),
        (
            "patient-kfold",
            PatientKFoldOptions(fold=0),
            {"a": 90},
            NO_FIXED_RECORDS,
            "but there are 1",
        ),
        (
            "patient-kfold",
            PatientKFoldOptions(fold=0),
            {"a": 90, "b": 90},
            NO_FIXED_RECORDS,
            r"but there are 2\. \(protocol.k\) Load more records\.$",  # no k is small enough
        ),
        (
            "inter-patient",
            InterPatientOptions(),
            TEN,
            FixedRecords(["r1"], ["r2"]),
            "at least two subjects",
        ),
        (
            "inter-patient",
            InterPatientOptions(),
            TEN,
            FixedRecords(["r1", "r2"]),
            "the test part is empty",
        ),
        (
            "inter-patient",
            InterPatientOptions(),
            TEN,
            FixedRecords(["r1", "r2"], ["x7"]),
            "records x7 are required but not loaded",
        ),
        (
            "inter-patient",
            InterPatientOptions(),
            TEN,
            FixedRecords(["r1", "r2"], ["r2"]),
            "records r2 are in the training and in the test part",
        ),
    ],
)
def test_impossible_splits_are_rejected(name, options, sizes, dataset, message):
    with pytest.raises(ProtocolError, match=message):
        split(name, options, beats_of(sizes), dataset)


@pytest.mark.slow
def test_windows_of_random_test_beats_overlap_with_training_windows():
    """The numbers of docs/explanation/protocols.md, from the annotations alone."""
    folder = real_database("mitdb")
    marks = []
    for number, name in enumerate(PAPER_RECORDS):
        found = wfdb.rdann(str(folder / name), "atr", summarize_labels=False)
        for sample, symbol in zip(found.sample[3:-2].tolist(), found.symbol[3:-2], strict=True):
            if symbol in "NLRejAaJSVEF/fQ":
                marks.append((sample, 10**7 * number + sample))  # records are far apart
    for before, after, rate, n_test, share, beats_in_window in (
        (99, 200, 360, 18_803, 0.70, 1.1),
        (240, 119, 120, 18_797, 0.999, 5.8),
    ):
        last = 650_000 * rate / 360 - after
        places = [place for at, place in marks if before <= round(at * rate / 360) < last]
        order = np.random.default_rng(0).permutation(places)
        test, training = order[-n_test:], np.sort(order[:-n_test])
        width = (before + 1 + after) * 360 / rate
        shared = [np.searchsorted(training, test + side) for side in (1e-3 - width, width)]
        n = shared[1] - shared[0]
        assert len(test) == round(0.2 * len(places)) == n_test
        assert np.mean(n > 0) == pytest.approx(share, abs=6e-4)
        assert n.mean() == pytest.approx(beats_in_window, abs=0.05)
