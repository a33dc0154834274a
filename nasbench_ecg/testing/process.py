"""The contract of a component gone through in a process of its own, begun again where it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nasbench_ecg.specs import Kind
from nasbench_ecg.testing.child import Order
from nasbench_ecg.testing.conformance import Verdict, checks_of

LIMIT = 180.0
"""Seconds that one check may take."""

_POLL_SECONDS = 0.05
_TAIL = 400


def examine(
    kind: Kind,
    name: str,
    *,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    package: Path | None = None,
    limit: float = LIMIT,
) -> Iterator[Verdict]:
    """Yield the verdict on each claim of a component's contract, whatever the component does.

    Args:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role, as ``--set`` takes them.
        package: Folder of its package where it is not installed.
        limit: Seconds that one check may take.
    """
    checks = checks_of(kind)
    done = 0
    with TemporaryDirectory() as folder:
        while done < len(checks):
            answers = Path(folder, f"{done}.jsonl")
            order = Order(
                kind, name, overrides or {}, str(package) if package else None, done, str(answers)
            )
            child = _Child(order, Path(folder, "log"), limit)
            for verdict in child.verdicts():
                done += 1
                yield verdict
            if done < len(checks):
                check = checks[done]
                yield Verdict(kind, name, check.name, check.claim, "fails", child.reason())
                done += 1


class _Child:
    """A process that goes through a contract from some check on."""

    def __init__(self, order: Order, log: Path, limit: float) -> None:
        self._answers = Path(order.answers)
        self._log = log
        self._limit = limit
        self._late = False
        command = [sys.executable, "-m", "nasbench_ecg.testing.child", json.dumps(asdict(order))]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def verdicts(self) -> Iterator[Verdict]:
        """Yield verdicts as they come, until the process ends or is late."""
        read, heard = 0, time.monotonic()
        try:
            while True:
                ended = self._process.poll() is not None
                for line in self._lines()[read:]:
                    read, heard = read + 1, time.monotonic()
                    yield Verdict(**json.loads(line))
                if ended:
                    return
                if time.monotonic() - heard > self._limit:
                    self._late = True
                    return
                time.sleep(_POLL_SECONDS)
        finally:
            self._end()

    def reason(self) -> str:
        """Return why the process gave no further verdict."""
        if self._late:
            return f"it does not come to an end within {self._limit:g} seconds"
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        log = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f"it ends the process ({how})" + (f": {log[-_TAIL:]}" if log and code else "")

    def _lines(self) -> list[str]:
        if not self._answers.is_file():
            return []
        # A last line that is being written is taken up the next time.
        return self._answers.read_text(encoding="utf-8").split("\n")[:-1]

    def _end(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
