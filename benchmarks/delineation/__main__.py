"""How well beats and waves are found: ``python benchmarks/delineation``.

R peaks against the cardiologists' beats of all MIT-BIH records, with wfdb's comparator; P and T
peaks against the expert marks of the QT database (``.q1c``), beside NeuroKit2's wavelet delineator
on the same records and the same beats (``pip install neurokit2``). Prints its tables and writes
them to ``benchmarks/delineation/README.md``. Records are found as the command line finds them
(``NASBENCH_ECG_DATA``, or the cache).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import beats
import waves

from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.io import write_atomically

_NOTES = """\
# How well beats and waves are found

{machine}

## R peaks: MIT-BIH Arrhythmia Database, all 48 records, from the first sample to the last

{beats}

A detection counts within 150 ms of an annotated beat (`wfdb.processing.compare_annotations`), gross
over all records. As in ANSI/AAMI EC57, ventricular flutter (the episodes between `[` and `]` of
record 207) is left out on both sides; no learning period is left out. CPU time is that of one core.

## P and T peaks: QT Database, expert marks `q1c`, all {n_records} records

{waves}

Both methods get the same beats, those that our detector finds. A mark counts as detected where a
peak lies within 150 ms; error is detected minus marked. The expert looked at both leads together,
so "better lead" takes for each mark the lead whose peak is nearer (Martínez et al. 2004).
"P where the expert marks none" is the share of marked QRS complexes without a marked P wave
that are given one within 300 ms before them, first lead.

The constants of `data/qrs.py` and `data/waves.py` were chosen on these same records, so these
tables say how well the rules fit, not how well they carry over to other databases.
"""


def main() -> None:
    """Run both parts, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that holds mitdb and qtdb")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "README.md")
    args = parser.parse_args()
    source = LocalSource(args.data)
    start = time.monotonic()
    found = beats.table(source.folder("mitdb"))
    n_records, delineated = waves.table(source.folder("qtdb"))
    text = _NOTES.format(
        machine=_machine(time.monotonic() - start),
        beats=found,
        n_records=n_records,
        waves=delineated,
    )
    print(text)
    write_atomically(args.out, text)
    print(f"written: {args.out}")


def _machine(seconds: float) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{p} {version(p)}" for p in ("wfdb", "neurokit2", "scipy", "numpy"))
    return (
        f"Measured {datetime.now(UTC).date()} on {names[0] if names else platform.processor()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}; "
        f"{seconds:.0f} s in all. Made by `python benchmarks/delineation`."
    )


if __name__ == "__main__":
    main()
