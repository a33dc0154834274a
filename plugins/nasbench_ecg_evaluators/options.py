"""Options of the evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nasbench_ecg.api import Options


class TrainOptions(Options):
    """Options of ``train``; the defaults are the paper's final training.

    Sources: Lv et al. 2021 ("Heart-Darts"), section IV-C; what it leaves open is from Liu et al.
    2019 (DARTS) on CIFAR-10, without auxiliary head, drop-path and cutout.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cpu": {"epochs": 6},
        "quick": {"epochs": 4},
        "smoke": {"epochs": 2, "batch_size": 64, "beats": 1000},
    }

    epochs: int = Field(100, ge=1)
    """Passes over the beats; the last one counts."""

    batch_size: int = Field(256, ge=2)
    """Beats in a step."""

    beats: int | None = Field(None, ge=2)
    """Most beats to train on, drawn at random; by default all."""

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

    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """``tf32`` rounds what enters convolutions on a GPU, ``bf16`` computes them in bfloat16; faster
    where the processor has it."""


class ProxyOptions(Options):
    """Options of the zero-cost proxies."""

    batch_size: int = Field(32, ge=2)
    """Beats in the one batch, drawn at random from the train part."""


class CountOptions(Options):
    """Options of ``parameters`` and ``flops``."""

    prefer: Literal["more", "fewer"] = "more"
    """Which network scores higher: the larger one, as a proxy of accuracy, or the cheaper one."""


class LatencyOptions(Options):
    """Options of ``latency``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"repeats": 20, "batch_repeats": 5},
    }

    repeats: int = Field(100, ge=1)
    """Timed passes of one beat, of which the median counts."""

    batch_repeats: int = Field(15, ge=1)
    """Timed passes of a batch."""

    batch_size: int = Field(256, ge=2)
    """Beats in the batch."""

    rank_by: Literal["beat", "batch"] = "beat"
    """Whether the score is that of one beat or of the batch."""
