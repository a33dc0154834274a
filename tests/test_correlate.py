"""``nasbench-ecg correlate``: rank correlation of evaluators, by definition and as a command."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import combinations, permutations
from math import inf

import numpy as np
import pytest
import toy_plugin
from filelock import FileLock, Timeout
from scipy.stats import kendalltau
from tiny_beats import tiny_beats
from typer.testing import CliRunner

import nasbench_ecg as nb
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.cli import correlate as module
from nasbench_ecg.contracts import Evaluation
from nasbench_ecg.errors import DivergedError, OptionError
from nasbench_ecg.report.studies.correlation import (
    MIN_SAMPLES,
    correlate,
    correlation_table,
    noise_table,
    seed_noise,
)
from nasbench_ecg.studies.correlate import SampleScores, sample_architectures
from nasbench_ecg_baselines.space import Fixed
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_evaluators.train import Train

TINY = ["--profile", "smoke", "--set", "builder.channels=2", "--set", "evaluator.epochs=1"]


def scored(name, scores):
    arch = Architecture("fixed", {"name": "cnn-9"})
    return SampleScores(name, tuple(Evaluation(arch, s, {}, 0.5) for s in scores))


def kendall(x, y):
    signs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    return sum(signs) / len(signs)


def test_tau_is_concordant_less_discordant_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 12))
    got = correlate(scored("a", x), scored("train", y))
    assert got.tau == pytest.approx(kendall(x, y))
    assert (got.n, got.evaluator, got.against, got.seconds) == (12, "a", "train", 0.5)


@pytest.mark.parametrize(("sign", "tau"), [(1, 1.0), (-1, -1.0)])
def test_the_same_ranking_is_one_and_the_reverse_minus_one(sign, tau):
    x = np.arange(10.0)
    got = correlate(scored("a", sign * x**3), scored("train", x))
    assert got.tau == pytest.approx(tau)
    assert got.interval == pytest.approx((tau, tau))


def test_the_interval_holds_tau_narrows_with_n_and_is_absent_with_few():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(60)
    y = x + rng.standard_normal(60)
    small, large = (correlate(scored("a", x[:n]), scored("t", y[:n])) for n in (12, 60))
    for got in (small, large):
        low, high = got.interval
        assert low < got.tau < high
    assert np.diff(large.interval) < np.diff(small.interval)
    assert correlate(scored("a", x[:5]), scored("t", y[:5])).interval is None


def test_equal_scores_have_no_ranking():
    got = correlate(scored("a", [1.0] * 9), scored("train", range(9)))
    assert (got.tau, got.interval, got.p_value) == (None, None, None)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 1, 1, 1, 2], [1, 1, 1, 1, 2]),
        ([1, 1, 2, 2, 3, 3], [1, 2, 3, 4, 5, 5]),
        ([1, 2, -np.inf, -np.inf, 3], [1, 2, 3, 4, 5]),
    ],
)
def test_with_equal_scores_p_is_the_share_of_permutations(x, y):
    taus = np.array([abs(kendalltau(one, y).statistic) for one in permutations(x)])
    share = (taus >= taus[0] - 1e-9).mean()  # of scipy's τ-b, in place of its normal approximation
    assert correlate(scored("a", x), scored("t", y)).p_value == pytest.approx(share)


def test_a_larger_sample_begins_with_the_smaller_one():
    space = ConvCells(ConvCellsOptions())
    seven = sample_architectures(space, 7, seed=2)
    assert (
        seven[:4]
        == sample_architectures(space, 4, seed=2)
        != sample_architectures(space, 4, seed=3)
    )
    assert len({arch.hash for arch in seven}) == 7


def test_a_space_that_is_too_small_says_how_much_it_holds():
    with pytest.raises(OptionError, match="only 3 different"):
        sample_architectures(Fixed(None), 4, seed=0)


def test_the_noise_of_the_seed_is_that_of_a_two_way_analysis_of_variance():
    # Shrout and Fleiss 1979, table 2: six targets by four judges; ICC(2,1) 0.29, ICC(2,4) 0.62 and
    # ICC(3,1) 0.71; mean squares of table 3: 11.24 of targets, 1.02 of the rest.
    judges = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    )
    found = seed_noise([scored("train", column) for column in judges.T.tolist()])
    assert (found.one_seed, found.all_seeds) == pytest.approx((0.29, 0.62), abs=0.005)
    assert found.at_equal_seeds == pytest.approx(0.71, abs=0.005)
    assert found.sd == pytest.approx(judges.std(axis=1, ddof=1).__pow__(2).mean() ** 0.5)
    assert found.sd_of_architectures == pytest.approx(((11.24 - 1.02) / 4) ** 0.5, abs=0.005)
    assert found.n == 6
    # psych::ICC in R gives this interval of ICC3 for the same ratings.
    assert found.interval_at_equal_seeds == pytest.approx((0.342, 0.946), abs=0.001)
    low, high = found.interval
    assert low < found.one_seed < high
    same = seed_noise([scored("train", [1.0, 1.0, 1.0])] * 2)
    assert (same.one_seed, same.all_seeds, same.tau, same.sd) == (None, None, None, 0)
    assert (same.sd_of_architectures, same.at_equal_seeds) == (0, None)


def test_the_deviation_of_the_architectures_has_no_noise_of_the_seed():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (4000, 1)) + rng.normal(0, 3, (4000, 3))
    found = seed_noise([scored("train", column) for column in scores.T.tolist()])
    assert found.sd_of_architectures == pytest.approx(2, abs=0.1)  # of the means: √(4 + 9/3) = 2.6
    shown = {row.cells[0].text: row.cells[1].text for row in noise_table(found, "").rows}
    value = shown["standard deviation of the architectures"]
    assert value == f"{100 * found.sd_of_architectures:.2f} points"


def test_equal_seeds_leave_all_of_the_variance_to_the_architectures():
    found = seed_noise([scored("train", [0.5, 0.6, 0.8])] * 3)
    assert (found.one_seed, *found.interval, found.sd) == pytest.approx((1, 1, 1, 0))


def test_the_noise_of_the_seed_is_of_the_architectures_that_did_not_diverge():
    seeds = [[0.5, -math.inf, 0.7, 0.9], [0.6, 0.8, 0.7, 0.7]]
    found = seed_noise([scored("train", values) for values in seeds])
    without = seed_noise([scored("train", [v[0], v[2], v[3]]) for v in seeds])
    assert found == replace(without, diverged=1)
    assert "diverged with a seed: 1." in noise_table(found, "").footnotes[0]
    assert "diverged" not in noise_table(without, "").footnotes[0]
    assert seed_noise([scored("train", [0.5, -math.inf, -math.inf])] * 2) is None


def test_the_mean_of_the_seeds_is_what_counts():
    cheap = scored("proxy", [1, 2, 3])
    seeds = [scored("train", values) for values in ([0, 5, 4], [0, 1, 4])]
    assert correlate(cheap, seeds[0]).tau == pytest.approx(1 / 3)
    assert correlate(cheap, *seeds).tau == pytest.approx(1)


def test_p_values_of_several_evaluators_are_said_to_be_uncorrected():
    training = scored("train", [0, 1, 2])
    found = [correlate(scored(name, [1, 2, 3]), training) for name in ("one", "other")]
    for compared, said in ((found[:1], False), (found, True)):
        notes = " ".join(correlation_table(compared, "title").footnotes)
        assert ("not corrected for the 2 evaluators" in notes) is said


@pytest.fixture
def command(monkeypatch, tmp_path):
    toy_plugin.install(monkeypatch, tmp_path)

    def run(*words, samples=3):
        options = ["--dataset", "toy-2lead", "--samples", samples, "--device", "cpu"]
        options += ["--out", tmp_path / "results", "--json", *TINY]
        return CliRunner().invoke(app, ["correlate", *words, *map(str, options)])

    return run


def test_the_command_stores_what_it_prints_and_does_nothing_twice(command, monkeypatch, tmp_path):
    trained = []
    real = Train.evaluate
    monkeypatch.setattr(Train, "evaluate", lambda *a: trained.append(a[1]) or real(*a))
    first = command("parameters", "snip")
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout)
    assert [one["evaluator"] for one in result["correlations"]] == ["parameters", "snip"]
    assert [set(a["scores"]) for a in result["architectures"]] == [
        {"train", "parameters", "snip"}
    ] * 3
    (path,) = tmp_path.glob("results/correlation/*/correlation.json")
    assert json.loads(path.read_text()) == result
    assert len(trained) == 3

    more = json.loads(command("synflow", samples=4).stdout)
    assert len(trained) == 4
    assert [a["hash"] for a in more["architectures"]][:3] == [
        a["hash"] for a in result["architectures"]
    ]
    assert list(tmp_path.glob("results/correlation/[!.]*/")) == [path.parent]


@pytest.mark.slow
def test_comparisons_of_one_sample_add_up_in_its_file(command, tmp_path):
    command("parameters")
    result = json.loads(command("flops").stdout)
    assert {one["evaluator"] for one in result["correlations"]} == {"parameters", "flops"}
    assert all(
        set(one["scores"]) == {"train", "parameters", "flops"} for one in result["architectures"]
    )
    (path,) = tmp_path.glob("results/correlation/*/correlation.json")
    assert json.loads(path.read_text()) == result
    for other in (
        json.loads(command("flops", samples=4).stdout),
        json.loads(command("flops", "--set", "evaluator.lr=0.01").stdout),
    ):
        assert [one["evaluator"] for one in other["correlations"]] == ["flops"]


@pytest.mark.slow
def test_several_seeds_train_each_architecture_again_and_say_how_much_is_the_seed(
    command, monkeypatch, tmp_path
):
    trained = []
    real = Train.evaluate
    monkeypatch.setattr(Train, "evaluate", lambda *a: trained.append(a[1]) or real(*a))
    command("parameters")
    assert len(trained) == 3
    result = json.loads(command("parameters", "--seeds", "0,1").stdout)
    assert len(trained) == 6, "the first seed is on record"
    assert len(list(tmp_path.glob("results/correlation/[!.]*/"))) == 1
    by_seed = [
        [a["scores"][key] for a in result["architectures"]] for key in ("train", "train, seed 1")
    ]
    assert by_seed[0] != by_seed[1]
    noise = result["seed_noise"]
    assert (noise["n"], noise["seeds"]) == (3, [0, 1])
    assert noise["sd"] == pytest.approx(np.std(by_seed, axis=0, ddof=1).__pow__(2).mean() ** 0.5)


@pytest.mark.parametrize("seeds", [[], ["--seeds", "0,1"]])
def test_an_architecture_whose_training_diverges_has_no_score_and_the_others_have(
    command, monkeypatch, tmp_path, seeds
):
    real, trained = Train.evaluate, []

    def evaluate(self, arch, *rest):
        trained.append(arch)
        if arch == trained[0]:
            raise DivergedError("The training diverged: loss not finite.")
        return real(self, arch, *rest)

    monkeypatch.setattr(Train, "evaluate", evaluate)
    done = command("parameters", *seeds)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout, parse_constant=pytest.fail)
    scores = [a["scores"]["train"] for a in result["architectures"]]
    assert scores[0] is None and None not in scores[1:]
    (path,) = tmp_path.glob("results/correlation/*/correlation.json")
    assert json.loads(path.read_text()) == result


def test_a_training_that_diverges_counts_as_the_worst_and_is_told(command, monkeypatch, tmp_path):
    real, trained = Train.evaluate, []

    def evaluate(self, arch, task, builder, ctx):
        trained.append(arch.hash)
        if trained.index(arch.hash) == 1:
            raise DivergedError("The training diverged.")
        return real(self, arch, task, builder, ctx)

    monkeypatch.setattr(Train, "evaluate", evaluate)
    said = command("parameters", "--seeds", "0,1", samples=4)
    assert said.exit_code == 0, said.output
    result = json.loads(said.stdout, parse_constant=pytest.fail)
    scores = [a["scores"] for a in result["architectures"]]
    known = [one["train"] is not None and one["train, seed 1"] is not None for one in scores]
    assert known == [True, False, True, True]
    (found,) = result["correlations"]
    assert found["diverged"] == 1
    worst = [
        -9.0 if one["train"] is None else one["train"] + one["train, seed 1"] for one in scores
    ]
    cheap = [one["parameters"] for one in scores]
    assert found["tau"] == pytest.approx(kendalltau(cheap, worst).statistic)
    by_seed = np.array([[one["train"], one["train, seed 1"]] for one in scores if one["train"]])
    noise = result["seed_noise"]
    assert noise["n"] == 3
    assert noise["sd"] == pytest.approx(by_seed.var(axis=1, ddof=1).mean() ** 0.5)


def test_noise_is_not_stated_of_too_few_trainings_that_did_not_diverge():
    scores = [scored("train", values) for values in ([0.5, -inf, 0.7], [0.6, 0.2, -inf])]
    assert seed_noise(scores) is None
    (table,) = [correlation_table([correlate(scored("proxy", [1, 2, 3]), *scores)], "title")]
    assert "diverged" in " ".join(table.footnotes)


@pytest.mark.slow
def test_evaluations_of_other_beats_are_not_mixed_with_new_ones(command, monkeypatch, tmp_path):
    trained = []
    real = Train.evaluate
    monkeypatch.setattr(Train, "evaluate", lambda *a: trained.append(a[1]) or real(*a))
    before = json.loads(command("parameters").stdout)
    other = tiny_beats(240, n_samples=120, seed=9)
    monkeypatch.setattr(toy_plugin.Toy, "load", lambda self, source, progress: other)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    again = command("parameters", samples=4)
    assert len(trained) == 7 and "different beats" in again.stderr
    after = json.loads(again.stdout)
    assert after["beats"] != before["beats"]
    command("parameters", samples=4)
    assert len(trained) == 7


def revised(monkeypatch, name, revision):
    """Give an evaluator another revision until the end of the test."""
    from nasbench_ecg.plugin import registry

    load = registry.load_plugin

    def load_revised(manager, plugin):
        loaded = load(manager, plugin)
        specs = (
            replace(one, revision=revision) if one.name == name else one for one in loaded.specs
        )
        return replace(loaded, specs=tuple(specs))

    monkeypatch.setattr(registry, "load_plugin", load_revised)


@pytest.mark.slow
def test_evaluations_by_another_revision_are_not_mixed_with_new_ones(
    command, monkeypatch, tmp_path
):
    result = json.loads(command("parameters", "flops").stdout)
    assert {name: one["revision"] for name, one in result["evaluators"].items()} == {
        "train": 1, "parameters": 1, "flops": 1,
    }  # fmt: skip
    assert all(len(one["code"]) == 1 for one in result["evaluators"].values())
    revised(monkeypatch, "flops", 2)
    again = command("snip")
    assert "The comparison of 'flops' was made by another revision." in again.stderr
    result = json.loads(again.stdout)
    assert {one["evaluator"] for one in result["correlations"]} == {"parameters", "snip"}
    assert set(result["evaluators"]) == {"train", "parameters", "snip"}
    assert all("flops" not in one["scores"] for one in result["architectures"])
    both = command("flops")
    result = json.loads(both.stdout)
    assert "another revision" not in both.stderr and result["evaluators"]["flops"]["revision"] == 2
    assert len(list(tmp_path.glob("results/correlation/*/flops-*.jsonl"))) == 2
    (path,) = tmp_path.glob("results/correlation/*/correlation.json")
    older = {name: value for name, value in result.items() if name != "evaluators"}
    path.write_text(json.dumps(older))  # as before the revisions were stated
    kept = json.loads(command("synflow").stdout)
    assert {one["evaluator"] for one in kept["correlations"]} >= {"parameters", "flops", "snip"}
    revised(monkeypatch, "parameters", 3)
    path.write_text(json.dumps(older))
    assert "The comparison of 'parameters'" in command("synflow").stderr


@pytest.mark.slow
def test_evaluations_by_other_code_of_one_revision_are_noted_and_stated(
    command, monkeypatch, tmp_path
):
    assert "unknown code" not in command("parameters").stderr
    monkeypatch.setattr("nasbench_ecg.studies.correlate.execution_digest", lambda: "changed")
    same = command("parameters")
    assert "unknown code" not in same.stderr, "nothing was evaluated by it"
    more = command("parameters", samples=4)
    for name in ("train", "parameters"):
        said = f"3 stored evaluations by '{name}' were made by other or unknown code"
        assert said in " ".join(more.stderr.split())
    assert [len(one["code"]) for one in json.loads(more.stdout)["evaluators"].values()] == [2, 2]
    again = command("parameters", samples=4)
    assert "unknown code" not in again.stderr
    assert json.loads(again.stdout)["evaluators"] == json.loads(more.stdout)["evaluators"]
    (folder,) = tmp_path.glob("results/correlation/[!.]*/")
    inputs = json.loads((folder / "inputs.json").read_text())
    (folder / "inputs.json").write_text(json.dumps({n: inputs[n] for n in ("beats", "split")}))
    larger = json.loads(command("parameters", samples=5).stdout)
    assert [one["code"][0] for one in larger["evaluators"].values()] == ["unknown"] * 2


def test_evaluations_whose_beats_are_not_known_are_discarded(command, monkeypatch, tmp_path):
    command("parameters")
    trained = []
    real = Train.evaluate
    monkeypatch.setattr(Train, "evaluate", lambda *a: trained.append(a[1]) or real(*a))
    (folder,) = tmp_path.glob("results/correlation/[!.]*/")
    (folder / "inputs.json").write_text('{"be')
    assert command("parameters").exit_code == 0 and not trained  # the result states them too
    for name in ("inputs.json", "correlation.json"):
        (folder / name).write_text('{"be')
    again = command("parameters")
    assert len(trained) == 3 and "different beats and split" in again.stderr


def test_no_other_process_changes_a_sample_while_one_evaluates_it(command, monkeypatch, tmp_path):
    free = []

    def look(real):
        def function(*words):
            (path,) = tmp_path.glob("results/correlation/.unfinished/*.lock")
            try:
                FileLock(path).acquire(blocking=False)
            except Timeout:
                free.append(False)
            return real(*words)

        return function

    monkeypatch.setattr(Train, "evaluate", look(Train.evaluate))
    monkeypatch.setattr(module, "_store", look(module._store))
    assert command("parameters").exit_code == 0
    assert free == [False] * 4


@pytest.mark.parametrize(
    ("words", "samples", "said"),
    [
        (["snip", "--seeds", "0,0"], 3, "seed"),
        (["synflo"], 3, "synflow"),
        (["train"], 3, "cannot be compared with itself"),
        (["snip"], MIN_SAMPLES - 1, "Invalid value for '--samples'"),
    ],
)
def test_bad_words_are_one_panel(command, tmp_path, words, samples, said):
    result = command(*words, samples=samples)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_leaderboards_of_the_same_training_say_how_much_is_the_seed(command, tmp_path):
    out = tmp_path / "results"

    def run(epochs):
        changed = [*TINY[:-1], f"evaluator.epochs={epochs}", "--set", "strategy.samples=1"]
        words = ["run", "random", "toy-2lead", *changed, "--device", "cpu", "--out", str(out)]
        assert CliRunner().invoke(app, words).exit_code == 0

    def shown():
        return CliRunner().invoke(app, ["leaderboard", "--out", str(out), "--format", "markdown"])

    run(epochs=2)
    assert json.loads(command("parameters", "--seeds", "0,1").stdout)["seed_noise"]["n"] == 3
    assert "is due to the architecture" not in shown().output, "of another training"
    run(epochs=1)
    said = "measured on 3 random architectures of conv-cells, with 2 seeds each"
    assert shown().output.count(said) == 1
    assert said in str(nb.leaderboard(out).render("markdown"))
    assert said in nb.leaderboard(nb.runs(out)).render("markdown")

    (path,) = out.glob("correlation/*/correlation.json")
    other = path.parents[1] / "0000000000000000" / path.name
    other.parent.mkdir()
    larger = json.loads(path.read_text())
    larger["seed_noise"]["n"] = 4
    other.write_text(json.dumps(larger))
    assert "measured on 4 random" in shown().output and said not in shown().output
    shutil.rmtree(other.parent)
    result = json.loads(path.read_text())
    result["components"]["evaluator"]["options"] |= {"an_option_since": None}
    path.write_text(json.dumps(result))
    assert said in shown().output
    path.write_text(path.read_text()[:-20])
    refused = shown()
    assert refused.exit_code == 2
    assert "The result of correlate cannot be read" in refused.output
    assert "Run the command again" in refused.output
