"""What run records say: leaderboards, their statistics, published figures, the summary of a run."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from run_records import CLASSES, ONE_LEAD, TWO_LEAD, run_record, with_f1

from nasbench_ecg.plugin.specs import DatasetSpec, StrategySpec
from nasbench_ecg.report.columns import sheet
from nasbench_ecg.report.leaderboard import Leaderboard, leaderboards
from nasbench_ecg.report.published import counterpart, figures
from nasbench_ecg.report.render.terminal import leaderboard_table
from nasbench_ecg.report.run_summary import run_summary
from nasbench_ecg.report.statistics import bootstrap_interval, summarize
from nasbench_ecg.report.text import amount, coarse_duration, difference, duration
from nasbench_ecg.run.record import RunRecord

SPECS = {
    "strategy": StrategySpec(name="darts", target="", summary=""),
    "dataset": DatasetSpec(
        name="mitbih-2lead", target="", summary="", protocols=("intra-patient", "inter-patient")
    ),
}
BETWEEN_PATIENTS = {"protocol": "inter-patient", "macro_classes": ["N", "S", "V", "F"]}


def shown(renderable: RenderableType, width: int = 80) -> str:
    """Return what a terminal of ``width`` columns shows."""
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def summary(record: RunRecord, drawing: str | None = None, out: str = "results") -> str:
    return shown(run_summary(record, drawing=drawing, out=Path(out), specs=SPECS))


def only(records: list[RunRecord]) -> Leaderboard:
    (board,) = leaderboards(records)
    return board


# Statistics


def test_a_summary_is_mean_sample_sd_and_extremes() -> None:
    # by hand: deviations −2, 0, 2 → 8 / 2 = 4 → sd 2
    found = summarize([0.94, 0.96, 0.92])
    assert (found.n, found.best, found.worst) == (3, 0.96, 0.92)
    assert found.mean == pytest.approx(0.94)
    assert found.sd == pytest.approx(0.02)


def test_too_few_seeds_leave_sd_and_interval_absent() -> None:
    assert (summarize([0.9]).sd, summarize([0.9]).interval) == (None, None)
    assert summarize([0.9, 0.8]).sd is not None
    assert summarize([0.9, 0.8]).interval is None


@pytest.mark.parametrize("values", [[0.91, 0.95, 0.96], [0.9, 0.93, 0.94, 0.99, 0.97]])
def test_the_interval_is_that_of_all_resamples_there_are(values: list[float]) -> None:
    means = sorted(mean(sample) for sample in product(values, repeat=len(values)))
    low, high = bootstrap_interval(values) or (0.0, 0.0)
    share = len(means) // 40
    assert low == pytest.approx(means[share], abs=0.002)
    assert high == pytest.approx(means[-1 - share], abs=0.002)


def test_three_seeds_give_no_wider_interval_than_their_range() -> None:
    # one resample in 27 is the least value three times: more than 2.5%
    assert bootstrap_interval([0.93, 0.95, 0.91]) == pytest.approx((0.91, 0.95))


def test_equal_values_have_an_interval_without_width() -> None:
    assert bootstrap_interval([0.9] * 3) == pytest.approx((0.9, 0.9))


# Published figures (golden: Lv et al. 2021, Tables VI and VII)


@pytest.mark.parametrize(
    "dataset, label, expected",
    [
        ("mitbih-1lead", "CNN-9", (98.89, 92.11, 95.92, 93.98)),
        ("mitbih-1lead", "Heart-Darts", (99.29, 94.87, 95.76, 95.31)),
        ("mitbih-2lead", "ResNet-31", (99.23, 94.31, 96.51, 95.40)),
        ("mitbih-2lead", "Heart-Darts + shortcut", (99.43, 95.84, 96.47, 96.16)),
        ("qt-1lead", "CNN-11", (99.36, 88.10, 97.05, 92.36)),
        ("incart-2lead", "Heart-Darts", (99.81, 90.05, 89.49, 89.77)),
    ],
)
def test_published_figures_are_those_of_the_paper(
    dataset: str, label: str, expected: tuple[float, ...]
) -> None:
    (figure,) = [f for f in figures(dataset, "intra-patient") if f.label == label]
    names = ("accuracy", "macro_se", "macro_pp", "f1_of_macro")
    assert [100 * figure.scores[name] for name in names] == pytest.approx(expected)


@pytest.mark.parametrize("dataset", ["mitbih-1lead", "mitbih-2lead", "qt-1lead", "incart-2lead"])
def test_every_published_f1_is_the_harmonic_mean_of_the_macros(dataset: str) -> None:
    assert figures(dataset, "intra-patient")
    for figure in figures(dataset, "intra-patient"):
        se, pp = figure.scores["macro_se"], figure.scores["macro_pp"]
        assert figure.scores["f1_of_macro"] == pytest.approx(2 * se * pp / (se + pp), abs=1e-4)


@pytest.mark.parametrize("dataset", ["mitbih-1lead", "mitbih-2lead", "mitbih-2lead-context"])
def test_between_patients_the_same_figures_stand_beside_all_of_mitbih(dataset: str) -> None:
    found = {figure.label: figure.scores for figure in figures(dataset, "inter-patient")}
    assert set(found) == {"Ye 2012", "Zhang 2014", "Mousavi 2019", "Mondéjar 2019"}
    assert found["Zhang 2014"]["ec57_s_pp"] == pytest.approx(0.36)
    assert set(found["Mondéjar 2019"]) == {"accuracy", "macro_se"}


def test_nothing_is_published_for_other_splits_and_made_up_records() -> None:
    assert figures("mitbih-2lead", "inter-patient-strict") == []
    assert figures("mitbih-2lead", "patient-kfold") == []
    assert figures("synthetic-2lead", "intra-patient") == []


@pytest.mark.parametrize(
    "strategy, builder, label",
    [
        ("darts", "stacked-cells-shortcut", "Heart-Darts + shortcut"),
        ("darts", "stacked-cells", "Heart-Darts"),
        ("cnn-9", "anything", "CNN-9"),
        ("random", "stacked-cells", None),
    ],
)
def test_a_run_has_the_counterpart_that_its_strategy_and_builder_stand_for(
    strategy: str, builder: str, label: str | None
) -> None:
    figure = counterpart(run_record(strategy, builder=builder))
    assert (figure.label if figure else None) == label


# Leaderboards


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


def test_an_architecture_from_elsewhere_is_named_by_where_it_was_found() -> None:
    def carried(run_key: str, seed: int) -> RunRecord:
        origin = {"run_key": run_key * 4, "strategy": "darts", "dataset": "mitbih-2lead"}
        given = {"architecture": {"normal": [1, 2, 3]}, "origin": origin}
        return run_record(
            "given", seed, dataset="qt-1lead", metrics=with_f1(0.9), changed={"strategy": given}
        )

    board = only([carried("ab12", 0), carried("ab12", 1), carried("cd34", 0)])
    assert [row.strategy for row in board.rows] == ["darts, found on mitbih-2lead"] * 2
    told = {row.options["strategy.origin"]: len(row.seeds) for row in board.rows}
    assert told == {"ab12ab12": 2, "cd34cd34": 1}
    assert all("strategy.architecture" not in row.options for row in board.rows)


def test_what_one_strategy_found_elsewhere_with_several_seeds_is_one_row() -> None:
    def carried(run_key: str, seed: int, protocol: str = "intra-patient") -> RunRecord:
        origin = {"run_key": run_key * 4, "strategy": "darts", "dataset": "mitbih-2lead"}
        given = {"architecture": [seed], "origin": {**origin, "protocol": protocol}}
        return run_record(
            "given", seed, dataset="qt-1lead", metrics=with_f1(0.9), changed={"strategy": given}
        )

    direct = [run_record("cnn-9", s, dataset="qt-1lead", metrics=with_f1(0.8)) for s in range(3)]
    found = [carried("ab12", 0), carried("cd34", 1), carried("ef56", 2)]
    board = only([*direct, *found])
    assert [(row.strategy, row.rank) for row in board.rows] == [
        ("darts, found on mitbih-2lead", 1),
        ("cnn-9", 2),
    ]
    assert not board.rows[0].options
    elsewhere = only([*direct, *found, carried("aa11", 0, "inter-patient")])
    assert [len(row.seeds) for row in elsewhere.rows] == [3, 3, 1]


def test_a_run_that_was_ended_from_outside_counts_where_its_rivals_stand() -> None:
    killed = run_record(seed=1, status="timeout").model_copy(
        update={"dataset": None, "split": None, "classes": []}
    )
    board = only([run_record(metrics=with_f1(0.95)), killed])
    assert (board.others, board.rows[0].unfinished) == (0, {"timeout": 1})
    other = killed.model_copy(update={"protocol_options": {"seed": 5}})
    first, alone = leaderboards([run_record(metrics=with_f1(0.95)), other])
    assert (first.others, alone.others, alone.split_fingerprint) == (0, 0, "")


def test_a_budget_tells_a_row_from_others() -> None:
    board = only([
        run_record(metrics=with_f1(0.95)),
        run_record(metrics=with_f1(0.94), budget={"evaluations": 5}),
    ])  # fmt: skip
    assert [board.label(row) for row in board.rows] == ["darts", "darts (evaluations=5)"]


def test_random_cells_of_another_space_are_no_measure() -> None:
    narrower = {"space": {"nodes": 3}}
    smaller = {"strategy": {"max_parameters": 10_000}}
    for changed in (narrower, smaller):
        chance = run_record("random", metrics=with_f1(0.90), changed=changed)
        board = only([run_record(metrics=with_f1(0.95)), chance])
        assert board.rows[0].improvement is None


def test_a_reconstruction_is_called_one_wherever_it_stands() -> None:
    board = only([run_record("resnet-31", protocol="inter-patient", metrics=with_f1(0.9))])
    assert "resnet-31 is a reconstruction" in " ".join(sheet(board).notes)
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
    told = [(row.builder, row.options.get("strategy.order"), row.device) for row in board.rows]
    assert told == [
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
    assert row.unfinished == {status: 1}
    assert row.scores["f1_of_macro"].n == 1
    assert f"1 {status}" in shown(leaderboard_table(board, width=80))


def test_a_failure_that_was_mended_by_a_later_run_is_forgotten() -> None:
    runs = [run_record(metrics=with_f1(0.95)), run_record(status="failed", suite="nightly")]
    assert only(runs).rows[0].unfinished == {}


def test_one_run_stored_in_two_suites_counts_once() -> None:
    run = run_record(metrics=with_f1(0.95))
    (row,) = only([run, run.model_copy(update={"suite": "nightly"})]).rows
    assert row.scores["f1_of_macro"].n == 1


def test_equal_means_share_a_rank() -> None:
    board = only([
        run_record("b", metrics=with_f1(0.95)),
        run_record("a", metrics=with_f1(0.95)),
        run_record("c", metrics=with_f1(0.9)),
    ])  # fmt: skip
    assert [(row.strategy, row.rank) for row in board.rows] == [("a", 1), ("b", 1), ("c", 3)]


@pytest.mark.parametrize("differing", ["beats", "split"])
def test_other_beats_or_another_split_get_a_board_of_their_own(differing: str) -> None:
    boards = leaderboards([
        run_record(metrics=with_f1(0.99), **{differing: "f" * 64}),
        *(run_record(seed=s, metrics=with_f1(0.9)) for s in range(2)),
    ])  # fmt: skip
    assert [(len(b.seeds), b.others) for b in boards] == [(2, 1), (1, 1)]
    assert [row.rank for board in boards for row in board.rows] == [1, 1]
    assert "Not to be compared" in shown(leaderboard_table(boards[1], width=80))


def test_boards_of_one_track_name_the_options_that_tell_them_apart() -> None:
    boards = leaderboards([
        run_record(metrics=with_f1(0.9), split=str(fold) * 64, protocol_options={"fold": fold})
        for fold in (1, 2)
    ])  # fmt: skip
    assert [board.options for board in boards] == [{"protocol.fold": 1}, {"protocol.fold": 2}]


def test_a_figure_that_was_not_measured_is_absent() -> None:
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


# Leaderboards in the terminal


def crowded() -> list[RunRecord]:
    """Records whose board has everything that takes room."""
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
def test_tables_fit_their_width_and_lose_nothing(width: int, protocol: str) -> None:
    runs = [run.model_copy(update={"protocol": protocol}) for run in crowded()]
    for board in leaderboards(runs):
        text = shown(leaderboard_table(board, width=width), 400)
        assert shown(leaderboard_table(board, width=width), width).count("…") == 0
        notes = ("Not to", "Percentages", "With ")
        lines = [line.rstrip() for line in text.splitlines() if not line.startswith(notes)]
        assert max(map(len, lines)) <= width


def test_published_figures_stand_below_ours_marked_as_such() -> None:
    text = shown(leaderboard_table(only([run_record(confusion=TWO_LEAD)]), width=80))
    ours, theirs = text.split("published, Lv 2021")
    assert "darts" in ours and "Heart-Darts" not in ours
    labels = [line[4:26].strip() for line in theirs.splitlines()[1:6]]
    assert labels == ["Heart-Darts + shortcut", "Heart-Darts", "ResNet-31", "CNN-11", "CNN-9"]


def test_a_wider_terminal_shows_costs_too() -> None:
    board = only([run_record(confusion=TWO_LEAD)])
    assert "latency" not in shown(leaderboard_table(board, width=80), 80)
    wide = shown(leaderboard_table(board, width=140), 140)
    for part in ("vs publ.", "0.00", "params", "56.0 k", "MACs", "1.48 M", "3.8 min", "2.83 ms"):
        assert part in wide


# The summary of a run


def test_the_summary_has_scores_the_published_ones_and_the_difference() -> None:
    lines = summary(run_record(confusion=ONE_LEAD)).splitlines()
    (f1,) = [line for line in lines if "F1 of macros" in line]
    # Lv et al. 2021, Table VI: 95.81 with one lead, 96.16 with two
    assert f1.split()[4:7] == ["95.81", "96.16", "−0.35"]
    assert any("Heart-Darts + shortcut, Lv 2021, Table VI" in line for line in lines)


def test_a_search_without_counterpart_is_shown_beside_the_best_published_figure() -> None:
    assert "Heart-Darts + shortcut, Lv 2021" in summary(run_record("random", confusion=TWO_LEAD))


def test_without_published_figures_there_is_no_comparison() -> None:
    text = summary(run_record(dataset="synthetic-2lead", confusion=TWO_LEAD))
    assert "published:" not in text and "diff." not in text


def test_the_summary_has_every_class_and_the_confusion_matrix() -> None:
    lines = summary(run_record(confusion=TWO_LEAD)).splitlines()
    (supraventricular,) = [line for line in lines if line.startswith("│ S ")]
    # Lv et al. 2021, Table V: Se 94.44, +P 94.82, Spe 99.86
    cells = supraventricular.strip("│ ").split()
    assert cells[:5] == ["S", "504", "94.44", "94.82", "99.86"]
    assert cells[6:] == ["S", "27", "476", "1", "0", "0"]


def test_an_undefined_score_of_a_class_is_a_dash() -> None:
    never_s = [[10, 0, 0, 0, 0], [5, 0, 0, 0, 0], [0, 0, 5, 0, 0], [0] * 5, [0] * 5]
    lines = summary(run_record(confusion=never_s)).splitlines()
    (row,) = [line for line in lines if line.startswith("│ S ")]
    assert row.strip("│ ").split()[:4] == ["S", "5", "0.00", "–"]


def test_between_patients_the_gross_scores_stand_beside_those_published() -> None:
    lines = summary(run_record(confusion=TWO_LEAD, **BETWEEN_PATIENTS)).splitlines()
    (zhang,) = [line for line in lines if "Zhang 2014" in line]
    assert zhang.strip("│ ").split()[-4:] == ["79.10", "36.00", "85.50", "92.70"]
    (ours,) = [line for line in lines if "this run " in line and "score" not in line]
    # S +P leaves out Q→S (0 beats), V +P leaves out F→V and Q→V: 1304 / (1304 + 7 + 1)
    assert ours.strip("│ ").split()[2:6] == ["94.44", "94.82", "98.86", "99.39"]
    assert any("macro: mean over N, S, V, F" in line for line in lines)


def test_the_cell_and_the_course_of_the_search_are_drawn() -> None:
    course = [{"seconds": float(i), "value": v} for i, v in enumerate([0.2, 0.5, 0.4])]
    found = {"format": 1, "space": "conv-cells", "genotype": {}}
    record = run_record(architecture=found, architecture_hash="ab12", trajectory=course)
    text = summary(record, drawing="in₁ ─ conv-3 ─┬─ n₁")
    for part in ("ab12", "in₁ ─ conv-3 ─┬─ n₁", "▁█▆", "best 0.5"):
        assert part in text


def test_costs_that_were_not_measured_are_absent() -> None:
    text = summary(run_record(confusion=TWO_LEAD, costs={"parameters": 9.0}, seconds={}))
    assert "parameters" in text
    for part in ("MACs", "latency", "memory", "search", "training  "):
        assert part not in text


def test_the_summary_of_a_failure_says_what_happened_and_how_to_go_on() -> None:
    text = summary(run_record(status="failed"))
    for part in (
        "✗ failed",
        "ValueError: it broke",
        "nasbench-ecg run darts mitbih-2lead",
        "--json",
    ):
        assert part in text
    assert "score" not in text


def test_an_interrupted_run_says_how_to_go_on() -> None:
    text = summary(run_record(status="interrupted", error=None))
    assert "interrupted" in text and "nasbench-ecg run darts mitbih-2lead" in text


def test_the_commands_that_follow_leave_out_what_is_usual() -> None:
    text = summary(run_record(confusion=TWO_LEAD))
    assert "nasbench-ecg run darts mitbih-2lead --seeds 0,1,2 " in text
    assert "nasbench-ecg run darts mitbih-2lead --protocol inter-patient\n" in text


def test_the_commands_that_follow_keep_what_a_user_chose() -> None:
    record = run_record(
        confusion=TWO_LEAD, builder="stacked-cells", changed={"strategy": {"order": "second"}},
        **BETWEEN_PATIENTS,
    )  # fmt: skip
    text = " ".join(summary(record, out="some where").replace(" \\\n", "").split())
    kept = "--builder stacked-cells --seeds 0,1,2 --set strategy.order=second --out 'some where'"
    assert f"run darts mitbih-2lead --protocol inter-patient {kept}" in text


def test_scores_of_single_classes_that_an_evaluator_adds_are_counted_and_not_listed() -> None:
    record = run_record(metrics=with_f1(0.9) | {"clustered_accuracy": 0.5, "clusters": 5.0})
    by_class = {f"clustered_se_{name.lower()}": 0.5 for name in record.classes}
    by_class["clustered_ec57_v_se"] = 0.5
    text = summary(record.model_copy(update={"metrics": record.metrics | by_class}))
    assert "clustered_accuracy" in text and "clusters" in text
    assert not any(name in text for name in by_class)
    assert f"{len(by_class)} more, of single classes, are in the record" in text
    assert "of single classes" not in summary(record)


@pytest.mark.parametrize("changes", [{}, BETWEEN_PATIENTS, {"status": "failed"}])
@pytest.mark.parametrize("out", ["results", "/a/folder" * 20])
def test_a_summary_fits_80_columns(changes: dict[str, Any], out: str) -> None:
    record = run_record(confusion=TWO_LEAD, **changes)
    if record.error:
        record.error = f'  File "/{"deep/" * 40}run/execute.py", line 3, in execute\n{record.error}'
    text = summary(record, out=out)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_markup_in_a_record_is_shown_as_it_is() -> None:
    record = run_record("[bold]odd", status="failed", error="ValueError: [red]no[/red]")
    assert "[bold]odd" in summary(record) and "[red]no[/red]" in summary(record)
    assert "[bold]odd" in shown(leaderboard_table(only([record]), width=80))


def test_classes_other_than_the_five_fit_too() -> None:
    matrix = [row[:4] for row in TWO_LEAD[:4]]
    record = run_record(confusion=TWO_LEAD)
    record.classes, record.confusion = CLASSES[:4], matrix
    record.per_class.pop("Q")
    assert "↓ true" in summary(record)


# Numbers


@pytest.mark.parametrize(
    "seconds, fine, coarse",
    [
        (0.42, "0.4 s", "0.4 s"),
        (59.4, "59 s", "59 s"),
        (59.6, "1 min", "60 s"),
        (230, "3 min 50 s", "3.8 min"),
        (57600, "16 h", "16.0 h"),
        (3599.9, "1 h", "60.0 min"),
    ],
)
def test_durations(seconds: float, fine: str, coarse: str) -> None:
    assert (duration(seconds), coarse_duration(seconds)) == (fine, coarse)


@pytest.mark.parametrize(
    "number, text",
    [(950, "950"), (999.6, "1.00 k"), (22820, "22.8 k"), (1475008, "1.48 M"), (2.5e9, "2.50 G")],
)
def test_amounts(number: float, text: str) -> None:
    assert amount(number) == text


def test_differences_are_those_of_the_numbers_shown() -> None:
    assert difference(0.99434, 0.9935) == "+0.08"
    assert difference(0.95, 0.9616) == "−1.16"
    assert difference(0.961599, 0.9616) == "0.00"
