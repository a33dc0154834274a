"""What reports must not mix: submitted runs, methods, spaces, limits, datasets, recipes."""

from __future__ import annotations

from typing import Any

import pytest
from run_records import ONE_LEAD, TWO_LEAD, run_record, with_f1

from nasbench_ecg.report.leaderboard.build import build_report, leaderboards
from nasbench_ecg.report.leaderboard.comparisons import across_datasets, random_row
from nasbench_ecg.report.leaderboard.grouping import each_once
from nasbench_ecg.report.leaderboard.published import counterpart, published_for
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.leaderboard.verdicts import verdicts
from nasbench_ecg.report.statistics.seed_noise import SeedNoise, StoredNoise
from nasbench_ecg.report.studies.generalization import generalization
from nasbench_ecg.report.studies.generalization_tables import as_data, tables
from nasbench_ecg.run.record import RunRecord

F1 = "f1_of_macro"
CHOSEN = {"dataset": {"records": ["100", "101"]}}
ORIGIN = {"run_key": "0" * 16, "strategy": "darts", "dataset": "qt", "protocol": "inter-patient"}
TRANSFERRED = {"strategy": {"origin": ORIGIN, "architecture": {}}}


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
    made = [
        run_record(
            "given", 0, metrics=with_f1(f1), changed=TRANSFERRED, run_key="1" * 16, submitted_by=by
        )
        for by, f1 in ((None, 0.9), ("Jane", 0.7))
    ]
    report = generalization(made)
    (target,) = report.targets
    assert {m.submitted_by: r.f1 for m, r in target.results.items()} == {"": 0.9, "Jane": 0.7}
    assert any("submitted by Jane" in row.cells[0].text for row in tables(report)[0].rows)


def test_a_run_that_is_stored_twice_counts_once_and_the_same_one_everywhere() -> None:
    kept = run_record("cnn-9", 0, metrics=with_f1(0.9), run_key="0" * 16, suite="a")
    other = kept.model_copy(update={"suite": "b", "metrics": with_f1(0.8)})
    moved = run_record("given", 0, metrics=with_f1(0.5), changed=TRANSFERRED)
    for made in ([kept, other, moved], [moved, other, kept]):
        row = next(row for row in only(made).rows if row.strategy == "cnn-9")
        (target,) = generalization(made).targets
        (result,) = (r for m, r in target.results.items() if m.strategy == "cnn-9")
        assert row.ranking_mean == result.f1 == each_once(made)["0" * 16, None].metrics[F1] == 0.9


def test_generalization_counts_a_seed_once() -> None:
    twice = [run_record("cnn-9", 0, metrics=with_f1(f1), run_key=f"{f1}") for f1 in (0.9, 0.7)]
    report = generalization(
        [*twice, run_record("given", 0, metrics=with_f1(0.5), changed=TRANSFERRED)]
    )
    (result,) = (r for m, r in report.targets[0].results.items() if m.strategy == "cnn-9")
    assert (len(result.run_keys), result.f1) == (1, 0.7)  # as on leaderboards, the first key


# How a search validates


def validated(how: str | None, seed: int, f1: float, strategy: str = "random") -> RunRecord:
    options = {"seed": 0, **({} if how is None else {"validation": how})}
    return run_record(strategy, seed, metrics=with_f1(f1), protocol_options=options)


def test_searches_that_validate_otherwise_are_two_methods() -> None:
    made = [validated(how, s, f1) for how, f1 in ((None, 0.9), ("kfold", 0.8)) for s in range(3)]
    board = only(made)
    assert [(board.label(row), len(row.seeds)) for row in board.rows] == [
        ("random", 3),
        ("random (validation=kfold)", 3),
    ]
    moved = run_record("given", 0, metrics=with_f1(0.5), changed=TRANSFERRED)
    report = generalization([*made, moved])
    results = [r for m, r in report.targets[0].results.items() if not m.found_on]
    assert sorted(round(result.f1, 9) for result in results) == [0.8, 0.9]


def test_what_all_searches_validate_by_is_stated_once() -> None:
    board = only([validated("kfold", 0, 0.9, strategy) for strategy in ("random", "asha")])
    assert [board.label(row) for row in board.rows] == ["asha", "random"]
    assert board.options["protocol.validation"] == "kfold"


