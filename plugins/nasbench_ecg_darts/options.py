"""Options of DARTS and its variants; the defaults are those of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nasbench_ecg.training import RecipeOptions

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
    """Options of a search network and the training of its weights.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; where it states no value, Liu et al. 2019
    (DARTS) on CIFAR-10.
    """

    cells: int = Field(8, ge=3, le=60)
    """Cells of the search network; those at 1/3 and 2/3 of the depth are reduction cells."""

    channels: int = Field(16, ge=2, multiple_of=2)
    """Channels of an operation in the first cells; each reduction cell doubles them."""

    stem_filters: int = Field(32, ge=1)
    """Filters of the stem's convolution."""

    batch_size: int = Field(100, ge=2)
    """Beats per step, for the weights and for α where the method has one."""

    beats: int | None = Field(None, ge=2)
    """Beats drawn for each epoch; by default all beats of the training part."""

    majority_share: float | None = Field(None, gt=0, lt=1)
    """Largest share of the most frequent class among the beats drawn; by default no limit."""


class DartsOptions(SearchNetworkOptions):
    """Options of ``darts``.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; where it states no value, Liu et al. 2019
    (DARTS) on CIFAR-10.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {**_QUICK, "epochs": 6},
        "quick": _QUICK,
        "smoke": {
            "cells": 3,
            "channels": 4,
            "stem_filters": 8,
            "epochs": 2,
            "batch_size": 50,
            "beats": 200,
            "majority_share": 0.5,
            "alpha_lr": 1e-2,
        },
    }

    order: Literal["first", "second"] = "first"
    """Order of the gradient of α: ``first`` takes w as fixed, ``second`` unrolls one SGD step and
    needs the precision ``float32``."""

    warmup_epochs: int = Field(0, ge=0)
    """Initial epochs in which only the weights are trained."""

    alpha_lr: float = Field(3e-4, gt=0)
    """Learning rate of α (Adam, betas 0.5 and 0.999)."""

    alpha_weight_decay: float = Field(1e-3, ge=0)
    """Weight decay of α."""

    hessian_eigenvalue: bool = Field(True, exclude=True)
    """Whether the trajectory holds the dominant eigenvalue of the Hessian of the validation loss in
    α at the end of each epoch. It changes neither the result nor the run key, and takes a few
    percent of the search, a quarter with ``gdas``.
    """

    @model_validator(mode="after")
    def _trains_alpha(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs}): "
                "α is trained in the others only"
            )
        if self.order == "second" and self.precision != "float32":
            raise ValueError(
                "order=second divides a small difference of two gradients, which rounding to "
                f"{self.precision} hides: leave precision at float32"
            )
        return self


Profiles = Mapping[str, Mapping[str, Any]]


def _profiles(*, quick: Mapping[str, Any], smoke: Mapping[str, Any]) -> Profiles:
    """Return the profiles of ``darts`` with changes; all but ``smoke`` get those of ``quick``."""
    return {
        name: {**values, **(smoke if name == "smoke" else quick)}
        for name, values in DartsOptions.PROFILES.items()
    }


class PcDartsOptions(DartsOptions):
    """Options of ``pc-darts``. Source: Xu et al. 2020, section 4.2, CIFAR-10."""

    PROFILES: ClassVar[Profiles] = _profiles(
        quick={"channels": 16, "warmup_epochs": 1}, smoke={"channels": 8, "warmup_epochs": 0}
    )

    lr: float = Field(0.1, gt=0)
    """Learning rate of the weights (SGD) in the first epoch, annealed by a cosine (0.1 in the
    paper)."""

    lr_min: float = Field(0.0, ge=0)
    """Learning rate that the cosine ends at (0 in the paper)."""

    partial_channels: int = Field(4, ge=2)
    """K: one in K channels of a state passes the operations; the others bypass them."""

    warmup_epochs: int = Field(15, ge=0)
    """Initial epochs in which only the weights are trained (15 in the paper)."""

    alpha_lr: float = Field(6e-4, gt=0)
    """Learning rate of α and β (Adam, betas 0.5 and 0.999); 6e-4 in the paper."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.channels % self.partial_channels or self.channels < 2 * self.partial_channels:
            raise ValueError(
                f"channels ({self.channels}) must be a multiple of partial_channels "
                f"({self.partial_channels}), and at least twice as many"
            )
        return self


class DartsPlusOptions(DartsOptions):
    """Options of ``darts-plus``. Source: Liang et al. 2019, section 3.2."""

    max_skips: int = Field(2, ge=0)
    """Largest number of skips in the normal cell; the search stops at more."""


class BetaDartsOptions(DartsOptions):
    """Options of ``beta-darts``. Source: Ye et al. 2022, section 4, and their code."""

    beta_weight: float = Field(50.0, ge=0)
    """Weight of the log-sum-exp of α after the last epoch; it rises linearly from 0."""

    alpha_weight_decay: float = Field(0.0, ge=0)
    """Weight decay of α; none, as the log-sum-exp replaces it."""


