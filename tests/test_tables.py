"""Tables: queries, and files that are whole or refused."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from toy_tables import CLASSES, SPACE, toy_card, toy_table
from typer.testing import CliRunner

import nasbench_ecg
from nasbench_ecg.api import SearchResult, StrategySpec
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.errors import OptionError
from nasbench_ecg.front.tables import OpenTable
from nasbench_ecg.front.tables import table as open_from_python
from nasbench_ecg.metrics import scores
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.report.render import SUFFIXES
from nasbench_ecg.tables.card import TableError, seal
from nasbench_ecg.tables.files import ARRAYS, CARD, NEXT_CARD, load_table, save_table, table_folder
from nasbench_ecg.tables.find import open_table
from nasbench_ecg.tables.table import Table


@pytest.fixture
def table():
    return toy_table()


@pytest.fixture
def folder(table, tmp_path):
    save_table(table, tmp_path)
    return tmp_path


# -- queries -----------------------------------------------------------------------------------


def test_a_query_is_the_score_of_the_confusion_matrix(table):
    row, arch = 7, SPACE.members[7]
    for part, ask in (("validation", table.query), ("test", table.test)):
        at = ("validation", "test").index(part)
        expected = [
            scores(table.arrays["confusion"][row, seed, -1, at].astype(int), CLASSES)["macro_f1"]
            for seed in range(3)
        ]
        assert ask(arch, seed=1, metric="macro_f1").value == pytest.approx(expected[1])
        mean = ask(arch, metric="macro_f1")
        assert mean.value == pytest.approx(np.mean(expected))
        assert mean.seeds == 3
        assert mean.seconds == pytest.approx(table.arrays["seconds"][row, :, -1].mean())


def test_a_query_of_an_epoch_and_of_the_likelihood(table):
    arch = SPACE.members[3]
    first, last = (table.query(arch, epoch=e, seed=2, metric="nll") for e in (1, 2))
    assert first.value == table.arrays["nll"][3, 2, 0, 0]
    assert last == table.query(arch, seed=2, metric="nll")
    assert first.seconds < last.seconds


def test_the_mean_is_over_the_trained_seeds_only(table):
    table.trained[4, 1] = False
    result = table.query(SPACE.members[4])
    assert result.seeds == 2
    expected = [table.query(SPACE.members[4], seed=s).value for s in (0, 2)]
    assert result.value == pytest.approx(np.mean(expected))


def test_a_table_does_not_answer_what_it_does_not_hold():
    table = toy_table(untrained=[5])
    known, untrained = SPACE.members[0], SPACE.members[5]
    other_width = Architecture("tiny-cells", {**known.genotype, "width": 8})
    for arch, question, reason in [
        (Architecture("conv-cells", known.genotype), {}, "of the space 'conv-cells'"),
        (other_width, {}, "not a member"),
        (untrained, {}, "not trained yet"),
        (untrained, {"seed": 0}, "not trained with seed 0"),
        (known, {"epoch": 3}, "no epoch 3"),
        (known, {"epoch": 0}, "no epoch 0"),
        (known, {"seed": 3}, "not trained with seed 3"),
        (known, {"seed": -1}, "not trained with seed -1"),
        (known, {"seed": "first"}, "seed='first' is not allowed"),
        (known, {"metric": "f2"}, "no metric 'f2'"),
    ]:
        with pytest.raises(TableError, match=reason):
            table.query(arch, **question)
        if "epoch" not in question:
            with pytest.raises(TableError, match=reason):
                table.test(arch, **question)
    assert np.isnan(table.values("validation")[5]).all()
    assert np.isnan(table.mean_test_scores()[5])
    assert np.isfinite(np.delete(table.mean_test_scores(), 5)).all()
    assert table.complete == pytest.approx(1 - 1 / SPACE.size)


@pytest.mark.parametrize("asked", [{"seed": 1.0}, {"seed": True}, {"seed": "1"}, {"epoch": 1.5},
                                   {"seed": np.array([0, 1])}, {"seed": None}])  # fmt: skip
def test_seeds_and_epochs_are_whole_numbers(table, asked):
    with pytest.raises(TableError, match="is not allowed"):
        table.query(SPACE.members[0], **asked)
    assert table.query(SPACE.members[0], seed=np.int64(1)).seeds == 1


def test_a_question_needs_no_torch():
    code = """
import sys
class NoTorch:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "torch":
            raise AssertionError("torch is imported")
