"""Test the claims of the IEMMC paper: ``python benchmarks/claims``.

Reads the runs of ``nasbench-ecg suite run iemmc`` and writes a report with three figures next to
them, ``results/iemmc/README.md``. The figure of clusters needs the ECG records, from ``--data``,
``NASBENCH_ECG_DATA`` or the cache.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiment import SUITE, read_experiment

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
        found = read_experiment(args.out)
        import report  # imports matplotlib, which takes seconds

        folder = args.out / SUITE
        files = report.render(found, LocalSource(args.data))
        for name, text in files.items():
            path = folder / name
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
