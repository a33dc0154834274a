"""Going back to an earlier α, for relatives that stop early."""

from __future__ import annotations

import torch

from nasbench_ecg_darts.state import SearchState


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
