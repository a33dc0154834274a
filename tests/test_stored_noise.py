"""What the texts say of the noise of the seed is what ``correlate`` has stored in ``results``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasbench_ecg.report.statistics.seed_noise import noise_text, stored_noise

ROOT = Path(__file__).parents[1]


def in_one_line(path):
    return " ".join((ROOT / path).read_text("utf-8").split())


def test_the_results_say_how_much_of_a_score_in_conv_cells_is_the_seed():
    (found,) = stored_noise(ROOT / "results")
    assert found.space == "conv-cells"
    results = in_one_line("results/README.md")
    assert noise_text(found.space, found.noise) in results
    (path,) = (ROOT / "results" / "correlation").glob("*/correlation.json")
    for one in json.loads(path.read_text("utf-8"))["correlations"]:
        low, high = one["interval"]
        row = f"| `{one['evaluator']}` | {one['tau']:+.2f} | {low:+.2f} to {high:+.2f} |"
        assert row.replace("-", "−") in results, row
    explained = in_one_line("docs/explanation/table.md")
    noise = found.noise
    assert f"{100 * noise.sd_of_architectures:.2f} points over the cells" in explained
    assert f"{100 * noise.sd:.2f} points over the seeds of one" in explained
    assert f"estimated from {noise.n} random cells" in explained
    # the share is that of the two deviations
    share = noise.sd_of_architectures**2 / (noise.sd_of_architectures**2 + noise.sd**2)
    assert share == pytest.approx(noise.one_seed)
