"""Layers of thin networks in memory [samples, channels, batch].

With few channels, only the batch is long enough to fill the vector registers of a CPU. Neighboring
samples are neighboring blocks of this memory: the inputs of all taps of a convolution are one
matrix without a copy, and a pooling compares whole blocks.

A tensor keeps its shape [batch, channels, samples]; only its strides differ. Functions of autograd
return blocks, and the view of that shape is taken outside of them: PyTorch lets a network change
such a view in place, and not one that was taken inside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nasbench_ecg.training.fast_layers.narrow_norms import update_statistics

MAX_CHANNELS = 20
"""Channels up to which a network was measured faster in this memory."""


def to_blocks(x: Tensor) -> Tensor:
    """Return [batch, channels, n] as contiguous [n, channels, batch]."""
    return x.permute(2, 1, 0).contiguous()


def from_blocks(x: Tensor) -> Tensor:
    """Return [n, channels, batch] as [batch, channels, n] in the same memory."""
    return x.permute(2, 1, 0)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Convolve [batch, c_in, n] with [c_out, c_in, kernel]."""
    return from_blocks(_Convolution.apply(x, weight, bias, stride, pad))  # type: ignore[no-untyped-call]


def max_pool(x: Tensor, kernel: int, stride: int, pad: int) -> Tensor:
    """Return the maximum of each window; a gradient goes to the first maximum, as in PyTorch."""
    return from_blocks(_MaxPool.apply(x, kernel, stride, pad))  # type: ignore[no-untyped-call]


def batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """Normalize each channel of [batch, channels, n] and update the running statistics."""
    out, mean, variance = _BatchNorm.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
    n = x.numel() // x.shape[1]
    update_statistics(running_mean, running_var, mean, variance, n, momentum)
    return from_blocks(out)


def concatenate(tensors: list[Tensor]) -> Tensor:
    """Concatenate the channels of tensors [batch, channels, n]."""
    return from_blocks(torch.cat([to_blocks(x) for x in tensors], dim=1))


