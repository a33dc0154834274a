"""QRS detection compared with the annotated beats of MIT-BIH."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from wfdb.processing import compare_annotations

from nasbench_ecg.physionet.catalog import record_names
from nasbench_ecg.signal.aami import SYMBOLS
from nasbench_ecg.signal.filtering import adaptive_filter
from nasbench_ecg.signal.qrs import detect_qrs
from nasbench_ecg.signal.records import Record, read_record

Ints = NDArray[np.int64]
_WINDOW = 0.15  # seconds


def table(folder: Path) -> str:
    """Return a Markdown table of the gross scores, and a list of the records with most errors."""
    rows = []
    filtering = detecting = 0.0
    for name in record_names(folder):
        record = read_record(folder, name)
        start = time.process_time()
        filtered = adaptive_filter(record.signals, record.fs)
        middle = time.process_time()
        found = detect_qrs(filtered, record.fs)
        filtering += middle - start
        detecting += time.process_time() - middle
        rows.append((name, *compare(record, found)))
    tp, fn, fp = np.sum([row[1:] for row in rows], axis=0)
    worst = sorted(rows, key=lambda row: -(row[2] + row[3]))[:8]
    lines = [
        "| beats | found | missed | false | Se | +P "
        "| filter, s per record | detection, s per record |",
        "|---|---|---|---|---|---|---|---|",
        f"| {tp + fn:,} | {tp:,} | {fn:,} | {fp:,} | {tp / (tp + fn):.2%} | {tp / (tp + fp):.2%} "
        f"| {filtering / len(rows):.2f} | {detecting / len(rows):.2f} |",
        "",
        "Most errors (missed / false): "
        + ", ".join(f"{name} ({missed}/{false})" for name, _, missed, false in worst)
        + ".",
    ]
    return "\n".join(lines)


def compare(record: Record, found: Ints) -> tuple[int, int, int]:
    """Return the numbers of true, missed and false detections outside ventricular flutter."""
    annotated = record.samples[np.isin(record.symbols, list(SYMBOLS))]
    window = int(_WINDOW * record.fs)
    annotated, found = (
        beats[~_in_flutter(beats, record, margin)]
        for beats, margin in ((annotated, 0), (found, window))
    )
    result = compare_annotations(annotated, found, window)
    return int(result.tp), int(result.fn), int(result.fp)


def _in_flutter(beats: Ints, record: Record, margin: int) -> NDArray[np.bool_]:
    inside = np.zeros(len(beats), dtype=bool)
    ends = record.samples[record.symbols == "]"]
    for start in record.samples[record.symbols == "["]:
        later = ends[ends > start]
        end = later[0] if len(later) else record.signals.shape[1]
        inside |= (beats >= start - margin) & (beats <= end + margin)
    return inside
