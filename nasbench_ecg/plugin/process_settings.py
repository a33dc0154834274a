"""Settings of the process that code of a plugin may leave changed, without those of libraries."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting: its name, and how to read and write it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]

    def value(self) -> Any:
        """Return its value; None if it cannot be read."""
        try:
            return self.read()
        except Exception:  # such as a current folder that no longer exists
            return None


def read(settings: Sequence[Setting]) -> dict[str, Any]:
    """Return the value of each setting by its name."""
    return {setting.name: setting.value() for setting in settings}


def restore(settings: Sequence[Setting], values: dict[str, Any]) -> list[str]:
    """Set the settings to ``values``, and return the names of those that were changed."""
    changed = []
    for setting in settings:
        before, after = values[setting.name], setting.value()
        if not _equal(before, after):
            changed.append(setting.name + _shown(before, after))
            with suppress(Exception):  # such as a folder that was removed
                setting.write(before)
    return changed


def _equal(before: Any, after: Any) -> bool:
    if before is None:  # unknown, so there is nothing to restore
        return True
    same = before == after
    return same if isinstance(same, bool) else False


def _shown(before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [k for k in {**before, **after} if before.get(k) != after.get(k)]
        return f" ({', '.join(map(_key_name, sorted(keys)[:5]))})"
    simple = not isinstance(before, tuple) and len(f"{before}{after}") < 100
    return f" ({before} → {after})" if simple else ""


def _key_name(key: Any) -> str:
    return signal.Signals(key).name if isinstance(key, int) else str(key)


# Single settings


_SIGNALS = tuple(map(int, signal.valid_signals() - {getattr(signal, "SIGCHLD", None)}))
"""All signals but SIGCHLD, whose handler torch's data loaders set."""


def _handlers() -> dict[int, Any]:
    """Return the handlers that Python knows."""
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    return {number: handler for number, handler in found.items() if handler is not None}


def _set_handlers(handlers: dict[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _alarm() -> bool | None:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0 if hasattr(signal, "getitimer") else None


def _set_alarm(pending: bool) -> None:
    if not pending:
        signal.setitimer(signal.ITIMER_REAL, 0)


_OF_LIBRARIES = ("TORCH", "PYTORCH", "TRITON", "KMP_", "CUDA_MODULE_LOADING")
"""How the names begin of variables that PyTorch and OpenMP set when they are first used."""


def _environment() -> dict[str, str]:
    return {k: value for k, value in os.environ.items() if not k.startswith(_OF_LIBRARIES)}


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(_environment()) - set(variables):
        del os.environ[name]
    os.environ.update(variables)


def _default_type() -> str:
    """Return PyTorch's default type; while PyTorch is not imported, the one that it starts with."""
    torch = sys.modules.get("torch")
    return "float32" if torch is None else str(torch.get_default_dtype()).removeprefix("torch.")


def _set_default_type(name: str) -> None:
    torch = sys.modules["torch"]
    torch.set_default_dtype(getattr(torch, name))


def _gradient_mode() -> bool:
    torch = sys.modules.get("torch")
    return True if torch is None else bool(torch.is_grad_enabled())


PROCESS = (
    Setting("global generator of random", random.getstate, random.setstate),
    Setting("signal handlers", _handlers, _set_handlers),
    Setting("alarm", _alarm, _set_alarm),
    Setting("current folder", os.getcwd, os.chdir),
    Setting("environment variables", _environment, _set_environment),
    Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
)
"""Settings that the standard library knows."""

AT_IMPORT = (
    *PROCESS,
    Setting("default type", _default_type, _set_default_type),
    Setting(
        "gradient mode",
        _gradient_mode,
        lambda enabled: sys.modules["torch"].set_grad_enabled(enabled),
    ),
)
"""Settings that are read before a plugin is imported, which imports no library."""
