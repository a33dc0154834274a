"""How fast clustering by immune evolution is: one generation, and all beats of a database.

    python benchmarks/speed/iemmc.py [--beats 94013] [--json FILE]

The beats are those of ``iemmc-beats`` and ``mitbih-features`` where the records are found, and
generated ones (a mixture of groups in 18 dimensions) elsewhere. Every figure that should hold on
any machine is a ratio of two things measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Silent
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.features import standardisation
from nasbench_ecg_immune.formulas import objective
from nasbench_ecg_immune.iemmc import split_cluster
from nasbench_ecg_immune.kernels import kernel_of, median_width, rbf
from nasbench_ecg_immune.objective import margin_of_kernel
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.problems import TwoWay
from nasbench_ecg_immune.space import min_cluster_size

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


def measured(name: str) -> NDArray[np.float64] | None:
    """Return the standardised features of a dataset, float64 [n, 18]; None without its records."""
    component = load_registry().get("dataset", name)
    options = component.options_model()()
    try:
        beats = load_beats(
            name=name,
            revision=component.spec.revision,
            options=options,
            dataset=component.create(options),
            source=LocalSource(),
            progress=Silent(),
        ).beats
    except MissingDataError:
        return None
    return standardisation(beats).apply(beats)


def generation(x: NDArray[np.float64], generations: int = 20, **changes: Any) -> dict[str, float]:
    """Return what a generation of about 100 new antibodies costs after the decomposition.

    Args:
        x: float64 [n, d], standardised features.
        generations: How many are timed; the medians count.
        changes: Options of ``iemmc`` that are not at their defaults.
    """
    n, rng = len(x), np.random.default_rng(0)
    options = IemmcOptions(generations=generations, **changes)
    kernel, lam = rbf(x, x, median_width(x, rng)), 1 / (2 * options.C)
    started = perf_counter()
    margin = margin_of_kernel(kernel, lam)
    decomposition = perf_counter() - started

    fast = margin.astype(options.precision)
    started = perf_counter()
    fast.smoother  # noqa: B018 - made once, at the first use
    smoother = perf_counter() - started
    min_size = min_cluster_size(n, options.balance)
    problem = TwoWay(fast, min_size, options.flips, options.newcomers)
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


def everything(x: NDArray[np.float64]) -> dict[str, float]:
    """Return what clustering points [n, d] into five clusters costs, all told."""
    options, rng, n = IemmcOptions(), np.random.default_rng(0), len(x)
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

    def min_size(size: int) -> int:
        return max(1, min_cluster_size(size, options.balance))

    def split(index: Index, number: int) -> Split:
        lam = 1 / (2 * options.C)
        found, figures = split_cluster(kernel, index, min_size(len(index)), lam, options, rng)
        evolved.append(figures["antibodies"])
        return found

    bisect(n, CLUSTERS, min_size, split)
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
    few = measured("iemmc-beats")
    figures: dict[str, object] = {
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "real": few is not None,
        "generation": generation(generated(PAPER_BEATS) if few is None else few),
    }
    print(json.dumps(figures, indent=1), flush=True)
    if arguments.beats:
        many = measured("mitbih-features")
        x = generated(arguments.beats) if many is None else many[: arguments.beats]
        figures["everything"] = everything(x)
        print(json.dumps(figures["everything"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
