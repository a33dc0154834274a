"""R-DARTS' early stopping: go back to before the curvature rose.

References:
    Zela et al. 2020, "Understanding and Robustifying Differentiable Architecture Search", ICLR;
    section 4.3 (DARTS-ES). How the averages lie around their epochs, and from which epoch on a stop
    counts, is as in their code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nasbench_ecg_darts.family import RDartsOptions
from nasbench_ecg_darts.rollback import alpha_of_epoch, keep_alpha, return_to_kept_alpha
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.strategy import Darts
from nasbench_ecg_darts.variant import Variant


def r_darts(options: RDartsOptions) -> Darts:
    """Return R-DARTS with early stopping.

    Choose it where ``darts`` finds worse cells the longer it searches: it stops when the dominant
    eigenvalue of the Hessian of the validation loss in α rises quickly.
    """
    return Darts(
        options,
        Variant(
            name="r-darts",
            after_epoch=partial(after_epoch, options=options),
            report=report,
        ),
    )


def after_epoch(
    state: SearchState, figures: Mapping[str, float], *, options: RDartsOptions
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
