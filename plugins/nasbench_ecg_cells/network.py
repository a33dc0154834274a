"""Networks of stacked cells, with and without the shortcuts of Heart-DARTS (Algorithm 1, 7–19)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg.api import Architecture
from nasbench_ecg_cells.genotype import Cell, Genotype
from nasbench_ecg_cells.layers import (
    FactorizedReduction,
    Head,
    ReluConvNorm,
    Stem,
    operation,
    require_samples,
    to_fast_layout,
)
from nasbench_ecg_cells.options import StackedCellsOptions, StackedCellsShortcutOptions

MIN_SAMPLES = 16
"""Fewest samples of a beat: the stem and both reduction cells leave one sample."""


def reduction_positions(cells: int) -> tuple[int, int]:
    """Return the positions of the two reduction cells: one and two thirds of the depth."""
    return cells // 3, 2 * cells // 3


def check_length(n_samples: int) -> None:
    """Raise OptionError if beats are too short for the stem and both reduction cells."""
    require_samples(n_samples, MIN_SAMPLES)


class DiscreteCell(nn.Module):
    """A discrete cell: the concatenation of its nodes, each the sum of two operations.

    Attributes:
        preprocess0: Maps the output of the second-to-last cell to the channels of this cell.
        preprocess1: Maps the output of the last cell to the channels of this cell.
        sources: Input states of the two operations, by node.
        operations: The two operations, by node.
    """

    preprocess0: nn.Module
    preprocess1: nn.Module
    sources: tuple[tuple[int, ...], ...]
    operations: nn.ModuleList

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        """Map the outputs of the second-to-last and the last cell to the output of this cell."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for sources, operations in zip(self.sources, self.operations, strict=True):
            a, b = (
                op(states[source])
                for op, source in zip(operations, sources, strict=True)  # type: ignore[call-overload]
            )
            states.append(a + b)
        return torch.cat(states[2:], dim=1)


class CellModule(DiscreteCell):
    """A discrete cell with its own weights."""

    def __init__(
        self, cell: Cell, c_before: int, c_last: int, channels: int, *, reduction: bool,
        reduction_before: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.preprocess0 = (
            FactorizedReduction(c_before, channels)
            if reduction_before
            else ReluConvNorm(c_before, channels)
        )
        self.preprocess1 = ReluConvNorm(c_last, channels)
        self.sources = tuple(tuple(edge.source for edge in node) for node in cell)
        self.operations = nn.ModuleList(
            nn.ModuleList(
                operation(edge.operation, channels, 2 if reduction and edge.source < 2 else 1)
                for edge in node
            )
            for node in cell
        )
        self.out_channels = channels * len(cell)


class CellNetwork(nn.Module):
    """Stem, stacked cells, global average pooling and a linear classifier."""

    def __init__(
        self, genotype: Genotype, options: StackedCellsOptions, *, shortcuts: bool, n_leads: int,
        n_classes: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stem = Stem(n_leads, options.stem_filters)
        self.reductions = reduction_positions(options.cells)
        self.shortcuts = shortcuts
        c_before = c_last = options.stem_filters
        channels = options.channels
        reduction_before = False
        self.cells = nn.ModuleList()
        for i in range(options.cells):
            reduction = i in self.reductions
            channels *= 2 if reduction else 1
            cell = CellModule(
                genotype.reduction if reduction else genotype.normal,
                c_before, c_last, channels,
                reduction=reduction, reduction_before=reduction_before,
            )  # fmt: skip
            self.cells.append(cell)
            reduction_before = reduction
            c_before, c_last = c_last, cell.out_channels
        self.head = Head(c_last, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes].

        With shortcuts (Algorithm 1), t is the output of the first cell and of each reduction cell,
        and is added to both states before the next reduction cell.
        """
        s0 = s1 = t = self.stem(to_fast_layout(x))
        opens = (0, *self.reductions)
        closes = tuple(position - 1 for position in self.reductions)
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1)
            if not self.shortcuts:
                continue
            if i in opens:
                t = s1
            elif i in closes:
                s0, s1 = F.relu(s0 + t), F.relu(s1 + t)
        return self.head(s1)  # type: ignore[no-any-return]


class StackedCells:
    """Builds networks of stacked cells. Choose it to measure the effect of the shortcuts."""

    shortcuts = False

    def __init__(self, options: StackedCellsOptions) -> None:
        self.options = options

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes].

        Raises:
            OptionError: The architecture is not in ``conv-cells``, or the beats are too short.
        """
        check_length(n_samples)
        return CellNetwork(
            Genotype.from_architecture(arch),
            self.options,
            shortcuts=self.shortcuts,
            n_leads=n_leads,
            n_classes=n_classes,
        )


class StackedCellsShortcut(StackedCells):
    """Builds the final network of Heart-DARTS: stacked cells with two shortcuts (Fig. 2)."""

    shortcuts = True

    def __init__(self, options: StackedCellsShortcutOptions) -> None:
        super().__init__(options)
