"""Test the claims of the IEMMC paper: ``python benchmarks/claims``.

Reads the runs of the suites ``iemmc`` (pooled reading), ``iemmc-records`` (within one record) and
``iemmc-features``, and writes two reports. ``results/iemmc/README.md`` has three figures and the
claims in both readings, ``results/iemmc-records/README.md`` the second reading. They need the ECG
records, from ``--data``, ``NASBENCH_ECG_DATA`` or the cache.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiment import METHODS, SUITE, read_suite
from features_report import METHODS as FEATURE_METHODS
from features_report import SUITE as FEATURES
from within import read_within

from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.io import storage_errors, write_atomically


def main() -> int:
    """Write the report; return 2 if runs or records are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--data", type=Path, help="folder that contains mitdb")
    args = parser.parse_args()
    try:
        pooled = read_suite(args.out, SUITE, METHODS)
        within = read_within(args.out)
        features = read_suite(args.out, FEATURES, FEATURE_METHODS)
        import report  # imports matplotlib, which takes seconds

        files = report.render(pooled, within, features, LocalSource(args.data))
        for name, text in files.items():
            path = args.out / name
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, text)
            print(path)
    except NasbenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
