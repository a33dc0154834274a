"""The scaffold's package and the packages in docs/examples install and run."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from fresh import ROOT, Environment, build_wheel, environment, run

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "docs" / "examples"
TINY = ("--set", "dataset.minutes=1", "--set", "space.nodes=2", "--set", "builder.channels=2")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheels of the project and of the example strategy."""
    made = environment(tmp_path_factory.mktemp("fresh"))
    made.install(build_wheel(EXAMPLES / "simulated-annealing", tmp_path_factory.mktemp("wheel")))
    return made


@pytest.fixture(autouse=True)
def separate_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beats_cache: Path) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
    monkeypatch.setenv("NASBENCH_ECG_CONFIG", str(tmp_path / "settings"))


def test_a_scaffolded_strategy_installs_runs_and_passes_the_contract_unchanged(
    fresh: Environment, tmp_path: Path
) -> None:
    fresh.nasbench("plugin", "new", "my-search", "--kind", "strategy", cwd=tmp_path)
    fresh.install(tmp_path / "my-search")
    command = ("run", "my-search", "synthetic-2lead", "--profile", "smoke", "--device", "cpu")
    (record,) = json.loads(fresh.nasbench(*command, *TINY, "--json", cwd=tmp_path))
    assert record["status"] == "ok"
    assert record["components"]["strategy"]["distribution"] == "my-search"
    checked = json.loads(fresh.nasbench("plugin", "check", "my-search", "--json", cwd=tmp_path))
    outcomes = {result["check"]: result["outcome"] for result in checked["results"]}
    assert set(outcomes.values()) == {"passed"} and len(outcomes) > 10


def test_the_plugin_of_the_readme_installs_beside_a_results_folder(
    fresh: Environment, tmp_path: Path
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.+?)^```$", text, flags=re.M | re.S)
    assert [name for name, _ in written] == ["my_search.py", "pyproject.toml"]
    for name, source in written:
        (tmp_path / name).write_text(source, encoding="utf-8")
    for other in ("results/runs", "data"):
        (tmp_path / other).mkdir(parents=True)
        (tmp_path / other / "file.json").write_text("{}")
    (tmp_path / "dist").mkdir()
    wheel = build_wheel(tmp_path, tmp_path / "dist")
    files = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert files == ["my_search.py"]
    fresh.install(wheel, "--target", str(tmp_path / "site"))
    added = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); "
    words = [
        *("run", "my-search", "synthetic-2lead", "--profile", "smoke", "--device", "cpu", "--json"),
        *("--set", "strategy.samples=1", *TINY),
    ]
    code = f"{added}from nasbench_ecg.cli import app; app({words!r})"
    (record,) = json.loads(run(fresh.python, "-c", code, cwd=tmp_path))
    assert (record["status"], len(record["trajectory"])) == ("ok", 1)
    assert record["components"]["strategy"]["distribution"] == "my-search"


def test_the_example_strategy_runs_and_passes_its_own_tests(
    fresh: Environment, tmp_path: Path
) -> None:
    command = ("run", "simulated-annealing", "synthetic-2lead", "--profile", "smoke")
    (record,) = json.loads(
        fresh.nasbench(*command, *TINY, "--device", "cpu", "--json", cwd=tmp_path)
    )
    assert record["status"] == "ok" and len(record["trajectory"]) == 3
    temperatures = [point["temperature"] for point in record["trajectory"]]
    assert temperatures == pytest.approx([0.05, 0.05 * 0.02**0.5, 0.001])
    tests = shutil.copytree(EXAMPLES / "simulated-annealing" / "tests", tmp_path / "tests")
    printed = run(fresh.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=tmp_path)
    assert "passed" in printed and "failed" not in printed


def test_a_strangers_run_is_submitted_verified_and_on_the_board_and_a_forged_one_is_refused(
    fresh: Environment, tmp_path: Path
) -> None:
    """A strategy from a third-party wheel, from the run to the leaderboard."""
    command = ("run", "simulated-annealing", "synthetic-2lead", "--profile", "smoke")
    (record,) = json.loads(
        fresh.nasbench(*command, *TINY, "--device", "cpu", "--json", cwd=tmp_path)
    )
    key, folder = record["run_key"], tmp_path / "results" / "submitted" / "stranger"
    words = ("submit", key[:8], "--by", "A Stranger", "--weights", "-o", folder)
    fresh.nasbench(*words, cwd=tmp_path)
    card = json.loads((folder / "card.json").read_text())
    assert "nasbench-ecg-annealing" in " ".join(card["packages"]) + card["install"]
    assert "gives the confusion matrix" in fresh.nasbench("verify", folder, cwd=tmp_path)
    board = fresh.nasbench("leaderboard", "--format", "csv", cwd=tmp_path)
    assert "submitted_by=A Stranger" in board

    path = folder / f"{key}.json"
    forged = json.loads(path.read_text())
    forged["metrics"]["f1_of_macro"] = forged["score"] = 0.9876
    path.write_text(json.dumps(forged))
    with pytest.raises(AssertionError, match=r"metrics\.f1_of_macro"):
        fresh.nasbench("verify", folder, cwd=tmp_path)
    assert "0.9876" not in fresh.nasbench("leaderboard", "--format", "csv", cwd=tmp_path)
