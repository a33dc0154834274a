"""The dominant eigenvalue of ∇²α L_val, which tells how sharp the minimum is that α runs into.

Zela et al. 2020, "Understanding and Robustifying Differentiable Architecture Search", section 4:
as it grows, the discrete cell falls behind the relaxed one.

They form the whole matrix on one batch. Here the largest eigenvalue comes from a few steps of the
Lanczos process on a fixed small set of validation beats, each a product with the Hessian by
differentiating the gradient once more: a few percent of an epoch. (Differences of gradients would
not do: they grow without bound as the step shrinks, for the kinks of ReLU and max pooling.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nasbench_ecg_darts.architect import pure_loss
from nasbench_ecg_darts.relaxation import Alpha

if TYPE_CHECKING:
    from nasbench_ecg_darts.state import SearchState

PRODUCTS = 5
"""Products with the Hessian."""

_FEWEST, _MOST, _SHARE = 16, 64, 250
"""Beats that the loss is taken on: one in 250 of an epoch's, within bounds."""


def dominant_eigenvalue(
    loss: Callable[[Tensor], Tensor], at: Tensor, *, products: int = PRODUCTS
) -> float:
    """Return the largest eigenvalue of the Hessian of ``loss``, or a little less.

    Exact where ``products`` is the number of distinct eigenvalues or more. The process starts from
    a fixed direction: the same loss gives the same figure, and no generator is touched.

    Args:
        loss: A twice differentiable function of a vector.
        at: The vector [n].
        products: Most products with the Hessian.
    """
    x = at.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    start = torch.randn(len(x), generator=torch.Generator().manual_seed(0)).to(x)
    basis = [start / start.norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(min(products, len(x))):
        (image,) = torch.autograd.grad(gradient, x, basis[-1], retain_graph=True)
        scale = image.norm()
        diagonal.append(basis[-1] @ image)
        for q in (*basis, *basis):  # rounding asks for a second time
            image = image - (q @ image) * q
        beside.append(image.norm())
        if not beside[-1] > 1e-6 * scale:
            break
        basis.append(image / beside[-1])
    inner = torch.stack(beside)[: len(diagonal) - 1]
    tridiagonal = torch.diag(torch.stack(diagonal)) + torch.diag(inner, 1) + torch.diag(inner, -1)
    return float(torch.linalg.eigvalsh(tridiagonal.double().cpu())[-1])


def alpha_eigenvalue(state: SearchState) -> float:
    """Return the dominant eigenvalue of the Hessian of the validation loss in all of α.

    In single precision, with batch statistics, and without changing the state. Chance that a
    relative mixes by is left out.
    """
    beats = state.steps_per_epoch * state.batch_size // _SHARE
    batch = state.probe(min(max(beats, _FEWEST), _MOST))
    loss = pure_loss(state.net, "float32", state.noiseless)
    weights = {name: value.detach() for name, value in state.net.named_parameters()}
    names = tuple(state.alpha)
    shape = state.alpha[names[0]].shape

    def of(flat: Tensor) -> Tensor:
        alpha: Alpha = {
            name: part.view(shape) for name, part in zip(names, flat.chunk(len(names)), strict=True)
        }
        return loss(weights, alpha, batch)

    return dominant_eigenvalue(of, torch.cat([value.ravel() for value in state.alpha.values()]))
