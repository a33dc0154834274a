"""Options of ``given``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from nasbench_ecg.api import Options


class Origin(BaseModel):
    """The run that found an architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    run_key: str
    """Its run key."""

    strategy: str
    """Name of its strategy."""

    dataset: str
    """Name of the dataset it searched on."""

    protocol: str
    """How that dataset was split."""

    search_seed: int
    """Seed of its search."""


class GivenOptions(Options):
    """Options of ``given``."""

    architecture: dict[str, Any] | None = None
    """The architecture, as ``nasbench-ecg arch show --json`` prints it."""

    origin: Origin | None = None
    """The run it comes from; ``nasbench-ecg generalize`` enters it."""
