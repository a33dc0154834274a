"""How long a search will take: a few random candidates stand for all."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from nasbench_ecg.api import Fidelity, SearchContext, SearchSpace
from nasbench_ecg_blackbox.limit import SizeLimit

CANDIDATES = 2
"""Random architectures that are timed."""


def seconds_of_search(
    plan: Sequence[tuple[int, Fidelity]],
    space: SearchSpace,
    ctx: SearchContext,
    limit: SizeLimit,
) -> float | None:
    """Return the seconds that a search will take here; None if the evaluator cannot say.

    Args:
        plan: How many candidates are evaluated, and how thoroughly. Of more than the budget
            allows, the first count.
        space: Where candidates are drawn from.
        ctx: The search's context, of whose budget nothing is spent.
        limit: What candidates are allowed.

    Raises:
        OptionError: ``limit`` allows no candidate of many.
    """
    left = ctx.budget.evaluations
    drawn = [limit.sample(space, ctx.rng) for _ in range(CANDIDATES)]
    total = 0.0
    for wanted, fidelity in plan:
        n = wanted if left is None else min(wanted, left)
        left = None if left is None else left - n
        if not n:
            continue
        each = [ctx.seconds_per_evaluation(arch, fidelity) for arch in drawn]
        known = [seconds for seconds in each if seconds is not None]
        if not known:
            return None
        total += n * fmean(known)
    total /= ctx.parallel
    return total if ctx.budget.seconds is None else min(total, ctx.budget.seconds)
