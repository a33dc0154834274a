"""What the repetitions, or the records, show of a claim that compares means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from experiment import ACCURACY, Cell

from nasbench_ecg.statistics import SIGNIFICANCE, holm, paired_p_value, smallest_paired_p_value
from nasbench_ecg.text import p_value

Outcome = Literal[
    "shown to hold",
    "held in the mean",
    "held",
    "held in part",
    "did not hold in the mean",
    "did not hold",
    "shown not to hold",
    "not testable",
]


@dataclass(frozen=True)
class Comparison:
    """A paired test of two means, of which the claim says that the first is larger.

    Attributes:
        difference: Mean of first minus second.
        p: Two-sided p-value of a permutation test (:func:`nasbench_ecg.statistics.paired_p_value`).
        n: Number of pairs.
        unit: What the pairs are.
    """

    difference: float
    p: float
    n: int
    unit: Literal["repetitions", "records"]

    @property
    def possible(self) -> bool:
        """Whether so few pairs can show any difference."""
        return self.n > 1 and smallest_paired_p_value(self.n) < SIGNIFICANCE


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and its test.

    Attributes:
        words: The claim, quoted from the paper where possible.
        test: The comparison that tests it.
        figures: The values that were compared.
        outcome: Whether it held; of a claim that compares means, :func:`judge` says it.
        comparisons: The comparisons of means that must all be positive; empty for other claims.
        of_an_extreme: Whether one negative comparison is enough for a claim not to hold in part.
        evidence: What the tests of the comparisons say; empty for other claims.
    """

    words: str
    test: str
    figures: str
    outcome: Outcome = "not testable"
    comparisons: tuple[Comparison, ...] = ()
    of_an_extreme: bool = False
    evidence: str = ""

    @property
    def verdict(self) -> str:
        """The outcome with its evidence."""
        return f"{self.outcome} ({self.evidence})" if self.evidence else self.outcome


def above(first: Cell, second: Cell, margin: float = 0.0) -> Comparison:
    """Compare the accuracy of two methods, the second one raised by a margin.

    The pairs are the records, each with its mean over the repetitions, where runs cluster every
    record on its own, and the repetitions elsewhere.
    """
    names = list(first.runs[0].search_details.get("records", ()) or _records(second))
    if names:
        metrics = [f"{ACCURACY}_{name}" for name in names]
        return _compared(
            [first.mean(name) for name in metrics],
            [second.mean(name) + margin for name in metrics],
            "records",
        )
    values = [{run.search_seed: run.metrics[ACCURACY] for run in c.runs} for c in (first, second)]
    common = sorted(values[0].keys() & values[1].keys())
    ours, theirs = ([own[seed] for seed in common] for own in values)
    return _compared(ours, [value + margin for value in theirs], "repetitions")


def larger(cell: Cell, first: str, second: str) -> Comparison:
    """Compare two metrics of the same runs."""
    return _compared(cell.values(first), cell.values(second), "repetitions")


def _records(cell: Cell) -> Sequence[str]:
    return list(cell.runs[0].search_details.get("records", ()))


def _compared(
    first: Sequence[float], second: Sequence[float], unit: Literal["repetitions", "records"]
) -> Comparison:
    difference = round(fmean(a - b for a, b in zip(first, second, strict=True)), 12)
    p = paired_p_value(first, second) if len(first) > 1 else 1.0
    return Comparison(difference, p, len(first), unit)


def judge(claims: Sequence[Sequence[Claim]]) -> list[list[Claim]]:
    """Return claims with outcome and evidence, corrected for all comparisons that can show any.

    Args:
        claims: The claims of one report, for example by balance bound.
    """
    tested = [c for own in claims for claim in own for c in claim.comparisons if c.possible]
    corrected = dict(zip(map(id, tested), holm([c.p for c in tested]), strict=True))
    return [[_judged(claim, corrected) for claim in own] for own in claims]


def _judged(claim: Claim, corrected: dict[int, float]) -> Claim:
    found = claim.comparisons
    if not found:
        return claim
    signs = Counter((c.difference > 0) - (c.difference < 0) for c in found)
    p = [corrected.get(id(c), 1.0) for c in found]
    positive = [value for c, value in zip(found, p, strict=True) if c.difference > 0]
    negative = [value for c, value in zip(found, p, strict=True) if c.difference < 0]
    n_shown, n_opposite = (sum(v < SIGNIFICANCE for v in own) for own in (positive, negative))
    outcome: Outcome
    if signs[1] == len(found):
        outcome = "shown to hold" if n_shown == len(found) else "held in the mean"
        evidence = f"p = {p_value(max(p))}" if len(p) == 1 else f"largest p = {p_value(max(p))}"
    elif not signs[1] or (claim.of_an_extreme and signs[-1]):
        outcome = "shown not to hold" if n_opposite else "did not hold in the mean"
        least = min(negative or p)
        evidence = f"p = {p_value(least)}" if len(p) == 1 else f"smallest p = {p_value(least)}"
    else:
        outcome = "held in part"
        evidence = f"{signs[1]} of {len(found)} comparisons in the mean, {n_shown} shown"
        if n_opposite:
            evidence += f", the opposite shown for {n_opposite}"
    if not any(c.possible for c in found):
        evidence = f"{found[0].n} {found[0].unit} cannot show it"
    return replace(claim, outcome=outcome, evidence=evidence.replace("p = <", "p <"))
