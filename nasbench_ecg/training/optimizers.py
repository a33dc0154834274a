"""The optimizer of the weights, and the schedule of its learning rate."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from nasbench_ecg.training.recipe import Recipe


def weight_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer, fused into one kernel unless weights are complex."""
    fused = all(weights.is_floating_point() for weights in model.parameters())
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            fused=fused,
            capturable=any(weights.is_cuda for weights in model.parameters()),
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=fused,
    )


def cosine(
    optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the cosine schedule from ``lr`` to ``lr_min`` over the epochs."""
    return _Cosine(optimizer, T_max=recipe.epochs, eta_min=recipe.lr_min)


def rate_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the recipe's schedule, which advances after each epoch, or one-cycle each step.

    Args:
        optimizer: The optimizer.
        recipe: The hyperparameters.
        steps: Steps of an epoch.
    """
    if recipe.schedule == "cosine":
        return cosine(optimizer, recipe)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=steps * recipe.epochs + 1, cycle_momentum=False
    )


class _Cosine(torch.optim.lr_scheduler.CosineAnnealingLR):
    """The schedule without PyTorch's warning for a resumed epoch that had no step left."""

    def step(self, epoch: int | None = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            super().step(epoch)
