"""How fast clustering by immune evolution is: one generation, and all beats of a database.

    python benchmarks/speed/iemmc.py [--beats 94013] [--json FILE]

The beats are generated (a mixture of groups in 18 dimensions), so no records are needed. Every
figure that should hold on any machine is a ratio of two things measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.formulas import objective
from nasbench_ecg_immune.kernels import kernel_of, median_width, rbf
from nasbench_ecg_immune.labels import smallest_cluster
from nasbench_ecg_immune.margin import margin_of_kernel
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.splitting import split_cluster
from nasbench_ecg_immune.two_way import TwoWay

PAPER_BEATS = 1682
FEATURES = 18
CLUSTERS = 5


def generated(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Return float64 [n, 18], standardised points of eight groups of unequal size and shape."""
    rng = np.random.default_rng(seed)
    group = rng.choice(8, size=n, p=np.array([30, 20, 15, 12, 10, 7, 4, 2]) / 100)
    mixing = rng.standard_normal((8, FEATURES, FEATURES)) / np.sqrt(FEATURES)
    centres = 2 * rng.standard_normal((8, FEATURES))
    x = np.empty((n, FEATURES))
    for g in range(8):
        members = group == g
        shape = rng.standard_normal((int(members.sum()), FEATURES))
        x[members] = centres[g] + shape @ mixing[g]
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def generation(n: int = PAPER_BEATS, generations: int = 8) -> dict[str, float]:
    """Return what a generation of about 100 new antibodies costs after the decomposition."""
    x, rng = generated(n), np.random.default_rng(0)
    kernel, lam = rbf(x, x, median_width(x, rng)), 0.05
    started = perf_counter()
    margin = margin_of_kernel(kernel, lam)
    decomposition = perf_counter() - started

    options = IemmcOptions(generations=generations)
    fast = margin.astype(options.precision)
    started = perf_counter()
    fast.smoother  # noqa: B018 - made once, at the first use
    smoother = perf_counter() - started
    problem = TwoWay(fast, smallest_cluster(n, options.balance), options.flips)
    evolution = ImmuneEvolution(problem, options, rng)
    evolution.start()
    evolution.step()
    seconds, evaluated = [], []
    for _ in range(generations):
        started = perf_counter()
        evaluated.append(evolution.step()["evaluated"])
        seconds.append(perf_counter() - started)
    y = problem.random(rng).astype(np.float64)
    started = perf_counter()
    objective(kernel, y, lam)
    direct = perf_counter() - started
    per_antibody = median(s / e for s, e in zip(seconds, evaluated, strict=True))
    return {
        "beats": n,
        "decomposition_s": decomposition,
        "smoother_s": smoother,
        "generation_ms": 1e3 * median(seconds),
        "antibodies": median(evaluated),
        "ms_for_100_antibodies": 1e5 * per_antibody,
        "times_faster_than_direct_formula": direct / per_antibody,
    }


def everything(n: int) -> dict[str, float]:
    """Return what clustering ``n`` beats into five clusters costs, all told, and per beat."""
    options, rng = IemmcOptions(), np.random.default_rng(0)
    x = generated(n)
    started = perf_counter()
    kernel = kernel_of(
        x,
        width=median_width(x, rng),
        exact_up_to=options.exact_up_to,
        rank=options.rank,
        rng=rng,
    )
    prepared = perf_counter() - started
    evolved = []

    def smallest(size: int) -> int:
        return max(1, smallest_cluster(size, options.balance))

    def split(index: Index, number: int) -> Split:
        lam = 1 / (2 * options.C)
        found, figures = split_cluster(kernel, index, smallest(len(index)), lam, options, rng)
        evolved.append(figures["antibodies"])
        return found

    bisect(n, CLUSTERS, smallest, split)
    seconds = perf_counter() - started
    return {
        "beats": n,
        "kernel_s": prepared,
        "seconds": seconds,
        "antibodies": float(sum(evolved)),
        "kernel_share": prepared / seconds,
    }


def main() -> dict[str, object]:
    """Measure, print, and return the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beats", type=int, default=94_013, help="0 leaves the large run out")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    figures: dict[str, object] = {
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "generation": generation(),
    }
    print(json.dumps(figures, indent=1), flush=True)
    if arguments.beats:
        figures["everything"] = everything(arguments.beats)
        print(json.dumps(figures["everything"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
