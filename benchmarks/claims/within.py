"""The reading within one record: the runs of the suite ``iemmc-records`` and their claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, median

import checks
import numpy as np
from checks import SAME
from evidence import Claim
from experiment import (
    IEMMC,
    IEMMC_K_MEANS,
    ITERSVR,
    ITERSVR_K_MEANS,
    K_MEANS,
    RANDOM,
    SVM,
    Experiment,
    experiment_of,
    option_of,
    read_suite,
)
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg_immune.space import from_architecture

SUITE = "iemmc-records"
METHODS = (IEMMC, IEMMC_K_MEANS, ITERSVR, ITERSVR_K_MEANS, K_MEANS, SVM, RANDOM)


@dataclass(frozen=True)
class Within:
    """The runs within records.

    Attributes:
        bounds: Balance bounds, ascending.
        experiments: The runs with each bound.
        claimed: The bounds at which all methods were run, so that claims can be tested.
        other_share: Runs on the sample with fewer other beats.
    """

    bounds: tuple[float, ...]
    experiments: tuple[Experiment, ...]
    claimed: tuple[float, ...]
    other_share: tuple[RunRecord, ...]

    def at(self, bound: float) -> Experiment:
        """Return the runs with a balance bound."""
        return self.experiments[self.bounds.index(bound)]


def read_within(out: Path) -> Within:
    """Return the finished runs of the suite below ``out``.

    Raises:
        StorageError: A method has no run yet.
    """
    records = read_suite(out, SUITE, METHODS)
    usual = [record for record in records if not record.components["dataset"].changed]
    bounds = sorted({b for record in usual if (b := option_of(record, "balance")) is not None})
    experiments = tuple(experiment_of(usual, bound) for bound in bounds)
    claimed = [
        bound
        for bound, found in zip(bounds, experiments, strict=True)
        if all(found.of(method) for method in METHODS)
    ]
    return Within(
        tuple(bounds),
        experiments,
        tuple(claimed),
        tuple(record for record in records if record.components["dataset"].changed),
    )


def check_within(experiments: Sequence[Experiment]) -> list[list[Claim]]:
    """Return the paper's claims in its order, tested within records at each balance bound."""
    return checks.check_claims(experiments, _INSTEAD)


def objective(run: RunRecord, record: str) -> float:
    """Return J by beat of the clustering of one record."""
    return float(run.search_details["records"][record]["splits"][0]["objective"])


def unexplained(run: RunRecord, record: str) -> float:
    """Return J as a share of n(1 − ȳ²), what a constant leaves unexplained of the labels."""
    split = run.search_details["records"][record]["splits"][0]
    share = split["smaller_side"] / split["beats"]
    return float(split["objective"]) / (4 * share * (1 - share))


def names_of(runs: Sequence[RunRecord]) -> list[str]:
    """Return the names of the records that a run clusters."""
    return list(runs[0].search_details["records"])


def _fusion(found: Experiment) -> Claim:
    return Claim(words=checks.FUSION_WORDS, test="there are two classes", figures="–")


def _global_search(found: Experiment) -> Claim:
    lower = [
        objective(own, name) <= objective(other, name) * (1 + SAME)
        for cells in zip(*(found.of(m) for m in METHODS[:4]), strict=True)
        for own in [*cells[0].runs, *cells[1].runs]
        for other in [*cells[2].runs, *cells[3].runs]
        for name in names_of([own])
    ]
    partly = "held in part" if fmean(lower) > 0.5 else "did not hold"
    return Claim(
        words=checks.GLOBAL_SEARCH_WORDS,
        test="J of a record at most that of iterSVR at the same C, for every pair of runs",
        outcome="held" if all(lower) else partly,
        figures=f"{sum(lower):,} of {len(lower):,} pairs",
    )


