"""The builder ``tiny-network``: stem, three stages of one repeated cell, two reductions, a head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from nasbench_ecg.api import Architecture, NoOptions, OptionError
from nasbench_ecg_cells.layers import ConvNormRelu, Head, Identity, MaxPool, to_fast_layout
from nasbench_ecg_tiny.layers import SeparableNormRelu
from nasbench_ecg_tiny.options import OPERATIONS
from nasbench_ecg_tiny.space import EDGE_NAMES, Edges, Genotype, canonical, to_genotype
from nasbench_ecg_tiny.stack import Stack

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

    def __init__(self, edges: Edges, channels: int) -> None:
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
            OptionError: The architecture is not of ``tiny-cells`` with any widths and numbers of
                cells, or its output is cut off from its input.
        """
        return _Network(*_layers(_member(arch), n_leads, n_classes))

    def stack_key(self, arch: Architecture) -> tuple[int, int]:
        """Return width and number of cells: networks with equal ones can be stacked."""
        return _member(arch)[3:]

    def stack(self, networks: Sequence[nn.Module]) -> Stack:
        """Return copies of networks of one key as one module."""
        return Stack(networks)  # type: ignore[arg-type]

    def stacked_parameters(self, stack: nn.Module) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter [n, …] of a stack, and the networks [n] that its rows are of."""
        assert isinstance(stack, Stack)
        return stack.stacked_parameters()


def _member(arch: Architecture) -> Genotype:
    """Return the canonical form of an architecture, after checking that it can be built."""
    genotype = to_genotype(arch)
    for edge, name in zip(EDGE_NAMES, genotype[:3], strict=True):
        if name not in OPERATIONS:
            raise OptionError(
                f"There is no operation {name!r}.",
                where=edge,
                fix=f"Known are: {', '.join(OPERATIONS)}.",
            )
    if min(genotype[3:]) < 1:
        raise OptionError("Width and number of cells must be at least 1.", where=str(arch.genotype))
    member = canonical(genotype)
    if member is None:
        raise OptionError(
            "The output of this cell is cut off from its input.", where=str(arch.genotype)
        )
    return member


class _Network(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(to_fast_layout(x))  # type: ignore[no-any-return, no-untyped-call]


def _layers(member: Genotype, n_leads: int, n_classes: int) -> Iterator[nn.Module]:
    edges, width, cells = member[:3], member[3], member[4]
    yield ConvNormRelu(n_leads, width, STEM_KERNEL, STEM_STRIDE)
    for stage in range(STAGES):
        channels = width * 2**stage
        if stage:
            yield ConvNormRelu(channels // 2, channels, 3, 2)
        for _ in range(cells):
            yield Cell(edges, channels)
    yield Head(channels, n_classes)
