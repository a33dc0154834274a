"""Which operations are steps of a recurrent layer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LAYERS = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})
_CELLS = frozenset({torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell})


class RecurrentCalls(TorchFunctionMode):
    """Counts the steps of recurrent layers in the block, and of cells that a network calls.

    Attributes:
        layer: Storage of the first weights of the layer that is being computed; None outside.
        steps: Number of steps of each layer so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer: int | None = None
        self.steps: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` and note its layer while it is computed."""
        if not (func in _LAYERS or func in _CELLS):
            return func(*args, **(kwargs or {}))
        weights, steps = (args[2], 1) if func in _CELLS else _of_layer(*args)
        self.layer = int(weights.untyped_storage()._cdata)
        self.steps[self.layer] += steps
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.layer = None


def _of_layer(x: Tensor, second: Any, third: Any, fourth: Any, *rest: Any) -> tuple[Tensor, int]:
    """Return the first weights and the number of steps, from the arguments of modules."""
    if isinstance(second, Tensor) and second.dtype == torch.int64:  # sizes of packed batches
        return fourth[0], len(second)
    return third[0], x.shape[1 if rest[-1] else 0]
