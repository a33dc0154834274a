"""The claims of the paper: how each is tested on the runs, and whether it held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, median

import numpy as np
from evidence import Claim, Outcome, above, judge, larger
from experiment import (
    ACCURACY,
    IEMMC,
    IEMMC_K_MEANS,
    ITERSVR,
    ITERSVR_K_MEANS,
    K_MEANS,
    SVM,
    Cell,
    Experiment,
)

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg_immune.evaluator import contingency_table, map_by_assignment
from nasbench_ecg_immune.space import from_architecture

NEAR = 0.02
"""Largest difference of two mean accuracies that count as similar."""

SAME = 1e-3
"""Largest relative difference of two objectives that count as one optimum."""


FUSION_WORDS = '"The performance of type F is lower"'
GLOBAL_SEARCH_WORDS = 'better than iterSVR "in terms of global search ability"'
SAME_OPTIMUM_WORDS = '"could obtain the same optimal solution from different initializations"'
FOUR_GENERATIONS_WORDS = (
    '"While iterSVR needs to iterate ten times …, IEMMC only needs … four generations"'
)


Check = Callable[[Experiment], Claim]


def check_claims(
    experiments: Sequence[Experiment], instead: Mapping[Check, Check] | None = None
) -> list[list[Claim]]:
    """Return the paper's claims in its order, each tested on the runs of each experiment.

    Args:
        experiments: The experiments of one report, for all of whose comparisons p is corrected.
        instead: Checks that take the place of others.
    """
    checks = [(instead or {}).get(check, check) for check in CHECKS]
    return judge([[check(found) for check in checks] for found in experiments])


def high(found: Experiment) -> Claim:
    """Test the claim on the correctness of the clustering."""
    cell = found.best(IEMMC)
    return Claim(
        words='"The correctness of ECG arrhythmias is at a high level" (Tables 3 and 4)',
        test="the text that we have lacks the paper's tables, so there is nothing to compare with",
        figures=f"ours: accuracy {cell.percent(ACCURACY)} %, F1 of macros "
        f"{cell.percent('clustered_f1_of_macro')} % (C = {cell.C:g})",
    )


def _by_class(found: Experiment) -> dict[str, float]:
    cell = found.best(IEMMC)
    return {name: cell.mean(_se(name)) for name in cell.runs[0].classes}


def _se(name: str) -> str:
    return f"clustered_se_{name.lower()}"


def normal(found: Experiment) -> Claim:
    """Test the claim on N being separated best."""
    cell, se = found.best(IEMMC), _by_class(found)
    return Claim(
        words='N is "easy to be separated from the other types; so, its result is better"',
        test="Se of N is the largest of all classes, IEMMC with the best C",
        figures=_sensitivities(se),
        comparisons=tuple(larger(cell, _se("N"), _se(name)) for name in se if name != "N"),
        of_an_extreme=True,
    )


def fusion(found: Experiment) -> Claim:
    """Test the claim on F being separated worst."""
    cell, se = found.best(IEMMC), _by_class(found)
    return Claim(
        words=FUSION_WORDS,
        test="Se of F is the smallest of all classes, IEMMC with the best C",
        figures=_sensitivities(se),
        comparisons=tuple(larger(cell, _se(name), _se("F")) for name in se if name != "F"),
        of_an_extreme=True,
    )


def near_svm(found: Experiment) -> Claim:
    """Test the claim on IEMMC being as good as the SVM."""
    ours, svm = found.best(IEMMC), found.best(SVM)
    return Claim(
        words='"The IEMMC\'s performance is as similar as that of the SVM"',
        test=f"mean accuracy less than {100 * NEAR:g} points below, each with its best C",
        comparisons=(above(ours, svm, -NEAR),),
        figures=f"IEMMC {ours.percent(ACCURACY)} %, SVM {svm.percent(ACCURACY)} %; held-out beats: "
        f"{ours.percent('accuracy')} % and {svm.percent('accuracy')} %",
    )


def above_clustering(found: Experiment) -> Claim:
    """Test the claim on IEMMC being better than other clusterings."""
    others = [found.best(method) for method in (K_MEANS, ITERSVR, ITERSVR_K_MEANS)]
    ours = [found.best(method) for method in (IEMMC, IEMMC_K_MEANS)]
    found_above = tuple(above(cell, other) for cell in ours for other in others)
    wins = sum(one.difference > 0 for one in found_above)
    return Claim(
        words='"… and better than those of all clustering methods"',
        test="mean accuracy of IEMMC, both starts, above k-means and iterSVR, each with its best C",
        comparisons=found_above,
        figures=_accuracies([*ours, *others]) + f"; above in {wins} of {len(found_above)} pairs",
    )


def itersvr_depends(found: Experiment) -> Claim:
    """Test the claim on the start of iterSVR."""
    cells = [(a, b) for a, b in zip(found.of(ITERSVR), found.of(ITERSVR_K_MEANS), strict=True)]
    gaps = [b.mean(ACCURACY) - a.mean(ACCURACY) for a, b in cells]
    listed = ", ".join(
        f"C = {a.C:g}: {100 * gap:+.1f}" for (a, _), gap in zip(cells, gaps, strict=True)
    )
    return Claim(
        words='"The performance of iterSVR largely depends on the superiority of initialization"',
        test=f"a k-means start gains more than {100 * NEAR:g} points of accuracy at every C",
        comparisons=tuple(above(b, a, NEAR) for a, b in cells),
        figures=f"points gained: {listed}",
    )


def itersvr_random(found: Experiment) -> Claim:
    """Test the claim on iterSVR from random labels."""
    ours, means = found.best(ITERSVR), found.best(K_MEANS)
    return Claim(
        words='"With random initialization, … iterSVR is even worse than … k-means"',
        test="mean accuracy, each with its best C",
        comparisons=(above(means, ours),),
        figures=_accuracies([ours, means]),
    )


def itersvr_means(found: Experiment) -> Claim:
    """Test the claim on iterSVR from k-means."""
    cell, ours = found.best(ITERSVR_K_MEANS), found.best(IEMMC)
    return Claim(
        words='"Even initialized by k-means, iterSVR still cannot meet the expectation"',
        test="mean accuracy below that of IEMMC from random starts, each with its best C",
        comparisons=(above(ours, cell),),
        figures=_accuracies([cell, ours]),
    )


def global_search(found: Experiment) -> Claim:
    """Test the claim on the objective found."""
    pairs = [
        (float(a.C or 0), own, other)
        for a, *rest in zip(
            *(found.of(m) for m in (IEMMC, IEMMC_K_MEANS, ITERSVR, ITERSVR_K_MEANS)), strict=True
        )
        for own in [*a.objectives(), *rest[0].objectives()]
        for other in [*rest[1].objectives(), *rest[2].objectives()]
    ]
    lower = [own <= other * (1 + SAME) for _, own, other in pairs]
    outcome: Outcome = "held in part" if fmean(lower) > 0.5 else "did not hold"
    return Claim(
        words=GLOBAL_SEARCH_WORDS,
        test="J of the first split at most that of iterSVR at the same C, for every pair of runs",
        outcome="held" if all(lower) else outcome,
        figures=f"{sum(lower)} of {len(lower)} pairs",
    )


def same_optimum(found: Experiment) -> Claim:
    """Test the claim on the optima from different starts."""
    parts, held = [], []
    for a, b in zip(found.of(IEMMC), found.of(IEMMC_K_MEANS), strict=True):
        values = [*a.objectives(), *b.objectives()]
        spread = max(values) / min(values) - 1
        held.append(spread <= SAME)
        agreed = _agreement([*a.runs, *b.runs])
        parts.append(f"C = {a.C:g}: J differs by {spread:.1%}, labels agree to {agreed:.0%}")
    outcome: Outcome = "held in part" if any(held) else "did not hold"
    return Claim(
        words=SAME_OPTIMUM_WORDS,
        test=f"J of the first split of all six runs at a C within {SAME:.1%}; also the mean share "
        "of beats on which two of their labelings agree",
        outcome="held" if all(held) else outcome,
        figures="; ".join(parts),
    )


def four_generations(found: Experiment) -> Claim:
    """Test the claim on the speed of convergence."""
    generations, parts = [], []
    for cell in [*found.of(IEMMC), *found.of(IEMMC_K_MEANS)]:
        own = [_generation_of_optimum(cell.curve(run)) for run in cell.runs]
        generations += own
        parts.append(f"{cell.method.start}, C = {cell.C:g}: {', '.join(f'{g:g}' for g in own)}")
    rounds = [
        run.search_details["rounds"][0]
        for cell in [*found.of(ITERSVR), *found.of(ITERSVR_K_MEANS)]
        for run in cell.runs
    ]
    four = sum(g <= 4 for g in generations)
    outcome: Outcome = "held in part" if four else "did not hold"
    return Claim(
        words=FOUR_GENERATIONS_WORDS,
        test=f"generations until J of the first split is within {SAME:.1%} of its last value",
        outcome="held" if four == len(generations) else outcome,
        figures=f"at most four in {four} of {len(generations)} runs, median "
        f"{median(generations):g} ({'; '.join(parts)}); iterSVR used {min(rounds)}–{max(rounds)} "
        f"of its ten rounds, median {median(rounds):g}",
    )


CHECKS: tuple[Check, ...] = (
    high,
    normal,
    fusion,
    near_svm,
    above_clustering,
    itersvr_depends,
    itersvr_random,
    itersvr_means,
    global_search,
    same_optimum,
    four_generations,
)


def _sensitivities(se: dict[str, float]) -> str:
    return "Se, %: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in se.items())


def _accuracies(cells: list[Cell]) -> str:
    return "; ".join(
        f"{cell.method.label} {cell.percent(ACCURACY)} %"
        + ("" if cell.C is None else f" (C = {cell.C:g})")
        for cell in cells
    )


def _generation_of_optimum(curve: list[tuple[float, float]]) -> float:
    """Return the first generation whose objective is within ``SAME`` of the last one."""
    end = curve[-1][1]
    return next(generation for generation, value in curve if value <= end * (1 + SAME))


def _agreement(runs: list[RunRecord]) -> float:
    """Return the mean share of beats on which two labelings agree, with clusters matched."""
    codes = [from_architecture(Architecture.from_dict(run.architecture)) for run in runs]
    shares = []
    for a, b in combinations(codes, 2):
        k = int(max(a.max(), b.max())) + 1
        matched = map_by_assignment(contingency_table(a, b.astype(np.int64), k, k))
        shares.append(float((matched[a] == b).mean()))
    return fmean(shares)
