"""Many members of ``tiny-cells`` as one network, for a GPU.

A GPU is idle while it trains one small network: each of its kernels does too little. Here the
members of equal width and number of cells are trained side by side. A convolution of any length is
a multiplication by the band matrix of its kernel, [c_in · n_in, c_out · n_out], and those of all
members are one batched matrix product. A separable convolution has no nonlinearity inside, so it
is the convolution with the product of its two kernels. Each member computes what its own network
computes, within rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_cells.layers import Conv, ConvNormRelu, Head, MaxPool
from nasbench_ecg_tiny.layers import SeparableNormRelu


class Stack(nn.Module):
    """Networks of equal shape side by side.

    Args:
        networks: Built by ``tiny-network`` with the same width and number of cells, the same number
            of leads and of classes; their weights are copied.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.size = len(networks)
        self.layers = nn.ModuleList(
            _stacked(list(layers)) for layers in zip(*networks, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, members, n_leads, n_samples] to logits [batch, members, n_classes]."""
        for layer in self.layers:
            x = layer(x)
        return x

    def stacked_parameters(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter [n, …] and the members [n] that its rows are of."""
        for module in self.modules():
            if isinstance(module, _Rows):
                for parameter in module.parameters(recurse=False):
                    yield parameter, module.rows

    def copy_to(self, networks: Sequence[nn.Sequential]) -> None:
        """Copy weights and statistics to networks like those that were stacked."""
        for number, layer in enumerate(self.layers):
            layer.copy_to([network[number] for network in networks])  # type: ignore[operator]


class _Rows(nn.Module):
    """Parameters of some of the members, the first dimension of each."""

    rows: Tensor

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor(list(rows)), persistent=False)


def _stacked(layers: list[Any]) -> nn.Module:
    if isinstance(layers[0], Head):
        return _Heads(layers)
    if isinstance(layers[0], ConvNormRelu):
        return _Edge(layers)
    return _Cells(layers)


class _Cells(nn.Module):
    def __init__(self, cells: list[Any]) -> None:
        super().__init__()
        self.first = _Edge([_through(cell, 0) for cell in cells])
        self.direct = _Edge([cell.direct for cell in cells])
        self.second = _Edge([_through(cell, 1) for cell in cells])

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.direct(x)  # type: ignore[no-any-return]

    def copy_to(self, cells: list[Any]) -> None:
        self.first.copy_to([_through(cell, 0) for cell in cells])
        self.direct.copy_to([cell.direct for cell in cells])
        self.second.copy_to([_through(cell, 1) for cell in cells])


def _through(cell: Any, place: int) -> nn.Module | None:
    return None if cell.through is None else cell.through[place]


