"""The wheel holds the core and the plugins, and a third-party package adds to what it installs."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from fresh import ROOT, Environment, build_wheel, environment, run

pytestmark = pytest.mark.slow

THIRD_PARTY = Path(__file__).parent / "third_party" / "nasbench_ecg_thirdparty_example"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A new environment with the wheels of the project and of the third-party example."""
    made = environment(tmp_path_factory.mktemp("fresh"))
    made.install(build_wheel(THIRD_PARTY, tmp_path_factory.mktemp("third-party")))
    return made


@pytest.fixture(scope="module")
def wheel(installed: Environment) -> Path:
    """The project's wheel."""
    (wheel,) = installed.wheels.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_core_the_plugins_the_suites_and_nothing_else(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel).namelist()
    shipped = {folder.name for folder in plugin_folders()}
    top = {name.split("/")[0] for name in files if ".dist-info/" not in name}
    assert {"nasbench_ecg", *shipped} <= top
    assert top - {"nasbench_ecg", *shipped} <= {"nasbench_ecg_suites"}
    assert not [name for name in files if "test" in Path(name).name and "testing" not in name]
    for package in {"nasbench_ecg", *shipped}:
        assert f"{package}/py.typed" in files


def plugin_folders() -> list[Path]:
    return [path for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()]


def test_the_plugin_folders_equal_the_entry_points() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]
    entry_points = {**points["nasbench_ecg.plugins"], **points["nasbench_ecg.tables"]}
    assert sorted(entry_points.values()) == sorted(folder.name for folder in plugin_folders())
    assert all(value == f"nasbench_ecg_{name}" for name, value in entry_points.items())


def test_the_environment_imports_the_project_from_the_wheel(
    installed: Environment, tmp_path: Path
) -> None:
    code = "import nasbench_ecg, nasbench_ecg_cells as c; print(nasbench_ecg.__file__, c.__file__)"
    home = installed.scripts.parent
    for path in run(installed.python, "-c", code, cwd=tmp_path).split():
        assert home in Path(path).parents


@pytest.mark.parametrize("module", ["plugins", "tests", "benchmarks"])
@pytest.mark.parametrize("where", ["fresh", "here"])
def test_no_folder_of_the_repository_is_importable(
    installed: Environment, tmp_path: Path, module: str, where: str
) -> None:
    python = installed.python if where == "fresh" else Path(sys.executable)
    find = f"import importlib.util; print(importlib.util.find_spec({module!r}))"
    assert run(python, "-c", find, cwd=tmp_path).strip() == "None"


def test_third_party_components_are_listed_with_the_shipped_ones(
    installed: Environment, tmp_path: Path
) -> None:
    listed = json.loads(installed.nasbench("list", "--json", cwd=tmp_path))
    sources = {(c["kind"], c["name"]): c.get("distribution") for c in listed}
    assert sources["strategy", "best-of-n"] == "nasbench-ecg-thirdparty-example"
    assert sources["dataset", "toy-2lead"] == "nasbench-ecg-thirdparty-example"
    assert sources["search-space", "conv-cells"] == "nasbench-ecg"


def test_info_shows_the_options_of_a_third_party_component(
    installed: Environment, tmp_path: Path
) -> None:
    text = installed.nasbench("info", "best-of-n", cwd=tmp_path)
    for part in ("candidates", "epochs", "thirdparty-example", "1.2.3"):
        assert part in text


def test_every_plugin_is_listed_once_without_problems(
    installed: Environment, tmp_path: Path
) -> None:
    listed = json.loads(installed.nasbench("plugin", "list", "--json", cwd=tmp_path))
    plugins = [(plugin["distribution"], plugin["name"]) for plugin in listed["plugins"]]
    assert len(plugins) == len(set(plugins))
    assert ("nasbench-ecg-thirdparty-example", "thirdparty-example") in plugins
    assert listed["problems"] == []


