"""Options of the search space ``tiny-cells``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nasbench_ecg.api import Options

Operation = Literal["zero", "skip", "conv-3", "conv-9", "conv-27", "sep-9", "sep-27", "max-pool-3"]

OPERATIONS: tuple[Operation, ...] = (
    "zero", "skip", "conv-3", "conv-9", "conv-27", "sep-9", "sep-27", "max-pool-3",
)  # fmt: skip
"""``conv-k``: Conv-BN-ReLU; ``sep-k``: depthwise k, pointwise 1, BN, ReLU."""


Positive = Annotated[int, Field(ge=1)]


class TinyCellsOptions(Options):
    """Options of ``tiny-cells``; the defaults are the space of the published tables."""

    operations: tuple[Operation, ...] = Field(OPERATIONS, min_length=1)
    """Candidate operations of an edge."""

    widths: tuple[Positive, ...] = Field((2, 4, 8), min_length=1)
    """Channels of the first stage; doubled at each of the two reductions."""

    cells: tuple[Positive, ...] = Field((1, 2), min_length=1)
    """Cells in each of the three stages."""

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        if set(self.operations) == {"zero"}:
            raise ValueError("a cell needs at least one operation other than zero")
        return self
