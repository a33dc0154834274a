"""DARTS+: stop before the skips take over.

References:
    Liang et al. 2019, "DARTS+: Improved Differentiable Architecture Search with Early Stopping",
    section 3.2, criterion 1: the search stops at two or more skips in the normal cell. Here it
    stops at *more than* two by default, and goes back to the last α before, so that the cell found
    has at most two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from nasbench_ecg_darts.family import DartsPlusOptions
from nasbench_ecg_darts.rollback import alpha_of_epoch, keep_alpha, return_to_kept_alpha
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.strategy import Darts
from nasbench_ecg_darts.variant import Variant


def darts_plus(options: DartsPlusOptions) -> Darts:
    """Return DARTS+.

    Choose it where ``darts`` collapses to skips: it spends no more, and often less.
    """
    return Darts(
        options,
        Variant(
            name="darts-plus",
            after_epoch=partial(after_epoch, max_skips=options.max_skips),
            report=report,
        ),
    )


def after_epoch(state: SearchState, figures: Mapping[str, float], *, max_skips: int) -> bool:
    """Return whether the normal cell has more than ``max_skips`` skips; then α goes back.

    It goes back to the last epoch that had no more; where there was none, it stays. Nothing is
    judged before α is trained.
    """
    if state.epoch <= state.options.warmup_epochs:
        return False
    if skips(state) <= max_skips:
        keep_alpha(state)
        return False
    return_to_kept_alpha(state)
    return True


def skips(state: SearchState) -> int:
    """Return the number of skips in the normal cell that α stands for now."""
    return sum(edge.operation == "skip" for node in state.genotype().normal for edge in node)


def report(state: SearchState) -> dict[str, Any]:
    """Return the skips of the normal cell, and the epoch whose α the cells are of."""
    return {"normal_skips": skips(state), "alpha_of_epoch": alpha_of_epoch(state)}
