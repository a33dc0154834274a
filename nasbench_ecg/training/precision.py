"""The precision of computations in a network; its weights are float32 in any case."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from nasbench_ecg.training.recipe import Precision


def autocast(device: str, precision: Precision) -> AbstractContextManager[object]:
    """Return the context manager for a forward pass at ``precision``."""
    if precision == "bf16":
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def arithmetic(device: str, precision: Precision) -> Iterator[None]:
    """Let a GPU use TF32 in the block if ``precision`` is ``tf32``, and forbid it otherwise.

    Use it around forward and backward passes. By default, PyTorch lets cuDNN use TF32 in
    convolutions even for float32.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    with warnings.catch_warnings():
        # PyTorch 2.4 has only these switches; later versions warn about them
        warnings.filterwarnings("ignore", message=".*new API settings to control TF32")
        before = [switch.allow_tf32 for switch in switches]
        try:
            for switch in switches:
                switch.allow_tf32 = precision == "tf32"
            yield
        finally:
            for switch, allowed in zip(switches, before, strict=True):
                switch.allow_tf32 = allowed


def uses_tensor_cores() -> bool:
    """Return whether a GPU computes in bfloat16 or TF32 here, as in the two blocks above."""
    if torch.is_autocast_enabled("cuda"):
        return True
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*new API settings to control TF32")
        return bool(torch.backends.cuda.matmul.allow_tf32)
