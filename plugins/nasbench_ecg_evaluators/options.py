"""Options of the evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nasbench_ecg.api import Options
from nasbench_ecg.training import AUGMENTATIONS, Augmentation, LossName, Recipe, RecipeOptions

_PUBLISHED = {field.name: field.default for field in fields(Recipe)}


class TrainOptions(RecipeOptions):
    """Options of ``train``; the defaults are the final training of Heart-DARTS.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; values it does not state are those of Liu
    et al. 2019 (DARTS) on CIFAR-10, without auxiliary head, drop-path and cutout.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"epochs": 6},
        "quick": {"epochs": 4},
        "smoke": {"epochs": 2, "batch_size": 64, "beats": 1000},
    }

    lr: float = Field(Recipe.lr, gt=0)
    """Learning rate of the weights: of the first epoch (cosine), or of the peak (one-cycle)."""

    momentum: float = Field(Recipe.momentum, ge=0, lt=1)
    """Momentum of SGD."""

    beats: int | None = Field(None, ge=2)
    """Most beats to train on, drawn at random; null uses all."""

    optimizer: Literal["sgd", "adamw"] | None = None
    """Optimizer of the weights; null is sgd."""

    schedule: Literal["cosine", "one-cycle"] | None = None
    """Schedule of the learning rate: over the epochs, or up and down over the steps; null is
    cosine."""

    loss: LossName | None = None
    """Loss; all but cross-entropy (null) give rare or difficult beats more weight."""

    tau: float | None = Field(None, ge=0)
    """τ of logit-adjustment: 0 is cross-entropy, 1 (null) aims at the mean sensitivity."""

    min_share: float | None = Field(None, ge=0, lt=1)
    """Classes with a smaller share of the training beats are left alone by logit-adjustment; null
    adjusts all."""

    beta: float | None = Field(None, ge=0, lt=1)
    """β of class-balanced: 0 is cross-entropy, near 1 inverse frequencies; null is 0.9999."""

    gamma: float | None = Field(None, ge=0)
    """γ of focal: 0 is cross-entropy; null is 2."""

    augment: tuple[Augmentation, ...] | None = None
    """Random changes of training beats: wander, noise, scale, shift, lead-dropout; null is none."""

    averaging: Literal["ema", "swa"] | None = None
    """Result is an average of the weights: exponential (ema), of the last quarter of the steps
    (swa), or null, those of the last step."""

    averaging_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of ema in a step; null is 0.995."""

    @field_validator("augment", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        """Also accept ``wander,noise`` from a command line."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("augment")
    @classmethod
    def _in_order(cls, names: tuple[Augmentation, ...] | None) -> tuple[Augmentation, ...] | None:
        return tuple(name for name in AUGMENTATIONS if name in names) if names else None

    @field_validator(
        "optimizer",
        "schedule",
        "loss",
        "tau",
        "min_share",
        "beta",
        "gamma",
        "averaging",
        "averaging_decay",
    )
    @classmethod
    def _null_if_published(cls, value: Any, info: ValidationInfo) -> Any:
        """Return None for the default, so that equal recipes have equal run keys."""
        return None if value == _PUBLISHED[str(info.field_name)] else value

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        for option, owner, value in (
            ("tau", "loss", "logit-adjustment"),
            ("min_share", "loss", "logit-adjustment"),
            ("beta", "loss", "class-balanced"),
            ("gamma", "loss", "focal"),
            ("averaging_decay", "averaging", "ema"),
        ):
            if getattr(self, option) is not None and getattr(self, owner) != value:
                raise ValueError(f"{option} needs {owner}={value}")
        for option, owner, value in (
            ("momentum", "optimizer", "adamw"),
            ("lr_min", "schedule", "one-cycle"),
        ):
            if getattr(self, option) != _PUBLISHED[option] and getattr(self, owner) == value:
                raise ValueError(f"{owner}={value} has no {option}")
        return self


class ProxyOptions(Options):
    """Options of the zero-cost proxies."""

    batch_size: int = Field(32, ge=2)
    """Beats of the batch, drawn at random from the training part."""


class CountOptions(Options):
    """Options of ``parameters`` and ``flops``."""

    prefer: Literal["more", "fewer"] = "more"
    """Which network scores higher: the larger (a proxy of accuracy) or the smaller (a cost)."""


class LatencyOptions(Options):
    """Options of ``latency``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"repeats": 20, "batch_repeats": 5},
    }

    repeats: int = Field(100, ge=1)
    """Timed passes of one beat; the median is reported."""

    batch_repeats: int = Field(15, ge=1)
    """Timed passes of a batch; the median is reported."""

    batch_size: int = Field(256, ge=2)
    """Beats in the batch."""

    rank_by: Literal["beat", "batch"] = "beat"
    """Whether one beat or the batch determines the score."""