def test_the_third_party_dataset_keeps_its_contract(installed: Environment, tmp_path: Path) -> None:
    code = """
import numpy as np
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.api import Silent

dataset = load_registry().get("dataset", "toy-2lead")
load = lambda **o: dataset.create(dataset.options_model()(**o)).load(None, Silent())
beats = load()
assert beats.n_leads == 2 and len(set(beats.subjects)) >= 5
assert min(beats.counts().values()) > 0
assert load().fingerprint() == beats.fingerprint() != load(seed=1).fingerprint()
"""
    run(installed.python, "-c", code, cwd=tmp_path)


TINY = (
    "--set", "builder.cells=6", "--set", "builder.channels=2", "--set", "builder.stem_filters=4",
    "--set", "space.nodes=2", "--set", "evaluator.epochs=1", "--set", "evaluator.beats=200",
)  # fmt: skip


@pytest.mark.parametrize(
    "dataset, settings",
    [
        ("toy-2lead", ["dataset.beats=30"]),
        ("synthetic-2lead", ["dataset.minutes=1"]),
    ],
)
def test_the_third_party_strategy_runs_on_its_own_dataset_and_on_a_shipped_one(
    installed: Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    settings: list[str],
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    more = [word for setting in settings for word in ("--set", setting)]
    command = ("run", "best-of-n", dataset, "--profile", "smoke", "--device", "cpu", "--json")
    (record,) = json.loads(installed.nasbench(*command, *TINY, *more, cwd=tmp_path))
    assert record["status"] == "ok"
    assert record["components"]["strategy"]["distribution"] == "nasbench-ecg-thirdparty-example"
    assert len(record["search_details"]["scores"]) == 2
    folder = tmp_path / "results" / "runs"
    assert json.loads((folder / f"{record['run_key']}.json").read_text()) == record
    assert (folder / record["run_key"] / "weights.safetensors").is_file()
    installed.nasbench("show", record["run_key"][:6], cwd=tmp_path)


@pytest.fixture
def submission(
    installed: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Environment, Path]:
    """Results with a submitted run of the third-party strategy, which is no longer in ``runs``."""
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    words = ("--profile", "smoke", "--device", "cpu", "--set", "dataset.beats=30", "--json")
    made = installed.nasbench("run", "best-of-n", "toy-2lead", *TINY, *words, cwd=tmp_path)
    key = json.loads(made)[0]["run_key"]
    where = ("-o", "results/submitted/stranger")
    installed.nasbench("submit", key, "--by", "A Stranger", "--weights", *where, cwd=tmp_path)
    shutil.rmtree(tmp_path / "results" / "runs")
    return installed, tmp_path


def test_a_submission_of_a_third_party_strategy_is_accepted_and_on_the_board(
    submission: tuple[Environment, Path],
) -> None:
    installed, folder = submission
    card = json.loads((folder / "results/submitted/stranger/card.json").read_text())
    assert "nasbench-ecg-thirdparty-example==1.2.3" in card["install"]
    checked = installed.nasbench("verify", "results/submitted", "--json", cwd=folder)
    outcomes = {check["name"]: check["outcome"] for check in json.loads(checked)[0]["checks"]}
    assert outcomes["weights"] == outcomes["beats"] == outcomes["predictions"] == "passed"
    assert "failed" not in outcomes.values()
    board = installed.nasbench("leaderboard", "--format", "markdown", cwd=folder)
    assert re.search(r"best-of-n \(.*by=A Stranger", board)


def test_a_forged_submission_of_a_third_party_strategy_is_refused(
    submission: tuple[Environment, Path],
) -> None:
    installed, folder = submission
    (path,) = (folder / "results/submitted/stranger").glob("????????????????.json")
    record = json.loads(path.read_text())
    record["metrics"]["accuracy"] = 0.9876
    path.write_text(json.dumps(record))
    with pytest.raises(AssertionError, match=r"metrics\.accuracy"):
        installed.nasbench("verify", "results/submitted", cwd=folder)
    with pytest.raises(AssertionError, match="no runs"):
        installed.nasbench("leaderboard", cwd=folder)
