"""What the page on the two papers says of their numbers follows from these numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from wfdb_files import real_database

from nasbench_ecg_immune.objective import margin_of_kernel
from nasbench_ecg_physionet.qt import RECORDS

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "papers.md"


def test_the_test_part_of_heart_darts_is_no_usual_random_draw() -> None:
    # Table II, and the rows of Tables IV and V: N, S, V, F, Q.
    beats = np.array([79_508, 2_696, 7_129, 793, 3_887])
    test = np.array([16_044, 504, 1_319, 140, 796])
    assert beats.sum() == 94_013 and test.sum() == round(94_013 / 5)
    share = test.sum() / beats.sum()
    expected = beats * share
    # Drawn without replacement, each deviation is smaller by the share that is not drawn.
    statistic = ((test - expected) ** 2 / expected).sum() / (1 - share)
    one_in = int(re.findall(r"as one in (\d+) has class counts", PAGE.read_text("utf-8"))[0])
    assert round(1 / chi2.sf(statistic, df=4), -2) == one_in


def test_twelve_of_the_82_records_of_qt_name_their_first_channel_mlii() -> None:
    folder = real_database("qtdb")
    headers = [(folder / f"{name}.hea").read_text().splitlines() for name in RECORDS]
    first = [lines[1].split()[-1] for lines in headers]
    said = re.findall(r"(\d+) of them name their\s+first channel MLII", PAGE.read_text("utf-8"))
    assert [first.count("MLII")] == [int(n) for n in said]


def test_with_lambda_of_one_over_2c_both_problems_of_iemmc_have_one_solution() -> None:
    # Problem (1) with the square loss, ½‖w‖² + C Σ (yᵢ − wᵀxᵢ − b)², solved by its equations.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), np.where(rng.random(40) < 0.4, 1.0, -1.0)
    for c in (1.0, 10.0, 100.0, 500.0):
        design = np.c_[x, np.ones(40)]
        penalty = np.diag([0.5, 0.5, 0.5, 0.0]) / c
        solution = np.linalg.solve(design.T @ design + penalty, design.T @ y)
        primal = solution @ penalty @ solution + ((y - design @ solution) ** 2).sum()
        margin = margin_of_kernel(x @ x.T, 1 / (2 * c))
        np.testing.assert_allclose(margin.objective(y[None])[0], primal, rtol=1e-8)
