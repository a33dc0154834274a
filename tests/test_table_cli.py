"""``nasbench-ecg table``: a table of five members, from build to searches."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
import torch
from toy_tables import SPACE, toy_table
from typer.testing import CliRunner

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.report.studies.noise_card import noise_rows
from nasbench_ecg.tables.files import load_table, save_table, table_folder
from nasbench_ecg.tables.noise import noise_card
from nasbench_ecg.tables.table import Table

BUILD = [
    *("table", "build", "synthetic-2lead", "--beats", "256", "--epochs", "2", "--seeds", "3"),
    *("--set", 'space.operations=["skip","conv-3"]', "--set", "space.widths=[2]"),
    *("--set", "space.cells=[1]", "--set", "dataset.patients=12", "--set", "dataset.minutes=1"),
]
TRACK = ("synthetic-2lead", "intra-patient")
MEMBERS = 5  # skip added to itself, to conv-3, two conv-3 added, two in a row with skip or conv-3


def invoke(*arguments):
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "120"})


def printed(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def built(tmp_path_factory, beats_cache):
    """The folder of all tables, with a small one that was built by the command."""
    tables = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        none = invoke(*BUILD, "--tables", tables, "--hours", "0")
        assert none.exit_code == 0, none.output
        assert "0 of 15 trainings, 0% of the members" in " ".join(none.stderr.split())
        done = invoke(*BUILD, "--tables", tables)
        assert done.exit_code == 0, done.output
        assert "15 of 15 trainings, 100% of the members" in " ".join(done.stderr.split())
        again = invoke(*BUILD, "--tables", tables, "--shard", "1/2")
        assert again.exit_code == 0, again.output
        one = ["1" if word == "2" else word for word in BUILD]  # one epoch
        other = invoke(*one, "--tables", tables)
        assert other.exit_code == 2
        assert "another recipe" in other.stderr
    return tables


def test_a_training_states_the_instructions_of_its_processor(built):
    """Processors of one name differ in them, and then in rounding: they are other machines."""
    folder = table_folder(built, "tiny-cells", "synthetic-2lead", "intra-patient")
    (machine,) = load_table(folder).card.machines
    assert f", {torch.backends.cpu.get_cpu_capability()}, " in machine


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A table with made-up results, of which an eighth is not trained."""
    tables = tmp_path_factory.mktemp("toy")
    table = toy_table(untrained=range(0, SPACE.size, 8))
    save_table(table, table_folder(tables, "tiny-cells", "synthetic-2lead", "intra-patient"))
    return tables


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "architecture.json"
    path.write_text(SPACE.members[3].to_json())
    return path


def test_a_built_table_holds_what_was_asked_for(built):
    folder = table_folder(built, "tiny-cells", "synthetic-2lead", "intra-patient")
    table = load_table(folder)
    assert table.card.members == MEMBERS
    assert (table.card.recipe.beats, table.card.recipe.epochs) == (256, 2)
    assert table.card.dataset.options["patients"] == 12
    assert table.card.n_samples == 300
    assert table.trained.all()
    sums = table.arrays["confusion"].sum(axis=(-2, -1))
    assert (sums == sums[0, 0]).all() and (sums > 0).all()
    assert dict(table.costs()).keys() == {"parameters", "macs", "flash_bytes", "ram_bytes"}


def test_tables_are_listed(built, tmp_path):
    *shipped, row = json.loads(printed("table", "list", "--tables", built, "--json"))
    assert {one["source"] for one in shipped} == {"nasbench_ecg_tables"}
    assert row == {
        "space": "tiny-cells", "dataset": "synthetic-2lead", "protocol": "intra-patient",
        "members": MEMBERS, "complete": 1.0, "trainings": 15, "source": str(built),
    }  # fmt: skip
    assert "100%" in printed("table", "list", "--tables", built)
    assert "mitbih" in printed("table", "list", "--tables", tmp_path)


def test_a_damaged_table_does_not_hide_the_others(toy, tmp_path):
    tables = shutil.copytree(toy, tmp_path / "tables")
    damaged = tables / "tiny-cells" / "damaged"
    damaged.mkdir()
    (damaged / "card.json").write_text("{")
    listed = invoke("table", "list", "--tables", tables, "--json")
    assert listed.exit_code == 0
    assert json.loads(listed.stdout)[-1]["source"] == str(tables)
    assert "Skipped" in listed.stderr and "damaged" in listed.stderr


