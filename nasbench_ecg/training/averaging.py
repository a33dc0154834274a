"""Averages of the weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasbench_ecg.training.recipe import Recipe

SWA_START = 0.75
"""Part of the steps before the first that ``swa`` averages."""

MAX_EXCESS = 0.01
"""Weight that a small last batch may have in statistics beyond its share of the beats."""


class WeightAverage:
    """The running average of a network's weights, updated after each step.

    - ``ema``: exponential, without the bias of a start: after n steps the weight of step i is
      proportional to d^(n − i), as in Adam's correction (Kingma, Ba 2015).
    - ``swa``: equal weights of all steps in the last quarter of the training (after Izmailov et al.
      2018, who average ends of epochs).

    PyTorch's ``AveragedModel`` computes the same, but lets a GPU wait in each step. Buffers are not
    averaged: the statistics of batch normalization are those of the averaged weights, measured at
    the end in one pass over the training beats.

    Args:
        model: The network, on its device.
        recipe: States the kind and the decay d.
        steps: Steps of the whole training.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        self._decay = recipe.averaging_decay if recipe.averaging == "ema" else None
        self._first = 0 if recipe.averaging == "ema" else int(SWA_START * steps)
        self._weights = [own.detach().clone() for own in model.parameters()]
        self._seen = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the weights after a step."""
        self._seen += 1
        n = self._seen - self._first
        if n > 0:
            share = 1 / n if self._decay is None else (1 - self._decay) / (1 - self._decay**n)
            torch._foreach_lerp_(self._weights, list(model.parameters()), share)

    @torch.no_grad()
    def apply(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Replace the weights of ``model`` by their average; unchanged if there is none yet.

        Args:
            model: The network.
            batches: Training signals [batch, n_leads, n_samples], for batch normalization, in
                random order: its variance is that within batches, as in training.
        """
        if self._seen > self._first:
            for own, average in zip(model.parameters(), self._weights, strict=True):
                own.copy_(average)
            _measure_norms(model, batches)

    def state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` takes."""
        return {"weights": self._weights, "seen": self._seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""
        self._seen = state["seen"]
        for own, saved in zip(self._weights, state["weights"], strict=True):
            own.copy_(saved)


def _measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the statistics of batch normalization to their averages over ``batches``.

    Batches count the same, as in PyTorch's ``update_bn``, unless a smaller one would count for more
    than its beats by over :data:`MAX_EXCESS`. That is so only for the last of fewer than 100.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
    n_beats = 0
    for n_batches, batch in enumerate(batches, start=1):
        n_beats += len(batch)
        share = 1 / n_batches
        if share - len(batch) / n_beats > MAX_EXCESS:
            share = len(batch) / n_beats
        for norm in norms:
            norm.momentum = share
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)
