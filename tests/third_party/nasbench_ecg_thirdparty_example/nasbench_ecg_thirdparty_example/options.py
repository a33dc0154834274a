"""Options of the components of this plugin."""

from typing import ClassVar

from pydantic import Field

from nasbench_ecg.api import Options


class BestOfNOptions(Options):
    """Options of ``best-of-n``."""

    PROFILES: ClassVar = {"quick": {"candidates": 4}, "smoke": {"candidates": 2}}

    candidates: int = Field(default=16, ge=1)
    """Architectures drawn and compared."""

    epochs: int = Field(default=1, ge=1)
    """Passes over the training part that each candidate gets."""


class ToyOptions(Options):
    """Options of ``toy-2lead``."""

    beats: int = Field(default=60, ge=10)
    """Beats in each of the eight records."""

    noise: float = Field(default=0.05, ge=0)
    """Standard deviation of the noise in millivolts."""

    seed: int = 0
    """Seed of the beats."""