def test_a_noise_card_is_shown(built, toy):
    shown = json.loads(printed("table", "info", "synthetic-2lead", "--tables", built, "--json"))
    assert shown["noise"]["members"] == shown["card"]["members"] == MEMBERS
    text = printed("table", "info", "synthetic-2lead", "--tables", toy)
    assert "86% trained" in text
    card = noise_card(load_table(table_folder(toy, "tiny-cells", *TRACK)))
    shown = dict(re.findall(r"^ *(\S.*?) {2,}(\S.*?) *$", text, flags=re.M))
    assert shown["published"] == "no"
    # scores in percent, deviations and regrets in points, correlations with two decimals
    best, median = (100 * card["test"][name] for name in ("best", "median"))
    assert shown["test F1, best and median, %"] == f"{best:.2f} and {median:.2f}"
    assert shown["sd of a seed, points"] == f"{100 * card['test']['sd_of_a_seed']:.2f}"
    regret = 100 * card["regret_of_validation_winner"]
    assert shown["regret of the validation winner, points"] == f"{regret:.2f}"
    of_three = card["intraclass_correlation"]["all"]
    low, high = of_three["three_seeds_interval"]
    text = f"{of_three['three_seeds']:.2f} [{low:.2f}, {high:.2f}]"
    assert shown["intraclass correlation, all, three seeds"] == text
    assert "τ of trainable parameters with test" in shown
    assert not [name for name in shown if "_" in name]


def test_a_noise_card_without_results_has_two_rows():
    card = noise_card(toy_table(untrained=range(SPACE.size)))
    assert noise_rows(card) == [
        ("members with three seeds", f"0 of {SPACE.size}"), ("published", "no"),
    ]  # fmt: skip
    of_equal = toy_table()
    of_equal.arrays["confusion"][:] = 1
    shown = dict(noise_rows(noise_card(of_equal)))
    assert shown["τ of validation with test"] == "–"
    assert shown["members with more seeds"] == "–"


def test_a_noise_card_names_the_seeds_that_few_members_have():
    table = toy_table(seeds=6)
    table.trained[5:, 3:] = False
    table.arrays["proxy_jacob_cov"] = np.arange(SPACE.size, dtype=np.float64)
    card = noise_card(table)
    shown = dict(noise_rows(card))
    assert shown["members with more seeds"] == "5 with 6 seeds"
    tau = f"{card['with_more_seeds']['kendall_tau']:.2f}".replace("-", "−")
    assert shown["… τ of the first three seeds with the others"] == tau
    assert "τ of jacob-cov with test" in shown


def test_a_query_prints_the_result_of_any_form_of_a_member(toy, file):
    table = load_table(table_folder(toy, "tiny-cells", "synthetic-2lead", "intra-patient"))
    asked = ("table", "query", file, "--dataset", "synthetic-2lead", "--tables", toy)
    arch = SPACE.members[3]
    assert json.loads(printed(*asked, "--json"))["value"] == table.query(arch).value
    assert json.loads(printed(*asked, "--test", "--json"))["value"] == table.test(arch).value
    one = json.loads(printed(*asked, "--seed", 1, "--epoch", 1, "--metric", "nll", "--json"))
    assert one["value"] == table.query(arch, seed=1, epoch=1, metric="nll").value
    value = 100 * table.query(arch).value
    assert f"validation F1: {value:.2f}%, mean of 3 seeds" in printed(*asked)
    assert "validation negative log-likelihood" in printed(*asked, "--metric", "nll")
    assert "mean of 3 seeds" in printed(*asked)
    assert "seed 2" in printed(*asked, "--seed", 2)
    for form in SPACE.forms[tuple(SPACE.forms)[3]]:
        *edges, width, cells = form
        genotype = {"edges": edges, "width": width, "cells": cells}
        file.write_text(Architecture("tiny-cells", genotype).to_json())
        assert json.loads(printed(*asked, "--json"))["value"] == table.query(arch).value


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--epoch", 9], "no epoch 9"),
        (["--seed", 7], "not trained with seed 7"),
        (["--metric", "f2"], "no metric 'f2'"),
        (["--test", "--epoch", 1], "--test does not go with --epoch"),
        (["--protocol", "inter-patient"], "no table of tiny-cells on synthetic-2lead, inter"),
        (["--protocol", "inter-patient"], "Name a protocol that has one: intra-patient."),
        (["--space", "conv-cells"], "no table of conv-cells"),
    ],
)
def test_a_query_that_has_no_answer_is_refused(toy, file, more, reason):
    asked = ("table", "query", file, "--dataset", "synthetic-2lead", "--tables", toy)
    assert reason in refused(*asked, *more)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "cannot be read"),
        (SPACE.members[0].to_json().encode(), "not trained yet"),
        (Architecture("conv-cells", {}).to_json().encode(), "'conv-cells'"),
        (
            Architecture("tiny-cells", {"edges": ["conv-27"] * 3, "width": 2, "cells": 1})
            .to_json()
            .encode(),
            "'conv-27' is not a choice",
        ),
    ],
)
def test_a_file_that_is_no_member_is_refused(toy, file, content, reason):
    file.write_bytes(content)
    asked = ("table", "query", file, "--dataset", "synthetic-2lead", "--tables", toy)
    assert reason in refused(*asked)


