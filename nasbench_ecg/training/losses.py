"""Losses for classes of very different frequency."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from nasbench_ecg.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]
"""Maps logits float32 [batch, n_classes] and labels int64 [batch] to their mean loss, []."""


def loss_function(recipe: Recipe, labels: Tensor, n_classes: int) -> Loss:
    """Return the recipe's loss, with the class frequencies of ``labels``.

    With n_c the number of beats of class c, π_c its share, and p the softmax of the logits z, the
    loss of a beat of class y is

    - ``cross-entropy``: −log p_y.
    - ``logit-adjustment``: −log softmax(z + τ log π)_y (Menon et al. 2021, "Long-tail learning via
      logit adjustment", equation 10). Predictions use z. A class without beats is not adjusted,
      nor is one whose π_c is below ``min_share``: of a class with eight beats a network learns
      little, and a shift of log(8 / 50,000) lets it be predicted everywhere.
    - ``class-balanced``: −α_y log p_y with α_c proportional to (1 − β) / (1 − β^n_c), scaled to a
      mean of 1 over the classes with beats (Cui et al. 2019, "Class-balanced loss based on
      effective number of samples", equation 5).
    - ``focal``: −(1 − p_y)^γ log p_y (Lin et al. 2017, "Focal loss for dense object detection",
      equation 4).

    Args:
        recipe: States the loss and its τ, smallest share, β and γ.
        labels: int64 [n_beats], classes of the training beats, on the device of the training.
        n_classes: Number of classes.
    """
    if recipe.loss == "cross-entropy":
        return cross_entropy
    if recipe.loss == "focal":
        return lambda logits, y: focal_loss(logits, y, recipe.gamma)
    counts = torch.bincount(labels.cpu(), minlength=n_classes).double()
    if recipe.loss == "logit-adjustment":
        share = counts / counts.sum()
        adjusted = (counts > 0) & (share >= recipe.min_share)
        log_prior = torch.where(adjusted, share, 1.0).log()
        shift = (recipe.tau * log_prior).float().to(labels.device)
        return lambda logits, y: cross_entropy(logits + shift, y)
    weight = class_balanced_weights(counts, recipe.beta).float().to(labels.device)
    return lambda logits, y: (cross_entropy(logits, y, reduction="none") * weight[y]).mean()


def class_balanced_weights(counts: Tensor, beta: float) -> Tensor:
    """Return the weight of each class, [n_classes]; their mean over classes with beats is 1.

    Args:
        counts: float64 [n_classes], beats of each class. The weight of a class without is 0.
        beta: β, below 1; 0 gives equal weights, and near 1 inverse frequencies.
    """
    present = counts > 0
    weights = torch.where(present, (1 - beta) / (1 - beta ** counts.clamp(min=1)), 0.0)
    return weights * present.sum() / weights.sum()


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return the mean focal loss of the softmax, []."""
    log_p = log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
    rest = (-torch.expm1(log_p)).clamp(
        min=1e-8
    )  # at 0, the gradient of a power below 1 is not finite
    return (-(rest**gamma) * log_p).mean()
