"""``nasbench-ecg generalize`` and its report."""

from __future__ import annotations

import csv
import json
import shlex

import numpy as np
import pytest
import toy_plugin
from run_records import ONE_LEAD, TWO_LEAD, run_record, with_f1
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.plugin import registry
from nasbench_ecg.report.render import render_tables
from nasbench_ecg.report.studies.generalization import generalization
from nasbench_ecg.report.studies.generalization_tables import as_data, tables
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.statistics import mean_interval
from nasbench_ecg.studies.generalize import plan_transfers
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells

pytestmark = pytest.mark.usefixtures("made_up_records")

ARCH = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(0))
TINY = ["--set", "builder.channels=2", "--set", "evaluator.epochs=1"]


def nasbench(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder of results in which a random cell of toy-2lead was carried to toy-1lead."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("toy")
        toy_plugin.install(patch, folder)
        out = folder / "results"
        run = ["run", "random", "toy-2lead", "--profile", "smoke", "--set", "strategy.samples=1"]
        result = nasbench(*run, *TINY, "--seed", 3, "--out", out, "--device", "cpu")
        assert result.exit_code == 0, result.output
        (origin,), _ = read_records(out)
        command = ["generalize", origin.run_key[:6], "--to", "toy-1lead", "--baselines", "cnn-9"]
        command += ["--out", out, "--device", "cpu"]
        result = nasbench(*command, "-o", folder / "report.md", "-o", folder / "report.json")
        assert result.exit_code == 0, result.output
        yield {"out": out, "origin": origin, "command": command, "output": result.stdout}


@pytest.fixture(scope="module")
def records(toy):
    found, damaged = read_records(toy["out"], "generalization")
    assert not damaged
    return {record.strategy: record for record in found}


def test_the_architecture_and_the_baseline_are_trained_on_the_other_dataset(toy, records):
    carried, baseline = records["given"], records["cnn-9"]
    assert carried.status == baseline.status == "ok"
    assert carried.dataset_name == baseline.dataset_name == "toy-1lead"
    assert carried.suite == baseline.suite == "generalization"
    assert carried.architecture == toy["origin"].architecture
    assert carried.split.fingerprint == baseline.split.fingerprint


def test_the_record_tells_where_the_architecture_comes_from(toy, records):
    origin = toy["origin"]
    assert records["given"].components["strategy"].options["origin"] == {
        "run_key": origin.run_key,
        "strategy": "random",
        "dataset": "toy-2lead",
        "protocol": "intra-patient",
        "search_seed": 3,
    }


def test_recipe_and_seed_are_those_of_the_run_and_of_the_baseline_too(toy, records):
    origin = toy["origin"]
    for record in records.values():
        used, then = record.components["evaluator"], origin.components["evaluator"]
        assert used.options == then.options
        assert record.profile == origin.profile == "smoke"
        assert record.evaluation_seed == origin.evaluation_seed == 3
    assert records["given"].components["builder"].options["channels"] == 2


def test_the_recorded_command_repeats_the_run_under_the_same_key(records, monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    words = shlex.split(records["given"].command)[1:]
    result = nasbench(*words, "--out", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.output
    (again,) = json.loads(result.stdout)
    assert again["run_key"] == records["given"].run_key
    assert again["metrics"] == records["given"].metrics


def test_what_is_on_record_is_not_run_again(toy, monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    monkeypatch.setattr("nasbench_ecg.suite.runner.execute_runs", None)
    result = nasbench(*toy["command"])
    assert result.exit_code == 0, result.output
    assert result.stdout == toy["output"]


def test_a_dry_run_lists_the_runs(toy, monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    result = nasbench(*toy["command"], "--seeds", "3,4", "--dry-run")
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["done", "done", "to", "to"]
    assert "random from toy-2lead · toy-1lead · intra-patient · smoke · seed 4" in result.stdout


def test_the_report_of_stored_runs_executes_none(toy, monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    before = sorted(toy["out"].rglob("*.json"))
    report = tmp_path / "stored.md"
    nasbench(*toy["command"], "--seeds", "3,4", "--stored", "-o", str(report))
    assert report.read_text() == (toy["out"].parent / "report.md").read_text()
    assert sorted(toy["out"].rglob("*.json")) == before


def test_the_report_of_stored_runs_needs_no_dataset_or_has_those_that_are_named(
    toy, monkeypatch, tmp_path
):
    toy_plugin.install(monkeypatch, tmp_path)
    stored = ["generalize", toy["origin"].run_key, "--out", toy["out"], "--stored"]
    assert nasbench(*stored).stdout == toy["output"]
    assert nasbench(*stored, "--to", "toy-1lead").stdout == toy["output"]
    other = nasbench(*stored, "--to", "toy-2lead")
    assert other.exit_code == 2 and "on such a dataset is stored" in other.stderr
    without = nasbench(*stored[:-1])
    assert without.exit_code == 2 and "No dataset is named" in without.stderr


def test_the_report_is_printed_and_written(toy):
    text = (toy["out"].parent / "report.md").read_text()
    assert json.loads((toy["out"].parent / "report.json").read_text())
    for said in ("random, found on toy-2lead", "cnn-9", "toy-1lead"):
        assert said in text
        assert said.split(",")[0] in toy["output"]


@pytest.fixture
def toy_registry(monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    return registry.load_registry()


def found_run(**fields):
    record = run_record(
        "darts", dataset="toy-2lead", confusion=TWO_LEAD, architecture=ARCH.to_dict(), **fields
    )
    for component in record.components.values():
        component.changed = {}
    return record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "failed", "architecture": None}, "ended as 'failed' and found no architecture"),
        ({"status": "failed"}, "ended as 'failed'"),
        ({"architecture": {**ARCH.to_dict(), "space": "labelings"}}, "'labelings'"),
        ({"architecture": {"format": 1}}, "not an architecture"),
    ],
)
def test_a_run_without_a_sound_architecture_cannot_be_carried(toy_registry, change, said):
    record = found_run().model_copy(update=change)
    with pytest.raises(OptionError, match=said):
        plan_transfers(toy_registry, [record], ["toy-1lead"])


def test_a_run_of_another_space_than_installed_is_named(toy_registry):
    record = found_run()
    record.components["space"].name = "their-space"
    with pytest.raises(PluginError, match="their-space"):
        plan_transfers(toy_registry, [record], ["toy-1lead"])


def test_neither_the_own_dataset_nor_a_carried_run_is_a_way_to_go(toy_registry):
    with pytest.raises(OptionError, match="found its architecture on 'toy-2lead'"):
        plan_transfers(toy_registry, [found_run()], ["toy-2lead"])
    carried = found_run()
    carried.components["strategy"].options["origin"] = {"run_key": "feed" * 4}
    with pytest.raises(OptionError, match="feedfeed"):
        plan_transfers(toy_registry, [carried], ["toy-1lead"])


def test_the_plan_is_each_seed_of_each_method_once(toy_registry):
    runs = [found_run(run_key="a" * 16), found_run(run_key="b" * 16)]
    planned = plan_transfers(
        toy_registry, runs, ["toy-1lead"], baselines=["cnn-9"], seeds=[0, 1], device="cpu"
    )
    names = [(run.config.strategy.name, run.config.search_seed) for run in planned]
    assert sorted(names) == [("cnn-9", 0), ("cnn-9", 1), *[("given", 0)] * 2, *[("given", 1)] * 2]


def test_the_run_key_covers_the_architecture_and_its_origin(toy_registry):
    def key(arch, run_key):
        origin = {"run_key": run_key, "strategy": "darts", "dataset": "toy-2lead"}
        origin |= {"protocol": "intra-patient", "search_seed": 0}
        options = {"architecture": arch.to_dict(), "origin": origin}
        request = RunRequest("given", "toy-1lead", overrides={"strategy": options}, device="cpu")
        return configure(toy_registry, request).key()

    other = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(1))
    keys = {key(ARCH, "a"), key(ARCH, "b"), key(other, "a")}
    assert len(keys) == 3
    assert key(ARCH, "a") in keys


def test_fewer_leads_and_samples_change_the_stem_alone():
    builder = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=4))
    two, one = (
        builder.build(ARCH, n_leads=leads, n_samples=samples, n_classes=5).state_dict()
        for leads, samples in ((2, 300), (1, 220))
    )
    assert set(two) == set(one)
    assert {name for name in two if two[name].shape != one[name].shape} == {"stem.0.weight"}


