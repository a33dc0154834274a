"""Leaderboards: how run records become ranked rows, and how the terminal shows them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_records import ONE_LEAD, TWO_LEAD, run_record, shown, with_f1

from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.report.leaderboard.grouping import stored_differently
from nasbench_ecg.report.leaderboard.tables import footnotes, seed_text
from nasbench_ecg.report.leaderboard.tables import leaderboard_table as full_table
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.render.terminal import leaderboard_table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.statistics import mean_interval


def only(records: list[RunRecord]) -> Leaderboard:
    (board,) = leaderboards(records)
    return board


def test_the_papers_matrices_rank_as_the_paper_says() -> None:
    board = only([
        run_record("darts", confusion=TWO_LEAD),
        run_record("other", confusion=ONE_LEAD),
    ])  # fmt: skip
    found = [(row.strategy, row.rank, row.scores["f1_of_macro"].mean) for row in board.rows]
    assert found == [
        ("darts", 1, pytest.approx(0.9616, abs=5e-5)),
        ("other", 2, pytest.approx(0.9581, abs=5e-5)),
    ]


def test_records_from_before_an_option_that_is_null_by_default_are_seeds_of_one_row() -> None:
    before = run_record("random", 0, confusion=TWO_LEAD)
    after = run_record(
        "random", 1, confusion=TWO_LEAD, changed={"strategy": {"max_parameters": None}}
    )
    after.components["strategy"].changed.clear()
    (board,) = leaderboards([before, after])
    (row,) = board.rows
    assert len(row.seeds) == 2 and not row.missing


def test_a_transferred_architecture_is_named_by_its_source() -> None:
    def transferred(run_key: str, seed: int) -> RunRecord:
        origin = {"run_key": run_key * 4, "strategy": "darts", "dataset": "mitbih-2lead"}
        given = {"architecture": {"normal": [1, 2, 3]}, "origin": origin}
        return run_record(
            "given", seed, dataset="qt-1lead", metrics=with_f1(0.9), changed={"strategy": given}
        )

    board = only([transferred("ab12", 0), transferred("ab12", 1), transferred("cd34", 0)])
    assert [row.strategy for row in board.rows] == ["darts, found on mitbih-2lead"] * 2
    n_seeds = {row.options["strategy.origin"]: len(row.seeds) for row in board.rows}
    assert n_seeds == {"ab12ab12": 2, "cd34cd34": 1}
    assert all("strategy.architecture" not in row.options for row in board.rows)


def test_architectures_that_one_strategy_found_with_several_seeds_share_a_row() -> None:
    def transferred(run_key: str, seed: int, protocol: str = "intra-patient") -> RunRecord:
        origin = {"run_key": run_key * 4, "strategy": "darts", "dataset": "mitbih-2lead"}
        given = {"architecture": [seed], "origin": {**origin, "protocol": protocol}}
        return run_record(
            "given", seed, dataset="qt-1lead", metrics=with_f1(0.9), changed={"strategy": given}
        )

    direct = [run_record("cnn-9", s, dataset="qt-1lead", metrics=with_f1(0.8)) for s in range(3)]
    found = [transferred("ab12", 0), transferred("cd34", 1), transferred("ef56", 2)]
    board = only([*direct, *found])
    assert [(row.strategy, row.rank) for row in board.rows] == [
        ("darts, found on mitbih-2lead", 1),
        ("cnn-9", 2),
    ]
    assert not board.rows[0].options
    elsewhere = only([*direct, *found, transferred("aa11", 0, "inter-patient")])
    assert [len(row.seeds) for row in elsewhere.rows] == [3, 3, 1]


def test_a_killed_run_counts_in_the_leaderboard_with_its_options() -> None:
    killed = run_record(seed=1, status="timeout").model_copy(
        update={"dataset": None, "split": None, "classes": []}
    )
    board = only([run_record(metrics=with_f1(0.95)), killed])
    assert (board.n_others, board.rows[0].runs_without_result) == (0, {"timeout": 1})
    other = killed.model_copy(update={"protocol_options": {"seed": 5}})
    first, alone = leaderboards([run_record(metrics=with_f1(0.95)), other])
    assert (first.n_others, alone.n_others, alone.split_fingerprint) == (0, 0, "")


def test_a_budget_distinguishes_rows() -> None:
    board = only([
        run_record(metrics=with_f1(0.95)),
        run_record(metrics=with_f1(0.94), budget={"evaluations": 5}),
    ])  # fmt: skip
    assert [board.label(row) for row in board.rows] == ["darts", "darts (evaluations=5)"]


def test_a_recipe_that_all_rows_share_is_stated_once():
    recipe = {"evaluator": {"epochs": 3, "lr": 0.01}}
    other = {"evaluator": {"epochs": 3, "lr": 0.02}}
    runs = [run_record(name, metrics=with_f1(0.9), changed=recipe) for name in ("darts", "random")]
    (board,) = leaderboards(runs)
    assert {board.label(row) for row in board.rows} == {"darts", "random"}
    assert board.options == {"evaluator.epochs": 3, "evaluator.lr": 0.01}
    (board,) = leaderboards([*runs, run_record("cnn-9", metrics=with_f1(0.9), changed=other)])
    assert {board.label(row) for row in board.rows} == {
        "darts (lr=0.01)", "random (lr=0.01)", "cnn-9 (lr=0.02)"
    }  # fmt: skip
    assert board.options == {"evaluator.epochs": 3}


def test_options_of_a_space_that_all_its_rows_share_are_stated_once():
    runs = [
        run_record(name, metrics=with_f1(0.9), changed={"space": {"nodes": 3}})
        for name in ("darts", "random")
    ]
    fixed = run_record("cnn-9", metrics=with_f1(0.9))
    fixed.components["space"] = fixed.components["space"].model_copy(update={"name": "fixed"})
    (board,) = leaderboards([*runs, fixed])
    assert {board.label(row) for row in board.rows} == {"darts", "random", "cnn-9"}
    assert board.options == {"space.nodes": 3}
    (board,) = leaderboards([*runs, run_record("nsga2", metrics=with_f1(0.9))])
    assert {board.label(row) for row in board.rows} == {
        "darts (nodes=3)", "random (nodes=3)", "nsga2"
    }  # fmt: skip
    assert not board.options


def test_rows_name_a_recipe_only_where_it_is_not_that_of_most_rows():
    usual = {"lr": 0.01, "loss": "focal"}
    recipes = [usual, {**usual, "lr": 0.02}, {**usual, "averaging": "ema"}, {**usual, "beta": 0.9}]
    runs = [
        run_record("cnn-9", metrics=with_f1(0.9 - i / 100), changed={"evaluator": recipe})
        for i, recipe in enumerate(recipes)
    ]
    published = run_record("cnn-9", metrics=with_f1(0.8))
    (board,) = leaderboards([*runs, published])
    assert board.usual == {"evaluator.lr": 0.01, "evaluator.loss": "focal"}
    assert [board.label(row) for row in board.rows] == [
        "cnn-9", "cnn-9 (lr=0.02)", "cnn-9 (averaging=ema)", "cnn-9 (beta=0.9)",
        "cnn-9 (loss=default, lr=default)",
    ]  # fmt: skip
    assert "Unless a row names another value: loss=focal, lr=0.01." in footnotes(board, ())
    (board,) = leaderboards(runs[:3])  # three rows are too few to call a value usual
    assert not board.usual


def test_random_architectures_of_another_space_are_not_compared_with() -> None:
    narrower = {"space": {"nodes": 3}}
    smaller = {"strategy": {"max_parameters": 10_000}}
    for changed in (narrower, smaller):
        chance = run_record("random", metrics=with_f1(0.90), changed=changed)
        board = only([run_record(metrics=with_f1(0.95)), chance])
        assert board.rows[0].improvement is None


def test_a_reconstruction_is_marked_in_every_table() -> None:
    board = only([run_record("resnet-31", protocol="inter-patient", metrics=with_f1(0.9))])
    assert "resnet-31 is a reconstruction" in " ".join(full_table(board, "markdown").footnotes)
    assert "resnet-31 is a reconstruction" in shown(leaderboard_table(board, width=80))


def test_tracks_are_never_mixed() -> None:
    boards = leaderboards([
        run_record(metrics=with_f1(0.9)),
        run_record(metrics=with_f1(0.9), profile="paper"),
        run_record(metrics=with_f1(0.9), protocol="inter-patient"),
        run_record(metrics=with_f1(0.9), dataset="qt-1lead"),
    ])  # fmt: skip
    assert [len(board.rows) for board in boards] == [1, 1, 1, 1]
    assert len({board.track for board in boards}) == 4


def test_seeds_of_one_strategy_make_one_row() -> None:
    runs = [run_record(seed=s, metrics=with_f1(f)) for s, f in enumerate([0.95, 0.96, 0.94])]
    (row,) = only(runs).rows
    assert row.seeds == ((0, 0), (1, 1), (2, 2))
    assert row.scores["f1_of_macro"].mean == pytest.approx(0.95)
    assert row.costs["parameters"] == 56005


def test_other_options_builders_and_devices_make_other_rows() -> None:
    board = only([
        run_record(metrics=with_f1(0.95)),
        run_record(metrics=with_f1(0.94), changed={"strategy": {"order": "second"}}),
        run_record(metrics=with_f1(0.93), builder="stacked-cells"),
        run_record(metrics=with_f1(0.92), device="cuda"),
    ])  # fmt: skip
    found = [(row.builder, row.options.get("strategy.order"), row.device) for row in board.rows]
    assert found == [
        ("stacked-cells-shortcut", "first", "cpu"),
        ("stacked-cells-shortcut", "second", "cpu"),
        ("stacked-cells", None, "cpu"),
        ("stacked-cells-shortcut", "first", "cuda"),
    ]


def test_a_row_that_lacks_seeds_is_not_ranked_whatever_its_mean() -> None:
    board = only([
        *(run_record("darts", s, metrics=with_f1(0.95)) for s in range(3)),
        *(run_record("lucky", s, metrics=with_f1(0.99)) for s in range(2)),
    ])  # fmt: skip
    assert [(row.strategy, row.rank, row.missing) for row in board.rows] == [
        ("darts", 1, ()),
        ("lucky", None, ((2, 2),)),
    ]


@pytest.mark.parametrize("status", ["failed", "interrupted", "oom", "timeout"])
def test_runs_without_result_are_counted_and_not_averaged(status: str) -> None:
    board = only([run_record(metrics=with_f1(0.95)), run_record(seed=1, status=status)])
    (row,) = board.rows
    assert row.runs_without_result == {status: 1}
    assert row.scores["f1_of_macro"].n == 1
    assert f"1 {status}" in shown(leaderboard_table(board, width=80))


def test_a_failure_is_forgotten_once_the_same_run_succeeds() -> None:
    runs = [run_record(metrics=with_f1(0.95)), run_record(status="failed", suite="nightly")]
    assert only(runs).rows[0].runs_without_result == {}


def test_one_run_stored_in_two_suites_counts_once() -> None:
    run = run_record(metrics=with_f1(0.95))
    (row,) = only([run, run.model_copy(update={"suite": "nightly"})]).rows
    assert row.scores["f1_of_macro"].n == 1


def test_a_run_that_is_stored_with_two_results_is_named() -> None:
    run = run_record(confusion=TWO_LEAD, suite="alpha")
    same = run.model_copy(update={"suite": "beta"})
    other = run.model_copy(update={"suite": "gamma", "confusion": ONE_LEAD})
    failed = run.model_copy(update={"suite": "aborted", "status": "failed", "confusion": None})
    submitted = other.model_copy(update={"submitted_by": "Jane"})
    assert stored_differently([failed, same, run, submitted]) == []
    assert stored_differently([other, failed, same, run]) == [
        f"The run {run.run_key} has another result in gamma than in alpha, which counts."
    ]
    (row,) = only([other, same, run]).rows
    assert row.scores["f1_of_macro"].mean == run.metrics["f1_of_macro"]


def test_equal_means_share_a_rank() -> None:
    board = only([
        run_record("b", metrics=with_f1(0.95)),
        run_record("a", metrics=with_f1(0.95)),
        run_record("c", metrics=with_f1(0.9)),
    ])  # fmt: skip
    assert [(row.strategy, row.rank) for row in board.rows] == [("a", 1), ("b", 1), ("c", 3)]


@pytest.mark.parametrize("differing", ["beats", "split"])
def test_other_beats_or_another_split_get_their_own_leaderboard(differing: str) -> None:
    boards = leaderboards([
        run_record(metrics=with_f1(0.99), **{differing: "f" * 64}),
        *(run_record(seed=s, metrics=with_f1(0.9)) for s in range(2)),
    ])  # fmt: skip
    assert [(len(b.seeds), b.n_others) for b in boards] == [(2, 1), (1, 1)]
    assert [row.rank for board in boards for row in board.rows] == [1, 1]
    assert "Do not compare with" in shown(leaderboard_table(boards[1], width=80))


def test_leaderboards_of_one_track_name_the_options_that_distinguish_them() -> None:
    boards = leaderboards([
        run_record(metrics=with_f1(0.9), split=str(seed) * 64, protocol_options={"seed": seed})
        for seed in (1, 2)
    ])  # fmt: skip
    assert [board.options for board in boards] == [{"protocol.seed": 1}, {"protocol.seed": 2}]


def test_what_was_not_measured_is_absent() -> None:
    board = only([run_record(metrics=with_f1(0.95), costs={}, seconds={})])
    assert (board.rows[0].costs, board.rows[0].seconds) == ({}, {})
    assert "params" not in shown(leaderboard_table(board, width=200), 200)


def test_scores_of_another_evaluator_are_shown_and_not_ranked() -> None:
    board = only([run_record(metrics={"naswot": 812.5})])
    assert board.rows[0].rank is None
    assert "naswot" in shown(leaderboard_table(board, width=80))
    assert "812.5" in shown(leaderboard_table(board, width=80))


RUNS = st.builds(
    lambda strategy, seed, f1, status, beats, device: run_record(
        strategy, seed, metrics=with_f1(f1), status=status, beats=beats * 64, device=device
    ),
    st.sampled_from(["darts", "random", "cnn-9"]),
    st.integers(0, 3),
    st.sampled_from([0.91, 0.92, 0.93, 0.94, 0.95]),
    st.sampled_from(["ok", "ok", "ok", "failed", "interrupted"]),
    st.sampled_from("bbbd"),
    st.sampled_from(["cpu", "cpu", "cuda"]),
)


SHUFFLED = st.lists(RUNS, min_size=1, max_size=10).flatmap(
    lambda runs: st.tuples(st.just(runs), st.permutations(runs))
)


@settings(max_examples=40, deadline=None)
@given(SHUFFLED)
def test_the_order_of_records_does_not_matter(
    orders: tuple[list[RunRecord], list[RunRecord]],
) -> None:
    boards, again = map(leaderboards, orders)
    assert boards == again
    for a, b in zip(boards, again, strict=True):
        assert shown(leaderboard_table(a, width=80)) == shown(leaderboard_table(b, width=80))


@settings(max_examples=40, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=12))
def test_ranks_follow_the_means_and_no_result_is_lost(runs: list[RunRecord]) -> None:
    boards = leaderboards(runs)
    for board in boards:
        ranked = [row for row in board.rows if row.rank]
        means = [row.scores["f1_of_macro"].mean for row in ranked]
        assert means == sorted(means, reverse=True)
        assert all(row.seeds == board.seeds for row in ranked)
    results = {
        (run.strategy, run.device, run.dataset and run.dataset.fingerprint, run.search_seed)
        for run in runs
        if run.status == "ok"
    }
    assert sum(len(row.seeds) for board in boards for row in board.rows) == len(results)


# In the terminal


def crowded() -> list[RunRecord]:
    """Return records whose leaderboard has everything that needs width."""
    runs = [run_record("darts", s, confusion=TWO_LEAD) for s in range(3)]
    runs += [
        run_record("a-search-of-a-long-name", s, metrics=with_f1(f), builder="a-builder-of-it")
        for s, f in enumerate([0.2, 0.99999, 0.5])
    ]
    changed = {"strategy": {"order": "second"}}
    runs += [run_record("darts", s, confusion=ONE_LEAD, changed=changed) for s in range(2)]
    return [*runs, run_record("random", status="failed"), run_record(beats="f" * 64)]


@pytest.mark.parametrize("width", [80, 100, 130])
@pytest.mark.parametrize("protocol", ["intra-patient", "inter-patient"])
def test_tables_fit_their_width_without_cut_text(width: int, protocol: str) -> None:
    runs = [run.model_copy(update={"protocol": protocol}) for run in crowded()]
    for board in leaderboards(runs):
        text = shown(leaderboard_table(board, width=width), 400)
        assert "…" not in shown(leaderboard_table(board, width=width), width)
        table = text.split("\n\n")[1]  # title, table, footnotes
        assert max(len(line.rstrip()) for line in table.splitlines()) <= width


def test_published_scores_stand_below_ours_and_are_marked() -> None:
    text = shown(leaderboard_table(only([run_record(confusion=TWO_LEAD)]), width=80))
    ours, theirs = text.split("published, Lv 2021")
    assert "darts" in ours and "Heart-Darts" not in ours
    labels = [line[3:25].strip() for line in theirs.splitlines()[1:6]]
    assert labels == ["Heart-Darts + shortcut", "Heart-Darts", "ResNet-31", "CNN-11", "CNN-9"]


def test_80_columns_show_costs_and_a_wider_terminal_more() -> None:
    board = only([run_record(confusion=TWO_LEAD)])
    text = shown(leaderboard_table(board, width=80), 80)
    heading = next(line for line in text.splitlines() if "method" in line)
    assert {"F1", "Acc", "params", "search"} <= set(heading.split())
    assert "latency" not in heading and "Choose with --columns:" in text
    wide = shown(leaderboard_table(board, width=140), 140)
    for part in ("vs publ.", "0.00", "56.0 k", "MACs", "1.48 M", "3.8 min", "latency", "2.83 ms"):
        assert part in wide


def test_columns_can_be_chosen() -> None:
    board = only([run_record(confusion=TWO_LEAD)])
    text = shown(leaderboard_table(board, width=80, columns=["latency", "F1"]), 80)
    heading = next(line for line in text.splitlines() if "method" in line)
    assert heading.split() == ["#", "method", "F1", "latency"]
    assert "--columns" not in text


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    record = run_record("[bold]odd", status="failed")
    assert "[bold]odd" in shown(leaderboard_table(only([record]), width=80))


# Scores of other evaluators


def with_score(strategy: str, seed: int, score: float, **metrics: float) -> RunRecord:
    return run_record(strategy, seed, metrics=metrics, score=score)


def test_a_board_ranks_by_the_evaluators_own_score_and_shows_its_metrics() -> None:
    records = [
        with_score(strategy, seed, score + seed, **with_f1(f1), parameters_off=-score)
        for strategy, score, f1 in (("small", -3.0, 0.5), ("large", -40.0, 0.9))
        for seed in (0, 1)
    ]
    board = only(records)
    assert [(row.strategy, row.rank) for row in board.rows] == [("small", 1), ("large", 2)]
    assert board.rows[0].scores["evaluation_score"].mean == -2.5
    table = full_table(board, "markdown")
    headings = [column.heading for column in table.columns]
    assert headings[3:6] == ["score", "parameters_off", "Acc"] and "vs random" not in headings
    assert [cell.text for cell in table.rows[0].cells[3:5]] == ["-2.5", "3"]
    assert "Ranked by the evaluator's own score; larger is better." in table.footnotes
    assert not any("higher F1" in note for note in table.footnotes)


def test_a_board_says_which_options_may_change_what_an_own_score_measures() -> None:
    records = [
        run_record(metrics=with_f1(0.5), score=1.0, changed={"evaluator": {"metric": metric}})
        for metric in ("bytes", "seconds")
    ]
    notes = full_table(only(records), "markdown").footnotes
    assert any("Rows that differ in metric may have scores of different" in n for n in notes)


def test_a_board_without_any_f1_is_ranked_by_score() -> None:
    board = only([with_score("a", 0, 1.0, energy=7.0), with_score("b", 0, 2.0, energy=9.0)])
    assert [(row.strategy, row.rank) for row in board.rows] == [("b", 1), ("a", 2)]
    assert "energy" in shown(leaderboard_table(board, width=120), width=120)


@pytest.mark.parametrize("metrics", [{"energy": 7.0}, with_f1(0.9)])
def test_an_own_score_has_its_interval_and_the_limits_of_few_seeds(metrics) -> None:
    records = [
        with_score(strategy, seed, score + seed % 3, **metrics)
        for strategy, score in (("a", 10.0), ("b", 20.0))
        for seed in range(5)
    ]
    few = full_table(only([r for r in records if r.search_seed < 3]), "markdown")
    assert not few.rows[0].cells[3].interval
    assert "3 seeds cannot distinguish any two of these methods" in " ".join(few.footnotes)
    many = full_table(only(records), "markdown")
    low, high = mean_interval([20.0, 21.0, 22.0, 20.0, 21.0]) or (0, 0)
    assert many.rows[0].cells[3].interval == (f"{low:.4g}", f"{high:.4g}")
    assert "over seeds 0, 1, 2, 3, 4: mean ± standard deviation [95%" in many.footnotes[0]


def test_an_own_metric_that_some_seeds_lack_says_how_many_have_it() -> None:
    records = [
        with_score("a", 0, 1.0, energy=4.0),
        with_score("a", 1, 1.0),
        with_score("b", 0, 2.0, energy=5.0),
        with_score("b", 1, 2.0, energy=6.0),
    ]
    table = full_table(only(records), "markdown")
    at = [column.heading for column in table.columns].index("energy")
    cells = {row.cells[1].text: row.cells[at] for row in table.rows}
    assert cells["a"].line == "4 (1 of 2 seeds have it)"
    assert cells["b"].line == "5.5 ± 0.71"


def test_a_score_that_is_the_f1_changes_nothing() -> None:
    old = [run_record("a", 0, metrics=with_f1(0.9)), run_record("b", 0, metrics=with_f1(0.8))]
    new = [record.model_copy(update={"score": record.metrics["f1_of_macro"]}) for record in old]
    assert leaderboards(old) == leaderboards(new)


def test_runs_whose_macro_scores_are_over_other_classes_are_on_other_boards() -> None:
    first = run_record("a", 0, metrics=with_f1(0.9))
    second = run_record("b", 0, metrics=with_f1(0.8), macro_classes=["N", "V"])
    boards = leaderboards([first, second])
    assert {board.macro_classes for board in boards} == {("N", "S", "V", "F", "Q"), ("N", "V")}
    notes = [" ".join(full_table(board, "markdown").footnotes) for board in boards]
    assert any("means over N, V." in note for note in notes)


def test_a_leaderboard_says_how_much_is_the_seed() -> None:
    # by hand: variances 1 and 4 square points with 2 and 1 degrees of freedom pool to 2
    scores = {"darts": (0.90, 0.91, 0.92), "random": (0.80, 0.80 + 0.02 * 2**0.5)}
    records = [
        run_record(strategy, seed, metrics=with_f1(f1))
        for strategy, values in scores.items()
        for seed, f1 in enumerate(values)
    ]
    (board,) = leaderboards(records)
    assert "1.41 points around the mean of its method" in seed_text(board)
    assert "pooled over 2 methods" in seed_text(board)
    assert "two means of 3 runs a standard deviation of 1.15 points" in seed_text(board)
    (board,) = leaderboards(records[:3])
    assert seed_text(board) == ""


def test_a_mean_of_some_seeds_only_says_so_and_is_not_compared_with_others() -> None:
    # +P of S exists only where a network predicts S: of "shy" with one seed of three
    def matrix(n: int, s: int) -> list[list[int]]:
        rest = [[0] * 5 for _ in range(5)]
        rest[0], rest[1] = [90 - n, n, 0, 0, 0], [10 - s, s, 0, 0, 0]
        return rest

    by_strategy = {"shy": [(0, 1), (0, 0), (0, 0)], "bold": [(10, 4)] * 3}
    records = [
        run_record(strategy, seed, confusion=matrix(*called_s), protocol="inter-patient")
        for strategy, runs in by_strategy.items()
        for seed, called_s in enumerate(runs)
    ]
    table = full_table(only(records), "markdown")
    at = [column.heading for column in table.columns].index("S +P")
    cells = {row.cells[1].text: row.cells[at] for row in table.rows}
    assert cells["shy"].line == "100.00 (1 of 3 seeds have it)"
    assert cells["bold"].line == "28.57 ± 0.00"
    assert (cells["shy"].value, cells["bold"].value) == (None, pytest.approx(4 / 14))
