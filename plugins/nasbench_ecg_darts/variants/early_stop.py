"""DARTS+ and DARTS-ES: end the search early, and return to an earlier α.

References:
    Liang et al. 2019, "DARTS+: Improved Differentiable Architecture Search with Early Stopping";
    section 3.2: stop at more than two skips in the normal cell.

    Zela et al. 2020, "Understanding and Robustifying Differentiable Architecture Search", ICLR;
    section 4.3 (DARTS-ES): stop when the dominant eigenvalue of ∇²α L_val rises quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nasbench_ecg_darts.options import DartsESOptions, DartsPlusOptions
from nasbench_ecg_darts.relaxation import discretize, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.variant import Variant


def darts_plus(options: DartsPlusOptions) -> Darts:
    """Return DARTS+.

    Choose it where ``darts`` collapses to skips: it costs no more, and often less.
    """
    return Darts(
        options,
        Variant(
            name="darts-plus",
            after_epoch=partial(stop_at_skips, max_skips=options.max_skips),
            details=skip_details,
        ),
    )


def stop_at_skips(state: SearchState, figures: Mapping[str, float], *, max_skips: int) -> bool:
    """Return whether the normal cell has more than ``max_skips`` skips; if so, restore α.

    α returns to the last epoch with at most ``max_skips`` skips, and stays where there was none.
    Warm-up epochs are not examined, as α is not trained in them.
    """
    if state.epoch <= state.options.warmup_epochs:
        return False
    if normal_skips(state) <= max_skips:
        save_alpha(state)
        return False
    restore_oldest_alpha(state)
    return True


def normal_skips(state: SearchState) -> int:
    """Return the number of skips in the normal cell that α currently encodes."""
    space = state.space
    genotype = discretize(mixing_weights(state.alpha), space.operations, space.nodes)
    return sum(edge.operation == "skip" for node in genotype.normal for edge in node)


def skip_details(state: SearchState) -> dict[str, Any]:
    """Return the skips of the normal cell, and the epoch that α is from."""
    return {"normal_skips": normal_skips(state), "alpha_of_epoch": alpha_of_epoch(state)}


def darts_es(options: DartsESOptions) -> Darts:
    """Return DARTS-ES, DARTS with early stopping (Zela et al. 2020, section 4.3).

    Choose it where ``darts`` finds worse cells the longer it searches: it stops when the dominant
    eigenvalue of the Hessian of the validation loss in α rises quickly. It is not R-DARTS of the
    same paper, which is the best of several searches with different regularization.
    """
    return Darts(
        options,
        Variant(
            name="darts-es",
            after_epoch=partial(stop_at_curvature, options=options),
            details=lambda state: {"alpha_of_epoch": alpha_of_epoch(state)},
        ),
    )


def stop_at_curvature(
    state: SearchState, figures: Mapping[str, float], *, options: DartsESOptions
) -> bool:
    """Return whether the eigenvalue has risen; if so, restore α from before the rise.

    With i the center of the last full window, α returns to the end of epoch i − ``lag``.
    """
    eigenvalues: list[float] = state.memory.setdefault("eigenvalues", [])
    eigenvalues.append(figures["hessian_eigenvalue"])
    back = options.window // 2 + options.lag
    save_alpha(state, keep=back + 1)
    if state.epoch - back <= options.start_epoch or state.epoch >= options.epochs:
        return False
    if not has_risen(eigenvalues, window=options.window, lag=options.lag, ratio=options.ratio):
        return False
    restore_oldest_alpha(state)
    return True


def has_risen(eigenvalues: Sequence[float], *, window: int, lag: int, ratio: float) -> bool:
    """Return whether λ̄(i − lag) / λ̄(i) < ratio at the last epoch i with a full window around it.

    λ̄(i) is the mean over the ``window`` epochs around i. False until both windows are full.
    """
    if len(eigenvalues) < window + lag:
        return False
    now = sum(eigenvalues[-window:]) / window
    before = sum(eigenvalues[-window - lag : len(eigenvalues) - lag]) / window
    return now > 0 and before < ratio * now


def save_alpha(state: SearchState, *, keep: int = 1) -> None:
    """Save the current α in the state's memory; only the last ``keep`` saved ones remain."""
    alpha = {name: value.detach().clone() for name, value in state.alpha.items()}
    saved = [*state.memory.get("saved", []), {"epoch": state.epoch, "alpha": alpha}]
    state.memory["saved"] = saved[-keep:]


def restore_oldest_alpha(state: SearchState) -> None:
    """Set α to the oldest saved one; do nothing where none is saved."""
    if not (saved := state.memory.get("saved")):
        return
    with torch.no_grad():
        for name, value in state.alpha.items():
            value.copy_(saved[0]["alpha"][name])
    state.memory["alpha_of_epoch"] = saved[0]["epoch"]


def alpha_of_epoch(state: SearchState) -> int:
    """Return the number of epochs after which α had its current value."""
    epoch: int = state.memory.get("alpha_of_epoch", state.epoch)
    return epoch
