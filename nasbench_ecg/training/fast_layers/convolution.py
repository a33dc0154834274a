"""Convolutions in channels-last memory, in the form that is fastest for their widths.

A vector register of a CPU holds 16 float32; a convolution with fewer channels wastes most of it.
So s neighboring samples of c channels are read as one sample of s · c channels: in channels-last
memory this is the same array. The kernel becomes s · c filters whose taps are shifted copies. A
convolution of stride 2 reads two samples as one and becomes one of stride 1. Both pay for long
kernels; for shorter ones, the copies cost what the arithmetic saves.

PyTorch computes the gradient of a long kernel on a slow path. For wide convolutions it is computed
as a convolution of the input with the output's gradient instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function

_LANES = 16
"""float32 in a vector register of AVX-512."""

_MIN_LONG_KERNEL = 17
"""Taps from which PyTorch's weight gradient is on a slow path, and other forms pay."""

_MAX_FOLDED_TAPS = 9
"""Taps of a folded kernel from which twice as many samples are folded."""

_MAX_LONG_KERNEL_CHANNELS = 64
"""Output channels up to which :class:`_LongKernel` was measured faster than the slow path."""


def folding(c_in: int, c_out: int, kernel: int) -> int:
    """Return the number s of neighboring outputs to compute as one; 1 for one by one."""
    widest = max(c_in, c_out)
    s = 1
    while 2 * s * widest <= _LANES:
        s *= 2
    if s > 1 and kernel > s * _MAX_FOLDED_TAPS:
        s *= 2
    return s


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Convolve [batch, c_in, 1, n] in channels-last memory with [c_out, c_in, kernel].

    Returns:
        [batch, c_out, 1, n'] in channels-last memory.
    """
    c_out, c_in, kernel = weight.shape
    long = kernel >= _MIN_LONG_KERNEL and torch.is_grad_enabled()
    if long and pad < kernel <= x.shape[-1] + 2 * pad:
        s = folding(c_in, c_out, kernel)
        if s > 1 or stride > 1:
            return _Folded.apply(x, weight, bias, stride, pad, s)  # type: ignore[no-any-return, no-untyped-call]
        if c_out <= _MAX_LONG_KERNEL_CHANNELS:
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


@dataclass(frozen=True)
class _Folds:
    """The shape of a convolution that computes s neighboring outputs as one.

    These need the inputs of s · stride neighboring samples, read as one, and of their neighbors.

    Attributes:
        s: Outputs that are computed as one.
        stride: Samples between two outputs.
        pad: Zeros on each side.
        shape: c_out, c_in, kernel.
        n: Samples of the input.
    """

    s: int
    stride: int
    pad: int
    shape: tuple[int, int, int]
    n: int

    @property
    def m(self) -> int:
        """Inputs that are read as one."""
        return self.s * self.stride

    @property
    def length(self) -> int:
        """Samples of the output."""
        return (self.n + 2 * self.pad - self.shape[2]) // self.stride + 1

    @property
    def margin(self) -> int:
        """Folds of zeros on each side of the input."""
        return -(-self.pad // self.m)

    @property
    def shift(self) -> int:
        """Samples between the start of the folded kernel and the first tap of its first filter."""
        return self.margin * self.m - self.pad

    @property
    def taps(self) -> int:
        """Taps of the folded kernel."""
        return (self.m - self.stride + self.shift + self.shape[2] - 1) // self.m + 1

    @property
    def folds(self) -> int:
        """Folds of the input, without margins."""
        return max(
            -(-self.n // self.m), -(-self.length // self.s) + self.taps - 1 - 2 * self.margin
        )

    @property
    def out_folds(self) -> int:
        """Folds of the output."""
        return self.folds + 2 * self.margin - self.taps + 1

    def kernel(self, weight: Tensor) -> Tensor:
        """Return s shifted copies of ``weight`` as [s · c_out, m · c_in, 1, taps]."""
        c_out, c_in, kernel = self.shape
        wide = weight.new_zeros(self.s, c_out, c_in, self.taps * self.m)
        for o, first in enumerate(self._firsts()):
            wide[o, ..., first : first + kernel] = weight
        by_fold = wide.view(self.s * c_out, c_in, self.taps, self.m).permute(0, 2, 3, 1)
        folded = by_fold.reshape(self.s * c_out, self.taps, self.m * c_in)
        return folded.transpose(1, 2).unsqueeze(2)

    def gradient(self, grad: Tensor) -> Tensor:
        """Return the gradient of the weight from that of the folded kernel."""
        c_out, c_in, kernel = self.shape
        by_sample = grad.squeeze(2).transpose(1, 2).reshape(self.s, c_out, -1, c_in)
        parts = [by_sample[o, :, first : first + kernel] for o, first in enumerate(self._firsts())]
        total = parts[0].clone()
        for part in parts[1:]:
            total += part
        return total.transpose(1, 2)

    def _firsts(self) -> range:
        return range(self.shift, self.shift + self.m, self.stride)


class _Folded(torch.autograd.Function):
    """A convolution that computes ``s`` neighboring outputs as one."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int, s: int
    ) -> Tensor:
        shape = _Folds(s, stride, pad, tuple(weight.shape), x.shape[-1])  # type: ignore[arg-type]
        folded, kernel = _fold(x, shape.folds, shape.m), shape.kernel(weight)
        ctx.save_for_backward(folded, kernel)
        ctx.shape = shape
        repeated = None if bias is None else bias.repeat(s)
        out = F.conv2d(folded, kernel, repeated, padding=(0, shape.margin))
        return _unfold(out, shape.length, s)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        folded, kernel = ctx.saved_tensors
        shape: _Folds = ctx.shape
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        grad_x, grad_kernel, grad_bias = torch.ops.aten.convolution_backward(
            _fold(grad, shape.out_folds, shape.s), folded, kernel, [len(kernel)], (1, 1),
            (0, shape.margin), (1, 1), False, (0, 0), 1, (for_x, for_weight, for_bias),
        )  # fmt: skip
        return (
            _unfold(grad_x, shape.n, shape.m) if for_x else None,
            shape.gradient(grad_kernel) if for_weight else None,
            grad_bias.view(shape.s, -1).sum(0) if for_bias else None,
            None,
            None,
            None,
        )


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


def _fold(x: Tensor, folds: int, s: int) -> Tensor:
    """Read [batch, c, 1, n] as [batch, s · c, 1, folds], with zeros after the last sample."""
    batch, c, _, n = x.shape
    samples = x.squeeze(2).transpose(1, 2)
    if n != folds * s:
        padded = x.new_empty(batch, folds * s, c)
        padded[:, :n] = samples
        padded[:, n:] = 0
        samples = padded
    return samples.contiguous().view(batch, folds, s * c).transpose(1, 2).unsqueeze(2)


def _unfold(x: Tensor, n: int, s: int) -> Tensor:
    """Read [batch, s · c, 1, folds] as [batch, c, 1, n], without the samples after ``n``."""
    batch, channels, _, folds = x.shape
    samples = x.squeeze(2).transpose(1, 2).contiguous().view(batch, folds * s, channels // s)
    return samples[:, :n].contiguous().transpose(1, 2).unsqueeze(2)
