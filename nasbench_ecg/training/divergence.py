"""Checks of a network before and during its training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from nasbench_ecg.errors import DivergedError, PluginError


def raise_if_diverged(
    finite_steps: Tensor, state: Iterable[Tensor], *, epoch: int, steps: int
) -> None:
    """Check at the end of an epoch that the training has not diverged; a GPU waits for it once.

    Args:
        finite_steps: Number of steps of this epoch before the first loss that is not finite, [].
        state: Weights and buffers of the network.
        epoch: Number of the epoch, from 1.
        steps: Steps of the epoch.

    Raises:
        DivergedError: A loss is not finite, or a value of ``state``.
    """
    checks = [
        tensor.detach().isfinite().all()
        for tensor in state
        if tensor.is_floating_point() or tensor.is_complex()
    ]
    state_finite = torch.stack(checks).all() if checks else torch.ones_like(finite_steps)
    n_finite, finite = torch.stack([finite_steps, state_finite.to(finite_steps)]).tolist()
    if n_finite == steps and finite:
        return
    what, step = ("loss", n_finite + 1) if n_finite < steps else ("weights", steps)
    raise DivergedError(
        f"The training diverged: {what} not finite.",
        where=f"epoch {epoch}, step {int(step)} of {steps}",
        fix="Lower the learning rate or the limit of gradients; in bfloat16, try float32.",
    )


def check_outputs(probabilities: Tensor) -> None:
    """Check the class probabilities [beats, classes] of a network: NaN would be the first class.

    Weights that are finite can give outputs that are not.

    Raises:
        DivergedError: They are not finite for a beat.
    """
    if n := int(probabilities.isnan().any(dim=1).sum()):
        raise DivergedError(
            f"The network's outputs are not finite for {n:,} of {len(probabilities):,} beats.",
            fix="Lower the learning rate, or check the network in evaluation mode.",
        )


def check_state(model: nn.Module) -> None:
    """Check that the state of ``model`` consists of tensors, so that it can be saved.

    Raises:
        PluginError: A module adds another value with ``get_extra_state``.
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise PluginError(
                f"The state of the network cannot be saved: it holds a {type(value).__name__}, "
                "and only tensors are saved.",
                where=name,
                fix="Return a tensor from 'get_extra_state', or register a buffer instead.",
            )
