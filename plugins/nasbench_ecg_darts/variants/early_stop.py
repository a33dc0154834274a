"""Going back to an earlier α, for relatives that stop early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nasbench_ecg_darts.options import DartsESOptions, DartsPlusOptions
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.variants.base import Variant


def keep_alpha(state: SearchState, *, last: int = 1) -> None:
    """Remember α as it is now; of what was kept, the ``last`` times remain."""
    alpha = {name: value.detach().clone() for name, value in state.alpha.items()}
    kept = [*state.memory.get("kept", []), {"epoch": state.epoch, "alpha": alpha}]
    state.memory["kept"] = kept[-last:]


def return_to_kept_alpha(state: SearchState) -> None:
    """Set α to the earliest that is kept; where none is, leave it."""
    if not (kept := state.memory.get("kept")):
        return
    with torch.no_grad():
        for name, value in state.alpha.items():
            value.copy_(kept[0]["alpha"][name])
    state.memory["alpha_of_epoch"] = kept[0]["epoch"]


def alpha_of_epoch(state: SearchState) -> int:
    """Return after which epoch α was as it is now."""
    epoch: int = state.memory.get("alpha_of_epoch", state.epoch)
    return epoch


def darts_plus(options: DartsPlusOptions) -> Darts:
    """Return DARTS+.

    Choose it where ``darts`` collapses to skips: it spends no more, and often less.
    """
    return Darts(
        options,
        Variant(
            name="darts-plus",
            after_epoch=partial(stop_at_skips, max_skips=options.max_skips),
            report=report_skips,
        ),
    )


def stop_at_skips(state: SearchState, figures: Mapping[str, float], *, max_skips: int) -> bool:
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


def report_skips(state: SearchState) -> dict[str, Any]:
    """Return the skips of the normal cell, and the epoch whose α the cells are of."""
    return {"normal_skips": skips(state), "alpha_of_epoch": alpha_of_epoch(state)}


def darts_es(options: DartsESOptions) -> Darts:
    """Return R-DARTS with early stopping.

    Choose it where ``darts`` finds worse cells the longer it searches: it stops when the dominant
    eigenvalue of the Hessian of the validation loss in α rises quickly.
    """
    return Darts(
        options,
        Variant(
            name="darts-es",
            after_epoch=partial(stop_at_curvature, options=options),
            report=report,
        ),
    )


def stop_at_curvature(
    state: SearchState, figures: Mapping[str, float], *, options: DartsESOptions
) -> bool:
    """Return whether the eigenvalue has risen; then α goes back to where the rise began.

    With i the epoch that the last full window is centred on, that is after epoch i − ``lag``.
    """
    eigenvalues: list[float] = state.memory.setdefault("eigenvalues", [])
    eigenvalues.append(figures["hessian_eigenvalue"])
    back = options.window // 2 + options.lag
    keep_alpha(state, last=back + 1)
    if state.epoch - back <= options.start_epoch or state.epoch >= options.epochs:
        return False
    if not has_risen(eigenvalues, window=options.window, lag=options.lag, ratio=options.ratio):
        return False
    return_to_kept_alpha(state)
    return True


def has_risen(eigenvalues: Sequence[float], *, window: int, lag: int, ratio: float) -> bool:
    """Return whether λ̄(i − lag) / λ̄(i) < ratio at the last epoch i with a full window around it.

    λ̄(i) is the mean over the ``window`` epochs around i. There is no answer but "no" before both
    windows are full.
    """
    if len(eigenvalues) < window + lag:
        return False
    now = sum(eigenvalues[-window:]) / window
    before = sum(eigenvalues[-window - lag : len(eigenvalues) - lag]) / window
    return now > 0 and before < ratio * now


def report(state: SearchState) -> dict[str, Any]:
    """Return the epoch whose α the cells are of."""
    return {"alpha_of_epoch": alpha_of_epoch(state)}
