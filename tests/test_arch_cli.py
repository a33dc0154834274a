"""``nasbench-ecg arch``: architectures from files and runs, and their drawings."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from run_records import run_record
from typer.testing import CliRunner

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.cli import app
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.layout import layout_cell
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells

pytestmark = pytest.mark.usefixtures("made_up_records")

SPACE = ConvCells(ConvCellsOptions())
ARCH = SPACE.sample(np.random.default_rng(0))
SMALL = ConvCells(ConvCellsOptions(nodes=1)).sample(np.random.default_rng(0))
KEY = "ab12" * 4
SVG = "{http://www.w3.org/2000/svg}"


def arch(*words, stdin=None):
    return CliRunner().invoke(app, ["arch", *map(str, words)], input=stdin)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cell.json"
    path.write_text(ARCH.to_json())
    return path


@pytest.fixture
def out(tmp_path):
    """A results folder with a run whose search space has cells of one node."""
    out = tmp_path / "results"
    record = run_record(architecture=SMALL.to_dict(), run_key=KEY)
    record.components["space"].options = {"nodes": 1}
    store = RecordStore(out, "runs")
    store.write(record, {"architecture.json": SMALL.to_dict()})
    store.write(run_record(status="failed", run_key="cd34" * 4))
    return out


def test_show_prints_the_drawing_and_the_hash(file):
    result = arch("show", file)
    assert result.exit_code == 0
    assert SPACE.draw(ARCH) in result.stdout
    assert ARCH.hash in result.stdout


@pytest.mark.parametrize("verb", ["show", "draw", "validate", "hash"])
def test_a_file_of_the_current_folder_is_found_by_its_name(verb, file, monkeypatch):
    monkeypatch.chdir(file.parent)
    result = arch(verb, file.name)
    assert result.exit_code == 0, result.stderr


def test_show_json_reproduces_canonical_json(file, tmp_path):
    first = arch("show", file, "--json").stdout
    (tmp_path / "again.json").write_text(first)
    assert arch("show", tmp_path / "again.json", "--json").stdout == first
    assert json.loads(first)["format"] == 1
    assert first == ARCH.to_json() + "\n"


def test_the_hash_does_not_depend_on_the_form_of_the_json(file, tmp_path):
    data = ARCH.to_dict()
    data["genotype"] = {
        name: [node[::-1] for node in cell] for name, cell in data["genotype"].items()
    }
    other = tmp_path / "other.json"
    other.write_text(json.dumps(dict(reversed(data.items())), indent=3))
    assert arch("hash", other).stdout == arch("hash", file).stdout == f"{ARCH.hash}\n"


def test_an_architecture_is_read_from_stdin():
    assert arch("hash", "-", stdin=ARCH.to_json()).stdout == f"{ARCH.hash}\n"


@pytest.mark.parametrize("name", [KEY, KEY[:5], f"{KEY}/architecture.json", KEY + "/"])
def test_the_architecture_of_a_run_is_read_with_the_options_of_the_run(out, name):
    source = out / "runs" / name if "/" in name else name
    result = arch("validate", source, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert SMALL.hash in result.stdout


def test_validate_names_the_fault_and_accepts_options_of_the_space(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(SMALL.to_json())
    wrong = arch("validate", path)
    assert wrong.exit_code == 2
    assert "1 nodes, not 4" in wrong.stderr
    assert arch("validate", path, "--set", "space.nodes=1").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "not JSON"),
        ("[1, 2]", "not an architecture"),
        ('{"format": 9, "space": "conv-cells", "genotype": {}}', "format 9"),
        ('{"format": 1, "space": "conv-cellz", "genotype": {}}', "conv-cells"),
        ('{"format": 1, "space": "conv-cells", "genotype": {"normal": []}}', "two cells"),
        (ARCH.to_json().replace("conv-", "conf-", 3), "conf-"),
    ],
)
def test_invalid_input_gives_one_panel(tmp_path, text, said):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    for verb in ("show", "draw", "validate", "hash"):
        result = arch(verb, path)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr


def test_a_missing_file_an_unknown_run_and_a_failed_run_give_one_panel(out):
    for source, said in [
        ("nowhere.json", "no such file"),
        ("ffff", "no run 'ffff'"),
        ("cd34", "found no architecture"),
    ]:
        result = arch("show", source, "--out", out)
        assert result.exit_code == 2
        assert said in result.stderr


def test_text_is_written_to_stdout_and_to_a_file(file, tmp_path):
    assert arch("draw", file).stdout == SPACE.draw(ARCH) + "\n"
    assert arch("draw", file, "-o", tmp_path / "cell.txt").exit_code == 0
    assert (tmp_path / "cell.txt").read_text() == SPACE.draw(ARCH) + "\n"


def test_svg_is_written_atomically_and_reproducibly(file, tmp_path):
    path = tmp_path / "cell.svg"
    for _ in range(2):
        assert arch("draw", file, "-o", path).exit_code == 0
        assert path.read_text() == SPACE.draw_svg(ARCH) == arch("draw", file, "--svg").stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cell.json", "cell.svg"]


def test_no_svg_is_written_to_a_text_file(file, tmp_path):
    result = arch("draw", file, "--svg", "-o", tmp_path / "cell.txt")
    assert result.exit_code == 2 and "--svg does not go with" in result.stderr
    assert not (tmp_path / "cell.txt").exists()


@pytest.mark.parametrize(
    ("target", "said"), [("cell.png", ".svg or .txt"), ("nowhere/cell.svg", "cannot be written")]
)
def test_a_drawing_that_cannot_be_written_gives_one_panel(file, tmp_path, target, said):
    result = arch("draw", file, "-o", tmp_path / target)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_space_without_svg_is_refused(tmp_path):
    path = tmp_path / "fixed.json"
    path.write_text(Architecture("fixed", {"name": "cnn-9"}).to_json())
    result = arch("draw", path, "-o", tmp_path / "fixed.svg")
    assert result.exit_code == 2
    assert "does not draw as SVG" in result.stderr
    assert arch("draw", path).stdout == "cnn-9\n"


@pytest.mark.parametrize("nodes", [1, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_svg_shows_every_operation_of_both_cells_and_every_node(nodes, seed):
    space = ConvCells(ConvCellsOptions(nodes=nodes))
    architecture = space.sample(np.random.default_rng(seed))
    genotype = Genotype.from_architecture(architecture)
    root = ET.fromstring(space.draw_svg(architecture))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    cells = [("", genotype.normal), (" ↓2", genotype.reduction)]
    operations = [
        edge.operation + (mark if edge.source < 2 else "")
        for mark, cell in cells
        for node in cell
        for edge in node
    ]
    assert sorted(t for t in texts if re.match("conv|max|skip", t)) == sorted(operations)
    assert len(list(root.iter(f"{SVG}circle"))) == 2 * nodes
    width, height = (float(root.get(name)) for name in ("width", "height"))
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x")) <= width - float(rect.get("width")) - 40
        assert float(rect.get("height")) < height


@pytest.mark.parametrize("seed", range(8))
def test_no_column_overlaps_and_all_edges_run_to_the_right(seed):
    space = ConvCells(ConvCellsOptions(nodes=6))
    genotype = Genotype.from_architecture(space.sample(np.random.default_rng(seed)))
    layout = layout_cell(genotype.normal)
    for i, node in enumerate(genotype.normal):
        assert all(layout.depth[edge.source] < layout.depth[i + 2] for edge in node)
    columns = {}
    for (column, state), y in layout.y.items():
        half = 5 if column != layout.depth[state] else 15 if state < 2 else 31
        columns.setdefault(column, []).append((y - half, y + half))
    for spans in list(columns.values())[:-1]:
        spans.sort()
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(spans))
