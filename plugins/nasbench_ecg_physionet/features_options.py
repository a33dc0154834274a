"""Records, leads and beats of the datasets whose beats are feature vectors."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from nasbench_ecg.api import CLASSES, RecordsOptions
from nasbench_ecg_physionet.mitbih_options import DS1, DS2, PAPER_RECORDS

_INTER_PATIENT: dict[str, Any] = {"records": DS1 + DS2, "head": 0, "tail": 0}


class FeatureOptions(RecordsOptions):
    """Which beats are measured, in which leads."""

    leads: tuple[str, ...] = ("MLII",)
    """Leads by name, each of which gives 18 features; '#0' is one by its place in the file."""


class MitBihFeaturesOptions(FeatureOptions):
    """The beats of ``mitbih-2lead``, lead MLII."""

    PROTOCOLS: ClassVar = {
        "inter-patient": _INTER_PATIENT,
        "inter-patient-strict": _INTER_PATIENT,
    }

    records: tuple[str, ...] = PAPER_RECORDS
    """Names of the records."""


class IemmcBeatsOptions(FeatureOptions):
    """The 1,682 beats of seven records on which IEMMC was tried.

    The paper's table of records and counts is not to be had, so the defaults are ours. The records
    were chosen for what they hold, before anything was clustered: all five classes, both bundle
    branch blocks, and most classes in more than one person. N is nearly half of the beats, as the
    paper says that it has most.
    """

    records: tuple[str, ...] = ("106", "109", "118", "208", "209", "213", "217")
    """Names of the records; the paper has seven, and does not name them any more."""

    counts: dict[str, int] = Field({"N": 800, "S": 240, "V": 330, "F": 112, "Q": 200})
    """Beats of each AAMI class; the paper has 1,682 in all."""

    seed: int = Field(0, ge=0)
    """Seed of the draw of these beats from all that the records hold."""

    head: int = Field(0, ge=0)
    """Annotations of any type left out at the start of each record."""

    tail: int = Field(0, ge=0)
    """Annotations of any type left out at the end of each record."""

    @field_validator("counts")
    @classmethod
    def _of_known_classes(cls, counts: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(counts) - set(CLASSES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of the classes {', '.join(CLASSES)}")
        if not counts or min(counts.values()) < 1:
            raise ValueError("every class that is named needs a beat or more")
        return {name: counts[name] for name in CLASSES if name in counts}