sys.meta_path.insert(0, NoTorch())
import nasbench_ecg
import nasbench_ecg
from nasbench_ecg.api import SearchResult, StrategySpec
from nasbench_ecg.architecture import Architecture
table = nasbench_ecg.table("tiny-cells", "mitbih-2lead", "intra-patient", tables="nowhere")
rows = [i for i, there in enumerate(table.data.available) if there]
member = table.data.members[rows[0]]
print(table.query(member, epoch=2).value, table.test(member, seed=0).value, table.noise()["of"])
print(len(table.to_frame()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    query, test, members = done.stdout.splitlines()[0].split()
    assert 0 < float(query) < 1 and 0 < float(test) < 1 and members == "1935"


# -- files -------------------------------------------------------------------------------------


def equal(a, b):
    return set(a.arrays) == set(b.arrays) and all(
        np.array_equal(a.arrays[name], b.arrays[name], equal_nan=name in ("nll", "seconds"))
        and a.arrays[name].dtype == b.arrays[name].dtype
        for name in a.arrays
    )


def test_a_table_is_read_as_it_was_written(table, folder):
    read = load_table(folder)
    assert equal(read, table)
    digests = {"sha256": read.card.sha256, "card_sha256": read.card.card_sha256}
    assert read.card == table.card.model_copy(update=digests)
    assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, CARD]


@pytest.mark.parametrize("name", [ARRAYS, CARD])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(TableError, match="cannot be read: No such file") as error:
        load_table(folder)
    assert error.value.where == str(folder / name)


@pytest.mark.parametrize("place", [0, 200, -1])
def test_a_changed_byte_is_noticed(folder, place):
    data = bytearray((folder / ARRAYS).read_bytes())
    data[place] ^= 1
    (folder / ARRAYS).write_bytes(data)
    with pytest.raises(TableError, match="SHA-256"):
        load_table(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 3}, "has format 3, this version reads 1 and 2"),
        ({"format": 3, "new": 1}, "has format 3, this version reads 1 and 2"),
        ({"seeds": 4}, "'trained' has another shape"),
        ({"members": 9}, "another shape"),
        ({"classes": ["N", "S"]}, "'confusion' has another shape"),
        ({"sha256": "0"}, "SHA-256"),
        ({"members": "many"}, "members: "),
        ({"comment": "mine"}, "comment: "),
    ],
)
def test_a_changed_card_is_refused(folder, change, reason):
    card = json.loads((folder / CARD).read_text())
    changed = {**card, **change}
    (folder / CARD).write_text(json.dumps({**changed, "card_sha256": seal(changed)}))
    with pytest.raises(TableError, match=reason):
        load_table(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"beats_fingerprint": "c"},
        {"split_fingerprint": "c"},
        {"recipe": {"lr": 0.5}},
        {"space": {"name": "tiny-cells", "revision": 2, "options": {}}},
        {"card_sha256": ""},
    ],
)
def test_a_card_that_was_changed_by_hand_is_refused(folder, change):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **change}))
    with pytest.raises(TableError, match="SHA-256 of its card"):
        load_table(folder)


def test_a_table_of_format_1_is_read_and_written_as_format_2(table, folder):
    card = json.loads((folder / CARD).read_text())
    del card["card_sha256"]
    (folder / CARD).write_text(json.dumps({**card, "format": 1}))
    read = load_table(folder)
    assert equal(read, table)
    save_table(read, folder)
    assert json.loads((folder / CARD).read_text())["format"] == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\x00"])
def test_a_card_that_is_none_is_refused(folder, text):
    (folder / CARD).write_text(text)
    with pytest.raises(TableError, match="cannot be read"):
        load_table(folder)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("confusion", lambda a: a[:, :, :1], "'confusion' has another shape or type"),
        ("confusion", lambda a: a.astype(np.float64), "'confusion' has another shape or type"),
        ("trained", lambda a: a.T, "'trained' has another shape or type"),
        ("architecture", lambda a: a[:-1], "'architecture' has another shape or type"),
        ("cost_parameters", lambda a: a[:-1], "'cost_parameters' has another shape or type"),
        ("nll", lambda a: None, "no array 'nll'"),
    ],
)
def test_arrays_that_do_not_fit_the_card_are_refused(table, folder, name, change, reason):
    arrays = {**table.arrays, name: change(table.arrays[name])}
    packed = io.BytesIO()
    np.savez(packed, **{key: array for key, array in arrays.items() if array is not None})
    (folder / ARRAYS).write_bytes(packed.getvalue())
    card = json.loads((folder / CARD).read_text())
    card["sha256"] = hashlib.sha256(packed.getvalue()).hexdigest()
    card["card_sha256"] = seal(card)
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(TableError, match=reason):
        load_table(folder)


def test_a_pickle_is_not_opened(folder):
    packed = io.BytesIO()
    np.savez(packed, architecture=np.array([{"a": 1}], dtype=object))
    (folder / ARRAYS).write_bytes(packed.getvalue())
    card = json.loads((folder / CARD).read_text())
    card["sha256"] = hashlib.sha256(packed.getvalue()).hexdigest()
    card["card_sha256"] = seal(card)
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(TableError, match="allow_pickle"):
        load_table(folder)


