"""Options of the evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nasbench_ecg.api import Options
from nasbench_ecg.training import RecipeOptions


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

    beats: int | None = Field(None, ge=2)
    """Most beats to train on, drawn at random; null uses all."""


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