def test_given_nothing_is_told_what_to_give(toy_registry, tmp_path):
    result = nasbench("run", "given", "toy-1lead", "--profile", "smoke", "--out", tmp_path)
    assert result.exit_code == 2
    assert "strategy.architecture" in result.stderr


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ('{"format": 1, "space": "fixed", "genotype": {"name": "cnn-9"}}', "Add --space fixed --"),
        ('{"format": 1, "space": "conv-cells", "genotype": {}}', "two cells"),
        ('{"format": 1, "space": "nowhere", "genotype": {}}', "'nowhere'"),
        ('{"space": "fixed"}', "is missing"),
    ],
)
def test_given_an_architecture_of_another_space_is_refused_at_once(
    tmp_path, monkeypatch, architecture, said, dry
):
    monkeypatch.setenv("COLUMNS", "200")
    words = ("--profile", "smoke", "--out", tmp_path, *dry, "--data", tmp_path / "none")
    given = ("--set", f"strategy.architecture={architecture}")
    result = nasbench("run", "given", "mitbih-2lead", *words, *given)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ffff", "--to", "qt-1lead"], "no run 'ffff'"),
        (["ffff", "--to", "qt-1lead", "-o", "report.pdf"], ".html"),
    ],
)
def test_bad_words_are_one_panel(tmp_path, words, said):
    result = nasbench("generalize", *words, "--out", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def carried_run(seed, f1, *, source, dataset="qt-1lead", **fields):
    origin = {"run_key": source.run_key, "strategy": source.strategy, "protocol": source.protocol}
    origin |= {"dataset": source.dataset_name, "search_seed": source.search_seed}
    changed = {"strategy": {"architecture": {"seed": seed}, "origin": origin}}
    metrics = None if "confusion" in fields else with_f1(f1)
    return run_record("given", seed, dataset=dataset, changed=changed, metrics=metrics, **fields)


HOME = [run_record(seed=seed, metrics=with_f1(0.96 + seed / 100)) for seed in (0, 1)]
REPORT = generalization(
    [
        *HOME,
        *(
            carried_run(home.search_seed, f1, source=home)
            for home, f1 in zip(HOME, (0.93, 0.95), strict=True)
        ),
        run_record("cnn-9", dataset="qt-1lead", metrics=with_f1(0.90)),
        run_record("darts", dataset="qt-1lead", metrics=with_f1(0.97)),
        run_record("random", dataset="qt-1lead", metrics=with_f1(0.99), split="d" * 64),
        run_record("random", dataset="qt-1lead", metrics=with_f1(0.99), profile="paper"),
        run_record("random", dataset="qt-1lead", status="failed"),
    ]
)


def test_a_carried_method_is_one_row_over_the_runs_that_found_it():
    (target,) = REPORT.targets
    by_label = {method.label: result for method, result in target.results.items()}
    assert list(by_label) == ["darts, found on mitbih-2lead · intra-patient", "cnn-9", "darts"]
    carried = by_label["darts, found on mitbih-2lead · intra-patient"]
    assert carried.scores["f1_of_macro"].n == 2
    assert carried.f1 == pytest.approx(0.94)


@pytest.mark.parametrize(("n_found", "n_seeds"), [(1, 5), (3, 2), (5, 2), (5, 1)])
def test_all_trainings_of_one_architecture_are_one_sample(n_found, n_seeds):
    scores = np.random.default_rng(0).normal(0.9, 0.01, (n_found, n_seeds))
    homes = [run_record(seed=seed, metrics=with_f1(0.96)) for seed in range(n_found)]
    carried = [
        carried_run(10 * i + seed, float(scores[i, seed]), source=home)
        for i, home in enumerate(homes)
        for seed in range(n_seeds)
    ]
    report = generalization([*homes, *carried])
    (result,) = report.targets[0].results.values()
    found = result.scores["f1_of_macro"]
    assert (found.n, result.n_searches) == (scores.size, n_found)
    assert found.sd == pytest.approx(scores.std(ddof=1) if scores.size > 1 else None)
    expected = mean_interval(scores.mean(axis=1).tolist())
    assert found.interval == (expected if expected is None else pytest.approx(expected))
    shown = render_tables(tables(report), "T", "markdown")
    nested = n_seeds > 1
    assert ("several runs train one architecture" in shown) == nested
    assert (f"{scores.size} of {n_found} architecture" in shown) == nested


def test_the_drop_is_against_the_best_method_run_on_the_dataset_itself():
    (target,) = REPORT.targets
    carried, cnn, own = target.results.values()
    assert target.own_best.label == "darts"
    assert carried.drop == pytest.approx(0.97 - 0.94)
    assert cnn.drop is None
    assert own.drop is None


def test_the_own_best_has_as_many_runs_as_any():
    there = [run_record("cnn-9", seed, dataset="qt-1lead", metrics=with_f1(0.9)) for seed in (0, 1)]
    lucky = run_record("darts", dataset="qt-1lead", metrics=with_f1(0.97))
    report = generalization([HOME[0], carried_run(0, 0.93, source=HOME[0]), *there, lucky])
    (target,) = report.targets
    assert target.own_best.label == "cnn-9"
    own_best = "Own best of qt-1lead · intra-patient: cnn-9, 90.00 (2 runs)."
    assert own_best in tables(report)[0].footnotes


def test_a_note_says_that_the_best_of_several_means_is_biased():
    with_classes = [
        carried_run(0, 0, source=HOME[0], confusion=ONE_LEAD),
        *(run_record(name, dataset="qt-1lead", confusion=TWO_LEAD) for name in ("cnn-9", "darts")),
    ]
    f1, *_, classes = tables(generalization([HOME[0], *with_classes]))
    assert "each class" in classes.title
    for table in (f1, classes, tables(REPORT)[0]):
        assert any("biased against the transferred" in note for note in table.footnotes)
    one = [run_record("cnn-9", dataset="qt-1lead", metrics=with_f1(0.9))]
    alone = generalization([HOME[0], carried_run(0, 0.93, source=HOME[0]), *one])
    assert not any("biased" in note for table in tables(alone) for note in table.footnotes)


def test_every_column_and_every_source_names_its_protocol():
    protocols = ("intra-patient", "inter-patient")
    sources = [
        run_record(seed=seed, protocol=protocol, metrics=with_f1(0.9 - seed / 10))
        for seed, protocol in enumerate(protocols)
    ]
    carried = [
        carried_run(source.search_seed, 0.5, source=source, protocol=protocol)
        for source in sources
        for protocol in protocols
    ]
    f1, *_ = tables(generalization([*sources, *carried]))
    headings = [column.heading for column in f1.columns]
    assert headings[2:] == ["qt-1lead · inter-patient", "qt-1lead · intra-patient"]
    rows = {row.cells[0].line: row.cells[1].line for row in f1.rows}
    assert rows == {
        "darts, found on mitbih-2lead · inter-patient": "80.00",
        "darts, found on mitbih-2lead · intra-patient": "90.00",
    }


def test_methods_of_one_name_are_told_apart_by_their_options():
    few, many = (
        run_record("random", seed, dataset="qt-1lead", metrics=with_f1(0.9), **more)
        for seed, more in enumerate(
            [{"changed": {"strategy": {"samples": 1}}}, {"budget": {"evaluations": 9}}]
        )
    )
    report = generalization([HOME[0], carried_run(0, 0.93, source=HOME[0]), few, many])
    names = [row.cells[0].line for row in tables(report)[0].rows]
    assert names[1:] == ["random (evaluations=9)", "random (samples=1)"]


def test_another_revision_of_a_component_is_another_method():
    old, new = (run_record("cnn-9", n, dataset="qt-1lead", metrics=with_f1(0.9)) for n in (0, 1))
    revised = old.components["builder"].model_copy(update={"revision": 2})
    new = new.model_copy(update={"components": {**new.components, "builder": revised}})
    report = generalization([HOME[0], carried_run(0, 0.93, source=HOME[0]), old, new])
    names = [row.cells[0].line for row in tables(report)[0].rows]
    assert names[1:] == ["cnn-9 (revision=1)", "cnn-9 (revision=2)"]


def test_scores_over_other_classes_are_not_compared_with():
    carried = carried_run(0, 0.93, source=HOME[0])
    own = run_record("cnn-9", dataset="qt-1lead", metrics=with_f1(0.9))
    few = own.model_copy(update={"macro_classes": ["N", "V"], "run_key": "f" * 16})
    (target,) = generalization([HOME[0], carried, own, few]).targets
    assert [len(result.run_keys) for result in target.results.values()] == [1, 1]
    carried_few = carried.model_copy(update={"macro_classes": ["N", "V"], "run_key": "e" * 16})
    f1, *others = tables(generalization([HOME[0], carried, own, few, carried_few]))
    assert [column.heading for column in f1.columns[2:]] == [
        "qt-1lead · intra-patient · macro scores over N, S, V, F, Q",
        "qt-1lead · intra-patient · macro scores over N, V",
    ]
    assert len({table.title for table in others}) == len(others)


def test_other_splits_and_profiles_are_not_compared_with():
    assert all(method.strategy != "random" for method in REPORT.methods)


def test_where_it_was_found_each_run_counts_once():
    (summary,) = REPORT.source_f1.values()
    assert summary.n == 2
    assert summary.mean == pytest.approx(0.965)


def test_the_published_figures_of_table_vii_stand_beside_ours():
    (target,) = REPORT.targets
    carried, cnn, _ = target.results.values()
    assert carried.published.scores["f1_of_macro"] == pytest.approx(0.9601)
    assert cnn.published.scores["macro_se"] == pytest.approx(0.8959)
    text = render_tables(tables(REPORT), "t", "markdown")
    assert "published: Heart-Darts (Lv 2021, Table VII)" in text


def test_classes_are_compared_with_those_of_the_own_best():
    source = run_record(confusion=TWO_LEAD)
    report = generalization(
        [
            source,
            carried_run(0, 0.0, source=source, confusion=ONE_LEAD),
            run_record("darts", dataset="qt-1lead", confusion=TWO_LEAD),
        ]
    )
    (target,) = report.targets
    carried = next(iter(target.results.values()))
    # S in the papers' matrices: 472 of 504 found, 501 called S; and 476 of 504, 502 called S.
    se, pp = 472 / 504 - 476 / 504, 472 / 501 - 476 / 502
    assert carried.class_differences["S"]["se"] == pytest.approx(se)
    assert carried.class_differences["S"]["pp"] == pytest.approx(pp)


def test_the_report_does_not_depend_on_the_order_of_records():
    records = [*HOME, *(carried_run(h.search_seed, 0.9, source=h) for h in HOME)]
    assert as_data(generalization(records)) == as_data(generalization(records[::-1]))


def test_only_the_wanted_origins_count():
    records = [*HOME, *(carried_run(h.search_seed, 0.9, source=h) for h in HOME)]
    (target,) = generalization(records, {HOME[0].run_key}).targets
    (result,) = target.results.values()
    assert len(result.run_keys) == 1


def test_without_anything_run_there_itself_there_is_no_drop():
    records = [*HOME, carried_run(0, 0.9, source=HOME[0])]
    (target,) = generalization(records).targets
    (result,) = target.results.values()
    assert target.own_best is None
    assert result.drop is None
    assert tables(generalization(records))


def test_every_format_holds_every_figure_of_the_matrix():
    found = tables(REPORT)
    rows = [[cell.line for cell in row.cells] for row in found[0].rows]
    cells = [cell for row in rows for cell in row if cell]
    assert "94.00 ± 1.41 (−3.00)" in cells
    read = list(csv.reader(render_tables(found, "t", "csv").splitlines()))
    assert [row[1:] for row in read[1 : len(rows) + 1]] == rows
    assert all(cell in render_tables(found, "t", "markdown") for cell in cells)
    page = render_tables(found, "t", "html")
    assert all(f">{cell.text}<" in page for row in found[0].rows for cell in row.cells)
    assert r"94.00 $\pm$ 1.41 ($-$3.00)" in render_tables(found, "t", "latex")
    assert json.loads(json.dumps(as_data(REPORT)))["datasets"][0]["own_best"] == "darts"


def test_a_failed_run_does_not_keep_the_others_from_running(monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)
    out = tmp_path / "results"
    record = found_run(profile="smoke", run_key="e" * 16)
    record.components["space"].options = {"nodes": 4}
    RecordStore(out, "runs").write(record)
    real = toy_plugin.ToyOneLead.load

    def fails_once(self, source, progress):
        monkeypatch.setattr(toy_plugin.ToyOneLead, "load", real)
        raise RuntimeError("the disk made a noise")

    monkeypatch.setattr(toy_plugin.ToyOneLead, "load", fails_once)
    words = ["generalize", "eeee", "--to", "toy-1lead", "--baselines", "cnn-9", "--out", out]
    result = nasbench(*words, "--device", "cpu")
    assert result.exit_code == 1
    statuses = sorted(r.status for r in read_records(out, "generalization")[0])
    assert statuses == ["failed", "ok"]
    assert nasbench(*words, "--device", "cpu", "--retry-failed").exit_code == 0
