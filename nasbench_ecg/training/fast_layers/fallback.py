"""Training steps in faster forms, and in PyTorch's own where a network proves to have no others.

Networks may be written such that only PyTorch's own layers compute them: with second derivatives in
the forward pass, with layers computed again in the backward pass, or with ``torch.vmap``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nasbench_ecg.training.fast_layers import fast_layers

R = TypeVar("R")

_without: WeakSet[nn.Module] = WeakSet()
_shapes: WeakKeyDictionary[nn.Module, set[tuple[int, ...]]] = WeakKeyDictionary()


def is_computed_without(network: nn.Module) -> bool:
    """Return whether ``network`` has proved to have no faster forms."""
    return network in _without


def compute_without(network: nn.Module) -> None:
    """Compute ``network`` without faster forms from now on, as a training did that is resumed."""
    _without.add(network)


def in_fast_layers(
    network: nn.Module, x: Tensor, step: Callable[[AbstractContextManager[object]], R]
) -> R:
    """Return the result of a forward and backward pass on a CPU, in faster forms if possible.

    The first step on each shape of batches is taken again without faster forms if it fails, and if
    that succeeds, so are all later steps.

    Args:
        network: The network.
        x: The batch.
        step: Takes the block for the forward pass. It may be called twice, and changes nothing of
            the network but buffers and gradients.
    """
    layers = nullcontext() if network in _without else fast_layers(network)
    works = _shapes.setdefault(network, set())
    if isinstance(layers, nullcontext) or tuple(x.shape) in works:
        return step(layers)
    restore = _saved_state(network)
    try:
        result = step(layers)
        works.add(tuple(x.shape))
        return result
    except MemoryError:
        raise
    except Exception as error:
        failure = error
    restore()
    result = step(nullcontext())  # its error, if any, is that of the network
    _without.add(network)
    warnings.warn(
        f"The network has no faster form for a CPU and trains slower: {failure}",
        RuntimeWarning,
        stacklevel=2,
    )
    return result


def _saved_state(network: nn.Module) -> Callable[[], None]:
    """Return a function that restores the buffers and torch's generator."""
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not is_lazy(buffer)
    ]
    generator = torch.get_rng_state()

    def restore() -> None:
        torch.set_rng_state(generator)
        with torch.no_grad():
            for module, name, buffer, values in buffers:
                module._buffers[name] = buffer
                buffer.copy_(values)

    return restore
