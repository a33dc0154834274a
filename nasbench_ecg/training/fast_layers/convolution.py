"""Convolutions in channels-last memory, with a fast gradient of long kernels.

PyTorch computes the gradient of a long kernel on a slow path. It is computed as a convolution of
the input with the output's gradient instead.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

_MIN_LONG_KERNEL = 17
"""Taps from which PyTorch's weight gradient is on a slow path."""

_MAX_LONG_KERNEL_CHANNELS = 64
"""Output channels up to which :class:`_LongKernel` was measured faster than the slow path."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Convolve [batch, c_in, 1, n] in channels-last memory with [c_out, c_in, kernel].

    Returns:
        [batch, c_out, 1, n'] in channels-last memory.
    """
    c_out, _, kernel = weight.shape
    if stride == 1 and kernel >= _MIN_LONG_KERNEL and c_out <= _MAX_LONG_KERNEL_CHANNELS:
        return _LongKernel.apply(x, weight, bias, pad)  # type: ignore[no-any-return, no-untyped-call]
    return F.conv2d(x, weight.unsqueeze(2), bias, stride=(1, stride), padding=(0, pad))


def long_kernel_convolution(x: Tensor, weight: Tensor, pad: int) -> Tensor:
    """Convolve with a fast weight gradient; faster for kernels of 17 samples and more.

    Args:
        x: [batch, c_in, 1, n] in channels-last memory.
        weight: [c_out, c_in, kernel].
        pad: Zeros on each side.

    Returns:
        [batch, c_out, 1, n'] in channels-last memory.
    """
    if has_torch_function((x, weight)):
        return handle_torch_function(long_kernel_convolution, (x, weight), x, weight, pad)
    return _LongKernel.apply(x, weight, None, pad)  # type: ignore[no-any-return, no-untyped-call]


class _LongKernel(torch.autograd.Function):
    """A convolution of stride 1 with a fast weight gradient for long kernels.

    The weight gradient is a convolution of the input with the output gradient, summed over the
    batch. It can be differentiated again, as the Hessian of α needs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, pad: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.pad = pad
        return F.conv2d(x, weight.unsqueeze(2), bias, padding=(0, pad))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight.unsqueeze(2), None, (1, 1), (0, ctx.pad), (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0]  # fmt: skip
        if ctx.needs_input_grad[1]:
            input_t, grad_t = (
                t.transpose(0, 1).contiguous(memory_format=torch.channels_last) for t in (x, grad)
            )
            grad_weight = F.conv2d(input_t, grad_t, padding=(0, ctx.pad)).squeeze(2).transpose(0, 1)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None
