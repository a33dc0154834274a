"""The front door for Python: the same words as the command line, on the same functions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from run_records import run_record, with_f1

import nasbench_ecg as nb
from nasbench_ecg.api import Silent
from nasbench_ecg.errors import NasbenchError, OptionError, PluginError, StorageError
from nasbench_ecg.front.progress import NotebookProgress, python_progress
from nasbench_ecg.front.results import Runs, one_run
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import RecordStore

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
TINY = {"dataset.minutes": 1, "space.nodes": 2, "builder.channels": 2, "strategy.samples": 2}
WORDS: dict[str, Any] = {"profile": "smoke", "device": "cpu", "set": TINY}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, beats_cache: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        yield tmp_path_factory.mktemp("front") / "results"


@pytest.fixture(scope="module")
def made(out: Path) -> Runs:
    return nb.run("random", "synthetic-2lead", seeds=2, out=out, **WORDS)


def test_the_import_loads_no_torch_and_no_pandas() -> None:
    code = (
        "import sys, nasbench_ecg as nb; dir(nb);"
        "print({'torch', 'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_records_are_read_and_compared_without_torch(made: Runs, out: Path) -> None:
    code = (
        f"import sys, nasbench_ecg as nb; runs = nb.runs({str(out)!r}); nb.leaderboard(runs)\n"
        "print(len(runs) > 0, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_every_cost_and_duration_of_the_table_of_runs_is_described(made: Runs) -> None:
    documented = [Runs.__doc__ or "", (ROOT / "docs" / "howto" / "python.md").read_text("utf-8")]
    costs = [*made.records[0].costs, *(f"seconds_{name}" for name in made.records[0].seconds)]
    assert {"flash_bytes", "ram_bytes"} <= {*costs}
    for text in documented:
        assert [name for name in costs if name not in text] == []


@pytest.mark.parametrize("first", ["import nasbench_ecg.run.store", "pass"])
def test_run_can_be_called_whatever_was_imported_before(first: str) -> None:
    code = (
        f"{first}\nimport nasbench_ecg as nb\n"
        "try: nb.run('darts', 'nothing')\nexcept Exception as e: print(type(e).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PluginError"


def test_runs_are_a_table_with_a_row_for_each_seed(made: Runs, out: Path) -> None:
    assert isinstance(made, pd.DataFrame) and list(made["search_seed"]) == [0, 1]
    assert made["f1_of_macro"].between(0, 1).all()
    assert [record.run_key for record in made.records] == list(made.index)
    again = nb.runs(out)
    assert set(again.index) == set(made.index)
    chosen = again[again["search_seed"] == 1]
    assert [record.search_seed for record in chosen.records] == [1]
    assert again.damaged == ()


def test_options_are_columns_by_the_names_of_set(made: Runs) -> None:
    for name, value in TINY.items():
        assert list(made[name]) == [value, value]
    shares = [record.protocol_options["test_share"] for record in made.records]
    assert list(made["protocol.test_share"]) == shares
    assert made.query("`strategy.samples` == 2").index.equals(made.index)


def test_the_same_words_on_the_command_line_find_the_run_done(made: Runs, out: Path) -> None:
    from typer.testing import CliRunner

    from nasbench_ecg.cli import app

    sets = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    words = ["run", "random", "synthetic-2lead", "--profile", "smoke", "--device", "cpu", *sets]
    done = CliRunner().invoke(app, [*words, "--seeds", "0,1", "--out", str(out)])
    assert done.exit_code == 0 and done.stderr.count("Already done") == 2


def test_a_leaderboard_is_text_html_latex_and_a_table(made: Runs, out: Path) -> None:
    boards = nb.leaderboard(made)
    assert "random" in str(boards) and "synthetic-2lead" in str(boards)
    html = boards._repr_html_()
    assert "<table>" in html and "random" in html and "<html" not in html
    assert r"\begin{tab" in boards.to_latex()
    frame = boards.to_dataframe()
    mean = made["f1_of_macro"].mean()
    assert frame["f1_of_macro_mean"].iloc[0] == pytest.approx(mean)
    assert str(nb.leaderboard(out)) == str(boards)


def test_no_runs_make_no_leaderboard() -> None:
    with pytest.raises(OptionError, match="no runs"):
        nb.leaderboard([])


def test_a_dataset_is_split_as_a_run_splits_it(made: Runs, out: Path) -> None:
    data = nb.load_dataset("synthetic-2lead", profile="smoke", set={"dataset.minutes": 1})
    assert repr(data.train).startswith("<Beats: N ") and len(repr(data.train)) < 120
    record = made.records[0]
    assert record.split is not None and record.dataset is not None
    assert (data.fingerprint, data.split_fingerprint) == (
        record.dataset.fingerprint,
        record.split.fingerprint,
    )
    assert data.test.counts() == record.split.counts["test"]
    assert "test" in repr(data)


def test_a_model_predicts_what_the_run_predicted(made: Runs, out: Path) -> None:
    data = nb.load_dataset("synthetic-2lead", profile="smoke", set={"dataset.minutes": 1})
    model = nb.load_model(made.iloc[0])
    predicted = model.probabilities(data.test).argmax(axis=1)
    k = len(model.classes)
    found = np.bincount(data.test.labels * k + predicted, minlength=k * k).reshape(k, k)
    assert found.tolist() == made.records[0].confusion
    assert model.classify(data.test) == [model.classes[i] for i in predicted]
    window = data.test.signals[:3]
    assert model.probabilities(window).shape == (3, k)
    with pytest.raises(OptionError, match="the network needs"):
        model.probabilities(window[:, :, 1:])
    assert nb.load_model(made.index[0], out).classes == model.classes


def test_every_figure_is_drawn(made: Runs, tmp_path: Path, out: Path) -> None:
    data = nb.load_dataset("synthetic-2lead", profile="smoke", set={"dataset.minutes": 1})
    figures = {
        "cost": nb.plot.score_against_cost(nb.leaderboard(made)),
        "anytime": nb.plot.anytime(made),
        "seconds": nb.plot.anytime(made, "seconds"),
        "confusion": nb.plot.confusion(made),
        "cell": nb.plot.cell(made.iloc[0]),
        "beats": nb.plot.beats(data),
    }
    for name, axes in figures.items():
        axes.figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 2000


def test_the_anytime_curve_is_the_mean_of_the_best_values_so_far(made: Runs) -> None:
    axes = nb.plot.anytime(made)
    x, y = axes.lines[0].get_data()
    first = [record.trajectory[0]["best"] for record in made.records]
    last = [record.trajectory[-1]["best"] for record in made.records]
    assert (x[0], x[-1]) == (1, 2)
    assert (y[0], y[-1]) == pytest.approx((np.mean(first), np.mean(last)))


def _many(costs: Callable[[int], float]) -> list[RunRecord]:
    """Return runs of fourteen searches."""
    steps = [{"evaluations": at, "best": at / 3, "seconds": at} for at in (1.0, 2.0)]
    return [
        run_record(
            f"search-{i}", costs={"parameters": costs(i)}, metrics=with_f1(0.9), trajectory=steps
        )
        for i in range(14)
    ]


def test_more_methods_than_colors_look_different() -> None:
    many = _many(lambda i: 1000.0 + i)
    points = nb.plot.score_against_cost(nb.leaderboard(many)).containers
    of_runs = nb.plot.score_against_cost(many).containers  # without a call of leaderboard
    assert [one.get_label() for one in of_runs] == [one.get_label() for one in points]
    assert len({(p.lines[0].get_color(), p.lines[0].get_marker()) for p in points}) == 14
    lines = nb.plot.anytime(many).lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 14


def test_the_legend_of_many_methods_hides_none() -> None:
    many = _many(lambda i: 1000.0 + i)
    for draw in (nb.plot.score_against_cost, nb.plot.anytime):
        axes = draw(many)
        axes.figure.canvas.draw()
        legend, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
        assert legend.y0 >= inside.y1 and legend.x1 <= axes.figure.bbox.x1
        # on axes of the user it stays inside, where it hides nothing else
        _, own = plt.subplots()
        drawn = draw(many[:5], ax=own)
        drawn.figure.canvas.draw()
        assert own.bbox.contains(*drawn.get_legend().get_window_extent().p0)


def test_methods_without_parameters_have_a_point() -> None:
    axes = nb.plot.score_against_cost(nb.leaderboard(_many(lambda i: 1000.0 * i)))
    axes.figure.canvas.draw()
    left = axes.transData.transform((0.0, 90.0))
    assert np.isfinite(left).all() and axes.bbox.contains(*left)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"seed": 1, "seeds": 2}, "both given"),
        ({"seeds": 0}, "number from 1"),
        ({"seeds": [1, 1]}, "different numbers"),
        ({"set": {"epochs": 3}}, "names no component"),
        ({"set": {"strategy.epoch": 3}}, "epoch"),
        ({"set": ["strategy.epochs=3"]}, "not a dictionary"),
    ],
)
def test_a_wrong_word_is_one_clear_error(words: dict[str, Any], said: str, out: Path) -> None:
    with pytest.raises(OptionError, match=said):
        nb.run("darts", "synthetic-2lead", out=out, device="cpu", **words)


@pytest.mark.parametrize("role", ["strategy", "space", "builder", "evaluator", "datasets"])
def test_beats_have_options_of_the_dataset_and_its_protocol_only(role: str) -> None:
    with pytest.raises(OptionError, match=role):
        nb.load_dataset("synthetic-2lead", profile="smoke", set={f"{role}.x": 1})


def test_a_file_that_is_no_path_is_one_clear_error(made: Runs) -> None:
    for path in (None, 3):
        with pytest.raises(OptionError, match="is not a file"):
            nb.export(made.iloc[:1], path)  # type: ignore[arg-type]


def test_wrong_runs_are_clear_errors(made: Runs, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        nb.runs(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="2 runs; one is needed"):
        nb.load_model(made)
    with pytest.raises(OptionError, match="no runs"):
        nb.leaderboard([1, 2])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="has the cost"):
        nb.plot.score_against_cost(nb.leaderboard(made), "watts")
    with pytest.raises(OptionError, match="no format 'pdf'"):
        nb.leaderboard(made).render("pdf")


def test_a_name_that_is_no_text_is_one_clear_error() -> None:
    for function in (nb.load_dataset, lambda name: nb.run("darts", name)):
        with pytest.raises(PluginError, match="There is no dataset None"):
            function(None)


@pytest.mark.parametrize("wrong", [None, 3, Path("results"), [1], pd.Series({"a": 1})])
def test_what_is_no_run_is_one_clear_error(wrong: Any) -> None:
    for function in (nb.show, nb.load_model):
        with pytest.raises(OptionError, match="no run"):
            function(wrong)
    if not isinstance(wrong, Path):
        with pytest.raises(OptionError, match="no runs"):
            nb.leaderboard(wrong)


def test_a_row_without_its_run_key_is_refused(made: Runs) -> None:
    """Its number was taken for the start of a run key, which another run may have."""
    numbered = made.reset_index()
    for row in (numbered.iloc[0], numbered.iloc[:1]):
        with pytest.raises(OptionError, match="not named by its run key"):
            nb.show(row)
    assert nb.show(numbered.set_index("run").iloc[1]).record == made.records[1]


def test_a_folder_or_suite_without_runs_is_one_clear_error(made: Runs, out: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        nb.leaderboard(out / "nowhere")
    (out.parent / "empty").mkdir()
    with pytest.raises(StorageError, match="no runs to compare"):
        nb.leaderboard(out.parent / "empty")
    with pytest.raises(StorageError, match=r"no suite 'rans'. .*Did you mean 'runs'"):
        nb.runs(out, "rans")


def test_a_leaderboard_names_the_files_that_it_cannot_read(made: Runs, tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "runs")
    store.write(made.records[0])
    (store.folder / "0123456789abcdef.json").write_text("{")
    for boards in (nb.leaderboard(tmp_path), nb.leaderboard(nb.runs(tmp_path))):
        (damaged,) = boards.damaged
        assert damaged.path.name == "0123456789abcdef.json"
        assert "Skipped" in str(boards) and "0123456789abcdef" in boards._repr_html_()
    assert "Skipped" not in str(nb.leaderboard(made))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"on": []}, "No dataset is named"),
        ({"shift_marks": 0}, "cannot be moved by 0 ms"),
        ({"shift_marks": ["5"]}, "are no numbers"),
        ({"shift_marks": True}, "are no numbers"),
        ({"on": 1}, "on=1 is not a name"),
        ({"model": 1}, "model=1 is not a file"),
        ({"noise": [1]}, "noise=1 is not a name"),
        ({"leads": 1}, "leads=1 is not a name"),
        ({"merge": ["F"]}, "is not a dictionary"),
        ({"data": 1}, "data=1 is not a folder"),
        ({"noise": "em", "snr": "6"}, "are no numbers"),
    ],
)
def test_a_wrong_word_of_a_test_of_networks_is_one_clear_error(
    words: dict[str, Any], said: str, made: Runs
) -> None:
    with pytest.raises(OptionError, match=said):
        nb.evaluate(made.iloc[0], **words)


def test_a_run_and_a_dataset_count_once_however_often_they_are_named(made: Runs) -> None:
    """Twice, they were the runs of two seeds, with a deviation of zero."""
    key, out = made.index[0], made["out"].iloc[0]
    assert len(nb.evaluate([key, key[:8], made.records[0]], out=out)) == 1
    assert len(nb.evaluate(pd.concat([made, made]))) == len(made)
    small, words = {"dataset.minutes": 1, "dataset.patients": 12}, {"keep_shared_persons": True}
    assert len(nb.evaluate(key, ["synthetic-2lead"] * 2, out=out, set=small, **words)) == 1


def test_an_empty_name_is_not_the_default(made: Runs, out: Path) -> None:
    for word in ("protocol", "space", "builder", "evaluator"):
        with pytest.raises(NasbenchError, match=r"There is no .* ''"):
            nb.run("darts", "synthetic-2lead", out=out, device="cpu", **{word: ""})
    with pytest.raises(PluginError, match="There is no dataset ''"):
        nb.evaluate(made.iloc[0], "")
    with pytest.raises(StorageError, match="There is no suite ''"):
        nb.runs(out, "")


def test_a_table_without_the_places_of_its_runs_is_refused(made: Runs) -> None:
    for function in (nb.leaderboard, nb.evaluate):
        with pytest.raises(OptionError, match="lost the column"):
            function(made[["score"]])


def test_one_shift_of_the_marks_needs_no_list(made: Runs) -> None:
    one, several = (nb.evaluate(made.iloc[0], shift_marks=n) for n in (20, np.array([20.0])))
    assert list(one.to_dataframe()["level"].dropna()) == [20.0]
    assert one.as_data() == several.as_data()
    assert nb.evaluate(made.index[:1], out=made["out"].iloc[0])[0].run_key == made.index[0]


@pytest.mark.slow
def test_an_export_that_fails_leaves_no_file(
    made: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card needs the license of the records, and so the dataset."""
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "synthetic")
    with pytest.raises(PluginError, match="no dataset 'synthetic-2lead'"):
        nb.export(made.iloc[0], tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_bars_of_a_notebook_are_replaced_html() -> None:
    shown: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            shown.append(html.data)

    def display(html: str) -> Handle:
        shown.append(html)
        return Handle()

    pytest.importorskip("IPython")
    with NotebookProgress(display).track("searching <b>", 2) as bar:
        bar.advance(2, loss=0.5)
    assert "searching &lt;b&gt;  0/2" in shown[0]
    assert "2/2" in shown[-1] and "loss 0.5" in shown[-1]


def test_bars_inside_a_bar_share_one_output() -> None:
    class Handle:
        def update(self, html: Any) -> None:
            pass

    shown: list[str] = []

    def display(html: str) -> Handle:
        shown.append(html)
        return Handle()

    pytest.importorskip("IPython")
    progress = NotebookProgress(display)
    with progress.track("searching", 3) as bar:
        for _ in range(3):
            with progress.track("training", 1):
                pass
            bar.advance()
    assert len(shown) == 2


def test_notes_outside_a_notebook_are_log_messages(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="nasbench_ecg"):
        python_progress().note("Nothing is within the limit.")
    assert [record.getMessage() for record in caplog.records] == ["Nothing is within the limit."]


def _few(score: int) -> Any:
    """Return a class as two executions of one cell define it, which differ in a constant."""
    from nasbench_ecg.api import SearchResult

    class First:
        def __init__(self, options: Any) -> None:
            self.options = options

        def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> Any:
            ctx.log(1.0)
            return SearchResult(space.sample(ctx.rng))

    class Second(First):
        def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> Any:
            ctx.log(2.0)
            return SearchResult(space.sample(ctx.rng))

    return (First, Second)[score]


@pytest.mark.slow
def test_a_strategy_of_this_session_runs_and_a_changed_class_runs_anew(out: Path) -> None:
    from nasbench_ecg.api import StrategySpec
    from nasbench_ecg.plugin import session

    def spec(target: Any, name: str = "of-a-notebook") -> StrategySpec:
        return StrategySpec(name=name, target=target, summary="One cell", space="conv-cells")

    tiny = {name: value for name, value in TINY.items() if name != "strategy.samples"}
    words = {**WORDS, "set": tiny, "out": out}
    try:
        keys = []
        for target in (_few(0), _few(0), _few(1)):
            nb.register(spec(target))
            (record,) = nb.run("of-a-notebook", "synthetic-2lead", **words).records
            keys.append(record.run_key)
        assert keys[0] == keys[1] != keys[2]
        assert record.components["strategy"].distribution == "this-session"
        assert "of-a-notebook" in str(nb.leaderboard(out))
        with pytest.raises(PluginError, match="already a strategy 'darts'"):
            nb.register(spec(_few(0), "darts"))
        with pytest.raises(PluginError, match="lower-case"):
            nb.register(spec(_few(0), "Mine"))
        with pytest.raises(PluginError, match="of type int"):
            nb.register(3)  # type: ignore[arg-type]
        unknown: dict[str, Any]
        for unknown, message in (
            ({"space": "conv-cell"}, "no search space 'conv-cell'"),
            ({"spaces": ("conv-cells", "conv-cell")}, "no search space 'conv-cell'"),
            ({"builder": "stacked"}, "no builder 'stacked'"),
            ({"evaluator": "trains"}, "no evaluator 'trains'"),
        ):
            with pytest.raises(PluginError, match=message):
                nb.register(replace(spec(_few(0), "of-another-notebook"), **unknown))
        with pytest.raises(PluginError, match="no strategy 'of-another-notebook'"):
            nb.run("of-another-notebook", "synthetic-2lead", **words)
        with pytest.raises(OptionError, match="registered in a Python session"):
            submit_one(out, record.run_key)
    finally:
        session._specs.clear()


def submit_one(out: Path, key: str) -> None:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.models.submit import submit
    from nasbench_ecg.plugin.registry import load_registry

    path = out / "runs" / f"{key}.json"
    submit(
        [path], out / "mine", submitted_by="A", registry=load_registry(), source=LocalSource(None)
    )


def test_a_summary_is_what_the_command_line_shows(made: Runs, out: Path) -> None:
    from typer.testing import CliRunner

    from nasbench_ecg.cli import app

    shown = nb.show(made.iloc[0])
    done = CliRunner().invoke(app, ["show", made.index[0], "--out", str(out)])
    words = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert [line.split() for line in str(shown).splitlines() if line.strip()] == words
    assert shown._repr_html_().startswith("<pre>") and "random on synthetic-2lead" in str(shown)


@pytest.mark.slow
def test_a_network_is_exported_with_its_card(made: Runs, tmp_path: Path) -> None:
    done = nb.export(made.iloc[0], tmp_path / "model.pt2")
    assert done.path.stat().st_size > 1000 and done.card.read_text().startswith("# ")
    assert done.difference < 1e-4 and done.int8 is None


def test_in_a_notebook_a_leaderboard_is_not_displayed_while_it_becomes_text(
    made: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "random" in str(nb.leaderboard(made))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words",
    [{"seed": 1.5}, {"seeds": ["0"]}, {"seeds": 1.5}, {"seeds": [None, 1]},
     {"evaluation_seed": 0.5}, {"budget_evaluations": 2.5}, {"budget_seconds": "3"},
     {"parallel": 0}, {"parallel": 1.5}, {"checkpoint_seconds": -1}, {"checkpoint_seconds": None},
     {"checkpoint_seconds": float("nan")}, {"seed": True}, {"seeds": True}, {"seeds": [False]},
     {"parallel": True}, {"budget_evaluations": True}, {"budget_seconds": True},
     {"seeds": 10**12}, {"rerun": "no"}, {"fresh": 0}, {"out": "a\0b"}],
)  # fmt: skip
def test_a_wrong_number_is_one_clear_error(words: dict[str, Any], out: Path) -> None:
    with pytest.raises(OptionError, match=next(iter(words))):
        nb.run("random", "synthetic-2lead", **{"out": out, **WORDS, **words})


@pytest.mark.parametrize("progress", [False, 1, Silent], ids=str)
def test_what_shows_no_progress_is_refused(
    progress: Any, made: Runs, out: Path, tmp_path: Path
) -> None:
    """False would count as None, and show bars."""
    run = made.iloc[:1]
    calls: list[Callable[[], object]] = [
        lambda: nb.run("random", "synthetic-2lead", out=tmp_path, progress=progress),
        lambda: nb.load_dataset("synthetic-2lead", progress=progress),
        lambda: nb.annotate("recording.csv", run, out=out, progress=progress),
        lambda: nb.export(run, tmp_path / "m.pt2", out=out, progress=progress),
        lambda: nb.evaluate(run, out=out, progress=progress),
    ]
    for call in calls:
        with pytest.raises(OptionError, match="shows no progress"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_text_is_no_switch(made: Runs, out: Path, tmp_path: Path) -> None:
    """``"no"`` would count as true: a network would be tested on persons that it has seen."""
    run = made.iloc[[0]]
    with pytest.raises(OptionError, match="keep_shared_persons='no' is not allowed"):
        nb.evaluate(run, out=out, keep_shared_persons="no")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="int8='no' is not allowed"):
        nb.export(run, tmp_path / "model.onnx", out=out, int8="no")  # type: ignore[arg-type]


def test_seeds_as_text_are_refused_as_a_whole(out: Path) -> None:
    with pytest.raises(OptionError, match="seeds='0,1' is not") as raised:
        nb.run("random", "synthetic-2lead", seeds="0,1", out=out, **WORDS)  # type: ignore[arg-type]
    assert "seeds=[0, 1, 2]" in raised.value.fix


def test_matrices_of_two_datasets_are_not_summed(made: Runs) -> None:
    first, second = made.records
    names = {**second.components}
    names["dataset"] = names["dataset"].model_copy(update={"name": "another"})
    with pytest.raises(OptionError, match="another intra-patient, synthetic-2lead intra-patient"):
        nb.plot.confusion([first, second.model_copy(update={"components": names})])


def test_seeds_of_numpy_are_seeds(made: Runs, out: Path) -> None:
    for seeds in (np.arange(2), np.int64(2)):
        again = nb.run("random", "synthetic-2lead", seeds=seeds, out=out, **WORDS)  # type: ignore[arg-type]
        assert list(again.index) == list(made.index)


def test_joined_tables_and_rows_keep_their_records(made: Runs, out: Path) -> None:
    joined = pd.concat([made.iloc[:1], made.iloc[1:]])
    assert joined.records == made.records
    assert len(nb.leaderboard(joined)) == 1


@pytest.mark.slow
def test_a_row_is_the_run_of_its_suite(made: Runs, out: Path, tmp_path: Path) -> None:
    for suite in ("a-suite", "runs"):
        nb.run("random", "synthetic-2lead", out=tmp_path, suite=suite, **WORDS)
    stored = nb.runs(tmp_path)
    assert [one_run(stored.iloc[i], tmp_path)[0].suite for i in (0, 1)] == ["a-suite", "runs"]
