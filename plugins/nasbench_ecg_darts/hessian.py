"""The dominant eigenvalue of ∇²α L_val: how sharp the minimum is that α moves into.

Zela et al. 2020, "Understanding and Robustifying Differentiable Architecture Search", section 4:
the larger it is, the more the discrete cell loses against the relaxed one.

The authors form the whole matrix on one batch. Here the largest eigenvalue comes from a few steps
of the Lanczos process on a small fixed set of validation beats. Each step is a Hessian-vector
product by double differentiation; together they cost a few percent of an epoch, and a quarter of
one of ``gdas``, whose steps compute one operation of an edge where these compute all. Finite
differences of gradients are not an alternative: because of the kinks of ReLU and max pooling, they
grow without bound as the step shrinks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nasbench_ecg_darts.architect import Mix, pure_loss
from nasbench_ecg_darts.relaxation import Alpha
from nasbench_ecg_darts.state import SearchState

PRODUCTS = 5
"""Hessian-vector products."""

_MIN_BEATS, _MAX_BEATS, _FRACTION = 16, 64, 250
"""The loss is taken on one in 250 of the beats of an epoch, within these bounds."""


def dominant_eigenvalue(
    loss: Callable[[Tensor], Tensor], at: Tensor, *, products: int = PRODUCTS
) -> float:
    """Return the largest eigenvalue of the Hessian of ``loss``, or slightly less.

    Exact if ``products`` is at least the number of distinct eigenvalues. The process starts from a
    fixed direction: the same loss gives the same value, and no global generator is used.

    Args:
        loss: A twice differentiable function of a vector.
        at: The vector [n].
        products: Largest number of Hessian-vector products.
    """
    x = at.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    start = torch.randn(len(x), generator=torch.Generator().manual_seed(0)).to(x)
    basis = [start / start.norm()]
    diagonal: list[Tensor] = []
    off_diagonal: list[Tensor] = []
    for _ in range(min(products, len(x))):
        (image,) = torch.autograd.grad(gradient, x, basis[-1], retain_graph=True)
        scale = image.norm()
        diagonal.append(basis[-1] @ image)
        for q in (*basis, *basis):  # twice, because of rounding errors
            image = image - (q @ image) * q
        off_diagonal.append(image.norm())
        if not off_diagonal[-1] > 1e-6 * scale:
            break
        basis.append(image / off_diagonal[-1])
    inner = torch.stack(off_diagonal)[: len(diagonal) - 1]
    tridiagonal = torch.diag(torch.stack(diagonal)) + torch.diag(inner, 1) + torch.diag(inner, -1)
    return float(torch.linalg.eigvalsh(tridiagonal.double().cpu())[-1])


def alpha_eigenvalue(state: SearchState, mix: Mix) -> float:
    """Return the dominant eigenvalue of the Hessian of the validation loss in all of α.

    It is computed in single precision with batch statistics, and does not change the state.

    Args:
        state: The search.
        mix: Mixing weights as a function of α, without randomness.
    """
    beats = state.steps_per_epoch * state.batch_size // _FRACTION
    batch = state.fixed_validation_batch(min(max(beats, _MIN_BEATS), _MAX_BEATS))
    loss = pure_loss(state.net, "float32", mix)
    weights = {name: value.detach() for name, value in state.net.named_parameters()}
    names = tuple(state.alpha)
    shape = state.alpha[names[0]].shape

    def loss_of(flat: Tensor) -> Tensor:
        alpha: Alpha = {
            name: part.view(shape) for name, part in zip(names, flat.chunk(len(names)), strict=True)
        }
        return loss(weights, alpha, batch)

    return dominant_eigenvalue(
        loss_of, torch.cat([value.ravel() for value in state.alpha.values()])
    )
