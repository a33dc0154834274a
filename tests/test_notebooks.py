"""The notebooks of the documentation run from top to bottom, with the wheel alone."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fresh import ROOT, Environment, environment

nbformat = pytest.importorskip("nbformat", reason="needs nbclient: pip install 'nasbench-ecg[dev]'")
pytest.importorskip("nbclient", reason="needs nbclient: pip install 'nasbench-ecg[dev]'")
pytest.importorskip("ipykernel", reason="needs ipykernel: pip install 'nasbench-ecg[dev]'")

pytestmark = pytest.mark.slow

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def kernel(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kernel whose Python has the wheel, and an empty cache."""
    home = tmp_path_factory.mktemp("jupyter")
    spec = home / "kernels" / "wheel" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [str(installed.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "wheel", "language": "python"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(home))
        patch.setenv("NASBENCH_ECG_CACHE", str(home / "cache"))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        for name in ("PYTHONPATH", "NASBENCH_ECG_DATA"):
            patch.delenv(name, raising=False)
        yield "wheel"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_shows_what_is_stored(
    notebook: Path, kernel: str, program: ModuleType, installed: Environment, tmp_path: Path
) -> None:
    probe = nbformat.v4.new_code_cell("print(nb.__file__)")
    node = program.executed(notebook, tmp_path, kernel, probe)
    assert installed.scripts.parent in Path(node.cells.pop().outputs[0].text.strip()).parents
    stored = nbformat.read(notebook, as_version=4)
    assert [_kinds(cell) for cell in node.cells] == [_kinds(cell) for cell in stored.cells]


def _kinds(cell: Any) -> tuple[Any, ...]:
    """Return a cell with the kinds of its outputs.

    Bars that disappear are as many as are slow, and text comes in as many parts as it takes time.
    """
    outputs = [
        (output.output_type, *sorted(output.get("data", {})))
        for output in cell.get("outputs", ())
        if "<progress" not in (html := output.get("data", {}).get("text/html", "?")) and html
    ]
    parts = [kind for kind, _ in groupby(outputs)]
    return cell.cell_type, cell.source, parts


def test_the_stored_outputs_have_bars_tables_and_pictures_with_a_description() -> None:
    for path in NOTEBOOKS:
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        found = json.dumps([cell.outputs for cell in cells])
        for part in ("<progress value", "<table><caption>", "image/png"):
            assert part in found, (path, part)
        assert "Traceback" not in found and os.sep + "tmp" not in found
        for cell in cells:
            assert ("image/png" in json.dumps(cell.outputs)) == ("alt" in cell.metadata), (
                cell.source
            )
