"""What is installed from the wheel, and that a package from outside adds to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THIRD_PARTY = Path(__file__).parent / "third_party" / "nasbench_ecg_thirdparty_example"


def run(*command: str | Path, cwd: Path) -> str:
    """Return what ``command`` prints; its stderr is shown where it fails."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**clean, "COLUMNS": "160"}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(project: Path, out: Path) -> Path:
    """Build the wheel of ``project`` with the build backend that is installed here."""
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir")
    run(sys.executable, *build, out, project, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script ``nasbench-ecg`` of a fresh environment that also holds the outside package.

    Both come from their wheels. The dependencies are those of the environment that runs the tests,
    which follow the fresh one on the path, so that nothing is downloaded.
    """
    outside = build_wheel(THIRD_PARTY, tmp_path_factory.mktemp("outside"))
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=False)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    pip = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    run(sys.executable, *pip, wheel, outside, cwd=home)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home)
    # A plain path: .pth files behind it, such as that of an editable install, are not read.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site.strip(), "dependencies.pth").write_text("\n".join(sorted(dependencies)))
    return scripts / "nasbench-ecg"


def python_of(script: Path) -> Path:
    """Return the interpreter of the environment that holds ``script``."""
    return script.with_name("python")


def test_the_wheel_holds_core_plugins_and_nothing_else(wheel: Path) -> None:
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


def test_the_folders_of_plugins_equal_the_entry_points() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry_points = project["entry-points"]["nasbench_ecg.plugins"]
    assert sorted(entry_points.values()) == sorted(folder.name for folder in plugin_folders())
    assert all(value == f"nasbench_ecg_{name}" for name, value in entry_points.items())


def test_the_project_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import nasbench_ecg, nasbench_ecg_cells as c; print(nasbench_ecg.__file__, c.__file__)"
    home = installed.parents[1]
    for path in run(python_of(installed), "-c", code, cwd=tmp_path).split():
        assert home in Path(path).parents


@pytest.mark.parametrize("module", ["plugins", "tests", "benchmarks"])
@pytest.mark.parametrize("environment", ["fresh", "this"])
def test_no_folder_of_the_repository_becomes_a_module(
    installed: Path, tmp_path: Path, module: str, environment: str
) -> None:
    python = python_of(installed) if environment == "fresh" else Path(sys.executable)
    find = f"import importlib.util; print(importlib.util.find_spec({module!r}))"
    assert run(python, "-c", find, cwd=tmp_path).strip() == "None"


def test_a_package_from_outside_is_listed_with_the_shipped_ones(
    installed: Path, tmp_path: Path
) -> None:
    listed = json.loads(run(installed, "list", "--json", cwd=tmp_path))
    sources = {(c["kind"], c["name"]): c["distribution"] for c in listed}
    assert sources["strategy", "best-of-n"] == "nasbench-ecg-thirdparty-example"
    assert sources["dataset", "toy-2lead"] == "nasbench-ecg-thirdparty-example"
    assert sources["search-space", "conv-cells"] == "nasbench-ecg"


def test_a_package_from_outside_tells_its_options(installed: Path, tmp_path: Path) -> None:
    text = run(installed, "info", "best-of-n", cwd=tmp_path)
    for part in ("candidates", "epochs", "thirdparty-example", "1.2.3"):
        assert part in text


def test_each_distribution_is_one_set_of_plugins_without_problems(
    installed: Path, tmp_path: Path
) -> None:
    told = json.loads(run(installed, "plugin", "list", "--json", cwd=tmp_path))
    plugins = [(plugin["distribution"], plugin["name"]) for plugin in told["plugins"]]
    assert len(plugins) == len(set(plugins))
    assert ("nasbench-ecg-thirdparty-example", "thirdparty-example") in plugins
    assert told["problems"] == []


def test_the_components_from_outside_do_what_the_contracts_ask(
    installed: Path, tmp_path: Path
) -> None:
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
    run(python_of(installed), "-c", code, cwd=tmp_path)


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
def test_the_strategy_from_outside_runs_on_the_dataset_from_outside_and_on_a_shipped_one(
    installed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    settings: list[str],
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    more = [word for setting in settings for word in ("--set", setting)]
    command = ("run", "best-of-n", dataset, "--profile", "smoke", "--device", "cpu", "--json")
    (record,) = json.loads(run(installed, *command, *TINY, *more, cwd=tmp_path))
    assert record["status"] == "ok"
    assert record["components"]["strategy"]["distribution"] == "nasbench-ecg-thirdparty-example"
    assert len(record["search_details"]["scores"]) == 2
    kept = tmp_path / "results" / "runs"
    assert json.loads((kept / f"{record['run_key']}.json").read_text()) == record
    assert (kept / record["run_key"] / "weights.safetensors").is_file()
    run(installed, "show", record["run_key"][:6], cwd=tmp_path)
