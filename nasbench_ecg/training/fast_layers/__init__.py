"""Faster forms of the layers of one-dimensional networks, for training on a CPU.

Inside :class:`FastLayers`, PyTorch's functions for convolution, pooling and batch normalization of
[batch, channels, samples] are computed in another memory layout: with the channels last, or for
thin networks with the batch last, then also for [batch, channels, 1, samples]. Long kernels are
computed in a form with a fast gradient. A network needs no change for it: modules, parameters,
shapes and results within rounding are the same. The form is a fixed function of the widths, and of
whether there are several threads, so that trainings can be repeated bit for bit. Whatever is not
known here is computed as without. A view that the other layout does not allow is taken of a copy;
a network that reads the layout itself has no faster form, and raises
:class:`~nasbench_ecg.training.fast_layers.layout.LayoutError`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from nasbench_ecg.training.fast_layers.batch_last import MAX_CHANNELS
from nasbench_ecg.training.fast_layers.functions import BATCH_LAST, CHANNELS_LAST
from nasbench_ecg.training.fast_layers.layout import (
    READS_LAYOUT,
    VIEWS,
    CopiedViews,
    raise_if_other,
)
from nasbench_ecg.training.fast_layers.narrow_norms import are_in, fast_norms


class FastLayers(TorchFunctionMode):
    """Computes the layers of a forward pass in faster forms; gradients have the first order only.

    Args:
        network: The network that is called inside. A thin one, without convolutions of many
            channels, is computed in a memory layout of its own.

    Example:
        >>> network = torch.nn.Conv1d(8, 8, 9, padding=4)
        >>> with FastLayers(network):
        ...     y = network(torch.zeros(4, 8, 100))
        >>> y.shape
        torch.Size([4, 8, 100])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._forms = BATCH_LAST if _is_thin(network) else CHANNELS_LAST
        self._views = CopiedViews()
        self._changed = False  # whether a tensor has another layout than without

    @staticmethod
    def may_help(network: nn.Module) -> bool:
        """Return whether a layer of ``network`` may have a faster form than its own.

        A wide network whose convolutions all have a ``forward`` of their own has chosen its form.
        """
        return _is_thin(network) or any(
            type(module).forward is nn.Conv1d.forward
            for module in network.modules()
            if isinstance(module, nn.Conv1d)
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the faster form of ``func``, or ``func`` itself."""
        form = self._forms.get(func)
        if form is not None and (result := form(*args, **(kwargs or {}))) is not None:
            self._changed = True
            return result
        if self._changed and args and func in VIEWS:
            return self._views.take(func, *args, **(kwargs or {}))
        if self._changed and func in READS_LAYOUT:
            raise_if_other(func, *args[:1])
        return func(*args, **(kwargs or {}))

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Leave the block, after a check that no copy of a view was changed."""
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        if error is None:
            self._views.check()


def fast_layers(network: nn.Module) -> AbstractContextManager[object]:
    """Return a block in which a CPU computes ``network`` in its fastest forms.

    It is :class:`FastLayers`, except for networks that have chosen the forms of their convolutions:
    looking at each function costs these more than it saves.
    """
    if FastLayers.may_help(network):
        return FastLayers(network)
    return fast_norms(network) if are_in(network) else nullcontext()


def _is_thin(network: nn.Module) -> bool:
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv1d)]
    return bool(convolutions) and all(
        m.groups == 1 and m.out_channels <= MAX_CHANNELS for m in convolutions
    )
