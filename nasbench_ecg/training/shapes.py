"""Shapes of layers that learn the number of their inputs from the first beats."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from nasbench_ecg.errors import PluginError


def with_shapes(model: nn.Module, n_leads: int, n_samples: int) -> nn.Module:
    """Return ``model``, with weights for its lazy layers, such as ``torch.nn.LazyLinear``.

    Optimizers, costs and stored weights need all shapes. They follow from one beat in evaluation
    mode; weights are drawn from torch's global generator, as those of other layers.

    Raises:
        PluginError: The network has a layer that this beat does not reach.
    """
    if not isinstance(model, nn.Module) or not _without_shape(model):
        return model
    device = next(chain(model.parameters(), model.buffers())).device
    modes = [(module, module.training) for module in model.modules()]
    with torch.no_grad():
        model.eval()(torch.zeros(1, n_leads, n_samples, device=device))
    for module, training in modes:
        module.training = training
    if missing := _without_shape(model):
        raise PluginError(
            "The network has a layer whose shape is not known after a beat.",
            where=missing[0],
            fix="Give the number of its inputs, or remove it.",
        )
    return model


def _without_shape(model: nn.Module) -> list[str]:
    named = chain(model.named_parameters(), model.named_buffers())
    return [name for name, tensor in named if is_lazy(tensor)]