def test_a_missing_file_and_an_unknown_dataset_are_refused(toy, tmp_path):
    asked = ("table", "query", tmp_path / "none.json", "--tables", toy)
    assert "There is no such file" in refused(*asked, "--dataset", "synthetic-2lead")
    assert "synthetic-2lead" in refused(*asked, "--dataset", "synthetic-2led")


def test_searches_are_compared(toy):
    asked = ("table", "simulate", "synthetic-2lead", "regularized-evolution", "--tables", toy)
    asked = (*asked, "--evaluations", "5,10", "--repetitions", 6, "--objectives", "parameters")
    found = json.loads(printed(*asked, "--json"))
    outcomes = found["outcomes"]
    assert [tuple(one["budget"]) for one in outcomes] == [("evaluations",)] * 2 + [("seconds",)] * 2
    assert [one["budget"]["evaluations"] for one in outcomes[:2]] == [5, 10]
    for one in outcomes:
        random, other = one["scores"]
        assert (random["label"], other["label"]) == ("random", "regularized-evolution")
        assert random["p"] is None and other["p"] is not None
        assert set(one["hypervolumes"]) == {"parameters"}
    assert found == json.loads(printed(*asked, "--json", "--workers", 2))
    assert found != json.loads(printed(*asked, "--json", "--seed", 1))
    text = " ".join(printed(*asked).split())
    assert "members are trained" in text
    more = json.loads(printed(*asked, "--json", "--set", "strategy.population=3"))
    assert more["outcomes"][1]["scores"][0]["mean"] == outcomes[1]["scores"][0]["mean"]
    assert more["outcomes"][1]["scores"][1] != outcomes[1]["scores"][1]


def test_a_report_is_written_in_every_format(toy, tmp_path):
    asked = ("table", "simulate", "synthetic-2lead", "local-search:3", "--tables", toy)
    files = [tmp_path / f"a.{suffix}" for suffix in ("md", "csv", "tex", "html", "json")]
    words = [word for file in files for word in ("-o", file)]
    printed(
        *asked, "--evaluations", 4, "--repetitions", 5, "--objectives", "parameters",
        "--seconds", "3.5", *words,
    )  # fmt: skip
    assert all("local-search" in file.read_text() for file in files)
    scores = json.loads(files[-1].read_text())["outcomes"][0]["scores"]
    assert [one["repetitions"] for one in scores] == [5, 3]
    last = json.loads(files[-1].read_text())["outcomes"][-1]
    assert last["budget"] == {"seconds": 3.5}


def test_a_report_says_how_each_search_was_run(toy, tmp_path):
    asked = ("table", "simulate", "synthetic-2lead", "regularized-evolution@population=3", "asha")
    asked = (*asked, "--tables", toy, "--evaluations", 4, "--repetitions", 2, "--seed", 7)
    files = [tmp_path / "a.md", tmp_path / "a.json"]
    words = [word for file in files for word in ("-o", file)]
    printed(*asked, "--objectives", "none", "--set", "strategy.sample=2", *words)
    written, data = files[0].read_text(), json.loads(files[1].read_text())
    card = load_table(table_folder(toy, "tiny-cells", "synthetic-2lead", "intra-patient")).card
    assert data["seed"] == 7 and data["table"] == card.sha256
    random, evolution, asha = data["settings"]
    assert (random["strategy"], random["set_by_budget"]) == ("random", "samples")
    assert evolution["label"] == "regularized-evolution (population=3)"
    assert evolution["set_by_budget"] == "models" and "models" not in evolution["options"]
    told = {name: evolution["options"][name] for name in ("population", "sample", "mutation")}
    assert told == {"population": 3, "sample": 2, "mutation": "kind"}
    assert asha["set_by_budget"] is None and asha["options"]["eta"] == 2
    section = written.split("## Settings of the searches")[1]
    assert "population=3, sample=2" in section and "null" not in section.split("options:")[0]
    assert data["scores"] == "one-seed" and "Scores that searches see: one-seed." in section
    assert f"Seed of all repetitions: 7. SHA-256 of the table: {card.sha256}" in section