class _Edge(nn.Module):
    """One edge of all members: their operations by kind; ``None`` is ``zero``."""

    pool: Tensor
    skip: Tensor
    order: Tensor

    def __init__(self, operations: list[nn.Module | None]) -> None:
        super().__init__()
        kinds: list[list[int]] = [[], [], [], [], []]
        for row, operation in enumerate(operations):
            kinds[_kind(operation)].append(row)
        conv, separable, pool, skip, zero = kinds
        self.n_zero = len(zero)
        self.linear = _Linear(conv, separable, operations) if conv or separable else None
        for name, rows in (("pool", pool), ("skip", skip)):
            self.register_buffer(name, torch.tensor(rows, dtype=torch.int64), persistent=False)
        self.kernel: int = operations[pool[0]].kernel if pool else 0  # type: ignore[union-attr, assignment]
        by_kind = [*conv, *separable, *pool, *skip, *zero]
        self.in_order = by_kind == sorted(by_kind)
        order = torch.tensor(by_kind).argsort()
        self.register_buffer("order", order, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, members, c, n] to the same, or to the shape after a reduction."""
        parts = []
        if self.linear is not None:
            alone = self.in_order and self.linear.size == x.shape[1]
            parts.append(self.linear(x if alone else x.index_select(1, self.linear.rows)))
        if len(self.pool):
            pooled = x.index_select(1, self.pool).flatten(0, 1)
            pooled = F.max_pool1d(pooled, self.kernel, 1, self.kernel // 2)
            parts.append(pooled.view(len(x), -1, *pooled.shape[1:]))
        if len(self.skip):
            parts.append(x.index_select(1, self.skip))
        if self.n_zero:
            parts.append(x.new_zeros(len(x), self.n_zero, *x.shape[2:]))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return joined if self.in_order else joined.index_select(1, self.order)

    def copy_to(self, operations: list[nn.Module | None]) -> None:
        if self.linear is not None:
            self.linear.copy_to(operations)


def _kind(operation: nn.Module | None) -> int:
    if operation is None:
        return 4
    kinds = (ConvNormRelu, SeparableNormRelu, MaxPool)
    return next((i for i, kind in enumerate(kinds) if isinstance(operation, kind)), 3)


class _Linear(_Rows):
    """Convolution or separable convolution, batch normalization and ReLU of some members."""

    def __init__(
        self, conv: list[int], separable: list[int], operations: list[nn.Module | None]
    ) -> None:
        super().__init__([*conv, *separable])
        self.size = len(self.rows)
        example: Any = operations[self.rows[0]]
        last: Conv = example[-3]  # the convolution, or the pointwise one
        self.c_in, self.c_out, self.stride = last.in_channels, last.out_channels, last.stride[0]
        self.taps = max(_taps(operations[row]) for row in self.rows)
        shape = (self.c_out, self.c_in)
        self.kernels = _Kernels(conv, shape, self._used(conv, operations)) if conv else None
        self.factors = (
            _Factors(separable, shape, self._used(separable, operations)) if separable else None
        )
        self.scale = nn.Parameter(torch.ones(len(self.rows), self.c_out))
        self.shift = nn.Parameter(torch.zeros(len(self.rows), self.c_out))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(len(self.rows), self.c_out))
        self.register_buffer("variance", torch.ones(len(self.rows), self.c_out))
        self._visit(operations, _set)

    def _used(self, rows: list[int], operations: list[nn.Module | None]) -> Tensor:
        """Return which taps each of the members has, [rows, taps] of ones and zeros."""
        distance = (torch.arange(self.taps) - self.taps // 2).abs()
        half = torch.tensor([_taps(operations[row]) // 2 for row in rows])
        return (distance <= half[:, None]).float()

    def copy_to(self, operations: list[nn.Module | None]) -> None:
        self._visit(operations, lambda own, other: other.copy_(own))

    @torch.no_grad()
    def _visit(
        self, operations: list[nn.Module | None], copy: Callable[[Tensor, Tensor], object]
    ) -> None:
        n_conv = 0 if self.kernels is None else len(self.kernels.rows)
        for place, row in enumerate(self.rows.tolist()):
            layers: Any = operations[row]
            skipped = (self.taps - _taps(layers)) // 2
            taps = slice(skipped, self.taps - skipped)
            if place < n_conv:
                copy(self.kernels.kernel[place, :, :, taps], layers[0].weight)  # type: ignore[union-attr]
            else:
                factors: Any = self.factors
                copy(factors.depthwise[place - n_conv, :, taps], layers[0].weight[:, 0])
                copy(factors.pointwise[place - n_conv], layers[1].weight[:, :, 0])
            norm = layers[-2]
            for own, other in (
                (self.scale, norm.weight), (self.shift, norm.bias),
                (self.mean, norm.running_mean), (self.variance, norm.running_var),
            ):  # fmt: skip
                copy(own[place], other)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, rows, c_in, n] to [batch, rows, c_out, ceil(n / stride)]."""
        batch, rows, _, n = x.shape
        parts = [part() for part in (self.kernels, self.factors) if part is not None]
        kernels = parts[0] if len(parts) == 1 else torch.cat(parts)
        bands = _Bands.apply(kernels, n, self.stride)  # type: ignore[no-untyped-call]
        out = torch.bmm(x.flatten(2).transpose(0, 1), bands.transpose(1, 2)).transpose(0, 1)
        out = F.batch_norm(
            out.reshape(batch, rows * self.c_out, -1), self.mean.view(-1), self.variance.view(-1),
            self.scale.view(-1), self.shift.view(-1), self.training,
        )  # fmt: skip
        return F.relu(out).view(batch, rows, self.c_out, -1)