class _Convolution(torch.autograd.Function):
    """A matrix product for each output sample: [c_out, kernel · c_in] × [kernel · c_in, batch]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int
    ) -> Tensor:
        blocks = _padded(to_blocks(x), pad, 0.0)
        ctx.save_for_backward(blocks, weight)
        ctx.stride, ctx.pad = stride, pad
        windows = _windows(blocks, weight.shape[2], stride)
        taps = weight.transpose(1, 2).reshape(len(weight), -1).expand(len(windows), -1, -1)
        if bias is None:
            return torch.bmm(taps, windows)
        return torch.baddbmm(bias[:, None], taps, windows)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        blocks, weight = ctx.saved_tensors
        c_out, c_in, kernel = weight.shape
        grad = grad.contiguous()
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            n = len(blocks) - 2 * ctx.pad
            grad_x = from_blocks(_gradient_of_input(grad, weight, ctx.stride, ctx.pad, n))
        if ctx.needs_input_grad[1]:
            windows = _windows(blocks, kernel, ctx.stride)
            products = torch.bmm(grad, windows.transpose(1, 2)).sum(0)
            grad_weight = products.view(c_out, kernel, c_in).transpose(1, 2)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2))
        return grad_x, grad_weight, grad_bias, None, None


def _gradient_of_input(grad: Tensor, weight: Tensor, stride: int, pad: int, n: int) -> Tensor:
    """Return the gradient [n, c_in, batch] from that of the output, [n', c_out, batch]."""
    _, c_in, kernel = weight.shape
    if stride == 1 and pad < kernel:  # a convolution with the reversed kernel
        windows = _windows(_padded(grad, kernel - 1 - pad, 0.0), kernel, 1)
        taps = weight.flip(2).permute(1, 2, 0).reshape(c_in, -1)
        return torch.bmm(taps.expand(n, -1, -1), windows)
    taps = weight.permute(2, 1, 0).reshape(kernel * c_in, -1).expand(len(grad), -1, -1)
    parts = torch.bmm(taps, grad).view(len(grad), kernel, c_in, -1)
    padded = grad.new_zeros(n + 2 * pad, c_in, grad.shape[2])
    for tap in range(kernel):
        padded[tap : tap + stride * len(grad) : stride][: len(grad)] += parts[:, tap]
    return padded[pad : pad + n]


class _MaxPool(torch.autograd.Function):
    """The maximum of each window.

    A mask for each tap but the first says where its sample exceeds all before it. The last tap
    whose mask is 1 is the first maximum. Masks are floats: products with booleans are slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int, pad: int) -> Tensor:
        blocks = to_blocks(x)
        padded = _padded(blocks, pad, -torch.inf)
        ctx.shape = (stride, pad, len(blocks))
        length = (len(padded) - kernel) // stride + 1
        largest = _every(padded, 0, stride, length)
        masks = []
        for tap in range(1, kernel):
            sample = _every(padded, tap, stride, length)
            masks.append(torch.gt(sample, largest, out=torch.empty_like(sample)))
            largest = torch.maximum(largest, sample)
        ctx.save_for_backward(*masks)
        return largest.clone() if kernel == 1 else largest

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        masks = ctx.saved_tensors
        stride, pad, n = ctx.shape
        grad = grad.contiguous()
        padded = grad.new_zeros(n + 2 * pad, *grad.shape[1:])
        rest = grad
        for tap in range(len(masks), 0, -1):
            part = rest * masks[tap - 1]
            _every(padded, tap, stride, len(grad)).add_(part)
            rest = rest - part
        _every(padded, 0, stride, len(grad)).add_(rest)
        return from_blocks(padded[pad : pad + n]), None, None, None


class _BatchNorm(torch.autograd.Function):
    """Batch normalization of each channel; also returns mean and variance, not differentiable."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        blocks = to_blocks(x)
        n = blocks.numel() // blocks.shape[1]
        mean = blocks.sum((0, 2)) / n
        centered = blocks - mean[:, None]
        variance = (centered * centered).sum((0, 2)) / n
        inverse = torch.rsqrt(variance + eps)
        scale = inverse if weight is None else inverse * weight
        out = centered * scale[:, None]
        if bias is not None:
            out += bias[:, None]
        ctx.save_for_backward(centered, inverse, scale)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centered, inverse, scale = ctx.saved_tensors
        grad = grad.contiguous()
        n = grad.numel() // grad.shape[1]
        total = grad.sum((0, 2))
        product = (grad * centered).sum((0, 2))
        slope = product * inverse * inverse / n
        grad_x = torch.addcmul(grad - (total / n)[:, None], centered, slope[:, None], value=-1)
        grad_x *= scale[:, None]
        for_weight, for_bias = ctx.needs_input_grad[1:3]
        return (
            from_blocks(grad_x),
            product * inverse if for_weight else None,
            total if for_bias else None,
            None,
        )


def _padded(blocks: Tensor, pad: int, value: float) -> Tensor:
    if not pad:
        return blocks
    padded = blocks.new_empty(len(blocks) + 2 * pad, *blocks.shape[1:])
    padded[:pad] = value
    padded[pad:-pad] = blocks
    padded[-pad:] = value
    return padded


def _windows(blocks: Tensor, kernel: int, stride: int) -> Tensor:
    """Return the inputs of each output, [n', kernel · channels, batch], as an overlapping view."""
    n, channels, batch = blocks.shape
    length = (n - kernel) // stride + 1
    block = channels * batch
    return blocks.as_strided(
        (length, kernel * channels, batch), (stride * block, batch, 1), blocks.storage_offset()
    )


def _every(blocks: Tensor, first: int, stride: int, length: int) -> Tensor:
    return blocks[first : first + stride * (length - 1) + 1 : stride]
