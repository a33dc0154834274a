"""Options of the strategy and the evaluator with shared weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from nasbench_ecg_cells.options import OPERATIONS
from nasbench_ecg_darts.options import SearchNetworkOptions

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
    "beats": 200,
    "majority_share": 0.5,
    "calibration_beats": 200,
}


class SharedTrainingOptions(SearchNetworkOptions):
    """Options of the supernet and its training.

    It is the search network of ``darts`` (Lv et al. 2021, section IV-C; Liu et al. 2019), trained
    for as many epochs, with one architecture per step in place of all at once.
    """

    calibration_beats: int = Field(2000, ge=2)
    """Training beats with which batch normalization is calibrated to an architecture."""


class RandomWsOptions(SharedTrainingOptions):
    """Options of ``random-ws``; numbers of candidates from the code of Li and Talwalkar 2020."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {
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
    """Validation beats on which all candidates are scored; null for all beats."""

    finalists: int = Field(10, ge=1)
    """Best candidates, which are scored again on the whole validation part."""


class SharedWeightsOptions(SharedTrainingOptions):
    """Options of ``shared-weights``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {**_QUICK, "epochs": 60, "beats": 12000},
        "quick": _QUICK,
        "smoke": _SMOKE,
    }

    operations: tuple[str, ...] = OPERATIONS
    """Operations of the supernet; an architecture with any other operation is refused."""
