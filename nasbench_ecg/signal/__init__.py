"""ECG signals: records, denoising, windows, QRS detection, delineation, beat features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.lazy import lazy_names

if TYPE_CHECKING:
    from nasbench_ecg.signal.aami import CLASSES, SYMBOLS
    from nasbench_ecg.signal.adaptive import adaptive_filter
    from nasbench_ecg.signal.delineation import Waves, delineate, faulty
    from nasbench_ecg.signal.denoising import denoise
    from nasbench_ecg.signal.features import FEATURES, FeatureTable, beat_features, join_tables
    from nasbench_ecg.signal.qrs import detect_qrs
    from nasbench_ecg.signal.records import Record, read_record
    from nasbench_ecg.signal.windows import Windows, segment

__getattr__ = lazy_names(
    __name__,
    {
        "nasbench_ecg.signal.aami": (
            "CLASSES",
            "SYMBOLS",
        ),
        "nasbench_ecg.signal.adaptive": ("adaptive_filter",),
        "nasbench_ecg.signal.delineation": (
            "Waves",
            "delineate",
            "faulty",
        ),
        "nasbench_ecg.signal.denoising": ("denoise",),
        "nasbench_ecg.signal.features": (
            "FEATURES",
            "FeatureTable",
            "beat_features",
            "join_tables",
        ),
        "nasbench_ecg.signal.qrs": ("detect_qrs",),
        "nasbench_ecg.signal.records": (
            "Record",
            "read_record",
        ),
        "nasbench_ecg.signal.windows": (
            "Windows",
            "segment",
        ),
    },
)

__all__ = [
    "CLASSES",
    "FEATURES",
    "SYMBOLS",
    "FeatureTable",
    "Record",
    "Waves",
    "Windows",
    "adaptive_filter",
    "beat_features",
    "delineate",
    "denoise",
    "detect_qrs",
    "faulty",
    "join_tables",
    "read_record",
    "segment",
]
