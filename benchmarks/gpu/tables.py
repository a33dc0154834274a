"""Train the missing members of tables on a GPU: ``python tables.py --device cuda … TRACK …``.

A track is ``DATASET:PROTOCOL``, or ``DATASET:PROTOCOL:PART.OPTION=VALUE``. Tracks run at the same
time: one of them leaves the GPU idle while it prepares networks. A table that ``--start`` holds is
continued, so the few trainings that a CPU must do first can be brought along.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path


def build(track: str, args: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Start the build of one track."""
    dataset, protocol, *options = track.split(":")
    command = [sys.executable, "-m", "nasbench_ecg", "table", "build", dataset]
    command += ["--protocol", protocol, "--device", args.device, "--tables", str(args.tables)]
    command += ["--hours", str(args.minutes / 60)]
    for option in options:
        command += ["--set", option]
    return subprocess.Popen(command, start_new_session=True)  # one SIGTERM each, from here


def main() -> int:
    """Build all tracks; return 0 if all builds ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", nargs="+", metavar="TRACK")
    parser.add_argument("--device", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True, help="folder of tables to continue")
    args = parser.parse_args()
    for card in sorted(args.start.glob("*/*/card.json")):
        target = args.tables / card.parent.relative_to(args.start)
        if not target.exists():
            shutil.copytree(card.parent, target)
    processes = [build(track, args) for track in args.tracks]

    def end(*_: object) -> None:  # the builds then write what they have into their tables
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    return max(abs(process.wait()) for process in processes)


if __name__ == "__main__":
    sys.exit(main())
