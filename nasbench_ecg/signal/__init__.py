"""ECG signal processing, for plugin authors and the built-in datasets.

Read WFDB records, filter them, cut windows around R peaks, detect QRS complexes, delineate P, Q,
R, S and T waves, and compute beat features, rhythm planes and the median beat. Names are loaded
when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.lazy import lazy_names

if TYPE_CHECKING:
    from nasbench_ecg.signal.aami import AAMI_SYMBOLS, CLASSES, SYMBOLS, SymbolMap
    from nasbench_ecg.signal.delineation import Waves, delineate, flat_mask
    from nasbench_ecg.signal.features import (
        BEAT_FEATURES,
        FEATURES,
        FeatureTable,
        beat_features,
        join_tables,
        standardize,
    )
    from nasbench_ecg.signal.filtering import Denoising, adaptive_filter, denoise
    from nasbench_ecg.signal.median_beat import Differences, median_beat
    from nasbench_ecg.signal.qrs import detect_qrs, detect_r_peaks
    from nasbench_ecg.signal.records import Record, read_record
    from nasbench_ecg.signal.rhythm import BEAT_SYMBOLS, PLANES, Rhythm, rhythm_planes
    from nasbench_ecg.signal.windows import Normalization, Windows, segment

__getattr__ = lazy_names(
    __name__,
    {
        "nasbench_ecg.signal.aami": (
            "AAMI_SYMBOLS",
            "CLASSES",
            "SYMBOLS",
            "SymbolMap",
        ),
        "nasbench_ecg.signal.delineation": (
            "Waves",
            "delineate",
            "flat_mask",
        ),
        "nasbench_ecg.signal.filtering": (
            "Denoising",
            "adaptive_filter",
            "denoise",
        ),
        "nasbench_ecg.signal.features": (
            "BEAT_FEATURES",
            "FEATURES",
            "FeatureTable",
            "beat_features",
            "join_tables",
            "standardize",
        ),
        "nasbench_ecg.signal.median_beat": (
            "Differences",
            "median_beat",
        ),
        "nasbench_ecg.signal.qrs": ("detect_qrs", "detect_r_peaks"),
        "nasbench_ecg.signal.records": (
            "Record",
            "read_record",
        ),
        "nasbench_ecg.signal.rhythm": (
            "BEAT_SYMBOLS",
            "PLANES",
            "Rhythm",
            "rhythm_planes",
        ),
        "nasbench_ecg.signal.windows": (
            "Normalization",
            "Windows",
            "segment",
        ),
    },
)

__all__ = [
    "AAMI_SYMBOLS",
    "BEAT_FEATURES",
    "BEAT_SYMBOLS",
    "CLASSES",
    "FEATURES",
    "PLANES",
    "SYMBOLS",
    "Denoising",
    "Differences",
    "FeatureTable",
    "Normalization",
    "Record",
    "Rhythm",
    "SymbolMap",
    "Waves",
    "Windows",
    "adaptive_filter",
    "beat_features",
    "delineate",
    "denoise",
    "detect_qrs",
    "detect_r_peaks",
    "flat_mask",
    "join_tables",
    "median_beat",
    "read_record",
    "rhythm_planes",
    "segment",
    "standardize",
]
