"""What reports must not mix: submitted runs, spaces, limits, parts of datasets, recipes."""

from __future__ import annotations

from typing import Any

import pytest
from run_records import ONE_LEAD, TWO_LEAD, run_record, with_f1

from nasbench_ecg.report.leaderboard.build import build_report, leaderboards
from nasbench_ecg.report.leaderboard.comparisons import across_datasets, random_row
from nasbench_ecg.report.leaderboard.published import counterpart, published_for
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.leaderboard.verdicts import verdicts
from nasbench_ecg.report.studies.generalization import generalization
from nasbench_ecg.report.studies.generalization_tables import tables
from nasbench_ecg.run.record import RunRecord

CHOSEN = {"dataset": {"records": ["100", "101"]}}


def only(records: list[RunRecord]) -> Leaderboard:
    (board,) = leaderboards(records)
    return board


def of_space(name: str, seed: int, f1: float, **fields: Any) -> RunRecord:
    found = run_record(
        "random", seed, metrics=with_f1(f1), run_key=f"{name[:8]:0<15}{seed}", **fields
    )
    space = found.components["space"].model_copy(update={"name": name, "options": {}})
    return found.model_copy(update={"components": {**found.components, "space": space}})


# Submitted runs


def fold(number: int, confusion: list[list[int]], **fields: Any) -> RunRecord:
    return run_record(
        "darts", 0, protocol="patient-kfold", confusion=confusion, split=f"{number}" * 64,
        protocol_options={"k": 2, "fold": number, "seed": 0}, run_key=f"{number:016x}", **fields,
    )  # fmt: skip


def test_submitted_folds_do_not_complete_folds_of_ones_own() -> None:
    board = only([fold(0, ONE_LEAD), fold(1, TWO_LEAD, submitted_by="Jane")])
    assert [(row.rank, row.submitted_by) for row in board.rows] == [(None, "Jane"), (None, None)]
    assert [dict(row.folds.missing) for row in board.rows if row.folds] == [
        {(0, 0): (0,)},
        {(0, 0): (1,)},
    ]


def test_all_folds_of_two_people_are_two_results_although_their_keys_are_equal() -> None:
    own = [fold(number, ONE_LEAD) for number in range(2)]
    board = only([*own, *(fold(n, TWO_LEAD, submitted_by="Jane") for n in range(2))])
    means = {row.submitted_by: row.ranking_mean for row in board.rows}
    assert means[None] == own[0].metrics["f1_of_macro"] != means["Jane"]
    assert [row.rank for row in board.rows] == [1, 2]


def test_a_run_that_somebody_submitted_again_has_its_own_matrix_and_test_over_patients() -> None:
    persons = {str(number): f"p{number}" for number in range(6)}
    good, bad = [[90, 10], [5, 95]], [[60, 40], [30, 70]]

    def run(matrix: list[list[int]], **fields: Any) -> RunRecord:
        found = run_record(
            "darts", 0, metrics=with_f1(0.9 if matrix is good else 0.6), run_key="0" * 16, **fields,
        )  # fmt: skip
        assert found.dataset is not None and found.split is not None
        records = {"train": ["x"], "test": list(persons)}
        return found.model_copy(
            update={
                "per_record": dict.fromkeys(persons, matrix),
                "classes": ["N", "V"],
                "macro_classes": ["N", "V"],
                "dataset": found.dataset.model_copy(update={"persons": persons}),
                "split": found.split.model_copy(update={"records": records}),
            }
        )

    made = [run(good), run(bad, submitted_by="Jane")]
    report = build_report(made, "Twice")
    (board,) = report.leaderboards
    shown = [report.finished_runs(row) for row in board.rows]
    assert [[one.submitted_by for one in runs] for runs in shown] == [[None], ["Jane"]]
    # all of six persons exchanged or none: 2 of 64
    assert [one.p_persons for one in board.comparisons] == [pytest.approx(2 / 64)]


def test_searches_are_compared_with_ones_own_random_networks_first() -> None:
    made = [
        run_record("random", seed, metrics=with_f1(f1), run_key=f"{seed:016x}", submitted_by=by)
        for by, f1 in ((None, 0.8), ("Jane", 0.9))
        for seed in range(2)
    ]
    made += [run_record("darts", seed, metrics=with_f1(0.95)) for seed in range(2)]
    board = only(made)
    darts = board.rows[0]
    against = random_row(darts, board.rows)
    assert against is not None and against.submitted_by is None
    assert {one.against for one in verdicts(board)} == {board.label(against)}