def test_a_report_that_cannot_be_written_is_refused_before_the_simulation(toy, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "pyarrow" else found(n))
    monkeypatch.setattr("nasbench_ecg.tables.searchers.simulate", None)
    asked = ("table", "simulate", "synthetic-2lead", "local-search:3", "--tables", toy)
    assert "pyarrow" in refused(*asked, "-o", "steps.parquet")


def test_a_search_has_its_own_options_repetitions_and_largest_budget(toy):
    asked = ("table", "simulate", "synthetic-2lead", "--tables", toy, "--objectives", "parameters")
    own = ("local-search:3:6", "regularized-evolution@population=3:4", "--repetitions", 5)
    found = json.loads(printed(*asked, *own, "--evaluations", "4,8", "--json"))["outcomes"]
    tuned = "regularized-evolution (population=3)"
    counts = [{one["label"]: one["repetitions"] for one in out["scores"]} for out in found]
    small, large = {"random": 5, "local-search": 3, tuned: 4}, {"random": 5, tuned: 4}
    assert counts == [small, large, small, large]  # of evaluations, and of their seconds


def test_an_interrupted_report_goes_on_from_what_it_kept(toy, tmp_path, monkeypatch):
    asked = ("table", "simulate", "synthetic-2lead", "nsga2", "--tables", toy, "--evaluations")
    asked = (*asked, "6", "--repetitions", 30, "--objectives", "none", "--json")
    whole = printed(*asked)
    kept = tmp_path / "kept"
    assert printed(*asked, "--keep", kept) == whole
    files = sorted(kept.iterdir())
    assert len(files) == 2 * 2 * 2  # searches, budgets, blocks
    files[0].unlink()
    before = {file: file.stat().st_mtime_ns for file in files[1:]}
    assert printed(*asked, "--keep", kept) == whole
    assert {file: file.stat().st_mtime_ns for file in files[1:]} == before and files[0].exists()
    monkeypatch.setattr("nasbench_ecg.tables.searchers.simulate", None)
    assert printed(*asked, "--keep", kept) == whole


def test_a_table_is_exported_for_people(toy, tmp_path):
    file = tmp_path / "table.csv"
    printed("table", "export", "synthetic-2lead", "--tables", toy, "-o", file)
    rows = list(csv.DictReader(file.open()))
    table = load_table(table_folder(toy, "tiny-cells", "synthetic-2lead", "intra-patient"))
    assert len(rows) == 2 * table.trained.sum()
    one = Architecture.from_json(rows[1]["architecture"])
    assert float(rows[1]["test_f1_of_macro"]) == pytest.approx(table.test(one, seed=0).value)
    # before the table is looked for, since reading it takes a while
    reason = refused("table", "export", "none", "--tables", toy, "-o", tmp_path / "table.xml")
    assert "'table.xml'" in reason


