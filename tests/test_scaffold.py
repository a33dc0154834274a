"""``nasbench-ecg plugin new``: packages that work without changes, and names that are refused."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.plugin.discovery import discover_package
from nasbench_ecg.plugin.registry import KINDS, load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.scaffold.create import create
from nasbench_ecg.testing.fixtures import component_under_test
from nasbench_ecg.testing.runner import run_checks


@pytest.fixture(autouse=True)
def modules_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the packages of a test, and where they lay; those of other tests, too."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("my_")]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_keeps_the_contract_of_its_kind(kind: Kind, tmp_path: Path) -> None:
    folder = create(f"my-{kind}", kind, tmp_path, load_registry())
    registry = load_registry(discover_package(folder))
    results = list(run_checks(component_under_test(registry, kind, f"my-{kind}")))
    assert [r for r in results if r.outcome == "failed"] == []
    assert sum(result.outcome == "passed" for result in results) >= 10


@pytest.mark.slow
def test_a_new_space_comes_with_a_builder_that_keeps_its_contract(tmp_path: Path) -> None:
    folder = create("my-space", "search-space", tmp_path, load_registry())
    registry = load_registry(discover_package(folder))
    results = list(run_checks(component_under_test(registry, "builder", "my-space")))
    assert {result.outcome for result in results} == {"passed"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_says_where_to_change_it_and_how_to_go_on(kind: Kind, tmp_path: Path) -> None:
    words = ["plugin", "new", "my-thing", "--kind", kind, "--dir", str(tmp_path / "here")]
    result = CliRunner().invoke(app, words)
    folder = tmp_path / "here" / "my-thing"
    assert result.exit_code == 0
    assert f"pip install {folder}" in result.stdout
    assert "nasbench-ecg plugin check my-thing" in result.stdout
    code = "".join(path.read_text() for path in folder.rglob("src/**/*.py"))
    assert [code.count(f"CHANGE ({n} of 3)") for n in (1, 2, 3)] == [1, 1, 1]
    assert "$" not in code
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["nasbench_ecg.plugins"] == {"my-thing": "my_thing"}
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "pyproject.toml", "src", "tests",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["My-search", "my_search", "2nd", "-x", "my--search", "", "../up"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not a valid name"):
        create(name, "strategy", tmp_path, load_registry())
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_an_installed_component_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="There is already a strategy 'darts'") as caught:
        create("darts", "strategy", tmp_path, load_registry())
    assert "nasbench-ecg" in caught.value.where


@pytest.mark.parametrize("name", ["json", "numpy", "nasbench-ecg-darts"])
def test_a_name_that_would_hide_a_module_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="would hide"):
        create(name, "strategy", tmp_path, load_registry())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", "strategy"),
        ("evaluation", "evaluator"),
        ("beats", "dataset"),
        ("event", "executor"),
    ],
)
def test_a_name_whose_class_has_another_meaning_is_refused(
    name: str, kind: Kind, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"cannot be called '{name.capitalize()}'"):
        create(name, kind, tmp_path, load_registry())
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "my-search").mkdir()
    (tmp_path / "my-search" / "precious").touch()
    with pytest.raises(OptionError, match="already exists"):
        create("my-search", "strategy", tmp_path, load_registry())
    assert [path.name for path in (tmp_path / "my-search").iterdir()] == ["precious"]


def test_a_folder_without_a_plugin_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="not a Python package"):
        discover_package(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "plain"\nversion = "1"\n')
    with pytest.raises(PluginError, match="declares no plugin"):
        discover_package(tmp_path)