class FairDartsOptions(DartsOptions):
    """Options of ``fair-darts``. Source: Chu et al. 2020, section 5.1, and their code."""

    PROFILES: ClassVar[Profiles] = _profiles(quick={"alpha_lr": 3e-2}, smoke={"alpha_lr": 3e-2})

    lr: float = Field(0.005, gt=0)
    """Learning rate of the weights (SGD) in the first epoch, annealed by a cosine; 0.005 in the
    authors' code."""

    zero_one_weight: float = Field(10.0, ge=0)
    """Weight of the zero-one loss."""

    threshold: float = Field(0.85, ge=0, le=1)
    """Sigmoid above which an operation counts as selected."""

    alpha_lr: float = Field(3e-3, gt=0)
    """Learning rate of α (Adam, betas 0.9 and 0.999); 3e-3 in the authors' code."""


class DartsMinusOptions(DartsOptions):
    """Options of ``darts-minus``. Source: Chu et al. 2021, section 4.1."""

    skip_weight: float = Field(1.0, ge=0)
    """β, the weight of the auxiliary skip in the first epoch; it falls linearly to 0."""


class DrnasOptions(DartsOptions):
    """Options of ``drnas``. Source: Chen et al. 2021, section 4, and their code."""

    PROFILES: ClassVar[Profiles] = _profiles(quick={"warmup_epochs": 1}, smoke={"warmup_epochs": 0})

    lr: float = Field(0.1, gt=0)
    """Learning rate of the weights (SGD) in the first epoch, annealed by a cosine; 0.1 in the
    authors' code."""

    lr_min: float = Field(0.0, ge=0)
    """Learning rate that the cosine ends at; 0 in the authors' code."""

    order: Literal["first"] = "first"
    """Order of the gradient of α; the second would compare losses under different samples."""

    distance: Literal["l2", "kl"] = "l2"
    """Distance of the distributions from uniform: of α from 0 (``l2``), or Kullback-Leibler."""

    distance_scale: float = Field(1e-3, ge=0)
    """Weight of the distance."""

    warmup_epochs: int = Field(10, ge=0)
    """Initial epochs in which only the weights are trained (10 in the authors' code)."""

    alpha_lr: float = Field(6e-4, gt=0)
    """Learning rate of α (Adam, betas 0.5 and 0.999); 6e-4 in the authors' code."""

    alpha_weight_decay: float = Field(0.0, ge=0)
    """Weight decay of α; none, as the distance replaces it."""


class GdasOptions(DartsOptions):
    """Options of ``gdas``. Source: Dong and Yang 2019, section 4.2."""

    order: Literal["first"] = "first"
    """Order of the gradient of α; the second would compare losses of different operations."""

    temperature: float = Field(10.0, gt=0)
    """τ of the Gumbel softmax in the first epoch; it falls linearly."""

    temperature_min: float = Field(0.1, gt=0)
    """τ in the last epoch."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.temperature_min > self.temperature:
            raise ValueError(
                f"temperature_min ({self.temperature_min:g}) must not exceed temperature "
                f"({self.temperature:g})"
            )
        return self


class DartsPtOptions(DartsOptions):
    """Options of ``darts-pt``. Source: Wang et al. 2021, algorithm 1, and their code."""

    PROFILES: ClassVar[Profiles] = _profiles(
        quick={"tune_epochs": 0.1, "projection_beats": 200},
        smoke={"tune_epochs": 0.1, "projection_beats": 50},
    )

    tune_epochs: float = Field(10.0, gt=0)
    """Training epochs between two decisions (10 in the authors' code); at least one step."""

    projection_beats: int | None = Field(None, ge=2)
    """Validation beats that score the network without an operation or edge; by default all."""


class DartsESOptions(DartsOptions):
    """Options of ``darts-es``. Source: Zela et al. 2020, section 4.3, and their code."""

    PROFILES: ClassVar[Profiles] = _profiles(
        quick={"window": 3, "lag": 1, "start_epoch": 1},
        smoke={"window": 1, "lag": 1, "start_epoch": 0},
    )

    window: int = Field(5, ge=1)
    """Epochs over which the eigenvalue is averaged, centered on an epoch."""

    lag: int = Field(5, ge=1)
    """k: epochs between the two averages compared; α returns to the center of the earlier one."""

    ratio: float = Field(0.75, gt=0, lt=1)
    """The search stops when the earlier average is below this fraction of the later one."""

    start_epoch: int = Field(10, ge=0)
    """Initial epochs to which α does not return (10 in the authors' code)."""

    hessian_eigenvalue: Literal[True] = Field(True, exclude=True)
    """Always on: the stopping rule uses the eigenvalue."""
