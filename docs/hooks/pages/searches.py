"""Figures of :mod:`nasbench_ecg.plot`: searches on a table that comes with the project."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG

import nasbench_ecg as nb

SEARCHES = ("regularized-evolution", "regularized-evolution@population=10", "local-search")


@cache
def figures(results: Path) -> dict[str, str]:
    """Return SVG files by name; the seed of the searches makes those of two builds equal."""
    table = nb.table("tiny-cells", "mitbih-2lead", tables=results / "tables")
    found = table.compare(*SEARCHES, budget_evaluations=100, costs=(), repetitions=50)
    return dict(_drawn(found))


def _drawn(found: Any) -> Iterator[tuple[str, str]]:
    for draw in (nb.plot.regret, nb.plot.regret_distribution):
        name = draw.__name__.replace("_", "-")
        with matplotlib.rc_context({"svg.hashsalt": name}):
            text = StringIO()
            FigureCanvasSVG(draw(found).figure).print_svg(text, metadata={"Date": None})
            yield f"{name}.svg", text.getvalue()
