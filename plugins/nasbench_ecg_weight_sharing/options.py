"""Options of what trains and uses shared weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nasbench_ecg.api import Options
from nasbench_ecg_cells.options import OPERATIONS

_QUICK: Mapping[str, Any] = {
    "cells": 5,
    "channels": 8,
    "epochs": 20,
    "beats": 6000,
    "majority_share": 0.5,
    "calibration_beats": 1000,
}
_SMOKE: Mapping[str, Any] = {
    "cells": 3,
    "channels": 4,
    "stem_filters": 8,
    "epochs": 2,
    "batch_size": 50,
    "beats": 500,
    "majority_share": 0.5,
    "calibration_beats": 200,
}


class SharedTrainingOptions(Options):
    """How the supernet is trained.

    It is the search network of ``darts`` (Lv et al. 2021, section IV-C; Liu et al. 2019), trained
    as long, with one architecture a step in place of all at once.
    """

    cells: int = Field(8, ge=3, le=60)
    """Cells of the supernet; those at one and two thirds are reduction cells."""

    channels: int = Field(16, ge=2)
    """Channels of an operation in the first cells; each reduction cell doubles them."""

    stem_filters: int = Field(32, ge=1)
    """Filters of the stem's convolution."""

    epochs: int = Field(100, ge=1)
    """Passes over the training part."""

    batch_size: int = Field(100, ge=2)
    """Beats in a step."""

    beats: int | None = Field(None, ge=2)
    """Beats drawn anew for each epoch; by default all of the training part."""

    majority_share: float | None = Field(None, gt=0, lt=1)
    """Largest share of the most frequent class among the beats drawn; by default as it is."""

    lr: float = Field(0.025, gt=0)
    """Learning rate (SGD) in the first epoch, annealed by a cosine."""

    lr_min: float = Field(0.001, ge=0)
    """Learning rate that the cosine ends at."""

    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""

    weight_decay: float = Field(3e-4, ge=0)
    """Weight decay of SGD."""

    grad_clip: float = Field(5.0, gt=0)
    """Largest norm of the gradient."""

    precision: Literal["float32", "bf16"] = "float32"
    """``bf16`` computes convolutions in bfloat16; faster where the processor has it."""

    calibration_beats: int = Field(2000, ge=2)
    """Training beats by which batch normalisation is calibrated to an architecture."""


class RandomWsOptions(SharedTrainingOptions):
    """Options of ``random-ws``; numbers of candidates as in the code of Li and Talwalkar 2020."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cpu": {
            **_QUICK,
            "epochs": 60,
            "beats": 12000,
            "candidates": 200,
            "screening_beats": 2000,
        },
        "quick": {**_QUICK, "candidates": 60, "screening_beats": 1000, "finalists": 5},
        "smoke": {**_SMOKE, "candidates": 10, "screening_beats": 200, "finalists": 3},
    }

    candidates: int = Field(1000, ge=1)
    """Random architectures that are scored with the shared weights."""

    screening_beats: int | None = Field(1000, ge=2)
    """Validation beats that all of them are scored on; null for all."""

    finalists: int = Field(10, ge=1)
    """The best of them, which are scored on the whole validation part."""


class SharedWeightsOptions(SharedTrainingOptions):
    """Options of ``shared-weights``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cpu": {**_QUICK, "epochs": 60, "beats": 12000},
        "quick": _QUICK,
        "smoke": _SMOKE,
    }

    operations: tuple[str, ...] = OPERATIONS
    """Operations of the supernet, which those of every architecture scored must be among."""
