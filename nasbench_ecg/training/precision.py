"""In which numbers a network computes; its weights are float32 in all of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from nasbench_ecg.training.recipe import Precision


def autocast(device: str, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs at ``precision``."""
    if precision == "bf16":
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def arithmetic(device: str, precision: Precision) -> Iterator[None]:
    """Let a GPU use TF32 inside the block exactly if ``precision`` says so.

    It belongs around forward and backward passes. PyTorch by itself lets cuDNN round the inputs of
    convolutions, so that what is called float32 would not be.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    with warnings.catch_warnings():
        # the switches of PyTorch 2.4; later versions know others too, and may not mix them
        warnings.filterwarnings("ignore", message=".*new API settings to control TF32")
        before = [switch.allow_tf32 for switch in switches]
        try:
            for switch in switches:
                switch.allow_tf32 = precision == "tf32"
            yield
        finally:
            for switch, allowed in zip(switches, before, strict=True):
                switch.allow_tf32 = allowed