def test_noise_is_of_runs_that_validate_alike_and_of_the_same_revision() -> None:
    noise = SeedNoise("train", (0, 1), 30, 0.01, 0.01, 0.5, 0.6, 0.5, 8)

    def measured(revision: int | None, **search: str) -> StoredNoise:
        parts = validated(None, 0, 0.9).components
        of_parts = {
            role: (parts[role].name, parts[role].options, revision)
            for role in ("space", "builder", "evaluator")
        }
        return StoredNoise("quick", "intra-patient", ("b" * 64, "c" * 64), of_parts, noise, search)

    assert measured(1).is_about(validated(None, 0, 0.9))
    assert measured(None).is_about(validated(None, 0, 0.9))
    assert not measured(2).is_about(validated(None, 0, 0.9))
    assert not measured(1).is_about(validated("kfold", 0, 0.9))
    assert measured(1, validation="kfold").is_about(validated("kfold", 0, 0.9))


# Names


def with_options(role: str, seed: int, f1: float) -> RunRecord:
    return run_record("asha", seed, metrics=with_f1(f1), changed={role: {"beats": 1000}})


def test_one_option_of_two_components_has_two_names() -> None:
    made = [
        with_options(role, s, f1)
        for role, f1 in (("strategy", 0.9), ("evaluator", 0.8))
        for s in (0, 1)
    ]
    board = only(made)
    assert [board.label(row) for row in board.rows] == [
        "asha (strategy.beats=1000)",
        "asha (evaluator.beats=1000)",
    ]
    moved = run_record("given", 0, metrics=with_f1(0.5), changed=TRANSFERRED)
    labels = [one["label"] for one in as_data(generalization([*made, moved]))["methods"]]
    assert len(set(labels)) == len(labels) == 3


def test_methods_of_one_name_on_several_datasets_are_told_apart() -> None:
    def darts(i: int, builder: str) -> RunRecord:
        return run_record("darts", 0, metrics=with_f1(0.9), dataset=f"set{i}", builder=builder)

    made = [
        run_record(name, 0, metrics=with_f1(f1), dataset=f"set{i}")
        for i in range(5)
        for name, f1 in (("a", 0.8), ("b", 0.7), ("c", 0.6))
    ]
    made += [darts(i, "one" if i % 2 else "other") for i in range(5)]
    persons = [frozenset({f"p{i}"}) for i in range(5)]
    ((_, found),) = across_datasets(leaderboards(made), persons).items()
    assert found.methods == ("a", "b", "c")
    names = [name for name, _ in found.left_out]
    assert len(set(names)) == 2 and all(name.startswith("darts [conv-cells, o") for name in names)


# Spaces and limits


def test_two_spaces_of_one_builder_have_two_names() -> None:
    board = only([of_space(name, s, f1) for name, f1 in (("a", 0.9), ("b", 0.8)) for s in range(2)])
    assert [board.label(row) for row in board.rows] == ["random (a)", "random (b)"]
    (found,) = verdicts(board)
    assert (found.method, found.against) == ("random (b)", "random (a)")


def test_generalization_keeps_spaces_apart() -> None:
    made = [of_space("a", 0, 0.9), of_space("b", 0, 0.7)]
    report = generalization(
        [*made, run_record("given", 0, metrics=with_f1(0.5), changed=TRANSFERRED)]
    )
    assert {(m.space, m.strategy) for m in report.methods} == {
        ("a", "random"), ("b", "random"), ("conv-cells", "darts"),
    }  # fmt: skip
    names = [row.cells[0].text for row in tables(report)[0].rows]
    assert "random (a)" in names and "random (b)" in names


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
def test_beats_with_further_leads_have_no_published_scores_of_the_beat_alone(name: str) -> None:
    told_more = run_record("cnn-9", changed={"dataset": {name: "local"}})
    same = run_record("cnn-9", changed={"dataset": {name: None}})
    assert published_for(told_more) == [] and counterpart(told_more) is None
    assert published_for(same) and counterpart(same)


def test_methods_that_see_the_intervals_stand_beside_ours_that_do() -> None:
    for dataset, changed in (("mitbih-2lead-rhythm", {}), ("mitbih-2lead", {"rhythm": "local"})):
        told = run_record(
            "cnn-9", dataset=dataset, protocol="inter-patient", changed={"dataset": changed}
        )
        assert "Mondéjar 2019" in [one.label for one in published_for(told)]


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
