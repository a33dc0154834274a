"""Layers for inputs [batch, channels, samples] and, equivalently, [batch, channels, 1, samples].

In channels-last memory, the second layout makes the narrow convolutions of this space two to three
times faster on a CPU, and training with them 1.3 to 3.2 times faster on the tensor cores of a GPU.
Parameters are the same, so a network trained in one layout runs in the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg.api import OptionError
from nasbench_ecg.training import long_kernel_convolution, uses_tensor_cores


def to_fast_layout(x: Tensor) -> Tensor:
    """Return beats [batch, leads, samples] in the layout that is fastest on their device."""
    if x.device.type == "cpu" or (x.device.type == "cuda" and uses_tensor_cores()):
        return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return x


def require_samples(n_samples: int, minimum: int) -> None:
    """Raise OptionError if beats of ``n_samples`` are shorter than ``minimum``."""
    if n_samples < minimum:
        raise OptionError(
            f"Beats of {n_samples} samples are too short for this network.",
            fix=f"Use beats of at least {minimum} samples: widen the dataset's window.",
        )


_MIN_LONG_KERNEL = 17
_MAX_NARROW_CHANNELS = 32
"""Kernel sizes from, and output channels up to, which ``long_kernel_convolution`` was measured
faster."""


class Conv(nn.Conv1d):
    """A convolution without bias that keeps the length, or with stride 2 halves it, rounding up."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.pad = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) ceil(n / stride)]."""
        if x.dim() == 4:
            if self._has_slow_gradient(x):
                return long_kernel_convolution(x, self.weight, self.pad)
            weight = self.weight.unsqueeze(2)
            return F.conv2d(x, weight, stride=(1, self.stride[0]), padding=(0, self.pad))
        return F.conv1d(x, self.weight, stride=self.stride, padding=self.pad)

    def _has_slow_gradient(self, x: Tensor) -> bool:
        return (
            self.kernel_size[0] >= _MIN_LONG_KERNEL
            and self.out_channels <= _MAX_NARROW_CHANNELS
            and self.stride[0] == 1
            and x.device.type == "cpu"
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        )


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization of channels, for both layouts."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected 3 or 4 dimensions, not {input.dim()}")


class MaxPool(nn.Module):
    """Max pooling that keeps the length, or with stride 2 halves it, rounding up."""

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
    """Halves the length, rounding up: a 1×1 convolution of the even and one of the odd samples.

    If the length is odd, the odd samples are padded with a zero at the end.
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
    """Conv-BN-ReLU, in the order of Heart-DARTS, section IV-C."""

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
    """Conv 5 stride 2, BN, ReLU, max pool 3 stride 2: the preprocessing layer of section IV-C."""

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
    """The operation ``none``: outputs zeros."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros [batch, channels, (1,) ceil(n / stride)]."""
        return torch.zeros_like(x[..., :: self.stride])


def operation(
    name: str, channels: int, stride: int, *, affine: bool = True, norm_after_pool: bool = False
) -> nn.Module:
    """Return the candidate operation ``name`` on ``channels`` channels.

    Args:
        name: One of :data:`nasbench_ecg_cells.options.OPERATIONS`.
        channels: Channels of input and output.
        stride: 1; 2 on the edges from the inputs of a reduction cell.
        affine: Whether batch normalization learns scale and shift.
        norm_after_pool: Whether batch normalization follows a pooling, as in a supernet.
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
