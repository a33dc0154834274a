"""Records, leads and windows of the MIT-BIH datasets, for each protocol."""

from __future__ import annotations

from typing import Any, ClassVar

from nasbench_ecg.api import WaveformOptions

PAPER_RECORDS = (
    "101", "105", "106", "107", "108", "109", "111", "112", "113", "115", "116", "118", "119",
    "121", "122", "200", "201", "202", "203", "205", "207", "208", "209", "210", "212", "213",
    "214", "215", "217", "219", "220", "221", "222", "223", "228", "230", "231", "232", "233",
    "234",
)  # fmt: skip
"""The 40 records whose leads are MLII and V1."""

DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122", "124", "201",
    "203", "205", "207", "208", "209", "215", "220", "223", "230",
)  # fmt: skip
"""Training records of de Chazal et al. 2004."""

DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210", "212", "213",
    "214", "219", "221", "222", "228", "231", "232", "233", "234",
)  # fmt: skip
"""Test records of de Chazal et al. 2004."""

_INTER_PATIENT: dict[str, Any] = {"records": DS1 + DS2, "head": 0, "tail": 0}


def _protocols(leads: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    changed = {**_INTER_PATIENT, "leads": leads}
    return {"inter-patient": changed, "inter-patient-strict": changed}


class OneLeadOptions(WaveformOptions):
    """One lead: V1 as in the paper; MLII between patients, since six of those records lack V1."""

    PROTOCOLS: ClassVar = _protocols(("MLII",))

    records: tuple[str, ...] = PAPER_RECORDS
    leads: tuple[str, ...] = ("V1",)
    before: int = 99
    after: int = 200


class TwoLeadOptions(WaveformOptions):
    """Two leads: MLII and V1 as in the paper; MLII and whichever is the other between patients."""

    PROTOCOLS: ClassVar = _protocols(("MLII", "*"))

    records: tuple[str, ...] = PAPER_RECORDS
    leads: tuple[str, ...] = ("MLII", "V1")
    before: int = 99
    after: int = 200


class ContextOptions(TwoLeadOptions):
    """Two leads from 2 s before to 1 s after the R peak at 120 Hz, 360 samples: with the rhythm."""

    before: int = 240
    after: int = 119
    rate: float | None = 120.0
