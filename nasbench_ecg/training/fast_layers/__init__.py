"""Faster forms of the layers of one-dimensional networks, for training on a CPU.

Inside :class:`FastLayers`, PyTorch's functions for convolution, pooling and batch normalization of
[batch, channels, samples], or [batch, channels, 1, samples], are computed in channels-last memory
and in the form that is fastest for their widths. A network needs no change for it: modules,
parameters, shapes and results within rounding are the same. The form is a fixed function of the
widths, so that trainings can be repeated bit for bit. Whatever is not known here is computed as
without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nasbench_ecg.training.fast_layers.convolution import convolve, long_kernel_convolution

Form = Callable[..., Tensor | None]
"""Computes a function of PyTorch from its arguments; None if it does not know these arguments."""

Pair = int | tuple[int, ...]


class FastLayers(TorchFunctionMode):
    """Computes the layers of a forward pass in faster forms; gradients have the first order only.

    Example:
        >>> conv = torch.nn.Conv1d(8, 8, 9, padding=4)
        >>> with FastLayers():
        ...     y = conv(torch.zeros(4, 8, 100))
        >>> y.shape
        torch.Size([4, 8, 100])
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the faster form of ``func``, or ``func`` itself."""
        form = _FORMS.get(func)
        if form is not None and (result := form(*args, **(kwargs or {}))) is not None:
            return result
        return func(*args, **(kwargs or {}))


def _conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1,
    padding: Pair | str = 0, dilation: Pair = 1, groups: int = 1,
) -> Tensor | None:  # fmt: skip
    if x.dim() != 3 or not _is_known(x) or _last(dilation) != 1 or groups != 1:
        return None
    pad = _padding(padding, weight.shape[-1])
    if pad is None:
        return None
    return convolve(_channels_last(x), weight, bias, _last(stride), pad).squeeze(2)


def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1,
    padding: Pair | str = 0, dilation: Pair = 1, groups: int = 1,
) -> Tensor | None:  # fmt: skip
    if not _is_row(x) or weight.shape[2] != 1 or _last(dilation) != 1 or groups != 1:
        return None
    if isinstance(padding, int) and padding:
        return None
    pad = _padding(padding, weight.shape[-1])
    if pad is None or (isinstance(padding, tuple) and padding[0]):
        return None
    return convolve(_channels_last(x), weight.squeeze(2), bias, _last(stride), pad)


def _long_kernel(x: Tensor, weight: Tensor, pad: int) -> Tensor | None:
    return _conv2d(x, weight.unsqueeze(2), padding=(0, pad))


def _max_pool1d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
    dilation: Pair = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor | None:  # fmt: skip
    if x.dim() != 3 or not _is_known(x) or return_indices:
        return None
    return F.max_pool2d(
        _channels_last(x),
        (1, _last(kernel_size)),
        (1, _last(kernel_size if stride is None else stride)),
        (0, _last(padding)),
        (1, _last(dilation)),
        ceil_mode=ceil_mode,
    ).squeeze(2)


def _batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor | None:  # fmt: skip
    if x.dim() != 3 or not _is_known(x):
        return None
    normalized = F.batch_norm(
        _channels_last(x), running_mean, running_var, weight, bias, training, momentum, eps
    )
    return normalized.squeeze(2)


def _cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Tensor | None:
    if kwargs or dim not in (1, -2) or not all(x.dim() == 3 and _is_known(x) for x in tensors):
        return None
    return torch.cat([_channels_last(x) for x in tensors], dim=1).squeeze(2)


_FORMS: dict[Any, Form] = {
    torch.conv1d: _conv1d,
    torch.conv2d: _conv2d,
    long_kernel_convolution: _long_kernel,
    F.max_pool1d: _max_pool1d,
    F.batch_norm: _batch_norm,
    torch.cat: _cat,
}


def _is_known(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _is_row(x: Tensor) -> bool:
    return x.dim() == 4 and x.shape[2] == 1 and _is_known(x)


def _channels_last(x: Tensor) -> Tensor:
    """Return [batch, channels, (1,) n] as [batch, channels, 1, n] in channels-last memory."""
    if x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.transpose(1, 2).contiguous().transpose(1, 2).unsqueeze(2)


def _last(value: Pair) -> int:
    return value if isinstance(value, int) else value[-1]


def _padding(padding: Pair | str, kernel: int) -> int | None:
    """Return the samples of padding on each side; None if the sides differ."""
    if padding == "valid":
        return 0
    if padding == "same":
        return kernel // 2 if kernel % 2 else None
    return _last(padding)  # type: ignore[arg-type]
