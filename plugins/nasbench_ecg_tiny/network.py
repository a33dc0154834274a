"""The builder ``tiny-network``: stem, three stages of one repeated cell, two reductions, a head."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from nasbench_ecg.api import Architecture, NoOptions, OptionError
from nasbench_ecg_cells.layers import ConvNormRelu, Head, Identity, MaxPool, to_fast_layout
from nasbench_ecg_tiny.layers import SeparableNormRelu
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import SPACE, TinyCells, canonical, to_genotype

STEM_KERNEL, STEM_STRIDE = 7, 4
STAGES = 3


def operation(name: str, channels: int) -> nn.Module:
    """Return the operation ``name`` of an edge, which keeps channels and length."""
    kind, _, size = name.rpartition("-")
    if kind == "conv":
        return ConvNormRelu(channels, channels, int(size))
    if kind == "sep":
        return SeparableNormRelu(channels, int(size))
    if kind == "max-pool":
        return MaxPool(int(size))
    return Identity()


class Cell(nn.Module):
    """One cell: an inner and an output node, which add what arrives.

    Args:
        edges: Operations of input→inner, input→output and inner→output, in canonical form.
        channels: Channels throughout.
    """

    def __init__(self, edges: tuple[str, str, str], channels: int) -> None:
        super().__init__()
        first, direct, second = edges
        self.direct = None if direct == "zero" else operation(direct, channels)
        self.through = (
            None
            if first == "zero"
            else nn.Sequential(operation(first, channels), operation(second, channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, (1,) n] to the same shape."""
        if self.through is None:
            return self.direct(x)  # type: ignore[misc, no-any-return]
        through: Tensor = self.through(x)
        return through if self.direct is None else through + self.direct(x)


class TinyNetwork:
    """Builds the members of ``tiny-cells``; edges that reach nothing are left out."""

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes].

        Raises:
            OptionError: The architecture is not of ``tiny-cells``.
        """
        member = canonical(to_genotype(arch))
        if member is None:
            TinyCells(TinyCellsOptions()).validate(arch)
            raise OptionError(f"{arch.genotype} is not of {SPACE}.")
        *edges, width, cells = member
        return _Network(*_layers(tuple(edges), width, cells, n_leads, n_classes))


class _Network(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(to_fast_layout(x))  # type: ignore[no-any-return, no-untyped-call]


def _layers(
    edges: tuple[str, ...], width: int, cells: int, n_leads: int, n_classes: int
) -> Iterator[nn.Module]:
    yield ConvNormRelu(n_leads, width, STEM_KERNEL, STEM_STRIDE)
    for stage in range(STAGES):
        channels = width * 2**stage
        if stage:
            yield ConvNormRelu(channels // 2, channels, 3, 2)
        for _ in range(cells):
            yield Cell(edges, channels)  # type: ignore[arg-type]
    yield Head(channels, n_classes)