def test_costs_take_the_place_of_older_ones(built, beats_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    folder = table_folder(tmp_path, "tiny-cells", "synthetic-2lead", "intra-patient")
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    table = load_table(folder)
    expected = dict(table.costs())
    arrays = {n: a for n, a in table.arrays.items() if not n.startswith("cost_")}
    older = {"cost_parameters": np.ones(MEMBERS), "cost_weights": np.ones(MEMBERS)}
    save_table(type(table)(table.card, {**arrays, **older}), folder)
    done = invoke("table", "costs", "synthetic-2lead", "--tables", tmp_path)
    assert done.exit_code == 0, done.output
    found = dict(load_table(folder).costs())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_proxies_of_all_members_are_added(built, beats_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    shutil.copytree(built, tmp_path / "t")
    done = invoke("table", "costs", "synthetic-2lead", "synflow", "--tables", tmp_path / "t")
    assert done.exit_code == 0, done.output
    table = load_table(
        table_folder(tmp_path / "t", "tiny-cells", "synthetic-2lead", "intra-patient")
    )
    assert np.isfinite(table.proxies()["synflow"]).all()
    shown = json.loads(
        printed("table", "info", "synthetic-2lead", "--tables", tmp_path / "t", "--json")
    )
    assert "synflow_with_test" in shown["noise"]["kendall_tau"]
    done = invoke("table", "publish", "synthetic-2lead", "--tables", built, "--to", tmp_path / "t")
    assert done.exit_code == 0, done.output
    folder = table_folder(tmp_path / "t", "tiny-cells", "synthetic-2lead", "intra-patient")
    assert "synflow" in load_table(folder).proxies()  # what the published table knew is kept


def test_costs_of_another_revision_do_not_enter_a_table(built, beats_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    names = ("tiny-cells", "synthetic-2lead", "intra-patient")
    source, target = (table_folder(tmp_path / name, *names) for name in "st")
    table = load_table(table_folder(built, *names))
    revised = table.card.builder.model_copy(update={"revision": 99})
    other = {**table.arrays, "cost_parameters": np.ones(MEMBERS)}
    save_table(Table(table.card.model_copy(update={"builder": revised}), other), source)
    asked = ("table", "costs", "synthetic-2lead", "--tables", tmp_path / "s")
    assert "another builder" in refused(*asked)
    assert "another builder" in refused(*asked, "synflow")
    save_table(table, target)
    printed(
        "table", "publish", "synthetic-2lead", "--tables", tmp_path / "s", "--to", target.parents[1]
    )
    assert (load_table(target).costs()["parameters"] == 1).all()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--set", "strategy.populaton=3"], "has an option 'populaton'"),
        (["--set", "space.widths=[2]"], "does not apply here"),
        (["--evaluations", "5,x"], "is no list of"),
        (["--evaluations", "0"], "is no list of"),
        (["--seconds", "soon"], "is no list of"),
        (["--scores", "median"], "cannot see the scores 'median'"),
        (["--seconds", "0.5,nan"], "is no list of"),
        (["--seconds", "0.5,inf"], "is no list of"),
        (["tpe:5:1", "--objectives", "none"], "tpe has no budget: all are above its largest one"),
        (["nsga2:5:19", "--objectives", "none"], "nsga2 has no budget"),
        (["random:50:20", "--objectives", "none"], "compared with random at every budget"),
        (["--objectives", "energy"], "no cost 'energy'"),
        (["-o", "report.doc"], "Cannot tell the format"),
        (["random:x"], "not of the form STRATEGY"),
        (["random:1"], "not of the form STRATEGY"),
        (["nsga2@objectives"], "not of the form component.option=value"),
        (["nsga2@objektives=1"], "objektives"),
        (["nsga2:5", "nsga2:7"], "nsga2 is asked for twice"),
        (['nsga2@objectives=["macs"]'] * 2, "asked for twice"),
        (["darts"], "'darts' cannot search the space 'tiny-cells'"),
        (["cnn-9"], "'cnn-9' cannot search the space 'tiny-cells'"),
        (["iemmc"], "'iemmc' cannot search the space 'tiny-cells'"),
    ],
)
def test_a_simulation_with_a_bad_option_is_refused(toy, monkeypatch, more, reason):
    monkeypatch.setattr("nasbench_ecg.tables.searchers.simulate", None)  # before any search runs
    asked = ("table", "simulate", "synthetic-2lead", "regularized-evolution", "--tables", toy)
    assert reason in refused(*asked, *more)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--shard", "3/2"], "there is no part"),
        (["--shard", "0/2"], "there is no part"),
        (["--shard", "one"], "not of the form I/N"),
        (["--set", "strategy.samples=3"], "does not apply here"),
        (["--set", "space.width=[2]"], "no option 'width'"),
        (["--set", 'space.operations=["zero"]'], "at least one operation"),
        (["--protocol", "intra"], "no protocol 'intra'"),
        (["--space", "conv-cells"], "does not list its members"),
    ],
)
def test_a_build_with_a_bad_option_is_refused(tmp_path, beats_cache, monkeypatch, more, reason):
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    small = ("--set", "dataset.patients=12", "--set", "dataset.minutes=1")
    assert reason in refused(
        "table", "build", "synthetic-2lead", "--tables", tmp_path, *small, *more
    )
    assert not list(tmp_path.iterdir())
