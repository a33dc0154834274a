"""Options of the search space ``tiny-cells`` and its builder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nasbench_ecg.api import Options

Operation = Literal["zero", "skip", "conv-3", "conv-9", "conv-27", "sep-9", "sep-27", "max-pool-3"]

OPERATIONS: tuple[Operation, ...] = (
    "zero", "skip", "conv-3", "conv-9", "conv-27", "sep-9", "sep-27", "max-pool-3",
)  # fmt: skip
"""``conv-k``: Conv-BN-ReLU; ``sep-k``: depthwise k, pointwise 1, BN, ReLU."""


class TinyCellsOptions(Options):
    """Options of ``tiny-cells``; the defaults are the space of the published tables."""

    operations: tuple[Operation, ...] = Field(OPERATIONS, min_length=1)
    """Candidate operations of an edge."""

    widths: tuple[int, ...] = Field((2, 4, 8), min_length=1)
    """Channels of the first stage; doubled at each of the two reductions."""

    cells: tuple[int, ...] = Field((1, 2), min_length=1)
    """Cells in each of the three stages."""
