"""Options of ``conv-cells`` and of its builders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from nasbench_ecg.api import Options

OPERATIONS = (
    "none",
    "skip",
    "max-pool-3",
    "max-pool-5",
    "conv-3",
    "conv-5",
    "conv-9",
    "conv-13",
    "conv-17",
    "conv-27",
)
"""The candidate operations of Heart-DARTS, section IV-C."""


class ConvCellsOptions(Options):
    """Options of ``conv-cells``."""

    nodes: int = Field(4, ge=1, le=8)
    """Nodes of a cell."""

    operations: tuple[str, ...] = OPERATIONS
    """Candidate operations of an edge."""

    @field_validator("operations")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(OPERATIONS))
        if unknown:
            raise ValueError(
                f"unknown operation {unknown[0]!r}; use one of {', '.join(OPERATIONS)}"
            )
        if len(set(value)) != len(value) or not set(value) - {"none"}:
            raise ValueError("operations must be distinct and contain one other than 'none'")
        return value


class StackedCellsOptions(Options):
    """Options of ``stacked-cells``; defaults are the final network of Heart-DARTS (IV-C)."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"cells": 6, "channels": 8},
        "smoke": {"cells": 6, "channels": 4, "stem_filters": 8},
    }

    cells: int = Field(15, ge=3, le=60)
    """Number of cells; those at one third and two thirds of the depth are reduction cells."""

    channels: int = Field(16, ge=1)
    """Channels of each operation in the first cells; each reduction cell doubles them."""

    stem_filters: int = Field(32, ge=1)
    """Filters of the stem convolution."""


class StackedCellsShortcutOptions(StackedCellsOptions):
    """Options of ``stacked-cells-shortcut``."""

    cells: int = Field(15, ge=6, le=60)
    """Number of cells, at least 6: a shortcut needs two cells before each reduction cell."""
