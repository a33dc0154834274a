"""Options of DARTS; the defaults are the paper's search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nasbench_ecg.api import RecipeOptions

_QUICK = {
    "cells": 5,
    "channels": 8,
    "epochs": 5,
    "warmup_epochs": 1,
    "beats": 4000,
    "majority_share": 0.5,
    "alpha_lr": 1e-2,
}


class SearchNetworkOptions(RecipeOptions):
    """A search network and how its weights are trained.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; what it leaves open is from Liu et al.
    2019 (DARTS) on CIFAR-10.
    """

    cells: int = Field(8, ge=3, le=60)
    """Cells of the search network; those at one and two thirds are reduction cells."""

    channels: int = Field(16, ge=2, multiple_of=2)
    """Channels of an operation in the first cells; each reduction cell doubles them."""

    stem_filters: int = Field(32, ge=1)
    """Filters of the stem's convolution."""

    batch_size: int = Field(100, ge=2)
    """Beats in a step, for weights and where there is one for α."""

    beats: int | None = Field(None, ge=2)
    """Beats drawn anew for each epoch; by default all of the training part."""

    majority_share: float | None = Field(None, gt=0, lt=1)
    """Largest share of the most frequent class among the beats drawn; by default as it is."""


class DartsOptions(SearchNetworkOptions):
    """Options of ``darts``.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; what it leaves open is from Liu et al.
    2019 (DARTS) on CIFAR-10.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cpu": {**_QUICK, "epochs": 6},
        "quick": _QUICK,
        "smoke": {
            "cells": 3,
            "channels": 4,
            "stem_filters": 8,
            "epochs": 2,
            "batch_size": 50,
            "beats": 500,
            "majority_share": 0.5,
            "alpha_lr": 1e-2,
        },
    }

    order: Literal["first", "second"] = "first"
    """Gradient of α: ``first`` ignores that the weights follow α, ``second`` unrolls one step."""

    warmup_epochs: int = Field(0, ge=0)
    """First epochs in which only the weights are trained."""

    alpha_lr: float = Field(3e-4, gt=0)
    """Learning rate of α (Adam, betas 0.5 and 0.999)."""

    alpha_weight_decay: float = Field(1e-3, ge=0)
    """Weight decay of α."""

    hessian_eigenvalue: bool = Field(True, exclude=True)
    """Whether the trajectory holds the dominant eigenvalue of the Hessian of the validation loss in
    α, at the end of each epoch. It only watches: the result and the run key are the same without.
    """
