"""Speed of clustering by immune evolution: one generation, and all beats of a database.

The beats are those of ``iemmc-beats`` and ``mitbih-features`` if their records are found, otherwise
generated ones: a mixture of groups in 18 dimensions.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from measure import Target
from numpy.typing import NDArray

from nasbench_ecg.api import Silent
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.clustering import standardization
from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.iemmc import split_cluster
from nasbench_ecg_immune.kernels import kernel_of, median_width, rbf
from nasbench_ecg_immune.objective import margin_of_kernel
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.problems import TwoWay
from nasbench_ecg_immune.space import min_cluster_size

_PAPER_BEATS = 1_682
_ALL_BEATS = 94_013
_FEATURES = 18
_CLUSTERS = 5


def generation() -> list[Target]:
    """Time a generation of 100 antibodies on the beats of the paper, after one decomposition."""
    x = _features("iemmc-beats")
    beats = _generated(_PAPER_BEATS) if x is None else x
    as_published = {"flips": 0, "newcomers": "labels"}
    rows = []
    for variant, options in (("as published", as_published), ("with our additions", {})):
        figures = _time_generation(beats, **options)
        rows.append(
            Target(
                what=f"IEMMC, {_PAPER_BEATS:,} beats: a generation of 100 antibodies, {variant}",
                target="≤ 20 ms",
                seconds={"generation": figures["ms_for_100_antibodies"] / 1e3},
                held=figures["ms_for_100_antibodies"] <= 20,
                note=f"{figures['times_faster_than_direct_formula']:.0f}× faster than the direct "
                f"formula, {_source(x)}",
                figures=figures,
            )
        )
    return rows


def all_beats() -> Target:
    """Time clustering all beats of the 40 MIT-BIH records into five clusters."""
    x = _features("mitbih-features")
    figures = _time_clustering(_generated(_ALL_BEATS) if x is None else x)
    return Target(
        what=f"IEMMC, {_ALL_BEATS:,} beats into {_CLUSTERS} clusters",
        target="≤ 60 s on two cores",
        seconds={"all": figures["seconds"]},
        held=figures["seconds"] <= 60,
        note=_source(x),
        figures=figures,
    )


def _source(x: NDArray[np.float64] | None) -> str:
    return "generated beats" if x is None else "features of real beats"


def _generated(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Return float64 [n, 18], standardized points of eight groups of unequal size and shape."""
    rng = np.random.default_rng(seed)
    group = rng.choice(8, size=n, p=np.array([30, 20, 15, 12, 10, 7, 4, 2]) / 100)
    mixing = rng.standard_normal((8, _FEATURES, _FEATURES)) / np.sqrt(_FEATURES)
    centers = 2 * rng.standard_normal((8, _FEATURES))
    x = np.empty((n, _FEATURES))
    for g in range(8):
        members = group == g
        shape = rng.standard_normal((int(members.sum()), _FEATURES))
        x[members] = centers[g] + shape @ mixing[g]
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def _features(name: str) -> NDArray[np.float64] | None:
    """Return the standardized features of a dataset, float64 [n, 18]; None without its records."""
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
    return standardization(beats).apply(beats)


def _time_generation(
    x: NDArray[np.float64], generations: int = 20, **changes: Any
) -> dict[str, float]:
    """Return the times of a generation of about 100 new antibodies and of the decomposition.

    Args:
        x: float64 [n, d], standardized features.
        generations: Number of generations timed; their median is reported.
        changes: Options of ``iemmc`` other than the defaults.
    """
    n, rng = len(x), np.random.default_rng(0)
    options = IemmcOptions(generations=generations, **changes)
    kernel, lam = rbf(x, x, median_width(x, rng)), 1 / (2 * options.C)
    started = perf_counter()
    margin = margin_of_kernel(kernel, lam)
    decomposition = perf_counter() - started

    fast = margin.astype(options.precision)
    started = perf_counter()
    fast.smoother  # noqa: B018 - computed at the first use
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
    _direct_objective(kernel, y, lam)
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


def _direct_objective(kernel: NDArray[np.float64], y: NDArray[np.float64], lam: float) -> float:
    """Return J(y) = min_{f,b} ‖y − f − b‖² + λ‖f‖² by solving linear systems, O(n³)."""
    regularized = kernel + lam * np.eye(len(y))
    a_one = np.linalg.solve(regularized, np.ones(len(y)))
    b = float(a_one @ y / a_one.sum())
    c = np.linalg.solve(regularized, y - b)
    residual = y - kernel @ c - b
    return float(residual @ residual + lam * c @ kernel @ c)


def _time_clustering(x: NDArray[np.float64]) -> dict[str, float]:
    """Return the times of clustering points [n, d] into five clusters, with the kernel."""
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

    bisect(n, _CLUSTERS, min_size, split)
    seconds = perf_counter() - started
    return {
        "beats": n,
        "kernel_s": prepared,
        "seconds": seconds,
        "antibodies": float(sum(evolved)),
        "kernel_share": prepared / seconds,
    }
