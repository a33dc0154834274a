"""The table of recipes in results/README.md is that of the run records."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_recipes_of_the_results_are_those_of_the_records(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recipes"])
    runpy.run_path(str(ROOT / "benchmarks" / "recipes" / "__main__.py"), run_name="__main__")
    printed = capsys.readouterr().out.partition("mitbih-svdb-rhythm")[2]
    text = (ROOT / "results" / "README.md").read_text("utf-8")
    stated = text.partition("| recipe, passes |")[2].partition("\n\n")[0]
    figures = re.compile(r"\d+\.\d, \d+\.\d, \d+\.\d \| .*(?= \|)")
    assert len(figures.findall(printed)) == 16
    assert [one.split() for one in figures.findall(stated)] == [
        one.split() for one in figures.findall(printed)
    ]
