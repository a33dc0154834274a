"""Try code of a plugin in a copy of this process, so that it can neither end nor hang this one.

A copy (``fork``) costs some milliseconds. It is used on Linux while PyTorch is not imported, as at
the start of every command: PyTorch's threads do not survive the copy, and macOS does not support
it. Elsewhere an alarm ends code that runs for too long.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType

SECONDS = "NASBENCH_ECG_PLUGIN_SECONDS"
"""Environment variable: most seconds that a plugin may take to load; 30 by default."""

_OK = b"ok"


class TooSlow(BaseException):
    """Code of a plugin ran for too long; no ``except Exception`` of the plugin stops it."""


def time_limit() -> float:
    """Return the most seconds that a plugin may take to load."""
    try:
        seconds = float(os.environ.get(SECONDS, "30"))
    except ValueError:
        return 30.0
    return seconds if 0 < seconds < 86400 else 30.0


def fault_of(act: Callable[[], object]) -> str:
    """Call ``act`` in a copy of this process, and return why it may not be called here.

    Returns:
        Empty if it returns or raises in time, or where no copy can be made; otherwise that it ends
        the process or does not finish.

    Raises:
        KeyboardInterrupt: Ctrl-C, which ends the copy too.
    """
    if sys.platform != "linux" or "torch" in sys.modules or threading.active_count() > 1:
        return ""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run(act, writer)
    os.close(writer)
    try:
        return _result(child, reader)
    finally:
        os.close(reader)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def _run(act: Callable[[], object], writer: int) -> None:
    """Call ``act`` in the copy, without output, say on ``writer`` that it came back, and exit."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        act()
    finally:
        with suppress(BaseException):
            os.write(writer, _OK)
        os._exit(0)


def _result(child: int, reader: int) -> str:
    limit = time_limit()
    deadline = monotonic() + limit
    while (left := deadline - monotonic()) > 0:
        if _came_back(reader, min(left, 0.05)):
            return ""
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            if _came_back(reader, 0):  # between the two looks
                return ""
            code = os.waitstatus_to_exitcode(status)
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            return f"it ends the process ({how})"
    return f"it does not finish within {limit:g} seconds"


def _came_back(reader: int, seconds: float) -> bool:
    """Return whether the copy says so within some seconds."""
    ready, _, _ = select.select([reader], [], [], seconds)
    return bool(ready) and os.read(reader, len(_OK)) == _OK


@contextmanager
def limited_time() -> Iterator[None]:
    """Raise :class:`TooSlow` in the block when its time is up.

    It works in the main thread, where the system has timers and no other is running.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_REAL)[0] > 0
    ):
        yield
        return
    limit = time_limit()

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"it does not finish within {limit:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit, 0.1)  # again, where a plugin catches it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
