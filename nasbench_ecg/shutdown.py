"""SIGTERM that saves: a run stops after its current step, with that step in its checkpoint.

A scheduler sends SIGTERM some seconds before it kills a job; a terminal or an SSH connection that
is closed sends SIGHUP. :func:`stop_on_sigterm` turns both into KeyboardInterrupt, as Ctrl-C does.
Inside :func:`saving` the error is delayed: checkpoints are then due after every step, and the first
one that is saved raises it. A step that takes longer than :data:`GRACE` seconds is lost.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE = 5.0
"""Most seconds that a run takes for its current step after SIGTERM."""

KILL_AFTER = 30.0
"""Seconds between SIGTERM and SIGKILL for a process whose parent has ended."""

LIFELINE = "NASBENCH_ECG_LIFELINE"
"""Environment variable: descriptor and inode of a pipe that closes when the process that started
this one ends, also by a kill. The inode tells it from another file of the same descriptor."""

_HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none

SIGNALS = (signal.SIGINT, signal.SIGTERM, _HANGUP)
"""Signals that stop a run."""

_requested = False
_saving = False


def stop_on_sigterm() -> None:
    """Handle SIGTERM from now on, and end this process when the one that started it has ended.

    SIGHUP is handled too, unless it is ignored, as ``nohup`` has it.
    """
    global _requested
    _requested = False
    signal.signal(signal.SIGTERM, _on_sigterm)
    if signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        signal.signal(_HANGUP, _on_sigterm)
    signal.signal(signal.SIGALRM, _time_is_up)
    descriptor, _, inode = os.environ.pop(LIFELINE, "").partition(":")
    with suppress(OSError, ValueError):
        if os.fstat(int(descriptor)).st_ino == int(inode):
            arguments = (int(descriptor),)
            threading.Thread(target=_end_with_parent, args=arguments, daemon=True).start()


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    global _requested
    if not _saving:
        raise KeyboardInterrupt
    if not _requested:
        _requested = True
        signal.setitimer(signal.ITIMER_REAL, GRACE)


def _time_is_up(number: int, frame: FrameType | None) -> None:
    if _requested and _saving:
        raise KeyboardInterrupt


def _end_with_parent(descriptor: int) -> None:
    with suppress(OSError):
        os.read(descriptor, 1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(KILL_AFTER)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


@contextmanager
def signals_delayed() -> Iterator[None]:
    """Delay SIGNALS to the end of the block, such as while jobs are given away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda n, frame: received.append(n)) for number in SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for n in received:
            signal.raise_signal(n)


def requested() -> bool:
    """Return whether this process has been asked to end after its current step."""
    return _requested


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt if this process has been asked to end; call it between steps."""
    if _requested:
        _disarm()
        raise KeyboardInterrupt


@contextmanager
def saving() -> Iterator[None]:
    """Delay the end of this process to the end of a step, inside the block.

    A block that ends by itself, with all its results written, ends as if there had been no signal.

    Raises:
        KeyboardInterrupt: SIGTERM was received in the block, and a step was saved or :data:`GRACE`
            seconds have passed.
    """
    global _saving
    _saving = True
    try:
        yield
    finally:
        _saving = False
        if _requested:
            _disarm()


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
