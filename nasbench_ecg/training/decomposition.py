"""Layers as the convolutions and matrix products that they are made of, so that these count."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize


@contextmanager
def decomposed() -> Iterator[None]:
    """Let PyTorch compute recurrent layers and attention by matrix products in the block.

    Otherwise libraries compute them in one call, whose operations and tensors nothing can see.
    """
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")  # about other settings, which stay as they are
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_attention)


@contextmanager
def parametrized_once(model: nn.Module, beat: Tensor) -> Iterator[None]:
    """Compute parametrized weights of ``model`` before the block, which reads them as stored."""
    with parametrize.cached():
        if any(map(parametrize.is_parametrized, model.modules())):
            model(beat)
        yield
