"""The interval over test persons: persons are resampled whole, and it covers what it says."""

from __future__ import annotations

import numpy as np
import pytest
from run_records import CLASSES, run_record

from nasbench_ecg.metrics import scores_of_many
from nasbench_ecg.report.aggregate import leaderboards
from nasbench_ecg.report.leaderboard_tables import leaderboard_table
from nasbench_ecg.report.patients import (
    expanded_interval,
    patient_interval,
    person_of,
    resampled_scores,
)
from nasbench_ecg.run.record import RunRecord, SplitRecord

SCORE = "f1_of_macro"
N_PERSONS = 22


def population(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return the matrices of ``n`` persons: three classes, shares and difficulty of their own."""
    beats = rng.multinomial(300, rng.dirichlet((8, 1, 1.5), size=n))  # [n, 3]
    right = rng.beta((18, 4, 8), (2, 4, 3), size=(n, 3))
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
