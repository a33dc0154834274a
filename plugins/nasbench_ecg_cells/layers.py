"""Layers on [batch, channels, samples] that also run as [batch, channels, 1, samples].

The second form, in channels-last memory, is two to three times faster on a CPU for the narrow
convolutions of this space. Parameters are the same in both, so a network trained in one form
runs in the other.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def enter(x: Tensor) -> Tensor:
    """Bring beats [batch, leads, samples] into the form that is fastest on their device."""
    if x.device.type == "cpu":
        return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return x


class _LongKernel(torch.autograd.Function):
    """A convolution [batch, c, 1, n] with a long kernel, whose gradient of the weights is fast.

    That gradient is itself a convolution, of the input with the output's gradient, in which the
    batch is summed over as channels are otherwise. From 17 taps on the CPU library computes it by
    a slow path, and this is about twice as fast.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, reach: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.reach = reach
        return F.conv2d(x, weight, padding=(0, reach))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, (1, 1), (0, ctx.reach), (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0]  # fmt: skip
        if ctx.needs_input_grad[1]:
            turned, kernel = (
                t.transpose(0, 1).contiguous(memory_format=torch.channels_last) for t in (x, grad)
            )
            grad_weight = F.conv2d(turned, kernel, padding=(0, ctx.reach)).transpose(0, 1)
        return grad_x, grad_weight, None


_LONG = 17
_NARROW = 32
"""Kernel sizes from, and output channels up to, which the fast gradient was measured to pay."""


class Conv(nn.Conv1d):
    """A convolution without bias that halves (stride 2, rounding up) or keeps the length."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.reach = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) ceil(n / stride)]."""
        if x.dim() == 4:
            weight = self.weight.unsqueeze(2)
            if self._has_slow_gradient(x):
                return _LongKernel.apply(x, weight, self.reach)  # type: ignore[no-any-return, no-untyped-call]
            return F.conv2d(x, weight, stride=(1, self.stride[0]), padding=(0, self.reach))
        return F.conv1d(x, self.weight, stride=self.stride, padding=self.reach)

    def _has_slow_gradient(self, x: Tensor) -> bool:
        return (
            self.kernel_size[0] >= _LONG
            and self.out_channels <= _NARROW
            and self.stride[0] == 1
            and x.device.type == "cpu"
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        )


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all dimensions but the second."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected 3 or 4 dimensions, not {input.dim()}")


class MaxPool(nn.Module):
    """Max pooling that halves (rounding up) or keeps the length."""

    def __init__(self, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c, (1,) n] to [batch, c, (1,) ceil(n / stride)]."""
        half = self.kernel // 2
        if x.dim() == 4:
            return F.max_pool2d(x, (1, self.kernel), (1, self.stride), (0, half))
        return F.max_pool1d(x, self.kernel, self.stride, half)


class FactorizedReduction(nn.Module):
    """Halves the length, rounding up: two 1×1 convolutions, one on even and one on odd samples.

    With an odd length the odd samples get a zero at their end.
    """

    def __init__(self, c_in: int, c_out: int, affine: bool = True) -> None:
        super().__init__()
        self.even = Conv(c_in, c_out - c_out // 2, 1, stride=2)
        self.odd = Conv(c_in, c_out // 2, 1, stride=2)
        self.norm = BatchNorm(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) ceil(n / 2)]."""
        x = F.relu(x)
        shifted = x[..., 1:] if x.shape[-1] % 2 == 0 else F.pad(x[..., 1:], (0, 1))
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))  # type: ignore[no-any-return]


class ConvNormRelu(nn.Sequential):
    """Conv-BN-ReLU, the order of the paper's section IV-C."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, affine: bool = True
    ) -> None:
        super().__init__(
            Conv(c_in, c_out, kernel, stride), BatchNorm(c_out, affine=affine), nn.ReLU()
        )


class ReluConvNorm(nn.Sequential):
    """ReLU-Conv-BN with a 1×1 convolution: the preprocessing of a cell's input."""

    def __init__(self, c_in: int, c_out: int, affine: bool = True) -> None:
        super().__init__(nn.ReLU(), Conv(c_in, c_out, 1), BatchNorm(c_out, affine=affine))


class Stem(nn.Sequential):
    """The preprocessing layer: conv 5 stride 2 → BN → ReLU → max pool 3 stride 2 (section IV-C)."""

    def __init__(self, n_leads: int, filters: int) -> None:
        super().__init__(
            Conv(n_leads, filters, 5, stride=2), BatchNorm(filters), nn.ReLU(), MaxPool(3, stride=2)
        )


class Head(nn.Module):
    """Global average pooling and a linear classifier."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, (1,) n] to logits [batch, n_classes]."""
        return self.linear(x.mean(dim=tuple(range(2, x.dim()))))  # type: ignore[no-any-return]


class Identity(nn.Module):
    """The skip connection of stride 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x


class Zero(nn.Module):
    """The operation ``none``: no connection."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of the output's shape."""
        return torch.zeros_like(x[..., :: self.stride])


def operation(
    name: str, channels: int, stride: int, *, affine: bool = True, norm_after_pool: bool = False
) -> nn.Module:
    """Return the candidate operation ``name`` on ``channels`` channels.

    Args:
        name: One of :data:`nasbench_ecg_cells.options.OPERATIONS`.
        channels: Channels of input and output.
        stride: 1, or 2 on the edges from a reduction cell's inputs.
        affine: Whether batch normalisation learns scale and shift.
        norm_after_pool: Whether a pooling is followed by batch normalisation, as in the search.
    """
    kind, _, size = name.rpartition("-")
    if kind == "conv":
        return ConvNormRelu(channels, channels, int(size), stride, affine)
    if kind == "max-pool":
        pool = MaxPool(int(size), stride)
        return nn.Sequential(pool, BatchNorm(channels, affine=affine)) if norm_after_pool else pool
    if name == "skip":
        return FactorizedReduction(channels, channels, affine) if stride == 2 else Identity()
    if name == "none":
        return Zero(stride)
    raise KeyError(name)
