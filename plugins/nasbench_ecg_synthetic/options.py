"""Options of ``synthetic-2lead``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from nasbench_ecg.api import WaveformOptions


class SyntheticOptions(WaveformOptions):
    """How many people are made up, for how long they are recorded, and how beats are cut."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"patients": 12, "minutes": 3.0}
    }

    seed: int = Field(default=0, ge=0)
    """Another seed gives other people."""

    patients: int = Field(default=24, ge=12, le=999)
    """Number of people, one record each."""

    minutes: float = Field(default=5.0, ge=1.0, le=60.0)
    """Length of each record."""

    noise: float = Field(default=1.0, ge=0.0, le=10.0)
    """Factor of wander, muscle and mains noise: 0 is none, 1 what an ambulatory recorder adds."""

    records: tuple[str, ...] = ()
    """Names of the records, s001, s002 and so on; empty: all of them."""

    leads: tuple[str, ...] = Field(default=("MLII", "V1"), min_length=1)
    """Leads by name."""

    before: int = Field(default=99, ge=0)
    """Samples of the window before the R peak."""

    after: int = Field(default=200, ge=0)
    """Samples of the window after the R peak, which itself is counted in neither."""

    @field_validator("records", "leads")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("no name may be given twice")
        return names
