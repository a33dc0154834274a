"""Verify what quantization to 8-bit integers cost a network, as ``export --int8`` stored it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nasbench_ecg.models.quantization import Int8Scores
from nasbench_ecg.models.verify import Check
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import INT8, INT8_PROGRAM
from nasbench_ecg.run.validation import describe_invalid

_ROUNDING = 1e-9
_OTHER_PROCESSOR = 0.01
"""Largest difference between the F1 of a run and that of its float network at the export."""


def check_int8(record_file: Path, record: RunRecord) -> list[Check]:
    """Return whether the scores in 8-bit integers that are stored beside a record can be its own.

    Args:
        record_file: The record.
        record: What it holds.

    Returns:
        One check; none where the network was not quantized.
    """
    files = [record_file.with_suffix("") / name for name in (INT8, INT8_PROGRAM)]
    files = [file for file in files if file.exists()]
    for file in files:
        if fault := _fault_of_file(file, record):
            return [Check("int8", "failed", f"{file.name}: {fault}")]
    detail = "The scores in 8-bit integers fit those of the run."
    return [Check("int8", "passed", detail)] if files else []


def _fault_of_file(file: Path, record: RunRecord) -> str:
    """Return why a file cannot be of this run; empty if it can."""
    try:
        found = TypeAdapter(Int8Scores).validate_json(file.read_bytes())
    except OSError as error:
        return error.strerror or str(error)
    except ValidationError as error:
        return describe_invalid(error)
    return _fault(found, record)


def _fault(found: Int8Scores, record: RunRecord) -> str:
    n = int(np.sum(record.confusion or ()))
    if found.test_beats != n:
        return f"test_beats is {found.test_beats:,}, but the run has {n:,}"
    if min(found.weight_bytes, found.calibration_beats) < 1:
        return "weight_bytes and calibration_beats must be positive"
    if not (0 <= found.f1_of_macro <= 1 and 0 <= found.agreement <= 1):
        return "f1_of_macro and agreement must be fractions"
    changed = (1 - found.agreement) * n
    if abs(changed - round(changed)) > _ROUNDING * n:
        return f"agreement is {found.agreement}, which is no whole number of {n:,} beats"
    if round(changed) == 0 and abs(found.loss) > _ROUNDING:
        return f"loss is {found.loss}, but no beat changed its class"
    in_float, own = found.f1_of_macro + found.loss, record.metrics["f1_of_macro"]
    if abs(in_float - own) > _OTHER_PROCESSOR:
        return f"F1 before quantization is {in_float:.4f}, but {own:.4f} in the run"
    return ""