def _set(own: Tensor, other: Tensor) -> None:
    own.copy_(other)


def _taps(operation: Any) -> int:
    return operation[0].kernel_size[0]  # type: ignore[no-any-return]


class _Kernels(_Rows):
    """Kernels of convolutions; taps that a member does not have are zero."""

    used: Tensor

    def __init__(self, rows: list[int], shape: tuple[int, int], used: Tensor) -> None:
        super().__init__(rows)
        self.kernel = nn.Parameter(torch.zeros(len(rows), *shape, used.shape[1]))
        self.register_buffer("used", used[:, None, None], persistent=False)

    def forward(self) -> Tensor:
        return self.kernel * self.used


class _Factors(_Rows):
    """Kernels of separable convolutions, as two factors."""

    used: Tensor

    def __init__(self, rows: list[int], shape: tuple[int, int], used: Tensor) -> None:
        super().__init__(rows)
        self.depthwise = nn.Parameter(torch.zeros(len(rows), shape[1], used.shape[1]))
        self.pointwise = nn.Parameter(torch.zeros(len(rows), *shape))
        self.register_buffer("used", used[:, None], persistent=False)

    def forward(self) -> Tensor:
        return self.pointwise.unsqueeze(-1) * (self.depthwise * self.used).unsqueeze(1)


class _Bands(torch.autograd.Function):
    """The matrices [m, c_out · n_out, c_in · n] of the kernels [m, c_out, c_in, k]."""

    @staticmethod
    def forward(ctx: Any, kernels: Tensor, n: int, stride: int) -> Tensor:
        m, c_out, c_in, k = kernels.shape
        n_out = -(-n // stride)
        padded = kernels.new_zeros(m, c_out, n_out, c_in, n + k - 1)
        _taps_of(padded, k, stride).copy_(kernels.unsqueeze(3))
        ctx.sizes = m, c_out, n_out, c_in, n, k, stride
        return padded[..., k // 2 : k // 2 + n].reshape(m, c_out * n_out, c_in * n)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        m, c_out, n_out, c_in, n, k, stride = ctx.sizes
        grad = grad.reshape(m, c_out, n_out, c_in, n)
        padded = F.pad(grad, (k // 2, k - 1 - k // 2)).contiguous()
        return _taps_of(padded, k, stride).sum(3), None, None


def _taps_of(padded: Tensor, k: int, stride: int) -> Tensor:
    """Return a view [m, c_out, c_in, n_out, k] of the taps in [m, c_out, n_out, c_in, r]."""
    m, c_out, n_out, c_in, r = padded.shape
    return padded.as_strided(
        (m, c_out, c_in, n_out, k),
        (c_out * n_out * c_in * r, n_out * c_in * r, r, c_in * r + stride, 1),
    )


class _Heads(_Rows):
    """Global average pooling and a linear classifier for each member."""

    def __init__(self, heads: list[Any]) -> None:
        super().__init__(range(len(heads)))
        self.weight = nn.Parameter(torch.stack([head.linear.weight.detach() for head in heads]))
        self.bias = nn.Parameter(torch.stack([head.linear.bias.detach() for head in heads]))

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, members, c, n] to logits [batch, members, n_classes]."""
        return torch.einsum("bmc,mkc->bmk", x.mean(dim=3), self.weight) + self.bias

    @torch.no_grad()
    def copy_to(self, heads: list[Any]) -> None:
        for row, head in enumerate(heads):
            head.linear.weight.copy_(self.weight[row])
            head.linear.bias.copy_(self.bias[row])