def test_a_table_that_was_being_replaced_when_the_process_died_is_whole(
    table, folder, tmp_path, monkeypatch
):
    old = tmp_path / "old"
    shutil.copytree(folder, old, ignore=lambda *_: {"old"})
    changed = toy_table(noise=3)
    save_table(changed, folder)
    shutil.copy(folder / CARD, old / NEXT_CARD)
    assert equal(load_table(old), table)  # died before the arrays were replaced
    shutil.copy(folder / ARRAYS, old / ARRAYS)
    assert equal(load_table(old), changed)  # died before the card was
    twice = tmp_path / "twice"
    shutil.copytree(old, twice)
    save_table(table, old)
    assert equal(load_table(old), table)
    assert not (old / NEXT_CARD).exists()

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nasbench_ecg.tables.files.replace_atomically", die)
    with pytest.raises(KeyboardInterrupt):
        save_table(table, twice)
    assert equal(load_table(twice), changed)  # died once more, before the arrays were replaced


def test_a_folder_with_the_name_of_another_table_is_refused(table, tmp_path):
    save_table(table, table_folder(tmp_path, "tiny-cells", "mitbih-2lead", "inter-patient"))
    with pytest.raises(TableError, match="the table of tiny-cells on synthetic-2lead, intra"):
        open_table("tiny-cells", "mitbih-2lead", "inter-patient", tmp_path)


@pytest.mark.parametrize(
    "number",
    [{"budget_seconds": 0.0}, {"budget_seconds": float("nan")}, {"budget_seconds": float("inf")},
     {"budget_evaluations": -1}, {"budget_evaluations": 2, "repetitions": 0},
     {"budget_evaluations": 2, "workers": 0}, {"budget_evaluations": 2, "seed": -1},
     *({"budget_evaluations": 2, name: value} for name, value in
       (("repetitions", 2.5), ("repetitions", "5"), ("repetitions", True), ("workers", 1.5),
        ("seed", 1.5), ("seed", None))),
     {"budget_evaluations": "5"}, {"budget_evaluations": 5.5}, {"budget_evaluations": True},
     {"budget_seconds": "5"}, {"budget_seconds": True}],
)  # fmt: skip
def test_numbers_that_make_no_simulation_are_refused(table, number):
    name, value = list(number.items())[-1]
    with pytest.raises(OptionError, match=re.escape(f"{name}={value!r} is not allowed")):
        OpenTable(load_registry(), table).simulate("random", **number)


class Last:
    """A search of two evaluations that returns the second."""

    def __init__(self, options):
        self.options = options

    def search(self, task, space, builder, ctx):
        archs = [space.sample(ctx.rng) for _ in range(2)]
        return SearchResult(ctx.evaluate_many(archs)[-1].architecture)


def test_searches_are_compared_from_python_as_on_the_command_line(table, monkeypatch):
    spec = StrategySpec(name="last", target=Last, summary="Two", space="tiny-cells", anytime=True)
    monkeypatch.setattr("nasbench_ecg.plugin.session._specs", {})
    nasbench_ecg.register(spec)
    opened = OpenTable(load_registry(), table)
    words = {"budget_evaluations": (2, 4), "costs": "parameters", "repetitions": 9}
    found = opened.compare("last", "nsga2@population=4:7", budget_seconds=1.5, **words)
    frame = found.to_dataframe()
    assert frame["search"].tolist() == ["random", "last", "nsga2 (population=4)"] * 6
    assert frame["evaluations"].dropna().tolist() == [2] * 6 + [4] * 6
    assert frame["seconds"].dropna().tolist() == [1.5] * 6
    assert frame["measure"].tolist() == (["f1"] * 3 + ["parameters"] * 3) * 3
    assert frame["repetitions"].tolist() == [9, 9, 7] * 6
    assert (frame["verdict"] == "baseline").tolist() == [True, False, False] * 6
    assert frame.loc[frame["search"] == "random", ["difference", "low", "p"]].isna().all(axis=None)
    # The mean is that of the steps, and the difference that of the means of both.
    steps = opened.simulate("last", budget_evaluations=2, repetitions=9)
    last = steps.groupby("repetition")["incumbent_test"].last()
    random = opened.simulate("random", budget_evaluations=2, repetitions=9)
    others = random.groupby("repetition")["incumbent_test"].last()
    assert frame["mean"][:2].tolist() == pytest.approx([others.mean(), last.mean()])
    assert frame["difference"][1] == pytest.approx((last - others).mean())
    assert [one.label for one in found.settings] == frame["search"][:3].tolist()
    assert found.repetitions().groupby("search", sort=False).size().tolist() == [27, 27, 21]


