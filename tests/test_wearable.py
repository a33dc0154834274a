"""The board for a wearable: F1 against the memory of the networks in int8."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from run_records import run_record, with_f1
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.report.networks.wearable import tables, with_footprints
from nasbench_ecg.run.record_files import read_records


def nasbench(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    for words in (["cnn-11"], ["cnn-9"], ["random", "--set", "strategy.samples=2"]):
        sets = ["--set", "evaluator.epochs=1", "--profile", "smoke", "--device", "cpu"]
        made = nasbench("run", words[0], "synthetic-2lead", *words[1:], *sets, "--out", out)
        assert made.exit_code == 0, made.output
    return out, read_records(out)[0]


@pytest.mark.slow
def test_older_records_get_the_memory_of_their_networks(runs):
    _, records = runs
    older = []
    for record in records:
        costs = {k: v for k, v in record.costs.items() if not k.endswith("_bytes")}
        older.append(record.model_copy(update={"costs": costs}))
    found = with_footprints(older, load_registry())
    for old, new, record in zip(older, found, records, strict=True):
        assert "flash_bytes" not in old.costs and new.costs == record.costs
    failed = records[0].model_copy(update={"status": "failed"})
    assert with_footprints([failed], load_registry()) == []
    unknown = older[0].model_copy(deep=True)
    unknown.components["builder"].name = "no-such-builder"
    assert with_footprints([unknown], load_registry()) == [unknown]


def test_the_smallest_network_comes_first_and_the_front_rises(runs):
    _, records = runs
    (table,) = tables(records, load_registry())
    headings = [column.heading for column in table.columns]
    rows = [dict(zip(headings, row.cells, strict=True)) for row in table.rows]
    flash = [row["flash"].value for row in rows]
    assert flash == sorted(flash) and len(rows) == 3
    # CNN-11 ends in fewer and smaller fully connected layers than CNN-9
    assert rows[0]["method"].text == "cnn-11"
    assert {row["method"].text: row["searched"].text for row in rows} == {
        "cnn-11": "no", "cnn-9": "no", "random": "yes",
    }  # fmt: skip
    best = [row["F1"].value for row in rows if row["front"].text]
    assert best == sorted(best) and rows[0]["front"].text == "front"
    assert max(best) == max(row["F1"].value for row in rows)


def test_the_board_in_every_format(runs, tmp_path):
    out, records = runs
    outputs = [tmp_path / f"w.{suffix}" for suffix in ("md", "csv", "html", "svg", "json")]
    said = nasbench(
        "leaderboard", "--wearable", "--out", out, *(w for path in outputs for w in ("-o", path))
    )
    assert said.exit_code == 0, said.output
    assert all("cnn-9" in path.read_text() for path in outputs)
    for path in outputs[2:4]:
        assert "Dashed: Pareto front of all methods." in path.read_text()
    drawn = ElementTree.fromstring(outputs[3].read_text())
    assert len(drawn.findall(".//*[@class='front']")) == 1
    data = json.loads(outputs[4].read_text())["runs"]
    assert {one["run"] for one in data} == {record.run_key for record in records}
    assert all(one["costs"]["ram_bytes"] > 0 for one in data)


def test_equal_networks_are_both_on_the_front_and_larger_ones_with_their_score_are_not():
    def run(strategy, flash, f1):
        costs = {"flash_bytes": flash, "ram_bytes": 1.0, "parameters": 1.0, "macs": 1.0}
        return run_record(strategy, metrics=with_f1(f1), costs=costs)

    made = [run("a", 10.0, 0.8), run("b", 10.0, 0.8), run("c", 20.0, 0.8), run("d", 10.0, 0.7)]
    (table,) = tables([*made, run("e", 30.0, 0.9)], load_registry())
    front = {row.cells[0].text for row in table.rows if row.kind == "first"}
    assert front == {"a", "b", "e"}


def test_the_front_of_the_chart_is_that_of_the_table_with_methods_that_lack_a_seed():
    def run(strategy, seed, flash, f1):
        costs = {"flash_bytes": flash, "ram_bytes": 1.0, "parameters": 1.0, "macs": 1.0}
        return run_record(strategy, seed, metrics=with_f1(f1), costs=costs)

    whole = [run("a", seed, 10.0, 0.8) for seed in (0, 1)]
    whole += [run("c", seed, 30.0, 0.9) for seed in (0, 1)]
    (table,) = tables([*whole, run("b", 0, 20.0, 0.85)], load_registry())
    assert [row.kind for row in table.rows] == ["first"] * 3
    drawn = ElementTree.fromstring(table.chart.svg)
    path = drawn.find(".//*[@class='front']").get("d")
    assert path.count("L") == 2 * 3  # up to each of the three, and on to the next


def test_the_tables_of_one_track_name_what_tells_them_apart():
    def run(**fields):
        costs = {"flash_bytes": 9.0, "ram_bytes": 1.0, "parameters": 1.0, "macs": 1.0}
        return run_record("a", metrics=with_f1(0.8), costs=costs, **fields)

    other = run(beats="d" * 64, changed={"dataset": {"normalise": "none"}})
    found = [table.title for table in tables([run(), other], load_registry())]
    track = "For a wearable: mitbih-2lead · intra-patient · quick · train"
    assert found == [f"{track} (normalise={name})" for name in ("per-beat", "none")]
    (alone,) = tables([run()], load_registry())
    assert alone.title == track
    first, second = tables([run(), run(split="e" * 64)], load_registry())
    assert first.title != second.title and "beats" in first.title
