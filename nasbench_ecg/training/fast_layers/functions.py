"""Functions of PyTorch by their faster forms, in each memory layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nasbench_ecg.training.fast_layers import batch_last, convolution, narrow_norms
from nasbench_ecg.training.fast_layers.convolution import long_kernel_convolution

Form = Callable[..., Tensor | None]
"""Computes a function of PyTorch from its arguments; None if it does not know these arguments."""

Pair = int | tuple[int, ...]

Layer = Callable[..., Tensor]


def _conv1d(
    convolve: Layer, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1,
    padding: Pair | str = 0, dilation: Pair = 1, groups: int = 1,
) -> Tensor | None:  # fmt: skip
    if x.dim() != 3 or not _is_known(x) or _last(dilation) != 1 or groups != 1:
        return None
    pad = _padding(padding, weight.shape[-1], _last(stride))
    if pad is None or weight.shape[1] != x.shape[1] or x.shape[2] + 2 * pad < weight.shape[2]:
        return None
    return convolve(x, weight, bias, _last(stride), pad)


def _conv2d(
    convolve: Layer, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1,
    padding: Pair | str = 0, dilation: Pair = 1, groups: int = 1,
) -> Tensor | None:  # fmt: skip
    if not _is_row(x) or weight.shape[2] != 1:
        return None
    if not isinstance(padding, str) and (padding if isinstance(padding, int) else padding[0]):
        return None
    out = _conv1d(
        convolve, x.squeeze(2), weight.squeeze(2), bias, stride, padding, dilation, groups
    )
    return None if out is None else out.unsqueeze(2)


def _long_kernel(convolve: Layer, x: Tensor, weight: Tensor, pad: int) -> Tensor | None:
    out = _conv1d(convolve, x.squeeze(2), weight, padding=pad)
    return None if out is None else out.unsqueeze(2)


def _max_pool1d(
    pool: Layer, x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
    dilation: Pair = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor | None:  # fmt: skip
    kernel, pad = _last(kernel_size), _last(padding)
    if x.dim() != 3 or not _is_known(x) or return_indices or ceil_mode or _last(dilation) != 1:
        return None
    if 2 * pad > kernel or x.shape[2] + 2 * pad < kernel:
        return None
    return pool(x, kernel, _last(stride or kernel_size), pad)


def _max_pool2d(
    pool: Layer, x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
    dilation: Pair = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor | None:  # fmt: skip
    if not _is_row(x) or isinstance(kernel_size, int) or kernel_size[0] != 1:
        return None
    if padding if isinstance(padding, int) else padding[0]:
        return None
    out = _max_pool1d(
        pool, x.squeeze(2), kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )
    return None if out is None else out.unsqueeze(2)


def _batch_norm(
    norm: Layer, x: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor | None:  # fmt: skip
    if x.dim() != 3 or not _is_known(x) or not training or x.numel() <= x.shape[1]:
        return None
    return norm(x, running_mean, running_var, weight, bias, momentum, eps)


def _batch_norm_of_rows(norm: Layer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    if not _is_row(x):
        return _batch_norm(norm, x, *args, **kwargs)
    out = _batch_norm(norm, x.squeeze(2), *args, **kwargs)
    return None if out is None else out.unsqueeze(2)


def _cat(concatenate: Layer, tensors: Any, dim: int = 0, **kwargs: Any) -> Tensor | None:
    if kwargs or dim != 1 or not all(x.dim() == 3 and _is_known(x) for x in tensors):
        return None
    return concatenate(tensors)


def _cat_of_rows(concatenate: Layer, tensors: Any, dim: int = 0, **kwargs: Any) -> Tensor | None:
    if not all(_is_row(x) for x in tensors):
        return _cat(concatenate, tensors, dim, **kwargs)
    out = _cat(concatenate, [x.squeeze(2) for x in tensors], dim, **kwargs)
    return None if out is None else out.unsqueeze(2)


def _is_known(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _is_row(x: Tensor) -> bool:
    return x.dim() == 4 and x.shape[2] == 1 and _is_known(x)


def _last(value: Pair) -> int:
    return value if isinstance(value, int) else value[-1]


def _padding(padding: Pair | str, kernel: int, stride: int) -> int | None:
    """Return the samples of padding on each side; None if the sides differ, or PyTorch refuses."""
    if padding == "valid":
        return 0
    if padding == "same":
        return kernel // 2 if kernel % 2 and stride == 1 else None
    return _last(padding)  # type: ignore[arg-type]


def _row(x: Tensor) -> Tensor:
    """Return [batch, channels, n] as [batch, channels, 1, n] in channels-last memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2).unsqueeze(2)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    return convolution.convolve(_row(x), weight, bias, stride, pad).squeeze(2)


def _pool(x: Tensor, kernel: int, stride: int, pad: int) -> Tensor:
    return F.max_pool2d(_row(x), (1, kernel), (1, stride), (0, pad)).squeeze(2)


def _norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    row = _row(x)
    if narrow_norms.helps(x.shape[1], x.shape[0] * x.shape[2]):
        out = narrow_norms.batch_norm(row, running_mean, running_var, weight, bias, momentum, eps)
    else:
        out = F.batch_norm(row, running_mean, running_var, weight, bias, True, momentum, eps)
    return out.squeeze(2)


def _concatenate(tensors: list[Tensor]) -> Tensor:
    return torch.cat([_row(x) for x in tensors], dim=1).squeeze(2)


CHANNELS_LAST: Mapping[Any, Form] = {
    torch.conv1d: partial(_conv1d, _convolve),
    F.max_pool1d: partial(_max_pool1d, _pool),
    F.batch_norm: partial(_batch_norm, _norm),
    torch.cat: partial(_cat, _concatenate),
}
"""For most networks: memory [batch, samples, channels].

Networks of [batch, channels, 1, samples] have chosen this memory themselves.
"""

BATCH_LAST: Mapping[Any, Form] = {
    torch.conv1d: partial(_conv1d, batch_last.convolve),
    torch.conv2d: partial(_conv2d, batch_last.convolve),
    long_kernel_convolution: partial(_long_kernel, batch_last.convolve),
    F.max_pool1d: partial(_max_pool1d, batch_last.max_pool),
    F.max_pool2d: partial(_max_pool2d, batch_last.max_pool),
    F.batch_norm: partial(_batch_norm_of_rows, batch_last.batch_norm),
    torch.cat: partial(_cat_of_rows, batch_last.concatenate),
}
"""For thin networks: memory [samples, channels, batch]."""
