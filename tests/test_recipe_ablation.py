"""The table of recipes in results/README.md is that of the run records."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


FIGURES = re.compile(r"\d+\.\d, \d+\.\d, \d+\.\d \|.*(?=\|)")


def printed(monkeypatch, capsys, *words):
    """Return the figures of each row that the script prints last, as words."""
    monkeypatch.setattr("sys.argv", ["recipes", *words])
    runpy.run_path(str(ROOT / "benchmarks" / "recipes" / "__main__.py"), run_name="__main__")
    text = capsys.readouterr().out.partition("mitbih-svdb-rhythm")[2]
    return [one.split() for one in FIGURES.findall(text)]


def stated(heading):
    """Return the figures of each row of a table of results/README.md, as words."""
    text = (ROOT / "results" / "README.md").read_text("utf-8")
    return [one.split() for one in FIGURES.findall(text.partition(heading)[2].partition("\n\n")[0])]


@pytest.mark.slow
def test_the_recipes_of_the_results_are_those_of_the_records(monkeypatch, capsys):
    found = printed(monkeypatch, capsys)
    assert len(found) == 16 and found == stated("| recipe, passes |")


def test_the_inputs_of_the_results_are_those_of_the_records(monkeypatch, capsys):
    words = ("--suite", "input-ablation", "--against", "cnn-9 (epochs=2) rhythm=whole-record")
    found = printed(monkeypatch, capsys, *words)
    assert len(found) == 6 and found == stated("| added leads, recipe, passes |")