def _same_optimum(found: Experiment) -> Claim:
    same = []
    for cells in zip(found.of(IEMMC), found.of(IEMMC_K_MEANS), strict=True):
        runs = [run for cell in cells for run in cell.runs]
        for name in names_of(runs):
            values = [objective(run, name) for run in runs]
            same.append(max(values) / min(values) - 1 <= SAME)
    return Claim(
        words=checks.SAME_OPTIMUM_WORDS,
        test=f"J of a record of all runs at a C, both starts, within {SAME:.1%}",
        outcome="held" if all(same) else "held in part" if any(same) else "did not hold",
        figures=f"in {sum(same)} of {len(same)} cases (records × C)",
    )


def _four_generations(found: Experiment) -> Claim:
    generations = []
    for cell in [*found.of(IEMMC), *found.of(IEMMC_K_MEANS)]:
        for run in cell.runs:
            for one in run.search_details["records"].values():
                curve = one["curves"][0]
                generations.append(1 + int(np.argmax(np.array(curve) <= curve[-1] * (1 + SAME))))
    rounds = [
        one["rounds"][0]
        for cell in [*found.of(ITERSVR), *found.of(ITERSVR_K_MEANS)]
        for run in cell.runs
        for one in run.search_details["records"].values()
    ]
    four = sum(g <= 4 for g in generations)
    return Claim(
        words=checks.FOUR_GENERATIONS_WORDS,
        test=f"generations until J of a record is within {SAME:.1%} of its last value",
        outcome="held" if four == len(generations) else "held in part" if four else "did not hold",
        figures=f"at most four in {four / len(generations):.0%} of {len(generations):,} "
        f"evolutions, median {median(generations):g}; iterSVR used {min(rounds)}–{max(rounds)} of "
        f"its ten rounds, median {median(rounds):g}",
    )


_INSTEAD = {
    checks.fusion: _fusion,
    checks.global_search: _global_search,
    checks.same_optimum: _same_optimum,
    checks.four_generations: _four_generations,
}

RULES = {
    "labels, for all records at once (the paper's way for C)": "of all",
    "labels, for each record (an upper bound)": "of each",
    "smallest J": "objective",
    "smallest share of the labels' variance that J leaves": "unexplained",
    "labelings of the repetitions agree most, then the rule above": "stability",
}
"""How C, or C and l, are chosen."""


def chosen(
    cells: Sequence[Sequence[RunRecord]], rule: str, index: dict[str, NDArray[np.int64]]
) -> float:
    """Return the mean accuracy over records and repetitions if a rule chooses among ``cells``.

    Args:
        cells: The repetitions of each candidate setting.
        rule: One of the values of ``RULES``.
        index: Where the beats of each record are in a labeling.
    """
    names = names_of(cells[0])
    accuracy = np.array(
        [
            [fmean(run.metrics[f"clustered_accuracy_{name}"] for run in runs) for name in names]
            for runs in cells
        ]
    )
    if rule == "of all":
        return float(accuracy.mean(axis=1).max())
    if rule == "of each":
        return float(accuracy.max(axis=0).mean())
    measure = objective if rule == "objective" else unexplained
    cost = np.array([[fmean(measure(run, name) for run in runs) for name in names]
                     for runs in cells])  # fmt: skip
    if rule == "stability":
        cost -= 10 * np.array([agreement(runs, [index[name] for name in names]) for runs in cells])
    best = cost.argmin(axis=0)
    return float(accuracy[best, np.arange(len(names))].mean())


def agreement(runs: Sequence[RunRecord], index: Sequence[NDArray[np.int64]]) -> list[float]:
    """Return, for each record, the mean share of beats on which two labelings agree.

    It is 1 for a single labeling.
    """
    codes = [from_architecture(Architecture.from_dict(run.architecture or {})) for run in runs]
    shares = []
    for own in index:
        equal = [float(np.mean(a[own] == b[own])) for a, b in combinations(codes, 2)] or [1.0]
        shares.append(round(fmean(max(share, 1 - share) for share in equal), 6))
    return shares
