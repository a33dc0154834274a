"""The gradient of α in DARTS, to first and second order (Liu et al. 2019, section 2.3).

First order: ∇α L_val(w, α). Second order, equation (7):
∇α L_val(w', α) − ξ ∇²α,w L_train(w, α) ∇w' L_val(w', α), with w' one step of SGD from w, and the
matrix-vector product by finite differences, equation (8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg.training import Precision, autocast
from nasbench_ecg_darts.relaxation import Alpha, mixing_weights
from nasbench_ecg_darts.supernet import EdgeWeights, SuperNet


@dataclass(frozen=True)
class Batch:
    """Beats [batch, leads, samples] and their labels [batch]."""

    x: Tensor
    y: Tensor


Loss = Callable[[Mapping[str, Tensor], Alpha, Batch], Tensor]
"""L(w, α) on a batch, as a function of weights, α and batch."""

Mix = Callable[[Alpha], EdgeWeights]
"""Mixing weights as a function of α; for DARTS a softmax."""


def relaxed_loss(
    net: SuperNet, alpha: Alpha, batch: Batch, precision: Precision, mix: Mix = mixing_weights
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of the relaxed network on a batch, and its logits."""
    with autocast(batch.x.device.type, precision):
        logits = net(batch.x, mix(alpha))
    logits = logits.float()
    return cross_entropy(logits, batch.y), logits


def first_order(loss: Tensor, alpha: Alpha) -> tuple[Tensor, ...]:
    """Return ∇α L_val(w, α), the gradient of a loss in α alone.

    It is zero in the α of a cell type that the loss does not depend on: GDAS may draw ``none`` on
    every path from those cells to the output.
    """
    return torch.autograd.grad(loss, tuple(alpha.values()), materialize_grads=True)


def pure_loss(net: SuperNet, precision: Precision, mix: Mix = mixing_weights) -> Loss:
    """Return L(w, α) as a function that does not change the network's running statistics."""

    def loss(weights: Mapping[str, Tensor], alpha: Alpha, batch: Batch) -> Tensor:
        buffers = {name: value.clone() for name, value in net.named_buffers()}
        with autocast(batch.x.device.type, precision):
            logits = functional_call(
                net, {**weights, **buffers}, (batch.x, mix(alpha)), strict=False
            )
        return cross_entropy(logits.float(), batch.y)

    return loss


def second_order(
    loss: Loss,
    weights: Mapping[str, Tensor],
    alpha: Alpha,
    *,
    train: Batch,
    validation: Batch,
    lr: float,
    momentum: float,
    weight_decay: float,
    velocity: Mapping[str, Tensor],
) -> tuple[Tensor, ...]:
    """Return ∇α of the validation loss at w', the weights after one step of SGD, equation (7).

    Args:
        loss: L(w, α) on a batch, without side effects.
        weights: w by name.
        alpha: α.
        train: Batch of the step of SGD.
        validation: Batch of the validation loss.
        lr: ξ, the learning rate of the step.
        momentum: Momentum of the step.
        weight_decay: Weight decay of the step.
        velocity: SGD's momentum buffers by name; a missing one counts as zero.
    """
    w = {name: value.detach().requires_grad_() for name, value in weights.items()}
    gradients = torch.autograd.grad(loss(w, alpha, train), tuple(w.values()))
    unrolled = {}
    for (name, value), gradient in zip(w.items(), gradients, strict=True):
        step = gradient + weight_decay * value.detach()
        if name in velocity:
            step = step + momentum * velocity[name]
        unrolled[name] = (value.detach() - lr * step).requires_grad_()

    both = torch.autograd.grad(
        loss(unrolled, alpha, validation), (*alpha.values(), *unrolled.values())
    )
    direct, direction = both[: len(alpha)], both[len(alpha) :]
    implicit = hessian_vector_product(loss, w, alpha, train, direction)
    return tuple(d - lr * i for d, i in zip(direct, implicit, strict=True))


def hessian_vector_product(
    loss: Loss,
    weights: Mapping[str, Tensor],
    alpha: Alpha,
    train: Batch,
    direction: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Return ∇²α,w L_train · v ≈ (∇α L(w + εv) − ∇α L(w − εv)) / 2ε, equation (8).

    As in the paper, ε = 0.01 / ‖v‖.
    """
    norm = torch.linalg.vector_norm(torch.stack([v.norm() for v in direction]))
    epsilon = 0.01 / norm.clamp_min(1e-12)

    def gradient_at(sign: float) -> tuple[Tensor, ...]:
        moved = {
            name: value.detach() + sign * epsilon * v
            for (name, value), v in zip(weights.items(), direction, strict=True)
        }
        return torch.autograd.grad(loss(moved, alpha, train), tuple(alpha.values()))

    plus, minus = gradient_at(1.0), gradient_at(-1.0)
    return tuple((p - m) / (2 * epsilon) for p, m in zip(plus, minus, strict=True))


def velocities(net: SuperNet, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return SGD's momentum buffers by name of the weight; empty before the first step."""
    found: dict[str, Tensor] = {}
    for name, parameter in net.named_parameters():
        state: dict[str, Any] = optimizer.state.get(parameter, {})
        buffer = state.get("momentum_buffer")
        if buffer is not None:
            found[name] = buffer
    return found