@pytest.mark.parametrize("scores", ["one-seed", "mean"])
def test_a_comparison_from_python_is_the_report_of_the_command(table, tmp_path, scores):
    save_table(table, table_folder(tmp_path, "tiny-cells", "synthetic-2lead", "intra-patient"))
    opened = open_from_python("tiny-cells", "synthetic-2lead", tables=tmp_path)
    words = {"budget_evaluations": 4, "budget_seconds": 3.5, "costs": "parameters"}
    words["scores"] = scores
    found = opened.compare("local-search:3", "nsga2@population=4", repetitions=5, seed=2, **words)
    files = {
        form: tmp_path / f"searches.{suffix}"
        for form, suffix in (*{form: s[1:] for s, form in SUFFIXES.items()}.items(), ("json",) * 2)
    }
    command = (
        *("table", "simulate", "synthetic-2lead", "local-search:3", "nsga2@population=4"),
        *("--tables", tmp_path, "--evaluations", 4, "--seconds", 3.5, "--repetitions", 5),
        *("--objectives", "parameters", "--seed", 2, "--scores", scores),
        *(word for file in files.values() for word in ("-o", file)),
    )
    done = CliRunner().invoke(app, [str(word) for word in command], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    for form, file in files.items():
        assert found.render(form) == file.read_text("utf-8")
    assert found.as_data()["scores"] == scores
    assert ("see the mean validation score" in str(found)) == (scores == "mean")
    assert json.loads(json.dumps(found.as_data())) == json.loads(files["json"].read_text("utf-8"))
    # the printed summary is the one of the command, and a notebook shows its tables
    shown = " ".join(line.rstrip() for line in str(found).splitlines())
    assert " ".join(shown.split()) in " ".join(done.stdout.split())
    assert found._repr_html_().count("<table") == 3
    with pytest.raises(OptionError, match="no format 'jsn'") as error:
        found.render("jsn")
    assert "json" in error.value.fix


def test_a_comparison_that_is_not_possible_is_refused(table):
    opened = OpenTable(load_registry(), table)
    for words, reason in (
        ({"budget_evaluations": ()}, "needs a budget"),
        ({"budget_evaluations": (2, 0)}, "budget_evaluations=0 is not allowed"),
        ({"budget_seconds": -1.0}, "budget_seconds=-1.0 is not allowed"),
        ({"costs": ["watts"]}, "no cost 'watts'"),
        ({"repetitions": 1}, "repetitions=1 is not allowed"),
        ({"scores": "means"}, "cannot see the scores 'means'"),
    ):
        with pytest.raises(OptionError, match=re.escape(reason)):
            opened.compare("nsga2", **words)


def test_a_simulation_without_noise_sees_the_mean_of_the_seeds(table):
    opened = OpenTable(load_registry(), table)
    steps = opened.simulate("random", budget_evaluations=4, repetitions=3, scores="mean")
    for row in steps.itertuples():
        result = opened.query(table.members[row.member])
        assert row.score == pytest.approx(result.value)
    with pytest.raises(OptionError, match="'best'"):
        opened.simulate("random", budget_evaluations=4, repetitions=3, scores="best")


def test_numbers_of_numpy_make_a_simulation(table):
    numbers = {"budget_evaluations": np.int64(2), "repetitions": np.int32(3), "seed": np.uint8(1)}
    steps = OpenTable(load_registry(), table).simulate("random", **numbers)
    plain = {name: int(number) for name, number in numbers.items()}
    assert steps.equals(OpenTable(load_registry(), table).simulate("random", **plain))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((None, "mitbih-2lead"), {}), (("tiny-cells", None), {}), (("tiny-cells", ["x"]), {}),
     (("tiny-cells", "mitbih-2lead", 3), {}), (("tiny-cells", "mitbih-2lead"), {"tables": None})],
)  # fmt: skip
def test_names_that_are_no_text_are_refused(arguments, options):
    with pytest.raises(OptionError, match=r"(space|dataset|protocol|tables)=.* is not a"):
        open_from_python(*arguments, **options)


def test_what_is_no_architecture_or_metric_is_refused(table):
    opened, member = OpenTable(load_registry(), table), SPACE.members[0]
    for ask in (table.query, table.test, opened.query, opened.test):
        for arch in ("x", member.to_dict(), None):
            with pytest.raises(TableError, match="is not an Architecture"):
                ask(arch)
        with pytest.raises(TableError, match="no metric"):
            ask(member, metric=["x"])


def test_the_card_names_its_track():
    assert toy_card().track == "synthetic-2lead intra-patient"
    assert Table(toy_card(), toy_table().arrays).members == list(SPACE.members)