def test_generalization_keeps_submitted_runs_apart() -> None:
    origin = {
        "run_key": "0" * 16,
        "strategy": "darts",
        "dataset": "qt",
        "protocol": "inter-patient",
    }
    given = {"strategy": {"origin": origin, "architecture": {}}}
    made = [
        run_record(
            "given", 0, metrics=with_f1(f1), changed=given, run_key="1" * 16, submitted_by=by
        )
        for by, f1 in ((None, 0.9), ("Jane", 0.7))
    ]
    report = generalization(made)
    (target,) = report.targets
    assert {m.submitted_by: r.f1 for m, r in target.results.items()} == {"": 0.9, "Jane": 0.7}
    assert any("submitted by Jane" in row.cells[0].text for row in tables(report)[0].rows)


# Spaces and limits


def test_two_spaces_of_one_builder_have_two_names() -> None:
    board = only([of_space(name, s, f1) for name, f1 in (("a", 0.9), ("b", 0.8)) for s in range(2)])
    assert [board.label(row) for row in board.rows] == ["random (a)", "random (b)"]
    (found,) = verdicts(board)
    assert (found.method, found.against) == ("random (b)", "random (a)")


def test_generalization_keeps_spaces_apart() -> None:
    made = [of_space("a", 0, 0.9), of_space("b", 0, 0.7)]
    origin = {
        "run_key": "0" * 16,
        "strategy": "darts",
        "dataset": "qt",
        "protocol": "inter-patient",
    }
    given = {"strategy": {"origin": origin, "architecture": {}}}
    report = generalization([*made, run_record("given", 0, metrics=with_f1(0.5), changed=given)])
    assert {(m.space, m.strategy) for m in report.methods} == {
        ("a", "random"), ("b", "random"), ("conv-cells", "darts"),
    }  # fmt: skip
    names = [row.cells[0].text for row in tables(report)[0].rows]
    assert "random, a" in names and "random, b" in names


@pytest.mark.parametrize("limit", ["max_parameters", "max_macs", "max_flash", "max_ram"])
def test_random_networks_without_the_limit_of_a_search_are_no_baseline(limit: str) -> None:
    made = [run_record("random", s, metrics=with_f1(0.8)) for s in range(2)]
    made += [
        run_record("tpe", s, metrics=with_f1(0.9), changed={"strategy": {limit: 1000}})
        for s in range(2)
    ]
    board = only(made)
    assert random_row(board.rows[0], board.rows) is None
    assert random_row(board.rows[1], board.rows) is board.rows[1]


# Parts of datasets, and recipes


def test_a_part_of_a_dataset_has_no_published_scores() -> None:
    whole, part = run_record("cnn-9"), run_record("cnn-9", changed=CHOSEN)
    assert published_for(whole) and counterpart(whole)
    assert published_for(part) == [] and counterpart(part) is None
    board = only([run_record("cnn-9", metrics=with_f1(0.9), changed=CHOSEN)])
    assert board.published == () and board.rows[0].published is None


@pytest.mark.parametrize("name", ["rhythm", "differences"])
def test_beats_with_further_leads_have_no_published_scores(name: str) -> None:
    told_more = run_record("cnn-9", changed={"dataset": {name: "local"}})
    same = run_record("cnn-9", changed={"dataset": {name: None}})
    assert published_for(told_more) == [] and counterpart(told_more) is None
    assert published_for(same) and counterpart(same)


def test_datasets_with_other_recipes_are_not_ranked_together() -> None:
    def boards(epochs_of_last: int) -> list[Leaderboard]:
        return leaderboards(
            run_record(
                strategy, 0, dataset=f"set{i}", metrics=with_f1(0.9 - 0.1 * place),
                changed={"evaluator": {"epochs": 10 if i < 4 else epochs_of_last}},
            )
            for i in range(5)
            for place, strategy in enumerate("abc")
        )  # fmt: skip

    persons = [frozenset({f"p{i}"}) for i in range(5)]
    assert list(across_datasets(boards(10), persons)) == [
        "intra-patient · quick · train · epochs=10"
    ]
    assert across_datasets(boards(40), persons) == {}
