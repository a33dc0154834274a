"""The interval over test persons: persons are resampled whole, and it covers what it says."""

from __future__ import annotations

import numpy as np
import pytest
from run_records import CLASSES, run_record
from scipy import stats

from nasbench_ecg.metrics import SCORES, scores_of_many
from nasbench_ecg.report.leaderboard.build import build_report, leaderboards
from nasbench_ecg.report.leaderboard.tables import (
    comparison_table,
    footnotes,
    leaderboard_table,
)
from nasbench_ecg.report.leaderboard.verdicts import verdict_table, verdicts
from nasbench_ecg.report.statistics.patient_permutation import (
    min_persons_for_significance,
    paired_person_p_value,
    smallest_person_p_value,
)
from nasbench_ecg.report.statistics.patients import (
    Majority,
    PersonMatrices,
    expanded_interval,
    patient_interval,
    person_matrices,
    person_of,
    persons_in_both_parts,
    resampled_scores,
)
from nasbench_ecg.run.record import RunRecord, SplitRecord
from nasbench_ecg.statistics import paired_p_value

SCORE = "f1_of_macro"
N_PERSONS = 22


RIGHT, WRONG = np.array([18, 4, 8.0]), np.array([2, 4, 3.0])


def shares(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return the beats of each of three classes of ``n`` persons."""
    return rng.multinomial(300, rng.dirichlet((8, 1, 1.5), size=n))


def population(
    rng: np.random.Generator, n: int, beats: np.ndarray | None = None, alike: float = 1.0
) -> np.ndarray:
    """Return the matrices of ``n`` persons: three classes, shares and difficulty of their own.

    Persons vary more in their difficulty where they are less ``alike``.
    """
    beats = shares(rng, n) if beats is None else beats
    right = rng.beta(RIGHT * alike, WRONG * alike, size=(n, 3))
    wrong = rng.dirichlet((2, 2), size=(n, 3))
    chances = np.zeros((n, 3, 3))
    for i in range(3):
        others = [j for j in range(3) if j != i]
        chances[:, i, i] = right[:, i]
        chances[:, i, others] = wrong[:, i] * (1 - right[:, i, None])
    return rng.multinomial(beats, chances)


def run_of(matrices: np.ndarray, seed: int = 0, **fields: object) -> RunRecord:
    """Return a run whose test part has one record for each matrix."""
    k = matrices.shape[-1]
    names = [f"r{i}" for i in range(len(matrices))]
    fields.setdefault("per_record", dict(zip(names, matrices.tolist(), strict=True)))
    split = SplitRecord(
        fingerprint="c" * 64,
        counts={"train": {"N": 9}, "validation": {"N": 9}, "test": {"N": 9}},
        records={"train": ["other"], "validation": ["other"], "test": names},
    )
    return run_record(
        "cnn-9", seed, confusion=None, metrics={SCORE: 0.5}, split="c" * 64,
    ).model_copy(
        update={"split": split, "classes": CLASSES[:k], "macro_classes": CLASSES[:k],
                "confusion": matrices.sum(axis=0).tolist(), **fields}
    )  # fmt: skip


def test_the_interval_covers_the_mean_over_the_population() -> None:
    rng = np.random.default_rng(0)
    everyone = population(rng, 200_000).sum(axis=0)
    true = scores_of_many(everyone, CLASSES[:3])[SCORE]
    run = run_of(population(rng, N_PERSONS))
    hits = []
    for _ in range(300):
        sample = population(rng, N_PERSONS)[None]
        means = resampled_scores(sample, run, SCORE, np.random.default_rng(0)).mean(axis=1)
        low, high = expanded_interval(means, N_PERSONS)
        hits.append(low <= true <= high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_persons_are_resampled_in_all_runs_together() -> None:
    matrices = population(np.random.default_rng(1), 8)
    one = patient_interval([run_of(matrices)], SCORE)
    three = patient_interval([run_of(matrices, seed) for seed in range(3)], SCORE)
    assert one is not None and one == three and one.n_persons == 8
    score = float(scores_of_many(matrices.sum(axis=0), CLASSES[:3])[SCORE])
    assert one.low < score < one.high
    means = resampled_scores(matrices[None], run_of(matrices), SCORE, np.random.default_rng(0))
    assert (one.low, one.high) == expanded_interval(means[:, 0].round(12), 8)


@pytest.mark.parametrize("n", [5, 8, 22])
def test_the_interval_of_a_normal_bootstrap_distribution_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(0.9, 0.02, n)
    quantiles = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    resampled = values.mean() + values.std() / n**0.5 * quantiles
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert expanded_interval(resampled, n) == pytest.approx(expected, abs=1e-5)


def test_runs_of_other_folds_are_resampled_apart() -> None:
    rng = np.random.default_rng(2)
    first, second = population(rng, 6), population(rng, 6)
    names = {f"s{i}": matrix for i, matrix in enumerate(second.tolist())}
    other = run_of(second, per_record=names)
    found = patient_interval([run_of(first), other], SCORE)
    assert found is not None and found.n_persons == 12


def test_records_of_one_person_stay_together() -> None:
    run = run_of(population(np.random.default_rng(3), 6))
    assert run.dataset is not None
    persons = {f"r{i}": f"db/r{i}" for i in range(6)} | {"r1": "db/r0"}
    joined = run.model_copy(update={"dataset": run.dataset.model_copy(update={"persons": persons})})
    assert (person_of(joined, "r1"), person_of(joined, "r2")) == ("db/r0", "db/r2")
    found = patient_interval([joined], SCORE)
    assert found is not None and found.n_persons == 5
    of_persons, of_records = person_matrices([joined]), person_matrices([run])
    assert of_persons is not None and of_records is not None
    first, second, *others = of_records.matrices[0]
    np.testing.assert_array_equal(of_persons.matrices[0], [first + second, *others])


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_person_with_other_records_in_the_training_or_validation_part_is_named(part: str) -> None:
    run = run_of(population(np.random.default_rng(3), 6))
    assert run.dataset is not None and run.split is not None
    records = {"train": ["a"], "validation": ["b"], "test": run.split.records["test"]}
    persons = {records[part][0]: "db/p", "r3": "db/p"}
    changed = {
        "dataset": run.dataset.model_copy(update={"persons": persons}),
        "split": run.split.model_copy(update={"records": records}),
    }
    assert persons_in_both_parts(run.model_copy(update=changed)) == ("db/p",)
    assert persons_in_both_parts(run) == ()


@pytest.mark.parametrize("named", [(False, False), (False, True), (True, False)])
def test_a_board_of_runs_that_name_no_persons_says_who_is_in_both_parts(
    named: tuple[bool, bool],
) -> None:
    # PhysioNet, MIT-BIH: "records 201 and 202 came from the same male subject"
    records = {"train": ["106", "201"], "validation": ["101"], "test": ["100", "202"]}
    runs = []
    for seed, has_persons in enumerate(named):
        run = run_record(seed=seed, protocol="inter-patient", metrics={SCORE: 0.5})
        assert run.dataset is not None and run.split is not None
        names = [name for part in records.values() for name in part]
        persons = {"201": "mitdb/201", "202": "mitdb/201"} if has_persons else {}
        data = {"records": names, "persons": persons}
        changed = {
            "dataset": run.dataset.model_copy(update=data),
            "split": run.split.model_copy(update={"records": records}),
        }
        runs.append(run.model_copy(update=changed))
    (board,) = build_report(runs, "persons").leaderboards
    assert board.shared_persons == ("mitdb/201",)
    assert "1 person of the test part has another record" in " ".join(footnotes(board, ()))


@pytest.mark.parametrize("why", ["no matrices", "seen records", "own score", "four persons"])
def test_there_is_no_interval_without_unseen_persons(why: str) -> None:
    run = run_of(population(np.random.default_rng(4), 4 if why == "four persons" else 8))
    assert run.split is not None
    if why == "no matrices":
        run = run.model_copy(update={"per_record": {}})
    if why == "seen records":
        parts = {**run.split.records, "train": ["r0"]}
        run = run.model_copy(update={"split": run.split.model_copy(update={"records": parts})})
    assert patient_interval([run], "evaluation_score" if why == "own score" else SCORE) is None


def test_a_leaderboard_shows_both_intervals() -> None:
    matrices = population(np.random.default_rng(5), 8)
    records = [
        run_of(matrices, seed).model_copy(update={"metrics": {SCORE: 0.5 + 0.01 * seed}})
        for seed in (0, 1, 2, 4, 7)
    ]
    (board,) = leaderboards(records)
    table = leaderboard_table(board, "markdown")
    cells = dict(zip([c.heading for c in table.columns], table.rows[0].cells, strict=True))
    assert cells["F1"].interval is not None
    assert cells["over patients"].text.count("–") == 1
    assert "resampling the 8 persons of the test part" in " ".join(table.footnotes)


def test_a_leaderboard_names_classes_that_are_mostly_beats_of_one_person() -> None:
    beats = np.full((6, 3), 10)
    beats[:, 1], beats[2, 1] = 3, 45  # 45 of 60
    beats[:, 2], beats[4, 2] = 8, 39  # 39 of 79: less than half
    matrices = population(np.random.default_rng(5), 6, beats)
    (board,) = leaderboards([run_of(matrices, seed) for seed in range(5)])
    assert board.majorities == (Majority(CLASSES[1], "r2", 0.75),)
    notes = " ".join(leaderboard_table(board, "markdown").footnotes)
    assert f"of one person: {CLASSES[1]} (75% r2)." in notes
    half = beats.copy()
    half[4, 2] = 40  # of 80
    of_half = run_of(population(np.random.default_rng(5), 6, half))
    assert Majority(CLASSES[2], "r4", 0.5) in leaderboards([of_half])[0].majorities
    outside = run_of(matrices, macro_classes=[CLASSES[0], CLASSES[2]])
    assert leaderboards([outside])[0].majorities == ()


# Paired tests over persons


def matrices_of(*runs: np.ndarray) -> PersonMatrices:
    persons = tuple(f"p{i}" for i in range(len(runs[0])))
    return PersonMatrices(persons, np.stack(runs), tuple(CLASSES[: runs[0].shape[-1]]), None)


@pytest.mark.parametrize("alike", [1.0, 0.25])
def test_equal_methods_are_told_apart_in_one_of_twenty_samples(alike, monkeypatch) -> None:
    monkeypatch.setattr("nasbench_ecg.report.statistics.patient_permutation.MOST_EXACT_PERSONS", 0)
    monkeypatch.setattr("nasbench_ecg.report.statistics.patient_permutation.EXCHANGES", 499)
    monkeypatch.setattr("nasbench_ecg.report.statistics.patient_permutation.FIRST_EXCHANGES", 499)
    rng = np.random.default_rng(0)
    shown = []
    for _ in range(400):
        beats = shares(rng, N_PERSONS)
        first, second = (population(rng, N_PERSONS, beats, a) for a in (1.0, alike))
        shown.append(paired_person_p_value(matrices_of(first), matrices_of(second), SCORE) <= 0.05)
    assert 0.02 <= np.mean(shown) <= 0.08


def test_with_equal_numbers_of_beats_accuracy_is_tested_as_paired_values() -> None:
    rng = np.random.default_rng(1)
    right = rng.integers(60, 100, size=(2, 2, 10))  # method, run, person
    matrices = np.zeros((2, 2, 10, 2, 2), np.int64)
    matrices[..., 0, 0], matrices[..., 0, 1] = right, 100 - right
    a, b = (matrices_of(*runs) for runs in matrices)
    expected = paired_p_value(*(right.mean(axis=1) / 100))
    assert paired_person_p_value(a, b, "accuracy") == pytest.approx(expected)
    assert paired_person_p_value(a, a, "accuracy") == 1.0


def test_all_exchanges_of_22_persons_are_tried() -> None:
    """Accuracy with equal numbers of beats is a paired test of values, which another code does."""
    rng = np.random.default_rng(4)
    right = rng.integers(60, 100, size=(2, 1, 22))
    right[1] = right[0] + rng.integers(-3, 6, size=22)
    matrices = np.zeros((2, 1, 22, 2, 2), np.int64)
    matrices[..., 0, 0], matrices[..., 0, 1] = right, 110 - right
    expected = paired_p_value(*(right.mean(axis=1) / 110))
    assert 0 < expected < 0.1
    a, b = (matrices_of(*runs) for runs in matrices)
    assert paired_person_p_value(a, b, "accuracy") == pytest.approx(expected)


def all_exchanges_one_by_one(first: PersonMatrices, second: PersonMatrices, score: str) -> float:
    """Return the p-value from the matrices of every exchange, each scored as a whole."""
    n_persons = len(first.persons)
    exchanged = (np.arange(2**n_persons)[:, None] >> np.arange(n_persons) & 1).astype(np.float64)
    means = []
    for one, other in ((first, second), (second, first)):
        base = one.matrices.sum(axis=1)[:, None]  # [n_runs, 1, n_classes, n_classes]
        changes = np.einsum("ep,rpij->reij", exchanged, other.matrices - one.matrices)
        scores = scores_of_many(base + changes, one.classes, one.macro_classes)[score]
        means.append(scores.mean(axis=0))
    sizes = np.abs(means[0] - means[1]).round(12)
    return float((sizes >= sizes[0]).mean())


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rare", [False, True])
def test_no_exchange_that_counts_is_left_out(score, rare, monkeypatch) -> None:
    """Blocks of exchanges whose differences are surely smaller are not scored."""
    module = "nasbench_ecg.report.statistics.patient_permutation"
    monkeypatch.setattr(f"{module}._BLOCK", 128)
    monkeypatch.setattr(f"{module}.FIRST_EXCHANGES", 2**12)
    rng, found = np.random.default_rng(6), []
    for i in range(12):
        beats = shares(rng, 11) // (1, 40 if rare else 1, 1)
        runs = [[population(rng, 11, beats) for _ in range(2)] for _ in range(2)]
        for matrix in runs[i % 2]:  # the better method
            gained = matrix[:, :, 2] * (rng.random((11, 1)) < 0.1 * i)
            gained[:, 2] = 0
            matrix[:, :, 2] -= gained
            matrix[:, range(3), range(3)] += gained
        if rare:  # one run never predicts the class
            runs[0][0][:, :, 0] += runs[0][0][:, :, 1]
            runs[0][0][:, :, 1] = 0
        a, b = (matrices_of(*matrices) for matrices in runs)
        expected = all_exchanges_one_by_one(a, b, score)
        assert paired_person_p_value(a, b, score) == expected
        found.append(expected)
    assert min(found) < 0.1 and max(found) > 0.5


def test_the_smallest_p_value_of_drawn_exchanges_counts_the_observed_one(monkeypatch) -> None:
    monkeypatch.setattr("nasbench_ecg.report.statistics.patient_permutation.FIRST_EXCHANGES", 99)
    monkeypatch.setattr("nasbench_ecg.report.statistics.patient_permutation.EXCHANGES", 999)
    right = np.zeros((2, 30, 2, 2), np.int64)
    right[0, :, 0] = 90, 10
    right[1, :, 0] = 60, 40
    a, b = (matrices_of(one) for one in right)
    assert paired_person_p_value(a, b, "accuracy") == smallest_person_p_value(30) == 1 / 1000


@pytest.mark.parametrize("score", SCORES)
def test_accuracy_counts_the_beats_of_all_classes_and_macro_scores_those_of_some(score) -> None:
    rng = np.random.default_rng(8)
    beats = shares(rng, 8)
    macro = (CLASSES[0], CLASSES[2])
    a, b = (
        PersonMatrices(one.persons, one.matrices, one.classes, macro)
        for one in (matrices_of(population(rng, 8, beats)) for _ in range(2))
    )
    assert paired_person_p_value(a, b, score) == all_exchanges_one_by_one(a, b, score)


def test_verdicts_over_patients_stand_beside_those_over_seeds() -> None:
    rng = np.random.default_rng(2)
    beats = shares(rng, N_PERSONS)
    hard = population(rng, N_PERSONS, beats, 0.5)
    easy = np.zeros_like(hard)
    easy[:, range(3), range(3)] = beats
    components = run_record("cnn-11").components
    changed = {"components": components, "metrics": {SCORE: 1.0}}
    records = [run_of(hard, seed) for seed in range(3)]
    records += [
        run_of(easy, seed).model_copy(update={"run_key": f"{seed:016x}", **changed})
        for seed in range(3)
    ]
    (board,) = leaderboards(records)
    (found,) = verdicts(board)
    assert (found.n, found.decision) == (3, "too few runs")
    assert (found.n_persons, found.over_persons) == (N_PERSONS, "lower")
    table = verdict_table([board])
    assert table is not None
    headings = [column.heading for column in table.columns]
    assert headings[-3:] == ["patients", "p, patients", "over patients"]
    assert table.rows[0].cells[-2].text == "< 0.001"
    assert "1 paired test over seeds and 1 over patients" in table.footnotes[-1]
    (board,) = leaderboards([record for record in records if record.search_seed == 0])
    (found,) = verdicts(board)
    assert (found.n, found.p, found.over_persons) == (1, 1.0, "lower")


def test_too_few_persons_for_any_verdict_are_not_called_alike() -> None:
    # by hand: five persons can be exchanged in 32 ways, so no p-value is below 2 / 32
    rng = np.random.default_rng(3)
    beats = shares(rng, 5)
    hard = population(rng, 5, beats, 0.5)
    easy = np.zeros_like(hard)
    easy[:, range(3), range(3)] = beats
    components = run_record("cnn-11").components
    changed = {"run_key": f"{1:016x}", "components": components, "metrics": {SCORE: 1.0}}
    (board,) = leaderboards([run_of(hard, 0), run_of(easy, 0).model_copy(update=changed)])
    (found,) = verdicts(board)
    assert (found.n_persons, found.p_persons) == (5, pytest.approx(2 / 32))
    assert (found.over_persons, found.needed_persons) == ("too few persons", 6)
    table = verdict_table([board])
    assert table is not None
    assert table.rows[0].cells[-1].text == "cannot be told with fewer than 6 patients"


def test_the_needed_number_of_persons_is_that_of_the_test() -> None:
    assert [min_persons_for_significance(n) for n in (1, 2, 45, 102)] == [6, 7, 11, 12]
    # all 2²² exchanges of 22 persons: the smallest p-value is 2⁻²¹, and 104,857 of them are 0.05
    found = [min_persons_for_significance(n) for n in (103, 250, 104_857, 104_858)]
    assert found == [13, 14, 22, None]


@pytest.mark.parametrize("n_persons, listed", [(5, False), (6, True)])
def test_tests_are_listed_if_seeds_or_patients_can_tell(n_persons: int, listed: bool) -> None:
    """With five patients the smallest p is 2 / 2⁵ = 0.0625, with six 0.03125."""
    rng = np.random.default_rng(2)
    matrices = population(rng, n_persons, shares(rng, n_persons), 0.5)
    first = run_of(matrices, 0)
    components = run_record("cnn-11").components
    second = first.model_copy(update={"run_key": "f" * 16, "components": components})
    (board,) = leaderboards([first, second])
    assert board.comparisons[0].n_persons == n_persons
    assert (comparison_table(board) is not None) == listed


def test_methods_with_other_test_persons_are_not_compared_over_patients() -> None:
    rng = np.random.default_rng(3)
    first, second = population(rng, 6), population(rng, 6)
    assert person_matrices([run_of(first)]) is not None
    names = {f"s{i}": matrix for i, matrix in enumerate(second.tolist())}
    assert person_matrices([run_of(first), run_of(second, per_record=names)]) is None
