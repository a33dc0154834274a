"""The standard figures, on matplotlib, in the size and style of a paper.

Each function draws on ``ax``, or on a new figure of one column's width, and returns the axes;
``ax.figure.savefig("figure.pdf")`` writes it.
"""

from __future__ import annotations

from nasbench_ecg.plot.recordings import beats, strips
from nasbench_ecg.plot.runs import anytime, cell, confusion, score_against_cost
from nasbench_ecg.plot.searches import regret, regret_distribution

__all__ = [
    "anytime",
    "beats",
    "cell",
    "confusion",
    "regret",
    "regret_distribution",
    "score_against_cost",
    "strips",
]
