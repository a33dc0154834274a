"""Batch normalization of few channels by several threads, in channels-last memory.

With several threads, PyTorch's gradient of 8 channels takes longer than that of 64, and with one
thread, or 16 channels, it does not: the sums of the threads probably share a cache line. Here, the
channels of neighboring samples are read as if they were channels of one sample, as many as fill a
line. This needs no copy; the sums of the parts are added up afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import gcd
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LINE = 16
"""Values of float32 in a cache line."""

_MAX_CHANNELS = 31
"""Channels up to which this form was measured faster."""


def helps(channels: int, n: int = 0) -> bool:
    """Return whether this form is faster for ``n`` values in each channel."""
    narrow = channels <= _MAX_CHANNELS and channels % _LINE != 0
    return narrow and n % _together(channels) == 0 and torch.get_num_threads() > 1


def are_in(network: nn.Module) -> bool:
    """Return whether a layer of ``network`` is faster in this form."""
    return any(_narrow(network))


@contextmanager
def fast_norms(network: nn.Module) -> Iterator[None]:
    """Compute the narrow norms of ``network`` inside the block in this form.

    Inputs are [batch, channels, 1, n]; those of another shape, and calls without a gradient, are
    computed as without.
    """
    found = list(_narrow(network))
    for module in found:
        module.__dict__["forward"] = partial(_forward, module)
    try:
        yield
    finally:
        for module in found:
            del module.__dict__["forward"]


def batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """Normalize each channel of [batch, channels, 1, n], for which this form :func:`helps`."""
    batch, channels, _, n = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
    out, mean, variance = _BatchNorm.apply(rows, weight, bias, eps)  # type: ignore[no-untyped-call]
    update_statistics(running_mean, running_var, mean, variance, len(rows), momentum)
    normalized: Tensor = _unfolded(out, channels).view(batch, 1, n, channels).permute(0, 3, 1, 2)
    return normalized


def update_statistics(
    running_mean: Tensor | None, running_var: Tensor | None, mean: Tensor, variance: Tensor,
    n: int, momentum: float,
) -> None:  # fmt: skip
    """Move the running statistics towards mean and variance (divisor ``n``) of ``n`` values."""
    if running_mean is None or running_var is None:
        return
    with torch.no_grad():
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (n / (n - 1)), momentum)


def _together(channels: int) -> int:
    """Return the fewest samples whose channels fill cache lines."""
    return _LINE // gcd(_LINE, channels)


def _narrow(network: nn.Module) -> Iterator[nn.BatchNorm1d]:
    for module in network.modules():
        if (
            isinstance(module, nn.BatchNorm1d)
            and type(module).forward is nn.BatchNorm1d.forward
            and helps(module.num_features)
        ):
            yield module


def _forward(module: nn.BatchNorm1d, x: Tensor) -> Tensor:
    if not (module.training and module.momentum is not None and _is_known(x)):
        return nn.BatchNorm1d.forward(module, x)
    if module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)
    return batch_norm(
        x, module.running_mean, module.running_var, module.weight, module.bias, module.momentum,
        module.eps,
    )  # fmt: skip


def _is_known(x: Tensor) -> bool:
    return (
        x.dim() == 4
        and x.shape[2] == 1
        and x.shape[0] * x.shape[3] > 1
        and helps(x.shape[1], x.shape[0] * x.shape[3])
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


class _BatchNorm(torch.autograd.Function):
    """Batch normalization of [n, channels], with mean and variance, which have no gradient.

    The result is folded: PyTorch lets a network change a view in place only if the view was taken
    outside of this function.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        k, channels = _together(rows.shape[1]), rows.shape[1]
        folded = _folded(rows)
        means, variances = torch.batch_norm_update_stats(folded, None, None, 0.0)
        means, variances = means.view(k, channels), variances.view(k, channels)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        scale = None if weight is None else weight.repeat(k)
        shift = None if bias is None else bias.repeat(k)
        out = F.batch_norm(folded, mean.repeat(k), variance.repeat(k), scale, shift, eps=eps)
        ctx.save_for_backward(rows, weight, mean, torch.rsqrt(variance + eps))
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, inverse = ctx.saved_tensors
        n, channels = rows.shape
        k = _together(channels)
        x, grad = _folded(rows), _folded(_unfolded(grad, channels).contiguous())
        _, product, total = torch.ops.aten.native_batch_norm_backward(
            grad, x, None, None, None, mean.repeat(k), inverse.repeat(k), True, 0.0,
            (False, True, True),
        )  # fmt: skip
        product, total = product.view(k, channels).sum(0), total.view(k, channels).sum(0)
        scale = inverse if weight is None else inverse * weight
        slope = scale * inverse * product / n
        shift = slope * mean - scale * total / n
        scale, slope, shift = (v.repeat(k)[:, None, None] for v in (scale, slope, shift))
        grad_x = torch.addcmul(shift, x, slope, value=-1).addcmul_(grad, scale)
        for_weight, for_bias = ctx.needs_input_grad[1:3]
        return (
            _unfolded(grad_x, channels),
            product if for_weight else None,
            total if for_bias else None,
            None,
        )


def _folded(rows: Tensor) -> Tensor:
    """Return [n, channels] as [n / k, k · channels, 1, 1] in channels-last memory, uncopied."""
    k = _together(rows.shape[1])
    return rows.view(len(rows) // k, 1, 1, k * rows.shape[1]).permute(0, 3, 1, 2)


def _unfolded(x: Tensor, channels: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(-1, channels)
